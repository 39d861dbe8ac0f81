#!lua flags=allow-oom
-- outbox_claim - what is due, hidden from others for a while.
-- KEYS[1] the set of due records
-- ARGV    most, hold ms
-- Result  {'ok', hash, …}
-- include ends.lua
fold_all()
local now, out = now_ms(), {'ok'}
for _, id in ipairs(call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
    local key = P .. 'ob:' .. id
    if call('EXISTS', key) == 1 then
        call('ZADD', KEYS[1], now + ARGV[2], id)
        call('HINCRBY', key, 'attempts', 1)
        out[#out + 1] = call('HGETALL', key)
    else
        call('ZREM', KEYS[1], id)
    end
end
return out
