-- requeue.lua - a task whose runner is gone. Needs state.lua and queue.lua. LOST: code, title, detail, remedy of runner_lost.
local function end_with(id, h, code, title, detail, remedy, now)
    finish(id, h, 'failed', {'errCode', code, 'errTitle', title, 'errDetail', detail, 'errRemedy', remedy, 'errRetry', '1', 'upStatus',
        '', 'upMessage', '', 'upRequest', ''}, '-', now)
end
-- Back to the head of its user's backlog under the next epoch, or the end after the third delivery. `counts`: the delivery was used up.
local function requeue(id, h, counts, limit, lost, now)
    if h.cancel ~= '' then
        finish(id, h, 'cancelled', nil, '-', now)
        return 'cancelled'
    end
    if counts and tonumber(hold(h).deliveries) >= limit then
        end_with(id, h, lost[1], lost[2], lost[3], lost[4], now)
        return 'lost'
    end
    hold(h)
    call('HSET', P .. 't:' .. id, 'stage', 'waiting', 'slot', 'b', 'lease', unleased(h.epoch + 1,
        counts and h.deliveries or h.deliveries - 1, now, h.started, h.default, h.deadline and string.format('%.0f', h.deadline) or '-'))
    freed[#freed + 1] = id
    if h.slot == 'x' then
        call('SREM', P .. 'external', id)
    end
    if h.deadline then
        call('ZADD', P .. 'deadline', h.deadline, id) -- it waits, but not for ever
    end
    left = left or {}
    left[h.owner] = (left[h.owner] or 0) + 1
    enqueue({[h.owner] = {0, id}})
    announce(id, h, 'running', 'running', 'waiting', now)
    return 'requeued'
end
