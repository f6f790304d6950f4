-- What bench/scripts.py calls in Kyoto Tycoon. Each function gets a key and its value, and answers
-- with the value.

local kt = __kyototycoon__
local db = kt.db

-- No database at all: what a call costs.
function echo(input, output)
  output.value = input.value
  return kt.RVSUCCESS
end

-- One record is read.
function get(input, output)
  output.value = db:get(input.key)
  return kt.RVSUCCESS
end

-- One record is read and written, nobody coming between.
function visit(input, output)
  local function visitor(key, value)
    output.value = value
    return value
  end
  return db:accept(input.key, visitor) and kt.RVSUCCESS or kt.RVEINTERNAL
end

-- Twenty records are read and written.
function many(input, output)
  local key = input.key
  for index = 1, 10 do db:set(key .. index, input.value) end
  for index = 1, 10 do output.value = db:get(key .. index) end
  return kt.RVSUCCESS
end

-- A map of a hundred fields is made, kept as bytes and read again.
function map(input, output)
  local fields = {}
  for index = 1, 100 do fields["field" .. index] = input.value end
  output.value = kt.mapload(kt.mapdump(fields)).field50
  return kt.RVSUCCESS
end
