local raft = require "kvserver.raft"

local function member(id, port) return { id = id, host = "127.0.0.1", port = port or 7000 } end

local function refusal(members, self)
  local cluster, message = raft.cluster(members, self)
  assert.is_nil(cluster)
  return message
end

describe("a cluster's membership", function()
  it("numbers the members by id, in whatever order they are listed", function()
    local one = raft.cluster({ member("n3", 3), member("n1", 1), member("n2", 2) }, "n2")
    assert.same({ { id = "n1", address = "127.0.0.1:1" }, { id = "n2", address = "127.0.0.1:2" },
      { id = "n3", address = "127.0.0.1:3" } }, one.members)
    assert.equal(2, one.self)
  end)

  it("has one identity for all members, whatever the order, the addresses and who asks", function()
    local one = raft.cluster({ member("a", 1), member("b", 2) }, "a")
    local two = raft.cluster({ member("b", 8), member("a", 9) }, "b")
    assert.equal(one.identity, two.identity)
  end)

  it("has another identity with other ids, also when they spell the same letters", function()
    local seen = {}
    local lists = { { "a", "b" }, { "a", "c" }, { "ab" }, { "a" }, { "a", "b", "c" }, { "ab", "c" }, { "a", "bc" } }
    for _, ids in ipairs(lists) do
      local members = {}
      for place, id in ipairs(ids) do members[place] = member(id) end
      local identity = raft.cluster(members, ids[1]).identity
      assert.is_nil(seen[identity])
      seen[identity] = true
    end
  end)

  it("puts brackets around an IPv6 address", function()
    assert.equal("[::1]:7000", raft.cluster({ { id = "n1", host = "::1", port = 7000 } }, "n1").members[1].address)
  end)

  it("decides by more than half, for one member to nine", function()
    local members = {}
    for count, quorum in ipairs { 1, 2, 2, 3, 3, 4, 4, 5, 5 } do
      members[count] = member("n" .. count)
      assert.equal(quorum, raft.cluster(members, "n1").quorum)
    end
  end)

  it("is refused without the node itself, with a message that names it", function()
    assert.equal('"n9" is not among the members', refusal({ member "n1" }, "n9"))
  end)

  it("is refused with a doubled id, with a message that names it", function()
    assert.equal('member "n1" is listed twice', refusal({ member("n1", 1), member("n1", 2) }, "n1"))
  end)

  it("is refused with an id of other characters, with a message that names it", function()
    for _, id in ipairs { "", "a b", "a/b", "ä" } do
      assert.equal(('member "%s": an id is 1 to 63 of a-z A-Z 0-9 . _ -'):format(id), refusal({ member(id) }, id))
    end
    assert.is_table(raft.cluster({ member(("x"):rep(63)) }, ("x"):rep(63)))
  end)

  it("is refused with none or more than sixteen members", function()
    local members = {}
    for count = 1, 17 do members[count] = member("n" .. count) end
    assert.equal("17 members: expected 1 to 16", refusal(members, "n1"))
    assert.equal("0 members: expected 1 to 16", refusal({}, "n1"))
  end)
end)
