#!lua flags=allow-oom
-- runner_list - the fleet; those silent for a day are forgotten here.
-- KEYS[1] the set of runners
-- Result  {'ok', now, hash, …}
local now = now_ms()
for _, name in ipairs(call('ZRANGE', KEYS[1], '-inf', now - 86400000, 'BYSCORE')) do
    call('DEL', P .. 'runner:' .. name)
    call('ZREM', KEYS[1], name)
end
local out = {'ok', string.format('%.0f', now)}
for _, name in ipairs(call('ZRANGE', KEYS[1], 0, -1)) do
    out[#out + 1] = call('HGETALL', P .. 'runner:' .. name)
end
return out
