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
