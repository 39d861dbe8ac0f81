#!lua
-- task_create - store a new task: queued, or (execute) running and waiting.
-- KEYS[1] the task's hash
-- ARGV    id, owner, repository, execute (0|1), idempotency key or '', then names and values of the hash
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
call('HSET', KEYS[1], 'id', id, 'owner', owner, 'repo', repo, 'status', status, 'stage', execute == '1' and 'waiting' or '', 'slot', '',
    'attempt', 1, 'n', 0, 'epoch', 0, 'deliveries', 0, 'created', now, 'updated', now, 'executed', execute == '1' and now or '',
    unpack(ARGV, 6))
call('ZADD', P .. 'tasks', 0, id)
call('ZADD', P .. 'tasks:u:' .. owner, 0, id)
call('ZADD', P .. 'tasks:r:' .. repo, 0, id)
call('ZADD', P .. 'tasks:s:' .. status, 0, id)
announce(id, h, status, execute == '1' and 'waiting' or '', now)
if execute == '1' then
    enqueue(id, owner, call('HGET', KEYS[1], 'priority') or 'normal', now)
end
return {'ok', 0, call('HGETALL', KEYS[1])}
