#!lua
-- lease_take - lease the tasks of tickets at hand, then of tickets ready, then straight from the backlogs, and top the stream up. Tickets
-- are acknowledged and deleted here: from now on the lease says who has the task.
-- KEYS[1] the ready stream
-- ARGV    runner, ttl ms, timeout ms, want, then pairs of ticket id and task id
-- Result  {'ok', now, {until, deadline, hash}, …}
-- Moves   running: waiting -> preparing
-- include queue.lua
-- include state.lua
local runner, ttl, timeout, want = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now, out, tickets, ids, leases = now_ms(), {'ok', 0}, {}, {}, {}
out[2] = string.format('%.0f', now)
for i = 5, #ARGV, 2 do
    tickets[#tickets + 1], ids[#ids + 1] = ARGV[i], ARGV[i + 1]
end
if #ids < want then
    local read = call('XREADGROUP', 'GROUP', 'r', runner, 'COUNT', want - #ids, 'STREAMS', KEYS[1], '>')
    for _, entry in ipairs(read and read[1][2] or {}) do
        tickets[#tickets + 1], ids[#ids + 1] = entry[1], entry[2][2]
    end
end
local function lease(id, slot)
    local h, t = load_task(id, 'lTimeout'), P .. 't:' .. id
    if h and h.status == 'running' and h.slot == slot then
        local started = h.started ~= '' and tonumber(h.started) or now
        local limit = tonumber(h.more) or timeout
        call('HSET', t, 'slot', 'l', 'stage', 'preparing', 'epoch', h.epoch + 1, 'deliveries', h.deliveries + 1, 'runner', runner,
            'started', started, 'updated', now, 'dTimeout', timeout, 'deadline', started + limit)
        if h.deadline then
            call('ZREM', P .. 'deadline', id)
        end
        leases[#leases + 1], leases[#leases + 2] = now + ttl, id
        announce(id, h, 'running', 'preparing', now)
        out[#out + 1] = {string.format('%.0f', now + ttl), string.format('%.0f', started + limit), call('HGETALL', t)}
        return true
    end
    return false
end
for _, id in ipairs(ids) do
    lease(id, 'r')
end
local target, cap, v = q_config()
local at
while #out - 2 < want do
    local id, time, user = pick(cap)
    if not id then
        break
    end
    if not lease(id, 'b') then
        call('HINCRBY', P .. 'run', user, -1) -- a name in the backlog that no task answers to
    end
    at = time
end
if #leases > 0 then
    call('ZADD', P .. 'lease', unpack(leases))
end
if #tickets > 0 then
    call('XACK', KEYS[1], 'r', unpack(tickets))
    call('XDEL', KEYS[1], unpack(tickets))
end
if at and at > v then
    call('HSET', P .. 'q', 'v', at)
end
admit()
return out
