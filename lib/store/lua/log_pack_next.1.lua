#!lua flags=allow-oom
-- log_pack_next - the next stretch of an ended task's log that is to be packed: at most 4 MiB.
-- KEYS[1] the set of ended tasks whose log is not packed
-- ARGV    ended before ms
-- Result  {'ok', id, attempt, n, done (0|1), {id, fields}, …} | {'none'}
-- include fold.lua
fold_all()
local id = call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, 1)[1]
if not id then
    return {'none'}
end
local t, from = P .. 't:' .. id, '-'
local v, last = call('HMGET', t, 'attempt', 'n'), call('XREVRANGE', t .. ':pack', '+', '-', 'COUNT', 1)[1]
if last then
    local attempt, n = string.match(last[1], '^(%d+)-(%d+)$')
    from = attempt .. '-' .. (n + last[2][2])
end
local out, bytes = {'ok', id, v[1] or '1', v[2] or '0', 0}, 0
while bytes < 4194304 do
    local got = call('XRANGE', t .. ':log', from, '+', 'COUNT', 50)
    for _, entry in ipairs(got) do
        out[#out + 1] = entry
        bytes = bytes + #entry[2][4]
        from = '(' .. entry[1]
    end
    if #got < 50 then
        out[5] = 1
        return out
    end
end
return out
