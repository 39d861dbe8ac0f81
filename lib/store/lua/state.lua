-- state.lua - the state of a task, and what is said of it. Needs queue.lua. Moves are in move.lua and end.lua. Scripts end by
-- `return commit(answer)`: what is kept in common with other tasks is written once a script, not once a task.
--
--   ev       stream of all changes: what they were (field e, a line each), then f with what ended, or m when a status changed
--            otherwise. Followed by fold.lua and GET /events.
--   t:<id>   the task. `d` is what it was created with: created, execute (0|1), owner, repository, priority, own time limit or '',
--            id, then names and values, NUL between all. Other members are younger and stand above it; without them the task is
--            queued, or running and in the backlog, in its first attempt. `lease`: see prelude.lua. `fin`: when it ended, and by which
--            epoch. `stage` counts while it runs.
local lines, ends, freed, undated, left, moved = {}, {}, {}, {}, nil, nil
local function tell()
    local most = 64 -- PJ_STATUS_LINES: the number of a line is part of its event's id
    for from = 1, #lines, most do
        local text = #lines == 1 and lines[1] or table.concat(lines, '\n', from, math.min(from + most - 1, #lines))
        local at
        if from == 1 and #ends > 0 then
            at = call('XADD', P .. 'ev', '*', 'e', text, moved and 'fm' or 'f', cmsgpack.pack(ends))
        elseif moved then
            at = call('XADD', P .. 'ev', '*', 'e', text, 'm', '')
        else
            at = call('XADD', P .. 'ev', '*', 'e', text)
        end
        call('PUBLISH', P .. 'c:ev', at .. '\n' .. text)
    end
    lines, ends, moved = {}, {}, nil
end
local function commit(answer)
    if #freed > 0 then
        call('ZREM', P .. 'lease', unpack(freed))
    end
    if #undated > 0 then
        call('ZREM', P .. 'deadline', unpack(undated))
    end
    if #lines > 0 then
        tell()
    end
    if left then
        leave(left)
    end
    return answer
end
