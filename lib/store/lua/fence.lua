-- fence.lua - may this writer write? Needs state.lua. epoch -1: whoever holds the task, named by its attempt (0: any).
-- Returns nothing when it may, else the answer.
local function fence(h, epoch, attempt)
    if not h then
        return {'not_found'}
    end
    if epoch == '-1' then
        if attempt ~= '0' and h.attempt ~= attempt then
            return {'stale_attempt', h.attempt}
        end
        if h.status ~= 'running' then
            return {'not_running', h.status}
        end
    elseif h.status ~= 'running' or h.epoch ~= epoch or (h.slot ~= 'l' and h.slot ~= 'x') then
        return {'stale_lease', h.status}
    end
end
