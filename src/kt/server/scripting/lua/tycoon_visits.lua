-- Visitors and file processors: functions and objects of scripts that the engine calls back.
--
-- Returns what databases and cursors need to run them, and what the engine calls.

local host, common = ...

local error, pcall, setmetatable, tonumber, type = error, pcall, setmetatable, tonumber, type
local invalid, text, whole, NEVER = common.invalid, common.text, common.whole, common.NEVER
local try = common.try
local kt = __kyototycoon__
local visits = {}

-- While the host's accept runs, `visitor` is the script's and the engine calls `visit_full` and
-- `visit_empty` here, with the record locked. A visitor that fails leaves its record as it is,
-- and the log says so; one that must end ends the whole operation.

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
  host.log_failure(name, common.described(message))
  return NOP
end

-- The answer to the engine: `xt` is the visitor's, `otherwise` holds if that is no number.
local function answer(value, xt, otherwise)
  if value == REMOVE then return value end
  value = text(value)
  if not value then return NOP end
  return value, tonumber(xt) and whole(xt) or otherwise
end

function visits.visit_full(key, value, xt)
  local ok, result, new_xt
  if type(visitor) == "function" then
    ok, result, new_xt = try(visitor, key, value, xt)
  elseif type(visitor.visit_full) == "function" then
    ok, result, new_xt = try(visitor.visit_full, visitor, key, value, xt)
  else
    return NOP
  end
  if not ok then return visit_failed("visit_full", result) end
  if not writable then return NOP end
  return answer(result, new_xt, -xt)
end

function visits.visit_empty(key)
  local ok, result, new_xt
  if type(visitor) == "function" then
    ok, result, new_xt = try(visitor, key)
  elseif type(visitor.visit_empty) == "function" then
    ok, result, new_xt = try(visitor.visit_empty, visitor, key)
  else
    return NOP
  end
  if not ok then return visit_failed("visit_empty", result) end
  if not writable or result == REMOVE then return NOP end
  return answer(result, new_xt, NEVER)
end

-- The result of a host function that has called back: nil says that the script must end.
local function ended(ok, result)
  if not ok then error(result, 0) end
  if result == nil then common.stop(common.stopping() or "the visitor has been ended") end
  return result
end

-- Run a host function that calls the visitor back. Visitors of other databases may do so, too.
function visits.visited(new_visitor, new_writable, accept, ...)
  local old_visitor, old_writable = visitor, writable
  visitor, writable = new_visitor, new_writable
  local ok, result = pcall(accept, ...)
  visitor, writable = old_visitor, old_writable
  return ended(ok, result)
end

local function is_visitor(value)
  return type(value) == "table" or type(value) == "function"
end

-- What a visitor may have to be told before and after an operation on many records.
function visits.told(moment, who)
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

function visits.process(path, count, size)
  local ok, result
  if type(processor) == "function" then
    ok, result = try(processor, path, count, size)
  else
    ok, result = try(processor.process, processor, path, count, size)
  end
  if not ok then
    visit_failed("process", result)
    return false
  end
  return not not result
end

function visits.processed(name, ptr, hard, new_processor)
  if not ptr then invalid(name) end
  local old_processor = processor
  processor = is_visitor(new_processor) and new_processor or nil
  local ok, result = pcall(host.synchronize, ptr, not not hard, processor ~= nil)
  processor = old_processor
  return ended(ok, result)
end

visits.is_visitor, visits.failed = is_visitor, visit_failed

return visits
