--- Values as JSON, one line each. What JSON does not have is an object with one field, as the node sends it:
-- {"base64":"..."} for bytes that are not UTF-8, {"cut":N} behind a list or record of which N items were left out,
-- {"cutbytes":[TOTAL,BEGINNING]}, {"other":"function: 0x..."}, {"seen":true}; inf and nan are strings.
local json = require "kvserver.json"
local types = require "kvserver.types"

local M = {}

local value_text

local function string_text(bytes)
  if types.utf8_valid(bytes) then return json.encode(bytes) end
  return ('{"base64":"%s"}'):format(types.base64_encode(bytes))
end

local function float_text(number)
  if number ~= number or number == math.huge or number == -math.huge then return ('"%s"'):format(tostring(number)) end
  return json.encode(number)
end

local function key_text(key)
  if type(key) == "string" and types.utf8_valid(key) then return json.encode(key) end
  return json.encode(type(key) == "string" and types.base64_encode(key) or value_text(key))
end

local function list_text(list)
  local parts <const> = {}
  for i, item in ipairs(list) do parts[i] = value_text(item) end
  if list.more then parts[#parts + 1] = ('{"cut":%d}'):format(list.more) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function record_text(record)
  local parts <const> = {}
  for i, key in ipairs(record.keys) do parts[i] = key_text(key) .. ":" .. value_text(record.values[i]) end
  if record.more then parts[#parts + 1] = ('"cut":%d'):format(record.more) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local of_kind <const> = { list = list_text, record = record_text }

function of_kind.cut(value)
  return ('{"cutbytes":[%d,%s]}'):format(value.bytes, string_text(value.text))
end

function of_kind.other(value)
  return ('{"other":%s}'):format(string_text(value.text))
end

function of_kind.seen()
  return '{"seen":true}'
end

function value_text(value)
  if type(value) == "string" then return string_text(value) end
  if math.type(value) == "float" then return float_text(value) end
  if type(value) == "table" then return of_kind[value.kind](value) end
  return json.encode(value)
end

--- @param value of kvserver.console.decode
-- @treturn string one line without its end
M.text = value_text

return M
