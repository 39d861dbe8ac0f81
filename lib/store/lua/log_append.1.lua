#!lua
-- log_append - a chunk of numbered entries, stored and published once. Its place is its id: <attempt>-<first n>.
-- KEYS[1] the task's hash
-- ARGV    id, epoch or -1, attempt, first, count, lines
-- Result  next n | {'resend', next n} | {'not_found'} | {'stale_lease'} | {'stale_attempt'} | {'not_running'}
--         | {'log_full', 1 for the first time | 0}
local v = call('HMGET', KEYS[1], 'status', 'slot', 'lease', 'attempt', 'n')
if not v[1] then
    if v[2] == 'l' or v[2] == 'x' then -- who holds a task that says nothing else has the one that was created running
        v[1] = 'running'
    else
        local d = call('HGET', KEYS[1], 'd')
        if not d then
            return {'not_found'}
        end
        local _, execute = given(d)
        v[1] = execute == '1' and 'running' or 'queued'
    end
end
v[4] = v[4] or '1'
if v[4] ~= ARGV[3] then
    return {'stale_attempt', v[4]}
end
if ARGV[2] == '-1' then
    if v[1] ~= 'running' then
        return {'not_running', v[1]}
    end
elseif v[1] ~= 'running' or string.match(v[3] or '', '^%d+') ~= ARGV[2] or (v[2] ~= 'l' and v[2] ~= 'x') then
    return {'stale_lease', v[1]}
end
local n, first, count = tonumber(v[5] or 0), tonumber(ARGV[4]), tonumber(ARGV[5])
local place = ARGV[3] .. '-' .. ARGV[4]
if first + count - 1 <= n then
    if ARGV[2] ~= '-1' then
        return n + 1 -- who holds the lease numbers alone: it was stored before
    end
    local there = call('XRANGE', KEYS[1] .. ':log', place, place)[1]
    if there and there[2][4] == ARGV[6] then
        return n + 1
    end
    return {'resend', n + 1} -- another had these numbers first
end
if first ~= n + 1 then
    return {'resend', n + 1}
end
-- Who holds the lease counts what he stores; webhooks of an attempt together may send twice as much as a job may.
if ARGV[2] == '-1' then
    local most, sent = 134217728, call('HINCRBY', KEYS[1], 'sent:' .. ARGV[3], #ARGV[6])
    if sent > most then
        return {'log_full', sent - #ARGV[6] <= most and 1 or 0}
    end
end
call('XADD', KEYS[1] .. ':log', place, 'c', ARGV[5], 'l', ARGV[6])
call('HSET', KEYS[1], 'n', n + count)
call('PUBLISH', P .. 'c:' .. ARGV[1], 'L ' .. ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. ARGV[5] .. '\n' .. ARGV[6])
return n + count + 1
