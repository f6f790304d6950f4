-- Kyoto Tycoon's scripting interface: the table __kyototycoon__.
--
-- Loaded after common.lua, with the functions of tycoon/script.py; returns the entry function,
-- which calls a script's function, and what the engine calls back. Databases and cursors are
-- tables, as in the original server. A host function returns nil, false or -1 when the engine
-- refuses; `db:error` tells why.

local host, common = ...

local ipairs, pairs, select, setmetatable = ipairs, pairs, select, setmetatable
local tonumber, tostring, type, unpack = tonumber, tostring, type, unpack
local ceil, floor, max, min = math.ceil, math.floor, math.max, math.min
local invalid, text, number, stored = common.invalid, common.text, common.number, common.stored

local kt = {}
__kyototycoon__ = kt

kt.VERSION, kt.thid = host.VERSION, host.thid
kt.RVSUCCESS, kt.RVENOIMPL, kt.RVEINVALID, kt.RVELOGIC, kt.RVEINTERNAL = 0, 1, 2, 3, 5

-- Arguments

-- An integer for the host, of any number: truncated, and no larger than the host's can be.
local function whole(value)
  value = number(value)
  if value ~= value then return 0 end
  return max(-2 ^ 62, min(2 ^ 62, value >= 0 and floor(value) or ceil(value)))
end

local NEVER = 2 ^ 62  -- an expiry so far away

local function expiry(xt)
  return xt == nil and NEVER or whole(xt)
end

-- The value of an optional flag that is true by default.
local function flag(...)
  return select("#", ...) == 0 or not not (...)
end

common.whole, common.expiry, common.flag, common.NEVER = whole, expiry, flag, NEVER

-- An object with these methods.
function common.copied(methods)
  local object = {}
  for name, method in pairs(methods) do object[name] = method end
  return object
end

-- Utilities

for _, name in ipairs {
  "split", "strstr", "pack", "unpack", "codec", "regex", "arraydump", "arrayload", "mapdump",
  "mapload",
} do
  kt[name] = common[name]
end

function kt.sleep(seconds, ...)
  if select("#", ...) > 0 then invalid("sleep") end
  common.sleep(number(seconds))
end

function kt.time(...)
  if select("#", ...) > 0 then invalid("time") end
  return common.time()
end

function kt.bit(mode, ...)
  local result = common.bit(mode, ...)
  return result or floor(number((...))) % 2 ^ 32
end

function kt.levdist(a, b, utf8)
  return common.distance("levdist", a, b, utf8)
end

for _, name in ipairs { "atoi", "atoix", "atof", "hash_murmur", "hash_fnv" } do
  local run = host[name]
  kt[name] = function(...)
    if select("#", ...) ~= 1 then invalid(name) end
    local value = text((...))
    if value then return run(value) end
  end
end

local function prefix_test(name, cut)
  return function(value, pattern)
    value, pattern = text(value), text(pattern)
    if not value or not pattern then invalid(name) end
    return cut(value, #pattern) == pattern
  end
end
kt.strfwm = prefix_test("strfwm", function(value, size) return value:sub(1, size) end)
kt.strbwm = prefix_test("strbwm", function(value, size)
  return size == 0 and "" or value:sub(-size)
end)

function kt.log(kind, ...)
  kind = text(kind)
  if not kind or select("#", ...) ~= 1 then invalid("log") end
  local message = text((...))
  if message then host.log(kind, message) end
end

-- Errors

local Error = {
  SUCCESS = 0, NOIMPL = 1, INVALID = 2, NOREPOS = 3, NOPERM = 4, BROKEN = 5, DUPREC = 6, NOREC = 7,
  LOGIC = 8, SYSTEM = 9, MISC = 15,
}
kt.Error = Error

local ERROR_NAMES = {
  [0] = "success", "not implemented", "invalid operation", "no repository", "no permission",
  "broken file", "record duplication", "no record", "logical inconsistency", "system error",
}

local error_methods = {}

function error_methods.set(self, code, message)
  if tonumber(code) and text(message) then self.code_, self.message_ = code, message end
end

function error_methods.code(self)
  return self.code_
end

function error_methods.name(self)
  return ERROR_NAMES[number(self.code_)] or "miscellaneous error"
end

function error_methods.message(self)
  return self.message_
end

Error.meta_ = {
  __tostring = function(self)
    return error_methods.name(self) .. ": " .. tostring(self.message_)
  end,
}

function Error.new(class, code, message)
  local object = common.copied(error_methods)
  if tonumber(code) and text(message) then
    object.code_, object.message_ = code, message
  else
    object.code_, object.message_ = 0, "error"
  end
  return setmetatable(object, class.meta_)
end

-- The other classes

local visits = common.part("tycoon_visits.lua", host, common)
common.part("tycoon_databases.lua", host, common, visits)

-- The databases that the server has.

kt.dbs = {}
for index, ptr in ipairs(host.databases) do kt.dbs[index] = kt.DB:new(ptr) end
for name, index in pairs(host.names) do kt.dbs[name] = kt.dbs[index + 1] end
kt.db = kt.dbs[1]

-- Calling a script

local globals = _G
local RETURNED_VALUES = 200  -- more come in a table: Lua's stack is limited

local function sent(value)
  if value == true then return "true" end
  if value == false then return "false" end
  return stored(value)
end

function common.finalizer_failed(message)
  host.log_failure("__gc", message)
end

local function call(name, input)
  local procedure = globals[name]
  if type(procedure) ~= "function" then return nil, nil end
  common.restart()
  local output = {}
  local ok, result = common.try(procedure, input, output)
  if not ok then return false, common.described(result) end
  local flat, size = {}, 0
  for key, value in pairs(output) do
    key, value = sent(key), sent(value)
    if key and value then
      flat[size + 1], flat[size + 2] = key, value
      size = size + 2
    end
  end
  result = whole(result)
  if size > RETURNED_VALUES then return result, flat end
  return result, nil, unpack(flat, 1, size)
end

return call, visits.visit_full, visits.visit_empty, visits.process
