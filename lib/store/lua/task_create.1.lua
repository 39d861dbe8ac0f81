#!lua
-- task_create - store new tasks: queued, or (execute) running and waiting.
-- KEYS[1] any key of the partition
-- ARGV    two for each task: execute (0|1) and behind it the idempotency key or nothing; what it is given (`d` of state.lua without its
--         first two)
-- Result  for each: what it was created with (`d`), or the hash of the task that was made under its key before
-- Moves   nothing -> queued | running
-- include queue.lua
-- include backlog.lua
-- include state.lua
local now, out, waiting, some, made, find, sub = now_us(), {}, {}, false, 0, string.find, string.sub
local at = string.format('%d', math.floor(now / 1000))
local how, execute, idem, head
local scores = {}
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
    end
    local d = head .. text
    call('HSET', P .. 't:' .. id, 'd', d)
    made = made + 1
    lines[made] = id .. ' ' .. owner .. ' ' .. sub(text, owner_end + 1, repo_end - 1)
        .. (execute == '1' and ' - running waiting 1 0 ' or ' - queued - 1 0 ') .. at
    if execute == '1' then
        local own = waiting[owner] or {}
        local n = #own
        waiting[owner], some = own, true
        own[n + 1], own[n + 2] = score(sub(text, repo_end + 1, priority_end - 1), n / 2), id
    end
    return d
end
for i = 1, #ARGV, 2 do
    if ARGV[i] ~= how then
        how = ARGV[i]
        execute, idem = sub(how, 1, 1), sub(how, 2)
        head = at .. '\0' .. execute .. '\0'
    end
    local before = idem ~= '' and call('HGET', idem, 'task')
    out[(i + 1) / 2] = before and call('HGETALL', P .. 't:' .. before) or add(ARGV[i + 1])
end
moved = made > 0
if some then
    enqueue(waiting)
end
return commit(out)
