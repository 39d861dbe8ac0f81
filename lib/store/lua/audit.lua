-- audit.lua - what no crash of ours leaves behind, but a hand or a lost write of Redis may. Needs state.lua and queue.lua.
-- True when the running task `id` was not where its hash says, and was put right.
local function repair(id, h, now)
    if not h or h.status ~= 'running' then
        call('ZREM', P .. 'tasks:s:running', id)
        if h then
            call('ZADD', P .. 'tasks:s:' .. h.status, 0, id)
        end
        return true
    end
    local right = true
    if h.slot == 'l' and not call('ZSCORE', P .. 'lease', id) then
        call('ZADD', P .. 'lease', now, id) -- ends at the next tick
        right = false
    elseif h.slot == 'x' and call('SADD', P .. 'external', id) == 1 then
        right = false
    elseif h.slot == 'b' and not call('ZSCORE', P .. 'bk:' .. h.owner, id) or h.slot == '' then
        call('HSET', P .. 't:' .. id, 'slot', 'b')
        enqueue_one(id, h.owner, priority_of(h))
        right = false
    end
    if h.slot ~= 'l' and hold(h).deadline and not call('ZSCORE', P .. 'deadline', id) then
        call('ZADD', P .. 'deadline', h.deadline, id)
        right = false
    end
    return not right
end
-- Names of runners that have not listened for so long. Each name that ever did is kept by Redis, and runners may come under a new one each
-- time. Who comes back is known again.
local function forget_listeners(stream, silent)
    for _, listener in ipairs(redis.pcall('XINFO', 'CONSUMERS', stream, 'r')) do
        local of = {}
        for i = 1, #listener, 2 do
            of[listener[i]] = listener[i + 1]
        end
        if of.pending == 0 and of.idle > silent then
            call('XGROUP', 'DELCONSUMER', stream, 'r', of.name)
        end
    end
end
-- The running counts of users from the tasks themselves. Only while they are few: the counts are kept by every move anyway.
local function recount()
    local ids = call('ZRANGE', P .. 'tasks:s:running', 0, 500)
    if #ids > 500 or q_cap() == 0 then
        return
    end
    local counts, waiting, users = {}, {}, {}
    for _, id in ipairs(ids) do
        local h = load_task(id)
        if h and (h.slot == 'l' or h.slot == 'x') then
            counts[h.owner] = (counts[h.owner] or 0) + 1
        elseif h and h.slot == 'b' then
            waiting[h.owner] = true
        end
    end
    for _, user in ipairs(call('HKEYS', P .. 'run')) do
        if not counts[user] then
            call('HDEL', P .. 'run', user)
        end
    end
    for user, n in pairs(counts) do
        call('HSET', P .. 'run', user, n)
    end
    for user in pairs(waiting) do
        users[#users + 1] = user
    end
    if #users > 0 then
        join(users)
    end
    ring(1)
end
