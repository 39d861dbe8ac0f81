#!lua flags=allow-oom
-- user_delete - forget a user and his tokens.
-- KEYS[1] the hash of the user
-- ARGV    id
-- Result  {'ok'} | {'not_found'} | {'last_admin'}
local id = ARGV[1]
local old = call('HMGET', KEYS[1], 'email', 'role', 'login')
if not old[1] then
    return {'not_found'}
end
if old[2] == 'admin' and call('SCARD', P .. 'admins') < 2 then
    return {'last_admin'}
end
for _, digest in ipairs(call('HVALS', KEYS[1] .. ':tok')) do
    call('DEL', P .. 'tok:' .. digest)
end
call('HDEL', P .. 'email', string.lower(old[1]))
call('HDEL', P .. 'login', string.lower(old[3] or ''))
call('SREM', P .. 'admins', id)
call('ZREM', P .. 'users', id)
call('DEL', KEYS[1], KEYS[1] .. ':tok')
return {'ok'}
