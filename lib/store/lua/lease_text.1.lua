#!lua
-- lease_text - a text beside a running task: its patch (replaced), its trajectory (appended, at most 32 MiB in all).
-- KEYS[1] the task's hash
-- ARGV    id, epoch, 'patch' | 'traj', text
-- Result  {'ok'} | {'not_found'} | {'stale_lease', status}
-- include task.lua
-- include fence.lua
local refusal = fence(load_task(ARGV[1]), ARGV[2], '0')
if refusal then
    return refusal
end
local key = KEYS[1] .. ':' .. ARGV[3]
if ARGV[3] == 'patch' then
    call('SET', key, ARGV[4])
    call('HSET', KEYS[1], 'hasPatch', 1)
elseif call('STRLEN', key) + #ARGV[4] <= 33554432 then
    call('APPEND', key, ARGV[4])
end
return {'ok'}
