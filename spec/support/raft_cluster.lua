--- A cluster of pure cores in virtual time, whose network and disks are moved by hand.
--
--   local cluster = require "spec.support.raft_cluster"
--   local c = cluster.new { nodes = 3 }
--   c:elect(1)                       -- node 1 times out first; everything is delivered until it leads and is quiet
--   c:propose(1, 2)                  -- two entries, sent at once
--   c:deliver()                      -- until nothing is under way; c:deliver { to = 2, type = "append" } only those
--   c:drop { to = 3 }                -- loses what is under way to node 3
--   c:isolate(3)  c:heal()           -- cuts and restores links: what is sent over a cut link is lost
--   c:slow_disk(2)  c:sync(2)        -- from now on the disk work of node 2 is completed by hand, one by one
--   c:crash(2)  c:restart(2)         -- a node comes back with what was durable
--   c.trace                          -- what happened, as lines of text
--
-- Messages are delivered in the order in which they were sent unless picked out by a filter. After each step it checks
-- what must always hold: one leader per term, a commit index that never goes back, one term per committed index, an
-- append-only leader. A violation is an error.

local raft = require "kvserver.raft"

local M = {}

local Cluster = {}
Cluster.__index = Cluster

local NO_RANDOM <const> = 0

-- ---- text ----

local describe = {
  append = function(m)
    local entries = #m.terms == 0 and "heartbeat" or ("entries %s"):format(table.concat(m.terms, " "))
    return ("after %d/%d, %s, commit %d, round %d"):format(m.prev_index, m.prev_term, entries, m.commit_index, m.round)
  end,
  append_reply = function(m)
    if m.success then return ("ok, match %d, round %d"):format(m.match_index, m.round) end
    return ("refused %d, conflict at %d of term %d, round %d"):format(m.prev_index, m.conflict_index, m.conflict_term,
      m.round)
  end,
  vote = function(m)
    return ("%slog ends at %d/%d"):format(m.transfer and "by transfer, " or "", m.last_index, m.last_term)
  end,
  vote_reply = function(m) return ("%s for term %d"):format(m.granted and "granted" or "refused", m.vote_term) end,
  timeout_now = function() return "campaign at once" end,
}

local function name_of(message)
  return (message.pre and "pre_" or "") .. message.type
end

local function text_of(message)
  return ("n%d -> n%d %s term %d: %s"):format(message.from, message.to, name_of(message), message.term,
    describe[message.type](message))
end

function Cluster:note(format, ...)
  self.trace[#self.trace + 1] = format:format(...)
end

--- The whole trace as one text; each line ends with a newline.
function Cluster:text()
  return table.concat(self.trace, "\n") .. "\n"
end

-- ---- nodes ----

local function start_core(self, number)
  local node = self.nodes[number]
  self.lives = self.lives + 1
  local options = { nodes = #self.nodes, self = number, now = self.now, random = self.lives * 2 + 1,
    life = self.lives * 2 + 1 }
  for key, value in pairs(self.options) do
    if options[key] == nil then options[key] = value end
  end
  options.hard_state = node.durable.hard_state
  options.log = node.durable.log
  node.core = raft.core(options)
  node.life = options.life
  node.up = true
  node.pending = {} -- disk work handed out, oldest first: { number, hard_state, log, last index }
  node.held = {} -- messages that wait for the disk
  node.commit = self.options.log_base or 0
  node.synced = 0
  node.deadline = node.core:step({ type = "flush" }).deadline
  node.last_state = node.core:state()
end

--- Makes a cluster.
-- @param options nodes (3); logs = { {terms of node 1}, ... }; hard_states = { {term =, voted_for =, proven =}, ... };
--   proven (true): the default mark; everything else goes to raft.core
-- @return the cluster, all nodes up at time 0
function M.new(options)
  local self = setmetatable({ now = 0, lives = 0, nodes = {}, network = {}, cuts = {}, trace = {}, leaders = {},
    committed = {}, options = {} }, Cluster)
  for key, value in pairs(options or {}) do self.options[key] = value end
  local logs, hard_states = self.options.logs or {}, self.options.hard_states or {}
  local proven = self.options.proven ~= false
  local count = self.options.nodes or 3
  self.options.logs, self.options.hard_states, self.options.nodes, self.options.proven = nil, nil, nil, nil
  for number = 1, count do
    local log = logs[number] or {}
    self.nodes[number] = {
      durable = { log = log, hard_state = hard_states[number] or { term = log[#log] or 0, proven = proven } },
    }
  end
  for number = 1, count do start_core(self, number) end
  return self
end

--- The state of a node's core.
function Cluster:state(number) return self.nodes[number].core:state() end

--- The terms of a node's log.
function Cluster:log(number) return self.nodes[number].core:log() end

-- ---- invariants ----

local function check_leader(self, number, state)
  if state.role ~= "leader" then return end
  local other = self.leaders[state.term]
  if other and other ~= number then
    error(("two leaders of term %d: n%d and n%d"):format(state.term, other, number), 0)
  end
  self.leaders[state.term] = number
end

local function check_commit(self, number, output)
  local node = self.nodes[number]
  if output.commit_index == 0 then return end
  if math.ult(output.commit_index, node.commit) then error(("n%d: the commit index went back"):format(number), 0) end
  for offset = 1, output.commit_index - node.commit do -- counted: indices may wrap around as Lua's integers
    local index = node.commit + offset
    local term = node.core:term_at(index)
    if self.committed[index] == nil then self.committed[index] = term end
    if self.committed[index] ~= term then
      error(("n%d commits %s at %d, but term %d was committed there"):format(number, tostring(term), index,
        self.committed[index]), 0)
    end
  end
  node.commit = output.commit_index
end

local function check_append_only(number, before, after, output)
  local leads = before.role == "leader" and after.role == "leader" and before.term == after.term
  if leads and output.truncate_from then error(("leader n%d truncated its log"):format(number), 0) end
end

-- ---- effects of a step ----

local function note_state(self, number, before, after)
  if before.role ~= after.role or before.term ~= after.term then
    self:note("  n%d is %s of term %d", number, after.role, after.term)
  end
  if before.commit_index ~= after.commit_index then self:note("  n%d commit %d", number, after.commit_index) end
  if before.confirmed_round ~= after.confirmed_round and after.confirmed_round > before.confirmed_round then
    self:note("  n%d round %d is confirmed", number, after.confirmed_round)
  end
end

local function note_disk(self, number, output)
  if output.sync == 0 then return end
  local parts = {}
  if output.truncate_from then parts[#parts + 1] = ("cut from %d"):format(output.truncate_from) end
  if output.append then
    local first, last = output.append.index, output.append.index + output.append.count - 1
    parts[#parts + 1] = ("append %d..%d"):format(first, last)
  end
  if output.hard_state then
    local state = output.hard_state
    local vote = state.voted_for and "n" .. state.voted_for or "nobody"
    parts[#parts + 1] = ("term %d, vote %s%s"):format(state.term, vote, state.proven and "" or ", unproven")
  end
  self:note("  n%d disk %d: %s", number, output.sync, table.concat(parts, "; "))
end

local function cut_key(from, to) return from .. ">" .. to end

local function post(self, message)
  local note = message.after_sync > 0 and (" (after disk %d)"):format(message.after_sync) or ""
  if self.cuts[cut_key(message.from, message.to)] then
    self:note("  %s%s, lost", text_of(message), note)
    return
  end
  self:note("  %s%s", text_of(message), note)
  self.network[#self.network + 1] = message
end

local function send(self, number, message)
  local node = self.nodes[number]
  if message.after_sync > node.synced then
    node.held[#node.held + 1] = message
    self:note("  %s, waits for disk %d", text_of(message), message.after_sync)
  else
    post(self, message)
  end
end

local function copy(list) return table.move(list, 1, #list, 1, {}) end

local complete_oldest

local function step(self, number, event, text)
  local node = self.nodes[number]
  if not node.up then error(("n%d is down"):format(number), 3) end
  self:note("%s", text)
  event.now = self.now
  event.random = event.random or (self.random and self.random(number)) or NO_RANDOM
  local before = node.last_state
  local output = node.core:step(event)
  local after = node.core:state()
  node.last_state = after
  node.deadline = output.deadline
  note_state(self, number, before, after)
  note_disk(self, number, output)
  if output.sync > 0 then
    local state = { term = after.term, voted_for = after.voted_for, proven = after.proven }
    local work = { number = output.sync, hard_state = state, log = node.core:log(), last = after.last_index }
    node.pending[#node.pending + 1] = work
  end
  for _, message in ipairs(output.messages) do send(self, number, message) end
  check_leader(self, number, after)
  check_commit(self, number, output)
  check_append_only(number, before, after, output)
  while not node.slow and #node.pending > 0 do complete_oldest(self, number) end
  return output
end

complete_oldest = function(self, number)
  local node = self.nodes[number]
  local work = table.remove(node.pending, 1)
  node.synced = work.number
  node.durable = { hard_state = work.hard_state, log = copy(work.log) }
  step(self, number, { type = "synced", sync = work.number, index = work.last },
    ("n%d disk %d is done"):format(number, work.number))
  local waiting = node.held
  node.held = {}
  for _, message in ipairs(waiting) do
    if message.after_sync <= node.synced then
      message.after_sync = 0
      post(self, message)
    else
      node.held[#node.held + 1] = message
    end
  end
end

-- ---- what may happen ----

--- Steps any event at a node: { type =, ... }. Returns the output.
function Cluster:step(number, event)
  return step(self, number, event, ("n%d %s"):format(number, event.type))
end

--- The end of a node's turn: AppendEntries leave.
function Cluster:flush(number)
  local lines = #self.trace
  local output = step(self, number, { type = "flush" }, ("n%d ends its turn"):format(number))
  if #self.trace == lines + 1 then self.trace[#self.trace] = nil end -- nothing left
  return output
end

--- Moves time to the node's deadline (or by `ms`) and lets it time out there, with the end of its turn.
function Cluster:timeout(number, ms)
  self.now = math.max(self.now, ms and self.now + ms or self.nodes[number].deadline)
  local output = step(self, number, { type = "timeout" }, ("n%d times out at %d"):format(number, self.now))
  if self.nodes[number].core:state().role == "leader" then self:flush(number) end
  return output
end

--- Moves time; nobody notices until stepped.
function Cluster:advance(ms) self.now = self.now + ms end

--- Proposes `count` entries and ends the turn. Returns the output of the proposal.
function Cluster:propose(number, count)
  count = count or 1
  local output = step(self, number, { type = "propose", count = count },
    ("n%d is given %d to propose"):format(number, count))
  self:flush(number)
  return output
end

--- A read arrives, and the turn ends. Returns the output of the read.
function Cluster:read(number)
  local output = step(self, number, { type = "read" }, ("n%d is asked for a read index"):format(number))
  self:flush(number)
  return output
end

--- Hands leadership over, and ends the turn.
function Cluster:transfer(number, to)
  local output = step(self, number, { type = "transfer", peer = to }, ("n%d hands over to n%d"):format(number, to))
  self:flush(number)
  return output
end

local function matches(message, filter)
  for key, value in pairs(filter or {}) do
    if message[key] ~= value then return false end
  end
  return true
end

local function find(self, filter)
  for place, message in ipairs(self.network) do
    if matches(message, filter) then return place end
  end
  return nil
end

local absent <const> = {
  append = { prev_index = 0, prev_term = 0, commit_index = 0, round = 0, to_life = 0, terms = {} },
  append_reply = { success = false, proven = true, match_index = 0, prev_index = 0, conflict_index = 0,
    conflict_term = 0, round = 0 },
  vote = { last_index = 0, last_term = 0 },
  vote_reply = { vote_term = 0 },
  timeout_now = {},
}

--- Steps a message that somebody else wrote, or a copy of one that was delivered before. Fields that are absent are 0.
-- Returns the output.
function Cluster:give(message)
  for field, value in pairs(absent[message.type]) do
    if message[field] == nil then message[field] = value end
  end
  message.life = message.life or self.nodes[message.from].life
  local number = message.to
  local output = step(self, number, { type = "message", message = message }, text_of(message) .. " arrives")
  if self.nodes[number].core:state().role == "leader" then self:flush(number) end
  return output
end

--- Delivers the first message under way that has these fields. Returns it, or nil when there is none.
function Cluster:deliver_one(filter)
  local place = find(self, filter)
  if not place then return nil end
  local message = table.remove(self.network, place)
  if self.nodes[message.to].up then
    self:give(message)
  else
    self:note("%s, lost: it is down", text_of(message))
  end
  return message
end

--- Lets a node take office, but nothing that it sends as a leader arrives yet.
function Cluster:take_office(number)
  self:advance(1000)
  self:timeout(number, 0)
  self:deliver { type = "vote" }
  self:deliver { type = "vote_reply" }
  self:deliver { type = "vote" }
  self:deliver { type = "vote_reply" }
  return self:state(number)
end

--- Delivers what has these fields, and what comes of it, until nothing of the kind is under way. Returns how many.
function Cluster:deliver(filter)
  local count = 0
  while self:deliver_one(filter) do
    count = count + 1
    if count > 10000 then error("the exchange does not end", 2) end
  end
  return count
end

--- Takes messages with these fields out of the network and returns them: to lose, keep or give later.
function Cluster:take(filter)
  local taken = {}
  local place = find(self, filter)
  while place do
    taken[#taken + 1] = table.remove(self.network, place)
    place = find(self, filter)
  end
  return taken
end

--- Loses messages with these fields. Returns how many.
function Cluster:drop(filter)
  local lost = self:take(filter)
  for _, message in ipairs(lost) do self:note("%s, lost", text_of(message)) end
  return #lost
end

--- Cuts the link in one direction: what is sent from now on is lost.
function Cluster:cut(from, to) self.cuts[cut_key(from, to)] = true end

--- Cuts all links of a node, in both directions.
function Cluster:isolate(number)
  for other = 1, #self.nodes do
    self:cut(number, other)
    self:cut(other, number)
  end
end

--- Restores all links.
function Cluster:heal() self.cuts = {} end

--- From now on the node's disk work waits for sync.
function Cluster:slow_disk(number) self.nodes[number].slow = true end

--- Completes all disk work of a node, from now on at once.
function Cluster:fast_disk(number)
  self.nodes[number].slow = false
  while #self.nodes[number].pending > 0 do complete_oldest(self, number) end
end

--- Completes the oldest disk work of a node; an error when there is none.
function Cluster:sync(number)
  if #self.nodes[number].pending == 0 then error(("n%d has no disk work"):format(number), 2) end
  complete_oldest(self, number)
end

--- Stops a node: what is not durable is lost, and what is held with it.
function Cluster:crash(number)
  self:note("n%d crashes", number)
  self.nodes[number].up = false
end

--- Starts a crashed node with what was durable; `wiped`: with nothing at all.
function Cluster:restart(number, wiped)
  self:note("n%d starts%s", number, wiped and " with nothing" or "")
  if wiped then self.nodes[number].durable = { log = {}, hard_state = { term = 0, proven = false } } end
  start_core(self, number)
end

--- Makes a node leader of a new term: time passes, only this node times out, everything is delivered, the first
-- heartbeat goes around. A node that is behind in terms needs a second timeout. Returns the term.
function Cluster:elect(number)
  for _ = 1, 2 do
    self:advance(1000)
    self:timeout(number, 0)
    self:deliver()
    if self:state(number).role == "leader" then
      self:heartbeat(number)
      return self:state(number).term
    end
  end
  error(("n%d is %s, not leader\n%s"):format(number, self:state(number).role, self:text()), 2)
end

--- Lets the leader's next heartbeat go around, so that everybody knows the commit index.
function Cluster:heartbeat(number)
  self:timeout(number)
  self:deliver()
end

--- Lets `ms` of a calm network pass: everybody times out when due, everything is delivered at once.
function Cluster:run(ms)
  local stop = self.now + ms
  while true do
    local next_node
    for number, node in ipairs(self.nodes) do
      if node.up and (not next_node or node.deadline < self.nodes[next_node].deadline) then next_node = number end
    end
    if self.nodes[next_node].deadline > stop then break end
    self:timeout(next_node)
    self:deliver()
  end
  self.now = stop
end

return M
