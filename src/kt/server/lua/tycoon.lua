-- Kyoto Tycoon's scripting interface: the table __kyototycoon__.
--
-- Loaded after common.lua, with the functions of lua_tycoon.py; returns the entry function, which calls
-- a script's function, and the visitor's functions, which the engine calls. Databases and cursors are
-- tables, as in the original server; `db_ptr_` and `cur_ptr_` in them are the host's opaque objects.
-- A host function returns nil, false or -1 when the engine refuses; `db:error` tells why.

local host, common = ...

local error, getmetatable, pairs, pcall, rawget, select = error, getmetatable, pairs, pcall, rawget, select
local setmetatable, tostring, type, unpack = setmetatable, tostring, type, unpack
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

-- Utilities

for _, name in ipairs {
  "split", "strstr", "pack", "unpack", "codec", "regex", "sleep", "arraydump", "arrayload", "mapdump", "mapload",
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
kt.strbwm = prefix_test("strbwm", function(value, size) return size == 0 and "" or value:sub(-size) end)

function kt.log(kind, ...)
  kind = text(kind)
  if not kind or select("#", ...) ~= 1 then invalid("log") end
  local message = text((...))
  if message then host.log(kind, message) end
end

-- Errors

local Error = { SUCCESS = 0, NOIMPL = 1, INVALID = 2, NOREPOS = 3, NOPERM = 4, BROKEN = 5, DUPREC = 6, NOREC = 7,
                LOGIC = 8, SYSTEM = 9, MISC = 15 }
kt.Error = Error

local ERROR_NAMES = { [0] = "success", "not implemented", "invalid operation", "no repository", "no permission",
                      "broken file", "record duplication", "no record", "logical inconsistency", "system error" }

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
  __tostring = function(self) return error_methods.name(self) .. ": " .. tostring(self.message_) end,
}

local function copied(methods)
  local object = {}
  for name, method in pairs(methods) do object[name] = method end
  return object
end

function Error.new(class, code, message)
  local object = copied(error_methods)
  if tonumber(code) and text(message) then
    object.code_, object.message_ = code, message
  else
    object.code_, object.message_ = 0, "error"
  end
  return setmetatable(object, class.meta_)
end

-- Visitors
--
-- While the host's accept runs, `visitor` is the script's and the engine calls `visit_full` and
-- `visit_empty` here, with the record locked. A visitor that fails leaves its record as it is, and the
-- log says so; one that must end ends the whole operation.

local NOP, REMOVE = host.NOP, host.REMOVE
kt.Visitor = { NOP = NOP, REMOVE = REMOVE, meta_ = {} }

function kt.Visitor.new(class)
  local object = {}
  function object.visit_full() return nil end
  function object.visit_empty() return nil end
  return setmetatable(object, class.meta_)
end

local visitor, writable

local function visit_failed(name, message)
  if common.stopping() then error(message, 0) end
  host.log_failure(name, tostring(message))
  return NOP
end

-- The answer to the engine: `xt` is the visitor's, `otherwise` holds if that is no number.
local function answer(value, xt, otherwise)
  if value == REMOVE then return value end
  value = text(value)
  if not value then return NOP end
  return value, tonumber(xt) and whole(xt) or otherwise
end

local function visit_full(key, value, xt)
  local ok, result, new_xt
  if type(visitor) == "function" then
    ok, result, new_xt = pcall(visitor, key, value, xt)
  elseif type(visitor.visit_full) == "function" then
    ok, result, new_xt = pcall(visitor.visit_full, visitor, key, value, xt)
  else
    return NOP
  end
  if not ok then return visit_failed("visit_full", result) end
  if not writable then return NOP end
  return answer(result, new_xt, -xt)
end

local function visit_empty(key)
  local ok, result, new_xt
  if type(visitor) == "function" then
    ok, result, new_xt = pcall(visitor, key)
  elseif type(visitor.visit_empty) == "function" then
    ok, result, new_xt = pcall(visitor.visit_empty, visitor, key)
  else
    return NOP
  end
  if not ok then return visit_failed("visit_empty", result) end
  if not writable or result == REMOVE then return NOP end
  return answer(result, new_xt, NEVER)
end

-- Run a host function that calls the visitor back. A reason instead of true or false: it must end.
local function visited(new_visitor, new_writable, accept, ...)
  local old_visitor, old_writable = visitor, writable
  visitor, writable = new_visitor, new_writable
  local result = accept(...)
  visitor, writable = old_visitor, old_writable
  if result == nil then common.stop(common.stopping()) end
  return result
end

local function is_visitor(value)
  return type(value) == "table" or type(value) == "function"
end

-- What a visitor may have to be told before and after an operation on many records.
local function told(moment, who)
  local tell = type(who) == "table" and who[moment]
  if type(tell) == "function" then
    local ok, message = pcall(tell, who)
    if not ok then visit_failed(moment, message) end
  end
end

-- File processors

kt.FileProcessor = { meta_ = {} }

function kt.FileProcessor.new(class)
  return setmetatable({ process = function() return true end }, class.meta_)
end

local processor

local function process(path, count, size)
  local ok, result
  if type(processor) == "function" then
    ok, result = pcall(processor, path, count, size)
  else
    ok, result = pcall(processor.process, processor, path, count, size)
  end
  if not ok then
    visit_failed("process", result)
    return false
  end
  return not not result
end

local function processed(name, ptr, hard, new_processor)
  if not ptr then invalid(name) end
  local old_processor = processor
  processor = is_visitor(new_processor) and new_processor or nil
  local result = host.synchronize(ptr, not not hard, processor ~= nil)
  processor = old_processor
  if result == nil then common.stop(common.stopping()) end
  return result
end

-- Cursors

local Cursor = {}
kt.Cursor = Cursor
local cursor_methods = {}

Cursor.meta_ = {
  __tostring = function(self)
    local ptr = self.cur_ptr_
    if not ptr then return "(disabled)" end
    return (host.db_path(self.db_.db_ptr_) or "(nil)") .. ": " .. (host.cur_get_key(ptr, false) or "(nil)")
  end,
  __call = function(self)
    local key, value = host.cur_get(self.cur_ptr_ or invalid("cursor"), true)
    return key, value
  end,
}

function Cursor.new(class, db)
  local object = copied(cursor_methods)
  object.cur_ptr_ = host.cursor(db.db_ptr_ or invalid("new"))
  object.db_ = db
  return setmetatable(object, class.meta_)
end

function cursor_methods.disable(self)
  host.cur_close(self.cur_ptr_ or invalid("disable"))
  self.cur_ptr_ = nil
  return nil
end

function cursor_methods.accept(self, new_visitor, ...)
  local ptr = self.cur_ptr_
  if not ptr or not is_visitor(new_visitor) or select("#", ...) > 2 then invalid("accept") end
  local new_writable, step = flag(...), select("#", ...) == 2 and not not select(2, ...)
  return visited(new_visitor, new_writable, host.cur_accept, ptr, new_writable, step)
end

-- The original server confuses the two optional arguments: `step` counts as the expiry, as 0 or 1
-- second from now, and the cursor moves on unless `xt` is 0. So it has to be; `accept` does what
-- its arguments say.
function cursor_methods.set_value(self, value, xt, step)
  local ptr = self.cur_ptr_
  value = text(value)
  if not ptr or not value then invalid("set_value") end
  return host.cur_set_value(ptr, value, step and 1 or 0, xt == nil or whole(xt) ~= 0)
end

for _, name in ipairs { "get_key", "get_value", "get" } do
  local get = host["cur_" .. name]
  cursor_methods[name] = function(self, step)
    return get(self.cur_ptr_ or invalid(name), not not step)
  end
end

for _, name in ipairs { "remove", "seize", "step", "step_back" } do
  local run = host["cur_" .. name]
  cursor_methods[name] = function(self)
    return run(self.cur_ptr_ or invalid(name))
  end
end

for _, name in ipairs { "jump", "jump_back" } do
  local jump = host["cur_" .. name]
  cursor_methods[name] = function(self, ...)
    local ptr = self.cur_ptr_ or invalid(name)
    if select("#", ...) == 0 then return jump(ptr) end
    return jump(ptr, text((...)) or invalid(name))
  end
end

function cursor_methods.db(self)
  return self.cur_ptr_ and self.db_ or invalid("db")
end

function cursor_methods.error(self)
  return cursor_methods.db(self):error()
end

-- Databases

local DB = { OREADER = 1, OWRITER = 2, OCREATE = 4, OTRUNCATE = 8, OAUTOTRAN = 16, OAUTOSYNC = 32, ONOLOCK = 64,
             OTRYLOCK = 128, ONOREPAIR = 256, MSET = 0, MADD = 1, MREPLACE = 2, MAPPEND = 3,
             XNOLOCK = 1, XNOCOMP = 256 }
kt.DB = DB
local methods = {}

-- The host's object of a database; an error if there is none.
local function handle(self, name)
  return rawget(self, "db_ptr_") or error(name .. ": invalid arguments", 3)
end

DB.meta_ = {
  __tostring = function(self)
    local ptr = handle(self, "tostring")
    return (host.db_path(ptr) or "(nil)") .. ": " .. common.decimal(host.count(ptr)) .. ": "
      .. common.decimal(host.size(ptr))
  end,
  __index = function(self, key)
    return (host.get(handle(self, "index"), text(key) or invalid("index")))
  end,
  __newindex = function(self, key, value)
    local ptr = handle(self, "newindex")
    key, value = text(key) or invalid("newindex"), text(value)
    if value then host.set(ptr, key, value, NEVER) else host.remove(ptr, key) end
  end,
}

function DB.new(class, ptr)
  local object = copied(methods)
  object.db_ptr_ = ptr or host.new_db()
  object.err_, object.cur_ = Error, Cursor
  return setmetatable(object, class.meta_)
end

function DB.new_ptr()
  return host.new_db()
end

function DB.delete_ptr(_, ptr)
  host.close(ptr)
  return nil
end

function DB.process(class, body, ...)
  if type(body) ~= "function" or select("#", ...) > 2 then invalid("process") end
  local db = class:new()
  if not db:open(...) then return db:error() end
  local ok, message = pcall(body, db)
  local closed = db:close()
  if not ok then error(message, 0) end
  if not closed then return db:error() end
  return nil
end

function methods.error(self)
  local code, message = host.error(self.db_ptr_ or invalid("error"))
  return self.err_:new(code, message)
end

function methods.open(self, path, mode)
  mode = tonumber(mode) or DB.OWRITER + DB.OCREATE
  return host.open(self.db_ptr_ or invalid("open"), text(path) or ":", whole(mode))
end

function methods.close(self)
  return host.close(self.db_ptr_ or invalid("close"))
end

function methods.accept(self, key, new_visitor, ...)
  local ptr, new_writable = self.db_ptr_ or invalid("accept"), flag(...)
  key = text(key)
  if not key or not is_visitor(new_visitor) or select("#", ...) > 1 then invalid("accept") end
  return visited(new_visitor, new_writable, host.accept, ptr, key, new_writable)
end

function methods.accept_bulk(self, keys, new_visitor, ...)
  local ptr, new_writable = self.db_ptr_ or invalid("accept_bulk"), flag(...)
  if type(keys) ~= "table" or not is_visitor(new_visitor) or select("#", ...) > 1 then invalid("accept_bulk") end
  told("visit_before", new_visitor)
  local result = visited(new_visitor, new_writable, host.accept_bulk, ptr, common.list(keys), new_writable)
  told("visit_after", new_visitor)
  return result
end

function methods.iterate(self, new_visitor, ...)
  local ptr, new_writable = self.db_ptr_ or invalid("iterate"), flag(...)
  if not is_visitor(new_visitor) or select("#", ...) > 1 then invalid("iterate") end
  told("visit_before", new_visitor)
  local result = visited(new_visitor, new_writable, host.iterate, ptr, new_writable)
  told("visit_after", new_visitor)
  return result
end

for _, name in ipairs { "set", "add", "replace", "append" } do
  local store = host[name]
  methods[name] = function(self, key, value, xt, extra)
    local ptr = self.db_ptr_ or invalid(name)
    if type(key) ~= "string" then key = text(key) end
    if type(value) ~= "string" then value = text(value) end
    if not key or not value or extra ~= nil then invalid(name) end
    return store(ptr, key, value, xt == nil and NEVER or whole(xt))
  end
end

function methods.increment(self, key, amount, origin, xt)
  local ptr = self.db_ptr_ or invalid("increment")
  key = text(key) or invalid("increment")
  origin = number(origin)
  return host.increment(ptr, key, whole(amount), origin, expiry(xt))
end

function methods.increment_double(self, key, amount, origin, xt)
  local ptr = self.db_ptr_ or invalid("increment_double")
  key = text(key) or invalid("increment_double")
  return host.increment_double(ptr, key, number(amount), number(origin), expiry(xt))
end

function methods.cas(self, key, ...)
  local ptr = self.db_ptr_ or invalid("cas")
  local old, new, xt = ...
  key = text(key)
  if not key or select("#", ...) < 2 or select("#", ...) > 3 then invalid("cas") end
  return host.cas(ptr, key, text(old), text(new), expiry(xt))
end

for _, name in ipairs { "remove", "get", "seize" } do
  local run = host[name]
  methods[name] = function(self, key, extra)
    local ptr = self.db_ptr_ or invalid(name)
    if type(key) ~= "string" then key = text(key) end
    if not key or extra ~= nil then invalid(name) end
    return run(ptr, key)
  end
end

function methods.check(self, key, extra)
  local ptr = self.db_ptr_ or invalid("check")
  key = text(key)
  if not key or extra ~= nil then invalid("check") end
  local size = host.check(ptr, key)
  return size or -1
end

function methods.set_bulk(self, records, xt, ...)
  local ptr = self.db_ptr_ or invalid("set_bulk")
  if type(records) ~= "table" or select("#", ...) > 1 then invalid("set_bulk") end
  local normal = {}
  for key, value in pairs(records) do
    key, value = stored(key), stored(value)
    if key and value then normal[key] = value end
  end
  return host.set_bulk(ptr, normal, expiry(xt), flag(...))
end

for _, name in ipairs { "remove_bulk", "get_bulk" } do
  local run = host[name]
  methods[name] = function(self, keys, ...)
    local ptr = self.db_ptr_ or invalid(name)
    if type(keys) ~= "table" or select("#", ...) > 1 then invalid(name) end
    return run(ptr, common.list(keys), flag(...))
  end
end

for _, name in ipairs { "clear", "count", "size", "status" } do
  local run = host[name]
  methods[name] = function(self, ...)
    if select("#", ...) > 0 then invalid(name) end
    return run(self.db_ptr_ or invalid(name))
  end
end

function methods.path(self)
  return host.db_path(self.db_ptr_ or invalid("path"))
end

function methods.synchronize(self, hard, new_processor)
  return processed("synchronize", self.db_ptr_ or invalid("synchronize"), hard, new_processor)
end

function methods.occupy(self, _, new_processor)
  local ptr = self.db_ptr_ or invalid("occupy")
  if not is_visitor(new_processor) then return host.count(ptr) >= 0 end
  return processed("occupy", ptr, false, new_processor)
end

for _, name in ipairs { "copy", "dump_snapshot", "load_snapshot" } do
  local run = host[name]
  methods[name] = function(self, path)
    return run(self.db_ptr_ or invalid(name), text(path) or invalid(name))
  end
end

function methods.begin_transaction(self, hard)
  local result = host.begin_transaction(self.db_ptr_ or invalid("begin_transaction"), not not hard)
  if type(result) == "string" then common.stop(result) end
  return result
end

function methods.end_transaction(self, ...)
  return host.end_transaction(self.db_ptr_ or invalid("end_transaction"), flag(...))
end

function methods.transaction(self, body, hard)
  if not self:begin_transaction(hard) then return false end
  local ok, result = pcall(body)
  local ended = self:end_transaction(ok and not not result)
  if not ok then error(result, 0) end
  return ended
end

function methods.match_prefix(self, prefix, limit)
  return host.match_prefix(self.db_ptr_ or invalid("match_prefix"), text(prefix) or invalid("match_prefix"),
                           whole(limit == nil and -1 or limit))
end

function methods.match_regex(self, regex, limit)
  return host.match_regex(self.db_ptr_ or invalid("match_regex"), text(regex) or invalid("match_regex"),
                          whole(limit == nil and -1 or limit))
end

function methods.match_similar(self, origin, range, utf8, limit)
  range = whole(range == nil and -1 or range)
  if range < 0 then range = 2 ^ 31 - 1 end
  return host.match_similar(self.db_ptr_ or invalid("match_similar"), text(origin) or invalid("match_similar"),
                            range, not not utf8, whole(limit == nil and -1 or limit))
end

-- Store every record of other databases, each one atomically.
function methods.merge(self, sources, mode)
  if type(sources) ~= "table" then invalid("merge") end
  local store = ({ [0] = self.set, self.add, self.replace, self.append })[tonumber(mode) or DB.MSET] or invalid("merge")
  for index = 1, #sources do
    local cursor = sources[index]:cursor()
    cursor:jump()
    local key, value, xt = cursor:get(true)
    while key do
      store(self, key, value, -xt)
      key, value, xt = cursor:get(true)
    end
    cursor:disable()
  end
  return true
end

function methods.cursor(self)
  return self.cur_:new(self)
end

function methods.cursor_process(self, body)
  if type(body) ~= "function" then invalid("cursor_process") end
  local cursor = self:cursor()
  local ok, message = pcall(body, cursor)
  if cursor.cur_ptr_ then cursor:disable() end
  if not ok then error(message, 0) end
end

function methods.pairs(self)
  local cursor = self:cursor()
  cursor:jump()
  return cursor, self, nil
end

-- MapReduce. What `map` emits is collected by key, in memory; records are read one by one, without a
-- lock on the database, so `map` and `reduce` may use it.

local function mapped(db, map, emit)
  local cursor, ok = db:cursor(), true
  cursor:jump()
  local key, value = cursor:get(true)
  while key and ok do
    ok = map(key, value, emit)
    key, value = cursor:get(true)
  end
  cursor:disable()
  return ok
end

local function reduced(groups, keys, reduce)
  for index = 1, #keys do
    local key = keys[index]
    local values, at = groups[key], 0
    local function iterate()
      at = at + 1
      return values[at]
    end
    if not reduce(key, iterate) then return false end
  end
  return true
end

-- A function of the script's that answers false when it fails, so that one failure ends the whole.
local function guarded(name, body)
  return function(...)
    local ok, result = pcall(body, ...)
    if ok then return result end
    visit_failed(name, result)
    return false
  end
end

local function accepted()
  return true
end

function methods.mapreduce(self, map, reduce, _, _, _, _, _, log, proc)
  local ptr = self.db_ptr_ or invalid("mapreduce")
  if type(map) ~= "function" or type(reduce) ~= "function" then invalid("mapreduce") end
  log = type(log) == "function" and guarded("log", log) or accepted
  proc = type(proc) == "function" and guarded("proc", proc) or accepted
  local groups, keys = {}, {}
  local function emit(key, value)
    key, value = text(key), text(value)
    if not key or not value then invalid("emit") end
    local values = groups[key]
    if values then
      values[#values + 1] = value
    else
      groups[key] = { value }
      keys[#keys + 1] = key
    end
    return true
  end
  local failed
  local ok = log("prepare", "the records are collected in memory") and proc(emit)
    and log("map", "started the map process: scale=" .. common.decimal(host.count(ptr)))
  if ok and not mapped(self, guarded("map", map), emit) then failed = "mapper failed" end
  ok = ok and not failed and log("map", "the map process finished") and proc(emit)
    and log("reduce", "started the reduce process: scale=" .. common.decimal(#keys))
  table.sort(keys)
  if ok and not reduced(groups, keys, guarded("reduce", reduce)) then failed = "reducer failed" end
  ok = ok and not failed and log("reduce", "the reduce process finished")
  ok = proc() and ok
  ok = log("clean", "the records are dropped") and ok
  if failed then host.set_error(ptr, Error.LOGIC, failed) end
  return not not ok
end

-- The databases that the server has.

kt.dbs = {}
for index, ptr in ipairs(host.databases) do kt.dbs[index] = DB:new(ptr) end
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

local function call(name, input)
  local procedure = globals[name]
  if type(procedure) ~= "function" then return nil, nil end
  common.restart()
  local output = {}
  local ok, result = pcall(procedure, input, output)
  if not ok then return false, tostring(result) end
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

return call, visit_full, visit_empty, process
