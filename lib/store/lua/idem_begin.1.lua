#!lua
-- idem_begin - the first with a key carries out, the others get its answer.
-- KEYS[1] the key's hash
-- ARGV    fingerprint
-- Result  {'ok', 'fresh', when: idem_end is to name it} | {'ok', 'done', answer} | {'ok', 'running' | 'other', ''}
local v, now = call('HMGET', KEYS[1], 'fp', 'answer', 'since'), now_ms()
if v[1] and v[1] ~= ARGV[1] then
    return {'ok', 'other', ''}
end
if v[2] then
    return {'ok', 'done', v[2]}
end
if v[3] and math.abs(now - v[3]) < 60000 then -- the clock may have been put back
    return {'ok', 'running', ''}
end
local since = string.format('%d', now)
call('HSET', KEYS[1], 'fp', ARGV[1], 'since', since)
call('PEXPIRE', KEYS[1], 86400000)
return {'ok', 'fresh', since}
