--- Reads what stands behind --console.
--
--     local given <const>, why = arguments.read({ "n1.data", "-e", "status()" }, os.getenv)
--     --> { target = "n1.data", programs = { { flag = "-e", text = "status()" } }, words = {}, format = "auto" }
local config = require "kvserver.config"
local options = require "kvserver.console.options"

local M = {}

local function unknown_option(flag)
  local flags <const> = {}
  for i, row in ipairs(options.rows) do flags[i] = row.flag end
  local near <const> = flag:find "^%-%-" and config.nearest(flag, flags)
  return nil, ("%s: unknown option of the console%s"):format(flag, near and (" (did you mean %s?)"):format(near) or "")
end

local function check(row, text, place)
  if not row.parse then return text end
  local value <const>, expected = row.parse(text)
  if value ~= nil then return value end
  return nil, ("%s: expected %s, got \"%s\""):format(place, expected, text)
end

-- Puts the option at list[i] into `given`: the index of what comes behind it, or nil and why not.
local function read_option(given, list, i)
  local flag, text = list[i]:match "^(%-%-[^=]+)=(.*)$"
  flag = flag or list[i]
  local row <const> = options.by_flag[flag]
  if not row then return unknown_option(flag) end
  if not row.argument then
    if text then return nil, ("%s: takes no value, got \"%s\""):format(flag, text) end
    given[row.key] = true
    return i + 1
  end
  if not text then
    i = i + 1
    text = list[i]
  end
  if not text then return nil, ("%s: expected %s"):format(flag, row.argument) end
  if row.repeatable then
    table.insert(given[row.key], { flag = flag, text = text })
    return i + 1
  end
  local value <const>, why = check(row, text, flag)
  if value == nil then return nil, why end
  given[row.key] = value
  return i + 1
end

-- What the environment says where no flag does.
local function add_environment(given, getenv)
  for _, row in ipairs(options.rows) do
    local text <const> = row.environment and given[row.key] == nil and getenv(row.environment)
    if text and text ~= "" then
      local value <const>, why = check(row, text, row.environment)
      if value == nil then return nil, why end
      given[row.key] = value
    end
  end
  return given
end

--- Reads the arguments.
-- @tparam {string,...} list those behind --console
-- @tparam function getenv name -> value of a variable of the environment, or nil
-- @treturn ?table `target` (nil: none), `programs` ({{flag = "-e" or "-f", text =}, ...}), `words`, and the values by
-- the keys of kvserver.console.options; or nil and why not
function M.read(list, getenv)
  local given <const> = { programs = {}, words = {} }
  local i = 1
  while i <= #list do
    local word <const> = list[i]
    if word == "--" then
      table.move(list, i + 1, #list, #given.words + 1, given.words)
      break
    elseif word:find "^%-." then
      local next_index <const>, why = read_option(given, list, i)
      if not next_index then return nil, why end
      i = next_index
    else
      if given.target then
        table.insert(given.words, word)
      else
        given.target = word
      end
      i = i + 1
    end
  end
  return add_environment(given, getenv)
end

return M
