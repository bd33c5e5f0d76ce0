-- Every check of the simulator can fail: each is shown what must never happen.

local cases = require "sim_check"

-- Case -> what its violation says.
local planted <const> = {
  ["two leaders in one term"] = "election safety: it leads in term 3, which n1 has led",
  ["a leader leads again in its term after a restart"] = "election safety",
  ["two votes in one term, a restart between them"] = "it votes twice in term 4: for n1 and for n2",
  ["a vote leaves before it is on disk"] = "its vote of term 4 for n1 leaves before it is durable",
  ["a term is spoken of before it is on disk"] = "it speaks of term 5 before that is durable",
  ["a term that was spoken of goes back"] = "it speaks of term 4 after it spoke of term 5",
  ["a term goes back"] = "its term goes back from 5 to 4",
  ["entries are acknowledged before they are on disk"] = "it acknowledges entries up to 1, but only those up to 0",
  ["a leader cuts its log"] = "leader append-only",
  ["a committed entry is cut"] = "it cuts its log from index 2, although it is committed up to 2",
  ["equal index and term, another command"] = "log matching",
  ["equal index and term, another log before it"] = "log matching",
  ["terms fall along a log"] = "the term falls from 2 to 1 at index 2",
  ["a minority commits"] = "it commits index 1 in term 1, which only 1 of 3 nodes have on disk",
  ["an entry of an old term is committed by counting"] = "it commits index 1 of term 1 by counting, in term 2",
  ["another entry is committed at an index"] = "state machine safety: it commits another entry",
  ["a commit index goes back"] = "its commit index goes from 2 to 1",
  ["a commit index is beyond the log"] = "its commit index goes from 2 to 3, with a log up to 2",
  ["a leader's match index goes back"] = "its match index of n2 goes back from 3 to 2",
  ["a new leader lacks a committed entry"] = "leader completeness",
  ["an entry is applied that is not committed"] = "it applies index 1, which is not committed",
  ["an entry is applied before the one in front of it"] = "it applies index 2 after index 0",
  ["another entry is applied than was committed"] = "state machine safety: it applies another entry",
  ["an entry gives two results"] = "another result than on other nodes",
  ["an entry gives two states"] = "its state at index 1 is not that of other nodes",
  ["a request is applied twice"] = "exactly once: seq 1 of client c is applied again",
  ["a new request is taken for a duplicate"] = "exactly once: seq 1 of client c is taken for a duplicate",
  ["an acknowledged write is not committed"] = "which is not in the committed log",
  ["an acknowledged write has another term"] = "which is not in the committed log",
  ["a read is older than an acknowledged write"] = "stale read: it answers from index 6, although index 7",
  ["a snapshot is recorded of what is not committed"] = "snapshots: it records one of index 4 and term 1",
  ["entries go that no snapshot covers"] = "snapshots: entries up to 3 go, but its newest one covers those up to 2",
  ["a log gives way to a snapshot that it matches"] = "snapshots: its log gives way to one of index 3, which matches",
  ["the log of a leader gives way"] = "which comes to a leader",
  ["a state is installed that nobody has"] = "snapshots: it has the state of index 4, which nobody has applied",
  ["a state is installed that is older than the own"] = "snapshots: its applied index goes back from 3 to 2",
  ["a state is installed that is another one"] = "its snapshot's state at index 3 is not that of other nodes",
  ["a snapshot is acknowledged before it is durable"] = "it acknowledges a snapshot of index 3, but that is not",
  ["a damaged log shows what nobody wrote"] = "damage: it starts with an entry at index 2 that nobody has written",
}

describe("the simulator's checks", function()
  for name, text in pairs(planted) do
    it("find it when " .. name, function()
      local violation = cases[name]()
      assert.is_string(violation)
      assert.is_truthy(violation:find(text, 1, true), violation)
    end)
  end

  it("name the virtual time and the node", function()
    assert.matches("^at 0%.000000 s: n2: election safety", cases["two leaders in one term"]())
  end)

  it("are content when nothing is wrong", function()
    assert.is_nil(cases["nothing wrong"]())
    assert.is_nil(cases["nothing wrong with a snapshot"]())
  end)

  it("are all planted here", function()
    for name in pairs(cases) do assert.is_truthy(planted[name] or name:find("^nothing wrong"), name) end
  end)
end)
