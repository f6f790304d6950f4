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
