--- A write-ahead log beside a model of it: plain tables, copied whenever a batch is closed, so that after a crash one
-- can say which states the disk may hold.
--
--   local world <close> = wal_world.new { seed = 7 }
--   world:append { term = 1, commands = { "a", "b" } }
--   world:sync()
--   world:step()                 -- the job ran: durable
--   world:crash()                -- power cut and recovery; checks that the state is an allowed one

local disk = require "kvserver.disk"
local sim = require "kvserver.sim"
local wal = require "kvserver.wal"

local M = {}
local World = {}
World.__index = World

local OPTIONS <const> = { segment_bytes = 4096, cache_bytes = 2000, seed = 1 }

--- An empty model: entries[index] = {term =, command =} from base + 1 to last; what is known of the rest.
-- @return model
function M.model()
  return {
    base = 0, base_term = 0, last = 0, entries = {},
    hard_state = { term = 0, proven = false }, snapshot = 0, snapshot_term = 0,
  }
end

--- A model that further changes leave alone.
-- @param model
-- @return model
function M.copy(model)
  local copy = {}
  for key, value in pairs(model) do copy[key] = value end
  copy.entries = {}
  for index = model.base + 1, model.last do copy.entries[index] = model.entries[index] end
  return copy
end

--- The term of the last entry.
-- @param model
-- @return term
function M.last_term(model)
  if model.last == model.base then return model.base_term end
  return model.entries[model.last].term
end

local function same_entries(w, model)
  local first = w:first_index()
  if first <= model.base or first > model.snapshot + 1 then return false, ("it starts at %d"):format(first) end
  if first > model.last then return true end
  local list, why = w:read(first, model.last)
  if not list then return false, why end
  for place, entry in ipairs(list) do
    local expected = model.entries[first + place - 1]
    if entry.index ~= first + place - 1 or entry.term ~= expected.term or entry.command ~= expected.command then
      return false, ("entry %d is another one"):format(first + place - 1)
    end
    if w:term_at(entry.index) ~= entry.term then return false, "term_at and read differ" end
  end
  return true
end

--- Whether a log holds what the model says; a restart may find truncated entries again.
-- @param w log
-- @param model
-- @return true; or false and the difference
function M.same(w, model)
  if w:last_index() ~= model.last then
    return false, ("it ends at %d, not %d"):format(w:last_index(), model.last)
  end
  local state, expected = w:load(), model.hard_state
  if state.term ~= expected.term or state.voted_for ~= expected.voted_for or state.proven ~= expected.proven then
    return false, "another hard state"
  end
  local index, term = w:snapshot()
  if index ~= model.snapshot or term ~= model.snapshot_term then return false, "another snapshot" end
  local base = w:first_index() - 1
  if base == model.base and base > 0 and w:term_at(base) ~= model.base_term then return false, "another base" end
  return same_entries(w, model)
end

--- An empty log on a simulated disk.
-- @param options seed, segment_bytes, cache_bytes, disk
-- @return world
function M.new(options)
  options = options or {}
  local seed = options.seed or 1
  local self = setmetatable({
    disk = options.disk or disk.simulate { seed = seed },
    options = setmetatable({}, { __index = OPTIONS }),
    random = sim.prng(seed),
    now = M.model(),
    number = 0,
    acked = 0,
    states = {},
  }, World)
  for key in pairs(OPTIONS) do self.options[key] = options[key] or OPTIONS[key] end
  self.durable = M.copy(self.now)
  self:open()
  return self
end

--- A log on a disk, without a model.
-- @param on disk
-- @param options as of new
-- @return log; or nil, status, message
function M.open(on, options)
  return wal.open(on, options or OPTIONS)
end

World.__close = function(self)
  if self.w then self.w:close() end
  self.disk:close()
end

--- Opens the log; the model stays.
-- @return true; or nil, status, message
function World:open()
  local w, status, message = wal.open(self.disk, self.options)
  self.w = w
  if not w then return nil, status, message end
  w:make_room()
  return true
end

-- A job under way holds what the model held when its batch was closed: at the sync, at the end of the job before, or,
-- when it had to wait for a spare, before that.
function World:note_job()
  self:collect()
  if self.w:job() then
    self.under_way = self.under_way or self.waiting or M.copy(self.now)
    self.waiting = nil
  elseif self.acked < self.number and not self.failed then
    self.waiting = self.waiting or M.copy(self.now)
  end
end

-- Each call of the log that may fail: true, nil when the storage failed, an error for everything else.
function World:must(result, status)
  if result then return true end
  if status ~= "io" then error(("the log says %s"):format(status), 3) end
  self.failed = true
  return nil
end

--- Appends entries of one term.
-- @param entries term, commands
-- @return true; nil when the log failed
function World:append(entries)
  local model, list = self.now, {}
  for place, command in ipairs(entries.commands) do
    list[place] = { index = model.last + place, term = entries.term, command = command }
  end
  if not self:must(self.w:append(list)) then return nil end
  for _, entry in ipairs(list) do
    model.entries[entry.index] = { term = entry.term, command = entry.command }
  end
  model.last = model.last + #list
  return true
end

function World:delete_from(index)
  if not self:must(self.w:delete_from(index)) then return nil end
  if index <= self.now.last then
    for gone = index, self.now.last do self.now.entries[gone] = nil end
    self.now.last = index - 1
  end
  return true
end

function World:save(state)
  state.proven = state.proven or false
  if not self:must(self.w:save(state)) then return nil end
  self.now.hard_state = state
  return true
end

function World:record_snapshot(index)
  local term = self.now.entries[index].term
  if not self:must(self.w:record_snapshot(index, term)) then return nil end
  self.now.snapshot, self.now.snapshot_term = index, term
  return true
end

function World:truncate_prefix(index)
  return self:must(self.w:truncate_prefix(index))
end

function World:reset(index, term)
  if not self:must(self.w:reset(index, term)) then return nil end
  local model = self.now
  model.base, model.base_term, model.last, model.entries = index, term, index, {}
  model.snapshot, model.snapshot_term = index, term
  return true
end

--- Asks for a sync.
-- @return true; nil when the log failed
function World:sync()
  self.number = self.number + 1
  if not self:must(self.w:sync(self.number)) then return nil end
  self:note_job()
  return true
end

-- Numbers come in order, and none after a failure.
function World:collect()
  for number in function() return self.w:complete() end do
    if self.failed then error("a sync completed after the failure") end
    if number ~= self.acked + 1 then error("syncs complete out of order") end
    self.acked = number
  end
end

--- The job under way runs and is done.
function World:step()
  if not self.w:job() then return end
  self.w:run_job()
  self.w:job_done()
  if self.w:failure() then
    self.failed = true
  else
    self.durable, self.under_way = self.under_way, nil
    self.states[#self.states + 1] = self.durable
  end
  self:note_job()
end

--- The spare job under way runs and is done.
function World:step_spare()
  if not self.w:step_spare() then return end
  if self.w:failure() then self.failed = true end
  self:note_job()
end

--- Everything under way is done, and what follows from it.
function World:settle()
  repeat
    self:step()
    self:step_spare()
  until self.failed or not (self.w:job() or self.w:spare_job())
end

--- Checks a log that was just opened against what the disk may hold, and goes on from there.
-- @return true; or nil and the difference
function World:adopt()
  local ok, why = M.same(self.w, self.durable)
  if not ok and self.under_way then
    local newer
    newer, why = M.same(self.w, self.under_way)
    if newer then self.durable, ok = self.under_way, true end
  end
  if not ok then return nil, why end
  self.now = M.copy(self.durable)
  self.durable = M.copy(self.now)
  self.under_way, self.waiting, self.failed = nil, nil, nil
  self.acked = self.number
  return true
end

--- A kill: the process is gone, the disk's caches are not. The log is closed until it is opened again.
function World:kill()
  if self.w then self.w:close() end
  self.w = nil
end

--- The jobs under way run, but not far.
function World:cut_short()
  self.disk:fail { after = self.random(6) - 1, status = "io" }
  local both = { { self.w:job(), self.w.run_job }, { self.w:spare_job(), self.w.run_spare_job } }
  for place = self.random(2), 2 do
    if both[place][1] then both[place][2](self.w) end
  end
end

--- A power cut, in the middle of what is under way, then recovery and its check.
-- @param seed of what the cut leaves
-- @return true; or nil and what is wrong
function World:crash(seed)
  if self.w and not self.failed then self:cut_short() end
  self:kill()
  self.disk:heal()
  self.disk:crash(seed or self.random(1000000))
  local ok, status, message = self:open()
  if not ok then return nil, ("%s: %s"):format(status, message) end
  return self:adopt()
end

-- ---- a life by chance ----

local function command(world)
  local random = world.random
  local kind = random(20)
  local len = kind == 1 and 0 or kind == 2 and random(3000) or random(200)
  return string.char(random(255)):rep(len)
end

local actions <const> = {
  { 8, function(world)
    local term = M.last_term(world.now) + (world.random(5) == 1 and 1 or 0)
    local commands = {}
    for place = 1, world.random(3) do commands[place] = command(world) end
    return world:append { term = term == 0 and 1 or term, commands = commands }
  end },
  { 2, function(world)
    local low = math.max(world.now.snapshot, world.w:first_index() - 1) + 1
    if low > world.now.last + 1 then return end
    return world:delete_from(low + world.random(world.now.last - low + 2) - 1)
  end },
  { 3, function(world)
    local state = { term = world.now.hard_state.term + world.random(3) - 1 }
    state.voted_for = world.random(2) == 1 and world.random(16) or nil
    state.proven = world.random(2) == 1
    return world:save(state)
  end },
  { 8, function(world) return world:sync() end },
  { 10, function(world) return world:step() end },
  { 6, function(world) return world:step_spare() end },
  { 1, function(world)
    local low = math.max(world.now.snapshot + 1, world.w:first_index())
    if low > world.now.last then return end
    return world:record_snapshot(low + world.random(world.now.last - low + 1) - 1)
  end },
  { 1, function(world) return world:truncate_prefix(math.max(0, world.now.snapshot - world.random(10))) end },
  { 0.1, function(world)
    local term = M.last_term(world.now) + 1
    return world:reset(math.max(1, world.now.last + world.random(20) - 10, world.now.snapshot + 1), term)
  end },
}
local total = 0
for _, action in ipairs(actions) do total = total + action[1] end

--- One thing happens: a write, a sync, a job.
function World:act()
  local at = self.random() * total
  for _, action in ipairs(actions) do
    at = at - action[1]
    if at < 0 then return action[2](self) end
  end
end

--- A fixed workload in which everything happens that a log knows, over several segments.
-- It ends early when the log fails.
function World:workload()
  local function fill(letter) return { letter:rep(700), letter:rep(300), "" } end
  local function append(term, letter)
    return function() return self:append { term = term, commands = fill(letter) } end
  end
  local function sync() return self:sync() end
  local function settle() self:settle() end
  local steps <const> = {
    function() return self:save { term = 1, voted_for = 1 } end,
    append(1, "a"), sync, append(1, "b"), sync, settle,
    function() return self:delete_from(4) end,
    append(2, "c"), function() return self:save { term = 2, voted_for = 2, proven = true } end, sync, settle,
    append(2, "d"), sync, settle,
    function() return self:record_snapshot(8) end, append(2, "e"), sync, settle,
    function() return self:truncate_prefix(7) end, settle,
    function() return self:reset(40, 3) end, append(3, "f"), sync, settle,
    function() return self:truncate_prefix(40) end, settle,
    append(3, "g"), append(4, "h"), sync, settle, append(4, "i"), append(4, "j"), sync, settle,
    append(4, "k"), append(4, "l"), sync, settle,
    function() return self:record_snapshot(51) end, sync, settle,
    function() return self:truncate_prefix(51) end, settle,
  }
  for _, step in ipairs(steps) do
    step()
    if self.failed then return end
  end
end

return M
