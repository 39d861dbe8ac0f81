#!lua flags=allow-oom
-- outbox_settle - how a delivery went. Nothing changes when another deliverer has claimed the record meanwhile: he will tell.
-- KEYS[1] the set of due records
-- ARGV    id, state, to or '', error or '', retry ms, number of the attempt
-- Result  {'ok'} | {'not_found'}
local key = P .. 'ob:' .. ARGV[1]
local attempts = call('HGET', key, 'attempts')
if not attempts then
    return {'not_found'}
end
if attempts ~= ARGV[6] then
    return {'ok'}
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
