--- Values as Lua that reads back, but for what is no data and what was cut, which comments tell.
local json = require "kvserver.json"

local M = {}

local WIDTH <const> = 100
local RESERVED <const> = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true "
  .. "until while"):gmatch "%a+" do RESERVED[word] = true end

local ESCAPES <const> = { ["\""] = "\\\"", ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r" }

local function escaped(byte)
  return ESCAPES[byte] or ("\\x%02x"):format(byte:byte())
end

local function string_text(bytes)
  local pattern <const> = utf8.len(bytes) and "[%c\"\\]" or "[%c\"\\\x80-\xff]"
  return ('"%s"'):format(bytes:gsub(pattern, escaped))
end

local function key_text(key)
  if type(key) ~= "string" then return "[" .. M.text(key) .. "] = " end
  if key:find "^[%a_][%w_]*$" and not RESERVED[key] then return key .. " = " end
  return "[" .. string_text(key) .. "] = "
end

local function items_of(value, indent)
  local items <const> = {}
  if value.kind == "list" then
    for i, item in ipairs(value) do items[i] = M.text(item, indent) end
  else
    for i, key in ipairs(value.keys) do items[i] = key_text(key) .. M.text(value.values[i], indent) end
  end
  if value.more then items[#items + 1] = ("--[[ %d more ]]"):format(value.more) end
  return items
end

local function table_text(value, indent)
  local short <const> = "{ " .. table.concat(items_of(value, indent), ", ") .. " }"
  if short == "{  }" then return "{}" end
  if #short + #indent <= WIDTH and not short:find("\n", 1, true) then return short end
  local deeper <const> = indent .. "  "
  return "{\n" .. deeper .. table.concat(items_of(value, deeper), ",\n" .. deeper) .. ",\n" .. indent .. "}"
end

local function float_text(number)
  if number ~= number then return "0/0" end
  if number == math.huge then return "math.huge" end
  if number == -math.huge then return "-math.huge" end
  local text <const> = ("%.17g"):format(number)
  local short <const> = ("%.14g"):format(number)
  local exact <const> = tonumber(short) == number and short or text
  return exact:find "^-?%d+$" and exact .. ".0" or exact
end

--- @param value of kvserver.console.decode
-- @tparam[opt=""] string indent what stands before its first line
-- @treturn string one line or more, without the last line's end
function M.text(value, indent)
  if value == json.null then return "nil" end
  if type(value) == "string" then return string_text(value) end
  if math.type(value) == "float" then return float_text(value) end
  if type(value) ~= "table" then return tostring(value) end
  if value.kind == "cut" then return ("%s --[[ of %d bytes ]]"):format(string_text(value.text), value.bytes) end
  if value.kind == "other" then return ("nil --[[ %s ]]"):format(value.text:gsub("[%c%]]", "?")) end
  if value.kind == "seen" then return "nil --[[ a table inside itself ]]" end
  return table_text(value, indent or "")
end

return M
