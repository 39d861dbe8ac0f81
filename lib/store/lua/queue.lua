-- queue.lua - backlog of each user, virtual time, and the short stream of bells that wakes runners. What puts tasks in is backlog.lua,
-- what takes them out pick.lua: a script makes each function anew when it is run, and is given only those that it needs.
--
--   bk:<user>  zset task -> score, the user's backlog        vt     zset user -> virtual time: who may have a backlog, below his cap
--   uv         hash user -> virtual time he left with        run    hash user -> tasks leased or external, kept
--                                                                   while there is a cap
--   ready      stream of bells, group r: "somebody waits"    q      hash: v (virtual time when somebody last left vt),
--                                                                   cap (PJ_USER_MAX_RUNNING, 0: none)
-- A task's field `slot`: b in the backlog, l leased, x external, '' none of them. A bell names no task: which one is next is decided
-- when somebody takes, so that nothing waits behind a runner that read a bell and died.
local q_last, q_limit
local function q_v()
    q_last = q_last or tonumber(call('HGET', P .. 'q', 'v') or '') or 0
    return q_last
end
local function q_cap()
    q_limit = q_limit or tonumber(call('HGET', P .. 'q', 'cap') or '') or 0
    return q_limit
end
-- Four bells while somebody waits, at most `more` further ones: each runner that wakes takes as many as it has room for. sure: somebody
-- is known to wait.
local function ring(more, sure)
    if sure or call('EXISTS', P .. 'vt') == 1 then
        local n = call('XLEN', P .. 'ready')
        for _ = n + 1, math.min(4, n + more) do
            call('XADD', P .. 'ready', '*', 'w', '')
        end
    end
end
-- Users who may go on, back into the order, not before the present virtual time. Whoever has a backlog is in the order or at his cap.
local function join(users)
    local cap, least = q_cap(), call('ZRANGE', P .. 'vt', 0, 0, 'WITHSCORES')
    local v = math.max(q_v(), tonumber(least[2]) or 0)
    local own, running = call('HMGET', P .. 'uv', unpack(users)), cap > 0 and call('HMGET', P .. 'run', unpack(users))
    local put, gone = {}, {}
    for i, user in ipairs(users) do
        if (cap == 0 or (tonumber(running[i]) or 0) < cap) and call('EXISTS', P .. 'bk:' .. user) == 1 then
            put[#put + 1], put[#put + 2] = math.max(tonumber(own[i]) or 0, v), user
            if own[i] then
                gone[#gone + 1] = user
            end
        end
    end
    if #put > 0 then
        call('ZADD', P .. 'vt', 'NX', unpack(put))
    end
    if #gone > 0 then
        call('HDEL', P .. 'uv', unpack(gone))
    end
end
-- Tasks have left the slots l or x. left: user -> how many. Only under a cap does that let others in.
local function leave(left)
    if q_cap() == 0 then
        return
    end
    local users, put, gone = {}, {}, {}
    for user in pairs(left) do
        users[#users + 1] = user
    end
    for i, running in ipairs(call('HMGET', P .. 'run', unpack(users))) do
        local n = (tonumber(running) or 0) - left[users[i]]
        if n > 0 then
            put[#put + 1], put[#put + 2] = users[i], n
        else
            gone[#gone + 1] = users[i]
        end
    end
    if #put > 0 then
        call('HSET', P .. 'run', unpack(put))
    end
    if #gone > 0 then
        call('HDEL', P .. 'run', unpack(gone))
    end
    join(users)
    ring(#users)
end
