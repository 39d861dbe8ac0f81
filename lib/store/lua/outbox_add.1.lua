#!lua
-- outbox_add - one more way to tell of the same end, once.
-- KEYS[1] the set of due records
-- ARGV    id of the end's record, suffix, kind, to
-- Result  {'ok'} | {'not_found'}
-- include hash.lua
-- include fold.lua
-- include outbox.lua
fold_all()
local v, id, now = pairs_of(record(ARGV[1])), ARGV[1] .. '_' .. ARGV[2], now_ms()
if not v.task then
    return {'not_found'}
end
local key = P .. 'ob:' .. id
if call('EXISTS', key) == 0 then
    call('HSET', key, 'id', id, 'kind', ARGV[3], 'task', v.task, 'owner', v.owner, 'template', v.template, 'attempts', 0, 'created', now, 'state',
        'pending', 'to', ARGV[4])
    call('ZADD', P .. 'ob', 0, id)
    call('ZADD', KEYS[1], now, id)
end
return {'ok'}
