-- prelude.lua - stands before every script. P is the prefix of all keys of this slot, taken from the tag of KEYS[1].
local call = redis.call
local P = string.match(KEYS[1], '^pj:{[^}]*}:')
local function now_ms()
    local t = call('TIME')
    return t[1] * 1000 + math.floor(t[2] / 1000)
end
