-- The checks, with histories made by hand: what passes, and in which words the others fail.
local check = require "kvserver.check"
local story = require "kvserver.scenario.story"

-- An operation: times in milliseconds, ended well unless it says otherwise.
local function op(client, kind, key, called, returned, fields)
  local one = {
    client = client, kind = kind, key = key, called = called, returned = returned, outcome = "ok", node = "n1",
    attempts = { { node = "n1", at = called, answer = "ok" } },
  }
  for name, value in pairs(fields or {}) do one[name] = value end
  return one
end

local function history(...)
  local list = { ... }
  for i, one in ipairs(list) do one.id = i end
  return list
end

local function explanation(f, ...)
  local ok, why = pcall(f, ...)
  assert.is_false(ok)
  return why.failed or error(why, 0)
end

local function has(text, ...)
  for _, part in ipairs { ... } do
    assert(text:find(part, 1, true), ("%q is not in:\n%s"):format(part, text))
  end
end

describe("check.linearizable", function()
  it("passes when each operation may have happened at one moment of its own", function()
    check.linearizable(history(
      op("c1", "put", "k", 0, 10, { value = "a" }), op("c2", "get", "k", 5, 8, { saw = "a" }),
      op("c2", "get", "k", 20, 30, { saw = "a" }),
      op("c1", "cas", "k", 40, 50, { expected = "a", value = "b", saw = true }),
      op("c1", "cas", "k", 60, 70, { expected = "a", value = "c", saw = false }),
      op("c2", "delete", "k", 80, 90, { saw = true }), op("c2", "get", "k", 95, 99)))
  end)

  it("passes when an unknown write was done late, or never", function()
    local lost = op("c1", "put", "k", 0, nil, { value = "a", outcome = "unknown" })
    check.linearizable(history(lost, op("c2", "get", "k", 10, 20), op("c2", "get", "k", 30, 40, { saw = "a" })))
    check.linearizable(history(lost, op("c2", "get", "k", 10, 20), op("c2", "get", "k", 30, 40)))
  end)

  it("names the read of the past, what it saw, who wrote that, and what it should have seen", function()
    local why <const> = explanation(check.linearizable, history(
      op("c1", "put", "k", 0, 10, { value = "a" }), op("c1", "put", "k", 20, 30, { value = "b" }),
      op("c2", "get", "k", 40, 50, { saw = "a", node = "n3" })))
    has(why, "not linearizable", "get k by c2, 40.0 to 50.0 ms: saw a at n3", "k could only hold b",
      "what it saw was written by put k = a by c1", "b was written by put k = b by c1", "> ")
  end)

  it("says when nobody wrote what was read", function()
    has(explanation(check.linearizable, history(op("c1", "get", "k", 0, 10, { saw = "ghost" }))),
      "nobody ever wrote what it saw", "k could only hold nothing")
  end)

  it("fails of a write that was refused, and is seen", function()
    explanation(check.linearizable, history(
      op("c1", "put", "k", 0, 10, { value = "a", outcome = "fail" }), op("c2", "get", "k", 20, 30, { saw = "a" })))
  end)

  it("shows values that are no text, and long ones in short", function()
    local long <const> = ("ä"):rep(30)
    local why <const> = explanation(check.linearizable, history(
      op("c1", "put", "k", 0, 10, { value = long }), op("c2", "get", "k", 20, 30, { saw = "\255" })))
    has(why, "get k by c2, 20.0 to 30.0 ms: saw \\xff at n1", ("put k = %s..."):format(("ä"):rep(10)))
  end)

  it("does not know when it may not look for long enough, and then the scenario is undecided", function()
    local list = {}
    for i = 1, 24 do list[i] = op("c" .. i, "put", "k", 0, 1000, { value = "v" .. i }) end
    list[25] = op("r", "get", "k", 1001, 1002, { saw = "ghost" })
    local told = story.tell("a story", { nodes = 1 }, function() check.linearizable(history(table.unpack(list))) end,
      { world = "sim", seed = 1 })
    told.cluster:destroy()
    assert.same({ "undecided", "the history is too entangled to be checked in time" }, { told.verdict, told.why })
  end)

  it("leaves stale reads out", function()
    check.linearizable(history(
      op("c1", "put", "k", 0, 10, { value = "a" }), op("c2", "get", "k", 20, 30, { stale = true })))
  end)
end)

describe("check.exactly_once", function()
  it("passes when what was overwritten stays so", function()
    check.exactly_once(history(
      op("c1", "put", "k", 0, 5, { value = "a" }), op("c2", "get", "k", 10, 15, { saw = "a" }),
      op("c1", "put", "k", 20, 25, { value = "b" }), op("c2", "get", "k", 30, 35, { saw = "b" })))
  end)

  it("passes when reads overlap: then they have no order", function()
    check.exactly_once(history(
      op("c2", "get", "k", 10, 30, { saw = "a" }), op("c3", "get", "k", 12, 40, { saw = "b" }),
      op("c4", "get", "k", 14, 50, { saw = "a" })))
  end)

  it("names the value that came back, and its writer with all of its requests", function()
    local writer = op("c1", "put", "k", 0, 5, { value = "a", attempts = {
      { node = "n1", at = 0, answer = "timeout" }, { node = "n2", at = 3, answer = "ok" },
    } })
    local why <const> = explanation(check.exactly_once, history(
      writer, op("c2", "get", "k", 10, 15, { saw = "a" }), op("c3", "put", "k", 20, 25, { value = "b" }),
      op("c2", "get", "k", 30, 35, { saw = "b" }), op("c2", "get", "k", 40, 45, { saw = "a" })))
    has(why, "a write took effect twice: k held a, then b, and then a again", "put k = a by c1",
      "asked n1: timeout, n2: ok")
  end)
end)

describe("check.exactly_once of a cas", function()
  local function cas(called, saw, fields)
    local one = op("c1", "cas", "k", called, called + 5, { expected = "a", value = "b", saw = saw })
    for name, value in pairs(fields or {}) do one[name] = value end
    return one
  end

  it("passes when what it wrote is seen, and what it replaced was seen before", function()
    check.exactly_once(history(
      op("c2", "get", "k", 0, 5, { saw = "a" }), cas(10, true), op("c2", "get", "k", 20, 25, { saw = "b" })))
  end)

  it("passes when what it replaced is seen beside it", function()
    check.exactly_once(history(cas(10, true), op("c2", "get", "k", 12, 30, { saw = "a" })))
  end)

  it("names one that was refused, though what it would have written was seen", function()
    has(explanation(check.exactly_once, history(cas(10, false), op("c2", "get", "k", 20, 25, { saw = "b" }))),
      "a write took effect twice: cas k: a -> b was refused, though what it wrote was seen", "seen: get k by c2")
  end)

  it("names one that took the place of what is seen behind it", function()
    has(explanation(check.exactly_once, history(cas(10, true), op("c2", "get", "k", 20, 25, { saw = "a" }))),
      "a write took effect twice: cas k: a -> b took the place of what was seen behind it", "seen: get k by c2")
  end)

  it("does not mind one in doubt, another key, or a read that may be stale", function()
    check.exactly_once(history(cas(10, nil, { outcome = "unknown" }), op("c2", "get", "k", 20, 25, { saw = "b" })))
    check.exactly_once(history(cas(10, true), op("c2", "get", "l", 20, 25, { saw = "a" })))
    check.exactly_once(history(cas(10, true), op("c2", "get", "k", 20, 25, { saw = "a", stale = true })))
  end)
end)

describe("check.no_acked_write_lost", function()
  -- What a cluster holds in the end.
  local function with_end(list, values)
    list.cluster = {
      client = function()
        return { get = function(_, key) return { outcome = "ok", value = values[key] } end }
      end,
    }
    return list
  end

  it("passes when the last write is there, or one that may have come behind it", function()
    local first <const> = op("c1", "put", "k", 0, 10, { value = "a" })
    local beside <const> = op("c2", "put", "k", 5, 15, { value = "b" })
    local unknown <const> = op("c3", "put", "k", 2, nil, { value = "c", outcome = "unknown" })
    for _, value in ipairs { "a", "b", "c" } do
      check.no_acked_write_lost(with_end(history(first, beside, unknown), { k = value }))
    end
  end)

  it("names the write that is lost, and what is there in its place", function()
    local why <const> = explanation(check.no_acked_write_lost, with_end(history(
      op("c1", "put", "k", 0, 10, { value = "a" }), op("c1", "put", "k", 20, 30, { value = "b" })), { k = "a" }))
    has(why, "an acknowledged write is lost: k holds a in the end", "lost: put k = b by c1", "there: put k = a by c1")
  end)

  it("fails when there is nothing at all", function()
    has(explanation(check.no_acked_write_lost, with_end(history(op("c1", "put", "k", 0, 10, { value = "a" })), {})),
      "k holds nothing in the end")
  end)

  it("does not ask for a write that was refused, nor for what a delete took away", function()
    check.no_acked_write_lost(with_end(history(
      op("c1", "put", "k", 0, 10, { value = "a", outcome = "fail" }),
      op("c1", "cas", "l", 0, 10, { value = "a", saw = false }),
      op("c1", "put", "m", 0, 10, { value = "a" }), op("c1", "delete", "m", 20, 30, { saw = true })), {}))
  end)
end)

describe("check.availability", function()
  local answered <const> = history(
    op("c1", "put", "k", 0, 100), op("c1", "get", "k", 100, 900), op("c1", "put", "k", 900, 1000),
    op("c1", "put", "k", 950, 1500, { outcome = "fail" }))

  it("gives the longest time without an answer", function()
    assert.equal(800, check.availability(answered, { max_gap = "1s" }))
    assert.equal(900, check.availability(answered, { max_gap = "1s", kind = "put" }))
  end)

  it("fails when it is too long, and says when that was", function()
    has(explanation(check.availability, answered, { max_gap = "500ms" }), "for 800 ms, from 100.0 ms on", "500ms")
  end)

  it("fails when nothing was answered at all", function()
    explanation(check.availability, history(), { max_gap = "500ms" })
  end)
end)
