#!lua
-- task_pr_state - what the forge says about the pull request.
-- KEYS[1] the task's hash
-- ARGV    id, state
-- Result  {'ok', the hash} | {'not_found'}
if call('EXISTS', KEYS[1]) == 0 then
    return {'not_found'}
end
call('HSET', KEYS[1], 'prState', ARGV[2], 'updated', now_ms())
return {'ok', call('HGETALL', KEYS[1])}
