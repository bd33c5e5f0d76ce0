--- What somebody may have meant who called something that is not there.
--
--     hints.of("console:1: attempt to call a nil value (field 'peer')", "raft.peer()", environment)
--     --> "did you mean raft.peers?"
local config = require "kvserver.config"

local M = {}

local NAMES_MAX <const> = 1000 -- of a table that is looked through

local function names_of(subject)
  local names <const> = {}
  for name in next, subject do
    if type(name) == "string" then names[#names + 1] = name end
    if #names == NAMES_MAX then break end
  end
  table.sort(names)
  return names
end

local function global(name, environment)
  return config.nearest(name, names_of(environment))
end

-- The message names the field alone; whose it is stands in the code.
local function field(name, code, environment)
  for owner in code:gmatch("([%a_][%w_]*)%s*[.:]%s*" .. name:gsub("%W", "%%%0") .. "%f[^%w_]") do
    local subject <const> = rawget(environment, owner)
    local near <const> = type(subject) == "table" and config.nearest(name, names_of(subject))
    if near then return owner .. "." .. near end
  end
end

--- Says what may have been meant.
-- @tparam string message of an error
-- @tparam string code that raised it
-- @tparam table environment of the code
-- @treturn ?string nil when nothing is near, or the error is another one
function M.of(message, code, environment)
  local kind <const>, name = message:match("attempt to %a+ a nil value %((%a+) '([^']+)'%)")
  local near
  if kind == "global" then
    near = global(name, environment)
  elseif kind == "field" or kind == "method" then
    near = field(name, code, environment)
  end
  return near and ("did you mean %s?"):format(near)
end

return M
