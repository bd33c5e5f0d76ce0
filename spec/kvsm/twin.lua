--- A second state machine, in plain Lua tables, to hold the real one against; and random commands for both.

local assert = require "luassert"

local M = {}

--- Few enough that clients are forgotten all the time.
M.CLIENTS_MAX = 20

local CAS_FAILED <const> = "expected: differs from the current value"

local Model = {}
Model.__index = Model

--- @return an empty model
function M.new_model()
  return setmetatable({ entries = {}, clients = {}, last_applied = 0 }, Model)
end

local function delete(entries, key)
  local was = entries[key] ~= nil
  entries[key] = nil
  return was and 1 or 0
end

local execute <const> = {
  put = function(entries, command)
    entries[command.key] = command.value
    return { ok = true }
  end,
  delete = function(entries, command)
    return { ok = true, deleted = delete(entries, command.key) }
  end,
  cas = function(entries, command)
    if (entries[command.key] or "") ~= command.expected then
      return { ok = false, err_code = "cas_failed", err_msg = CAS_FAILED }
    end
    entries[command.key] = command.value
    return { ok = true }
  end,
  mput = function(entries, command)
    for _, entry in ipairs(command.entries) do entries[entry.key] = entry.value end
    return { ok = true }
  end,
  mdelete = function(entries, command)
    local deleted = 0
    for _, key in ipairs(command.keys) do deleted = deleted + delete(entries, key) end
    return { ok = true, deleted = deleted }
  end,
}

local function forget_oldest(clients)
  local count, oldest = 0, nil
  for id, record in pairs(clients) do
    count = count + 1
    if not oldest or record.index < clients[oldest].index then oldest = id end
  end
  if count > M.CLIENTS_MAX then clients[oldest] = nil end
end

--- The same as sm:apply.
-- @param index of the command
-- @param command a table
-- @return the result, a table
function Model:apply(index, command)
  self.last_applied = index
  local once = command.client_id and command.client_id ~= "" and command.seq and command.seq ~= 0
  local record = once and self.clients[command.client_id]
  if record and record.seq >= command.seq then
    local result = {}
    for field, value in pairs(record.result) do result[field] = value end
    result.replay = record.seq == command.seq and "same" or "older"
    return result
  end
  local result = execute[command.op](self.entries, command)
  if once then
    self.clients[command.client_id] = { seq = command.seq, index = index, result = result }
    forget_oldest(self.clients)
  end
  return result
end

--- A copy that later commands leave alone.
-- @return model
function Model:copy()
  local copy = M.new_model()
  copy.last_applied = self.last_applied
  for key, value in pairs(self.entries) do copy.entries[key] = value end
  for id, record in pairs(self.clients) do copy.clients[id] = record end
  return copy
end

--- Compares all entries and clients.
-- @param model of new_model
-- @param sm of kvsm.new
function M.assert_agrees(model, sm)
  local entries, keys_count, clients_count = {}, 0, 0
  for _, entry in ipairs((sm:scan { limit = math.maxinteger })) do entries[entry.key] = entry.value end
  assert.same(model.entries, entries)
  for _ in pairs(model.entries) do keys_count = keys_count + 1 end
  for id, record in pairs(model.clients) do
    assert.equal(record.seq, sm:last_seen(id))
    clients_count = clients_count + 1
  end
  local stats = sm:stats()
  assert.same({ model.last_applied, keys_count, clients_count }, { stats.last_applied, stats.keys, stats.clients })
end

local function random_key(random)
  return random.pick { "k", "key-", "ä", "\1\n\"" } .. random.int(250)
end

local function random_value(random)
  return random.chance(50) and tostring(random.int(3)) or random.bytes(random.int(0, 40))
end

local make <const> = {
  put = function(random) return { key = random_key(random), value = random_value(random) } end,
  delete = function(random) return { key = random_key(random) } end,
  cas = function(random)
    return { key = random_key(random), expected = random.pick { "", "1", "2" }, value = random_value(random) }
  end,
  mput = function(random)
    local entries = {}
    for at = 1, random.int(5) do entries[at] = { key = random_key(random), value = random_value(random) } end
    return { entries = entries }
  end,
  mdelete = function(random)
    local keys = {}
    for at = 1, random.int(8) do keys[at] = random_key(random) end
    return { keys = keys }
  end,
}

--- @param random of spec.kvsm.seeded
-- @return a valid command; its client (if any) often repeats a seq
function M.random_command(random)
  local op = random.pick { "put", "put", "delete", "cas", "mput", "mdelete" }
  local command = make[op](random)
  command.op = op
  if random.chance(60) then
    command.client_id = random.pick { "c", "\0", "client \"x\"", "ö" } .. random.int(12)
    command.seq = random.chance(90) and random.int(30) or random.int(0, math.maxinteger)
  end
  return command
end

return M
