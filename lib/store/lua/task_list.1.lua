#!lua flags=allow-oom
-- task_list - a page of tasks, newest first. Looks at no more than 1000 candidates and a megabyte of text, and answers with no more
--             than about that: then the page is short and has a cursor.
-- KEYS[1] any key of the partition
-- ARGV    limit, before or '', viewer or '', owner or '', repository or '', status or '', text (lower case) or '', then ids of
--         shared repositories
-- Result  {'ok', cursor or '', hash, hash, …}
-- include fold.lua
fold_all()
local limit, before, viewer, owner, repo, status, text = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local shared, has_shared = {}, false
for i = 8, #ARGV do
    shared[ARGV[i]], has_shared = true, true
end
local index = P .. 'tasks'
if owner ~= '' then
    index = index .. ':u:' .. owner
elseif repo ~= '' then
    index = index .. ':r:' .. repo
elseif viewer ~= '' and not has_shared then
    index = index .. ':u:' .. viewer
elseif status ~= '' then
    index = index .. ':s:' .. status
end
local read = 0
local function has_text(h)
    local title, desc, rest = h[3], h[4], string.match(h[1], '^%d+%z%d%z[^%z]*%z[^%z]*%z[^%z]*%z[^%z]*%z[^%z]*%z(.*)$')
    for name, value in string.gmatch(rest or '', '([^%z]*)%z([^%z]*)%z') do
        title, desc = title or name == 'title' and value, desc or name == 'desc' and value
    end
    read = read + #(title or '') + #(desc or '')
    return string.find(string.lower(title or ''), text, 1, true) or string.find(string.lower(desc or ''), text, 1, true)
end
local function shows(h)
    if not h[1] then
        return false
    end
    local _, execute, of, at = given(h[1])
    local now = h[2] or (execute == '1' and 'running' or 'queued')
    return (viewer == '' or of == viewer or shared[at]) and (owner == '' or of == owner) and (repo == '' or at == repo)
        and (status == '' or now == status) and (text == '' or has_text(h))
end
local out, seen, top = {'ok', ''}, 0, before == '' and '+' or '(' .. before
while seen < 1000 do
    local ids = call('ZRANGE', index, top, '-', 'BYLEX', 'REV', 'LIMIT', 0, 100)
    for _, id in ipairs(ids) do
        local key = P .. 't:' .. id
        seen = seen + 1
        local h = call('HMGET', key, 'd', 'status', 'title', 'desc')
        if shows(h) then
            out[#out + 1] = call('HGETALL', key)
            read = read + #h[1] + #(h[4] or '')
            if #out == limit + 2 then
                out[2] = id
                return out
            end
        end
        if read > 1048576 then
            out[2] = id
            return out
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
