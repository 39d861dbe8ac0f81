#!lua
-- task_edit - change what a user may change while the task is queued.
-- KEYS[1] the task's hash
-- ARGV    id, states it may be in, then names and values of the hash
-- Result  {'ok', the hash} | {'not_found'} | {'not_queued', status}
-- include hash.lua
-- include task.lua
local h = load_task(ARGV[1])
if not h then
    return {'not_found'}
end
if not has_word(ARGV[2], h.status) then
    return {'not_queued', h.status}
end
call('HSET', KEYS[1], 'updated', now_ms(), unpack(ARGV, 3))
return {'ok', call('HGETALL', KEYS[1])}
