#!lua flags=no-writes
-- repo_by_url - every repository connected under a url.
-- KEYS[1] any key of the slot
-- ARGV    url
-- Result  {'ok', '', hash, hash, …}
local out = {'ok', ''}
for _, id in ipairs(call('SMEMBERS', P .. 'repos:at:' .. ARGV[1])) do
    out[#out + 1] = call('HGETALL', P .. 'repo:' .. id)
end
return out
