#!lua flags=allow-oom
-- runner_beat - a runner is alive. The wish to drain stays until a new process comes under its name.
-- KEYS[1] the runner's hash
-- ARGV    name, instance, then names and values
-- Result  {'ok', drain (0|1)}
local now = now_ms()
if call('HGET', KEYS[1], 'instance') ~= ARGV[2] then
    call('DEL', KEYS[1])
end
call('HSET', KEYS[1], 'name', ARGV[1], 'instance', ARGV[2], 'beat', now, unpack(ARGV, 3))
call('ZADD', P .. 'runners', now, ARGV[1])
return {'ok', tonumber(call('HGET', KEYS[1], 'drain') or '') or 0}
