-- The console's commands, in a cluster of three: each example of the table, and what the commands say and do.
local admin = require "kvserver.admin"
local commands = require "kvserver.console.node.commands"
local config = require "kvserver.config"
local console = require "spec.support.console"
local directory = require "spec.support.directory"
local encode = require "kvserver.console.node.encode"
local json = require "kvserver.json"
local log = require "kvserver.log"
local nodes = require "spec.support.nodes"
local task = require "kvserver.task"

local TIMEOUT_MS <const> = 10000

local function wait_until(condition)
  return assert(task.wait_until(condition, TIMEOUT_MS))
end

-- A value as Lua, of what an answer says.
local function values_of(reply)
  assert(reply.ok, reply.message)
  local values <const> = encode.decode(reply.values)
  return table.unpack(values, 1, values.n)
end

local World = {}
World.__index = World

-- Has n1 lead.
function World:lead()
  wait_until(function()
    local leader <const> = self.cluster:leader()
    if leader and leader ~= "n1" then self.cluster.servers[leader]:transfer "n1" end
    return leader == "n1"
  end)
end

-- A socket for a node, and a console at it that may write.
function World:console(id, about)
  local complete <const> = assert(config.complete { id = id, peers = self.cluster.peers, memory = true,
    enable_faults = true, log_level = "error" })
  local socket <const> = assert(admin.listen {
    path = ("%s/%s-%d"):format(self.dir.path, id, #self.closing), node = self.cluster.servers[id], config = complete,
    restart = function() self.acts[#self.acts + 1] = "restart" end,
    stop = function() self.acts[#self.acts + 1] = "stop" end,
  })
  self.closing[#self.closing + 1] = socket
  local attached <const> = console.attach(socket.path, about or { rw = true, user = "me", pid = 7 })
  self.closing[#self.closing + 1] = attached
  return attached, socket
end

function World:close()
  for i = #self.closing, 1, -1 do self.closing[i]:close() end
  getmetatable(self.cluster).__close(self.cluster)
  self.dir:remove()
  log.configure, log.write = self.log.configure, self.log.write
end

-- The log of this process, kept instead of written.
local function keep_log()
  local kept <const> = { configure = log.configure, write = log.write, written = {} }
  function log.configure(...) kept.configured = { ... } end
  function log.write(_, _, event, fields) kept.written[#kept.written + 1] = { event = event, fields = fields } end
  return kept
end

local function new_world()
  local dir <const> = directory.new()
  local self <const> = setmetatable({
    cluster = nodes.cluster({ enable_faults = true }, { n1 = { data = dir.path .. "/data" } }), dir = dir, closing = {},
    acts = {}, log = keep_log(),
  }, World)
  self.cluster:wait_leader()
  self:lead()
  return self
end

describe("the table of commands", function()
  it("has all of each, and each once", function()
    local seen <const> = {}
    for _, row in ipairs(commands.list) do
      for _, field in ipairs { "name", "arguments", "summary", "help", "example", "returns" } do
        assert.equal("string", type(row[field]), ("%s: %s"):format(row.name, field))
      end
      assert.equal("function", type(row.run))
      assert.is_nil(seen[row.name])
      assert.is_truthy(row.example:find(row.name, 1, true), row.name)
      seen[row.name] = true
    end
  end)
end)

describe("commands of the console", function()
  local w, c, other
  setup(function()
    w = new_world()
    c, other = w:console "n1", w:console "n2"
  end)
  teardown(function() w:close() end)

  for _, row in ipairs(commands.list) do
    if row.name ~= "log.tail" or log.recent then
      it("do what their example says: " .. row.example, function()
        w:lead()
        local reply <const> = c:eval(row.example)
        assert(reply.ok, reply.message)
        if row.columns and reply.values[1] ~= true then
          local known <const> = {}
          for _, column in ipairs(row.columns) do known[column] = true end
          local value <const> = values_of(reply)
          for name in pairs(value[1] or value) do
            if type(name) == "string" and name ~= "answer" and name ~= "trails_leader_by" then
              assert.is_true(known[name], name .. " is no column")
            end
          end
        end
        c:eval "fault.heal()"
      end)
    end
  end

  it("have the process restart or stop, once the answer is on its way", function()
    w.acts = {}
    values_of(c:eval("node.restart()"))
    wait_until(function() return #w.acts == 1 end)
    values_of(c:eval("node.stop()"))
    wait_until(function() return #w.acts == 2 end)
    assert.same({ "restart", "stop" }, w.acts)
  end)

  it("read and write at any node", function()
    w:lead()
    assert.equal("integer", math.type(values_of(other:eval("kv.put('k', '\\xff\\0')")).index))
    assert.same({ { bytes = "/wA=" } }, c:eval("kv.get('k')").values)
    assert.equal(false, values_of(other:eval("kv.cas('k', 'x', 'y')")))
    assert.equal(true, values_of(other:eval("kv.cas('k', '\\xff\\0', 'y')")))
    assert.same({ "y", true }, { values_of(other:eval("kv.get('k'), kv.get('none') == nil")) })
    assert.equal(1, values_of(other:eval("kv.delete('k')")).deleted)
    assert.equal(0, values_of(other:eval("kv.delete('k')")).deleted)
  end)

  it("scan and count", function()
    values_of(c:eval("for i = 1, 7 do kv.put('s' .. i, tostring(i)) end"))
    local entries <const>, after = values_of(other:eval("kv.scan { prefix = 's', after = 's1', limit = 2 }"))
    assert.same({ { key = "s2", value = "2" }, { key = "s3", value = "3" } }, entries)
    assert.equal("s3", after)
    assert.equal(7, values_of(other:eval("kv.count('s')")))
    assert.equal(values_of(c:eval("status().keys")), values_of(other:eval("kv.count()")))
    assert.matches("kv.scan: limt: unknown", c:eval("kv.scan { limt = 1 }").message, 1, true)
  end)

  it("tell of the node, and of all", function()
    w:lead()
    local own <const> = values_of(c:eval("status()"))
    assert.same({ "n1", "leader", "n1", true, 0 }, { own.id, own.role, own.leader_id, own.ready, own.lag })
    assert.same({ list = json.array {}, columns = c:eval("apropos('status')").values[1].columns },
      c:eval("apropos('no such word')").values[1])
    local all <const> = values_of(other:eval("status('all')"))
    assert.same({ "n1", "n2", "n3" }, { all[1].id, all[2].id, all[3].id })
    assert.same({ "ok", "ok", "ok" }, { all[1].answer, all[2].answer, all[3].answer })
    assert.equal(0, all[1].trails_leader_by)
    assert.is_true(values_of(c:eval("health()")).ready)
  end)

  it("look into consensus", function()
    w:lead()
    local peers <const> = values_of(c:eval("raft.peers()"))
    assert.same({ "n1", "leader", w.cluster.peers.n1 }, { peers[1].id, peers[1].role, peers[1].address })
    assert.equal("integer", math.type(peers[2].match_index))
    local votes <const> = values_of(c:eval("raft.votes()"))
    assert.same({ "leader", "n1", 2 }, { votes.role, votes.voted_for, votes.needed })
    assert.is_true(#votes.granted >= 2)
    local timers <const> = values_of(other:eval("raft.timers()"))
    assert.is_true(timers.campaign_in_ms > 0 and timers.campaign_in_ms <= 400)
    assert.is_true(timers.leader_silent_ms < 400)
    values_of(c:eval("kv.put('logged', 'v')"))
    local entries <const> = values_of(c:eval("raft.log()"))
    assert.same({ "put", "logged", "v" }, { entries[#entries].op, entries[#entries].key, entries[#entries].value })
  end)

  it("say why not", function()
    w:lead()
    local cases <const> = {
      { other, "raft.transfer('n3')", "console:1: raft.transfer: this node does not lead: ask n1" },
      { c, "raft.transfer('n9')", "console:1: raft.transfer: no such member" },
      { c, "raft.transfer('n1')", "console:1: raft.transfer: this node leads already" },
      { c, "raft.log(0)", "console:1: raft.log: argument 1: expected a number from 1, got 0" },
      { c, "config.set('log_leve', 'warn')",
        "console:1: config.set: log_leve: unknown option, did you mean log_level?" },
      { c, "config.set('log_level', 'loud')",
        'console:1: config.set: log_level: expected one of debug, info, warn, error, got "loud"' },
      { c, "log.level('debug', { for_ = 'ever' })",
        'console:1: log.level: for_: expected a duration such as "30s" or "5m", up to "24h", got "ever"' },
      { c, "help('kv.gte')", "console:1: help: kv.gte: unknown, did you mean kv.get?" },
      { c, "status('some')", 'console:1: status: argument 1: expected one of all, got "some"' },
      { c, "fault.hold('n1')", 'console:1: expected another member of the cluster, got "n1"' },
    }
    for _, case in ipairs(cases) do assert.equal(case[3], case[1]:eval(case[2]).message) end
    assert.matches("needs a restart; what can be changed", c:eval("config.set('listen', 'x')").message, 1, true)
  end)

  it("change options that can be changed, and bring the log's level back by themselves", function()
    values_of(c:eval("config.set('log_level', 'error')"))
    local set <const> = values_of(c:eval("config.set('log_level', 'warn')"))
    assert.same({ "warn", "logfmt" }, w.log.configured)
    assert.same({ name = "log_level", old = "error", new = "warn", survives_restart = false }, set)
    assert.same({ old = "warn", new = "error", for_ms = 30 },
      values_of(c:eval("log.level('error', { for_ = '30ms' })")))
    local function level() -- as config() shows it
      return values_of(c:eval [[
        for _, row in ipairs(config()) do
          if row.name == 'log_level' then return row.value end
        end]])
    end
    wait_until(function() return level() == "warn" end)
    values_of(c:eval("log.level('error', { for_ = '30ms' })"))
    values_of(c:eval("config.set('log_level', 'error')")) -- what somebody says meanwhile stays
    values_of(c:eval("fault.link('n2', { for_ = '60ms' })"))
    wait_until(function() return w.log.written[#w.log.written].event == "undone" end)
    assert.equal("error", level())
    values_of(c:eval("log.level('debug', { for_ = '1m' }) log.level('warn', { for_ = '1ms' })"))
    wait_until(function() return level() == "error" end) -- not what the first one of them set
  end)

  it("remember who wrote", function()
    local asker <const> = w.cluster:client("n1", { client_id = "spec-7" })
    assert.is_true(asker:put("by", "me").ok)
    local clients <const>, more = values_of(c:eval("sessions('spec-')"))
    assert.same({ "spec-7", 1, "ok" }, { clients[1].client_id, clients[1].last_seq, clients[1].reply })
    assert.equal(1, #clients)
    assert.is_nil(more)
    assert.is_nil(values_of(c:eval("ops.get('n1-none')")))
  end)

  it("list the consoles", function()
    local second <const> = console.attach(w.closing[1].path, { user = "you", pid = 8 })
    local list <const> = values_of(c:eval("who()"))
    assert.same({ { "me", 7, true, "who()" }, { "you", 8, false, "" } }, {
      { list[1].user, list[1].pid, list[1].rw, list[1].statement },
      { list[2].user, list[2].pid, list[2].rw, list[2].statement },
    })
    second:close()
  end)

  it("make the node fail, for a while", function()
    w:lead()
    values_of(c:eval("fault.link('n2', { cut = true, for_ = '50ms' })"))
    assert.is_true(values_of(c:eval("fault.get().links.n2.cut")))
    assert.same({ event = "fault", fields = { session = 1, user = "me", fault = "fault.link n2", for_ms = 50 } },
      w.log.written[#w.log.written])
    wait_until(function() return not values_of(c:eval("fault.get().links.n2.cut")) end)
    values_of(c:eval("fault.link('n2', { cut = true, for_ = '1ms' }) fault.link('n2', { cut = true })"))
    values_of(c:eval("fault.hold('n3', { for_ = '20ms' })"))
    wait_until(function() return not values_of(c:eval("fault.get().links.n3.held")) end)
    assert.is_true(values_of(c:eval("fault.get().links.n2.cut"))) -- the later use counts
    values_of(c:eval("fault.hold('n3') fault.link('n2', { delay_ms = 3 })"))
    assert.same({ true, 3 }, { values_of(c:eval("fault.get().links.n3.held, fault.get().links.n2.delay_ms")) })
    assert.equal(2, values_of(c:eval("fault.heal()")))
    assert.same({ false, 0 }, { values_of(c:eval("fault.get().links.n3.held, fault.get().links.n2.delay_ms")) })
  end)

  it("print help", function()
    c.events = {}
    values_of(c:eval("help('kv.put') help() help('raft')"))
    local printed <const> = c:printed()
    assert.matches("^kv.put%(key, value%)\nSets a key%.\n.*Only where a console may write", printed[1])
    for _, row in ipairs(commands.list) do assert.matches(row.summary, printed[2], 1, true) end
    assert.matches("raft.transfer(id)\n", printed[3], 1, true)
    assert.same({ "raft.snapshot" }, { values_of(c:eval("apropos('SNAPSHOT of this')"))[1].command })
  end)
end)

describe("commands of a console at a node without a leader", function()
  it("answer all the same, and name who does not", function()
    local w <const> = new_world()
    local _ <close> = setmetatable({}, { __close = function() w:close() end })
    local c <const> = w:console "n3"
    w.cluster:crash "n1"
    w.cluster:crash "n2"
    wait_until(function() return values_of(c:eval("status().leader_id")) == "" end)
    local function told() -- what consoles hear without asking
      local last
      for _, event in ipairs(c.events) do last = event.event == "status" and event or last end
      return last
    end
    wait_until(function() return told() and told().leader_id == "" end)
    assert.same({ "n3", "integer" }, { told().id, math.type(told().term) })
    local all <const> = values_of(c:eval("status('all')"))
    assert.same({ "n1", "n2", "n3" }, { all[1].id, all[2].id, all[3].id })
    assert.matches("^connect: ", all[1].answer)
    assert.equal("ok", all[3].answer)
    assert.is_nil(all[3].trails_leader_by)
    local health <const> = values_of(c:eval("health()"))
    assert.same({ false, "no leader is known" }, { health.ready, health.reason })
    assert.matches("status('all')", health.next_action, 1, true)
    assert.matches("kv.put: no_leader", c:eval("kv.put('a', '1')").message, 1, true)
  end)
end)

describe("commands of faults", function()
  it("are refused where faults are not enabled", function()
    local w <close> = console.world()
    local c <close> = w:attach { rw = true }
    local reply <const> = c:eval("fault.link('n2', { cut = true })")
    assert.same({ "refused", "console:1: fault.link: faults are not enabled: the node was started without "
      .. "--enable-faults" }, { reply.kind, reply.message })
  end)
end)
