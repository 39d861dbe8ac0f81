#!lua flags=no-writes
-- usage_list - the calls of a task, one by one.
-- KEYS[1] the task's hash
-- Result  {'ok', document, …} | {'not_found'}
if call('EXISTS', KEYS[1]) == 0 then
    return {'not_found'}
end
local calls = call('LRANGE', KEYS[1] .. ':usage', 0, 9999)
table.insert(calls, 1, 'ok')
return calls
