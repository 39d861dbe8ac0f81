#!lua flags=allow-oom
-- log_pack_put - add a packed stretch; the last one takes the place of the log. Nothing happens when the task has gone on, or when
-- somebody else has packed the stretch.
-- KEYS[1] the set of ended tasks whose log is not packed
-- ARGV    id, attempt, n, done (0|1; 2: the log cannot be read, and is left as it is), then for each entry: id, lines, packed text, size of the text
-- Result  {'ok'}
-- include pack.lua
local id = ARGV[1]
local t = P .. 't:' .. id
local v = call('HMGET', t, 'attempt', 'n')
if not call('ZSCORE', KEYS[1], id) or (v[1] or '1') ~= ARGV[2] or (v[2] or '0') ~= ARGV[3] then
    return {'ok'}
end
if ARGV[4] == '2' then
    call('DEL', t .. ':pack')
    call('ZREM', KEYS[1], id)
    return {'ok'}
end
local first = call('XRANGE', t .. ':log', unpacked(t), '+', 'COUNT', 1)[1]
if (first and first[1]) ~= ARGV[5] then
    return {'ok'}
end
for i = 5, #ARGV, 4 do
    call('XADD', t .. ':pack', ARGV[i], 'c', ARGV[i + 1], 'z', ARGV[i + 2], 'r', ARGV[i + 3])
end
if ARGV[4] == '1' then
    if call('EXISTS', t .. ':pack') == 1 then
        call('RENAME', t .. ':pack', t .. ':log')
    end
    call('ZREM', KEYS[1], id)
end
return {'ok'}
