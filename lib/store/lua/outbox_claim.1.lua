#!lua flags=allow-oom
-- outbox_claim - what is due, hidden from others for a while.
-- KEYS[1] the set of due records
-- ARGV    most, hold ms
-- Result  {'ok', hash, …}
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
-- Records settled for 30 days are forgotten, any few at a time: an old task may have a young record, and no order is waited for.
for _, id in ipairs(call('ZRANDMEMBER', P .. 'ob', 5)) do
    local v = call('HMGET', P .. 'ob:' .. id, 'created', 'state')
    if v[2] and v[2] ~= 'pending' and tonumber(v[1]) <= now - 2592000000 then
        call('DEL', P .. 'ob:' .. id)
        call('ZREM', P .. 'ob', id)
    end
end
return out
