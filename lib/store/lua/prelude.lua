-- prelude.lua - stands before every script. P is the prefix of all keys of this slot, taken from the tag of KEYS[1].
local call = redis.call
-- What a task was created with (state.lua): created, execute, owner, repository; and where its priority begins. Found by plain search:
-- a pattern would look at each byte with a table.
local function given(d)
    local find, sub = string.find, string.sub
    local created = find(d, '\0', 1, true)
    local owner = find(d, '\0', created + 3, true)
    local repo = find(d, '\0', owner + 1, true)
    return sub(d, 1, created - 1), sub(d, created + 1, created + 1), sub(d, created + 3, owner - 1), sub(d, owner + 1, repo - 1), repo + 1
end
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
