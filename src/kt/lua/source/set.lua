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
