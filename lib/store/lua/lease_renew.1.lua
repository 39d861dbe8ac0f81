#!lua flags=allow-oom
-- lease_renew - put off the end of leases.
-- KEYS[1] the lease set
-- ARGV    ttl ms, then pairs of task id and epoch
-- Result  {'ok', 0 fine | 1 stale | 2 cancel, …}
local now, out, put = now_ms(), {'ok'}, {}
for i = 2, #ARGV, 2 do
    local v = call('HMGET', P .. 't:' .. ARGV[i], 'lease', 'slot', 'cancel')
    local epoch, deadline = string.match(v[1] or '', '^(%d+) %d+ %d+ %S+ %S+ (%S+)')
    if epoch == ARGV[i + 1] and v[2] == 'l' then
        -- No lease goes on for longer than one term after the deadline: who holds it should have ended it.
        put[#put + 1], put[#put + 2] = math.min(now, tonumber(deadline) or now) + ARGV[1], ARGV[i]
        out[#out + 1] = v[3] and v[3] ~= '' and 2 or 0
    else
        out[#out + 1] = 1
    end
end
if #put > 0 then
    call('ZADD', KEYS[1], 'XX', unpack(put))
end
return out
