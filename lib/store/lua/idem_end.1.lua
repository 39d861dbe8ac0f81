#!lua flags=allow-oom
-- idem_end - keep the answer of a key for 24 hours, or let go of the key. Nothing happens when another has begun meanwhile.
-- KEYS[1] the key's hash
-- ARGV    'complete' | 'abandon', when it was begun, answer
-- Result  {'ok'}
local v = call('HMGET', KEYS[1], 'since', 'task')
if v[1] ~= ARGV[2] then
    return {'ok'}
end
if ARGV[1] == 'complete' then
    call('HSET', KEYS[1], 'answer', ARGV[3])
    call('PEXPIRE', KEYS[1], 86400000)
elseif v[2] then -- a task was made, though its maker may not know: who asks again finds it
    call('HDEL', KEYS[1], 'since')
else
    call('DEL', KEYS[1])
end
return {'ok'}
