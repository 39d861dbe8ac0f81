#!lua flags=allow-oom
-- outbox_claim - what is due, hidden from others for a while.
-- KEYS[1] the set of due records
-- ARGV    most, hold ms
-- Result  {'ok', hash, …}
-- include hash.lua
-- include fold.lua
-- include outbox.lua
fold_all()
local now, out = now_ms(), {'ok'}
for _, id in ipairs(call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
    local key = P .. 'ob:' .. id
    local own = call('EXISTS', key) == 0 and record(id)
    if own and #own > 0 then
        call('HSET', key, unpack(own))
        call('HDEL', P .. 'ob:new', id)
    end
    if not own or #own > 0 then
        call('ZADD', KEYS[1], now + ARGV[2], id)
        call('HINCRBY', key, 'attempts', 1)
        out[#out + 1] = record(id)
    else
        call('ZREM', KEYS[1], id)
    end
end
-- Records settled for 30 days are forgotten, the oldest first, a few each time.
for _, id in ipairs(call('ZRANGE', P .. 'ob', '-', '+', 'BYLEX', 'LIMIT', 0, 5)) do
    local v = pairs_of(record(id))
    if (tonumber(v.created or '') or 0) > now - 2592000000 or not v.state or v.state == 'pending' then
        break
    end
    call('DEL', P .. 'ob:' .. id)
    call('ZREM', P .. 'ob', id)
end
return out
