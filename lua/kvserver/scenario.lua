--- The scenario language: a story in plain Lua, told in any world, with a verdict.
--
--     local kv = require "kvserver.scenario"
--     local check = require "kvserver.check"
--
--     kv.scenario("a leader is elected", { nodes = 3 }, function(c)
--       kv.always("raft safety", check.raft(c))
--       c:wait_leader { within = "3s" }
--     end)
--
--     kvserver --script FILE [--world W] [--seed N | --seeds A..B] [--only PATTERN] [--until EVENT]
--       [--for DURATION] [--report DIR]
--
-- The scenarios of a file are told when the file ends. scenarios/README.md is the guide.
local client = require "kvserver.scenario.client"
local cluster = require "kvserver.scenario.cluster"
local duration = require "kvserver.scenario.duration"
local load = require "kvserver.scenario.load"
local nemesis = require "kvserver.scenario.nemesis"
local story = require "kvserver.scenario.story"
local task = require "kvserver.task"

local M = {}

local KNOWN_OPTIONS <const> = { nodes = true, config = true, timeout = true, needs = true, worlds = true }

M.list = {} -- {{name=, options=, f=}, ...}, in the order of the file

-- luassert's assertions, as in specs.
local has_luassert, luassert = pcall(require, "luassert")
if has_luassert then _G.assert = luassert end

-- The verbs of a cluster that are made elsewhere.
local Cluster = cluster.Cluster
Cluster.client, Cluster.load, Cluster.nemesis, Cluster.calm = client.new, load.start, nemesis.start, nemesis.calm

local function current()
  return story.current() or error("only inside of a scenario", 3)
end

local by_hand -- the cluster that kv.cluster made last

-- The world whose time counts: of the story that is told, else of the cluster that was made by hand; nil: none.
local function world()
  local telling <const> = story.current()
  local of <const> = telling and telling.cluster or by_hand
  return of and not of.is_gone and of.world or nil
end

-- ---- scenarios ----

--- Declares a scenario.
-- @verb kv.scenario(name, {nodes=3, config=, timeout="120s", needs=, worlds=}, function(c) ... end)
-- @tparam string name what it shows, one sentence
-- @tparam table options nodes (how many), config (options of all nodes, as in a configuration file), timeout (of the
-- whole, in its own time), needs (a list of faults and views without which it is skipped: "pause", "clock",
-- "lose_unsynced", "wipe", "http", "log", "net.cut", "net.link", "net.drop_next", "net.hold", "disk.full", "disk.slow",
-- "disk.fail_fsync", "disk.torn_next", "disk.flip"), worlds (a list: only in these)
-- @tparam function f gets the cluster, whose nodes run
function M.scenario(name, options, f)
  if type(name) ~= "string" or type(options) ~= "table" or type(f) ~= "function" then
    error("kv.scenario: expected a name, a table of options and a function", 2)
  end
  for key in pairs(options) do
    if not KNOWN_OPTIONS[key] then error(("kv.scenario: unknown option %s"):format(tostring(key)), 2) end
  end
  duration.ms(options.timeout, "1s") -- a mistake shows at once
  M.list[#M.list + 1] = { name = name, options = options, f = f }
end

--- Tells the scenarios that were declared, as the arguments say; prints the account and the summary.
-- @tparam {string,...} arguments
-- @treturn integer the exit code
function M.finish(arguments)
  return require("kvserver.scenario.runner").run(M.list, arguments)
end

--- A cluster by hand, whose nodes do not run yet: for specs and the console. Use it as a `<close>` variable. As long as
-- no scenario is told, kv.now and kv.sleep mean its time.
-- @verb kv.cluster{nodes=3, world="sim", config=, seed=1}
-- @return the cluster
function M.cluster(spec)
  by_hand = cluster.new(spec or {})
  return by_hand
end

-- ---- inside of one ----

--- A line of your own in the account.
-- @verb kv.mark(text)
function M.mark(text)
  current():tell("%s", text)
end

--- The seed of this telling; all that is drawn comes from it.
-- @verb kv.seed()
function M.seed()
  return current().cluster.world.seed
end

--- Milliseconds of the scenario's clock since its beginning.
-- @verb kv.now()
function M.now()
  local here <const> = world()
  return here and here:now() or task.now_ms()
end

--- Waits so long, in the scenario's time. To wait for something, use a verb that says for what.
-- @verb kv.sleep("1s")
function M.sleep(text)
  local here <const>, ms <const> = world(), duration.ms(text)
  if here then here:sleep(ms) else task.sleep(ms) end
end

--- How long something is to go on: what the option --for says, else the default. The timeout of the whole grows with
-- it.
-- @verb kv.duration("20s")
-- @tparam string default
-- @treturn string for kv.sleep
function M.duration(default)
  return current():duration(default)
end

--- Does something beside the story, which goes on. An error in it ends the scenario; with the story it ends, too.
-- @verb kv.spawn(f, ...)
-- @tparam function f what it does
-- @param ... its arguments
-- @return a handle: `:join()` waits for it and returns what f returned, `:cancel()` ends it
function M.spawn(f, ...)
  return current().cluster.world:spawn(f, ...)
end

--- Waits until a condition holds, or fails.
-- @verb kv.eventually(name, within, f)
-- @tparam string name the condition in words, for the failure
-- @tparam string within how long at most
-- @tparam function f the condition; it may use verbs that wait
-- @return what f returned
function M.eventually(name, within, f)
  return current().cluster:await(within, function() return name .. ": not" end, f)
end

--- Something that holds from now on to the end. It is asked every few milliseconds.
-- @verb kv.always(name, f)
-- @tparam string name
-- @tparam function f returns whether it holds, and why not
function M.always(name, f)
  current():watch("always", name, f)
end

--- Something that must not happen from now on. It is asked as kv.always is.
-- @verb kv.never(name, f)
-- @tparam string name
-- @tparam function f returns whether it has happened
function M.never(name, f)
  current():watch("never", name, f)
end

--- Something that should happen, if not in each telling, then in one of many seeds: 50 seeds or more in which it never
-- did are a failure.
-- @verb kv.sometimes(name, f)
-- @tparam string name
-- @tparam function f returns whether it has happened; it is asked as kv.always is, and once more in the end
function M.sometimes(name, f)
  current():watch("sometimes", name, f)
end

return M
