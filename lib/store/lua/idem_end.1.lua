#!lua flags=allow-oom
-- idem_end - keep the answer of a key for 24 hours, or forget the key.
-- KEYS[1] the key's hash
-- ARGV    'complete' | 'abandon', answer
-- Result  {'ok'}
if ARGV[1] == 'abandon' then
    call('DEL', KEYS[1])
else
    call('HSET', KEYS[1], 'answer', ARGV[2])
    call('PEXPIRE', KEYS[1], 86400000)
end
return {'ok'}
