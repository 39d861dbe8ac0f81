#!lua flags=allow-oom
-- lease_release - a runner gives a task back unfinished.
-- KEYS[1] the task's hash
-- ARGV    id, epoch, lost (0|1), deliveries allowed, reason for the log, then code, title, detail and remedy of the end when too many
-- Result  {'ok', 'requeued' | 'lost' | 'cancelled'} | {'not_found'} | {'stale_lease', status}
-- Moves   running: any stage -> waiting; running -> failed | cancelled
-- include queue.lua
-- include backlog.lua
-- include state.lua
-- include task.lua
-- include move.lua
-- include end.lua
-- include note.lua
-- include fence.lua
-- include requeue.lua
local id, now = ARGV[1], now_ms()
local h = load_task(id)
local refusal = fence(h, ARGV[2], '0')
if refusal then
    return refusal
end
if ARGV[5] ~= '' then
    note(id, h, 'warn', ARGV[5], now)
end
return commit({'ok', requeue(id, h, ARGV[3] == '1', tonumber(ARGV[4]), {ARGV[6], ARGV[7], ARGV[8], ARGV[9]}, now)})
