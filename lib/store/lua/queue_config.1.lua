#!lua flags=allow-oom
-- queue_config - PJ_USER_MAX_RUNNING for admission. Users who waited for a lower cap join at once; without a cap nobody is counted.
-- KEYS[1] pj:{p}:q
-- ARGV    cap, 0: none
-- Result  {'ok'}
-- include queue.lua
local before = tonumber(call('HGET', KEYS[1], 'cap') or '') or 0
local cap = tonumber(ARGV[1])
call('HSET', KEYS[1], 'cap', ARGV[1])
local counts, users, seen = {}, {}, {}
if before == 0 and cap > 0 then
    call('DEL', P .. 'run')
    for _, list in ipairs({call('ZRANGE', P .. 'lease', 0, -1), call('SMEMBERS', P .. 'external')}) do
        for _, id in ipairs(list) do
            local owner = string.match(call('HGET', P .. 't:' .. id, 'd') or '', '^%d+%z%d%z([^%z]*)%z')
            if owner then
                counts[owner] = (counts[owner] or 0) + 1
            end
        end
    end
    for user, n in pairs(counts) do
        call('HSET', P .. 'run', user, n)
    end
end
for _, key in ipairs({'run', 'uv'}) do
    for _, user in ipairs(call('HKEYS', P .. key)) do
        if not seen[user] then
            seen[user], users[#users + 1] = true, user
        end
    end
end
for from = 1, #users, 1000 do
    join({unpack(users, from, math.min(from + 999, #users))})
end
if cap == 0 then
    call('DEL', P .. 'run')
end
ring(1)
return {'ok'}
