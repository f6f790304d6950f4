-- The classes Cursor and DB. `db_ptr_` and `cur_ptr_` are the host's opaque objects.

local host, common, visits = ...

local error, pairs, pcall, rawget, select = error, pairs, pcall, rawget, select
local setmetatable, tonumber, tostring, type = setmetatable, tonumber, tostring, type
local invalid, text, number, stored = common.invalid, common.text, common.number, common.stored
local whole, expiry, flag, copied = common.whole, common.expiry, common.flag, common.copied
local NEVER, visited, told, processed = common.NEVER, visits.visited, visits.told, visits.processed
local is_visitor = visits.is_visitor
local sort = table.sort
local kt = __kyototycoon__
local Error = kt.Error

-- Cursors

local Cursor = {}
kt.Cursor = Cursor
local cursor_methods = {}

Cursor.meta_ = {
  __tostring = function(self)
    local ptr = self.cur_ptr_
    if not ptr then return "(disabled)" end
    local path, key = host.db_path(self.db_.db_ptr_), host.cur_get_key(ptr, false)
    return (path or "(nil)") .. ": " .. (key or "(nil)")
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

local DB = {
  OREADER = 1, OWRITER = 2, OCREATE = 4, OTRUNCATE = 8, OAUTOTRAN = 16, OAUTOSYNC = 32,
  ONOLOCK = 64, OTRYLOCK = 128, ONOREPAIR = 256, MSET = 0, MADD = 1, MREPLACE = 2, MAPPEND = 3,
  XNOLOCK = 1, XNOCOMP = 256,
}
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
  if type(keys) ~= "table" or not is_visitor(new_visitor) or select("#", ...) > 1 then
    invalid("accept_bulk")
  end
  keys = common.list(keys)
  told("visit_before", new_visitor)
  local result = visited(new_visitor, new_writable, host.accept_bulk, ptr, keys, new_writable)
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

for _, name in ipairs { "match_prefix", "match_regex" } do
  local match = host[name]
  methods[name] = function(self, pattern, limit)
    local ptr = self.db_ptr_ or invalid(name)
    return match(ptr, text(pattern) or invalid(name), whole(limit == nil and -1 or limit))
  end
end

function methods.match_similar(self, origin, range, utf8, limit)
  local ptr = self.db_ptr_ or invalid("match_similar")
  origin = text(origin) or invalid("match_similar")
  range = whole(range == nil and -1 or range)
  if range < 0 then range = 2 ^ 31 - 1 end
  return host.match_similar(ptr, origin, range, not not utf8, whole(limit == nil and -1 or limit))
end

-- Store every record of other databases, each one atomically.
function methods.merge(self, sources, mode)
  if type(sources) ~= "table" then invalid("merge") end
  local stores = { [0] = self.set, self.add, self.replace, self.append }
  local store = stores[tonumber(mode) or DB.MSET] or invalid("merge")
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

-- MapReduce. What `map` emits is collected by key, in memory; records are read one by one,
-- without a lock on the database, so `map` and `reduce` may use it.

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
    visits.failed(name, result)
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
  local emit, groups, keys = common.collector("emit")
  local failed
  local ok = log("prepare", "the records are collected in memory") and proc(emit)
    and log("map", "started the map process: scale=" .. common.decimal(host.count(ptr)))
  if ok and not mapped(self, guarded("map", map), emit) then failed = "mapper failed" end
  ok = ok and not failed and log("map", "the map process finished") and proc(emit)
    and log("reduce", "started the reduce process: scale=" .. common.decimal(#keys))
  sort(keys)
  if ok and not reduced(groups, keys, guarded("reduce", reduce)) then failed = "reducer failed" end
  ok = ok and not failed and log("reduce", "the reduce process finished")
  ok = proc() and ok
  ok = log("clean", "the records are dropped") and ok
  if failed then host.set_error(ptr, Error.LOGIC, failed) end
  return not not ok
end
