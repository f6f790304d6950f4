-- ---------------------------------------------------------------------------------------- queue
--
-- The items of a queue are records of their own, so that pushing and popping cost the same however
-- many there are. The queue's own record says which there are. An operation looks at it, then
-- visits it and the records that it needs all at once, and begins anew if it has changed meanwhile.
--
-- `visit_all(keys, visit)`, which each server has its way for, calls visit(position, value) for one
-- record after the other; what that returns is the new value, false to remove, nil to leave it.

local ATTEMPTS = 10000 -- others have been faster so often: something is wrong

local function queue_of(data)
  local items = items_of(data, "queue")
  return tonumber(items[1]) or 0, tonumber(items[2]) or 0, tonumber(items[3]) or 0
end

-- The queue's record: false, for none, if there is nothing to say.
local function queue_record(first, last, waiting)
  if first == last then
    if waiting == 0 then return false end
    first, last = 0, 0
  end
  return KINDS.queue .. pack({ text(first), text(last), text(waiting) })
end

-- Visit a queue. `plan(first, last, waiting)` returns the numbers of the items that are needed, from
-- and to (exclusive); the new record; and a function that is called for each of the items as
-- step(n, value), n from 1, and returns what becomes of it.
local function visit_queue(store, key, plan)
  for _ = 1, ATTEMPTS do
    local before = store.get(key)
    local from, to, record, step = plan(queue_of(before))
    local keys = { key }
    for position = from, to - 1 do insert(keys, key .. "\0" .. text(position)) end
    local same = false
    store.visit_all(keys, function(at, value)
      if at == 1 then
        same = value == before
        if same then return record end
      elseif same then
        return step(at - 1, value)
      end
    end)
    if same then return end
  end
  error("too many others use this queue", 0)
end

local queues = {}

-- items -> the length, consumers to be woken
function queues.queuePush(store, key, items)
  local results
  visit_queue(store, key, function(first, last, waiting)
    local stop = last + #items
    if first == last then last, stop, first = 0, #items, 0 end
    local woken = #items > 1 and waiting or min(waiting, #items) -- many items wake everybody
    results = { text(stop - first), text(woken) }
    local record = queue_record(first, stop, waiting - woken)
    return last, stop, record, function(at) return items[at] end
  end)
  return results
end

-- how many, unmark, mark -> items, which are removed
function queues.queuePop(store, key, args)
  local results
  visit_queue(store, key, function(first, last, waiting)
    results = {}
    local count = min(number(args[1]), last - first)
    waiting = marks(waiting, args[2])
    if count == 0 and args[3] == "1" then waiting = waiting + 1 end
    return first, first + count, queue_record(first + count, last, waiting), function(_, value)
      insert(results, value)
      return false
    end
  end)
  return results
end

-- start, stop, step (empty: none) -> items
function queues.queueSlice(store, key, args)
  local results
  visit_queue(store, key, function(first, last)
    results = {}
    local from, step, count = slice(args, last - first)
    local low, high = from, from + count * step
    if step < 0 then low, high = from + (count - 1) * step, from + 1 end
    if count == 0 then low, high = 0, 0 end
    return first + low, first + high, nil, function(at, value)
      local offset = low + at - 1 - from
      if offset % step == 0 then results[offset / step + 1] = value end
    end
  end)
  return results
end

function queues.queueLength(store, key)
  local first, last = queue_of(store.get(key))
  return { text(last - first) }
end

function queues.queueClear(store, key)
  visit_queue(store, key, function(first, last, waiting)
    return first, last, queue_record(0, 0, waiting), function() return false end
  end)
  return {}
end
