--- Commands of the console: how the node, and the cluster, are.
local arguments = require "kvserver.console.node.arguments"
local cluster = require "kvserver.console.node.cluster"
local files = require "kvserver.files"
local result = require "kvserver.console.node.result"
local version = require "kvserver.version"

local STATUS_COLUMNS <const> = {
  "id", "role", "term", "leader_id", "ready", "applied", "commit", "last", "lag", "snapshot_index", "keys", "clients",
  "disk_bytes", "fsync_p99_us", "uptime_ms", "version",
}
local ALL_COLUMNS <const> = {
  "id", "role", "term", "leader_id", "applied", "commit", "last", "trails_leader_by", "snapshot_index", "keys",
  "uptime_ms", "version", "answer",
}
local HEALTH_COLUMNS <const> = { "ready", "reason", "behind", "next_action" }
local WHO_COLUMNS <const> = { "session", "user", "pid", "since_ms", "rw", "statement" }

local function fsync_p99_us(node)
  local fsync <const> = node.durations and node:durations().fsync
  return fsync and fsync.count > 0 and fsync.p99_us or nil
end

local function own_status(context)
  local node <const>, data = context.node, context.config.data
  local status <const>, stats = node:status(), node:stats()
  return {
    id = context.config.id, role = status.role, term = status.term, leader_id = status.leader_id,
    ready = status.not_ready == nil, applied = status.last_applied, commit = status.commit_index,
    last = status.last_index, lag = status.commit_index - status.last_applied, snapshot_index = status.snapshot_index,
    keys = stats.keys, clients = stats.clients, disk_bytes = data and files.tree_bytes(data),
    fsync_p99_us = fsync_p99_us(node), uptime_ms = context.console:uptime_ms(), version = version,
  }
end

local function row_of(id, answer)
  local hint <const> = answer.leader_hint or {}
  return {
    id = id, role = answer.role, term = answer.term, leader_id = hint.leader_id, applied = answer.last_applied,
    commit = answer.commit_index, last = answer.last_index, snapshot_index = answer.snapshot_index, keys = answer.keys,
    uptime_ms = answer.uptime_ms, version = answer.version, answer = "ok",
  }
end

-- The entries that each lacks of what the newest of those that lead has.
local function compare(rows)
  local leader
  for _, row in ipairs(rows) do
    if row.role == "leader" and (not leader or row.term > leader.term) then leader = row end
  end
  for _, row in ipairs(rows) do
    if leader and row.last then row.trails_leader_by = math.max(0, leader.last - row.last) end
  end
end

local function all_status(context)
  local own <const> = own_status(context)
  own.answer = "ok"
  local answers <const>, silent = cluster.ask_others(context.config)
  local rows <const> = {}
  for i, id in ipairs((cluster.members(context.config))) do
    if id == context.config.id then
      rows[i] = {}
      for _, name in ipairs(ALL_COLUMNS) do rows[i][name] = own[name] end
    else
      rows[i] = answers[id] and row_of(id, answers[id]) or { id = id, answer = silent[id] }
    end
  end
  compare(rows)
  return result.list(ALL_COLUMNS, rows)
end

local function status(context, which)
  if which == nil then return result.record(STATUS_COLUMNS, own_status(context)) end
  arguments.one_of("status", 1, which, { "all" })
  return all_status(context)
end

local function health(context)
  local now <const> = context.node:status()
  return result.record(HEALTH_COLUMNS, {
    ready = now.not_ready == nil, reason = now.not_ready, behind = now.behind, next_action = now.next_action,
  })
end

local function who(context)
  return result.list(WHO_COLUMNS, context.console:describe())
end

return {
  { name = "status", arguments = "['all']", run = status, example = "status()", columns = STATUS_COLUMNS,
    summary = "How this node is, or all of them", returns = "a record; with 'all' a list of records, one per member",
    help = "lag: committed entries that are not applied yet. With 'all' the others are asked over HTTP, a second at "
      .. "most; answer says why one did not. trails_leader_by: entries of the leader's log that a member lacks. Works "
      .. "without a leader." },
  { name = "health", arguments = "", run = health, example = "health()", columns = HEALTH_COLUMNS,
    summary = "Whether this node is fit for work, as GET /readyz says",
    returns = "ready; and if it is not, the reason, by how many entries it is behind, and what to do next",
    help = "Works without a leader." },
  { name = "who", arguments = "", run = who, example = "who()", columns = WHO_COLUMNS,
    summary = "The consoles that are attached to this node", returns = "a list of records",
    help = "user and pid are what the console says of itself." },
}
