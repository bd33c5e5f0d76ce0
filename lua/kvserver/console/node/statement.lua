--- One statement of a console: compiled, run, and what came of it put into words.
--
--     local statement = require "kvserver.console.node.statement"
--     local reply = statement.run(statement.compile { code = "1 + 1", environment = {} })
--     print(reply.ok, reply.values[1])  --> true  2
local hints = require "kvserver.console.node.hints"

local M = {}

local FRAMES_MAX <const> = 20 -- of a traceback
local LINE_MAX <const> = 100000
local MESSAGE_BYTES_MAX <const> = 16384 -- of an error; longer: cut

local function pass(...)
  return ...
end

-- An expression is compiled as an argument, not as `return EXPRESSION`: that would be a tail call, and an error without
-- its place. The bracket stands on the same line, unless a comment is before it: Lua counts that line.
local function compile_expression(code, name, environment)
  if not load("return " .. code, name, "t", environment) then return nil end
  return load("return (...)(" .. code .. ")", name, "t", environment)
    or load("return (...)(" .. code .. "\n)", name, "t", environment)
    or load("return " .. code, name, "t", environment)
end

--- Compiles a statement: as an expression if it is one.
-- @tparam table source `code`, `environment`; `chunk` (the name that messages show, "=console"), `line` (the number of
-- its first line, 1)
-- @treturn ?function called with nothing it returns what the statement gives; nil and a message when it is no Lua
function M.compile(source)
  local name <const> = source.chunk or "=console"
  local code <const> = ("\n"):rep(math.min(source.line or 1, LINE_MAX) - 1) .. source.code:gsub("^%s*=", "", 1)
  local expression <const> = compile_expression(code, name, source.environment)
  if expression then return function() return expression(pass) end end
  return load(code, name, "t", source.environment)
end

local function frame_text(about)
  local place <const> = about.currentline > 0 and ("%s:%d:"):format(about.short_src, about.currentline)
    or about.short_src .. ":"
  if about.what == "main" then return place .. " in main chunk" end
  if about.namewhat == "global" then return ("%s in function '%s'"):format(place, about.name) end
  if about.namewhat ~= "" then return ("%s in %s '%s'"):format(place, about.namewhat, about.name) end
  if about.what == "C" then return place .. " in ?" end
  return ("%s in function <%s:%d>"):format(place, about.short_src, about.linedefined)
end

-- The frames of the statement: neither those below it (`run`, and the xpcall in it), nor those of the program that it
-- called.
local function traceback(level)
  local lines <const> = { "stack traceback:" }
  while #lines <= FRAMES_MAX do
    local about <const> = debug.getinfo(level, "Slnf")
    if not about then break end
    if about.func == M.run then
      lines[#lines] = nil
      break
    end
    if about.source:sub(1, 14) ~= "@lua/kvserver/" then lines[#lines + 1] = "\t" .. frame_text(about) end
    level = level + 1
  end
  return #lines > 1 and table.concat(lines, "\n") or nil
end

local function text_of(problem)
  local ok <const>, text = pcall(tostring, problem)
  if not ok then return ("(error object is a %s value)"):format(type(problem)) end
  if #text <= MESSAGE_BYTES_MAX then return text end
  return ("%s... (%d bytes)"):format(text:sub(1, MESSAGE_BYTES_MAX), #text)
end

local function describe(problem)
  return { message = text_of(problem), traceback = traceback(3) }
end

-- What a statement raised. `context.refused` is what a command refused last, in its own words.
local function failure(context, problem)
  local text <const> = problem.message
  local kind = "runtime"
  if text:find("not enough memory", 1, true) then
    kind = "limit"
  elseif context.refused and text:sub(-#context.refused) == context.refused then
    kind = "refused"
  end
  return { ok = false, kind = kind, message = text, traceback = problem.traceback }
end

--- Runs what was compiled.
-- @tparam function chunk
-- @tparam[opt] table context of the commands that it may call
-- @treturn table `ok` = true and `values` (of table.pack); or false, `kind` ("runtime", "limit" or "refused"),
-- `message`, and `traceback` where there is one
function M.run(chunk, context)
  local results <const> = table.pack(xpcall(chunk, describe))
  if results[1] then return { ok = true, values = table.pack(table.unpack(results, 2, results.n)) } end
  local problem = results[2]
  if type(problem) ~= "table" then problem = { message = tostring(problem) } end -- no handler runs without memory
  return failure(context or {}, problem)
end

--- What a statement gives that is no Lua, or that raised: with what may have been meant.
-- @tparam table reply of `run`
-- @tparam string code
-- @tparam table environment
-- @treturn table reply, `hint` in it where there is one
function M.with_hint(reply, code, environment)
  if reply.kind == "runtime" then reply.hint = hints.of(reply.message, code, environment) end
  return reply
end

return M
