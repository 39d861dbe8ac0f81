#!lua flags=allow-oom
-- token_revoke - end one token of a user and the page sessions that came from it, or all.
-- KEYS[1] the hash of the user
-- ARGV    token id, or '' for all
-- Result  {'ok'} | {'not_found'}
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
