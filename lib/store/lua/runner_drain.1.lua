#!lua flags=allow-oom
-- runner_drain - the wish that a runner takes nothing new, or that it takes again.
-- KEYS[1] the runner's hash
-- ARGV    1 | 0, the runner's channel
-- Result  {'ok'} | {'not_found'}
if call('EXISTS', KEYS[1]) == 0 then
    return {'not_found'}
end
call('HSET', KEYS[1], 'drain', ARGV[1])
call('PUBLISH', ARGV[2], ARGV[1] == '1' and 'drain' or 'undrain')
return {'ok'}
