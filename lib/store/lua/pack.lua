-- pack.lua - where the part of a log that is not packed yet begins.
local function unpacked(t)
    local last = call('XREVRANGE', t .. ':pack', '+', '-', 'COUNT', 1)[1]
    if not last then
        return '-'
    end
    local attempt, n = string.match(last[1], '^(%d+)-(%d+)$')
    return string.format('%s-%.0f', attempt, n + last[2][2])
end
