-- audit.lua - what no crash of ours leaves behind, but a hand or a lost write of Redis may. Needs state.lua and queue.lua.
-- True when the running task `id` was not where its hash says, and was put right.
local function repair(id, h, now)
    local t = P .. 't:' .. id
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
    elseif h.slot == 'r' then
        local at = call('HGET', t, 'ticket')
        if not at or #call('XRANGE', P .. 'ready', at, at) == 0 then
            ticket(id)
            right = false
        end
    elseif h.slot == 'b' and not call('ZSCORE', P .. 'bk:' .. h.owner, id) or h.slot == '' then
        enqueue(id, h.owner, h.priority, now)
        right = false
    end
    if h.slot ~= 'l' and h.deadline and not call('ZSCORE', P .. 'deadline', id) then
        call('ZADD', P .. 'deadline', h.deadline, id)
        right = false
    end
    return not right
end
-- The running counts of users from the tasks themselves. Only while they are few: the counts are kept by every move anyway.
local function recount()
    local ids = call('ZRANGE', P .. 'tasks:s:running', 0, 500)
    if #ids > 500 then
        return
    end
    local counts = {}
    for _, id in ipairs(ids) do
        local v = call('HMGET', P .. 't:' .. id, 'owner', 'slot')
        if v[1] and (v[2] == 'r' or v[2] == 'l' or v[2] == 'x') then
            counts[v[1]] = (counts[v[1]] or 0) + 1
        end
    end
    local _, cap, v = q_config()
    for _, user in ipairs(call('HKEYS', P .. 'run')) do
        if not counts[user] then
            call('HDEL', P .. 'run', user)
            join(user, cap, v)
        end
    end
    for user, n in pairs(counts) do
        call('HSET', P .. 'run', user, n)
        join(user, cap, v)
    end
    admit()
end
