--- Values as a node sends them to a console (lua/kvserver/console/node/encode.lua), for showing: nothing is lost, order
-- and what was cut included.
--
-- A value is json.null for nil, a boolean, an integer, a float, a string of bytes, or a table with a `kind`:
--
--     { kind = "list", 1, 2, 3, more = 17, columns = {"id", "role"} }  more: so many items were left out
--     { kind = "record", keys = {"id", 1}, values = {"n1", true}, more = 17 }
--     { kind = "cut", bytes = 70000, text = "aaaa..." }                the beginning of a string
--     { kind = "other", text = "function: 0x55d0" }
--     { kind = "seen" }                                                a table inside itself
local json = require "kvserver.json"
local types = require "kvserver.types"

local M = {}

local decode

local function bad(what)
  error("a value that makes no sense: " .. what, 0)
end

-- How many were left out, when that is what the last item says.
local function cut_of(item)
  return type(item) == "table" and math.type(item.cut) == "integer" and item.cut or nil
end

local tagged <const> = {}

function tagged.float(text)
  local words <const> = { inf = math.huge, ["-inf"] = -math.huge, nan = 0 / 0, ["-nan"] = 0 / 0 }
  local number <const> = words[text] or tonumber(text)
  return number and number + 0.0 or bad "float"
end

function tagged.bytes(text)
  return types.base64_decode(text) or bad "bytes"
end

-- Columns, when they are names.
local function names(columns)
  if type(columns) ~= "table" then return nil end
  for _, name in ipairs(columns) do
    if type(name) ~= "string" then bad "columns" end
  end
  return columns
end

function tagged.list(items, object)
  if type(items) ~= "table" then bad "list" end
  local list <const> = { kind = "list", columns = names(object.columns) }
  for i, item in ipairs(items) do
    list.more = i == #items and cut_of(item) or nil
    if not list.more then list[i] = decode(item) end
  end
  return list
end

function tagged.record(pairs_list)
  if type(pairs_list) ~= "table" then bad "record" end
  local record <const> = { kind = "record", keys = {}, values = {} }
  for i, item in ipairs(pairs_list) do
    record.more = i == #pairs_list and cut_of(item) or nil
    if not record.more then
      if type(item) ~= "table" or #item ~= 2 then bad "record" end
      record.keys[i], record.values[i] = decode(item[1]), decode(item[2])
    end
  end
  return record
end

function tagged.other(text)
  return { kind = "other", text = tostring(text) }
end

function tagged.cutbytes(both)
  if type(both) ~= "table" or math.type(both[1]) ~= "integer" then bad "cutbytes" end
  local text <const> = both[2] ~= nil and decode(both[2])
  return type(text) == "string" and { kind = "cut", bytes = both[1], text = text } or bad "cutbytes"
end

function tagged.seen()
  return { kind = "seen" }
end

function tagged.cut(count)
  return { kind = "other", text = ("(%s more)"):format(tostring(count)) }
end

function decode(value)
  if type(value) ~= "table" then return value end
  for tag, f in pairs(tagged) do
    if value[tag] ~= nil then return f(value[tag], value) end
  end
  bad "no tag that is known"
end

--- Decodes one value.
-- @param value as json.decode returns it
-- @return the value, or nil and why not
function M.value(value)
  local ok <const>, result = pcall(decode, value)
  if ok then return result end
  return nil, result
end

-- Values as a program uses them: json.null is nil, lists and records are tables.
local plain

local function plain_record(record)
  local result <const> = {}
  for i, key in ipairs(record.keys) do
    local name <const> = plain(key)
    if name ~= nil and name == name then result[name] = plain(record.values[i]) end
  end
  return setmetatable(result, { columns = record.keys })
end

local function plain_list(list)
  local result <const> = {}
  for i, item in ipairs(list) do result[i] = plain(item) end
  return list.columns and setmetatable(result, { columns = list.columns }) or result
end

function plain(value)
  if value == json.null then return nil end
  if type(value) ~= "table" then return value end
  if value.kind == "list" then return plain_list(value) end
  if value.kind == "record" then return plain_record(value) end
  return value.text
end

--- The tables of Lua that a decoded value stands for: lists are sequences, records have their keys, and their order as
-- `columns` of the metatable; what was cut is missing, what is no data is its text.
-- @param value of M.value
-- @return nil, a boolean, a number, a string or a table
M.plain = plain

return M
