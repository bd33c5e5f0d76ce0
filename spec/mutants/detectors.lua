--- What a seed of the campaign may fail of, by the words of its failure; the first that fits counts.
--
--     require("spec.mutants.detectors").of("at 1.5 s: n2: election safety: ...") --> "election safety"

local M = {
  { name = "election safety", "election safety" },
  { name = "votes", "votes twice", "its vote of term" },
  { name = "terms", "speaks of term", "its term goes back" },
  { name = "append-only", "leader append%-only", "cuts its log" },
  { name = "log matching", "log matching", "the term falls" },
  { name = "commitment", "by counting", "nodes have on disk" },
  { name = "completeness", "leader completeness" },
  { name = "state machine safety", "state machine safety" },
  { name = "agreement", "differ in the end" },
  { name = "progress", "commit index goes", "match index of" },
  { name = "exactly once", "exactly once", "as an older one" },
  { name = "acknowledgement", "it acknowledges entries" },
  { name = "acknowledged write", "it acknowledges a write" },
  { name = "stale read", "stale read" },
  { name = "linearizability", "not linearizable" },
  { name = "calm", "calm:" },
  { name = "liveness", "liveness:" },
  { name = "log end", "thinks that its log" },
  { name = "disk", "its disk does not let it start" },
  { name = "storage failed", "its storage failed" },
  { name = "snapshots", "snapshots:", "it acknowledges a snapshot" },
  { name = "damage", "damage" },
  { name = "applied", "it applies index" },
  { name = "bounds", "bounds:" },
  { name = "answers", "without an answer" },
  { name = "assertion", "check failed" },
}

--- The detector that speaks in a failure.
-- @tparam string why what the campaign printed
-- @treturn string its name, or "unknown"
function M.of(why)
  for _, detector in ipairs(M) do
    for _, pattern in ipairs(detector) do
      if why:find(pattern) then return detector.name end
    end
  end
  return "unknown"
end

return M
