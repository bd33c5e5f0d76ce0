--- The commands of a node as functions of a program that runs elsewhere: what admin scripts work with.
--
--     local n2 <const> = remote.commands(node, { rw = true })
--     print(n2.status().role, n2.kv.get "a", n2.eval("return 1 + ...", 2))
--
-- What a command refuses is raised, as a table with `message`, `kind`, `node` (its id) and `traceback` (the node's);
-- tostring and .. make its message of it, with the place of the call.
local commands = require "kvserver.console.node.commands"
local decode = require "kvserver.console.decode"
local encode = require "kvserver.console.node.encode"

local M = {}

local Refusal <const> = { __name = "refusal" }

function Refusal:__tostring()
  return self.place .. self.message
end

function Refusal.__concat(a, b)
  return tostring(a) .. tostring(b)
end

-- Raises what a reply refuses, as error() does: level 1 is who calls this, 2 who called that.
local function raise(node, reply, level)
  local about <const> = debug.getinfo(level + 1, "Sl")
  local place <const> = about and about.currentline > 0 and ("%s:%d: "):format(about.short_src, about.currentline) or ""
  error(setmetatable({
    message = tostring(reply.message), kind = reply.kind, node = node.about.id, place = place,
    traceback = type(reply.traceback) == "string" and reply.traceback or nil,
  }, Refusal))
end

-- The reply, whatever becomes of the connection.
local function ask(node, message, options)
  message.rw = options.rw
  local reply <const>, why = node:request(message, options.timeout_ms)
  return reply or { ok = false, kind = why, message = ("%s: %s"):format(node.path, why) }
end

-- The values of a reply, as Lua has them.
local function unpack_values(reply)
  local values <const> = { n = #reply.values }
  for i, value in ipairs(reply.values) do values[i] = decode.plain(value) end
  return table.unpack(values, 1, values.n)
end

local function call(node, options, name)
  return function(...)
    local reply <const> = ask(node, { ["do"] = "call", name = name, args = encode.values(table.pack(...)) }, options)
    if not reply.ok then raise(node, reply, 2) end
    return unpack_values(reply)
  end
end

-- The values arrive as the code's own `...`.
local function eval(node, options)
  return function(code, ...)
    if type(code) ~= "string" then error("eval: expected a text of Lua", 2) end
    local literals <const> = {}
    for i = 1, select("#", ...) do literals[i] = M.literal((select(i, ...))) end
    local whole <const> = ("return (function(...) %s\nend)(%s)"):format(M.as_chunk(code), table.concat(literals, ","))
    local reply <const> = ask(node, { ["do"] = "eval", code = whole, chunk = "=eval", line = 1 }, options)
    if not reply.ok then raise(node, reply, 2) end
    return unpack_values(reply)
  end
end

--- A text of Lua as the body of a function: an expression is what it returns.
-- @tparam string code
-- @treturn string
function M.as_chunk(code)
  return load("return " .. code, "=", "t") and "return " .. code or code
end

local function table_literal(value, depth)
  if depth == 0 then error("eval: a table that is nested too deeply, or in itself", 4) end
  local parts <const> = {}
  for key, item in pairs(value) do
    parts[#parts + 1] = ("[%s]=%s"):format(M.literal(key, depth - 1), M.literal(item, depth - 1))
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local DEPTH_MAX <const> = 16

--- A value as Lua writes it.
-- @param value nil, a boolean, a number, a string, or a table of these
-- @tparam[opt] integer depth how deeply it may be nested
-- @treturn string
function M.literal(value, depth)
  if type(value) == "table" then return table_literal(value, depth or DEPTH_MAX) end
  if type(value) == "function" or type(value) == "userdata" or type(value) == "thread" then
    error(("eval: a %s cannot go to another process"):format(type(value)), 3)
  end
  return ("%q"):format(value)
end

-- A table of commands, which can itself be one ("config" and "config.set").
local function namespace(globals, name)
  local found = globals[name]
  if type(found) == "table" then return found end
  local command <const> = found
  found = setmetatable({}, { __call = command and function(_, ...) return command(...) end })
  globals[name] = found
  return found
end

--- Its commands.
-- @param node of kvserver.console.connection
-- @tparam[opt] table options `rw` (true: they may write), `timeout_ms` (of each)
-- @treturn table name -> function, commands with a dot in tables of their own, and `eval(code, ...)`, which runs a text
-- of Lua in the node with these values as its `...`
function M.commands(node, options)
  options = options or {}
  local globals <const> = { eval = eval(node, options) }
  for _, row in ipairs(commands.list) do
    local command <const> = call(node, options, row.name)
    local space <const>, name = row.name:match "^(%w+)%.(%w+)$"
    if space then
      namespace(globals, space)[name] = command
    else
      globals[row.name] = command
    end
  end
  return globals
end

return M
