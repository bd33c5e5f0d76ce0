--- Values for people: lists of records as aligned tables, one record as `key = value`, what is nested as YAML.
local editline = require "kvserver.editline"
local json = require "kvserver.json"
local leaf = require "kvserver.console.render.leaf"
local yaml = require "kvserver.console.render.yaml"

local M = {}

local COLUMNS_DEFAULT <const> = 80
local NOT_COUNTED <const> = { pid = true, port = true } -- integers that are names
local HEAD_ON <const>, HEAD_OFF <const> = "\27[1m", "\27[0m"

local function pad(text, width, right)
  local blanks <const> = (" "):rep(width - editline.width(text))
  return right and blanks .. text or text .. blanks
end

-- Cuts a text into pieces of up to `width` columns, between characters.
local function wrap(text, width)
  if not width or editline.width(text) <= width then return { text } end
  local pieces, piece, used = {}, {}, 0
  for character in text:gmatch(utf8.charpattern) do
    local wide <const> = editline.width(character)
    if used + wide > width and used > 0 then
      pieces[#pieces + 1] = table.concat(piece)
      piece, used = {}, 0
    end
    piece[#piece + 1] = character
    used = used + wide
  end
  pieces[#pieces + 1] = table.concat(piece)
  return pieces
end

local function cell_text(key, value, style)
  if value == nil or value == json.null then return "" end
  return leaf.text(value, { thousands = style.thousands and not NOT_COUNTED[key] })
end

-- The lines of a head; where there is little room, one for each of its words.
local function head_lines(key, style, narrow)
  local name <const> = leaf.text(key)
  if not narrow then return wrap(name, style.cell_max) end
  local lines <const> = {}
  for word in name:gmatch "[^_]*_?" do
    if word ~= "" then table.move(wrap(word, style.cell_max), 1, #word, #lines + 1, lines) end
  end
  return lines
end

-- A column: its head, its cells (each a list of lines), its width, whether it stands to the right.
local function make_column(list, key, style, narrow)
  local column <const> = { head = head_lines(key, style, narrow), cells = {}, width = 0, right = true }
  for _, line in ipairs(column.head) do column.width = math.max(column.width, editline.width(line)) end
  for i, record in ipairs(list) do
    local value <const> = leaf.field(record, key)
    if value ~= nil and value ~= json.null and type(value) ~= "number" then column.right = false end
    column.cells[i] = wrap(cell_text(key, value, style), style.cell_max)
    for _, line in ipairs(column.cells[i]) do column.width = math.max(column.width, editline.width(line)) end
  end
  return column
end

-- The lines of one row, of as many as its highest cell has.
local function add_row(lines, columns, cells_of, style_line)
  local height = 1
  for _, column in ipairs(columns) do height = math.max(height, #cells_of(column)) end
  for n = 1, height do
    local cells <const> = {}
    for i, column in ipairs(columns) do cells[i] = pad(cells_of(column)[n] or "", column.width, column.right) end
    lines[#lines + 1] = style_line((" " .. table.concat(cells, " | ")):gsub(" +$", ""))
  end
end

local function same(text)
  return text
end

local function more_line(value)
  return value.more and ("(%s more were left out)"):format(leaf.thousands(value.more)) or nil
end

local function grid(list, columns, style)
  local lines, rules = {}, {}
  add_row(lines, columns, function(column) return column.head end, function(text)
    return style.colour and HEAD_ON .. text .. HEAD_OFF or text
  end)
  for i, column in ipairs(columns) do rules[i] = ("-"):rep(column.width + 2) end
  lines[#lines + 1] = table.concat(rules, "+")
  for i in ipairs(list) do add_row(lines, columns, function(column) return column.cells[i] end, same) end
  lines[#lines + 1] = more_line(list)
  return table.concat(lines, "\n")
end

local function has_leaves_only(value)
  for _, item in ipairs(value.kind == "list" and value or value.values) do
    if leaf.is_table(item) then return false end
  end
  return true
end

-- Nothing in it that has parts itself, but for short lists and records of leaves, which fit behind their key.
local function is_flat(record, style)
  for _, value in ipairs(record.values) do
    local fits <const> = not leaf.is_table(value) or has_leaves_only(value)
      and editline.width(leaf.text(value)) <= (style.columns or COLUMNS_DEFAULT) // 2
    if not fits then return false end
  end
  return true
end

local function fields_text(record, style)
  local width, lines = 0, {}
  for _, key in ipairs(record.keys) do width = math.max(width, editline.width(leaf.text(key))) end
  for i, key in ipairs(record.keys) do
    local pieces <const> = wrap(leaf.text(record.values[i], { thousands = style.thousands and not NOT_COUNTED[key] }),
      style.cell_max)
    for n, piece in ipairs(pieces) do
      lines[#lines + 1] = pad(n == 1 and leaf.text(key) or "", width) .. (n == 1 and " = " or "   ") .. piece
    end
  end
  lines[#lines + 1] = more_line(record)
  return table.concat(lines, "\n")
end

local function vertical(list, style)
  local parts <const> = {}
  for i, record in ipairs(list) do parts[i] = ("-[ %d ]-----\n"):format(i) .. fields_text(record, style) end
  parts[#parts + 1] = more_line(list)
  return table.concat(parts, "\n")
end

-- All columns, and how many of the terminal they take.
local function make_columns(list, style, narrow)
  local columns, width = {}, -1
  for i, key in ipairs(leaf.columns(list)) do
    columns[i] = make_column(list, key, style, narrow)
    width = width + columns[i].width + 3
  end
  return columns, width
end

-- What is too wide for a terminal has its heads broken; if that does not help, it is shown field by field.
local function rows_text(list, style)
  if style.expanded then return vertical(list, style) end
  local room <const> = style.terminal and (style.columns or COLUMNS_DEFAULT) or math.huge
  for _, narrow in ipairs { false, true } do
    local columns <const>, width = make_columns(list, style, narrow)
    if width <= room then return grid(list, columns, style) end
  end
  return vertical(list, style)
end

local function show_leaf(style)
  return function(value)
    local text <const> = leaf.text(value, { thousands = style.thousands })
    if type(value) ~= "string" then return text end
    if text == "" or text == "nil" or text == "true" or text == "false" or tonumber(text) then
      return '"' .. text .. '"'
    end
    return text
  end
end

--- @param value of kvserver.console.decode
-- @tparam table style `columns` (of the terminal), `terminal` (true: what is too wide is made narrower, or shown
-- field by field),
-- `expanded` (true: always so), `cell_max` (columns of a cell, beyond: wrapped), `thousands`, `colour`
-- @treturn string lines, without the last one's end
function M.text(value, style)
  if leaf.is_rows(value) then return rows_text(value, style) end
  if not leaf.is_table(value) then return leaf.text(value, { keep_lines = true }) end
  if value.kind == "list" and #value == 0 and not value.more then return "(none)" end
  if value.kind == "record" and is_flat(value, style) then return fields_text(value, style) end
  return yaml.text(value, show_leaf(style))
end

return M
