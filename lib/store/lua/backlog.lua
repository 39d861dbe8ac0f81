-- backlog.lua - into the backlogs. Needs queue.lua.
-- Scores are microseconds. Ten minutes of waiting weigh as much as one step of priority: nobody starves.
local HEAD_START = {low = 600000000, normal = 0, high = -600000000}
-- Into the backlogs. waiting: user -> {score, task, score, task, …}
local function enqueue(waiting)
    local users, fresh, n = {}, {}, 0
    for user, tasks in pairs(waiting) do
        call('ZADD', P .. 'bk:' .. user, unpack(tasks))
        users[#users + 1] = user
        n = n + #tasks / 2
    end
    for i, time in ipairs(call('ZMSCORE', P .. 'vt', unpack(users))) do
        if not time then
            fresh[#fresh + 1] = users[i]
        end
    end
    if #fresh > 0 then
        join(fresh)
    end
    ring(n, #fresh < #users)
end
local function enqueue_one(id, user, priority)
    enqueue({[user] = {now_us() + (HEAD_START[priority] or 0), id}})
end
