#!lua
-- lease_take - lease the next tasks in fair order, answer the bells that were heard, and ring for whoever still waits.
-- KEYS[1] the ready stream
-- ARGV    runner, ttl ms, timeout ms, want, then ids of bells
-- Result  {'ok', now, until, then for each: what it was created with (`d` of state.lua) when nothing else is known of it, or else its
--         hash; its lease}
-- Moves   running: waiting -> preparing
-- include queue.lua
-- include pick.lua
-- include state.lua
local runner, ttl, timeout, want = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_ms()
local at, until_ms, leases = string.format('%d', now), string.format('%d', now + ttl), {}
local out, had, never, find, sub = {'ok', at, until_ms}, 0, {}, string.find, string.sub
-- No epoch is handed out twice, though Redis may have forgotten a lease with its last second: it is not below the time.
local function lease_text(epoch, deliveries, started, limit)
    return string.format('%d %d %s %s %s %d %s', epoch, deliveries, at, started, ARGV[3], started + (tonumber(limit) or timeout), runner)
end
-- The first lease of a task: the same for all that have the same time limit.
local function first_lease(limit)
    never[limit] = never[limit] or lease_text(now, 1, at, limit)
    return never[limit]
end
local ONLY_GIVEN = {}
local function lease(id, owner)
    local t = P .. 't:' .. id
    local hash, m, d = nil, ONLY_GIVEN, nil
    local n = call('HLEN', t) -- mostly one, and that is cheaper than the whole
    if n == 1 then
        d = call('HGET', t, 'd')
    else
        hash, m = call('HGETALL', t), {}
        n = #hash
        for i = 1, n, 2 do
            m[hash[i]] = hash[i + 1]
        end
        d = m.d
    end
    if not d then
        return false
    end
    -- As given() does, whose owner is known.
    local created = find(d, '\0', 1, true)
    if (m.status or (sub(d, created + 1, created + 1) == '1' and 'running')) ~= 'running' or (m.slot or 'b') ~= 'b' then
        return false
    end
    local repo_end = find(d, '\0', created + #owner + 4, true)
    local limit, text = find(d, '\0', repo_end + 1, true) + 1, nil
    limit = m.lTimeout or sub(d, limit, find(d, '\0', limit, true) - 1)
    if m.lease then
        local epoch, deliveries, _, started, _, deadline = string.match(m.lease, LEASE)
        text = lease_text(math.max(epoch + 1, now), deliveries + 1, started == '-' and at or started, limit)
        if deadline ~= '-' then
            undated[#undated + 1] = id
        end
    else
        text = first_lease(limit)
    end
    call('HSET', t, 'slot', 'l', 'stage', 'preparing', 'lease', text)
    leases[2 * had + 1], leases[2 * had + 2] = until_ms, id
    lines[had + 1] = id .. ' ' .. owner .. ' ' .. sub(d, created + #owner + 4, repo_end - 1) .. ' running running preparing '
        .. (m.attempt or '1') .. ' ' .. (m.n or '0') .. ' ' .. at
    if hash then -- younger members stand behind
        hash[n + 1], hash[n + 2], hash[n + 3], hash[n + 4], hash[n + 5], hash[n + 6] = 'slot', 'l', 'stage', 'preparing', 'lease', text
        d = hash
    end
    had = had + 1
    out[2 * had + 2], out[2 * had + 3] = d, text
    return true
end
-- A name in the backlog that no task answers to does not take anybody's place.
local look = ARGV[5] ~= nil
while had < want do
    local tasks, users, some_left = pick(want - had)
    look = look or some_left
    for i, id in ipairs(tasks) do
        if not lease(id, users[i]) then
            left = left or {}
            left[users[i]] = (left[users[i]] or 0) + 1
        end
    end
    if #tasks == 0 then
        break
    end
end
if had > 0 then
    call('ZADD', P .. 'lease', unpack(leases))
end
if ARGV[5] then
    call('XACK', KEYS[1], 'r', unpack(ARGV, 5))
    call('XDEL', KEYS[1], unpack(ARGV, 5))
end
-- While nobody left the order and no bell was heard, the bells are as they should be. Bells for nobody would wake runners for nothing.
if look or had < want then
    if call('EXISTS', P .. 'vt') == 1 then
        ring(2)
    elseif call('XLEN', KEYS[1]) > 0 then
        call('XTRIM', KEYS[1], 'MAXLEN', 0)
    end
end
return commit(out)
