--- How long nobody takes writes when the leader is killed: from kill -9 to the next write that is acknowledged, at the
-- timing of the defaults or that of the options given. The old leader is started again after each round, and must not
-- unseat the new one.
--
--     kvserver --script scenarios/bench/failover.lua [OPTIONS]
package.path = arg[0]:match("^(.*)/") .. "/?.lua;" .. package.path
local cluster = require "kvserver.cluster"
local goals = require "goals"
local loop = require "kvserver.loop"
local task = require "kvserver.task"
local uv = require "luv"

local ROUNDS <const> = 10
local GOAL_MS <const> = 1000
local ATTEMPT_MS <const> = 1000
local PAUSE_MS <const> = 2 -- between attempts
local READY_MS <const> = 20000

local function acknowledged(client, key)
  local result = client:put(key, "v")
  return result and result.ok
end

-- Asks the nodes that are left in turn, as a client would.
local function ms_to_next_write(nodes, leader, round)
  local clients = {}
  for _, id in ipairs(nodes.ids) do
    if id ~= leader then clients[#clients + 1] = nodes:client(id, { timeout_ms = ATTEMPT_MS }) end
  end
  nodes.processes[leader]:kill()
  local start_ns, attempt = uv.hrtime(), 0
  repeat
    attempt = attempt + 1
    local done = acknowledged(clients[attempt % #clients + 1], ("round-%d"):format(round))
    if not done then loop.sleep(PAUSE_MS) end
  until done
  local ms = (uv.hrtime() - start_ns) / 1e6
  for _, client in ipairs(clients) do client:close() end
  nodes:kill(leader)
  return ms
end

local function rejoin(nodes, old_leader)
  local leader, term = nodes:wait_leader()
  nodes:restart(old_leader)
  local client <close> = nodes:client(old_leader)
  assert(task.wait_until(function() return client:readyz().ok end, READY_MS), "the old leader is not ready again")
  local leader_now, term_now = nodes:wait_leader()
  assert(leader_now == leader and term_now == term, "the old leader has unseated the new one")
end

local nodes <close> = cluster.start { options = table.move(arg, 1, #arg, 4, { "--memory", "--log-level", "error" }) }
local times = {}
for round = 1, ROUNDS do
  local leader = nodes:wait_leader()
  local client <close> = nodes:client(leader)
  assert(acknowledged(client, "before"))
  times[round] = ms_to_next_write(nodes, leader, round)
  rejoin(nodes, leader)
end
table.sort(times)
local texts = {}
for i, ms in ipairs(times) do texts[i] = ("%.0f"):format(ms) end
goals.note("kill -9 of the leader to the next write, all rounds", table.concat(texts, " ") .. " ms")
goals.at_most("kill -9 of the leader to the next write, median", goals.median(times), GOAL_MS, "%.0f ms")
os.exit(goals.all_met())
