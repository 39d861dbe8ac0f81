#!lua flags=allow-oom
-- outbox_settle - how a delivery went.
-- KEYS[1] the set of due records
-- ARGV    id, state, to or '', error or '', retry ms
-- Result  {'ok'} | {'not_found'}
local key = P .. 'ob:' .. ARGV[1]
if call('EXISTS', key) == 0 then
    return {'not_found'}
end
call('HSET', key, 'state', ARGV[2], 'error', ARGV[4])
if ARGV[3] ~= '' then
    call('HSET', key, 'to', ARGV[3])
end
if ARGV[2] == 'pending' then
    call('ZADD', KEYS[1], now_ms() + ARGV[5], ARGV[1])
else
    call('ZREM', KEYS[1], ARGV[1])
end
return {'ok'}
