#!lua flags=allow-oom
-- token_revoke - end one token of a user, or all.
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
return {'ok'}
