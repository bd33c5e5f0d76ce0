-- A disk that is really full: a small tmpfs below the data directory. Needs root; else it says that it was left out.
local client = require "kvserver.client"
local cluster = require "kvserver.cluster"
local directory = require "spec.support.directory"
local process = require "kvserver.process"
local task = require "kvserver.task"

local WAIT_MS <const> = 20000
local AT_ONCE_MS <const> = 250
local ELECTION_OVER_MS <const> = 1000 -- who is silent for longer than the election timeout campaigns by then
local VALUE <const> = ("v"):rep(4000)

local function run(...)
  return process.run({ args = { ... } }).code == 0
end

-- A file system of some size on a directory, until the variable is closed.
local function mount(path, size)
  assert(run("mkdir", "-p", path))
  if not run("mount", "-t", "tmpfs", "-o", "size=" .. size, "tmpfs", path) then return nil end
  return setmetatable({}, { __close = function() run("umount", "-l", path) end })
end

-- Takes all the room but a little.
local function fill(path)
  process.run { args = { "dd", "if=/dev/zero", "of=" .. path .. "/ballast", "bs=4k" } }
end

local function options_of(home)
  return function(id)
    return { "--data", home .. "/" .. id .. "/data", "--segment-bytes", "65536", "--snapshot-threshold", "0",
      "--log-level", "error" }
  end
end

-- Writes until one is refused; how many were acknowledged, and the refusal.
local function write_until_full(c)
  for i = 1, 2000 do
    local result = assert(c:put("k" .. i, VALUE .. i, { timeout_ms = WAIT_MS }))
    if not result.ok then return i - 1, result end
  end
  error("it is never full")
end

local function can_mount()
  local home <close> = directory.new()
  local mounted <close> = mount(home.path .. "/m", "64k")
  return mounted ~= nil
end

describe("a full disk", function()
  if not can_mount() then
    pending("cannot be made here: mounting a tmpfs needs root")
    return
  end

  it("refuses writes at once, answers reads, and takes writes again when there is room, with nothing lost", function()
    local home <close> = directory.new()
    local _ <close> = mount(home.path .. "/n1", "3m")
    local c <close> = cluster.start { size = 1, options = options_of(home.path) }
    local writer <close> = client.connect(c.addresses.n1)
    fill(home.path .. "/n1")
    local count, refusal = write_until_full(writer)
    assert.is_true(count > 0)
    assert.same({ 507, "disk_full" }, { refusal.status, refusal.err_code })
    local status = writer:status()
    assert.equal("leader", status.role)
    assert.equal(VALUE .. count, writer:get("k" .. count).value)
    assert.is_nil(writer:get("k" .. count + 1).value)
    local ready = writer:readyz()
    assert.equal(503, ready.status)
    assert.matches("disk is full", ready.err_msg)
    assert.is_true(writer:healthz().ok)
    os.remove(home.path .. "/n1/ballast")
    assert(task.wait_until(function() return writer:put("again", "1").ok end, WAIT_MS))
    c:kill("n1")
    c:restart("n1")
    local reader <close> = client.connect(c.addresses.n1)
    for i = 1, count do assert.equal(VALUE .. i, reader:get("k" .. i).value) end
    assert.equal("1", reader:get("again").value)
    c:close()
  end)

  it("of a follower does not stop the cluster, and that of a leader makes way", function()
    local home <close> = directory.new()
    local _ <close> = mount(home.path .. "/n1", "3m")
    local _ <close> = mount(home.path .. "/n2", "40m")
    local _ <close> = mount(home.path .. "/n3", "40m")
    local c <close> = cluster.start { options = options_of(home.path) }
    c:wait_leader()
    fill(home.path .. "/n1")
    local written = 0
    local function write()
      local leader = c:leader()
      local writer <close> = leader and c:client(leader, { timeout_ms = 2000 })
      local result = writer and writer:put("k" .. written + 1, VALUE .. written + 1)
      return result and result.ok
    end
    while written < 60 do
      assert(task.wait_until(write, WAIT_MS), "no write is acknowledged any more")
      written = written + 1
    end
    assert(task.wait_until(function() return c:leader() ~= "n1" and c:leader() ~= nil end, WAIT_MS))
    os.remove(home.path .. "/n1/ballast")
    local function same()
      local first <const>, other <const> = c:status("n1"), c:status(c:leader() or "n2")
      return first and other and first.state_digest == other.state_digest and first.last_applied == other.last_applied
    end
    assert(task.wait_until(same, WAIT_MS))
    c:close()
  end)

  it("of all refuses writes at once, elects nobody, and is over when there is room", function()
    local home <close> = directory.new()
    local _ <close> = mount(home.path .. "/n1", "3m")
    local _ <close> = mount(home.path .. "/n2", "3m")
    local _ <close> = mount(home.path .. "/n3", "3m")
    local c <close> = cluster.start { options = options_of(home.path) }
    c:wait_leader()
    for _, id in ipairs(c.ids) do fill(home.path .. "/" .. id) end
    local written, slowest_ms, changes, last, calm_from_ms = 0, 0, 0, nil, task.now_ms()
    -- Who still has a little room leads, and then has none either: until nobody has.
    local function calm()
      local id, term = c:leader()
      if id then
        local writer <close> = c:client(id)
        local start_ms <const> = task.now_ms()
        local result = writer:put("k" .. written + 1, VALUE .. written + 1)
        if result and result.status == 507 then slowest_ms = math.max(slowest_ms, task.now_ms() - start_ms) end
        if result and result.ok then written = written + 1 end
        if result and result.status == 507 and last == id .. term then
          return task.now_ms() > calm_from_ms + ELECTION_OVER_MS
        end
        changes = changes + (last ~= id .. term and 1 or 0)
        last = id .. term
      end
      calm_from_ms = task.now_ms()
      return false
    end
    assert(task.wait_until(calm, WAIT_MS), ("%d changes of leader, %d writes"):format(changes, written))
    assert.is_true(slowest_ms < AT_ONCE_MS, slowest_ms)
    for _, id in ipairs(c.ids) do os.remove(home.path .. "/" .. id .. "/ballast") end
    local reader <close> = c:client((c:wait_leader()))
    assert(task.wait_until(function() return (reader:put("again", "1") or {}).ok end, WAIT_MS))
    for i = 1, written do assert.equal(VALUE .. i, reader:get("k" .. i).value) end
    c:close()
  end)
end)
