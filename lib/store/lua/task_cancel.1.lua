#!lua flags=allow-oom
-- task_cancel - end a task that nobody works on; flag one that somebody holds, and ring his bell.
-- KEYS[1] the task's hash
-- ARGV    id, states it may be in, prefix of runners' channels
-- Result  {'ok', the hash} | {'not_found'} | {'not_cancellable', status}
-- Moves   queued -> cancelled, running (waiting) -> cancelled
-- include hash.lua
-- include queue.lua
-- include state.lua
-- include task.lua
-- include end.lua
local id, now = ARGV[1], now_ms()
local h = load_task(id)
if not h then
    return {'not_found'}
end
if not has_word(ARGV[2], h.status) then
    return {'not_cancellable', h.status}
end
if h.slot ~= 'l' and h.slot ~= 'x' then
    finish(id, h, 'cancelled', nil, '-', now)
elseif h.cancel == '' then
    call('HSET', KEYS[1], 'cancel', now, 'updated', now)
    if hold(h).runner ~= '' then
        call('PUBLISH', ARGV[3] .. h.runner, 'cancel ' .. id)
    end
end
return commit({'ok', call('HGETALL', KEYS[1])})
