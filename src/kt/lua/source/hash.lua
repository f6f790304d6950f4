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
