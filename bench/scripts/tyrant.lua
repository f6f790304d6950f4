-- What bench/scripts.py calls in Tokyo Tyrant. Each function gets a key and its value, and answers
-- with the value.

-- No database at all: what a call costs.
function echo(key, value)
  return value
end

-- One record is read.
function get(key, value)
  return _get(key)
end

-- One record is read and written.
function visit(key, value)
  local old = _get(key)
  _put(key, old)
  return old
end

-- Twenty records are read and written.
function many(key, value)
  local result
  for index = 1, 10 do _put(key .. index, value) end
  for index = 1, 10 do result = _get(key .. index) end
  return result
end

-- A hundred numbers are packed and unpacked.
function map(key, value)
  local numbers = {}
  for index = 1, 100 do numbers[index] = index end
  assert(_unpack("i*", _pack("i*", numbers))[50] == 50)
  return value
end
