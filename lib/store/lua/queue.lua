-- queue.lua - backlog of each user, virtual time, and the short stream of bells that wakes runners.
--
--   bk:<user>  zset task -> score, the user's backlog        vt     zset user -> virtual time: who may have a backlog, below his cap
--   uv         hash user -> virtual time he left with        run    hash user -> tasks leased or external, kept
--                                                                   while there is a cap
--   ready      stream of bells, group r: "somebody waits"    q      hash: v (virtual time when somebody last left vt), target (bells while there is a
--                                                                   backlog), cap (PJ_USER_MAX_RUNNING, 0: none)
-- A task's field `slot`: b in the backlog, l leased, x external, '' none of them. A bell names no task: which one is next is decided
-- when somebody takes, so that nothing waits behind a runner that read a bell and died.
local q_target, q_cap, q_v
local function q_config()
    if not q_target then
        local q = call('HMGET', P .. 'q', 'target', 'cap', 'v')
        q_target, q_cap, q_v = tonumber(q[1]) or 4, tonumber(q[2]) or 0, tonumber(q[3]) or 0
    end
    return q_target, q_cap, q_v
end
-- Bells while somebody waits, at most `more` further ones: each runner that wakes takes as many as it has room for.
local function ring(more)
    if call('EXISTS', P .. 'vt') == 1 then
        local target, n = q_config(), call('XLEN', P .. 'ready')
        for _ = n + 1, math.min(target, n + more) do
            call('XADD', P .. 'ready', '*', 'w', '')
        end
    end
end
-- Users who may go on, back into the order, not before the present virtual time. Whoever has a backlog is in the order or at his cap.
local function join(users)
    local _, cap, v = q_config()
    local least = call('ZRANGE', P .. 'vt', 0, 0, 'WITHSCORES')
    v = math.max(v, tonumber(least[2]) or 0)
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
-- Scores are microseconds. Ten minutes of waiting weigh as much as one step of priority: nobody starves.
local HEAD_START = {low = 600000000, normal = 0, high = -600000000}
-- Into the backlogs. waiting: user -> {score, task, score, task, …}
local function enqueue(waiting)
    local users, fresh, n = {}, {}, 0
    for user, tasks in pairs(waiting) do
        call('ZADD', P .. 'bk:' .. user, unpack(tasks))
        users[#users + 1] = user
        n = n + #tasks / 2
    end
    for i, time in ipairs(call('ZMSCORE', P .. 'vt', unpack(users))) do
        if not time then
            fresh[#fresh + 1] = users[i]
        end
    end
    if #fresh > 0 then
        join(fresh)
    end
    ring(n)
end
local function enqueue_one(id, user, priority)
    enqueue({[user] = {now_us() + (HEAD_START[priority] or 0), id}})
end
-- Whose turn comes how often among the next `want`: the least virtual time first, one step of it a task, nobody above his cap.
-- top: user, time, user, time, … in order. How many of the users were looked at, and by their place in that order: time after their
-- turns, number of turns, running tasks before; then the time of the last turn.
local function turns(top, want, cap)
    local running, times, n = {}, {}, {}
    if cap > 0 then
        local names = {}
        for i = 1, #top, 2 do
            names[#names + 1] = top[i]
        end
        running = call('HMGET', P .. 'run', unpack(names))
    end
    -- Two queues, both in order of time: who has not had a turn yet, who has.
    local again, first, second, behind, last = {}, 1, 1, 0, nil
    while want > 0 do
        local i, b = first, again[second]
        local a_time = tonumber(top[2 * first])
        if a_time and not (b and times[b] < a_time) then
            times[i], n[i], first = a_time, 0, first + 1
        elseif b then
            i, second = b, second + 1
        else
            break
        end
        if cap == 0 or (tonumber(running[i]) or 0) + n[i] < cap then
            last = times[i]
            n[i], times[i], want = n[i] + 1, last + 1, want - 1
            behind = behind + 1
            again[behind] = i
        end
    end
    return first - 1, times, n, running, last
end
-- The next tasks, at most `want`, taken out of the backlogs and counted as their users'; the users, likewise; and whether a user left
-- the order. What time it is, the least virtual time says; only who leaves writes it down.
local function pick(want)
    local _, cap, v = q_config()
    local tasks, users, at, some_left, had = {}, {}, nil, false, 0
    while had < want do
        local top = call('ZRANGE', P .. 'vt', 0, want - had - 1, 'WITHSCORES')
        if #top == 0 then
            break
        end
        local looked, times, n, running, last = turns(top, want - had, cap)
        local stay, gone, uv, run = {}, {}, {}, {}
        for i = 1, looked do
            local user, wanted = top[2 * i - 1], n[i]
            local got = wanted > 0 and call('ZPOPMIN', P .. 'bk:' .. user, wanted) or {}
            local found = #got / 2
            for k = 1, #got, 2 do
                had = had + 1
                tasks[had], users[had] = got[k], user
            end
            local now_running = cap > 0 and (tonumber(running[i]) or 0) + found
            if now_running and found > 0 then
                run[#run + 1], run[#run + 2] = user, now_running
            end
            -- Who has fewer than his turns has no more; who has just as many is found out at his next turn, unless he is the only one:
            -- then it tells whether anybody waits. Who is at his cap comes back when a task of his ends.
            if found < wanted or (now_running and now_running >= cap)
                or (looked == 1 and call('EXISTS', P .. 'bk:' .. user) == 0) then
                gone[#gone + 1] = user
                uv[#uv + 1], uv[#uv + 2] = user, times[i] - wanted + found
            else
                stay[#stay + 1], stay[#stay + 2] = times[i], user
            end
        end
        at = last and math.max(at or last, last) or at
        if #stay > 0 then
            call('ZADD', P .. 'vt', unpack(stay))
        end
        if #gone > 0 then
            some_left = true
            call('ZREM', P .. 'vt', unpack(gone))
            call('HSET', P .. 'uv', unpack(uv))
        end
        if #run > 0 then
            call('HSET', P .. 'run', unpack(run))
        end
    end
    if some_left and at and at > v then
        q_v = at
        call('HSET', P .. 'q', 'v', at)
    end
    return tasks, users, some_left
end
-- Tasks have left the slots l or x. left: user -> how many. Only under a cap does that let others in.
local function leave(left)
    local _, cap = q_config()
    if cap == 0 then
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
