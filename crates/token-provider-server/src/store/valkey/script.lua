-- What several servers do with one kind of token is done here in one step each. ARGV[1] is the operation.
-- KEYS of each but `read`:
local lease, counter, token, failure = unpack(KEYS)
local operations = {}

-- What is no string was not written here.
local function get(key)
    local value = redis.pcall('GET', key)
    return type(value) == 'string' and value
end

-- Returns for each key the record, and the milliseconds that it has left. One that is larger than any of ours is not returned.
function operations.read()
    local found = {}
    for i, key in ipairs(KEYS) do
        local record = get(key)
        if record and #record > 131072 then record = false end
        found[i] = { record, redis.call('PTTL', key) }
    end
    return found
end

-- Takes the lease for a server if nobody has it, and returns its fence. The time is in it so that fences go on rising where the
-- counter is lost. A counter that is far ahead of the time was not written here, nor was a lease without an end.
function operations.lease(server)
    local left = redis.call('PTTL', lease)
    if get(lease) and left >= 0 and left <= 4000 then return false end
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local last = tonumber(get(counter) or 0)
    if not last or not (last < now + 3600000) then last = 0 end
    local fence = string.format('%.0f', math.max(last + 1, now))
    redis.call('SET', counter, fence, 'PX', 172800000)
    redis.call('SET', lease, server .. ' ' .. fence, 'PX', 4000)
    return fence
end

-- Keeps a lease for longer, unless it is lost.
function operations.renew(holder)
    if get(lease) ~= holder then return false end
    redis.call('SET', lease, holder, 'PX', 4000)
    return true
end

-- Writes a token and ends the lease, unless it is lost or there is a newer token. A record with a fence that was never drawn is no
-- token of ours, and must not keep others out.
function operations.publish(holder, fence, record, life)
    if get(lease) ~= holder then return false end
    local stored = tonumber(string.sub(get(token) or '', 13, 28))
    local drawn = tonumber(get(counter) or 0)
    if stored and drawn and stored >= tonumber(fence) and stored <= drawn then return false end
    redis.call('SET', token, record, 'PX', life)
    redis.call('DEL', lease, failure)
    return true
end

-- Ends a lease, unless it is lost, and writes why no token came of it.
function operations.release(holder, _, record, life)
    if get(lease) ~= holder then return false end
    redis.call('DEL', lease)
    if record then redis.call('SET', failure, record, 'PX', life) end
    return true
end

-- Writes a record, and tells the servers that something is new.
function operations.announce(channel, record, life)
    redis.call('SET', KEYS[1], record, 'PX', life)
    redis.call('PUBLISH', channel, '')
    return true
end

return operations[ARGV[1]](unpack(ARGV, 2))
