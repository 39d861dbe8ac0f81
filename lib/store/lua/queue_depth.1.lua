#!lua flags=allow-oom
-- queue_depth - how many wait and run. A running task is leased, external, or waits.
-- KEYS[1] the ready stream
-- Result  {'ok', waiting, leased, external, age of the longest waiting in ms}
-- include task.lua
-- include fold.lua
fold_all()
local now, leased = now_ms(), call('ZCARD', P .. 'lease')
local external = call('SCARD', P .. 'external')
local waiting = math.max(call('ZCARD', P .. 'tasks:s:running') - leased - external, 0)
-- Of a few users whose turn comes, the first of each.
local oldest = 0
for _, user in ipairs(waiting > 0 and call('ZRANGE', P .. 'vt', 0, 99) or {}) do
    local id = call('ZRANGE', P .. 'bk:' .. user, 0, 0)[1]
    local h = id and load_task(id)
    if h and h.executed ~= '' then
        oldest = math.max(oldest, now - h.executed)
    end
end
return {'ok', waiting, leased, external, oldest}
