#!lua flags=allow-oom
-- runner_gone - a runner ended in order; not when another process has its name already.
-- KEYS[1] the runner's hash
-- ARGV    name, instance
-- Result  {'ok'}
if call('HGET', KEYS[1], 'instance') == ARGV[2] then
    call('DEL', KEYS[1])
    call('ZREM', P .. 'runners', ARGV[1])
end
return {'ok'}
