#!lua flags=allow-oom
-- repo_status - connected or invalid, as the last look at the remote showed.
-- KEYS[1] its hash
-- ARGV    status, cause or ''
-- Result  {'ok', hash} | {'not_found'}
if call('EXISTS', KEYS[1]) == 0 then
    return {'not_found'}
end
local now = now_ms()
call('HSET', KEYS[1], 'status', ARGV[1], 'cause', ARGV[2], 'verified', now, 'updated', now)
return {'ok', call('HGETALL', KEYS[1])}
