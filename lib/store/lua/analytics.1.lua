#!lua flags=allow-oom
-- analytics - the sums of each hour in a span.
-- KEYS[1] the set of hours
-- ARGV    from ms, to ms (exclusive)
-- Result  {'ok', hour, hash, hour, hash, …}
-- include fold.lua
fold_all()
local out = {'ok'}
for _, hour in ipairs(call('ZRANGE', KEYS[1], ARGV[1], '(' .. ARGV[2], 'BYSCORE')) do
    out[#out + 1] = hour
    out[#out + 1] = call('HGETALL', P .. 'an:' .. hour)
end
return out
