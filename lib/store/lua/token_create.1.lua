#!lua
-- token_create - one more token of a user.
-- KEYS[1] the hash of the user
-- ARGV    user id, token id, digest, then names and values of the token
-- Result  {'ok'} | {'not_found'} | {'unauthenticated'}: the session's token was revoked meanwhile
-- include hash.lua
if call('EXISTS', KEYS[1]) == 0 then
    return {'not_found'}
end
local token = pairs_of({unpack(ARGV, 4)})
local from = token.kind == 'session' and string.match(token.name or '', '^session of (.*)$')
if from and call('HEXISTS', KEYS[1] .. ':tok', from) == 0 then
    return {'unauthenticated'}
end
local key = P .. 'tok:' .. ARGV[3]
call('HSET', key, 'user', ARGV[1], 'created', now_ms(), unpack(ARGV, 4))
local expires = tonumber(token.expires or '') or 0
if expires > 0 and token.kind == 'session' then
    call('PEXPIREAT', key, expires)
end
call('HSET', KEYS[1] .. ':tok', ARGV[2], ARGV[3])
-- Sessions end by themselves; their names are swept once there are many.
if call('HLEN', KEYS[1] .. ':tok') > 64 then
    local all = call('HGETALL', KEYS[1] .. ':tok')
    for i = 1, #all, 2 do
        if call('EXISTS', P .. 'tok:' .. all[i + 1]) == 0 then
            call('HDEL', KEYS[1] .. ':tok', all[i])
        end
    end
end
return {'ok'}
