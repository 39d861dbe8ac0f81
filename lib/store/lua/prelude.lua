-- prelude.lua - stands before every script. P is the prefix of all keys of this slot, taken from the tag of KEYS[1].
local call = redis.call
-- What a task was created with (state.lua): created, execute, owner, repository, priority, own time limit.
local GIVEN = '^(%d+)%z(%d)%z([^%z]*)%z([^%z]*)%z([^%z]*)%z([^%z]*)%z'
-- Its last lease: epoch, deliveries, since when, first start of the attempt, PJ_TASK_TIMEOUT then, deadline ('-': none), runner or ''.
local LEASE = '^(%d+) (%d+) (%d+) (%S+) (%S+) (%S+) (.*)$'
local P = string.match(KEYS[1], '^pj:{[^}]*}:')
local function now_us()
    local t = call('TIME')
    return t[1] * 1000000 + t[2]
end
local function now_ms()
    return math.floor(now_us() / 1000)
end
