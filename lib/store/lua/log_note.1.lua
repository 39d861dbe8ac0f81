#!lua
-- log_note - one entry of the system, numbered here, in the log of a task that has not ended.
-- KEYS[1] the task's hash
-- ARGV    id, type, message (already escaped but for quotes and backslashes)
-- Result  {'ok'} | {'not_found'} | {'not_running', status}
-- include task.lua
-- include note.lua
local h = load_task(ARGV[1])
if not h then
    return {'not_found'}
end
if h.status ~= 'running' and h.status ~= 'queued' then
    return {'not_running', h.status}
end
note(ARGV[1], h, ARGV[2], ARGV[3], now_ms())
return {'ok'}
