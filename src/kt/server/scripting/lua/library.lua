-- What is different here in Lua's own libraries: what this build of Lua lacks, and guards where
-- Lua 5.1 itself would take the process down.
--
-- Loaded by common.lua, with the host's functions (state.py, programs.py).

local host, common = ...

local error, ipairs, pcall, select, setmetatable = error, ipairs, pcall, select, setmetatable
local getmetatable, tonumber, type = getmetatable, tonumber, type
local gsub, sub = string.gsub, string.sub

-- Modules are found where the system's Lua finds them. (Compiled ones cannot be loaded.)

local DEFAULT_PATH = "./?.lua;/usr/local/share/lua/5.1/?.lua;/usr/local/share/lua/5.1/?/init.lua;"
  .. "/usr/local/lib/lua/5.1/?.lua;/usr/local/lib/lua/5.1/?/init.lua;"
  .. "/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua"

local wanted_path = os.getenv("LUA_PATH")
package.path = wanted_path and gsub(wanted_path, ";;", ";" .. DEFAULT_PATH .. ";") or DEFAULT_PATH

function os.exit()
  error("os.exit: a script cannot end the server", 2)
end

-- Text that a pattern repeats, or that is too long for the limit on memory.

if host.memory_limit > 0 then
  local repeated = string.rep

  function string.rep(text, times)
    if #text * times > host.memory_limit then error("the text would take too much memory", 2) end
    return repeated(text, times)
  end
end

-- What a function of Lua's returns or raises, as if the script had called that itself.
local function results(name, ok, ...)
  if ok then return ... end
  local message = (...)
  if message == common.NO_MEMORY then error(message, 0) end
  error(type(message) == "string" and gsub(message, "'%?'", "'" .. name .. "'") or message, 3)
end

-- Lua counts the results in an integer that overflows.

local unpacked = unpack

local function is_small(index)
  index = tonumber(index)
  return index == nil or index > -2 ^ 31 and index < 2 ^ 31
end

function unpack(list, from, to)
  if to ~= nil then
    local count = (tonumber(to) or 0) - (tonumber(from) or 1)
    if not (is_small(from) and is_small(to) and count < 2 ^ 31 - 1) then
      error("too many results to unpack", 2)
    end
  end
  return results("unpack", pcall(unpacked, list, from, to))
end

-- Matching recurs for each quantifier of a pattern, and Lua does not look how deep.

local LONG = 1000  -- a pattern that can hold no more quantifiers than the stack has room for

local function check_pattern(pattern)
  if select(2, gsub(pattern, "[*+?-]", "")) > LONG then error("pattern too complex", 3) end
end

for _, name in ipairs { "find", "match", "gmatch", "gfind", "gsub" } do
  local run = string[name]
  string[name] = function(text, pattern, ...)
    if type(pattern) == "string" and #pattern > LONG then check_pattern(pattern) end
    local replacement = type((...))
    if replacement == "function" or replacement == "table" then return run(text, pattern, ...) end
    return results(name, pcall(run, text, pattern, ...))
  end
end

-- Programs. What a script gets is a file of Lua's own, at the script's end of a pipe.

local open, closed, running = io.open, io.close, setmetatable({}, { __mode = "k" })

function io.popen(command, mode)
  command = common.text(command) or error("bad argument #1 to 'popen' (string expected)", 2)
  mode = mode == nil and "r" or common.text(mode) or error("bad argument #2 to 'popen'", 2)
  local path, program, code = host.popen(common.c_string(command), mode)
  if not path then return nil, program, code end
  local file, message, number = open(path, sub(mode, 1, 1))
  host.popen_opened(program)
  if not file then return nil, message, number end
  running[file] = program
  return file
end

-- The results of closing a file, when its program has ended, too.
local function ended(file, ...)
  local program = file ~= nil and running[file]
  if program then
    running[file] = nil
    local reason = host.popen_wait(program)
    if reason then common.stop(reason) end
  end
  return ...
end

function io.close(...)
  return ended((...), closed(...))
end

getmetatable(io.stdout).__index.close = io.close

-- Finalizers run without the hook that ends scripts, so they run in coroutines, which have their
-- own; and an error in one, which may come when no script runs, must not go further.

local proxy, create, resume = newproxy, coroutine.create, coroutine.resume

local function finalize(finalizer, object)
  if type(finalizer) ~= "function" then return end
  local ok, problem = resume(create(finalizer), object)
  if not ok and not common.stopping() then common.finalizer_failed(common.described(problem)) end
end

function newproxy(...)
  if (...) ~= true then return proxy(...) end
  local object, finalizer = proxy(true), nil
  local inner = getmetatable(object)
  inner.__metatable = setmetatable({}, {
    __index = function(_, name)
      if name == "__gc" then return finalizer end
      return inner[name]
    end,
    __newindex = function(_, name, value)
      if name ~= "__gc" then
        inner[name] = value
        return
      end
      finalizer = value
      inner.__gc = function(dead) finalize(finalizer, dead) end
    end,
  })
  return object
end
