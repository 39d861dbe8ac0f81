-- pick.lua - who is next. Needs queue.lua.
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
    local cap, tasks, users, at, some_left, had = q_cap(), {}, {}, nil, false, 0
    while had < want do
        local top = call('ZRANGE', P .. 'vt', 0, want - had, 'WITHSCORES') -- one more than there are turns
        if #top == 0 then
            break
        end
        local looked, times, n, running, last = turns(top, want - had, cap)
        local stay, texts, gone, uv, run = {}, {}, nil, nil, nil
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
                run = run or {}
                run[#run + 1], run[#run + 2] = user, now_running
            end
            -- Who has fewer than his turns has no more; who has just as many is found out at his next turn, unless he is the only one:
            -- then it tells whether anybody waits. Who is at his cap comes back when a task of his ends.
            if found < wanted or (now_running and now_running >= cap)
                or (#top == 2 and call('EXISTS', P .. 'bk:' .. user) == 0) then
                gone, uv = gone or {}, uv or {}
                gone[#gone + 1] = user
                uv[#uv + 1], uv[#uv + 2] = user, times[i] - wanted + found
            else
                local time = times[i] -- many have the same
                texts[time] = texts[time] or string.format('%.17g', time)
                stay[#stay + 1], stay[#stay + 2] = texts[time], user
            end
        end
        at = last and math.max(at or last, last) or at
        if #stay > 0 then
            call('ZADD', P .. 'vt', unpack(stay))
        end
        if gone then
            some_left = true
            call('ZREM', P .. 'vt', unpack(gone))
            call('HSET', P .. 'uv', unpack(uv))
        end
        if run then
            call('HSET', P .. 'run', unpack(run))
        end
    end
    if some_left and at and at > q_v() then
        q_last = at
        call('HSET', P .. 'q', 'v', at)
    end
    return tasks, users, some_left
end
