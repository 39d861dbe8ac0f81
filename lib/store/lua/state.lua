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
-- The end of a running task. `set`: further names and values for the hash. The caller has checked that it may. What follows from an end
-- (analytics, the owner's notification, retention, packing) stands in one entry of the stream `fin`, which ends.lua works off in batches.
local function finish(id, h, status, set, now)
    local t = P .. 't:' .. id
    local sums = call('HGETALL', t .. ':um')
    call('HSET', t, 'status', status, 'stage', '', 'slot', '', 'finished', now, 'updated', now, unpack(set))
    call('ZREM', P .. 'lease', id)
    if h.slot ~= 'l' then
        call('ZREM', P .. 'deadline', id)
    end
    index_status(id, h.status, status)
    call('XADD', P .. 'fin', '*', 'e', cmsgpack.pack({id, status, h.owner, h.epoch, h.started, h.executed, h.n, now, sums}))
    if #sums > 0 then
        call('DEL', t .. ':um')
    end
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
