#!lua flags=no-writes
-- repo_get - a repository.
-- KEYS[1] its hash
-- Result  {'ok', hash} | {'not_found'}
local h = call('HGETALL', KEYS[1])
if #h == 0 then
    return {'not_found'}
end
return {'ok', h}
