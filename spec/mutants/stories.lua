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

local function story(name, file, world, edits, expect)
  return {
    name = "story-" .. name, seen = "scenarios/" .. file, bug = "as its edits say", edits = edits, expect = { expect },
    story = { file = "scenarios/" .. file .. ".lua", world = world },
  }
end

return {
  story("raft", "failover", "sim", edits_of "commits-old-term", "commit"),
  story("raft-once", "failover", "sim", { { "src/kvsm/kvsm.c", "if (record.last_seq >= command->seq)",
    "if (record.last_seq > command->seq)" } }, "exactly once: seq"),
}
