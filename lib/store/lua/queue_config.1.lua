#!lua
-- queue_config - PJ_USER_MAX_RUNNING for admission. Users who waited for a lower cap join at once.
-- KEYS[1] pj:{p}:q
-- ARGV    cap, 0: none
-- Result  {'ok'}
-- include queue.lua
call('HSET', KEYS[1], 'cap', ARGV[1])
local _, cap, v = q_config()
for _, user in ipairs(call('HKEYS', P .. 'run')) do
    join(user, cap, v)
end
admit()
return {'ok'}
