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
-- Records settled for 30 days are forgotten, the oldest first, a few each time.
for _, id in ipairs(call('ZRANGE', P .. 'ob', '-', '+', 'BYLEX', 'LIMIT', 0, 5)) do
    local v = call('HMGET', P .. 'ob:' .. id, 'created', 'state')
    if (tonumber(v[1] or '') or 0) > now - 2592000000 or not v[2] or v[2] == 'pending' then
        break
    end
    call('DEL', P .. 'ob:' .. id)
    call('ZREM', P .. 'ob', id)
end
return out
