#!lua flags=allow-oom
-- log_pack_next - the next stretch of an ended task's log that is to be packed: 4 MiB, and what its last chunk has beyond.
-- KEYS[1] the set of ended tasks whose log is not packed
-- ARGV    age ms
-- Result  {'ok', id, attempt, n, done (0|1), {id, fields}, …} | {'none'}
-- include fold.lua
-- include pack.lua
fold_all()
local id = call('ZRANGE', KEYS[1], '-inf', now_ms() - ARGV[1], 'BYSCORE', 'LIMIT', 0, 1)[1]
if not id then
    return {'none'}
end
local t = P .. 't:' .. id
local v, from = call('HMGET', t, 'attempt', 'n'), unpacked(t)
local out, bytes = {'ok', id, v[1] or '1', v[2] or '0', 0}, 0
while true do
    local got = call('XRANGE', t .. ':log', from, '+', 'COUNT', 50)
    for _, entry in ipairs(got) do
        out[#out + 1] = entry
        bytes = bytes + #entry[2][4]
        from = '(' .. entry[1]
        if bytes >= 4194304 then
            return out
        end
    end
    if #got < 50 then
        out[5] = 1
        return out
    end
end
