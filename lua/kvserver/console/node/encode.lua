--- Values of Lua as what a console gets to see of them: JSON that says which kind of value each was.
--
--     local encode = require "kvserver.console.node.encode"
--     encode.values(table.pack({ 1.5, "a" }))  --> {{list = {{float = "0x1.8p+0"}, "a"}}}
--
-- null, booleans, integers and UTF-8 strings stand for themselves; everything else is an object with one field:
--
--     {"float":"0x1.8p+1"}        as %a writes it; inf, -inf, nan
--     {"bytes":"<base64>"}        a string that is not UTF-8
--     {"list":[VALUE...]}         a sequence; also "columns":["id",...] when its metatable has `columns`
--     {"record":[[KEY,VALUE]...]} any other table: what its metatable's `columns` name, then numbers, then strings
--     {"other":"function: 0x..."} what cannot be shown, and what is nested too deeply
--     {"cut":N}                   in place of the last item of a list or record: N more were left out
--     {"cutbytes":[TOTAL,VALUE]}  the beginning of a string of TOTAL bytes
--     {"seen":true}               a table inside itself
--
-- Tables are read raw: no metamethod runs.
local json = require "kvserver.json"
local lists = require "kvserver.console.node.lists"
local types = require "kvserver.types"

local M = {}

--- What one reply holds at most; what is beyond is cut, and counted.
M.ITEMS_MAX = 10000
M.DEPTH_MAX = 8 -- of tables; each takes three levels of JSON, which has 32
M.STRING_BYTES_MAX = 65536
M.REPLY_BYTES_MAX = 4 << 20

local COLUMNS_MAX <const>, COLUMN_BYTES_MAX <const> = 64, 256 -- more, or longer ones, are not columns
local ITEM_BYTES <const> = 32 -- about what is around an item
local ESCAPE_BYTES <const> = 5 -- what a control character takes beside itself

-- The longest beginning of up to `max` bytes that does not end inside a character.
local function beginning(text, max)
  local last = max
  while last > max - 4 and last > 0 and text:byte(last + 1) & 0xC0 == 0x80 do last = last - 1 end
  return text:sub(1, last)
end

local function encode_text(state, text)
  if not types.utf8_valid(text) then
    local encoded <const> = types.base64_encode(text)
    state.bytes = state.bytes + #encoded
    return { bytes = encoded }
  end
  local _, escapes <const> = text:gsub("[%c\"\\]", "")
  state.bytes = state.bytes + #text + ESCAPE_BYTES * escapes
  return text
end

local function encode_string(state, text)
  if #text <= M.STRING_BYTES_MAX then return encode_text(state, text) end
  return { cutbytes = json.array { #text, encode_text(state, beginning(text, M.STRING_BYTES_MAX)) } }
end

local function encode_number(number)
  if math.type(number) == "integer" then return number end
  if number ~= number then return { float = "nan" } end
  if number == math.huge then return { float = "inf" } end
  if number == -math.huge then return { float = "-inf" } end
  return { float = ("%a"):format(number) }
end

local function has_room(state)
  return state.items < M.ITEMS_MAX and state.bytes < M.REPLY_BYTES_MAX
end

-- How many keys a table has, and whether they are 1 to that.
local function measure(subject)
  local count, sequence = 0, true
  for key in next, subject do
    count = count + 1
    sequence = sequence and math.type(key) == "integer" and key >= 1
  end
  return count, sequence and rawlen(subject) == count
end

-- The names of columns, a list that is nobody else's; nil when there are none.
local function columns_of(subject)
  local metatable <const> = debug.getmetatable(subject)
  local named <const> = metatable and rawget(metatable, "columns")
  if type(named) ~= "table" or rawlen(named) > COLUMNS_MAX then return nil end
  local columns <const> = {}
  for i = 1, rawlen(named) do
    local name <const> = rawget(named, i)
    if type(name) ~= "string" or #name > COLUMN_BYTES_MAX then return nil end
    columns[i] = name
  end
  return columns
end

local encode

local function encode_list(state, subject, count)
  local list <const> = {}
  for i = 1, count do
    if not has_room(state) then
      list[i] = { cut = count - i + 1 }
      break
    end
    list[i] = encode(state, rawget(subject, i))
  end
  local columns <const> = columns_of(subject)
  for _, name in ipairs(columns or {}) do state.bytes = state.bytes + #name end
  return { list = json.array(list), columns = columns and json.array(columns) }
end

local RANKS <const> = { number = 1, string = 2, boolean = 3 }

-- Numbers, then strings, then the rest.
local function before(a, b)
  local rank_a <const>, rank_b <const> = RANKS[type(a)] or 4, RANKS[type(b)] or 4
  if rank_a ~= rank_b then return rank_a < rank_b end
  return rank_a <= 2 and a < b
end

-- As many keys as there may be, in their order.
local function keys_of(subject)
  local keys, named = {}, {}
  for _, name in ipairs(columns_of(subject) or {}) do
    if rawget(subject, name) ~= nil then
      keys[#keys + 1] = name
      named[name] = true
    end
  end
  local rest <const> = {}
  for key in next, subject do
    if #rest == M.ITEMS_MAX then break end
    if not named[key] and key == key then rest[#rest + 1] = key end
  end
  lists.sort(rest, before)
  return table.move(rest, 1, #rest, #keys + 1, keys)
end

local function encode_record(state, subject, count)
  local pairs_of <const> = {}
  for i, key in ipairs(keys_of(subject)) do
    if not has_room(state) then break end
    pairs_of[i] = json.array { encode(state, key), encode(state, rawget(subject, key)) }
  end
  if #pairs_of < count then pairs_of[#pairs_of + 1] = { cut = count - #pairs_of } end
  return { record = json.array(pairs_of) }
end

local function encode_table(state, subject)
  if state.path[subject] then return { seen = true } end
  if state.depth == M.DEPTH_MAX then return { other = ("table: %p (nested too deeply)"):format(subject) } end
  state.path[subject], state.depth = true, state.depth + 1
  local count <const>, sequence = measure(subject)
  local encoded <const> = (sequence and encode_list or encode_record)(state, subject, count)
  state.path[subject], state.depth = nil, state.depth - 1
  return encoded
end

function encode(state, value)
  state.items, state.bytes = state.items + 1, state.bytes + ITEM_BYTES
  local kind <const> = type(value)
  if value == nil or value == json.null then return json.null end
  if kind == "boolean" then return value end
  if kind == "number" then return encode_number(value) end
  if kind == "string" then return encode_string(state, value) end
  if kind == "table" then return encode_table(state, value) end
  return { other = ("%s: %p"):format(kind, value) }
end

--- Encodes what a statement gave.
-- @tparam table values of table.pack
-- @treturn table for json.encode, an array; as large as the limits above let it be
function M.values(values)
  local state <const> = { items = 0, bytes = 0, depth = 0, path = {} }
  local list <const> = {}
  for i = 1, values.n do
    if i > 1 and not has_room(state) then
      list[i] = { cut = values.n - i + 1 }
      break
    end
    list[i] = encode(state, values[i])
  end
  return json.array(list)
end

--- Encodes text that may not be UTF-8, whole.
-- @tparam string text
-- @return the text, or {bytes =}
function M.text(text)
  return encode_text({ bytes = 0 }, text)
end

local decode

local decoders <const> = {
  float = function(text) return tonumber(text) or error("float: expected a number as %a writes it", 0) end,
  bytes = function(text) return types.base64_decode(text) or error("bytes: expected base64", 0) end,
  list = function(items)
    if type(items) ~= "table" then error("list: expected an array", 0) end
    local list <const> = {}
    for i, item in ipairs(items) do list[i] = decode(item) end
    return list
  end,
  record = function(items)
    if type(items) ~= "table" then error("record: expected an array", 0) end
    local record <const> = {}
    for _, item in ipairs(items) do
      local key
      if type(item) == "table" then key = decode(item[1]) end
      if key == nil or key ~= key then error("record: expected pairs of a key and a value", 0) end
      record[key] = decode(item[2])
    end
    return record
  end,
}

local SPECIAL_FLOATS <const> = { inf = math.huge, ["-inf"] = -math.huge, nan = 0 / 0 }

function decode(value)
  if value == json.null then return nil end
  if type(value) ~= "table" then return value end
  if SPECIAL_FLOATS[value.float] then return SPECIAL_FLOATS[value.float] end
  for name, decoder in pairs(decoders) do
    if value[name] ~= nil then return decoder(value[name]) end
  end
  error("a value: expected float, bytes, list or record", 0)
end

--- Decodes what a console gives as arguments: the opposite of `values`. Raises what is wrong with it.
-- @tparam ?table list as JSON was decoded; nil: none
-- @treturn table of table.pack
function M.decode(list)
  if list == nil then return table.pack() end
  if getmetatable(list) ~= json.array_mt then error("args: expected an array", 0) end
  local values <const> = { n = #list }
  for i = 1, #list do values[i] = decode(list[i]) end
  return values
end

return M
