--- Commands of the console: consensus.
local arguments = require "kvserver.console.node.arguments"
local cluster = require "kvserver.console.node.cluster"
local result = require "kvserver.console.node.result"
local task = require "kvserver.task"

local LAST_ENTRIES <const> = 20
local SNAPSHOT_MS <const> = 30000
local TRANSFER_MS <const> = 5000

local ENTRY_COLUMNS <const> = {
  "index", "term", "op", "key", "value", "expected", "entries", "keys", "client_id", "seq",
}
local PEER_COLUMNS <const> = {
  "id", "address", "role", "match_index", "next_index", "inflight", "last_contact_ms", "trails_leader_by",
}
local TIMER_COLUMNS <const> = { "heartbeat_ms", "election_ms", "leader_silent_ms", "campaign_in_ms" }
local VOTE_COLUMNS <const> = { "term", "role", "voted_for", "granted", "needed" }
local SNAPSHOT_COLUMNS <const> = { "snapshot_index", "snapshot_term" }
local LEADER_COLUMNS <const> = { "leader_id", "term" }

-- Why the node did not begin it, as a status.
local NO_SNAPSHOT <const> = {
  overloaded = "one is being taken", invalid = "the newest one covers all that is applied", io = "the storage failed",
}
local NO_TRANSFER <const> = { not_found = "no such member", invalid = "this node leads already" }

local function log(context, from, to)
  from = arguments.optional_integer("raft.log", 1, from, 1)
  to = arguments.optional_integer("raft.log", 2, to, 0)
  local last <const> = context.node:status().last_index
  from = from or math.max(1, (to or last) - LAST_ENTRIES + 1)
  local entries <const>, why = context.node:raft_log(from, to)
  if not entries then error("raft.log: " .. why, 0) end
  return result.list(ENTRY_COLUMNS, entries)
end

local function peers(context)
  local node <const>, config = context.node, context.config
  local status <const>, known = node:status(), {}
  for _, peer in ipairs(node:raft().peers) do known[peer.id] = peer end
  local ids <const>, addresses = cluster.members(config)
  local rows <const> = {}
  for i, id in ipairs(ids) do
    local row <const> = known[id] or {}
    row.id, row.address = id, addresses[id]
    row.role = id == config.id and status.role or id == status.leader_id and "leader" or nil
    if row.match_index then row.trails_leader_by = math.max(0, status.last_index - row.match_index) end
    rows[i] = row
  end
  return result.list(PEER_COLUMNS, rows)
end

local function timers(context)
  local now <const> = context.node:raft()
  return result.record(TIMER_COLUMNS, {
    heartbeat_ms = context.config.heartbeat_ms, election_ms = context.config.election_ms,
    leader_silent_ms = now.leader_silent_ms, campaign_in_ms = now.campaign_in_ms,
  })
end

local function votes(context)
  local status <const>, now = context.node:status(), context.node:raft()
  return result.record(VOTE_COLUMNS, {
    term = status.term, role = status.role, voted_for = now.voted_for, granted = now.granted,
    needed = #cluster.members(context.config) // 2 + 1,
  })
end

local function snapshot(context)
  local node <const> = context.node
  local index <const> = node:status().last_applied
  local begun <const>, why = node:snapshot()
  if not begun then error("raft.snapshot: " .. (NO_SNAPSHOT[why] or why), 0) end
  local done <const> = task.wait_until(function() return node:status().snapshot_index >= index end, SNAPSHOT_MS)
  if not done then error("raft.snapshot: it is still being taken: status() shows when it is done", 0) end
  local now <const> = node:status()
  return result.record(SNAPSHOT_COLUMNS, { snapshot_index = now.snapshot_index, snapshot_term = now.snapshot_term })
end

local function why_no_transfer(context, why)
  if why ~= "not_leader" then return NO_TRANSFER[why] or why end
  local leader <const> = context.node:status().leader_id
  return "this node does not lead" .. (leader == "" and ", and knows no leader" or ": ask " .. leader)
end

local function transfer(context, id)
  arguments.string("raft.transfer", 1, id)
  local node <const> = context.node
  local begun <const>, why = node:transfer(id)
  if not begun then error("raft.transfer: " .. why_no_transfer(context, why), 0) end
  local led <const> = task.wait_until(function() return node:status().leader_id == id end, TRANSFER_MS)
  if not led then error(("raft.transfer: %s does not lead after %d ms"):format(id, TRANSFER_MS), 0) end
  local now <const> = node:status()
  return result.record(LEADER_COLUMNS, { leader_id = now.leader_id, term = now.term })
end

return {
  { name = "raft.peers", arguments = "", run = peers, example = "raft.peers()", columns = PEER_COLUMNS,
    summary = "The members of the cluster, and how far each has the leader's log", returns = "a list of records",
    help = "Only the leader knows how far they are; elsewhere these columns are empty." },
  { name = "raft.log", arguments = "[from [, to]]", run = log, example = "raft.log(1, 10)", columns = ENTRY_COLUMNS,
    summary = "Entries of this node's log", returns = "a list of records, at most 1000 and 4 MiB at once",
    help = "Without from, the last 20. What a snapshot covers may be gone from the log." },
  { name = "raft.timers", arguments = "", run = timers, example = "raft.timers()", columns = TIMER_COLUMNS,
    summary = "Timing: how it is set, and where this node stands", returns = "a record",
    help = "leader_silent_ms: since the leader was heard of; campaign_in_ms: until this node campaigns unless it is. "
      .. "Both are 0 at the leader." },
  { name = "raft.votes", arguments = "", run = votes, example = "raft.votes()", columns = VOTE_COLUMNS,
    summary = "The vote of this node in the current term, and who voted for it", returns = "a record",
    help = "granted is known only where this node campaigned; needed: votes that make a leader." },
  { name = "raft.snapshot", arguments = "", writes = true, run = snapshot, example = "raft.snapshot()",
    columns = SNAPSHOT_COLUMNS, summary = "Takes a snapshot of this node's state, now",
    returns = "the index and the term that it covers", help = "Waits until it is on disk, half a minute at most." },
  { name = "raft.transfer", arguments = "id", writes = true, run = transfer, example = "raft.transfer('n2')",
    completes = { "node" }, columns = LEADER_COLUMNS, summary = "Hands leadership to a member",
    returns = "who leads now",
    help = "Only where the leader is. Waits until that member leads, five seconds at most." },
}
