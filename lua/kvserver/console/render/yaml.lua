--- Values as YAML: what is nested, one line per leaf. With a function for leaves of its own, it shows them to people.
local json = require "kvserver.json"
local leaf = require "kvserver.console.render.leaf"
local types = require "kvserver.types"

local M = {}

local WORDS <const> = { ["true"] = true, ["false"] = true, null = true, yes = true, no = true, on = true, off = true,
  ["nil"] = true, y = true, n = true, ["~"] = true }

-- Whether a string needs no quotes to be read as one.
local function is_plain(text)
  return text:find "^[%a_/][%w_./ -]*$" and not text:find " $" and not WORDS[text:lower()]
end

local function string_text(bytes)
  if not types.utf8_valid(bytes) then return ('!!binary "%s"'):format(types.base64_encode(bytes)) end
  if is_plain(bytes) then return bytes end
  return (json.encode(bytes):gsub("\x7f", "\\x7f"):gsub("\xc2[\x80-\x9f]", function(character)
    return ("\\x%02x"):format(utf8.codepoint(character))
  end))
end

local FLOATS <const> = { inf = ".inf", ["-inf"] = "-.inf", nan = ".nan", ["-nan"] = ".nan" }

local function leaf_text(value)
  if value == json.null then return "null" end
  if type(value) == "string" then return string_text(value) end
  if math.type(value) == "float" then return FLOATS[tostring(value)] or leaf.float(value) end
  if type(value) ~= "table" then return tostring(value) end
  if value.kind == "cut" then return ("%s # of %d bytes"):format(string_text(value.text), value.bytes) end
  return "null # " .. leaf.text(value)
end

local add

-- Adds what stands behind a key or a dash: on the same line when it is a leaf or empty.
local function add_item(lines, indent, mark, value, show)
  if not leaf.is_table(value) then
    lines[#lines + 1] = indent .. mark .. " " .. show(value)
  elseif value.kind == "list" and #value == 0 and not value.more then
    lines[#lines + 1] = indent .. mark .. " []"
  elseif value.kind == "record" and #value.keys == 0 and not value.more then
    lines[#lines + 1] = indent .. mark .. " {}"
  elseif mark == "-" then
    local first <const> = #lines + 1
    add(lines, indent .. "  ", value, show)
    lines[first] = indent .. "- " .. lines[first]:sub(#indent + 3)
  else
    lines[#lines + 1] = indent .. mark
    add(lines, indent .. "  ", value, show)
  end
end

function add(lines, indent, value, show)
  if value.kind == "list" then
    for _, item in ipairs(value) do add_item(lines, indent, "-", item, show) end
  else
    for i, key in ipairs(value.keys) do add_item(lines, indent, show(key) .. ":", value.values[i], show) end
  end
  if value.more then lines[#lines + 1] = ("%s# %s more"):format(indent, leaf.thousands(value.more)) end
end

--- @param value of kvserver.console.decode
-- @tparam[opt] function show a leaf -> its text, on one line
-- @treturn string lines, without the last one's end
function M.text(value, show)
  show = show or leaf_text
  if not leaf.is_table(value) then return show(value) end
  local lines <const> = {}
  add(lines, "", value, show)
  if #lines == 0 then return value.kind == "list" and "[]" or "{}" end
  return table.concat(lines, "\n")
end

return M
