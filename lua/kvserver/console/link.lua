--- A connection that comes back: when the node goes away, it is looked for again at the same socket, more and more
-- rarely, until it is there.
local connection = require "kvserver.console.connection"
local task = require "kvserver.task"

local M = {}

local RETRY_MS_MIN <const>, RETRY_MS_MAX <const> = 100, 3000
local ATTEMPT_MS <const> = 3000

local Link = {}
Link.__index = Link

local function watch(self, node)
  self.node = node
  node.on_status = function() self.on_change() end
  node.on_close = function(why)
    if self.closed then return end
    self.on_change()
    self.on_lost(why)
    task.spawn(self.retry, self)
  end
end

-- A task.
function Link:retry()
  local wait_ms = RETRY_MS_MIN
  while not self.closed do
    task.sleep(wait_ms)
    wait_ms = math.min(wait_ms * 2, RETRY_MS_MAX)
    local node <const> = connection.open(self.path, self.options)
    if node then
      if self.closed then return node:close() end
      watch(self, node)
      self.on_change()
      return self.on_back(node)
    end
  end
end

--- Whether there is a connection now.
-- @treturn boolean
function Link:is_up()
  return not self.node.why_closed
end

--- Ends it. Any number of times.
function Link:close()
  if self.closed then return end
  self.closed = true
  self.node:close()
end

--- Watches a connection.
-- @param node of kvserver.console.connection
-- @tparam table options those of connection.open
-- @tparam table handlers `on_change()`: what the prompt shows may have changed; `on_lost(why)`; `on_back(node)`. They
-- run in tasks
-- @return the link: `node` is the connection now
function M.watch(node, options, handlers)
  local again <const> = {}
  for key, value in pairs(options) do again[key] = value end
  again.timeout_ms = ATTEMPT_MS
  local self <const> = setmetatable({
    path = node.path, options = again, on_change = handlers.on_change, on_lost = handlers.on_lost,
    on_back = handlers.on_back,
  }, Link)
  watch(self, node)
  if node.why_closed then node.on_close(node.why_closed) end
  return self
end

return M
