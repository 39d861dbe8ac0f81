#!lua flags=no-writes
-- task_text - a text kept beside a task: its patch, its trajectory.
-- KEYS[1] the task's hash
-- ARGV    name of the key's last part, the answer's word when there is none
-- Result  {'ok', text} | {'not_found'} | {word}
if call('EXISTS', KEYS[1]) == 0 then
    return {'not_found'}
end
local text = call('GET', KEYS[1] .. ':' .. ARGV[1])
if not text then
    return {ARGV[2]}
end
return {'ok', text}
