-- Say what is in this numbered database, unless something else is.
--
-- KEYS  {kt}meta      ARGV  prefix, layout

local found = redis.call('HGETALL', KEYS[1])
for at = 1, #found, 2 do
  local same = found[at] == ARGV[1]
  if same and found[at + 1] ~= ARGV[2] then
    return found[at + 1]
  end
  if not same and (found[at + 1] == 'flat' or ARGV[2] == 'flat') then
    return found[at] .. ': ' .. found[at + 1]
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return #found / 2
