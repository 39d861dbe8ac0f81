#!lua
-- log_append - a chunk of numbered entries, stored and published once. Its place is its id: <attempt>-<first n>.
-- KEYS[1] the task's hash
-- ARGV    id, epoch or -1, attempt, first, count, lines
-- Result  {'ok', next n} | {'resend', next n} | {'not_found'} | {'stale_lease'} | {'stale_attempt'} | {'not_running'}
local v = call('HMGET', KEYS[1], 'status', 'slot', 'lease', 'attempt', 'n', 'd')
if not v[6] then
    return {'not_found'}
end
if not v[1] then -- it has not changed since it was created
    local _, execute = given(v[6])
    v[1] = execute == '1' and 'running' or 'queued'
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
if first + count - 1 <= n then
    return {'ok', n + 1}
end
if first ~= n + 1 then
    return {'resend', n + 1}
end
call('XADD', KEYS[1] .. ':log', ARGV[3] .. '-' .. ARGV[4], 'c', ARGV[5], 'l', ARGV[6])
call('HSET', KEYS[1], 'n', n + count)
call('PUBLISH', P .. 'c:' .. ARGV[1], 'L ' .. ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. ARGV[5] .. '\n' .. ARGV[6])
return {'ok', n + count + 1}
