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
