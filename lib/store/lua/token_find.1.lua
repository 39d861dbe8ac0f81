#!lua flags=allow-oom
-- token_find - who calls with this token. Its last use is noted to the minute.
-- KEYS[1] the hash of the token
-- Result  {'ok', the user's hash, the token's hash} | {'unauthenticated'} | {'token_expired'}
-- include hash.lua
local list = call('HGETALL', KEYS[1])
if #list == 0 then
    return {'unauthenticated'}
end
local token, now = pairs_of(list), now_ms()
if (tonumber(token.expires or '') or 0) > 0 and tonumber(token.expires) <= now then
    return {'token_expired'}
end
local user = call('HGETALL', P .. 'u:' .. token.user)
if #user == 0 then
    return {'unauthenticated'}
end
if now - (tonumber(token.used or '') or 0) >= 60000 then
    call('HSET', KEYS[1], 'used', now)
end
return {'ok', user, list}
