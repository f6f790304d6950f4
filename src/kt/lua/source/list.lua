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
