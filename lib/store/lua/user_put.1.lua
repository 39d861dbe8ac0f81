#!lua
-- user_put - a new user, with a first token.
-- KEYS[1] the hash of the user
-- ARGV    '1': only while there is no user; id, email, role, GitHub login or '', digest or '' (no token), then names and values of the token
-- Result  {'ok', the user's hash} | {'users_exist'} | {'email_exists'} | {'github_login_exists'}
local first, id, email, role, login, digest = ARGV[1], ARGV[2], string.lower(ARGV[3]), ARGV[4], string.lower(ARGV[5]), ARGV[6]
if first == '1' and call('EXISTS', P .. 'users') == 1 then
    return {'users_exist'}
end
if call('HEXISTS', P .. 'email', email) == 1 then
    return {'email_exists'}
end
if login ~= '' and call('HEXISTS', P .. 'login', login) == 1 then
    return {'github_login_exists'}
end
local now = now_ms()
call('HSET', KEYS[1], 'id', id, 'email', ARGV[3], 'role', role, 'login', ARGV[5], 'created', now, 'updated', now)
call('ZADD', P .. 'users', 0, id)
call('HSET', P .. 'email', email, id)
if login ~= '' then
    call('HSET', P .. 'login', login, id)
end
if role == 'admin' then
    call('SADD', P .. 'admins', id)
end
if digest ~= '' then
    call('HSET', P .. 'tok:' .. digest, 'user', id, 'created', now, unpack(ARGV, 7))
    call('HSET', KEYS[1] .. ':tok', call('HGET', P .. 'tok:' .. digest, 'id'), digest)
end
return {'ok', call('HGETALL', KEYS[1])}
