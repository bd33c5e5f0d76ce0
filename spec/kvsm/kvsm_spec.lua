local kvsm = require "kvserver.kvsm"
local seeded = require "spec.kvsm.seeded"
local twin = require "spec.kvsm.twin"

local OK <const> = { ok = true }
local CAS_FAILED <const> = {
  ok = false, err_code = "cas_failed", err_msg = "expected: differs from the current value",
}

local function replayed(result, kind)
  local copy = {}
  for field, value in pairs(result) do copy[field] = value end
  copy.replay = kind
  return copy
end

--- A machine that counts its own indices.
local function machine(options)
  local sm = kvsm.new(options)
  return sm, function(command) return sm:apply(sm:stats().last_applied + 1, command) end
end

describe("kvsm", function()
  describe("put, get and delete", function()
    it("gives back what was put, until it is deleted [TestKVSM_PutGetDelete]", function()
      local sm <close>, apply = machine()
      assert.is_nil(sm:get("k"))
      assert.same(OK, apply { op = "put", key = "k", value = "v" })
      assert.equal("v", sm:get("k"))
      assert.same(OK, apply { op = "put", key = "k", value = "w" })
      assert.equal("w", sm:get("k"))
      assert.same({ ok = true, deleted = 1 }, apply { op = "delete", key = "k" })
      assert.is_nil(sm:get("k"))
      assert.same({ ok = true, deleted = 0 }, apply { op = "delete", key = "k" })
    end)

    it("holds values of any bytes and sizes", function()
      local sm <close>, apply = machine()
      for _, value in ipairs { "", "\0", "\255\254", ("x"):rep(1048576), "\n\"\\" } do
        apply { op = "put", key = "k", value = value }
        assert.equal(value, sm:get("k"))
      end
    end)
  end)

  describe("cas", function()
    it("swaps only what is expected [TestKVSM_CAS_SuccessAndFail]", function()
      local sm <close>, apply = machine()
      apply { op = "put", key = "k", value = "v" }
      assert.same(CAS_FAILED, apply { op = "cas", key = "k", expected = "x", value = "w" })
      assert.equal("v", sm:get("k"))
      assert.same(OK, apply { op = "cas", key = "k", expected = "v", value = "w" })
      assert.equal("w", sm:get("k"))
    end)

    it("counts a missing key as empty", function()
      local sm <close>, apply = machine()
      assert.same(CAS_FAILED, apply { op = "cas", key = "k", expected = "x", value = "w" })
      assert.is_nil(sm:get("k"))
      assert.same(OK, apply { op = "cas", key = "k", expected = "", value = "w" })
      assert.equal("w", sm:get("k"))
    end)
  end)

  describe("batches", function()
    it("puts all entries and counts the deleted keys [TestKVSM_BatchPutBatchDelete]", function()
      local sm <close>, apply = machine()
      assert.same(OK, apply { op = "mput", entries = { { key = "a", value = "1" }, { key = "b", value = "2" } } })
      assert.same({ a = "1", b = "2" }, sm:mget { "a", "b", "c" })
      assert.same({ ok = true, deleted = 2 }, apply { op = "mdelete", keys = { "a", "c", "b" } })
      assert.same({}, sm:mget { "a", "b", "c" })
    end)

    it("lets the later entry of one mput win", function()
      local sm <close>, apply = machine()
      apply { op = "mput", entries = { { key = "a", value = "1" }, { key = "a", value = "2" } } }
      assert.equal("2", sm:get("a"))
      assert.equal(1, sm:stats().keys)
    end)

    it("counts a key that stands twice in one mdelete once", function()
      local _ <close>, apply = machine()
      apply { op = "put", key = "a", value = "1" }
      assert.same({ ok = true, deleted = 1 }, apply { op = "mdelete", keys = { "a", "a" } })
    end)

    it("does all or nothing", function()
      local sm <close>, apply = machine()
      local result = apply { op = "mput", entries = { { key = "a", value = "1" }, { key = "", value = "2" } } }
      assert.equal("bad_request", result.err_code)
      assert.is_nil(sm:get("a"))
    end)
  end)

  describe("dedupe", function()
    it("answers the same seq with the same reply [TestKVSM_Dedupe_ReplaySameSeqReturnsSameReply]", function()
      local sm <close>, apply = machine()
      apply { op = "put", key = "k", value = "v" }
      local delete = { op = "delete", client_id = "c", seq = 7, key = "k" }
      assert.same({ ok = true, deleted = 1 }, apply(delete))
      apply { op = "put", key = "k", value = "w" }
      local digest = sm:stats().digest
      assert.same({ ok = true, deleted = 1, replay = "same" }, apply(delete))
      assert.equal("w", sm:get("k"))
      assert.equal(digest, sm:stats().digest)
      assert.equal(7, sm:last_seen("c"))
    end)

    it("answers a smaller seq with the last reply, and says so", function()
      local _ <close>, apply = machine()
      apply { op = "delete", client_id = "c", seq = 7, key = "k" }
      assert.same({ ok = true, deleted = 0, replay = "older" },
        apply { op = "put", client_id = "c", seq = 6, key = "k", value = "v" })
    end)

    it("lets cas_failed use up the seq, and bad_request not", function()
      local sm <close>, apply = machine()
      local cas = { op = "cas", client_id = "c", seq = 1, key = "k", expected = "x", value = "w" }
      assert.same(CAS_FAILED, apply(cas))
      assert.same(replayed(CAS_FAILED, "same"), apply(cas))
      assert.equal("bad_request", apply({ op = "put", client_id = "c", seq = 2, key = "", value = "v" }).err_code)
      assert.equal(1, sm:last_seen("c"))
      assert.same(OK, apply { op = "put", client_id = "c", seq = 2, key = "k", value = "v" })
    end)

    it("keeps quiet without a client_id or a seq", function()
      local sm <close>, apply = machine()
      for _ = 1, 2 do
        assert.same(OK, apply { op = "put", client_id = "c", seq = 0, key = "k", value = "v" })
        assert.same(OK, apply { op = "put", seq = 9, key = "k", value = "v" })
      end
      assert.equal(0, sm:stats().clients)
      assert.is_nil(sm:last_seen("c"))
    end)

    it("takes the largest seq there is", function()
      local sm <close>, apply = machine()
      apply { op = "put", client_id = "c", seq = math.maxinteger, key = "k", value = "v" }
      assert.equal(math.maxinteger, sm:last_seen("c"))
      assert.equal("bad_request", apply({ op = "put", client_id = "c", seq = -1, key = "k", value = "v" }).err_code)
    end)

    local function touch(apply, client)
      assert.is_true(apply({ op = "put", client_id = client, seq = 1, key = "k", value = "v" }).ok)
    end

    it("forgets the client that was applied longest ago when there are too many", function()
      local sm <close>, apply = machine { clients_max = 3 }
      for _, client in ipairs { "z", "a", "m" } do touch(apply, client) end
      apply { op = "put", client_id = "z", seq = 2, key = "k", value = "v" }
      touch(apply, "new")
      assert.is_nil(sm:last_seen("a"))
      assert.equal(2, sm:last_seen("z"))
      assert.equal(3, sm:stats().clients)
    end)

    it("does not let a replay save a client from being forgotten", function()
      local sm <close>, apply = machine { clients_max = 2 }
      touch(apply, "a")
      touch(apply, "b")
      touch(apply, "a")
      touch(apply, "c")
      assert.is_nil(sm:last_seen("a"))
      assert.equal(1, sm:last_seen("b"))
    end)

    it("forgets alike on a machine that was restored on the way", function()
      local sm <close>, apply = machine { clients_max = 4 }
      for at = 1, 9 do touch(apply, "c" .. at * 7 % 10) end
      local other <close> = kvsm.new { clients_max = 4 }
      assert(other:restore(sm:snapshot()))
      for index = 10, 20 do
        local command = { op = "put", client_id = "n" .. index, seq = 1, key = "k", value = "v" }
        assert.same(sm:apply(index, command), other:apply(index, command))
        assert.equal(sm:snapshot(), other:snapshot())
      end
    end)
  end)

  describe("validation", function()
    local cases <const> = {
      { "an empty key", { op = "put", key = "", value = "" }, "key: must not be empty" },
      { "a key with NUL", { op = "put", key = "a\0b", value = "" }, "key: must not hold NUL" },
      { "a key that is not UTF-8", { op = "delete", key = "\255" }, "key: not valid UTF-8" },
      { "no entries", { op = "mput", entries = {} }, "entries: must not be empty" },
      { "no keys", { op = "mdelete", keys = {} }, "keys: must not be empty" },
    }
    for _, case in ipairs(cases) do
      it("refuses " .. case[1] .. ", and moves on", function()
        local sm <close>, apply = machine()
        local digest = sm:stats().digest
        assert.same({ ok = false, err_code = "bad_request", err_msg = case[3] }, apply(case[2]))
        assert.equal(1, sm:stats().last_applied)
        assert.equal(digest, sm:stats().digest)
      end)
    end
  end)

  describe("mget", function()
    it("returns copies that later writes leave alone", function()
      local sm <close>, apply = machine()
      apply { op = "put", key = "k", value = "v" }
      local copies = sm:mget { "k", "k", "missing" }
      apply { op = "put", key = "k", value = "w" }
      assert.same({ k = "v" }, copies)
    end)
  end)

  describe("scan", function()
    local function keys_of(entries)
      local keys = {}
      for at, entry in ipairs(entries) do keys[at] = entry.key end
      return keys
    end

    local sm
    setup(function()
      local apply
      sm, apply = machine()
      for _, key in ipairs { "a", "ab", "abc", "abd", "b", "ä" } do
        apply { op = "put", key = key, value = "=" .. key }
      end
    end)
    teardown(function() sm:close() end)

    local cases <const> = {
      { {}, "a ab abc abd b ä", false },
      { { prefix = "ab" }, "ab abc abd", false },
      { { prefix = "ab", after = "ab" }, "abc abd", false },
      { { prefix = "ab", after = "a" }, "ab abc abd", false },
      { { prefix = "ab", after = "b" }, "", false },
      { { after = "aa" }, "ab abc abd b ä", false },
      { { limit = 2 }, "a ab", true },
      { { prefix = "ab", limit = 3 }, "ab abc abd", false },
      { { prefix = "ab", limit = 2 }, "ab abc", true },
      { { prefix = "zz" }, "", false },
      { { bytes_max = 8 }, "a ab", true },
      { { bytes_max = 7 }, "a", true },
      { { bytes_max = 0 }, "a", true },
    }
    for at, case in ipairs(cases) do
      it("gives the entries asked for, case " .. at, function()
        local entries, more = sm:scan(case[1])
        assert.equal(case[2], table.concat(keys_of(entries), " "))
        assert.equal(case[3], more)
      end)
    end

    it("gives values with the keys", function()
      assert.same({ { key = "b", value = "=b" } }, (sm:scan { prefix = "b" }))
    end)
  end)

  describe("index", function()
    it("moves with commands and no-ops, and never back", function()
      local sm <close> = kvsm.new()
      sm:apply(3, { op = "put", key = "k", value = "v" })
      sm:apply_noop(5)
      assert.equal(5, sm:stats().last_applied)
      assert.has_error(function() sm:apply_noop(5) end)
      assert.has_error(function() sm:apply(4, { op = "delete", key = "k" }) end)
    end)
  end)

  describe("digest", function()
    it("depends on the content, not on the way to it", function()
      local a <close>, apply_a = machine()
      local b <close>, apply_b = machine()
      assert.equal(("0"):rep(32), a:stats().digest)
      apply_a { op = "mput", entries = { { key = "x", value = "1" }, { key = "y", value = "2" } } }
      apply_b { op = "put", key = "y", value = "old" }
      apply_b { op = "put", key = "gone", value = "" }
      apply_b { op = "put", key = "x", value = "1" }
      assert.not_equal(a:stats().digest, b:stats().digest)
      apply_b { op = "put", key = "y", value = "2" }
      apply_b { op = "delete", key = "gone" }
      assert.equal(a:stats().digest, b:stats().digest)
    end)

    it("tells where the key ends and the value begins", function()
      local a <close>, apply_a = machine()
      local b <close>, apply_b = machine()
      apply_a { op = "put", key = "ab", value = "c" }
      apply_b { op = "put", key = "a", value = "bc" }
      assert.not_equal(a:stats().digest, b:stats().digest)
    end)
  end)

  describe("against a plain table", function()
    it("agrees over thousands of random commands", seeded.run(function(random)
      local sm <close> = kvsm.new { clients_max = twin.CLIENTS_MAX }
      local model = twin.new_model()
      for index = 1, 8000 do
        local command = twin.random_command(random)
        assert.same(model:apply(index, command), sm:apply(index, command))
        if index % 500 == 0 then twin.assert_agrees(model, sm) end
        sm:reclaim(3)
      end
    end))
  end)

  describe("lifetimes", function()
    it("refuses to be used once closed", function()
      local sm = kvsm.new()
      sm:close()
      sm:close()
      assert.has_error(function() sm:stats() end, "the state machine is closed")
    end)
  end)
end)
