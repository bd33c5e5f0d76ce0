--- The faults of the network between nodes in a scenario. Clients reach every node all the same. Each fault lasts until
-- heal(), or the end of the scenario.
local duration = require "kvserver.scenario.duration"

local M = {}

local Net = {}
Net.__index = Net

function M.new(cluster)
  return setmetatable({ cluster = cluster, world = cluster.world, touched = {} }, Net)
end

local function names(nodes)
  local list = {}
  for i, node in ipairs(nodes) do list[i] = node.id end
  return table.concat(list, " ")
end

local function cut(self, from, to)
  self.cluster:need "net.cut"
  self.is_cut = true
  self.world:cut(from.id, to.id)
end

--- Nodes of different groups do not hear of each other any more.
-- @verb c.net:partition{{a, b}, {c}}
-- @tparam table groups lists of nodes; who is in none of them hears nobody
function Net:partition(groups)
  local group_of, texts = {}, {}
  for number, group in ipairs(groups) do
    for _, node in ipairs(group) do group_of[node] = number end
    texts[number] = names(group)
  end
  for _, from in ipairs(self.cluster.list) do
    for _, to in ipairs(self.cluster.list) do
      local together <const> = group_of[from] and group_of[from] == group_of[to]
      if from ~= to and not together then cut(self, from, to) end
    end
  end
  self.cluster.say("the network is cut: %s", table.concat(texts, " | "))
end

--- One node and the others do not hear of each other any more.
-- @verb c.net:isolate(node)
function Net:isolate(node)
  self:partition { { node }, self.cluster:others(node) }
end

--- What a sends does not reach b any more; the other way it does.
-- @verb c.net:oneway(a, b)
function Net:oneway(from, to)
  cut(self, from, to)
  self.cluster.say("%s does not hear %s any more", to.id, from.id)
end

--- How what a sends reaches b.
-- @verb c.net:link(a, b, {delay="20ms", jitter="5ms", drop=0.1, dup=0.1, reorder=0.5})
-- @tparam table options delay, jitter (up to so much more), drop, dup, reorder (0 to 1)
function Net:link(from, to, options)
  self.cluster:need "net.link"
  local link, texts = {}, {}
  for _, name in ipairs { "delay", "jitter", "drop", "dup", "reorder" } do
    local value <const> = options[name]
    if value then
      link[name] = (name == "delay" or name == "jitter") and duration.ms(value) or value
      texts[#texts + 1] = ("%s %s"):format(name, value)
    end
  end
  self.touched[from.id .. " " .. to.id] = { from, to }
  self.world:link(from.id, to.id, link)
  self.cluster.say("from %s to %s: %s", from.id, to.id, table.concat(texts, ", "))
end

--- The next message is lost.
-- @verb c.net:drop_next{from=, to=, type=}
-- @tparam table which from, to (nodes), type ("append", "vote", "install", ...; any)
function Net:drop_next(which)
  self.cluster:need "net.drop_next"
  self.world:drop_next(which.from.id, which.to.id, which.type)
  self.cluster.say("the next %s from %s to %s is lost", which.type or "message", which.from.id, which.to.id)
end

--- Messages are kept on their way until release.
-- @verb c.net:hold{from=, to=, type=}
-- @tparam table which from, to (nodes), type (as of drop_next; in sim only)
function Net:hold(which)
  self.cluster:need "net.hold"
  self.held = self.held or {}
  self.held[#self.held + 1] = which
  self.world:hold(which.from.id, which.to.id, which.type)
  self.cluster.say("what %s sends to %s is held", which.from.id, which.to.id)
end

--- All messages that are held go on their way, in order.
-- @verb c.net:release()
function Net:release()
  for _, which in ipairs(self.held or {}) do self.world:release(which.from.id, which.to.id) end
  if self.held then self.cluster.say "what was held goes on its way" end
  self.held = nil
end

--- All is as it should be between all nodes.
-- @verb c.net:heal()
function Net:heal()
  self:release()
  if not self.is_cut and not next(self.touched) then return end
  for _, from in ipairs(self.cluster.list) do
    for _, to in ipairs(self.cluster.list) do
      if from ~= to then self.world:mend(from.id, to.id) end
    end
  end
  for _, link in pairs(self.touched) do self.world:link(link[1].id, link[2].id, nil) end
  self.touched, self.is_cut = {}, nil
  self.cluster.say "the network is whole"
end

return M
