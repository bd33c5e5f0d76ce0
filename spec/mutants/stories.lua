--- Bugs that a shipped scenario must find, each by one of its checks, with an explanation from which one can tell the
-- bug: a check of kvserver.check each. As in list.lua, otherwise: `story` is the file and the world, `expect` the words
-- of the explanation.
local list = require "spec.mutants.list"
local syncs = require "spec.mutants.syncs"

-- The edits of a mutant that the campaign or the torture finds as well.
local function edits_of(name)
  for _, source in ipairs { list, syncs } do
    for _, mutant in ipairs(source) do
      if mutant.name == name then return mutant.edits end
    end
  end
  error("no mutant " .. name)
end

-- `only`: a pattern of the names of the scenarios in the file.
local function story(check, bug, file, world, edits, expect, only)
  return {
    name = "story-" .. check, seen = file .. ", " .. world, bug = bug, edits = edits, expect = { expect },
    story = { file = "scenarios/" .. file .. ".lua", world = world, only = only },
  }
end

local KVSM <const> = "src/kvsm/kvsm.c"
local NO_DEDUPE <const> = {
  { KVSM, "if (record.last_seq >= command->seq)", "if (record.last_seq > command->seq)" },
}
local FORGETS_LAST <const> = {
  { KVSM, "    put_key(state, key, value);\n}", "    if (items.len > 0) put_key(state, key, value);\n}" },
}
local COMPARES_LENGTHS <const> = {
  { KVSM, "  if (!bytes_equal(current, command->expected)) return false;",
    "  if (current.len != command->expected.len) return false;" },
}
local WRITES_WHAT_WAS_EXPECTED <const> = {
  { KVSM, "  if (!bytes_equal(current, command->expected)) return false;\n  kvsm_state_put(",
    "  bool equal = bytes_equal(current, command->expected);\n  kvsm_state_put(" },
  { KVSM, "&cursor, current, command->key, command->value);\n  return true;",
    "&cursor, current, command->key, equal ? command->value : command->expected);\n  return equal;" },
}
local IGNORES_TIMEOUT_NOW <const> = {
  { "src/raft/core/leader.c", "  if (raft_send(raft, out, RAFT_TIMEOUT_NOW, to) != NULL) raft->transfer_sent = true;",
    "  (void)out;\n  (void)to;\n  raft->transfer_sent = true;" },
}

-- In sim, what a core may not do is found by the world's own checks, after the event that does it; a check of a history
-- is for what they do not look at. What only they would find there is told in a world that has none of them.
return {
  story("raft", "entries of old terms are committed by counting", "failover", "sim", edits_of "commits-old-term",
    "by counting"),
  story("raft-dedupe", "a request that comes again is done again", "failover", "sim", NO_DEDUPE, "exactly once: seq"),
  story("linearizable", "a cas compares only lengths", "failover", "sim", COMPARES_LENGTHS,
    "not linearizable: no order of the operations on"),
  story("exactly_once", "a cas that is refused writes what it expected", "duplicate_requests", "sim",
    WRITES_WHAT_WAS_EXPECTED, "a write took effect twice", "asked again"),
  story("no_acked_write_lost", "of several keys that are written at once, the last one is forgotten", "power_cut_all",
    "sim", FORGETS_LAST, "an acknowledged write is lost"),
  story("same_state", "the replies to clients are not part of a snapshot", "lagging_follower_snapshot", "inproc",
    edits_of "sessions-not-restored", "are in different states"),
  story("availability", "whoever is to lead next is not told", "rolling_restart", "sim", IGNORES_TIMEOUT_NOW,
    "no operation was answered for"),
}
