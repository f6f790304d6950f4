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
