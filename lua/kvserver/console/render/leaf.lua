--- One value in one line, for people: in cells of tables, behind keys, alone.
local escape = require "kvserver.console.escape"
local json = require "kvserver.json"
local types = require "kvserver.types"

local M = {}

local FLOAT_FORMAT <const> = "%.14g" -- as Lua itself prints them
local THOUSANDS_FROM <const> = 10000

--- An integer with commas between thousands, when it has more than four digits.
-- @tparam integer number
-- @treturn string
function M.thousands(number)
  local text <const> = ("%d"):format(number)
  if number > -THOUSANDS_FROM and number < THOUSANDS_FROM then return text end
  return (text:reverse():gsub("(%d%d%d)", "%1,"):gsub(",(-?)$", "%1"):reverse())
end

--- A float that reads back as one.
-- @tparam number number
-- @treturn string
function M.float(number)
  local text <const> = FLOAT_FORMAT:format(number)
  return text:find "^-?%d+$" and text .. ".0" or text
end

local function string_text(bytes, keep_lines)
  local text <const> = escape.text(bytes, keep_lines)
  if types.utf8_valid(bytes) then return text end
  return ("%s (%s bytes)"):format(text, M.thousands(#bytes))
end

-- What a table shows of itself where there is but one line for it.
local function inline(value)
  local parts <const> = {}
  if value.kind == "list" then
    for i, item in ipairs(value) do parts[i] = M.text(item) end
  else
    for i, key in ipairs(value.keys) do parts[i] = M.text(key) .. "=" .. M.text(value.values[i]) end
  end
  if value.more then parts[#parts + 1] = ("(%s more)"):format(M.thousands(value.more)) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

--- @param value of kvserver.console.decode
-- @tparam[opt] table style `thousands` (true: integers with commas), `keep_lines` (true: strings with their line ends)
-- @treturn string text that a terminal may get
function M.text(value, style)
  style = style or {}
  if value == json.null then return "nil" end
  if type(value) == "string" then return string_text(value, style.keep_lines) end
  if math.type(value) == "integer" then return style.thousands and M.thousands(value) or tostring(value) end
  if math.type(value) == "float" then return M.float(value) end
  if type(value) ~= "table" then return tostring(value) end
  if value.kind == "cut" then
    return ("%s... (of %s bytes)"):format(escape.text(value.text, style.keep_lines), M.thousands(value.bytes))
  end
  if value.kind == "other" then return escape.text(value.text) end
  if value.kind == "seen" then return "(a table that is inside itself)" end
  return inline(value)
end

--- Whether a value is shown as a table.
-- @param value
-- @treturn boolean
function M.is_table(value)
  return type(value) == "table" and (value.kind == "list" or value.kind == "record")
end

--- Whether a value is a list of records, one at least, and nothing else.
-- @param value
-- @treturn boolean
function M.is_rows(value)
  if type(value) ~= "table" or value.kind ~= "list" or #value == 0 then return false end
  for _, item in ipairs(value) do
    if type(item) ~= "table" or item.kind ~= "record" then return false end
  end
  return true
end

--- The columns of a list of records: those it names, then all keys, in the order in which they come.
-- @tparam table list
-- @treturn table list of keys
function M.columns(list)
  local columns, seen = {}, {}
  local function add(key)
    local name <const> = type(key) .. M.text(key)
    if not seen[name] then
      seen[name] = true
      columns[#columns + 1] = key
    end
  end
  for _, key in ipairs(list.columns or {}) do add(key) end
  for _, record in ipairs(list) do
    for _, key in ipairs(record.keys) do add(key) end
  end
  return columns
end

--- The value behind a key of a record; nil when there is none.
-- @tparam table record
-- @param key
function M.field(record, key)
  for i, own in ipairs(record.keys) do
    if own == key then return record.values[i] end
  end
  return nil
end

return M
