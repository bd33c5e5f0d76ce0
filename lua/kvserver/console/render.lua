--- What a statement came to, as text in one of the formats of kvserver.console.options.
--
--     render.value(value, { format = "auto", terminal = true, columns = 80 })
local csv = require "kvserver.console.render.csv"
local escape = require "kvserver.console.escape"
local json_text = require "kvserver.console.render.json"
local lua_text = require "kvserver.console.render.lua"
local markdown = require "kvserver.console.render.markdown"
local raw = require "kvserver.console.render.raw"
local table_text = require "kvserver.console.render.table"
local yaml = require "kvserver.console.render.yaml"

local M = {}

local formats <const> = {
  json = json_text.text, table = table_text.text, csv = csv.text, markdown = markdown.text, raw = raw.text,
}

function formats.yaml(value)
  return yaml.text(value)
end

function formats.lua(value)
  return lua_text.text(value)
end

function formats.auto(value, style)
  return style.terminal and table_text.text(value, style) or raw.text(value)
end

--- @param value of kvserver.console.decode
-- @tparam table style `format`; `terminal`: where it goes to, which then gets nothing that it would take as an order;
-- and what kvserver.console.render.table takes
-- @treturn string lines, without the last one's end
function M.value(value, style)
  local text <const> = formats[style.format](value, style)
  if not style.terminal or style.format == "auto" or style.format == "table" then return text end
  return escape.text(text, true)
end

return M
