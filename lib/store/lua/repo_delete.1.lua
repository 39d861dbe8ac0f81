#!lua flags=allow-oom
-- repo_delete - forget a repository and its analysis.
-- KEYS[1] its hash
-- ARGV    id
-- Result  {'ok'} | {'not_found'}
local v = call('HMGET', KEYS[1], 'owner', 'url')
if not v[1] then
    return {'not_found'}
end
call('HDEL', P .. 'repos:url:' .. v[1], v[2])
call('SREM', P .. 'repos:at:' .. v[2], ARGV[1])
call('ZREM', P .. 'repos', ARGV[1])
call('ZREM', P .. 'repos:u:' .. v[1], ARGV[1])
call('SREM', P .. 'repos:shared', ARGV[1])
call('DEL', KEYS[1], KEYS[1] .. ':analysis')
return {'ok'}
