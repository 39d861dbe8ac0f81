-- task.lua - a task as scripts see it.
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
