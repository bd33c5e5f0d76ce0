--- What is wrong between real nodes and on their disks. It is kept here, since it outlives them: a cut stays until it
-- is mended, however often the node that it is set at starts.
--
-- A direction is a fault of the node that sends. The names and shapes of what a node is told are those of
-- kvserver.server and of the admin socket: "link", "drop_next", "hold", "release", "disk".
local M = {}

local Faults = {}
Faults.__index = Faults

--- @tparam function tell (id, what, ...) tells a node, or what it must be told is all here when it starts
-- @return the faults: none yet
function M.new(tell)
  return setmetatable({ tell = tell, links = {}, disks = {} }, Faults)
end

local function direction(self, from, to)
  local of_node = self.links[from]
  if not of_node then
    of_node = {}
    self.links[from] = of_node
  end
  of_node[to] = of_node[to] or { cut = false, options = {}, held = false, drops = {} }
  return of_node[to]
end

local function whole_ms(ms)
  return ms and math.ceil(ms)
end

local function tell_link(self, from, to)
  local link <const> = self.links[from][to]
  local options <const> = link.options
  self.tell(from, "link", to, {
    cut = link.cut, delay_ms = whole_ms(options.delay), jitter_ms = whole_ms(options.jitter), drop = options.drop,
    dup = options.dup, reorder = options.reorder,
  })
end

--- What `from` sends does not reach `to` any more.
function Faults:cut(from, to)
  direction(self, from, to).cut = true
  tell_link(self, from, to)
end

--- It reaches it again, as its options say.
function Faults:mend(from, to)
  local link <const> = direction(self, from, to)
  if not link.cut then return end
  link.cut = false
  tell_link(self, from, to)
end

--- How what `from` sends reaches `to`.
-- @tparam string from
-- @tparam string to
-- @tparam ?table options delay, jitter (milliseconds), drop, dup, reorder (0 to 1); nil: as it should be
function Faults:link(from, to, options)
  direction(self, from, to).options = options or {}
  tell_link(self, from, to)
end

--- One message more is lost. A node that does not run is told when it starts.
-- @tparam string from
-- @tparam string to
-- @tparam ?string kind such as "append"; nil: any
-- @tparam boolean runs whether `from` does
function Faults:drop_next(from, to, kind, runs)
  if runs then return self.tell(from, "drop_next", to, kind or "any", 1) end
  table.insert(direction(self, from, to).drops, kind or "any")
end

--- Messages are kept on their way.
function Faults:hold(from, to)
  direction(self, from, to).held = true
  self.tell(from, "hold", to)
end

--- They go on.
function Faults:release(from, to)
  direction(self, from, to).held = false
  self.tell(from, "release", to)
end

--- How a disk behaves from now on.
-- @tparam string id
-- @tparam table state full, slow_ms, fail_sync, torn_next; what is absent is as usual
function Faults:disk(id, state)
  local copy = {}
  for name, value in pairs(state) do copy[name] = value end
  copy.slow_ms = whole_ms(copy.slow_ms)
  self.disks[id] = next(copy) and copy or nil
  self.tell(id, "disk", copy)
end

--- The power has gone: what was to be torn is.
function Faults:torn(id)
  if self.disks[id] then self.disks[id].torn_next = nil end
end

--- Tells a node that has just started all that is wrong with it.
-- @tparam string id
function Faults:apply(id)
  for to, link in pairs(self.links[id] or {}) do
    tell_link(self, id, to)
    if link.held then self.tell(id, "hold", to) end
    for _, kind in ipairs(link.drops) do self.tell(id, "drop_next", to, kind, 1) end
    link.drops = {}
  end
  if self.disks[id] then self.tell(id, "disk", self.disks[id]) end
end

return M
