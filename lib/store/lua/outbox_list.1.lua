#!lua flags=allow-oom
-- outbox_list - records, newest first, or those of one task.
-- KEYS[1] the set of records
-- ARGV    task or '', before or '', limit
-- Result  {'ok', cursor or '', hash, …}
-- include fold.lua
-- include outbox.lua
fold_all()
local ids
if ARGV[1] ~= '' then
    ids = call('ZRANGE', KEYS[1], '[msg_' .. ARGV[1] .. '_', '(msg_' .. ARGV[1] .. '`', 'BYLEX')
else
    ids = call('ZRANGE', KEYS[1], ARGV[2] == '' and '+' or '(' .. ARGV[2], '-', 'BYLEX', 'REV', 'LIMIT', 0, ARGV[3])
end
local out = {'ok', ARGV[1] == '' and #ids == tonumber(ARGV[3]) and ids[#ids] or ''}
for _, id in ipairs(ids) do
    out[#out + 1] = record(id)
end
return out
