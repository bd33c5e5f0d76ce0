--- The standard library as a statement of a console has it: copies that cannot harm the node.
--
--     local standard = require "kvserver.console.node.standard"
--     local environment = standard.new()
--
-- There is no io, debug, package, require, dofile, loadfile; os tells the time and no more. Nothing here runs long
-- inside C, where nothing can interrupt it: patterns that may are matched in Lua, lists are sorted there, and what is
-- left has a limit that its error names. There are no finalizers, which would run where nothing interrupts them,
-- whenever the collector pleases, and no weak keys, of which it makes its way through chains at one go.
local lists = require "kvserver.console.node.lists"
local passing = require "kvserver.coroutine"
local placed = require "kvserver.console.node.placed"
local text = require "kvserver.console.node.text"

local M = {}

--- Limits of one call.
M.REPEATED_BYTES_MAX = 4 << 20
M.TEXT_BYTES_MAX = 1 << 20 -- of what is looked through byte by byte, or written out
M.CHUNK_BYTES_MAX = 512 << 10 -- of a text of Lua
M.DATE_BYTES_MAX = 1000 -- of the format of a date

local function copy(library, names)
  local copied <const> = {}
  for name in names:gmatch("%S+") do copied[name] = library[name] end
  return copied
end

-- ---- strings ----

-- A function of the library, with a limit to the texts that it is given. It is called last, so that it names the place
-- of whoever called.
local function of_texts(name, f)
  return function(...)
    for i = 1, select("#", ...) do
      local given <const> = select(i, ...)
      if type(given) == "string" and #given > M.TEXT_BYTES_MAX then
        error(("%s: a text of up to %d bytes in a console: take pieces with sub"):format(name, M.TEXT_BYTES_MAX), 2)
      end
    end
    return f(...)
  end
end

-- Those functions of a library.
local function all_of_texts(space, names)
  local copied <const> = {}
  for name in names:gmatch("%S+") do copied[name] = of_texts(space .. "." .. name, _G[space][name]) end
  return copied
end

-- What is too long for the node's memory fails as it would, without being made.
local function rep(piece, count, separator)
  local bytes <const> = #tostring(piece) + #tostring(separator or "")
  local times <const> = math.tointeger(tonumber(count))
  if bytes == 0 and times then return "" end -- which the library's own would put together piece by piece
  if times and times > 0 and times > M.REPEATED_BYTES_MAX // bytes then
    error(("not enough memory: string.rep makes up to %d bytes in a console"):format(M.REPEATED_BYTES_MAX), 2)
  end
  return string.rep(piece, count, separator)
end

local function new_string()
  local library <const> = all_of_texts("string", "format lower packsize reverse upper")
  for name, f in pairs(copy(string, "byte char len pack sub unpack")) do library[name] = f end
  library.find, library.match, library.gmatch, library.gsub = text.find, text.match, text.gmatch, text.gsub
  library.rep = rep
  return library
end

-- ---- metatables ----

-- That of a string is everybody's.
local function get_metatable(subject)
  if type(subject) == "table" then return getmetatable(subject) end
end

local function set_metatable(subject, metatable)
  if type(metatable) == "table" then
    if rawget(metatable, "__gc") ~= nil then error("setmetatable: there are no finalizers in a console", 2) end
    local mode <const> = rawget(metatable, "__mode")
    if type(mode) == "string" and mode:find("k", 1, true) then
      error("setmetatable: there are no weak keys in a console", 2)
    end
  end
  return setmetatable(subject, metatable)
end

-- ---- errors ----

local function handle(handler, ok, ...)
  if ok then return true, ... end
  return false, select(2, pcall(handler, ...))
end

-- The handler is called behind the error: inside it, nothing would interrupt a handler of what was interrupted itself.
local function protect(f, handler, ...)
  if type(handler) ~= "function" then error("bad argument #2 to 'xpcall' (function expected)", 2) end
  return handle(handler, pcall(f, ...))
end

-- ---- the rest ----

local function collect_garbage(what)
  if what ~= nil and what ~= "count" and what ~= "step" then
    error('collectgarbage: the console has "count" and "step"; the collector works by itself', 2)
  end
  return collectgarbage(what or "step")
end

-- The pieces that a function gives, as far as the limit.
local function pieces(f)
  local bytes = 0
  return function()
    local piece <const> = f()
    bytes = bytes + (type(piece) == "string" and #piece or 0)
    if bytes > M.CHUNK_BYTES_MAX then
      error(("load: up to %d bytes of Lua in a console"):format(M.CHUNK_BYTES_MAX), 0)
    end
    return piece
  end
end

-- What `load` of this environment is: text, in the environment itself unless another is given.
local function loader(environment)
  return function(chunk, name, _, given, ...)
    if select("#", ...) > 0 then error("load: expected a chunk, a name, a mode and an environment", 2) end
    if type(chunk) == "string" and #chunk > M.CHUNK_BYTES_MAX then
      error(("load: up to %d bytes of Lua in a console"):format(M.CHUNK_BYTES_MAX), 2)
    end
    local source <const> = type(chunk) == "function" and pieces(chunk) or chunk
    return placed(load, source, name, "t", given == nil and environment or given)
  end
end

local function date(format, ...)
  if type(format) == "string" and #format > M.DATE_BYTES_MAX then
    error(("os.date: a format of up to %d bytes in a console"):format(M.DATE_BYTES_MAX), 2)
  end
  return os.date(format, ...)
end

-- ---- the environment ----

local function new_table()
  local library <const> = copy(table, "pack")
  for name, f in pairs(copy(lists, "concat insert move remove sort unpack")) do library[name] = f end
  return library
end

--- The methods of strings, as a table that nobody changes: see limit_strings of kvserver.loop.
M.string_methods = new_string()

--- A new environment, with nothing in it that another has, but functions.
-- @treturn table
function M.new()
  local environment <const> = copy(_G, "_VERSION assert error ipairs next pairs pcall rawequal rawget rawlen rawset "
    .. "select tonumber tostring type")
  environment._G = environment
  environment.getmetatable, environment.setmetatable = get_metatable, set_metatable
  environment.collectgarbage, environment.load = collect_garbage, loader(environment)
  environment.xpcall = protect
  environment.string, environment.table = new_string(), new_table()
  environment.coroutine = copy(coroutine, "create isyieldable running status yield")
  for name, f in pairs(copy(passing, "close resume wrap")) do environment.coroutine[name] = f end
  environment.utf8 = all_of_texts("utf8", "len offset")
  for name, value in pairs(copy(utf8, "char charpattern codepoint codes")) do environment.utf8[name] = value end
  environment.os = copy(os, "clock difftime time")
  environment.os.date = date
  environment.math = copy(math, "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger "
    .. "modf pi rad random sin sqrt tan tointeger type ult")
  return environment
end

return M
