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

vacant.Q = function(items)
  return #items == 3 and items[1] == "0" and items[2] == "0" and tonumber(items[3]) ~= nil
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

-- how many, unmark, mark, from the end or not -> items, which are removed
function queues.queuePop(store, key, args)
  local results
  visit_queue(store, key, function(first, last, waiting)
    results = {}
    local count = max(0, min(floor(number(args[1])), last - first))
    local from = first
    waiting = marks(waiting, args[2])
    if count == 0 and args[3] == "1" then waiting = waiting + 1 end
    if args[4] == "1" then
      last = last - count
      from = last
    else
      first = first + count
    end
    return from, from + count, queue_record(first, last, waiting), function(_, value)
      insert(results, args[4] == "1" and 1 or #results + 1, value)
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

-- Visit two queues and their items: `moved` of the first go to the end of the second, whose new
-- record is `record`. Return the items; nil if one of the queues is no more what it was.
local function move_items(store, from, to, moved, record)
  local keys, items, same = { to.key, from.key, to.key }, {}, true
  for at = 0, moved - 1 do insert(keys, from.key .. "\0" .. text(from.first + at)) end
  for at = 0, moved - 1 do insert(keys, to.key .. "\0" .. text(to.last + at)) end
  store.visit_all(keys, function(at, value)
    if at == 1 then same = value == to.data end
    if at == 2 then same = same and value == from.data end
    if not same or at == 1 then return nil end
    if at == 2 then return queue_record(from.first + moved, from.last, from.waiting) end
    if at == 3 then return record end
    if at > 3 + moved then return items[at - 3 - moved] end
    items[at - 3] = value
    return false
  end)
  return same and items or nil
end

local function queue_at(store, key)
  local data = store.get(key)
  local first, last, waiting = queue_of(data)
  return { key = key, data = data, first = first, last = last, waiting = waiting }
end

-- key of another queue, how many -> items, which are at its end now, its consumers to be woken
function queues.queueTransfer(store, key, args)
  if args[1] == key then error("a queue cannot be transferred to itself", 0) end
  for _ = 1, ATTEMPTS do
    local from, to = queue_at(store, key), queue_at(store, args[1])
    local moved = max(0, min(floor(number(args[2])), from.last - from.first))
    if moved == 0 then return { "0" } end
    if to.first == to.last then to.first, to.last = 0, 0 end
    local woken = moved > 1 and to.waiting or min(to.waiting, moved)
    local record = queue_record(to.first, to.last + moved, to.waiting - woken)
    local items = move_items(store, from, to, moved, record)
    if items then
      insert(items, text(woken))
      return items
    end
  end
  error("too many others use these queues", 0)
end

-- ------------------------------------------------------------------------------- lists, two of them

-- key of another list -> the last item, which is the first of the other one now
function queues.listTransfer(store, key, args)
  local results, failure = {}, nil
  local function pop(value)
    local done, items = pcall(items_of, value, "list")
    if not done then
      failure = items
      return nil
    end
    results[1] = remove(items)
    return items
  end
  local function record(items)
    return #items > 0 and KINDS.list .. pack(items)
  end
  local function rotate(_, value)
    local items = pop(value)
    if not results[1] then return nil end
    insert(items, 1, results[1])
    return record(items)
  end
  local target
  local function move(at, value)
    if at == 1 then
      local done, items = pcall(items_of, value, "list")
      if done then target = items else failure = items end
    elseif at == 2 and not failure then
      local items = pop(value)
      if results[1] then return record(items) end
    elseif at == 3 and results[1] then
      insert(target, 1, results[1])
      return record(target)
    end
  end
  local other = args[1]
  if other == key then
    store.visit_all({ key }, rotate)
  else
    store.visit_all({ other, key, other }, move)
  end
  if failure then error(failure, 0) end
  return results
end
