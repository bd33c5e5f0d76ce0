--- The standard library as a statement of a console has it: copies that cannot harm the node.
--
--     local standard = require "kvserver.console.node.standard"
--     local environment = standard.new()
--
-- There is no io, debug, package, require, dofile, loadfile; os tells the time and no more. Nothing here runs long
-- inside C, where nothing can interrupt it: patterns that may are matched in Lua, lists are sorted there by functions
-- of the statement's own, and what is left has a limit that its error names. There are no finalizers: they would run
-- where nothing interrupts them, whenever the collector pleases.
local passing = require "kvserver.coroutine"
local text = require "kvserver.console.node.text"

local M = {}

--- Limits of one call.
M.REPEATED_BYTES_MAX = 4 << 20
M.SORTED_ITEMS_MAX = 100000
M.MOVED_ITEMS_MAX = 1000000

local function copy(library, names)
  local copied <const> = {}
  for name in names:gmatch("%S+") do copied[name] = library[name] end
  return copied
end

-- ---- strings ----

-- What is too long for the node's memory fails as it would, without being made.
local function rep(piece, count, separator)
  local bytes <const> = #tostring(piece) + #tostring(separator or "")
  local times <const> = math.tointeger(tonumber(count))
  if times and times > 0 and bytes > 0 and times > M.REPEATED_BYTES_MAX // bytes then
    error(("not enough memory: string.rep makes up to %d bytes in a console"):format(M.REPEATED_BYTES_MAX), 2)
  end
  return string.rep(piece, count, separator)
end

local function new_string()
  local library <const> = copy(string, "byte char format len lower pack packsize reverse sub unpack upper")
  library.find, library.match, library.gmatch, library.gsub = text.find, text.match, text.gmatch, text.gsub
  library.rep = rep
  return library
end

-- ---- tables ----

-- Merges the runs list[first..middle] and list[middle + 1..last], each in order, into `merged`.
local function merge(list, merged, first, middle, last, before)
  local left, right = first, middle + 1
  for at = first, last do
    if right > last or left <= middle and not before(list[right], list[left]) then
      merged[at], left = list[left], left + 1
    else
      merged[at], right = list[right], right + 1
    end
  end
end

-- In Lua, so that what compares can be interrupted, and wait. It is stable.
local function sort_by(list, before)
  local count <const>, from, into = #list, list, {}
  local width = 1
  while width < count do
    for first = 1, count, 2 * width do
      merge(from, into, first, math.min(first + width - 1, count), math.min(first + 2 * width - 1, count), before)
    end
    from, into, width = into, from, 2 * width
  end
  for at = 1, from ~= list and count or 0 do list[at] = from[at] end
end

local function sort(list, before)
  if type(list) == "table" and type(before) == "function" then return sort_by(list, before) end
  if type(list) == "table" and #list > M.SORTED_ITEMS_MAX then
    error(("table.sort: up to %d items in a console, unless they are compared by a function")
      :format(M.SORTED_ITEMS_MAX), 2)
  end
  return table.sort(list, before)
end

local function move(from, first, last, ...)
  if math.type(first) == "integer" and math.type(last) == "integer" and last >= first
    and (last - first >= M.MOVED_ITEMS_MAX or last - first < 0) then
    error(("table.move: up to %d items in a console"):format(M.MOVED_ITEMS_MAX), 2)
  end
  return table.move(from, first, last, ...)
end

local function new_table()
  local library <const> = copy(table, "concat insert pack remove unpack")
  library.sort, library.move = sort, move
  return library
end

-- ---- the rest ----

-- That of a string is everybody's.
local function get_metatable(subject)
  if type(subject) == "table" then return getmetatable(subject) end
end

local function set_metatable(subject, metatable)
  if type(metatable) == "table" and rawget(metatable, "__gc") ~= nil then
    error("setmetatable: there are no finalizers in a console", 2)
  end
  return setmetatable(subject, metatable)
end

local function collect_garbage(what)
  if what ~= nil and what ~= "count" and what ~= "step" then
    error('collectgarbage: the console has "count" and "step"; the collector works by itself', 2)
  end
  return collectgarbage(what or "step")
end

-- What `load` of this environment is: text, in the environment itself unless another is given.
local function loader(environment)
  return function(chunk, name, _, given, ...)
    if select("#", ...) > 0 then error("load: expected a chunk, a name, a mode and an environment", 2) end
    return load(chunk, name, "t", given == nil and environment or given)
  end
end

--- The methods of strings, as a table that nobody changes: see limit_strings of kvserver.loop.
M.string_methods = new_string()

--- A new environment, with nothing in it that another has, but functions.
-- @treturn table
function M.new()
  local environment <const> = copy(_G, "_VERSION assert error ipairs next pairs pcall rawequal rawget rawlen rawset "
    .. "select tonumber tostring type xpcall")
  environment._G = environment
  environment.getmetatable, environment.setmetatable = get_metatable, set_metatable
  environment.collectgarbage, environment.load = collect_garbage, loader(environment)
  environment.string, environment.table = new_string(), new_table()
  environment.coroutine = copy(coroutine, "close create isyieldable running status yield")
  environment.coroutine.resume, environment.coroutine.wrap = passing.resume, passing.wrap
  environment.utf8 = copy(utf8, "char charpattern codepoint codes len offset")
  environment.os = copy(os, "clock date difftime time")
  environment.math = copy(math, "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger "
    .. "modf pi rad random sin sqrt tan tointeger type ult")
  return environment
end

return M
