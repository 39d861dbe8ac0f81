#!lua flags=allow-oom
-- task_delete - forget a task that does not run, with its log, patch, calls and notifications.
-- KEYS[1] the task's hash
-- ARGV    id, states it may be in
-- Result  {'ok'} | {'not_found'} | {'still_running', status}
-- include hash.lua
-- include task.lua
-- include fold.lua
fold_all()
local id = ARGV[1]
local h = load_task(id)
if not h then
    return {'not_found'}
end
if not has_word(ARGV[2], h.status) then
    return {'still_running', h.status}
end
for _, ob in ipairs(call('ZRANGE', P .. 'ob', '[msg_' .. id .. '_', '(msg_' .. id .. '`', 'BYLEX')) do
    call('DEL', P .. 'ob:' .. ob)
    call('HDEL', P .. 'ob:new', ob)
    call('ZREM', P .. 'ob', ob)
    call('ZREM', P .. 'ob:due', ob)
end
for _, key in ipairs({'tasks', 'tasks:u:' .. h.owner, 'tasks:r:' .. h.repo, 'tasks:s:' .. h.status, 'ended', 'deadline', 'lease', 'hot'}) do
    call('ZREM', P .. key, id)
end
call('UNLINK', KEYS[1], KEYS[1] .. ':log', KEYS[1] .. ':usage', KEYS[1] .. ':calls', KEYS[1] .. ':um', KEYS[1] .. ':patch',
    KEYS[1] .. ':traj', KEYS[1] .. ':pack')
return {'ok'}
