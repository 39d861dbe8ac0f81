-- task.lua - a task as scripts see it.
-- The inner fields of a task, or nil. Absent ones are '', `tokens` false; `more` is one further, of those that do not stand in `d`.
local function load_task(id, more)
    local v = call('HMGET', P .. 't:' .. id, 'd', 'status', 'slot', 'attempt', 'n', 'lease', 'executed', 'cancel', 'uTotal',
        more or 'mode')
    if not v[1] then
        return nil
    end
    local find, sub, epoch, started = string.find, string.sub, '0', '-'
    local created, execute, owner, repo = given(v[1])
    if v[6] then -- what each end looks at; hold() tells the rest
        local epoch_end = find(v[6], ' ', 1, true)
        local since = find(v[6], ' ', find(v[6], ' ', epoch_end + 1, true) + 1, true)
        epoch, started = sub(v[6], 1, epoch_end - 1), sub(v[6], since + 1, find(v[6], ' ', since + 1, true) - 1)
    end
    local at_once = execute == '1'
    return {status = v[2] or (at_once and 'running' or 'queued'), slot = v[3] or (at_once and 'b' or ''), owner = owner, repo = repo,
        d = v[1], attempt = v[4] or '1', n = v[5] or '0', lease = v[6] or '0 0 0 - - - ', epoch = epoch, started = started,
        executed = v[7] or (at_once and created or ''), cancel = v[8] or '', tokens = v[9], more = v[10] or ''}
end
-- How its runner holds it, or held it last: deliveries, default, deadline or nil, runner or ''.
local function hold(h)
    if not h.runner then
        local _, deliveries, _, _, default, deadline, runner = string.match(h.lease, LEASE)
        h.deliveries, h.default, h.deadline, h.runner = deliveries, default, tonumber(deadline), runner
    end
    return h
end
local function priority_of(h)
    local _, _, _, _, from = given(h.d)
    return string.sub(h.d, from, string.find(h.d, '\0', from, true) - 1)
end
