-- Worlds of real nodes: what is left of them when they end, however they do.
local child = require "spec.support.child"
local client = require "kvserver.client"
local files = require "kvserver.files"
local task = require "kvserver.task"
local uv = require "luv"
local worlds = require "spec.support.worlds"

local SCRIPT <const> = [[
  local task = require "kvserver.task"
  local world <close> = require("kvserver.world").open("child", { nodes = 3 })
  for _, id in ipairs(world.ids) do assert(world:start(id)) end
  world:pause "n2"
  for _, id in ipairs(world.ids) do print("node", world.cluster.processes[id].pid, world.addresses[id]) end
  print("paths", world.directory, world.sockets)
  io.stdout:flush()
  task.sleep(600000)
]]

-- True while there is such a process that is not a zombie.
local function is_alive(pid)
  local file <close> = io.open(("/proc/%s/stat"):format(pid))
  return file and file:read("a"):match "%) (%a)" ~= "Z"
end

local function is_open(address)
  local c <close> = client.connect("http://" .. address, { timeout_ms = 1000 })
  return select(2, c:healthz()) ~= "connect"
end

local function wait_gone(what, is_there, ...)
  local arguments <const> = table.pack(...)
  local function is_gone() return not is_there(table.unpack(arguments)) end
  assert(task.wait_until(is_gone, worlds.WITHIN_MS), what .. " is there still")
end

-- Ends the script in the midst of its scenario; the directories that it had.
local function end_script(signal)
  local script <close> = child.spawn_script(SCRIPT)
  local directory <const>, sockets = script:wait_line("paths\t(%S+)\t(%S+)\n", worlds.WITHIN_MS)
  local nodes <const> = script.stdout
  for pid in nodes:gmatch "node\t(%d+)" do assert.is_true(is_alive(pid)) end
  script:kill(signal)
  assert(script:wait(worlds.WITHIN_MS))
  for pid, address in nodes:gmatch "node\t(%d+)\t(%S+)" do
    wait_gone("process " .. pid, is_alive, pid)
    wait_gone(address, is_open, address)
  end
  return directory, sockets
end

describe("processes", function()
  it("die with their script when that is killed, also one that is stopped", function()
    local directory <const>, sockets = end_script "sigkill"
    assert.is_truthy(uv.fs_stat(directory))
    files.remove_tree(directory)
    files.remove_tree(sockets)
  end)

  it("and their files go, too, when it is interrupted", function()
    for _, path in ipairs { end_script "sigint" } do assert.is_nil(uv.fs_stat(path)) end
  end)

  it("end with their world while one starts", function()
    local world <close> = worlds.opener "child" ()
    local starting <const> = task.spawn(world.start, world, "n1")
    assert(task.wait_until(function() return world.cluster.processes.n1 end, worlds.WITHIN_MS))
    local pid <const> = world.cluster.processes.n1.pid
    starting:cancel()
    world:close()
    wait_gone("process " .. pid, is_alive, pid)
  end)
end)

local function descriptors()
  local count = 0
  for _ in uv.fs_scandir_next, uv.fs_scandir "/proc/self/fd" do count = count + 1 end
  return count
end

for name, times in pairs { inproc = 30, child = 10 } do
  it("worlds that open and close leave no descriptors, in " .. name, function()
    local open <const> = worlds.opener(name)
    local function once()
      local world <close> = open()
      worlds.start(world)
      assert.is_true(worlds.put(world, "n1", "k", "v").ok)
      world:disk("n1", { slow_ms = 1 })
      world:kill("n1", { lose_unsynced = true })
      assert.is_true(world:start "n1")
    end
    once()
    local before <const> = descriptors()
    for _ = 1, times do once() end
    assert(task.wait_until(function() return descriptors() <= before end, worlds.WITHIN_MS), "descriptors are left")
  end)
end
