--- What commands of the console are given, checked: messages name the command, the argument and what it got.
--
--     arguments.string("kv.get", 1, key)   --> "kv.get: argument 1: expected a string, got nil"
local M = {}

local SHOWN_BYTES_MAX <const> = 100 -- of what is refused

local function text_of(value)
  if #value <= SHOWN_BYTES_MAX then return ("%q"):format(value) end
  return ("%q... (%d bytes)"):format(value:sub(1, SHOWN_BYTES_MAX), #value)
end

local function refuse(command, place, expected, value)
  local got <const> = value == nil and "nil" or type(value) == "string" and text_of(value)
    or type(value) == "table" and "a table" or tostring(value)
  error(("%s: %s: expected %s, got %s"):format(command, place, expected, got), 0)
end

local function place_of(position)
  return "argument " .. position
end

--- A string.
-- @tparam string command its name
-- @tparam integer position of the argument, from 1
-- @param value
-- @treturn string the value; raises when it is something else
function M.string(command, position, value)
  if type(value) ~= "string" then refuse(command, place_of(position), "a string", value) end
  return value
end

--- An integer in a range, or nil.
-- @tparam string command
-- @tparam integer position
-- @param value
-- @tparam integer min
-- @tparam[opt] integer max
-- @treturn ?integer
function M.optional_integer(command, position, value, min, max)
  if value == nil then return nil end
  local number <const> = math.tointeger(value)
  if type(value) ~= "number" or not number or number < min or max and number > max then
    refuse(command, place_of(position), max and ("a number from %d to %d"):format(min, max)
      or "a number from " .. min, value)
  end
  return number
end

--- A table whose fields are known.
-- @tparam string command
-- @param value
-- @tparam table kinds name -> "string", "integer", "number" or "boolean"
-- @treturn table the value; raises when it is no table, or a field is unknown or of another kind
function M.fields(command, value, kinds)
  if type(value) ~= "table" then refuse(command, place_of(1), "a table", value) end
  for name, field in pairs(value) do
    local kind <const> = kinds[name]
    if not kind then error(("%s: %s: unknown"):format(command, tostring(name)), 0) end
    local fits <const> = kind == "integer" and math.type(field) == kind or type(field) == kind
    if not fits then refuse(command, tostring(name), (kind == "integer" and "an " or "a ") .. kind, field) end
  end
  return value
end

--- One of some words.
-- @tparam string command
-- @tparam integer position
-- @param value
-- @tparam {string,...} words
-- @treturn string
function M.one_of(command, position, value, words)
  for _, word in ipairs(words) do
    if value == word then return word end
  end
  refuse(command, place_of(position), "one of " .. table.concat(words, ", "), value)
end

local MS <const> = { ms = 1, s = 1000, m = 60000, h = 3600000 }
local DURATION_MS_MAX <const> = 24 * 3600000

--- How long something lasts that ends by itself.
-- @tparam string command
-- @param value a text such as "500ms", "30s", "5m", "1h", up to a day; nil: `default`
-- @tparam string default
-- @treturn integer milliseconds, from 1
function M.duration(command, value, default)
  if value == nil then value = default end
  local number <const>, unit = tostring(value):match("^(%d+%.?%d*)(%a+)$")
  local ms <const> = MS[unit] and math.ceil(tonumber(number) * MS[unit])
  if type(value) ~= "string" or not ms or ms < 1 or ms > DURATION_MS_MAX then
    refuse(command, "for_", 'a duration such as "30s" or "5m", up to "24h"', value)
  end
  return ms
end

return M
