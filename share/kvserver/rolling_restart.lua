--- Restarts the nodes of a cluster one after the other, while it serves:
--
--     kvserver --console n1.data -f rolling_restart.lua [TARGET...]
--
-- TARGETs are data directories or admin sockets of nodes on this machine; without any it is all members of the cluster
-- that the console is attached to, which must then all be on this machine. Followers come first; the leader hands over
-- before its turn, which is the last. The next node is not touched before the one before it is ready and has all that
-- was committed; the first thing that is wrong ends it all, with what there is to see.
--
-- Meanwhile a client writes to a key of its own, and removes it in the end. What comes out is how long no write was
-- acknowledged, and how many failed, although the client followed redirects and tried again.
local client = require "kvserver.client"
local task = require "kvserver.task"
local uv = require "luv"

local HEALTHY_MS <const> = 20000 -- for all of the cluster to agree
local BACK_MS <const> = 60000 -- for a node to be back
local ATTEMPT_MS <const> = 1000 -- of a write; then it is tried elsewhere
local WRITE_MS <const> = 15000 -- of a write with all its attempts; then it has failed
local PAUSE_MS <const> = 5 -- between writes

local function say(format, ...)
  io.stderr:write(format:format(...), "\n")
end

local function fail(format, ...)
  error(format:format(...), 0)
end

-- Waits for a condition: a function that returns a true value; or nil, what is wrong, and true when that will not
-- change. It may raise while a node is away.
local function wait(what, timeout_ms, condition)
  local why, hopeless = "it takes too long", false
  local function holds()
    local ok <const>, result, problem, for_good = pcall(condition)
    why = not ok and tostring(result) or problem or why
    hopeless = ok and not result and for_good
    return ok and result or hopeless
  end
  local result <const> = task.wait_until(holds, timeout_ms)
  if hopeless then fail("%s: never: %s", what, why) end
  return result or fail("%s: not after %d s: %s", what, timeout_ms // 1000, why)
end

-- ---- who is there ----

-- The members, as a node knows them: {id =, address =}, and one text for all of it.
local function members_of(commands)
  local list, names = {}, {}
  for i, row in ipairs(commands.raft.peers()) do
    list[i] = { id = row.id, address = row.address }
    names[i] = row.id .. "=" .. row.address
  end
  return list, table.concat(names, ",")
end

local function cluster_at(path)
  local there <close> = connect(path)
  return (select(2, members_of(there)))
end

-- Paths of the admin sockets of all members, found on this machine: another cluster's may have the same ids.
local function find_all(members, cluster)
  local found, targets, missing = {}, {}, {}
  for _, node in ipairs(nodes()) do
    local ok <const>, names = pcall(cluster_at, node.path)
    if ok and names == cluster then found[node.id] = node.path end
  end
  for _, member in ipairs(members) do
    targets[#targets + 1] = found[member.id]
    if not found[member.id] then missing[#missing + 1] = member.id end
  end
  if #missing > 0 then
    fail("%s: not on this machine, as far as this user can see; name the nodes to restart", table.concat(missing, ", "))
  end
  return targets
end

-- The nodes to restart, by id: a path and a connection each.
local function attach_all(targets, cluster)
  local attached <const> = {}
  for _, target in ipairs(targets) do
    local there <const> = connect(target)
    if select(2, members_of(there)) ~= cluster then fail("%s: a node of another cluster", target) end
    attached[there.about.id] = { id = there.about.id, path = target, commands = there }
  end
  return attached
end

-- ---- how they are ----

-- The id of the leader when all members answer, agree, and the leader has no secrets from them; nil and why not.
local function agreed_leader(commands)
  local rows <const> = commands.status "all"
  local leader
  for _, row in ipairs(rows) do
    if row.answer ~= "ok" then return nil, ("%s does not answer: %s"):format(row.id, row.answer) end
    if not row.leader_id or row.leader_id == "" then return nil, row.id .. " knows no leader" end
    if leader and row.leader_id ~= leader then return nil, "they do not agree who leads" end
    leader = row.leader_id
  end
  return leader
end

local function wait_healthy(attached, commands)
  local leader <const> = wait("the cluster is healthy", HEALTHY_MS, function() return agreed_leader(commands) end)
  for id, node in pairs(attached) do
    wait(id .. " is ready", HEALTHY_MS, function()
      local health <const> = node.commands.health()
      return health.ready, health.reason
    end)
  end
  return leader
end

-- ---- restarting ----

-- A connection to the program that is there now, once it is not the one from before. It stays the same process.
local function reconnect(node, pid, since_ms)
  return wait(node.id .. " is back", BACK_MS, function()
    if not uv.kill(pid, 0) then return nil, "its process has ended; its log says why", true end
    local there <const> = connect(node.path)
    if there.status().uptime_ms <= task.now_ms() - since_ms then return there end
    there.close()
    return nil, "it has not gone yet"
  end)
end

local function restart(node)
  local start_ms <const>, pid = task.now_ms(), node.commands.about.pid
  node.commands.node.restart()
  node.commands.close()
  node.commands = reconnect(node, pid, start_ms)
  local there <const> = node.commands
  wait(node.id .. " is ready", BACK_MS, function()
    local health <const> = there.health()
    return health.ready, health.reason
  end)
  wait(node.id .. " has caught up", BACK_MS, function()
    local behind
    for _, row in ipairs(there.status "all") do
      if row.id == node.id then behind = row.trails_leader_by end
    end
    return behind == 0, ("%s entries behind the leader"):format(behind or "unknown")
  end)
  say("%s is back and ready after %d ms", node.id, task.now_ms() - start_ms)
end

-- To a member that was restarted already, if there is one.
local function hand_over(node, members, done)
  local heir
  for _, member in ipairs(members) do
    if member.id ~= node.id and (not heir or done[member.id] and not done[heir]) then heir = member.id end
  end
  if not heir then return end -- a node alone
  node.commands.raft.transfer(heir)
  say("%s leads now", heir)
end

-- ---- the client ----

-- The next write, tried at one member after the other, each time as the same request. False: none acknowledged it.
local function write(probe, request)
  local deadline_ms <const> = task.now_ms() + WRITE_MS
  probe.seq = probe.seq + 1
  while task.now_ms() < deadline_ms do
    local answer <const> = request(probe.clients[probe.at], probe.seq)
    if answer and answer.ok then return true end
    probe.retries = probe.retries + 1
    probe.at = probe.at % #probe.clients + 1
    task.sleep(PAUSE_MS)
  end
  return false
end

local function keep_writing(probe)
  local last_ms = task.now_ms()
  while not probe.over do
    local acknowledged <const> = write(probe, function(c, seq)
      return c:put(probe.key, tostring(seq), { seq = seq })
    end)
    local now_ms <const> = task.now_ms()
    probe.longest_ms = math.max(probe.longest_ms, now_ms - last_ms)
    if acknowledged then
      probe.writes, last_ms = probe.writes + 1, now_ms
    else
      probe.failed = probe.failed + 1
    end
    task.sleep(PAUSE_MS)
  end
end

local function start_probe(members)
  local name <const> = ("rolling_restart/%d-%d"):format(uv.os_getpid(), uv.hrtime())
  local probe <const> = {
    key = name, clients = {}, at = 1, seq = 0, writes = 0, retries = 0, failed = 0, longest_ms = 0,
  }
  for i, member in ipairs(members) do
    probe.clients[i] = client.connect(member.address, { client_id = name, timeout_ms = ATTEMPT_MS })
  end
  probe.task = task.spawn(keep_writing, probe)
  return setmetatable(probe, { __close = function()
    probe.over = true
    probe.task:join()
    write(probe, function(c, seq) return c:delete(name, { seq = seq }) end)
    for _, c in ipairs(probe.clients) do c:close() end
  end })
end

-- ---- all of it ----

local members <const>, cluster <const> = members_of { raft = raft }
local attached <const> = attach_all(#arg > 0 and arg or find_all(members, cluster), cluster)
local first_leader <const> = wait_healthy(attached, { status = status })
local followers, order, done = {}, {}, {}
for id in pairs(attached) do
  if id ~= first_leader then followers[#followers + 1] = id end
end
table.sort(followers)
table.move(followers, 1, #followers, 1, order)
if attached[first_leader] then order[#order + 1] = first_leader end
say("%d members, %s leads; restarting %s", #members, first_leader, table.concat(order, ", "))

local report <const> = { restarted = 0 }
do
  local probe <close> = start_probe(members)
  for _, id in ipairs(order) do
    local node <const> = attached[id]
    local leader <const> = wait_healthy(attached, node.commands)
    if leader == id then hand_over(node, members, done) end
    restart(node)
    done[id] = true
    report.restarted = report.restarted + 1
  end
  wait_healthy(attached, attached[order[#order]].commands)
  report.writes, report.retries, report.failed = probe.writes, probe.retries, probe.failed
  report.longest_without_a_write_ms = probe.longest_ms
end
return setmetatable(report, {
  columns = { "restarted", "longest_without_a_write_ms", "writes", "retries", "failed" },
})
