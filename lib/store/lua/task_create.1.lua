#!lua
-- task_create - store a new task: queued, or (execute) running and waiting.
-- KEYS[1] the task's hash
-- ARGV    id, owner, repository, execute (0|1), idempotency key or '', priority, then names and values of the hash
-- Result  {'ok', existing (0|1), the hash}
-- Moves   nothing -> queued | running
-- include queue.lua
-- include state.lua
local id, owner, repo, execute, idem = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if idem ~= '' then
    local made = call('HGET', idem, 'task')
    if made then
        return {'ok', 1, call('HGETALL', P .. 't:' .. made)}
    end
    call('HSET', idem, 'task', id)
end
local now, status = now_ms(), execute == '1' and 'running' or 'queued'
local h = {owner = owner, repo = repo, attempt = '1', n = '0'}
local set, open = {unpack(ARGV, 7)}, false
if execute == '1' then
    local where
    where, open = place(id, owner, ARGV[6], now)
    set[#set + 1], set[#set + 2], set[#set + 3], set[#set + 4] = 'stage', 'waiting', 'executed', now
    for _, word in ipairs(where) do
        set[#set + 1] = word
    end
end
call('HSET', KEYS[1], 'id', id, 'owner', owner, 'repo', repo, 'status', status, 'attempt', 1, 'created', now, 'updated', now,
    unpack(set))
call('ZADD', P .. 'tasks', 0, id)
call('ZADD', P .. 'tasks:u:' .. owner, 0, id)
call('ZADD', P .. 'tasks:r:' .. repo, 0, id)
call('ZADD', P .. 'tasks:s:' .. status, 0, id)
announce(id, h, status, execute == '1' and 'waiting' or '', now)
if open then
    admit()
end
return {'ok', 0, call('HGETALL', KEYS[1])}
