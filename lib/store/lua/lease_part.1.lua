#!lua
-- lease_part - a part of a running task's patch, where it belongs: the first one replaces what was there, a repeated one changes nothing.
-- KEYS[1] the task's hash
-- ARGV    id, epoch, attempt or 0, offset, most bytes, the part
-- Result  {'ok'} | {'not_found'} | {'stale_lease', status} | {'stale_attempt', attempt} | {'not_running', status} | {'hole'}
-- include task.lua
-- include fence.lua
local refusal = fence(load_task(ARGV[1]), ARGV[2], ARGV[3])
if refusal then
    return refusal
end
local key, offset = KEYS[1] .. ':patch', tonumber(ARGV[4])
if offset > 0 and offset > call('STRLEN', key) or offset + #ARGV[6] > tonumber(ARGV[5]) then
    return {'hole'}
end
if offset == 0 then
    call('SET', key, ARGV[6])
    call('HSET', KEYS[1], 'hasPatch', 1)
else
    call('SETRANGE', key, offset, ARGV[6])
end
return {'ok'}
