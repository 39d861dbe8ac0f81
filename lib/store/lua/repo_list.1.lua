#!lua flags=no-writes
-- repo_list - a page of repositories, newest first: all, or one's own and the shared ones.
-- KEYS[1] the index of all
-- ARGV    limit, before or '', viewer or ''
-- Result  {'ok', cursor or '', hash, hash, …}
local limit, top, viewer = tonumber(ARGV[1]), ARGV[2] == '' and '+' or '(' .. ARGV[2], ARGV[3]
local out, seen = {'ok', ''}, 0
while seen < 2000 do
    local ids = call('ZRANGE', KEYS[1], top, '-', 'BYLEX', 'REV', 'LIMIT', 0, 100)
    for _, id in ipairs(ids) do
        local key = P .. 'repo:' .. id
        seen = seen + 1
        local owner = call('HGET', key, 'owner')
        if owner and (viewer == '' or owner == viewer or call('SISMEMBER', P .. 'repos:shared', id) == 1) then
            out[#out + 1] = call('HGETALL', key)
            if #out == limit + 2 then
                out[2] = id
                return out
            end
        end
        top = '(' .. id
    end
    if #ids < 100 then
        out[2] = ''
        return out
    end
    out[2] = ids[100]
end
return out
