-- queue.lua - backlog of each user, virtual time, and the short stream of tickets.
--
--   ready        stream of tickets (field t), group r        bk:<user>  zset task -> score, the user's backlog
--   vt           zset user -> virtual time: who has a backlog and is below his cap
--   uv           hash user -> virtual time he left with       run        hash user -> tasks admitted, leased or external
--   q            hash: v (virtual time now), target (tickets in ready while there is a backlog), cap (PJ_USER_MAX_RUNNING, 0: none)
-- A task's field `slot`: b in the backlog, r has a ticket, l leased, x external, '' none of them.
local function q_config()
    local q = call('HMGET', P .. 'q', 'target', 'cap', 'v')
    return tonumber(q[1]) or 4, tonumber(q[2]) or 0, tonumber(q[3]) or 0
end
local function ticket(id)
    call('HSET', P .. 't:' .. id, 'slot', 'r', 'ticket', call('XADD', P .. 'ready', '*', 't', id))
end
-- The next task of the user with the least virtual time, taken out of his backlog and counted as his; nil when nobody may go on.
local function pick(cap)
    while true do
        local top = call('ZRANGE', P .. 'vt', 0, 0, 'WITHSCORES')
        local user = top[1]
        if not user then
            return nil
        end
        local id = call('ZPOPMIN', P .. 'bk:' .. user)[1]
        if not id then
            call('ZREM', P .. 'vt', user)
        else
            local running = call('HINCRBY', P .. 'run', user, 1)
            if (cap > 0 and running >= cap) or call('EXISTS', P .. 'bk:' .. user) == 0 then
                call('ZREM', P .. 'vt', user)
                call('HSET', P .. 'uv', user, tonumber(top[2]) + 1)
            else
                call('ZINCRBY', P .. 'vt', 1, user)
            end
            return id, tonumber(top[2]), user
        end
    end
end
-- Keep tickets in the stream while there is a backlog: they wake idle runners, each of which then takes more by itself.
local function admit()
    if call('EXISTS', P .. 'vt') == 0 then
        return
    end
    local target, cap, v = q_config()
    local at
    for _ = call('XLEN', P .. 'ready') + 1, target do
        local id, time = pick(cap)
        if not id then
            break
        end
        ticket(id)
        at = time
    end
    if at and at > v then
        call('HSET', P .. 'q', 'v', at)
    end
end
-- A user who may go on: back into the order, not before the present virtual time. Whoever has a backlog is in the order or at his cap.
local function join(user, cap, v)
    local running = tonumber(call('HGET', P .. 'run', user)) or 0
    if (cap == 0 or running < cap) and call('EXISTS', P .. 'bk:' .. user) == 1 and not call('ZSCORE', P .. 'vt', user) then
        local own = tonumber(call('HGET', P .. 'uv', user)) or 0
        if own <= v then
            call('HDEL', P .. 'uv', user)
        end
        call('ZADD', P .. 'vt', math.max(own, v), user)
    end
end
-- Ten minutes of waiting weigh as much as one step of priority: nobody starves.
local HEAD_START = {low = 600000, normal = 0, high = -600000}
-- Find a place for a task; the names and values for its hash that say where it is. With `true` second: admission is still to be called.
local function place(id, user, priority, now)
    local backlog = P .. 'bk:' .. user
    local had = call('EXISTS', backlog) == 1
    local target, cap, v
    if not had then
        target, cap, v = q_config()
        if call('EXISTS', P .. 'vt') == 0 and call('XLEN', P .. 'ready') < target then
            -- Nobody waits: straight to the stream.
            if call('HINCRBY', P .. 'run', user, 1) <= cap or cap == 0 then
                return {'slot', 'r', 'ticket', call('XADD', P .. 'ready', '*', 't', id)}, false
            end
            call('HINCRBY', P .. 'run', user, -1)
        end
    end
    call('ZADD', backlog, now + (HEAD_START[priority] or 0), id)
    if not had then
        join(user, cap, v)
    end
    return {'slot', 'b'}, not had
end
local function enqueue(id, user, priority, now)
    local where, open = place(id, user, priority, now)
    call('HSET', P .. 't:' .. id, unpack(where))
    if open then
        admit()
    end
end
-- A task of `user` has left the slots r, l or x. Only under a cap does that let another one in: room in the stream comes from takes.
local function leave(user)
    if call('HINCRBY', P .. 'run', user, -1) <= 0 then
        call('HDEL', P .. 'run', user)
    end
    local _, cap, v = q_config()
    if cap > 0 then
        join(user, cap, v)
        admit()
    end
end
