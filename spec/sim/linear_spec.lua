local linear = require "kvserver.linear"
local sim = require "kvserver.sim"

-- An operation from a short line: client, kind, key is always k, times, and what it saw.
local function op(client, kind, called, returned, fields)
  local operation = { client = client, kind = kind, key = "k", outcome = "ok", called = called, returned = returned }
  for name, value in pairs(fields or {}) do operation[name] = value end
  return operation
end

local function put(client, called, returned, value)
  return op(client, "put", called, returned, { value = value })
end

local function get(client, called, returned, saw)
  return op(client, "get", called, returned, { saw = saw })
end

describe("linearizability of registers", function()
  it("holds for an empty history", function()
    assert.equal("pass", linear.check {})
  end)

  it("holds when each read sees the last write", function()
    assert.equal("pass", linear.check { get("a", 0, 1), put("a", 2, 3, "1"), get("b", 4, 5, "1") })
  end)

  it("fails on a stale read, and says what could have been seen", function()
    local verdict, why = linear.check { put("a", 0, 1, "old"), put("a", 2, 3, "new"), get("b", 4, 5, "old") }
    assert.equal("fail", verdict)
    assert.equal("get of k by b, called at 4, returned at 5, saw old; it could have seen new", why)
  end)

  it("fails on a read of a value from nowhere", function()
    local verdict, why = linear.check { put("a", 0, 1, "1"), get("b", 2, 3, "2") }
    assert.equal("fail", verdict)
    assert.matches("saw 2; it could have seen 1$", why)
  end)

  it("fails on a lost write: nothing is seen after it returned", function()
    local verdict, why = linear.check { put("a", 0, 1, "1"), get("b", 2, 3) }
    assert.equal("fail", verdict)
    assert.matches("saw nothing; it could have seen 1$", why)
  end)

  it("fails when reads of overlapping writes go back", function()
    assert.equal("fail", (linear.check {
      put("a", 0, 10, "1"), put("b", 0, 10, "2"), get("c", 11, 12, "1"), get("c", 13, 14, "2"),
    }))
  end)

  it("lets a read during a write see either value, but not go back", function()
    assert.equal("pass", linear.check { put("a", 0, 1, "1"), put("a", 2, 9, "2"), get("b", 3, 4, "1"),
      get("b", 5, 6, "2") })
    assert.equal("fail", (linear.check { put("a", 0, 1, "1"), put("a", 2, 9, "2"), get("b", 3, 4, "2"),
      get("b", 5, 6, "1") }))
  end)

  it("fails on a lost update: two swaps of the same value are both done", function()
    local function cas(client, called, returned, value)
      return op(client, "cas", called, returned, { expected = "0", value = value, saw = true })
    end
    local verdict, why = linear.check { put("a", 0, 1, "0"), cas("a", 2, 9, "1"), cas("b", 2, 9, "2") }
    assert.equal("fail", verdict)
    assert.matches("cas of k by [ab], .* found 0; it could have seen [12]", why)
  end)

  it("fails on a double apply: a write shows again after a later one", function()
    assert.equal("fail", (linear.check {
      put("a", 0, 1, "1"), put("b", 2, 3, "2"), get("c", 4, 5, "2"), get("c", 6, 7, "1"),
    }))
  end)

  it("treats no value like an expected nothing of a swap", function()
    assert.equal("pass", linear.check {
      op("a", "cas", 0, 1, { value = "1", saw = true }), op("a", "cas", 2, 3, { value = "2", saw = false }),
      get("b", 4, 5, "1"),
    })
  end)

  it("checks what deletes found", function()
    assert.equal("pass", linear.check { op("a", "delete", 0, 1, { saw = false }), put("a", 2, 3, "1"),
      op("a", "delete", 4, 5, { saw = true }), get("a", 6, 7) })
    assert.equal("fail", (linear.check { put("a", 2, 3, "1"), op("a", "delete", 4, 5, { saw = false }) }))
  end)

  it("lets an unknown write take effect late, or never", function()
    local unknown = op("a", "put", 0, nil, { value = "1", outcome = "unknown" })
    assert.equal("pass", linear.check { unknown, get("b", 2, 3), get("b", 100, 101, "1") })
    assert.equal("pass", linear.check { unknown, get("b", 2, 3), get("b", 100, 101) })
    assert.equal("fail", (linear.check { unknown, get("b", 2, 3, "1"), get("b", 100, 101) }))
  end)

  it("does not let an unknown write take effect before it was called", function()
    assert.equal("fail", (linear.check {
      get("b", 0, 1, "1"), op("a", "put", 2, nil, { value = "1", outcome = "unknown" }),
    }))
  end)

  it("does not look at operations that failed", function()
    assert.equal("pass", linear.check { op("a", "put", 0, 1, { value = "1", outcome = "fail" }), get("b", 2, 3) })
  end)

  it("keeps keys apart", function()
    local other = get("b", 4, 5, "old")
    other.key = "other"
    assert.equal("fail", (linear.check { put("a", 0, 1, "old"), put("a", 2, 3, "new"), other }))
    local history = { put("a", 0, 1, "old"), put("a", 2, 3, "new") }
    history[3] = op("b", "put", 0, 1, { value = "old" })
    history[3].key, history[4] = "other", other
    assert.equal("pass", linear.check(history))
  end)

  it("is undecided when it may not look for long enough", function()
    local history = {}
    for i = 1, 12 do history[i] = put("c" .. i, 0, 100, i) end
    history[13] = get("r", 101, 102, 99)
    assert.equal("undecided", (linear.check(history, 50)))
    assert.equal("fail", (linear.check(history)))
  end)

  it("decides long histories with many clients quickly", function()
    local history, now, last = {}, 0, nil
    for i = 1, 5000 do
      local called = now
      now = now + 10
      history[#history + 1] = put("w", called, now, i)
      history[#history + 1] = get("r", called, now, i % 2 == 0 and i or last)
      last = i
    end
    assert.equal("pass", linear.check(history))
  end)
end)

-- ---- against the definition ----

-- Every order of the operations that respects real time, tried one by one.
local function by_definition(history)
  local taken = {}
  local function before(a, b)
    return a.outcome == "ok" and a.returned < b.called
  end
  local function may_come(candidate)
    for i, other in ipairs(history) do
      if not taken[i] and before(other, candidate) then return false end
    end
    return true
  end
  local function after(operation, value)
    local known = operation.outcome == "ok"
    if operation.kind == "get" then return not known or operation.saw == value, value end
    if operation.kind == "put" then return true, operation.value end
    if operation.kind == "delete" then return not known or operation.saw == (value ~= nil), nil end
    local hit = value == operation.expected
    if hit then return not known or operation.saw, operation.value end
    return not known or not operation.saw, value
  end
  local function search(value)
    local complete = true
    for i, operation in ipairs(history) do
      if not taken[i] then
        if operation.outcome == "ok" then complete = false end
        local ok, new = after(operation, value)
        if ok and may_come(operation) then
          taken[i] = true
          if search(new) then return true end
          taken[i] = nil
        end
      end
    end
    return complete
  end
  return search(nil) and "pass" or "fail"
end

local function random_history(random)
  local history = {}
  local function value()
    local number = random(0, 3)
    return number > 0 and number or nil
  end
  for i = 1, random(2, 6) do
    local called = random(0, 12)
    local operation = op("c" .. i, ({ "put", "get", "cas", "delete" })[random(4)], called, called + random(0, 8))
    if operation.kind == "get" then operation.saw = value() else operation.saw = random(2) == 1 end
    if operation.kind == "put" or operation.kind == "cas" then operation.value = random(3) end
    if operation.kind == "cas" then operation.expected = value() end
    if random(5) == 1 then operation.outcome = "unknown" end
    history[i] = operation
  end
  return history
end

describe("linearizability of random histories", function()
  it("is what the definition says", function()
    local random = sim.prng(1)
    local counts = { pass = 0, fail = 0 }
    for round = 1, 3000 do
      local history = random_history(random)
      local expected = by_definition(history)
      counts[expected] = counts[expected] + 1
      assert.equal(expected, (linear.check(history)), "history " .. round)
    end
    assert.is_true(counts.pass > 300 and counts.fail > 300, "both verdicts must occur")
  end)
end)
