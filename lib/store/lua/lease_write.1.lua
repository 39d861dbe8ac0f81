#!lua
-- lease_write - fenced members of a running task's hash.
-- KEYS[1] the task's hash
-- ARGV    id, epoch, then names and values
-- Result  {'ok'} | {'not_found'} | {'stale_lease', status}
-- include task.lua
-- include fence.lua
local h, now = load_task(ARGV[1]), now_ms()
local refusal = fence(h, ARGV[2], '0')
if refusal then
    return refusal
end
call('HSET', KEYS[1], 'updated', now, unpack(ARGV, 3))
return {'ok'}
