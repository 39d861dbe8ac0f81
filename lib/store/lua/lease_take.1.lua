#!lua
-- lease_take - lease the next tasks in fair order, answer the bells that were heard, and ring for whoever still waits.
-- KEYS[1] the ready stream
-- ARGV    runner, ttl ms, timeout ms, want, then ids of bells
-- Result  {'ok', now, {until, deadline, hash}, …}
-- Moves   running: waiting -> preparing
-- include queue.lua
-- include state.lua
local runner, ttl, timeout, want = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_ms()
local at, until_ms, leases = string.format('%.0f', now), string.format('%.0f', now + ttl), {}
local out = {'ok', at}
local function lease(id)
    local t = P .. 't:' .. id
    local hash, m = call('HGETALL', t), {}
    for i = 1, #hash, 2 do
        m[hash[i]] = hash[i + 1]
    end
    if not m.d then
        return false
    end
    local _, execute, owner, repo, _, limit = given(m.d)
    if (m.status or (execute == '1' and 'running')) ~= 'running' or (m.slot or 'b') ~= 'b' then
        return false
    end
    local epoch, deliveries, started, deadline = 0, 0, at, '-'
    if m.lease then
        epoch, deliveries, _, started, _, deadline = string.match(m.lease, LEASE)
        started = started == '-' and at or started
    end
    local ends_at = string.format('%.0f', started + (tonumber(m.lTimeout or limit) or timeout))
    local lease = string.format('%d %d %s %s %s %s %s', epoch + 1, deliveries + 1, at, started, ARGV[3], ends_at, runner)
    call('HSET', t, 'slot', 'l', 'stage', 'preparing', 'lease', lease)
    if deadline ~= '-' then
        undated[#undated + 1] = id
    end
    leases[#leases + 1], leases[#leases + 2] = until_ms, id
    lines[#lines + 1] = id .. ' ' .. owner .. ' ' .. repo .. ' running running preparing ' .. (m.attempt or '1') .. ' ' .. (m.n or '0')
        .. ' ' .. at
    local n = #hash -- younger members stand behind
    hash[n + 1], hash[n + 2], hash[n + 3], hash[n + 4], hash[n + 5], hash[n + 6] = 'slot', 'l', 'stage', 'preparing', 'lease', lease
    out[#out + 1] = {until_ms, ends_at, hash}
    return true
end
-- A name in the backlog that no task answers to does not take anybody's place.
local look = ARGV[5] ~= nil
while #out - 2 < want do
    local picked, some_left = pick(want - #out + 2)
    look = look or some_left
    for _, one in ipairs(picked) do
        if not lease(one[1]) then
            left = left or {}
            left[one[2]] = (left[one[2]] or 0) + 1
        end
    end
    if #picked == 0 then
        break
    end
end
if #leases > 0 then
    call('ZADD', P .. 'lease', unpack(leases))
end
if ARGV[5] then
    call('XACK', KEYS[1], 'r', unpack(ARGV, 5))
    call('XDEL', KEYS[1], unpack(ARGV, 5))
end
-- While nobody left the order and no bell was heard, the bells are as they should be. Bells for nobody would wake runners for nothing.
if look or #out - 2 < want then
    if call('EXISTS', P .. 'vt') == 1 then
        ring(2)
    elseif call('XLEN', KEYS[1]) > 0 then
        call('XTRIM', KEYS[1], 'MAXLEN', 0)
    end
end
return commit(out)
