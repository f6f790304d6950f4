-- What the scripts of both servers share: limits on a running script, and utilities in pure Lua.
--
-- Loaded first, with the host's functions (state.py) in a table; returns a table of functions
-- for tycoon.lua and tyrant.lua. Scripts see neither table. library.lua changes Lua's own libraries.

local host = ...

local byte, char, find, format = string.byte, string.char, string.find, string.format
local sub, concat, floor = string.sub, table.concat, math.floor
local assert, error, loadstring, pairs, pcall = assert, error, loadstring, pairs, pcall
local select, tonumber, tostring, type, unpack = select, tonumber, tostring, type, unpack

local common = {}

-- Python stays out of reach.
python, package.loaded.python = nil, nil

-- Memory. Lua's own limit is on while the script runs, and off while the host does: the host does
-- not survive that it is reached. Meanwhile it is far above the script's, which `watch` sees to,
-- because Lua does not look for garbage before it gives up.

-- A function of the host's, to be called by scripts.
function common.outside(run)
  return run
end

-- A function of the script's, called by the host: as pcall.
common.try = pcall

common.NO_MEMORY = "not enough memory"  -- what Lua says

if host.memory_limit > 0 then
  -- At once, all that is garbage, when memory has grown by half; not bit by bit, and too late where
  -- the bits are large.
  collectgarbage("setstepmul", 0)
  collectgarbage("setpause", 150)

  local restrict, relax = host.restrict, host.relax  -- return whether the limit was on

  local function back(was, ok, ...)
    if was then restrict() end
    if not ok then error((...), 0) end
    return ...
  end

  function common.outside(run)
    return function(...)
      return back(relax(), pcall(run, ...))
    end
  end

  local function after(was, ...)
    if not was then relax() end
    return ...
  end

  function common.try(body, ...)
    return after(restrict(), pcall(body, ...))
  end

  for name, run in pairs(host) do
    if type(run) == "userdata" then host[name] = common.outside(run) end
  end
end

-- Limits.
--
-- Every so many instructions Lua calls `watch`, in every coroutine. When the script must
-- end, `watch` raises an error, and goes on raising one with each instruction of the script, so
-- that a `pcall` around an endless loop does not keep it alive. The prelude is spared: it has to
-- report the end. The clock costs no GIL; the host is asked once a second.

local sethook, getinfo, clock, memory = debug.sethook, debug.getinfo, os.time, collectgarbage
local prelude = { ["=common.lua"] = true, ["=(tail call)"] = true }  -- what is not the script
local asked = 0       -- second in which the host was asked last
local verdict         -- why the running script must end; nil while it may run
local memory_limit = host.memory_limit / 1024
local interval = memory_limit > 0 and 250 or 10000

local OVER_MEMORY = "the script uses too much memory"

local watch

local function verdict_on_memory()
  if memory("count") <= memory_limit then return nil end
  memory("collect")
  return memory("count") > memory_limit and OVER_MEMORY or nil
end

function watch()
  local now = clock()
  if now ~= asked then
    asked = now
    verdict = verdict or host.verdict()
  end
  if memory_limit > 0 and memory("count") > memory_limit then
    verdict = verdict or verdict_on_memory()
  end
  if verdict then
    sethook(watch, "", 1)
    if not prelude[getinfo(2, "S").source] then error(verdict, 2) end
  end
end

sethook(watch, "", interval)
debug.sethook = function() error("debug.sethook: the server has the hook", 2) end

-- A new call begins: what was said about the last one no longer holds.
function common.restart()
  if verdict then
    verdict = nil
    sethook(watch, "", interval)
  end
end

-- The host found, while it waited or called back, that the script must end.
function common.stop(reason)
  verdict = reason
  sethook(watch, "", 1)
  local level = 2
  local caller = getinfo(level, "S")
  while caller and (prelude[caller.source] or caller.what == "C") do
    level = level + 1
    caller = getinfo(level, "S")
  end
  error(reason, level)
end

function common.stopping()
  return verdict
end

-- An error handler runs without `watch` if the error came from there, so it must not run then.

local protected = xpcall

function xpcall(body, handler)
  return protected(body, function(problem)
    if verdict then return problem end
    return handler(problem)
  end)
end

-- Coroutines are watched too. While one runs, its caller's frame holds it: the host, called from
-- it, may clear the stack that held it otherwise.

local create, resume = coroutine.create, coroutine.resume

function coroutine.create(body)
  local routine = create(body)
  sethook(routine, watch, "", interval)
  return routine
end

local function held(_, ...)
  return ...
end

function coroutine.resume(routine, ...)
  return held(routine, resume(routine, ...))
end

local function results(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

function coroutine.wrap(body)
  local routine = coroutine.create(body)
  return function(...)
    return held(routine, results(resume(routine, ...)))
  end
end

-- A finalizer of the script's has failed; the preludes log it.
function common.finalizer_failed() end

-- What an error says. It may be any object, even one that has no text to show.
function common.described(problem)
  if problem == common.NO_MEMORY and memory_limit > 0 then return OVER_MEMORY end
  local ok, description = pcall(tostring, problem)
  return ok and description or "an error that cannot be shown"
end

-- Run a further file of the prelude; returns what it returns.
function common.part(name, ...)
  prelude["=" .. name] = true
  return assert(loadstring(host.source(name), "=" .. name))(...)
end

-- Run a script at top level; returns what is wrong with it, if anything is.
function common.run(source, name)
  common.restart()
  local chunk, message = loadstring(source, "@" .. name)
  if not chunk then return message end
  local ok, failure = common.try(chunk)
  return not ok and common.described(failure) or nil
end

-- Arguments, as the originals' C functions take them.

function common.invalid(name)
  error(name .. ": invalid arguments", 3)
end

-- A string or number as a string; nil for anything else.
function common.text(value)
  local kind = type(value)
  if kind == "string" then return value end
  return kind == "number" and tostring(value) or nil
end

-- What a C function sees of a string: the part before its first zero byte.
local function c_string(text)
  local zero = find(text, "%z")
  return zero and sub(text, 1, zero - 1) or text
end
common.c_string = c_string

-- A number or numeric string as a number; 0 for anything else.
function common.number(value)
  return tonumber(value) or 0
end

-- How a number is stored and sent: without fraction if it has none.
local function decimal(value)
  return value == floor(value) and format("%d", value) or format("%f", value)
end
common.decimal = decimal

-- A string or number as bytes to store; nil for anything else.
local function stored(value)
  local kind = type(value)
  if kind == "string" then return value end
  return kind == "number" and decimal(value) or nil
end
common.stored = stored

-- The values of a table from 1 to its length that are strings or numbers.
function common.list(values)
  local result, size = {}, 0
  for index = 1, #values do
    local text = common.text(values[index])
    if text then
      size = size + 1
      result[size] = text
    end
  end
  return result
end

-- For what a mapper emits: a function that takes a key and a value (`name` is it in errors), the
-- values by key, and the keys in the order in which they came.
function common.collector(name)
  local groups, keys = {}, {}
  local function emit(key, value)
    key, value = common.text(key), common.text(value)
    if not key or not value then common.invalid(name) end
    local values = groups[key]
    if values then
      values[#values + 1] = value
    else
      groups[key] = { value }
      keys[#keys + 1] = key
    end
    return true
  end
  return emit, groups, keys
end

-- Utilities that both servers have under the same names, without prefix here.

function common.split(text, delimiters)
  text = common.text(text) or common.invalid("split")
  delimiters = common.text(delimiters)
  local pattern = "%z"
  if delimiters then
    text, delimiters = c_string(text), c_string(delimiters)
    if delimiters == "" then return {text} end
    pattern = "[" .. delimiters:gsub("%W", "%%%0") .. "]"
  end
  local parts, size, from = {}, 0, 1
  local at = find(text, pattern)
  while at do
    size = size + 1
    parts[size] = sub(text, from, at - 1)
    from = at + 1
    at = find(text, pattern, from)
  end
  parts[size + 1] = sub(text, from)
  return parts
end

local function replaced(text, pattern, replacement)
  if pattern == "" then return text end
  local parts, size, from = {}, 0, 1
  local at = find(text, pattern, 1, true)
  while at do
    parts[size + 1] = sub(text, from, at - 1)
    parts[size + 2] = replacement
    size = size + 2
    from = at + #pattern
    at = find(text, pattern, from, true)
  end
  parts[size + 1] = sub(text, from)
  return concat(parts)
end

function common.strstr(text, pattern, replacement)
  text, pattern = common.text(text), common.text(pattern)
  if not text or not pattern then common.invalid("strstr") end
  text, pattern, replacement = c_string(text), c_string(pattern), common.text(replacement)
  if replacement then return replaced(text, pattern, c_string(replacement)) end
  return find(text, pattern, 1, true) or 0
end

local MANY = 200  -- so many values can be arguments and results; more go in a table

-- Numbers as bytes. A number stands for itself, a string for its number, a table for its elements.
function common.pack(layout, ...)
  layout = common.text(layout) or common.invalid("pack")
  local numbers, size = {}, 0
  for index = 1, select("#", ...) do
    local value = (select(index, ...))
    if type(value) == "table" then
      for element = 1, #value do
        size = size + 1
        numbers[size] = tonumber(value[element]) or 0
      end
    else
      size = size + 1
      numbers[size] = tonumber(value) or 0
    end
  end
  if size > MANY then return host.pack_table(layout, numbers) end
  return host.pack(layout, unpack(numbers, 1, size))
end

function common.unpack(layout, ...)
  layout = common.text(layout)
  if not layout or select("#", ...) ~= 1 then common.invalid("unpack") end
  local data = common.text((...)) or ""
  if #data > MANY then return host.unpack_table(layout, data) end
  return { host.unpack(layout, data) }
end

function common.bit(mode, ...)
  mode = common.text(mode)
  if not mode or select("#", ...) < 1 then common.invalid("bit") end
  local number, operand = ...
  return host.bit(mode, tonumber(number) or 0, tonumber(operand) or 0)
end

function common.codec(mode, data)
  mode, data = common.text(mode), common.text(data)
  if not mode or not data then common.invalid("codec") end
  return host.codec(mode, data)
end

function common.regex(text, pattern, replacement)
  text, pattern = common.text(text), common.text(pattern)
  if not text or not pattern then common.invalid("regex") end
  replacement = common.text(replacement)
  if replacement then return host.regex_replace(text, pattern, replacement) end
  return host.regex_match(text, pattern)
end

function common.distance(name, a, b, utf8)
  a, b = common.text(a), common.text(b)
  if not a or not b then common.invalid(name) end
  return host.distance(a, b, utf8 and true or false)
end

common.time = host.time

function common.sleep(seconds)
  local reason = host.sleep(seconds)
  if reason then common.stop(reason) end
end

-- Sizes as the originals write them: seven bits a byte, most significant first.

local SHORT = {}
for size = 0, 127 do SHORT[size] = char(size) end

local function size_prefix(size)
  local prefix = SHORT[size % 128]
  size = floor(size / 128)
  while size > 0 do
    prefix = char(size % 128 + 128) .. prefix
    size = floor(size / 128)
  end
  return prefix
end

-- The number at `from` and the offset after it; nil if it is cut off.
local function read_size(data, from)
  local size, digit = 0, byte(data, from)
  while digit and digit >= 128 do
    size = size * 128 + digit - 128
    from = from + 1
    digit = byte(data, from)
  end
  return digit and size * 128 + digit, from + 1
end

function common.arraydump(values)
  if type(values) ~= "table" then common.invalid("arraydump") end
  local parts, size = {}, 0
  for index = 1, #values do
    local value = values[index]
    if type(value) ~= "string" then value = stored(value) end
    if value then
      parts[size + 1] = SHORT[#value] or size_prefix(#value)
      parts[size + 2] = value
      size = size + 2
    end
  end
  return concat(parts)
end

function common.arrayload(data)
  data = common.text(data) or common.invalid("arrayload")
  local values, count, at, ends = {}, 0, 1, #data
  while at <= ends do
    local size, from = byte(data, at), at + 1
    if size >= 128 then
      size, from = read_size(data, at)
      if not size then break end
    end
    at = from + size
    if at - 1 > ends then break end
    count = count + 1
    values[count] = sub(data, from, at - 1)
  end
  return values
end

function common.mapdump(map)
  if type(map) ~= "table" then common.invalid("mapdump") end
  local parts, size = {}, 0
  for key, value in pairs(map) do
    if type(key) ~= "string" then key = stored(key) end
    if type(value) ~= "string" then value = stored(value) end
    if key and value then
      parts[size + 1] = SHORT[#key] or size_prefix(#key)
      parts[size + 2] = SHORT[#value] or size_prefix(#value)
      parts[size + 3] = key
      parts[size + 4] = value
      size = size + 4
    end
  end
  return concat(parts)
end

function common.mapload(data)
  data = common.text(data) or common.invalid("mapload")
  local map, at, ends = {}, 1, #data
  while at < ends do
    local key_size, value_size = byte(data, at, at + 1)
    local from = at + 2
    if key_size >= 128 or value_size >= 128 then
      key_size, from = read_size(data, at)
      if not key_size then break end
      value_size, from = read_size(data, from)
      if not value_size then break end
    end
    local middle = from + key_size
    at = middle + value_size
    if at - 1 > ends then break end
    map[sub(data, from, middle - 1)] = sub(data, middle, at - 1)
  end
  return map
end

common.part("library.lua", host, common)

return common
