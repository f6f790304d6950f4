-- Tokyo Tyrant's scripting interface: global functions whose names begin with an underscore.
--
-- Loaded after common.lua, with the functions of tyrant/script.py; returns the entry function,
-- which calls a script's function, and the ones for hooks and for chunks. A host function
-- returns nil or false when it fails.

local host, common = ...

local error, ipairs, loadstring, pairs, pcall = error, ipairs, loadstring, pairs, pcall
local select, tonumber, type = select, tonumber, type
local ceil, floor, max, min, sort = math.ceil, math.floor, math.max, math.min, table.sort
local text, list, number = common.text, common.list, common.number

_version, _pid, _sid = host.version, host.pid, host.sid
_thnum, _thid = host.thnum, host.thid

local globals = _G

-- Arguments

local invalid = common.invalid

-- The arguments of a function that takes `count` strings.
local function texts(name, count, ...)
  local a, b = ...
  a, b = text(a), text(b)
  if select("#", ...) ~= count or not a or count == 2 and not b then
    error(name .. ": invalid arguments", 3)
  end
  return a, b
end

-- An integer of 32 bits for the host, of any number.
local function int(value)
  if value ~= value then return 0 end
  value = value >= 0 and floor(value) or ceil(value)
  return max(-2 ^ 31, min(2 ^ 31 - 1, value))
end

-- The strings and numbers among arguments, and those in tables among them.
local function flattened(...)
  local result, size = {}, 0
  for index = 1, select("#", ...) do
    local value = (select(index, ...))
    for _, item in ipairs(type(value) == "table" and list(value) or { text(value) }) do
      size = size + 1
      result[size] = item
    end
  end
  return result
end

-- Call a function of the script's for a record; nil if it fails, which the log then says.
local function shown(name, body, ...)
  local ok, result = pcall(body, ...)
  if ok then return not not result end
  if common.stopping() then error(result, 0) end
  host.log_failure(common.described(result))
  return nil
end

-- Records

for _, name in ipairs { "put", "putkeep", "putcat", "stashput", "stashputkeep", "stashputcat" } do
  local store = host[name]
  globals["_" .. name] = function(...)
    return store(texts("_" .. name, 2, ...))
  end
end

for _, name in ipairs { "out", "get", "vsiz", "stashout", "stashget" } do
  local run = host[name]
  globals["_" .. name] = function(...)
    return run((texts("_" .. name, 1, ...)))
  end
end

for _, name in ipairs { "iterinit", "iternext", "vanish", "rnum", "size", "time", "stashvanish" } do
  local run = host[name] or common[name]
  globals["_" .. name] = function(...)
    if select("#", ...) > 0 then invalid("_" .. name) end
    return run()
  end
end

function _fwmkeys(prefix, limit)
  prefix = text(prefix) or invalid("_fwmkeys")
  return host.fwmkeys(prefix, int(tonumber(limit) or -1))
end

function _addint(key, amount, extra)
  key, amount = text(key), tonumber(amount)
  if not key or not amount or extra ~= nil then invalid("_addint") end
  return host.addint(key, int(amount))
end

function _adddouble(key, amount, extra)
  key, amount = text(key), tonumber(amount)
  if not key or not amount or extra ~= nil then invalid("_adddouble") end
  return host.adddouble(key, amount)
end

function _misc(name, ...)
  name = text(name) or invalid("_misc")
  local silent = name:sub(1, 1) == "$"
  return host.misc(silent and name:sub(2) or name, flattened(...), silent)
end

function _foreach(body, ...)
  if type(body) ~= "function" or select("#", ...) > 0 then invalid("_foreach") end
  local next_record = common.outside(host.records(nil))
  local key, value = next_record()
  while key and shown("_foreach", body, key, value) do
    key, value = next_record()
  end
  return true
end

function _stashforeach(body, ...)
  if type(body) ~= "function" or select("#", ...) > 0 then invalid("_stashforeach") end
  for key, value in pairs(host.stash()) do
    if not shown("_stashforeach", body, key, value) then break end
  end
end

-- What the mapper emits is collected by key, in memory.

local function mapped(mapper, keys, emit)
  local next_record = common.outside(host.records(keys))
  local key, value = next_record()
  while key do
    if shown("_mapreduce", mapper, key, value, emit) == nil then return false end
    key, value = next_record()
  end
  return true
end

function _mapreduce(mapper, reducer, ...)
  if type(mapper) ~= "function" or type(reducer) ~= "function" then invalid("_mapreduce") end
  local emit, groups, keys = common.collector("_mapreducemapemit")
  local targets = select("#", ...) > 0 and (...) ~= nil and flattened((...)) or nil
  if not mapped(mapper, targets, emit) then return false end
  sort(keys)
  for _, key in ipairs(keys) do
    if not shown("_mapreduce", reducer, key, groups[key]) then return false end
  end
  return true
end

-- The server

function _log(message, level, ...)
  message = text(message) or invalid("_log")
  host.log(message, int(level == nil and 1 or number(level)))
end

-- Run a chunk in this state; what is wrong with it is for the log.
local function run_chunk(chunk)
  local body, message = loadstring(chunk)
  if body then
    local ok, failure = common.try(body)
    message = not ok and common.described(failure) or nil
  end
  if message then host.log_failure(message) end
end

function _eval(...)
  local chunk = texts("_eval", 1, ...)
  host.share(chunk)
  run_chunk(chunk)
  if common.stopping() then common.stop(common.stopping()) end
  return true
end

function _lock(...)
  local reason = host.lock((texts("_lock", 1, ...)))
  if reason then common.stop(reason) end
  return true
end

function _unlock(...)
  return host.unlock((texts("_unlock", 1, ...)))
end

function _sleep(...)
  local seconds = tonumber((...))
  if not seconds or select("#", ...) > 1 then invalid("_sleep") end
  common.sleep(seconds)
  return true
end

-- Utilities

for _, name in ipairs { "pack", "unpack", "split", "strstr", "regex" } do
  globals["_" .. name] = common[name]
end

function _codec(...)
  return common.codec(texts("_codec", 2, ...))
end

function _hash(...)
  return host.hash(texts("_hash", 2, ...))
end

function _bit(mode, ...)
  return common.bit(mode, ...) or invalid("_bit")
end

function _dist(a, b, utf8)
  return common.distance("_dist", a, b, utf8)
end

function _ucs(data, ...)
  if select("#", ...) > 0 then invalid("_ucs") end
  if type(data) ~= "table" then return host.to_ucs2(text(data) or invalid("_ucs")) end
  local codes = {}
  for index = 1, #data do codes[index] = int(number(data[index])) end
  return host.from_ucs2(codes)
end

-- The tables among arguments; those in the first one if it begins with tables.
local function tables(...)
  local given, found = { ... }, {}
  local only = select("#", ...) == 1 and (...)
  if type(only) == "table" and type(only[1]) == "table" then given = only end
  for index = 1, #given do
    if type(given[index]) == "table" then found[#found + 1] = given[index] end
  end
  return found
end

function _isect(...)
  local sets, counts, result = tables(...), {}, {}
  for index, set in ipairs(sets) do
    for _, item in ipairs(list(set)) do
      if (counts[item] or 0) == index - 1 then
        counts[item] = index
        if index == #sets then result[#result + 1] = item end
      end
    end
  end
  return result
end

function _union(...)
  local seen, result = {}, {}
  for _, set in ipairs(tables(...)) do
    for _, item in ipairs(list(set)) do
      if not seen[item] then
        seen[item] = true
        result[#result + 1] = item
      end
    end
  end
  return result
end

for _, name in ipairs { "stat", "glob", "remove", "mkdir" } do
  local run = host[name]
  globals["_" .. name] = function(...)
    return run((texts("_" .. name, 1, ...)))
  end
end

-- Calling a script

-- A result as bytes; nil if it says that there is none.
local function sent(value)
  if value == true then return "true" end
  return text(value)
end

local function called(ok, result, ...)
  if not ok then return nil, common.described(result) end
  if type(result) == "table" then result = result[1] end
  return sent(result)
end

local function call(name, key, value)
  local procedure = globals[name]
  if type(procedure) ~= "function" then return nil end
  common.restart()
  return called(common.try(procedure, key, value))
end

function common.finalizer_failed(message)
  host.log_failure("__gc: " .. message)
end

-- Call `_begin` or `_end`, if the script has it.
local function hook(name)
  local procedure = globals[name]
  if type(procedure) ~= "function" then return nil end
  common.restart()
  local ok, failure = common.try(procedure)
  return not ok and common.described(failure) or nil
end

return call, hook, run_chunk
