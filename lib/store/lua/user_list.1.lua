#!lua flags=no-writes
-- user_list - a page of users, newest first.
-- KEYS[1] the index
-- ARGV    limit, before or ''
-- Result  {'ok', cursor or '', hash, hash, …}
local ids = call('ZRANGE', KEYS[1], ARGV[2] == '' and '+' or '(' .. ARGV[2], '-', 'BYLEX', 'REV', 'LIMIT', 0, ARGV[1])
local out = {'ok', #ids == tonumber(ARGV[1]) and ids[#ids] or ''}
for _, id in ipairs(ids) do
    local h = call('HGETALL', P .. 'u:' .. id)
    if #h > 0 then
        out[#out + 1] = h
    end
end
return out
