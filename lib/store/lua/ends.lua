-- ends.lua - what follows from ends (stream `fin`, written by finish in state.lua), worked off in batches, each entry once: it is
-- deleted in the same script.
--
--   an:<hour>  sums that analytics shows (usage.h)         ob, ob:due, ob:<id>  notifications of owners (outbox.h)
--   ended      when each task ended: retention             hot                  ended tasks whose log is not packed
-- Where a duration falls: eight steps an octave.
local function bin(ms)
    return math.floor(math.log(math.max(ms, 0) + 1) / math.log(2) * 8)
end
local function fold_ends(most)
    local entries = call('XRANGE', P .. 'fin', '-', '+', 'COUNT', most)
    if #entries == 0 then
        return 0
    end
    local done, sums, ended, hot, ob, due = {}, {}, {}, {}, {}, {}
    local function count(hour, field, n)
        sums[hour] = sums[hour] or {}
        sums[hour][field] = (sums[hour][field] or 0) + n
    end
    for i, entry in ipairs(entries) do
        local id, status, owner, epoch, started, executed, n, at, um = unpack(cmsgpack.unpack(entry[2][2]))
        local hour = string.format('%.0f', at - at % 3600000)
        done[i] = entry[1]
        count(hour, 's:' .. status, 1)
        if started ~= '' then
            local took = math.max(at - started, 0)
            count(hour, 'd:' .. bin(took), 1)
            count(hour, 'ds', took)
            if executed ~= '' then
                count(hour, 'w:' .. bin(started - executed), 1)
            end
        end
        for k = 1, #um, 2 do
            count(hour, 'm:' .. um[k], um[k + 1])
        end
        -- The task may be running again, or gone: then its log is none of retention's business.
        if call('HGET', P .. 't:' .. id, 'finished') == string.format('%.0f', at) then
            ended[#ended + 1], ended[#ended + 2] = at, id
            if n ~= '0' then
                hot[#hot + 1], hot[#hot + 2] = at, id
            end
        end
        -- Cancelling tells nobody: the owner did it himself. Between two ends of a task its epoch has gone up.
        if status ~= 'cancelled' then
            local name = 'msg_' .. id .. '_' .. epoch
            call('HSET', P .. 'ob:' .. name, 'id', name, 'kind', 'mail', 'task', id, 'owner', owner, 'template', status, 'created', at)
            ob[#ob + 1], ob[#ob + 2] = 0, name
            due[#due + 1], due[#due + 2] = at, name
        end
    end
    for hour, fields in pairs(sums) do
        call('ZADD', P .. 'an', hour, hour)
        for field, n in pairs(fields) do
            call('HINCRBY', P .. 'an:' .. hour, field, string.format('%.0f', n))
        end
    end
    for key, list in pairs({ended = ended, hot = hot, ob = ob, ['ob:due'] = due}) do
        if #list > 0 then
            call('ZADD', P .. key, unpack(list))
        end
    end
    call('XDEL', P .. 'fin', unpack(done))
    return #entries
end
-- All there is; a reader wants the whole.
local function fold_all()
    while fold_ends(500) == 500 do
    end
end
