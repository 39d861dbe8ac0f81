#!lua
-- repo_put - store a repository; status and its cause stay apart from the document, for status changes race with edits.
-- KEYS[1] the hash of the repository
-- ARGV    'new' | 'old', id, owner, url, '1' when shared, status, cause or '', verified, document, SHA-1 of document, status and cause
--         that must be there, or '' (new: any)
-- Result  {'ok', hash} | {'not_found'} | {'repository_exists', id} | {'changed'}
local id, owner, url = ARGV[2], ARGV[3], ARGV[4]
local now, old = now_ms(), call('HMGET', KEYS[1], 'url', 'owner', 'doc', 'status', 'cause')
local same = call('HGET', P .. 'repos:url:' .. owner, url)
if ARGV[1] == 'old' and not old[1] then
    return {'not_found'}
end
if ARGV[10] ~= '' and redis.sha1hex((old[3] or '') .. '\n' .. (old[4] or '') .. '\n' .. (old[5] or '')) ~= ARGV[10] then
    return {'changed'}
end
if same and same ~= id then
    return {'repository_exists', same}
end
if old[1] and old[1] ~= url then
    call('HDEL', P .. 'repos:url:' .. owner, old[1])
    call('SREM', P .. 'repos:at:' .. old[1], id)
end
call('HSET', KEYS[1], 'owner', owner, 'url', url, 'status', ARGV[6], 'cause', ARGV[7], 'verified', ARGV[8], 'updated', now, 'doc', ARGV[9])
call('HSETNX', KEYS[1], 'created', now)
call('HSET', P .. 'repos:url:' .. owner, url, id)
call('SADD', P .. 'repos:at:' .. url, id)
call('ZADD', P .. 'repos', 0, id)
call('ZADD', P .. 'repos:u:' .. owner, 0, id)
call(ARGV[5] == '1' and 'SADD' or 'SREM', P .. 'repos:shared', id)
return {'ok', call('HGETALL', KEYS[1])}
