#!lua
-- user_edit - change address, role or GitHub login of a user.
-- KEYS[1] the hash of the user
-- ARGV    id, then pairs of 'email' | 'role' | 'login' and the new value
-- Result  {'ok', hash} | {'not_found'} | {'email_exists'} | {'github_login_exists'} | {'last_admin'}
local id = ARGV[1]
local old = call('HMGET', KEYS[1], 'email', 'role', 'login')
if not old[1] then
    return {'not_found'}
end
local new = {email = old[1], role = old[2], login = old[3] or ''}
for i = 2, #ARGV, 2 do
    new[ARGV[i]] = ARGV[i + 1]
end
local function taken(index, value)
    local by = value ~= '' and call('HGET', P .. index, string.lower(value))
    return by and by ~= id
end
if taken('email', new.email) then
    return {'email_exists'}
end
if taken('login', new.login) then
    return {'github_login_exists'}
end
if old[2] == 'admin' and new.role ~= 'admin' and call('SCARD', P .. 'admins') < 2 then
    return {'last_admin'}
end
call(new.role == 'admin' and 'SADD' or 'SREM', P .. 'admins', id)
call('HDEL', P .. 'email', string.lower(old[1]))
call('HSET', P .. 'email', string.lower(new.email), id)
if old[3] and old[3] ~= '' then
    call('HDEL', P .. 'login', string.lower(old[3]))
end
if new.login ~= '' then
    call('HSET', P .. 'login', string.lower(new.login), id)
end
call('HSET', KEYS[1], 'email', new.email, 'role', new.role, 'login', new.login, 'updated', now_ms())
return {'ok', call('HGETALL', KEYS[1])}
