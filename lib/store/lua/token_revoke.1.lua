#!lua flags=allow-oom
-- token_revoke - end one token of a user and the page sessions that came from it, or all.
-- KEYS[1] the hash of the user
-- ARGV    token id, or '' for all
-- Result  {'ok'} | {'not_found'} | {'last_admin_token'}: with it nobody could administer any more
if ARGV[1] == '' then
    for _, digest in ipairs(call('HVALS', KEYS[1] .. ':tok')) do
        call('DEL', P .. 'tok:' .. digest)
    end
    call('DEL', KEYS[1] .. ':tok')
    return {'ok'}
end
local digest = call('HGET', KEYS[1] .. ':tok', ARGV[1])
if not digest then
    return {'not_found'}
end
-- Whether a token, as it is stored, opens the administration: of itself, for good or until later, and not in part.
local now = now_ms()
local function administers(key)
    local token = call('HMGET', key, 'kind', 'scopes', 'expires', 'all')
    if not token[1] or token[1] == 'session' then
        return false
    end
    local expires, scopes = tonumber(token[3] or '') or 0, ' ' .. (token[2] or '') .. ' '
    return (expires == 0 or expires > now) and (token[4] == '1'
        or string.find(scopes, ' * ', 1, true) or string.find(scopes, ' admin:write ', 1, true))
end
local function another_administers()
    for _, id in ipairs(call('SMEMBERS', P .. 'admins')) do
        for _, other in ipairs(call('HVALS', P .. 'u:' .. id .. ':tok')) do
            if other ~= digest and administers(P .. 'tok:' .. other) then
                return true
            end
        end
    end
    return false
end
if call('HGET', KEYS[1], 'role') == 'admin' and administers(P .. 'tok:' .. digest) and not another_administers() then
    return {'last_admin_token'}
end
call('DEL', P .. 'tok:' .. digest)
call('HDEL', KEYS[1] .. ':tok', ARGV[1])
local all = call('HGETALL', KEYS[1] .. ':tok')
for i = 1, #all, 2 do
    local key = P .. 'tok:' .. all[i + 1]
    local token = call('HMGET', key, 'kind', 'name')
    if token[1] == 'session' and token[2] == 'session of ' .. ARGV[1] then
        call('DEL', key)
        call('HDEL', KEYS[1] .. ':tok', all[i])
    end
end
return {'ok'}
