-- Generated from source/*.lua by tools/join_lua.py: edit those.
--
-- Containers, locks and limits in the records of a database: the scripts behind `kt.lua`.
--
-- One file for both servers: `kt-tycoon -scr kt.lua` or `ktserver -scr PATH`, `kt-tyrant -ext kt.lua`
-- or `ttserver -ext PATH`. It needs Lua 5.1 and keeps nothing outside the database.
--
-- A container is the record of its key: one letter for its kind, then a list of items, each its
-- length (seven bits a byte, the lowest first, the eighth set if more follow) and its bytes:
--
--     H | 4 name | 3 Ada | 4 born | 4 1815
--
-- An empty container is no record, unless somebody waits for its items: then it may become one of
-- another kind all the same. The kinds and their items:
--
--     H hash          field, value, ...                   in order of insertion
--     S set           member, ...                         in order of insertion
--     L list          item, ...
--     Z sorted set    member, score, ...                  by score, then member
--     D schedule      consumers, due, item, ...           by time, then order of insertion
--     Q queue         begin, end, consumers               item n is the record KEY \0 n
--     K lock          owner, end, waiting
--     R rate limiter  tokens, time
--     C counter       interval, count, ...
--
-- An operation is a function of the items that are there and of its arguments, another list of
-- items. It returns its results, a list again; the new items, or nil to leave them; and the seconds
-- that the record is to live at most, or nil. Where it runs nobody comes between: in Kyoto Tycoon
-- in a visitor, in Tokyo Tyrant under the lock that the client asks for (`ScriptLock.RECORD`).
--
-- In Kyoto Tycoon a function takes `key`, `args` and `db` (index of a database) and gives `results`;
-- in Tokyo Tyrant it takes the key and the arguments and returns the results.

local kt = __kyototycoon__
local byte, char, sub, format = string.byte, string.char, string.sub, string.format
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local insert, remove, concat = table.insert, table.remove, table.concat

local now = kt and kt.time or _time

-- ------------------------------------------------------------------------------------- encoding

local function pack(items)
  local parts = {}
  for _, item in ipairs(items) do
    local length = #item
    while length > 127 do
      parts[#parts + 1] = char(length % 128 + 128)
      length = floor(length / 128)
    end
    parts[#parts + 1] = char(length)
    parts[#parts + 1] = item
  end
  return concat(parts)
end

-- Return the items in `data` from position `at` on.
local function unpack(data, at)
  local items, count, size = {}, 0, #data
  while at <= size do
    local digit = byte(data, at)
    local length, scale = digit % 128, 128
    while digit > 127 do
      at = at + 1
      digit = byte(data, at)
      length = length + digit % 128 * scale
      scale = scale * 128
    end
    count = count + 1
    items[count] = sub(data, at + 1, at + length)
    at = at + 1 + length
  end
  return items
end

-- Return a number as text from which `tonumber` makes the same number.
local function text(number)
  if number == floor(number) and number > -1e15 and number < 1e15 then
    return format("%d", number)
  end
  return format("%.17g", number)
end

local function number(item)
  local value = tonumber(item)
  if not value or value ~= value then error("not a number: " .. tostring(item), 0) end
  return value
end

local function truth(value) return value and "1" or "0" end

-- ----------------------------------------------------------------------------------- operations

local KINDS = {
  hash = "H", set = "S", list = "L", sorted = "Z", schedule = "D", queue = "Q", lock = "K",
  rate = "R", counter = "C",
}

local operations = {} -- name, which begins with that of the kind -> { kind, run, writes }

local function reads(name, run)
  operations[name] = { kind = name:match("^%l+"), run = run, writes = false }
end

local function writes(name, run)
  operations[name] = { kind = name:match("^%l+"), run = run, writes = true }
end

local vacant = {} -- letter of a kind -> whether its items say nothing but who waits

-- Whether there is a record only because somebody waits there, or has died while he waited.
local function is_vacant(data)
  local is = vacant[sub(data, 1, 1)]
  if not is then return false end
  local done, items = pcall(unpack, data, 2)
  return done and pack(items) == sub(data, 2) and is(items)
end

-- Return the items of a record of this kind; none if there is no record, or a vacant one.
local function items_of(data, kind)
  if not data then return {} end
  if sub(data, 1, 1) == KINDS[kind] then return unpack(data, 2) end
  if is_vacant(data) then return {} end
  error("the record of this key is no " .. kind, 0)
end

-- Carry out an operation. Return its results, the record's new value (false: remove the record; nil:
-- leave it), and the seconds it may live.
local function perform(operation, data, args)
  local results, items, lifetime = operation.run(items_of(data, operation.kind), args)
  if not items then return results, nil end
  if #items == 0 then return results, false end
  return results, KINDS[operation.kind] .. pack(items), lifetime
end

for name in pairs(KINDS) do
  if name ~= "queue" then
    writes(name .. "Clear", function() return {}, {} end)
  end
end

-- Return the position of `wanted` among every `step`-th item, or nil.
local function find(items, wanted, step)
  for at = 1, #items, step do
    if items[at] == wanted then return at end
  end
end

-- Return a table from every `step`-th item to its position.
local function index(items, step)
  local positions = {}
  for at = 1, #items, step do positions[items[at]] = at end
  return positions
end

-- Return the items without the rows, of `step` items each, that begin at `dropped`.
local function without(items, dropped, step)
  local kept, count = {}, 0
  for at = 1, #items, step do
    if not dropped[at] then
      for column = 0, step - 1 do
        count = count + 1
        kept[count] = items[at + column]
      end
    end
  end
  return kept
end

-- Return the positions from 0, as Python's `slice.indices`: first, step, how many.
local function slice(args, size)
  local step = tonumber(args[3]) or 1
  local low, high = 0, size
  if step < 0 then low, high = -1, size - 1 end
  local function position(arg, default)
    local at = tonumber(arg)
    if not at then return default end
    if at < 0 then at = at + size end
    return max(low, min(high, at))
  end
  local first = position(args[1], step > 0 and low or high)
  local last = position(args[2], step > 0 and high or low)
  return first, step, max(0, ceil((last - first) / step))
end

-- ----------------------------------------------------------------------------------------- hash

-- fields -> field, value, ... of those that are there
reads("hashGet", function(items, fields)
  local results = {}
  local positions = index(items, 2)
  for _, field in ipairs(fields) do
    local at = positions[field]
    if at then
      insert(results, field)
      insert(results, items[at + 1])
    end
  end
  return results
end)

reads("hashItems", function(items) return items end)
reads("hashLength", function(items) return { text(#items / 2) } end)

reads("hashFields", function(items)
  local fields = {}
  for at = 1, #items, 2 do insert(fields, items[at]) end
  return fields
end)

-- field, value, ... -> how many are new
writes("hashSet", function(items, pairs_)
  local positions, size = index(items, 2), #items
  for at = 1, #pairs_, 2 do
    local field = pairs_[at]
    if not positions[field] then
      positions[field] = #items + 1
      insert(items, field)
    end
    items[positions[field] + 1] = pairs_[at + 1]
  end
  return { text((#items - size) / 2) }, items
end)

-- field, value -> the value that the field has now
writes("hashSetDefault", function(items, args)
  local at = find(items, args[1], 2)
  if at then return { items[at + 1] } end
  insert(items, args[1])
  insert(items, args[2])
  return { args[2] }, items
end)

-- field, value -> whether it was stored: it is if the field was not there
writes("hashAdd", function(items, args)
  if find(items, args[1], 2) then return { "0" } end
  insert(items, args[1])
  insert(items, args[2])
  return { "1" }, items
end)

-- fields -> field, value, ... of those that were there
writes("hashRemove", function(items, fields)
  local positions, dropped, results = index(items, 2), {}, {}
  for _, field in ipairs(fields) do
    local at = positions[field]
    if at and not dropped[at] then
      dropped[at] = true
      insert(results, field)
      insert(results, items[at + 1])
    end
  end
  if #results == 0 then return results end
  return results, without(items, dropped, 2)
end)

-- -> field and value inserted last, nothing if there is none
writes("hashPopItem", function(items)
  local value, field = remove(items), remove(items)
  if not field then return {} end
  return { field, value }, items
end)

-- field, number -> the sum
writes("hashIncrement", function(items, args)
  local at = find(items, args[1], 2)
  if not at then
    at = #items + 1
    items[at], items[at + 1] = args[1], "0"
  end
  items[at + 1] = text(number(items[at + 1]) + number(args[2]))
  return { items[at + 1] }, items
end)

-- ------------------------------------------------------------------------------------------ set

reads("setMembers", function(items) return items end)
reads("setLength", function(items) return { text(#items) } end)

-- members -> for each, whether it is there
reads("setHas", function(items, members)
  local positions, results = index(items, 1), {}
  for at, member in ipairs(members) do results[at] = truth(positions[member]) end
  return results
end)

-- members -> how many are new
writes("setAdd", function(items, members)
  local positions, size = index(items, 1), #items
  for _, member in ipairs(members) do
    if not positions[member] then
      insert(items, member)
      positions[member] = #items
    end
  end
  if #items == size then return { "0" } end
  return { text(#items - size) }, items
end)

-- members -> how many were there
writes("setRemove", function(items, members)
  local positions, dropped, count = index(items, 1), {}, 0
  for _, member in ipairs(members) do
    local at = positions[member]
    if at and not dropped[at] then
      dropped[at] = true
      count = count + 1
    end
  end
  if count == 0 then return { "0" } end
  return { text(count) }, without(items, dropped, 1)
end)

-- -> the member added last, nothing if there is none
writes("setPop", function(items)
  if #items == 0 then return {} end
  return { remove(items) }, items
end)

-- ----------------------------------------------------------------------------------------- list

-- Return the position, from 1, that Python calls `arg`; nil if there is none.
local function place(arg, size)
  local at = number(arg)
  if at < 0 then at = at + size end
  if at >= 0 and at < size then return at + 1 end
end

reads("listLength", function(items) return { text(#items) } end)

-- position -> item, nothing if there is none
reads("listGet", function(items, args)
  return { items[place(args[1], #items)] }
end)

-- start, stop, step (empty: none) -> items
reads("listSlice", function(items, args)
  local first, step, count = slice(args, #items)
  local results = {}
  for at = 1, count do results[at] = items[first + (at - 1) * step + 1] end
  return results
end)

-- item, start, stop -> position, nothing if it is not there
reads("listIndex", function(items, args)
  local first, _, count = slice({ args[2], args[3] }, #items)
  for at = first + 1, first + count do
    if items[at] == args[1] then return { text(at - 1) } end
  end
  return {}
end)

-- item -> how often it is there
reads("listCount", function(items, args)
  local count = 0
  for _, item in ipairs(items) do
    if item == args[1] then count = count + 1 end
  end
  return { text(count) }
end)

-- position, item -> whether there is such a position
writes("listSet", function(items, args)
  local at = place(args[1], #items)
  if not at then return { "0" } end
  items[at] = args[2]
  return { "1" }, items
end)

-- start, stop, step, items -> whether they fit; a step other than 1 wants as many items as there are
writes("listSetSlice", function(items, args)
  local first, step, count = slice(args, #items)
  if step ~= 1 then
    if #args - 3 ~= count then return { "0", text(count) } end
    for at = 1, count do items[first + (at - 1) * step + 1] = args[at + 3] end
    return { "1" }, items
  end
  local changed = {}
  for at = 1, first do changed[at] = items[at] end
  for at = 4, #args do insert(changed, args[at]) end
  for at = first + count + 1, #items do insert(changed, items[at]) end
  return { "1" }, changed
end)

-- start, stop, step -> how many were removed
writes("listDeleteSlice", function(items, args)
  local first, step, count = slice(args, #items)
  if count == 0 then return { "0" } end
  local dropped = {}
  for at = 1, count do dropped[first + (at - 1) * step + 1] = true end
  return { text(count) }, without(items, dropped, 1)
end)

-- items -> the length
writes("listExtend", function(items, args)
  for _, item in ipairs(args) do insert(items, item) end
  return { text(#items) }, items
end)

-- position, item -> the length
writes("listInsert", function(items, args)
  insert(items, slice({ args[1] }, #items) + 1, args[2])
  return { text(#items) }, items
end)

-- position -> the item that was there, nothing if there was none
writes("listPop", function(items, args)
  local at = place(args[1], #items)
  if not at then return {} end
  return { remove(items, at) }, items
end)

-- item -> whether it was there; the first such item is removed
writes("listRemove", function(items, args)
  local at = find(items, args[1], 1)
  if not at then return { "0" } end
  remove(items, at)
  return { "1" }, items
end)

writes("listReverse", function(items)
  local reversed, size = {}, #items
  for at = 1, size do reversed[at] = items[size + 1 - at] end
  return {}, reversed
end)

-- whether the greatest comes first (1, or empty); items are compared byte by byte
writes("listSort", function(items, args)
  table.sort(items, args[1] == "1" and function(a, b) return a > b end or nil)
  return {}, items
end)

-- ----------------------------------------------------------------------------------- sorted set

-- Return a flat list of members and scores, in order, from a table of scores by member.
local function sorted(scores)
  local members, items = {}, {}
  for member in pairs(scores) do insert(members, member) end
  table.sort(members, function(a, b)
    if scores[a] ~= scores[b] then return scores[a] < scores[b] end
    return a < b
  end)
  for _, member in ipairs(members) do
    insert(items, member)
    insert(items, text(scores[member]))
  end
  return items
end

local function scores_of(items)
  local scores = {}
  for at = 1, #items, 2 do scores[items[at]] = number(items[at + 1]) end
  return scores
end

reads("sortedLength", function(items) return { text(#items / 2) } end)

-- members -> member, score, ... of those that are there
reads("sortedScore", function(items, members)
  return operations.hashGet.run(items, members)
end)

-- member -> how many come before it, nothing if it is not there
reads("sortedRank", function(items, args)
  local at = find(items, args[1], 2)
  return { at and text((at - 1) / 2) }
end)

-- start, stop, step (empty: none) -> member, score, ...
reads("sortedSlice", function(items, args)
  local first, step, count = slice(args, #items / 2)
  local results = {}
  for row = 0, count - 1 do
    local at = (first + row * step) * 2 + 1
    insert(results, items[at])
    insert(results, items[at + 1])
  end
  return results
end)

-- lowest and highest score (empty: none) -> member, score, ...
reads("sortedRange", function(items, args)
  local low, high = tonumber(args[1]) or -math.huge, tonumber(args[2]) or math.huge
  local results = {}
  for at = 1, #items, 2 do
    local score = number(items[at + 1])
    if score >= low and score <= high then
      insert(results, items[at])
      insert(results, items[at + 1])
    end
  end
  return results
end)

-- member, score, ... -> how many are new
writes("sortedAdd", function(items, pairs_)
  local scores, new = scores_of(items), 0
  for at = 1, #pairs_, 2 do
    if not scores[pairs_[at]] then new = new + 1 end
    scores[pairs_[at]] = number(pairs_[at + 1])
  end
  return { text(new) }, sorted(scores)
end)

-- member, number -> the sum, its score now
writes("sortedIncrement", function(items, args)
  local scores = scores_of(items)
  scores[args[1]] = (scores[args[1]] or 0) + number(args[2])
  return { text(scores[args[1]]) }, sorted(scores)
end)

-- members -> member, score, ... of those that were there
writes("sortedRemove", function(items, members)
  return operations.hashRemove.run(items, members)
end)

-- how many, from the end or not -> member, score, ... which are removed
writes("sortedPop", function(items, args)
  local size = #items / 2
  local count = max(0, min(floor(number(args[1])), size))
  local results, dropped = {}, {}
  for row = 0, count - 1 do
    local at = (args[2] == "1" and size - 1 - row or row) * 2 + 1
    dropped[at] = true
    insert(results, items[at])
    insert(results, items[at + 1])
  end
  if count == 0 then return results end
  return results, without(items, dropped, 2)
end)

-- ------------------------------------------------------------------------------------- schedule
--
-- A consumer that finds nothing and is going to wait for a signal says so (`mark`); whoever brings
-- something learns that there are such consumers, and sends the signal until it has been heard.
-- The mark is taken back by whoever brings something, or by the consumer itself when its wait is
-- over (`unmark`).

local function marks(waiting, unmark) return max(0, (tonumber(waiting) or 0) - tonumber(unmark)) end

-- The items, none of which is left if there is neither a row nor a consumer.
local function scheduled(items)
  return (#items == 1 and items[1] == "0") and {} or items
end

vacant.D = function(items) return #items == 1 and tonumber(items[1]) ~= nil end

reads("scheduleLength", function(items) return { text(max(0, (#items - 1) / 2)) } end)

-- -> due, item, ... in order
reads("scheduleItems", function(items)
  remove(items, 1)
  return items
end)

-- due or +delay, item, ... -> consumers to be woken: they see how long to wait
writes("scheduleAdd", function(items, pairs_)
  local time = now()
  local waiting = items[1] or "0"
  items[1] = "0"
  for row = 1, #pairs_, 2 do
    local due = number(pairs_[row])
    if sub(pairs_[row], 1, 1) == "+" then due = time + due end
    local at = #items + 1
    while at > 2 and number(items[at - 2]) > due do at = at - 2 end
    insert(items, at, text(due))
    insert(items, at + 1, pairs_[row + 1])
  end
  return { waiting }, items
end)

-- how many, unmark, mark -> seconds until the next is due (empty: there is none), then due items
writes("schedulePop", function(items, args)
  local time, count, results = now(), 0, { "" }
  local last, changed = #items, args[2] ~= "0"
  local waiting = marks(items[1], args[2])
  local left = { "" }
  for at = 2, last, 2 do
    if count < number(args[1]) and number(items[at]) <= time then
      count = count + 1
      insert(results, items[at + 1])
    else
      if results[1] == "" then results[1] = text(max(0, number(items[at]) - time)) end
      insert(left, items[at])
      insert(left, items[at + 1])
    end
  end
  if count == 0 and args[3] == "1" then waiting, changed = waiting + 1, true end
  left[1] = text(waiting)
  if count == 0 and not changed then return results end
  return results, scheduled(left)
end)

-- items -> how many were removed
writes("scheduleRemove", function(items, args)
  local wanted, left, count = index(args, 1), { items[1] }, 0
  for at = 2, #items, 2 do
    if wanted[items[at + 1]] then
      count = count + 1
    else
      insert(left, items[at])
      insert(left, items[at + 1])
    end
  end
  if count == 0 then return { "0" } end
  return { text(count) }, scheduled(left)
end)

-- ----------------------------------------------------------------------------------------- lock

-- Return owner, end and number of waiting clients, now.
local function holder(items)
  local finish = tonumber(items[2]) or 0
  if finish <= now() then return "", 0, tonumber(items[3]) or 0 end
  return items[1], finish, tonumber(items[3]) or 0
end

vacant.K = function(items)
  return #items == 3 and tonumber(items[2]) and tonumber(items[3]) and holder(items) == ""
end

local UNHEARD = 60 -- seconds after which nobody waits any more for a lock that is free

-- -> owner, seconds left; nothing if it is free
reads("lockHolder", function(items)
  local owner, finish = holder(items)
  if owner == "" then return {} end
  return { owner, text(finish - now()) }
end)

-- owner, seconds, unmark, mark -> whether it is ours now, seconds left
writes("lockAcquire", function(items, args)
  local owner, finish, waiting = holder(items)
  waiting = marks(waiting, args[3])
  if owner == "" then
    local seconds = number(args[2])
    return { "1", args[2] }, { args[1], text(now() + seconds), text(waiting) }, seconds
  end
  local left = finish - now()
  if args[4] == "1" then waiting = waiting + 1 end
  return { "0", text(left) }, { owner, items[2], text(waiting) }, left
end)

-- owner -> whether it was ours, clients to be woken
writes("lockRelease", function(items, args)
  local owner, _, waiting = holder(items)
  if owner ~= args[1] then return { "0", "0" } end
  if waiting < 2 then return { "1", text(waiting) }, {} end
  return { "1", "1" }, { "", "0", text(waiting - 1) }, UNHEARD
end)

-- owner, seconds -> whether it is ours, and will be for so long
writes("lockExtend", function(items, args)
  local owner, _, waiting = holder(items)
  if owner ~= args[1] then return { "0" } end
  local seconds = number(args[2])
  return { "1" }, { owner, text(now() + seconds), text(waiting) }, seconds
end)

-- --------------------------------------------------------------------------------------- limits

-- Return the tokens in the bucket, and the time.
local function bucket(items, limit, seconds)
  local time = now()
  if not items[1] then return limit, time end
  local passed = max(0, time - number(items[2]))
  return min(limit, number(items[1]) + passed * limit / seconds), time
end

local function permit(allowed, tokens, wanted, limit, seconds)
  local missing = max(0, wanted - tokens) * seconds / limit
  return { truth(allowed), text(tokens), text(wanted > limit and math.huge or missing) }
end

-- limit, seconds, tokens -> whether they are there, tokens left, seconds until they would be there
reads("rateCheck", function(items, args)
  local limit, seconds, wanted = number(args[1]), number(args[2]), number(args[3])
  local tokens = bucket(items, limit, seconds)
  return permit(tokens >= wanted, tokens, wanted, limit, seconds)
end)

-- the same, and they are taken if they are there
writes("rateTake", function(items, args)
  local limit, seconds, wanted = number(args[1]), number(args[2]), number(args[3])
  local tokens, time = bucket(items, limit, seconds)
  if tokens < wanted then return permit(false, tokens, wanted, limit, seconds) end
  tokens = tokens - wanted
  return permit(true, tokens, 0, limit, seconds), { text(tokens), text(time) }, seconds
end)

-- Return the counts that are not older than the window, their sum, and the present interval.
local function recent(items, window, intervals)
  local present = floor(now() / (window / intervals))
  local kept, sum = {}, 0
  for at = 1, #items, 2 do
    if number(items[at]) > present - intervals then
      insert(kept, items[at])
      insert(kept, items[at + 1])
      sum = sum + number(items[at + 1])
    end
  end
  return kept, sum, present
end

-- seconds, intervals -> the sum
reads("counterTotal", function(items, args)
  local _, sum = recent(items, number(args[1]), number(args[2]))
  return { text(sum) }
end)

-- seconds, intervals, number -> the sum
writes("counterAdd", function(items, args)
  local window, intervals, added = number(args[1]), number(args[2]), number(args[3])
  local kept, sum, present = recent(items, window, intervals)
  local at = #kept - 1
  if kept[at] ~= text(present) then
    at = #kept + 1
    kept[at], kept[at + 1] = text(present), "0"
  end
  kept[at + 1] = text(number(kept[at + 1]) + added)
  return { text(sum + added) }, kept, window + window / intervals
end)

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

-- -------------------------------------------------------------------------------- Kyoto Tycoon

local FOREVER = 2 ^ 40 -- seconds; the server takes them for no expiry

-- Return the database that a call names.
local function database(index)
  local db = kt.dbs[(tonumber(index) or 0) + 1]
  if not db then error("there is no such database", 0) end
  return db
end

-- Visit one record. What goes wrong in a visitor nobody hears of: raise it here.
local function visit_one(db, key, visit, writable)
  local done, failure
  local visited = db:accept(key, function(_, value, xt)
    local results = { pcall(visit, value, xt) }
    done, failure = results[1], results[2]
    if done and results[2] == false then return kt.Visitor.REMOVE end
    if done and results[2] then return results[2], results[3] end
    return kt.Visitor.NOP
  end, writable)
  if done == false then error(failure, 0) end
  if not visited or not done then error(tostring(db:error()), 0) end
end

-- What the queues work with.
local function tycoon_store(db)
  return {
    get = function(key) return (db:get(key)) end,
    visit_all = function(keys, visit)
      local at = 0
      local visited = db:accept_bulk(keys, function(key, value)
        at = at + 1
        if keys[at] ~= key then return kt.Visitor.NOP end -- no server visits in another order
        local new = visit(at, value)
        if new == false then return kt.Visitor.REMOVE end
        return new or kt.Visitor.NOP
      end)
      if not visited or at ~= #keys then error(tostring(db:error()), 0) end
    end,
  }
end

-- Carry out an operation in a visitor. The record may outlive its use by a second: the server counts
-- whole ones.
local function play(operation, input, args)
  local results
  visit_one(database(input.db), input.key, function(value)
    local new, lifetime
    results, new, lifetime = perform(operation, value, args)
    return new, lifetime and ceil(lifetime) + 1
  end, operation.writes)
  return results
end

-- The expiry, of a record that has one, as a visitor takes it.
local function absolute(xt)
  return xt < FOREVER - 1 and -xt or nil
end

local keys = {}

-- expiry as in the protocol (empty: none) -> whether there is such a record
function keys.keyTouch(input, args)
  local found = false
  visit_one(database(input.db), input.key, function(value)
    found = value ~= nil
    return value, tonumber(args[1]) or FOREVER
  end, true)
  return { truth(found) }
end

-- expiry as in the protocol (empty: none), keys -> how many such records there are
function keys.keyTouchAll(input, args)
  local expiry, found = tonumber(remove(args, 1)) or FOREVER, 0
  local db = database(input.db)
  local visited = db:accept_bulk(args, function(_, value)
    if not value then return kt.Visitor.NOP end
    found = found + 1
    return value, expiry
  end)
  if not visited then error(tostring(db:error()), 0) end
  return { text(found) }
end

-- start, length (empty: to the end) -> a part of the value; nothing if there is no such record
function keys.keyPart(input, args)
  local results = {}
  visit_one(database(input.db), input.key, function(value)
    if not value then return end
    local first, length = number(args[1]), tonumber(args[2])
    results[1] = sub(value, first + 1, length and first + length or -1)
  end, false)
  return results
end

-- -> seconds since the epoch (empty: never); nothing if there is no such record
function keys.keyExpires(input)
  local results = {}
  visit_one(database(input.db), input.key, function(value, xt)
    if value then results[1] = xt < FOREVER - 1 and text(xt) or "" end
  end, false)
  return results
end

-- index of another database, whether to replace a record there -> whether it was moved
--
-- Two visitors, one in the other: the one in the database with the lower index is always the outer
-- one, so that two clients never wait for each other.
function keys.keyMove(input, args)
  local from, to = tonumber(input.db) or 0, number(args[1])
  local source, target, key, moved = database(from), database(to), input.key, false
  if from == to then return { truth(source:check(key) >= 0) } end
  if from < to then
    visit_one(source, key, function(value, xt)
      if not value then return nil end
      visit_one(target, key, function(old)
        moved = old == nil or args[2] == "1"
        if moved then return value, absolute(xt) or FOREVER end
      end, true)
      if moved then return false end
    end, true)
  else
    visit_one(target, key, function(old)
      if old and args[2] ~= "1" then return nil end
      local taken, expiry
      visit_one(source, key, function(value, xt)
        if not value then return nil end
        moved, taken, expiry = true, value, absolute(xt) or FOREVER
        return false
      end, true)
      return taken, expiry
    end, true)
  end
  return { truth(moved) }
end

local function serve_tycoon(run)
  return function(input, output)
    if not input.key then return kt.RVEINVALID end
    output.results = pack(run(input, unpack(input.args or "", 1)))
    return kt.RVSUCCESS
  end
end

-- --------------------------------------------------------------------------------- Tokyo Tyrant

local function put(key, value)
  local done = true
  if value == false then
    done = _out(key)
  elseif value then
    done = _put(key, value)
  end
  if not done then error("the record cannot be written", 0) end
end

local function serve_tyrant(operation)
  return function(key, value)
    local results, new = perform(operation, _get(key), unpack(value, 1))
    if new ~= false or _vsiz(key) >= 0 then put(key, new) end
    return pack(results)
  end
end

local tyrant_store = {
  get = function(key) return _get(key) end,
  visit_all = function(all, visit)
    for at, key in ipairs(all) do
      local value = _get(key)
      local new = visit(at, value)
      if new ~= false or value then put(key, new) end
    end
  end,
}

-- ---------------------------------------------------------------------------- what can be called

if kt then
  for name, operation in pairs(operations) do
    _G[name] = serve_tycoon(function(input, args) return play(operation, input, args) end)
  end
  for name, run in pairs(queues) do
    _G[name] = serve_tycoon(function(input, args)
      return run(tycoon_store(database(input.db)), input.key, args)
    end)
  end
  for name, run in pairs(keys) do _G[name] = serve_tycoon(run) end
else
  for name, operation in pairs(operations) do _G[name] = serve_tyrant(operation) end
  for name, run in pairs(queues) do
    _G[name] = function(key, value) return pack(run(tyrant_store, key, unpack(value, 1))) end
  end
end
