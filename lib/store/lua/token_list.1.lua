#!lua flags=no-writes
-- token_list - the tokens of a user, sessions left out.
-- KEYS[1] the hash of the user
-- Result  {'ok', hash, hash, …} | {'not_found'}
if call('EXISTS', KEYS[1]) == 0 then
    return {'not_found'}
end
local out = {'ok'}
for _, digest in ipairs(call('HVALS', KEYS[1] .. ':tok')) do
    local h = call('HGETALL', P .. 'tok:' .. digest)
    if #h > 0 and call('HGET', P .. 'tok:' .. digest, 'kind') ~= 'session' then
        out[#out + 1] = h
    end
end
return out
