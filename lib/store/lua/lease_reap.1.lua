#!lua flags=allow-oom
-- lease_reap - one bounded tick over what was left behind. Any number of reapers may run.
-- KEYS[1] the lease set
-- ARGV    ttl ms, deliveries allowed, most to handle, code, title, detail, remedy of runner_lost, the same of task_timeout
-- Result  {'ok', more (0|1), {task, kind, runner}, …}
-- Moves   running: any stage -> waiting; running -> failed | cancelled
-- include queue.lua
-- include backlog.lua
-- include state.lua
-- include task.lua
-- include move.lua
-- include end.lua
-- include note.lua
-- include requeue.lua
-- include audit.lua
-- include fold.lua
local ttl, limit, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local lost, late = {ARGV[4], ARGV[5], ARGV[6], ARGV[7]}, {ARGV[8], ARGV[9], ARGV[10], ARGV[11]}
local now, out = now_ms(), {'ok', 0}
local function add(id, kind, h)
    out[#out + 1] = {id, kind, h and hold(h).runner or ''}
    if #out == most + 2 then
        out[2] = 1
    end
    return out[2] == 1
end
local function time_out(id, h)
    if h.cancel ~= '' then
        finish(id, h, 'cancelled', nil, '-', now)
        return 'cancelled'
    end
    note(id, h, 'error', late[3], now)
    end_with(id, h, late[1], late[2], late[3], late[4], now)
    return 'timeout'
end
-- Past their deadline while they wait or a workflow has them. Those under a lease are judged when it ends.
for _, id in ipairs(call('ZRANGE', P .. 'deadline', '-inf', now, 'BYSCORE', 'LIMIT', 0, most)) do
    local h = load_task(id)
    if h and h.status == 'running' and h.slot ~= 'l' then
        if add(id, time_out(id, h), h) then
            return commit(out)
        end
    else
        call('ZREM', P .. 'deadline', id)
    end
end
-- A server that has just come up, or another one: downtime is nobody's fault, each lease gets one whole term.
local run_id = string.match(call('INFO', 'server'), 'run_id:(%x+)')
local q = call('HMGET', P .. 'q', 'run_id', 'patience')
if q[1] ~= run_id then
    call('HSET', P .. 'q', 'run_id', run_id, 'patience', now + ttl)
    return commit(out)
end
-- No term is longer than an hour (PJ_LEASE_TTL): what ends later is of a clock that has been put back since.
local patience, longest = tonumber(q[2] or '') or 0, now + 3600000
if now < patience and patience <= longest then
    return commit(out)
end
for _, id in ipairs(call('ZRANGE', KEYS[1], longest + 1, '+inf', 'BYSCORE', 'LIMIT', 0, most)) do
    call('ZADD', KEYS[1], 'XX', now + ttl, id)
end
for _, id in ipairs(call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, most)) do
    local h = load_task(id)
    if h and h.status == 'running' and h.slot == 'l' then
        local kind
        if hold(h).deadline and h.deadline <= now then
            kind = time_out(id, h)
        else
            note(id, h, 'warn', 'The runner ' .. h.runner .. ' was lost.', now)
            kind = requeue(id, h, true, limit, lost, now)
        end
        if add(id, kind, h) then
            return commit(out)
        end
    else
        call('ZREM', KEYS[1], id)
        if add(id, 'repaired', h) then
            return commit(out)
        end
    end
end
-- Bells that a runner heard and never answered.
local stream, deaf = P .. 'ready', {}
local heard = redis.pcall('XPENDING', stream, 'r', 'IDLE', ttl, '-', '+', most)
if heard.err then -- somebody took the stream away, and with it its group
    call('XGROUP', 'CREATE', stream, 'r', '0', 'MKSTREAM')
end
for _, entry in ipairs(heard) do
    deaf[#deaf + 1] = entry[1]
end
if #deaf > 0 then
    call('XACK', stream, 'r', unpack(deaf))
    call('XDEL', stream, unpack(deaf))
end
ring(1)
tell()
-- Indexes, sums, notifications, retention; then what is older than an hour and worked off.
if fold(500) >= 500 then
    out[2] = 1
    return commit(out)
end
local folded = tonumber(string.match(call('HGET', P .. 'q', 'folded') or '0', '^%d+'))
call('XTRIM', P .. 'ev', 'MINID', '~', string.format('%.0f', math.min(now - 3600000, folded)))
-- A slice of the running tasks: is each of them where it says it is?
local q2 = call('HMGET', P .. 'q', 'audit', 'recount')
local from = q2[1] or ''
local ids = call('ZRANGE', P .. 'tasks:s:running', from == '' and '-' or '(' .. from, '+', 'BYLEX', 'LIMIT', 0, 20)
call('HSET', P .. 'q', 'audit', #ids == 20 and ids[20] or '')
for _, id in ipairs(ids) do
    local h = load_task(id)
    if repair(id, h, now) and add(id, 'repaired', h) then
        return commit(out)
    end
end
if now - (tonumber(q2[2] or '') or 0) > 60000 then
    call('HSET', P .. 'q', 'recount', now)
    recount()
    forget_listeners(stream, 240 * ttl)
end
return commit(out)
