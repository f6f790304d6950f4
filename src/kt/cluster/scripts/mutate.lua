-- Everything that is done to one record and is more than one command of the engine.
--
-- KEYS  the record; in a tree also the index of its bucket and the keys there that expire
-- ARGV  verb, now, key, new expiry in 5 bytes, new expiry + 1 in decimal or '' for none, and more

local record, index, expiries = KEYS[1], KEYS[2], KEYS[3]
local verb, now, key, stamp, last = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]

local raw = redis.call('GET', record)
local value
if raw then
  local a, b, c, d, e = raw:byte(1, 5)
  if (((a * 256 + b) * 256 + c) * 256 + d) * 256 + e >= now then
    value = raw:sub(6)
  end
end

-- Forget a few keys that have expired. Never one whose record is merely not found: it may be moving.
local function sweep()
  local gone = redis.call('ZRANGEBYSCORE', expiries, '-inf', now, 'LIMIT', 0, 2)
  for _, name in ipairs(gone) do
    redis.call('ZREM', index, name)
    redis.call('ZREM', expiries, name)
  end
end

local function store(new)
  if index then
    if last ~= '' then
      sweep()
      redis.call('ZADD', expiries, last, key)
    else
      redis.call('ZREM', expiries, key)
    end
    redis.call('ZADD', index, 0, key)
  end
  if last ~= '' then
    redis.call('SET', record, stamp .. new, 'EXAT', last)
  else
    redis.call('SET', record, stamp .. new)
  end
  return 1
end

local function remove()
  redis.call('DEL', record)
  if index then
    redis.call('ZREM', index, key)
    redis.call('ZREM', expiries, key)
  end
  return 1
end

-- Two numbers of 64 bits, big-endian; Lua's own numbers have 53.
local function add(one, other)
  local sum, carry = {}, 0
  for at = 8, 1, -1 do
    local digit = one:byte(at) + other:byte(at) + carry
    sum[at] = string.char(digit % 256)
    carry = digit > 255 and 1 or 0
  end
  return table.concat(sum)
end

local verbs = {}

function verbs.set()
  return store(ARGV[6])
end

function verbs.add()
  return value and 0 or store(ARGV[6])
end

function verbs.replace()
  return value and store(ARGV[6]) or 0
end

function verbs.append()
  return store((value or '') .. ARGV[6])
end

function verbs.remove()
  return value and remove() or 0
end

function verbs.seize()
  if value then
    remove()
    return raw
  end
  return false
end

function verbs.check()
  return value and {raw:sub(1, 5), #value} or false
end

-- ARGV[6], ARGV[7]: the old and the new value, each after a byte 1; nothing for no record.
function verbs.cas()
  local old = value and '\1' .. value or ''
  if old ~= ARGV[6] then
    return 0
  end
  if ARGV[7] == '' then
    return value and remove() or 1
  end
  return store(ARGV[7]:sub(2))
end

-- ARGV[6]: what to add. ARGV[7]: what to start from; 'try' for nothing without a record, 'set' to
-- start anew. ARGV[8]: '0' if nothing is added.
function verbs.increment()
  local sum = ARGV[6]
  if value and #value ~= 8 then
    return 0
  end
  if value and ARGV[7] ~= 'set' then
    if ARGV[8] == '0' then
      return value
    end
    sum = add(value, sum)
  elseif ARGV[7] == 'try' then
    return 0
  elseif ARGV[7] ~= 'set' then
    sum = add(ARGV[7], sum)
  end
  store(sum)
  return sum
end

-- ARGV[6]: what to add to a number of 32 bits, which Tokyo Cabinet stores with its last byte first.
function verbs.addint()
  if value and #value ~= 4 then
    return 0
  end
  local a, b, c, d = (value or '\0\0\0\0'):byte(1, 4)
  local rest = (((d * 256 + c) * 256 + b) * 256 + a + tonumber(ARGV[6])) % 4294967296
  local sum = ''
  for _ = 1, 4 do
    sum = sum .. string.char(rest % 256)
    rest = math.floor(rest / 256)
  end
  store(sum)
  return sum
end

-- ARGV[6]: what must be stored now, as GET has given it, or ''. ARGV[7]: the new value.
function verbs.swap()
  return (raw or '') == ARGV[6] and store(ARGV[7]) or 0
end

return verbs[verb]()
