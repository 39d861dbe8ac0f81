#!lua
-- task_create - store new tasks: queued, or (execute) running and waiting.
-- KEYS[1] any key of the partition
-- ARGV    two for each task: execute (0|1) and behind it the idempotency key or nothing; what it is given (`d` of state.lua without its
--         first two)
-- Result  for each: the first two of `d`, the rest being what was given; or the hash of the task that was made under its key before
-- Moves   nothing -> queued | running
-- include queue.lua
-- include backlog.lua
-- include state.lua
local now, out, find, sub = now_us(), {}, string.find, string.sub
local at = string.format('%d', math.floor(now / 1000))
local waiting, scores, made, some = {}, {}, 0, false
local how, execute, idem, head, tail
-- The n-th task of a user stands n microseconds behind the first: in the order given.
local function score(priority, n)
    local own = scores[priority] or {}
    scores[priority] = own
    own[n] = own[n] or string.format('%d', now + n + (HEAD_START[priority] or 0))
    return own[n]
end
local function add(text)
    local owner_end = find(text, '\0', 1, true)
    local repo_end = find(text, '\0', owner_end + 1, true)
    local priority_end = find(text, '\0', repo_end + 1, true)
    local limit_end = find(text, '\0', priority_end + 1, true)
    local id = sub(text, limit_end + 1, find(text, '\0', limit_end + 1, true) - 1)
    local owner = sub(text, 1, owner_end - 1)
    if idem ~= '' then
        call('HSET', idem, 'task', id)
        call('PEXPIRE', idem, 86400000, 'NX') -- who began it may have given it a time of its own
    end
    call('HSET', P .. 't:' .. id, 'd', head .. text)
    made = made + 1
    lines[made] = id .. ' ' .. owner .. ' ' .. sub(text, owner_end + 1, repo_end - 1) .. tail
    if execute == '1' then
        local own, priority = waiting[owner], sub(text, repo_end + 1, priority_end - 1)
        some = true
        if own then
            local n = #own
            own[n + 1], own[n + 2] = score(priority, n / 2), id
        else
            waiting[owner] = {score(priority, 0), id}
        end
    end
    return head
end
for i = 1, #ARGV, 2 do
    if ARGV[i] ~= how then
        how = ARGV[i]
        execute, idem = sub(how, 1, 1), sub(how, 2)
        head = at .. '\0' .. execute .. '\0'
        tail = (execute == '1' and ' - running waiting 1 0 ' or ' - queued - 1 0 ') .. at
    end
    local before = idem ~= '' and call('HGET', idem, 'task')
    before = before and call('HGETALL', P .. 't:' .. before)
    out[(i + 1) / 2] = before and #before > 0 and before or add(ARGV[i + 1]) -- one that was deleted is made anew
end
moved = made > 0
if some then
    enqueue(waiting)
end
return commit(out)
