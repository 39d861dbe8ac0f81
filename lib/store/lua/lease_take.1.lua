#!lua
-- lease_take - lease the tasks of tickets at hand, then of tickets ready, and top the stream up. Tickets are acknowledged and deleted here:
-- from now on the lease says who has the task.
-- KEYS[1] the ready stream
-- ARGV    runner, ttl ms, timeout ms, want, slots, then pairs of ticket id and task id
-- Result  {'ok', now, {until, deadline, hash}, …}
-- Moves   running: waiting -> preparing
-- include queue.lua
-- include state.lua
local runner, ttl, timeout, want, slots = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local now, out, tickets, ids, leases = now_ms(), {'ok', 0}, {}, {}, {}
out[2] = string.format('%.0f', now)
for i = 6, #ARGV, 2 do
    tickets[#tickets + 1], ids[#ids + 1] = ARGV[i], ARGV[i + 1]
end
if #ids < want then
    local read = call('XREADGROUP', 'GROUP', 'r', runner, 'COUNT', want - #ids, 'STREAMS', KEYS[1], '>')
    for _, entry in ipairs(read and read[1][2] or {}) do
        tickets[#tickets + 1], ids[#ids + 1] = entry[1], entry[2][2]
    end
end
for _, id in ipairs(ids) do
    local h, t = load_task(id, 'lTimeout'), P .. 't:' .. id
    if h and h.status == 'running' and h.slot == 'r' then
        local started = h.started ~= '' and tonumber(h.started) or now
        local limit = tonumber(h.more) or timeout
        call('HSET', t, 'slot', 'l', 'stage', 'preparing', 'epoch', h.epoch + 1, 'deliveries', h.deliveries + 1, 'runner', runner,
            'started', started, 'updated', now, 'dTimeout', timeout, 'deadline', started + limit)
        if h.deliveries ~= '0' then
            call('ZREM', P .. 'deadline', id)
        end
        leases[#leases + 1], leases[#leases + 2] = now + ttl, id
        announce(id, h, 'running', 'preparing', now)
        out[#out + 1] = {string.format('%.0f', now + ttl), string.format('%.0f', started + limit), call('HGETALL', t)}
    end
end
if #leases > 0 then
    call('ZADD', P .. 'lease', unpack(leases))
end
if #tickets > 0 then
    call('XACK', KEYS[1], 'r', unpack(tickets))
    call('XDEL', KEYS[1], unpack(tickets))
end
local target = tonumber(call('HGET', P .. 'q', 'target') or '') or 0
if slots > target then
    call('HSET', P .. 'q', 'target', slots)
end
admit()
return out
