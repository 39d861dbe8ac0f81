#!lua
-- task_execute - put a queued task into the queue.
-- KEYS[1] the task's hash
-- ARGV    id, states it may be in, executor or ''
-- Result  {'ok', the hash} | {'not_found'} | {'not_queued', status}
-- Moves   queued -> running
-- include hash.lua
-- include queue.lua
-- include backlog.lua
-- include state.lua
-- include task.lua
-- include move.lua
local id, now = ARGV[1], now_ms()
local h = load_task(id)
if not h then
    return {'not_found'}
end
if not has_word(ARGV[2], h.status) then
    return {'not_queued', h.status}
end
call('HSET', KEYS[1], 'status', 'running', 'stage', 'waiting', 'slot', 'b', 'executed', now, 'updated', now)
if ARGV[3] ~= '' then
    call('HSET', KEYS[1], 'executor', ARGV[3])
end
announce(id, h, h.status, 'running', 'waiting', now)
enqueue_one(id, h.owner, priority_of(h))
return commit({'ok', call('HGETALL', KEYS[1])})
