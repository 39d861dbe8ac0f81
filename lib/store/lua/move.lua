-- move.lua - moves that are no end. Needs state.lua.
-- One change, told to everybody who watches. before: its status until now. h: owner repo attempt n.
local function announce(id, h, before, status, stage, now)
    lines[#lines + 1] = table.concat({id, h.owner, h.repo, before, status, stage == '' and '-' or stage, h.attempt, h.n,
        string.format('%.0f', now)}, ' ')
    moved = moved or before ~= status
end
-- The text of `lease` when a task is held by nobody.
local function unleased(epoch, deliveries, now, started, default, deadline)
    return string.format('%.0f %.0f %.0f %s %s %s ', epoch, deliveries, now, started, default, deadline)
end
