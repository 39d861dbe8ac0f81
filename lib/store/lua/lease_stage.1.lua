#!lua flags=allow-oom
-- lease_stage - the stage a running task is in, told to everybody who watches.
-- KEYS[1] the task's hash
-- ARGV    id, epoch, stage
-- Result  {'ok'} | {'not_found'} | {'stale_lease', status}
-- Moves   running: stage -> stage
-- include queue.lua
-- include state.lua
-- include task.lua
-- include move.lua
-- include fence.lua
local h, now = load_task(ARGV[1], 'stage'), now_ms()
local refusal = fence(h, ARGV[2], '0')
if refusal then
    return refusal
end
if h.more ~= ARGV[3] then
    call('HSET', KEYS[1], 'stage', ARGV[3], 'updated', now)
    announce(ARGV[1], h, 'running', 'running', ARGV[3], now)
end
return commit({'ok'})
