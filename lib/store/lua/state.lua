-- state.lua - the state of a task: indexes, channels, the end. Needs queue.lua before it.
local function iso(ms)
    local s, z = math.floor(ms / 1000), math.floor(ms / 86400000) + 719468
    local era = math.floor(z / 146097)
    local doe = z - era * 146097
    local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
    local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
    local mp = math.floor((5 * doy + 2) / 153)
    local m = mp < 10 and mp + 3 or mp - 9
    local y = yoe + era * 400 + (m <= 2 and 1 or 0)
    return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', y, m, doy - math.floor((153 * mp + 2) / 5) + 1,
        math.floor(s / 3600) % 24, math.floor(s / 60) % 60, s % 60, ms % 1000)
end
-- One event in the stream of all changes, one message on its channel, one on the task's. h: owner repo attempt n.
local function announce(id, h, status, stage, now)
    local json = '{"id":"' .. id .. '","status":"' .. status .. '","stage":' .. (stage == '' and 'null' or '"' .. stage .. '"')
        .. ',"attempt":' .. h.attempt .. ',"updatedAt":"' .. iso(now) .. '"}'
    local ev = call('XADD', P .. 'ev', '*', 'o', h.owner, 'r', h.repo, 'j', json)
    call('PUBLISH', P .. 'c:ev', ev .. ' ' .. h.owner .. ' ' .. h.repo .. '\n' .. json)
    call('PUBLISH', P .. 'c:' .. id, 'S ' .. status .. ' ' .. h.attempt .. ' ' .. h.n .. '\n' .. json)
end
-- The inner fields of a task, or nil. Absent ones are '', `more` is one further.
local function load_task(id, more)
    local v = call('HMGET', P .. 't:' .. id, 'status', 'slot', 'owner', 'repo', 'attempt', 'n', 'epoch', 'started', 'executed',
        'priority', 'deliveries', 'runner', 'cancel', 'deadline', more or 'mode')
    if not v[1] then
        return nil
    end
    return {status = v[1], slot = v[2] or '', owner = v[3], repo = v[4], attempt = v[5], n = v[6] or '0', epoch = v[7] or '0',
        started = v[8] or '', executed = v[9] or '', priority = v[10] or 'normal', deliveries = v[11] or '0', runner = v[12] or '',
        cancel = v[13] or '', deadline = tonumber(v[14] or ''), more = v[15] or ''}
end
local function index_status(id, from, to)
    call('ZREM', P .. 'tasks:s:' .. from, id)
    call('ZADD', P .. 'tasks:s:' .. to, 0, id)
end
-- Where a duration falls: eight steps an octave.
local function bin(ms)
    return math.floor(math.log(math.max(ms, 0) + 1) / math.log(2) * 8)
end
-- The sums of the hour: what analytics shows (usage.h). Model sums are those of this attempt since the last end.
local function count_end(id, h, status, now)
    local hour = string.format('%.0f', now - now % 3600000)
    local key, t = P .. 'an:' .. hour, P .. 't:' .. id
    if call('HINCRBY', key, 's:' .. status, 1) == 1 then
        call('ZADD', P .. 'an', hour, hour)
    end
    if h.started ~= '' then
        local took = math.max(now - h.started, 0)
        call('HINCRBY', key, 'd:' .. bin(took), 1)
        call('HINCRBY', key, 'ds', string.format('%.0f', took))
        if h.executed ~= '' then
            call('HINCRBY', key, 'w:' .. bin(h.started - h.executed), 1)
        end
    end
    local sums = call('HGETALL', t .. ':um')
    for i = 1, #sums, 2 do
        call('HINCRBY', key, 'm:' .. sums[i], sums[i + 1])
    end
    if #sums > 0 then
        call('DEL', t .. ':um')
    end
end
-- One record for the owner (outbox.h). Cancelling tells nobody: he did it himself.
local function owe(id, h, status, now)
    if status == 'cancelled' then
        return
    end
    local ob = 'msg_' .. id .. '_' .. h.epoch -- between two ends the epoch has gone up
    call('HSET', P .. 'ob:' .. ob, 'id', ob, 'kind', 'mail', 'task', id, 'owner', h.owner, 'template', status,
        'created', now)
    call('ZADD', P .. 'ob', 0, ob)
    call('ZADD', P .. 'ob:due', now, ob)
end
-- The end of a running task. `set`: further names and values for the hash. The caller has checked that it may.
local function finish(id, h, status, set, now)
    local t = P .. 't:' .. id
    call('HSET', t, 'status', status, 'stage', '', 'slot', '', 'finished', now, 'updated', now, unpack(set))
    call('ZREM', P .. 'lease', id)
    if h.slot ~= 'l' then
        call('ZREM', P .. 'deadline', id)
    end
    index_status(id, h.status, status)
    call('ZADD', P .. 'ended', now, id)
    if h.n ~= '0' then
        call('ZADD', P .. 'hot', now, id) -- its log is not packed yet
    end
    count_end(id, h, status, now)
    owe(id, h, status, now)
    announce(id, h, status, '', now)
    if h.slot == 'b' then
        call('ZREM', P .. 'bk:' .. h.owner, id)
    elseif h.slot ~= '' then
        if h.slot == 'x' then
            call('SREM', P .. 'external', id)
        end
        leave(h.owner)
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
