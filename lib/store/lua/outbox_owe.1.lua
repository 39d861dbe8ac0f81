#!lua
-- outbox_owe - something that is owed for a task apart from its ends, once under its name.
-- KEYS[1] the set of due records
-- ARGV    task, name, owner, kind, template, to, delay ms (0: now, also when it was owed later before)
-- Result  {'ok'}
local id, now = 'msg_' .. ARGV[1] .. '_0_' .. ARGV[2], now_ms()
local key = P .. 'ob:' .. id
local state = call('HGET', key, 'state')
if not state then
    call('HSET', key, 'id', id, 'kind', ARGV[4], 'task', ARGV[1], 'owner', ARGV[3], 'template', ARGV[5], 'attempts', 0, 'created', now,
        'state', 'pending', 'to', ARGV[6])
    call('ZADD', P .. 'ob', 0, id)
    call('ZADD', KEYS[1], now + ARGV[7], id)
elseif state == 'pending' and ARGV[7] == '0' and call('HGET', key, 'attempts') == '0' then
    call('ZADD', KEYS[1], now, id)
end
return {'ok'}
