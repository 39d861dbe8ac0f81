#!lua flags=no-writes
-- task_get - the whole hash of a task.
-- KEYS[1] the task's hash
-- Result  {'ok', the hash} | {'not_found'}
local h = call('HGETALL', KEYS[1])
if #h == 0 then
    return {'not_found'}
end
return {'ok', h}
