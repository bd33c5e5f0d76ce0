--- What consoles begin and what ends by itself: a louder log, a fault.
--
--     local later <close> = undo.new()
--     later:later("fault.disk", 60000, function() node:fault_disk {} end)
local log = require "kvserver.log"
local uv = require "luv"

local M = {}

local Undo = {}
Undo.__index = Undo

-- Ends one; what it meant to change may be gone by now.
local function run(self, name)
  local entry <const> = self.entries[name]
  self:cancel(name)
  local ok <const>, why = pcall(entry.undo)
  if not ok then log.write("warn", "console", "undo_failed", { name = name, why = tostring(why) }) end
  log.write("warn", "console", "undone", { name = name })
end

--- Has something end later; in place of what has the same name.
-- @tparam string name
-- @tparam integer ms from now
-- @tparam function undo
function Undo:later(name, ms, undo)
  self:cancel(name)
  local timer <const> = uv.new_timer()
  self.entries[name] = { timer = timer, undo = undo }
  timer:start(ms, 0, function() run(self, name) end)
end

--- Forgets one: it stays as it is.
-- @tparam string name
function Undo:cancel(name)
  local entry <const> = self.entries[name]
  if not entry then return end
  self.entries[name] = nil
  entry.timer:close()
end

--- Ends, now, those whose name matches.
-- @tparam string pattern
-- @treturn integer how many there were
function Undo:now(pattern)
  local names <const> = {}
  for name in pairs(self.entries) do
    if name:find(pattern) then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do run(self, name) end
  return #names
end

--- Forgets all.
function Undo:close()
  for name in pairs(self.entries) do self:cancel(name) end
end

Undo.__close = Undo.close

--- Nothing to undo yet.
-- @return it, a `<close>` value
function M.new()
  return setmetatable({ entries = {} }, Undo)
end

return M
