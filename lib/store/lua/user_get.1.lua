#!lua flags=no-writes
-- user_get - a user by id, e-mail address or GitHub login.
-- KEYS[1] any key of the slot
-- ARGV    'id' | 'email' | 'login', the value
-- Result  {'ok', hash} | {'not_found'}
local id = ARGV[2]
if ARGV[1] ~= 'id' then
    id = call('HGET', P .. ARGV[1], string.lower(ARGV[2]))
end
local h = id and call('HGETALL', P .. 'u:' .. id) or {}
if #h == 0 then
    return {'not_found'}
end
return {'ok', h}
