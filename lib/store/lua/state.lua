-- state.lua - the state of a task: what is said of it, its log, its end. Needs queue.lua before it. Scripts end by
-- `return commit(answer)`: what is kept in common with other tasks is written once a script, not once a task.
--
--   ev       stream of all changes: what they were (field e, a line each), then f with what ended, or m when a status changed
--            otherwise. Followed by fold.lua and GET /events.
--   t:<id>   the task. `d` is what it was created with: created, execute (0|1), owner, repository, priority, own time limit or '',
--            id, then names and values, NUL between all. Other members are younger and stand above it; without them the task is
--            queued, or running and in the backlog, in its first attempt. `lease`: see prelude.lua. `fin`: when it ended, and by which
--            epoch. `stage` counts while it runs.
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
local lines, ends, freed, undated, left, moved = {}, {}, {}, {}, nil, nil
local NO_SUMS = {}
-- One change, told to everybody who watches. before: its status until now. h: owner repo attempt n.
local function announce(id, h, before, status, stage, now)
    lines[#lines + 1] = table.concat({id, h.owner, h.repo, before, status, stage == '' and '-' or stage, h.attempt, h.n,
        string.format('%.0f', now)}, ' ')
    moved = moved or before ~= status
end
local function tell()
    local most = 64 -- PJ_STATUS_LINES: the number of a line is part of its event's id
    for from = 1, #lines, most do
        local text = table.concat(lines, '\n', from, math.min(from + most - 1, #lines))
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
-- The inner fields of a task, or nil. Absent ones are ''; `more` is one further, of those that do not stand in `d`.
local function load_task(id, more)
    local v = call('HMGET', P .. 't:' .. id, 'd', 'status', 'slot', 'attempt', 'n', 'lease', 'executed', 'cancel', 'uTotal',
        more or 'mode')
    if not v[1] then
        return nil
    end
    local created, execute, owner, repo, priority, limit = given(v[1])
    local epoch, deliveries, _, started, default, deadline, runner = string.match(v[6] or '0 0 0 - - - ', LEASE)
    local at_once = execute == '1'
    return {status = v[2] or (at_once and 'running' or 'queued'), slot = v[3] or (at_once and 'b' or ''), owner = owner, repo = repo,
        priority = priority, limit = limit, attempt = v[4] or '1', n = v[5] or '0', epoch = epoch, started = started, default = default,
        executed = v[7] or (at_once and created or ''), deliveries = deliveries, runner = runner, cancel = v[8] or '',
        deadline = tonumber(deadline), tokens = tonumber(v[9] or '') or 0, called = v[9], more = v[10] or ''}
end
-- The text of `lease` when a task is held by nobody.
local function unleased(epoch, deliveries, now, started, default, deadline)
    return string.format('%.0f %.0f %.0f %s %s %s ', epoch, deliveries, now, started, default, deadline)
end
-- The end of a task. `set`: further names and values for the hash, or nil; `by`: the epoch of who ends it, '-': nobody's. The caller has
-- checked that it may. What follows from an end (analytics, the owner's notification, retention, packing) stands in the entry of `ev`,
-- which fold.lua works off in batches.
local function finish(id, h, status, set, by, now)
    local t, sums = P .. 't:' .. id, NO_SUMS
    if h.called then
        sums = call('HGETALL', t .. ':um')
        call('DEL', t .. ':um')
    end
    local at = string.format('%.0f', now)
    if set then
        local n = #set
        set[n + 1], set[n + 2], set[n + 3], set[n + 4], set[n + 5], set[n + 6] = 'status', status, 'slot', '', 'fin', at .. ' ' .. by
        call('HSET', t, unpack(set))
    else
        call('HSET', t, 'status', status, 'slot', '', 'fin', at .. ' ' .. by)
    end
    ends[#ends + 1] = {id, h.status, status, h.owner, h.epoch, h.started, h.executed, h.n, at, sums}
    lines[#lines + 1] = id .. ' ' .. h.owner .. ' ' .. h.repo .. ' ' .. h.status .. ' ' .. status .. ' - ' .. h.attempt .. ' ' .. h.n .. ' ' .. at
    if h.slot == 'b' then
        call('ZREM', P .. 'bk:' .. h.owner, id)
    elseif h.slot ~= '' then
        if h.slot == 'x' then
            call('SREM', P .. 'external', id)
        else
            freed[#freed + 1] = id
        end
        left = left or {}
        left[h.owner] = (left[h.owner] or 0) + 1
    end
    if h.slot ~= 'l' and h.deadline then
        undated[#undated + 1] = id
    end
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
