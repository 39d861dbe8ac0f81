#!lua flags=no-writes
-- queue_depth - how many wait and run. A running task is leased, external, or waits.
-- KEYS[1] the ready stream
-- Result  {'ok', waiting, leased, external, age of the longest waiting in ms}
local now, leased = now_ms(), call('ZCARD', P .. 'lease')
local external = call('SCARD', P .. 'external')
local waiting = math.max(call('ZCARD', P .. 'tasks:s:running') - leased - external, 0)
local oldest = 0
for _, id in ipairs(waiting > 0 and call('ZRANGE', P .. 'tasks:s:running', 0, 199) or {}) do
    local v = call('HMGET', P .. 't:' .. id, 'stage', 'executed')
    if v[1] == 'waiting' and v[2] and v[2] ~= '' then
        oldest = math.max(oldest, now - v[2])
    end
end
return {'ok', waiting, leased, external, oldest}
