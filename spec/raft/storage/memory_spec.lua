local raft = require "kvserver.raft"

local function entries(from, ...)
  local list = {}
  for place, term in ipairs { ... } do
    list[place] = { index = from + place - 1, term = term, command = ("c%d"):format(from + place - 1) }
  end
  return list
end

local function terms(storage)
  local list = {}
  for index = 1, storage:last_index() do list[index] = storage:term_at(index) end
  return list
end

describe("the memory log store", function()
  local storage

  before_each(function() storage = raft.storage() end)
  after_each(function() storage:close() end)

  it("gives back what was appended: ranges, terms, both ends [TestMemLogStore_AppendReadRangeTermAt]", function()
    assert.equal(1, storage:first_index())
    assert.equal(0, storage:last_index())
    assert.is_true(storage:append(entries(1, 1, 1)))
    assert.is_true(storage:append(entries(3, 2)))
    assert.equal(1, storage:first_index())
    assert.equal(3, storage:last_index())
    assert.same(entries(1, 1, 1, 2), storage:read(1, 3))
    assert.same(entries(2, 1), storage:read(2, 2))
    assert.equal(1, storage:term_at(2))
    assert.equal(2, storage:term_at(3))
  end)

  it("deletes from an index on, and from beyond the end nothing [TestMemLogStore_DeleteFrom]", function()
    storage:append(entries(1, 1, 1, 1))
    assert.is_true(storage:delete_from(4))
    assert.equal(3, storage:last_index())
    assert.is_true(storage:delete_from(2))
    assert.same(entries(1, 1), storage:read(1, 1))
    assert.is_true(storage:delete_from(1))
    assert.equal(0, storage:last_index())
  end)

  it("loses the whole suffix, and takes new entries instead [TestMemLogStore_DeleteFrom_TruncatesSuffix]", function()
    storage:append(entries(1, 1, 1, 1, 1, 1))
    storage:delete_from(3)
    assert.is_nil(storage:read(1, 3))
    assert.is_true(storage:append(entries(3, 2, 2)))
    assert.same({ 1, 1, 2, 2 }, terms(storage))
    assert.is_nil(storage:term_at(5))
  end)

  it("says not_found for the term of an entry that is not there [TestMemLogStore_TermAt_ErrorsOnMissing]", function()
    for _, index in ipairs { 0, 1, 2 } do assert.same({ nil, "not_found" }, { storage:term_at(index) }) end
    storage:append(entries(1, 1))
    assert.same({ nil, "not_found" }, { storage:term_at(0) })
    assert.same({ nil, "not_found" }, { storage:term_at(2) })
    assert.same({ nil, "not_found" }, { storage:term_at(-1) })
  end)

  it("says not_found for a range of which an entry is missing", function()
    storage:append(entries(1, 1, 1))
    for _, range in ipairs { { 0, 1 }, { 1, 3 }, { 3, 3 } } do
      assert.same({ nil, "not_found" }, { storage:read(range[1], range[2]) })
    end
  end)

  it("takes no gap and no entry twice", function()
    storage:append(entries(1, 1, 1))
    for _, from in ipairs { 1, 2, 4 } do assert.same({ nil, "invalid" }, { storage:append(entries(from, 1)) }) end
    assert.same({ nil, "invalid" }, { storage:append { { index = 3, term = 1 }, { index = 5, term = 1 } } })
    assert.same({ 1, 1 }, terms(storage))
  end)

  it("drops a prefix, and still knows the term before the first entry [TestLogStore_TruncatePrefix]", function()
    storage:append(entries(1, 1, 1, 2, 2))
    assert.is_true(storage:truncate_prefix(0))
    assert.is_true(storage:truncate_prefix(3))
    assert.same({ 4, 4 }, { storage:first_index(), storage:last_index() })
    assert.same({ 2, 2 }, { storage:term_at(3), storage:term_at(4) })
    assert.same({ nil, "not_found" }, { storage:term_at(2) })
    assert.same({ nil, "not_found" }, { storage:read(3, 4) })
    assert.same({ nil, "not_found" }, { storage:truncate_prefix(5) })
    assert.same({ nil, "invalid" }, { storage:delete_from(3) })
    assert.is_true(storage:truncate_prefix(1))
    assert.equal(4, storage:first_index())
    assert.is_true(storage:truncate_prefix(4))
    assert.same({ 5, 4, 2 }, { storage:first_index(), storage:last_index(), storage:term_at(4) })
    assert.same({ nil, "invalid" }, { storage:append(entries(1, 2)) })
    assert.is_true(storage:append(entries(5, 2, 3)))
    assert.same(entries(5, 2, 3), storage:read(5, 6))
    assert.equal(6, storage:batch_end(5, 6, 1000))
  end)

  it("starts over behind a snapshot from elsewhere", function()
    storage:append(entries(1, 1, 1, 1))
    assert.is_true(storage:record_snapshot(1, 1))
    assert.is_true(storage:reset(2, 5))
    assert.same({ nil, "invalid" }, { storage:reset(2, 5) })
    assert.same({ 3, 2, 5 }, { storage:first_index(), storage:last_index(), storage:term_at(2) })
    assert.same({ 2, 5 }, { storage:snapshot() })
    assert.is_true(storage:append(entries(3, 5)))
    assert.same(entries(3, 5), storage:read(3, 3))
  end)

  it("remembers the newest snapshot of entries that it has", function()
    storage:append(entries(1, 1, 1, 2))
    assert.same({ 0, 0 }, { storage:snapshot() })
    assert.is_true(storage:record_snapshot(2, 1))
    for _, mark in ipairs { { 2, 1 }, { 1, 1 }, { 4, 2 }, { 3, 1 } } do
      assert.same({ nil, "invalid" }, { storage:record_snapshot(mark[1], mark[2]) })
    end
    assert.same({ 2, 1 }, { storage:snapshot() })
  end)

  it("ends a batch where the bytes do, after one entry at least", function()
    storage:append(entries(1, 1, 1, 1, 1)) -- 12 bytes of head and 2 of command each
    assert.equal(1, storage:batch_end(1, 4, 0))
    assert.equal(1, storage:batch_end(1, 4, 27))
    assert.equal(2, storage:batch_end(1, 4, 28))
    assert.equal(3, storage:batch_end(2, 3, 1000))
  end)
end)

describe("the memory stable store", function()
  local storage

  before_each(function() storage = raft.storage() end)
  after_each(function() storage:close() end)

  it("holds a term and a vote, in which a new term clears the vote [TestMemStableStore_TermVote]", function()
    assert.equal(0, storage:current_term())
    assert.is_nil(storage:voted_for())
    assert.is_true(storage:set_current_term(3))
    assert.is_true(storage:vote(2))
    assert.equal(3, storage:current_term())
    assert.equal(2, storage:voted_for())
    assert.is_true(storage:set_current_term(4))
    assert.is_nil(storage:voted_for())
  end)

  it("keeps the vote when the same term is set again", function()
    storage:set_current_term(3)
    storage:vote(1)
    assert.is_true(storage:set_current_term(3))
    assert.equal(1, storage:voted_for())
  end)

  it("takes no lower term and no second vote", function()
    storage:set_current_term(3)
    storage:vote(1)
    assert.same({ nil, "invalid" }, { storage:set_current_term(2) })
    assert.same({ nil, "invalid" }, { storage:vote(2) })
    assert.is_true(storage:vote(1))
    assert.same({ term = 3, voted_for = 1, proven = false }, storage:load())
  end)

  it("is one record with the mark of the node", function()
    storage:save { term = 7, voted_for = 3, proven = true }
    assert.equal(7, storage:current_term())
    storage:set_current_term(8)
    assert.same({ term = 8, proven = true }, storage:load())
  end)
end)

describe("a memory storage that loses power", function()
  local storage

  before_each(function()
    storage = raft.storage()
    storage:append(entries(1, 1, 1, 1))
    storage:save { term = 1, voted_for = 1 }
    storage:sync(1)
    storage:complete()
  end)
  after_each(function() storage:close() end)

  it("is back at the last sync that was completed", function()
    storage:append(entries(4, 1))
    storage:save { term = 2, voted_for = 2 }
    storage:sync(2)
    storage:crash()
    assert.same({ 1, 1, 1 }, terms(storage))
    assert.same({ term = 1, voted_for = 1, proven = false }, storage:load())
    assert.is_nil(storage:complete())
  end)

  it("has deleted and overwritten entries again", function()
    storage:delete_from(2)
    storage:append(entries(2, 2, 2, 2, 2))
    storage:delete_from(4)
    storage:append(entries(4, 3))
    storage:crash()
    assert.same({ 1, 1, 1 }, terms(storage))
    assert.same(entries(1, 1, 1, 1), storage:read(1, 3))
  end)

  it("has truncated prefixes, resets and forgotten snapshots again", function()
    storage:append(entries(4, 2, 2))
    storage:sync(2)
    storage:complete()
    storage:record_snapshot(3, 1)
    storage:truncate_prefix(2)
    storage:append(entries(6, 2))
    storage:truncate_prefix(4)
    storage:reset(9, 3)
    storage:append(entries(10, 3))
    storage:crash()
    assert.same({ 1, 5 }, { storage:first_index(), storage:last_index() })
    assert.same({ 1, 1, 1, 2, 2 }, terms(storage))
    assert.same({ 0, 0 }, { storage:snapshot() })
  end)

  it("keeps what a completed sync covers, whatever came after it was asked for", function()
    storage:delete_from(3)
    storage:append(entries(3, 2))
    storage:sync(2)
    storage:append(entries(4, 2))
    assert.same({ 2, 3 }, { storage:complete() })
    storage:crash()
    assert.same({ 1, 1, 2 }, terms(storage))
  end)

  it("completes syncs in the order in which they were asked for, with the log's end as of then", function()
    storage:append(entries(4, 1))
    storage:sync(2)
    storage:append(entries(5, 1))
    storage:sync(5)
    assert.same({ 2, 4 }, { storage:complete() })
    assert.same({ 5, 5 }, { storage:complete() })
    assert.is_nil(storage:complete())
  end)

  it("agrees with a model that copies itself at each sync, whatever happens", function()
    local draw = require("kvserver.sim").prng(11)
    local now, durable, asked = { 1, 1, 1 }, { 1, 1, 1 }, {}
    local function copy(list) return table.move(list, 1, #list, 1, {}) end
    for number = 2, 3000 do
      local what = draw(6)
      if what <= 2 then
        storage:append(entries(#now + 1, number))
        now[#now + 1] = number
      elseif what == 3 and #now > 0 then
        local from = draw(#now)
        storage:delete_from(from)
        while #now >= from do now[#now] = nil end
      elseif what == 4 then
        storage:sync(number)
        asked[#asked + 1] = copy(now)
      elseif what == 5 then
        if storage:complete() then durable = table.remove(asked, 1) end
      elseif draw(10) == 1 then
        storage:crash()
        now, asked = copy(durable), {}
      end
      assert.same(now, terms(storage))
    end
  end)
end)

describe("a memory storage that failed", function()
  it("says io to everything, and completes nothing", function()
    local storage <close> = raft.storage()
    storage:append(entries(1, 1))
    storage:sync(1)
    storage:fail()
    assert.same({ nil, "io" }, { storage:append(entries(2, 1)) })
    assert.same({ nil, "io" }, { storage:delete_from(1) })
    assert.same({ nil, "io" }, { storage:set_current_term(9) })
    assert.same({ nil, "io" }, { storage:vote(1) })
    assert.same({ nil, "io" }, { storage:sync(2) })
    assert.is_nil(storage:complete())
  end)

  it("in a sync has taken the writes before it, and loses them", function()
    local storage <close> = raft.storage()
    storage:append(entries(1, 1))
    storage:sync(1)
    storage:fail_sync()
    assert.is_true(storage:append(entries(2, 1)))
    assert.equal(1, (storage:complete()))
    assert.same({ nil, "io" }, { storage:sync(2) })
    assert.same({ nil, "io" }, { storage:append(entries(3, 1)) })
    assert.is_nil(storage:complete())
    storage:crash()
    assert.same({ 1 }, terms(storage))
    storage:sync(3)
    assert.equal(3, (storage:complete()))
  end)

  it("works again from what was durable after a restart", function()
    local storage <close> = raft.storage()
    storage:append(entries(1, 1))
    storage:sync(1)
    storage:complete()
    storage:append(entries(2, 1))
    storage:fail()
    storage:crash()
    assert.same({ 1 }, terms(storage))
    assert.is_true(storage:append(entries(2, 2)))
  end)

  it("has nothing at all when it was wiped", function()
    local storage <close> = raft.storage()
    storage:append(entries(1, 1))
    storage:save { term = 5, voted_for = 1, proven = true }
    storage:sync(1)
    storage:complete()
    storage:wipe()
    assert.equal(0, storage:last_index())
    assert.same({ term = 0, proven = false }, storage:load())
  end)
end)
