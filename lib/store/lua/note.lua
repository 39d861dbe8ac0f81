-- note.lua - what the system writes into a log.
local iso_ms, iso_text
local function iso(ms)
    if ms == iso_ms then
        return iso_text
    end
    local s, z = math.floor(ms / 1000), math.floor(ms / 86400000) + 719468
    local era = math.floor(z / 146097)
    local doe = z - era * 146097
    local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
    local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
    local mp = math.floor((5 * doy + 2) / 153)
    local m = mp < 10 and mp + 3 or mp - 9
    local y = yoe + era * 400 + (m <= 2 and 1 or 0)
    iso_ms, iso_text = ms, string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', y, m, doy - math.floor((153 * mp + 2) / 5) + 1,
        math.floor(s / 3600) % 24, math.floor(s / 60) % 60, s % 60, ms % 1000)
    return iso_text
end
-- An entry of the system at the end of the current attempt's log. `message` is ours: quotes and backslashes are escaped, it has no
-- control characters.
local function note(id, h, kind, message, now)
    local n = (tonumber(h.n) or 0) + 1
    local line = '{"id":"' .. h.attempt .. '-' .. n .. '","attempt":' .. h.attempt .. ',"n":' .. n .. ',"ts":"' .. iso(now)
        .. '","stream":"system","type":"' .. kind .. '","message":"' .. string.gsub(message, '["\\]', '\\%0') .. '"}\n'
    call('XADD', P .. 't:' .. id .. ':log', h.attempt .. '-' .. n, 'c', 1, 'l', line)
    call('HSET', P .. 't:' .. id, 'n', n)
    call('PUBLISH', P .. 'c:' .. id, 'L ' .. h.attempt .. ' ' .. n .. ' 1\n' .. line)
    h.n = tostring(n)
end
