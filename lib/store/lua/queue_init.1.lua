#!lua flags=allow-oom
-- queue_init - the consumer group of the ready stream.
-- KEYS[1] the stream
-- Result  {'ok'}
local answer = redis.pcall('XGROUP', 'CREATE', KEYS[1], 'r', '0', 'MKSTREAM')
if answer.err and not string.find(answer.err, 'BUSYGROUP', 1, true) then
    return answer
end
return {'ok'}
