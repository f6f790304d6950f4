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
