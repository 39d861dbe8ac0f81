#!lua flags=allow-oom
-- lease_external - a workflow elsewhere has the task from now on: no lease, no slot of a runner; the deadline stays.
-- KEYS[1] the task's hash
-- ARGV    id, epoch
-- Result  {'ok'} | {'not_found'} | {'stale_lease', status}
-- include task.lua
-- include fence.lua
local id = ARGV[1]
local h = load_task(id)
local refusal = fence(h, ARGV[2], '0')
if refusal then
    return refusal
end
call('HSET', KEYS[1], 'slot', 'x', 'updated', now_ms())
call('ZREM', P .. 'lease', id)
call('SADD', P .. 'external', id)
if hold(h).deadline then
    call('ZADD', P .. 'deadline', h.deadline, id)
end
return {'ok'}
