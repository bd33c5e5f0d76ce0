--- Random tests that say how to run the same again.
--
--     it("...", seeded.run(function(random) ... random.int(1, 6) ... end))
--
-- The seed comes from KVSERVER_SPEC_SEED, else from the clock; a failure carries it in its message.

local M = {}

local function new_seed()
  local given <const> = os.getenv("KVSERVER_SPEC_SEED")
  return given and math.tointeger(given) or os.time() * 1000 + math.random(0, 999)
end

local random = { int = math.random }

--- One of the elements of a list.
-- @param list a non-empty array
-- @return the element
function random.pick(list)
  return list[math.random(#list)]
end

--- True with a probability.
-- @param percent 0 to 100
-- @return boolean
function random.chance(percent)
  return math.random(100) <= percent
end

--- Bytes over an alphabet.
-- @param length number of bytes
-- @param alphabet array of one-byte strings; absent: all 256
-- @return string
function random.bytes(length, alphabet)
  local bytes = {}
  for at = 1, length do
    bytes[at] = alphabet and random.pick(alphabet) or string.char(math.random(0, 255))
  end
  return table.concat(bytes)
end

--- Wraps the body of a test.
-- @param body function(random)
-- @return function() for `it`
function M.run(body)
  return function()
    local seed <const> = new_seed()
    math.randomseed(seed)
    local ok, fault = xpcall(body, debug.traceback, random)
    if not ok then
      error(("KVSERVER_SPEC_SEED=%d repeats this\n%s"):format(seed, tostring(fault)), 0)
    end
  end
end

return M
