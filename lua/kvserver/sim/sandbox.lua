--- A Lua without luck: what scripts find in the globals depends on nothing outside of a simulated world.
--
--     sandbox.enter { now_ms = function() return world:now() end, seed = 7 }
--     ...
--     sandbox.leave()
--
-- While it is entered,
--
--   * os.time, os.clock and os.date tell virtual time, which begins at EPOCH_S; math.random is seeded;
--   * pairs and next walk in an order: numbers ascending, strings by their bytes, false, true, then everything else in
--     the order in which it was seen first. Fields may be changed and cleared on the way, as ever; __pairs counts;
--   * tostring, print and string.format show numbers in the order of first sight in place of addresses.
--
-- A thread is seen when it is created, and a table when it gets a metatable; functions and plain tables are when they
-- are shown, or met as keys. So two of those that are met as keys in the same walk, for the first time, have no order.
--
-- A walk over an array costs half as much again, over some fields with names four times as much, any other one up to
-- thirty times as much: a load that runs for a minute of virtual time does not get slower.
--
-- Only the globals change: whoever keeps the original pairs in a local of his own goes on with that. Whoever keeps one
-- from here has the original again once it is left.
local sim = require "kvserver.sim"

local M = {}

local EPOCH_S <const> = 946684800 -- 2000-01-01 00:00 UTC
local MS_PER_S <const> = 1000

-- The originals, whatever becomes of the globals.
local next <const>, pairs <const>, tostring <const>, print <const> = next, pairs, tostring, print
local format <const>, gsub <const>, sort <const> = string.format, string.gsub, table.sort
local setmetatable <const>, create <const> = setmetatable, coroutine.create
local time <const>, clock <const>, date <const> = os.time, os.clock, os.date
local random <const>, randomseed <const> = math.random, math.randomseed
local rawget <const>, select <const>, type <const> = rawget, select, type
local getmetatable <const> = debug.getmetatable -- __metatable hides nothing from it
local quick_walk <const> = sim.walk

local current -- nil: left

-- ---- errors ----

local function finish(name, ok, ...)
  if ok then return ... end
  local why = ...
  if type(why) ~= "string" or not why:find("^bad argument") then error(why, 0) end
  error(gsub(why, "'%?'", "'" .. name .. "'", 1), 2)
end

-- Calls an original. What it says of its arguments is said where the script has called: whoever calls this does so in
-- a tail call.
local function guarded(name, f, ...)
  return finish(name, pcall(f, ...))
end

-- ---- what was seen ----

local HAS_ADDRESS <const> = { table = true, ["function"] = true, thread = true, userdata = true }

-- The number of an object, from 1.
local function sight(object)
  local seen <const> = current.seen
  local number = seen[object]
  if not number then
    number = current.count + 1
    current.count = number
    seen[object] = number
  end
  return number
end

local function sighted_setmetatable(object, metatable)
  if current and type(object) == "table" then sight(object) end
  return guarded("setmetatable", setmetatable, object, metatable)
end

local function sighted_create(f)
  if type(f) ~= "function" then return guarded("create", create, f) end
  local thread <const> = create(f)
  if current then sight(thread) end
  return thread
end

-- ---- addresses ----

local function numbered_tostring(...)
  local value <const> = ...
  if not current or not HAS_ADDRESS[type(value)] then return guarded("tostring", tostring, ...) end
  local metatable <const> = getmetatable(value)
  if metatable and metatable.__tostring then
    local text <const> = tostring(value)
    return type(value) == "userdata" and gsub(text, "0x%x+", format("0x%08x", sight(value))) or text
  end
  local name <const> = metatable and metatable.__name
  return (type(name) == "string" and name or type(value)) .. ": " .. sight(value)
end

local function have_address(...)
  for i = 1, select("#", ...) do
    if HAS_ADDRESS[type((select(i, ...)))] then return true end
  end
  return false
end

-- What %s and %p would show of an object is put in its place; other conversions have their own word about it.
local function numbered_format(...)
  if not current or not have_address(...) then return guarded("format", format, ...) end
  local arguments, i = table.pack(select(2, ...)), 0
  local text <const> = gsub((...), "(%%[^%a%%]*)([%a%%])", function(flags, conversion)
    if conversion == "%" then return nil end
    i = i + 1
    if not HAS_ADDRESS[type(arguments[i])] then return nil end
    if conversion == "s" then arguments[i] = numbered_tostring(arguments[i]) end
    if conversion ~= "p" then return nil end
    arguments[i] = format("0x%08x", sight(arguments[i]))
    return flags .. "s"
  end)
  return guarded("format", format, text, table.unpack(arguments, 1, arguments.n))
end

local function numbered_print(...)
  if not current or not have_address(...) then return print(...) end
  local arguments <const> = table.pack(...)
  for i = 1, arguments.n do arguments[i] = numbered_tostring(arguments[i]) end
  return print(table.unpack(arguments, 1, arguments.n))
end

-- ---- walks ----

local function append(list, items)
  return table.move(items, 1, #items, #list + 1, list)
end

local function earlier(a, b)
  return sight(a) < sight(b)
end

-- Keys behind the numbers, in order.
local function append_others(list, strings, others)
  sort(strings)
  append(list, strings)
  if #others == 0 then return list end
  local objects = {}
  for _, truth in ipairs { false, true } do
    for _, key in ipairs(others) do
      if key == truth then list[#list + 1] = key end
    end
  end
  for _, key in ipairs(others) do
    if type(key) ~= "boolean" then
      sight(key)
      objects[#objects + 1] = key
    end
  end
  sort(objects, earlier)
  return append(list, objects)
end

local NOTHING <const> = {}

local function add(list, key)
  if list == NOTHING then return { key } end
  list[#list + 1] = key
  return list
end

-- The keys in order: 1 to `count`, then those of a list.
local function keys_of(walked)
  local count, numbers, strings, others = 0, NOTHING, NOTHING, NOTHING
  for key in next, walked do
    if key == count + 1 then
      count = count + 1
    else
      local kind <const> = type(key)
      if kind == "string" then
        strings = add(strings, key)
      elseif kind == "number" then
        numbers = add(numbers, key)
      else
        others = add(others, key)
      end
    end
  end
  if numbers ~= NOTHING then
    for key = 1, count do numbers[#numbers + 1] = key end
    sort(numbers)
    return 0, append_others(numbers, strings, others)
  end
  if others ~= NOTHING then return count, append_others({}, strings, others) end
  if #strings > 1 then sort(strings) end
  return count, strings
end

local function refuse(value)
  error(format("bad argument #1 to 'for iterator' (table expected, got %s)", type(value)), 3)
end

local function ordered_pairs(...)
  local walked <const> = ...
  local metatable <const> = getmetatable(walked)
  if not current or metatable and metatable.__pairs then return guarded("pairs", pairs, ...) end
  if type(walked) ~= "table" then refuse(walked) end
  local quick <const> = quick_walk(walked)
  if quick then return quick == true and next or quick, walked, nil end
  local count <const>, rest <const> = keys_of(walked)
  local place = 0
  return function()
    while true do
      place = place + 1
      local key
      if place <= count then key = place else key = rest[place - count] end
      if key == nil then return nil end
      local value
      if metatable then value = rawget(walked, key) else value = walked[key] end
      if value ~= nil then return key, value end
    end
  end, walked, nil
end

local RANK <const> = { number = 1, string = 2, boolean = 3, table = 4, ["function"] = 4, thread = 4, userdata = 4 }

local function is_before(key, other)
  local rank <const>, other_rank <const> = RANK[type(key)], RANK[type(other)]
  if rank ~= other_rank then return rank < other_rank end
  if rank < RANK.boolean then return key < other end
  if rank == RANK.boolean then return other and not key end
  return earlier(key, other)
end

-- Without an order of all: most who ask want to know whether there is any.
local function first_of(walked)
  local first
  for key in next, walked do
    if first == nil or is_before(key, first) then first = key end
  end
  local walk <const> = current.walks[walked]
  if walk then walk.is_old = true end
  if first == nil then return nil end
  if HAS_ADDRESS[type(first)] then sight(first) end
  return first, rawget(walked, first)
end

-- The order in which `next` goes on in a table is kept until the end of the walk.
local function new_walk(walked)
  local count, rest = keys_of(walked)
  local keys, places = {}, {}
  for key = 1, count do keys[key] = key end
  append(keys, rest)
  for place, key in ipairs(keys) do places[key] = place end
  local walk <const> = { keys = keys, places = places }
  current.walks[walked] = walk
  return walk
end

-- The walk to go on with behind `key`, and how many of its keys come first. Whoever has begun anew meanwhile wants to
-- see new keys, too, but `key` itself may be gone.
local function walk_behind(walked, key)
  local walk = current.walks[walked]
  local place = walk and walk.places[key]
  if place and not (walk.is_old and rawget(walked, key) ~= nil) then return walk, place end
  walk = new_walk(walked)
  place = walk.places[key]
  if place then return walk, place end
  place = 0
  while place < #walk.keys and not is_before(key, walk.keys[place + 1]) do place = place + 1 end
  return walk, place
end

local function ordered_next(...)
  local walked <const>, key <const> = ...
  if not current or type(walked) ~= "table" then return guarded("next", next, ...) end
  if key == nil then return first_of(walked) end
  local walk <const>, behind <const> = walk_behind(walked, key)
  for place = behind + 1, #walk.keys do
    local value <const> = rawget(walked, walk.keys[place])
    if value ~= nil then return walk.keys[place], value end
  end
  current.walks[walked] = nil
  return nil
end

-- ---- time and luck ----

local function virtual_time(...)
  if not current or (...) ~= nil then return guarded("time", time, ...) end
  return EPOCH_S + current.now_ms() // MS_PER_S | 0
end

local function virtual_clock()
  return current and current.now_ms() / MS_PER_S or clock()
end

local function virtual_date(pattern, at)
  if current and at == nil then at = virtual_time() end
  return guarded("date", date, pattern or "%c", at)
end

local function draw_bits()
  return current.draw(0, 0xffffffff) << 32 | current.draw(0, 0xffffffff)
end

local function draw_between(low, high)
  if high - low >= 0 and high - low < math.maxinteger // 2 then return current.draw(low, high) end
  local number
  repeat number = draw_bits() until number >= low and number <= high
  return number
end

local function seeded_random(...)
  local arguments <const> = select("#", ...)
  if not current or arguments > 2 then return guarded("random", random, ...) end
  if arguments == 0 then return current.draw() end
  local low, high = 1, ...
  if arguments == 2 then low, high = ... end
  low, high = math.tointeger(tonumber(low)), math.tointeger(tonumber(high))
  if arguments == 1 and high == 0 then return draw_bits() end
  if not low or not high or low > high then return guarded("random", random, ...) end -- which says what is wrong
  return draw_between(low, high)
end

local function seeded_randomseed(...)
  if not current then return guarded("randomseed", randomseed, ...) end
  local seed = ...
  if select("#", ...) == 0 then seed = draw_bits() end
  local whole <const> = math.tointeger(seed)
  if type(seed) ~= "number" then return guarded("randomseed", randomseed, seed) end -- which says what is wrong
  current.draw = sim.prng(whole or string.unpack("j", string.pack("n", seed)))
end

-- ---- entering and leaving ----

local REPLACED <const> = {
  { _G, "pairs", ordered_pairs }, { _G, "next", ordered_next }, { _G, "tostring", numbered_tostring },
  { _G, "print", numbered_print }, { _G, "setmetatable", sighted_setmetatable },
  { coroutine, "create", sighted_create }, { string, "format", numbered_format },
  { os, "time", virtual_time }, { os, "clock", virtual_clock }, { os, "date", virtual_date },
  { math, "random", seeded_random }, { math, "randomseed", seeded_randomseed },
}

--- Replaces the globals. An error when that was done already.
-- @tparam table options now_ms (a function: virtual milliseconds), seed (an integer)
function M.enter(options)
  if current then error("the sandbox is entered already", 2) end
  local now_ms <const>, seed <const> = options.now_ms, math.tointeger(options.seed)
  if type(now_ms) ~= "function" then error("now_ms: expected a function", 2) end
  if not seed then error("seed: expected an integer", 2) end
  local before = {}
  for i, place in ipairs(REPLACED) do
    local holder <const>, name <const>, replacement <const> = table.unpack(place)
    before[i] = rawget(holder, name)
    holder[name] = replacement
  end
  current = {
    now_ms = now_ms, draw = sim.prng(seed), seen = setmetatable({}, { __mode = "k" }), count = 0, before = before,
    walks = setmetatable({}, { __mode = "k" }),
  }
end

--- Puts back what was there when it was entered, whatever a script has put there since. Nothing when it is left.
function M.leave()
  if not current then return end
  for i, place in ipairs(REPLACED) do place[1][place[2]] = current.before[i] end
  current = nil
end

--- @treturn boolean whether it is entered
function M.entered()
  return current ~= nil
end

return M
