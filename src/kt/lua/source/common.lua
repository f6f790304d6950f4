-- Containers, locks and limits in the records of a database: the scripts behind `kt.lua`.
--
-- One file for both servers: `kt-tycoon -scr kt.lua` or `ktserver -scr PATH`, `kt-tyrant -ext kt.lua`
-- or `ttserver -ext PATH`. It needs Lua 5.1 and keeps nothing outside the database.
--
-- A container is the record of its key: one letter for its kind, then a list of items, each its
-- length (seven bits a byte, the lowest first, the eighth set if more follow) and its bytes:
--
--     H | 4 name | 3 Ada | 4 born | 4 1815
--
-- An empty container is no record, unless somebody waits for its items: then it may become one of
-- another kind all the same. The kinds and their items:
--
--     H hash          field, value, ...                   in order of insertion
--     S set           member, ...                         in order of insertion
--     L list          item, ...
--     Z sorted set    member, score, ...                  by score, then member
--     D schedule      consumers, due, item, ...           by time, then order of insertion
--     Q queue         begin, end, consumers               item n is the record KEY \0 n
--     K lock          owner, end, waiting
--     R rate limiter  tokens, time
--     C counter       interval, count, ...
--
-- An operation is a function of the items that are there and of its arguments, another list of
-- items. It returns its results, a list again; the new items, or nil to leave them; and the seconds
-- that the record is to live at most, or nil. Where it runs nobody comes between: in Kyoto Tycoon
-- in a visitor, in Tokyo Tyrant under the lock that the client asks for (`ScriptLock.RECORD`).
--
-- In Kyoto Tycoon a function takes `key`, `args` and `db` (index of a database) and gives `results`;
-- in Tokyo Tyrant it takes the key and the arguments and returns the results.

local kt = __kyototycoon__
local byte, char, sub, format = string.byte, string.char, string.sub, string.format
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local insert, remove, concat = table.insert, table.remove, table.concat

local now = kt and kt.time or _time

-- ------------------------------------------------------------------------------------- encoding

local function pack(items)
  local parts = {}
  for _, item in ipairs(items) do
    local length = #item
    while length > 127 do
      parts[#parts + 1] = char(length % 128 + 128)
      length = floor(length / 128)
    end
    parts[#parts + 1] = char(length)
    parts[#parts + 1] = item
  end
  return concat(parts)
end

-- Return the items in `data` from position `at` on.
local function unpack(data, at)
  local items, count, size = {}, 0, #data
  while at <= size do
    local digit = byte(data, at)
    local length, scale = digit % 128, 128
    while digit > 127 do
      at = at + 1
      digit = byte(data, at)
      length = length + digit % 128 * scale
      scale = scale * 128
    end
    count = count + 1
    items[count] = sub(data, at + 1, at + length)
    at = at + 1 + length
  end
  return items
end

-- Return a number as text from which `tonumber` makes the same number.
local function text(number)
  if number == floor(number) and number > -1e15 and number < 1e15 then
    return format("%d", number)
  end
  return format("%.17g", number)
end

local function number(item)
  local value = tonumber(item)
  if not value or value ~= value then error("not a number: " .. tostring(item), 0) end
  return value
end

local function truth(value) return value and "1" or "0" end

-- ----------------------------------------------------------------------------------- operations

local KINDS = {
  hash = "H", set = "S", list = "L", sorted = "Z", schedule = "D", queue = "Q", lock = "K",
  rate = "R", counter = "C",
}

local operations = {} -- name, which begins with that of the kind -> { kind, run, writes }

local function reads(name, run)
  operations[name] = { kind = name:match("^%l+"), run = run, writes = false }
end

local function writes(name, run)
  operations[name] = { kind = name:match("^%l+"), run = run, writes = true }
end

local vacant = {} -- letter of a kind -> whether its items say nothing but who waits

-- Whether there is a record only because somebody waits there, or has died while he waited.
local function is_vacant(data)
  local is = vacant[sub(data, 1, 1)]
  if not is then return false end
  local done, items = pcall(unpack, data, 2)
  return done and pack(items) == sub(data, 2) and is(items)
end

-- Return the items of a record of this kind; none if there is no record, or a vacant one.
local function items_of(data, kind)
  if not data then return {} end
  if sub(data, 1, 1) == KINDS[kind] then return unpack(data, 2) end
  if is_vacant(data) then return {} end
  error("the record of this key is no " .. kind, 0)
end

-- Carry out an operation. Return its results, the record's new value (false: remove the record; nil:
-- leave it), and the seconds it may live.
local function perform(operation, data, args)
  local results, items, lifetime = operation.run(items_of(data, operation.kind), args)
  if not items then return results, nil end
  if #items == 0 then return results, false end
  return results, KINDS[operation.kind] .. pack(items), lifetime
end

for name in pairs(KINDS) do
  if name ~= "queue" then
    writes(name .. "Clear", function() return {}, {} end)
  end
end

-- Return the position of `wanted` among every `step`-th item, or nil.
local function find(items, wanted, step)
  for at = 1, #items, step do
    if items[at] == wanted then return at end
  end
end

-- Return a table from every `step`-th item to its position.
local function index(items, step)
  local positions = {}
  for at = 1, #items, step do positions[items[at]] = at end
  return positions
end

-- Return the items without the rows, of `step` items each, that begin at `dropped`.
local function without(items, dropped, step)
  local kept, count = {}, 0
  for at = 1, #items, step do
    if not dropped[at] then
      for column = 0, step - 1 do
        count = count + 1
        kept[count] = items[at + column]
      end
    end
  end
  return kept
end

-- Return the positions from 0, as Python's `slice.indices`: first, step, how many.
local function slice(args, size)
  local step = tonumber(args[3]) or 1
  local low, high = 0, size
  if step < 0 then low, high = -1, size - 1 end
  local function position(arg, default)
    local at = tonumber(arg)
    if not at then return default end
    if at < 0 then at = at + size end
    return max(low, min(high, at))
  end
  local first = position(args[1], step > 0 and low or high)
  local last = position(args[2], step > 0 and high or low)
  return first, step, max(0, ceil((last - first) / step))
end
