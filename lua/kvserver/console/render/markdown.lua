--- Values as a table of Markdown, to be pasted into a ticket; what is no list of records and no record, as code.
local leaf = require "kvserver.console.render.leaf"
local yaml = require "kvserver.console.render.yaml"

local M = {}

local function cell(value)
  if value == nil then return "" end
  return (leaf.text(value):gsub("[|\\`*_<>]", "\\%0"))
end

local function line(cells)
  return "| " .. table.concat(cells, " | ") .. " |"
end

local function is_numeric(list, key)
  for _, record in ipairs(list) do
    local value <const> = leaf.field(record, key)
    if value ~= nil and type(value) ~= "number" then return false end
  end
  return true
end

local function rows_text(list)
  local heads, rules, lines = {}, {}, {}
  local columns <const> = leaf.columns(list)
  for i, key in ipairs(columns) do
    heads[i] = cell(key)
    rules[i] = is_numeric(list, key) and "---:" or "---"
  end
  lines[1], lines[2] = line(heads), line(rules)
  for _, record in ipairs(list) do
    local cells <const> = {}
    for i, key in ipairs(columns) do cells[i] = cell(leaf.field(record, key)) end
    lines[#lines + 1] = line(cells)
  end
  return table.concat(lines, "\n")
end

local function record_text(record)
  local lines <const> = { line { "key", "value" }, line { "---", "---" } }
  for i, key in ipairs(record.keys) do lines[#lines + 1] = line { cell(key), cell(record.values[i]) } end
  return table.concat(lines, "\n")
end

--- @param value of kvserver.console.decode
-- @treturn string lines, without the last one's end
function M.text(value)
  if leaf.is_rows(value) then return rows_text(value) end
  if type(value) == "table" and value.kind == "record" then return record_text(value) end
  return "```\n" .. yaml.text(value) .. "\n```"
end

return M
