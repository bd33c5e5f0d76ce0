--- Values as CSV (RFC 4180, but lines end in LF): a list of records has a line of its columns and one per record, a
-- record a line per field, a list a line per item, anything else is one cell. Bytes stay as they are.
local json = require "kvserver.json"
local leaf = require "kvserver.console.render.leaf"
local json_text = require "kvserver.console.render.json"

local M = {}

local function cell(value)
  if value == nil or value == json.null then return "" end
  local text
  if type(value) == "string" then
    text = value
  elseif leaf.is_table(value) then
    text = json_text.text(value)
  else
    text = leaf.text(value)
  end
  if not text:find '[",\r\n]' then return text end
  return '"' .. text:gsub('"', '""') .. '"'
end

local function line(values, count)
  local cells <const> = {}
  for i = 1, count do cells[i] = cell(values[i]) end
  return table.concat(cells, ",")
end

local function rows_text(list)
  local columns <const> = leaf.columns(list)
  local lines <const> = { line(columns, #columns) }
  for _, record in ipairs(list) do
    local values <const> = {}
    for i, key in ipairs(columns) do values[i] = leaf.field(record, key) end
    lines[#lines + 1] = line(values, #columns)
  end
  return table.concat(lines, "\n")
end

--- @param value of kvserver.console.decode
-- @treturn string lines, without the last one's end
function M.text(value)
  if not leaf.is_table(value) then return cell(value) end
  if leaf.is_rows(value) then return rows_text(value) end
  local lines <const> = {}
  if value.kind == "list" then
    for i, item in ipairs(value) do lines[i] = cell(item) end
  else
    for i, key in ipairs(value.keys) do lines[i] = line({ key, value.values[i] }, 2) end
  end
  return table.concat(lines, "\n")
end

return M
