-- check.raft where a world does not check itself: what nodes say of themselves, looked at one time after the other.
local safety = require "kvserver.scenario.safety"

-- What a healthy node says; `fields` differ.
local function says(fields)
  local status = {
    role = "follower", term = 2, starts = 1, commit_index = 7, last_applied = 7, snapshot_index = 0,
    state_digest = "d7",
  }
  for name, value in pairs(fields or {}) do status[name] = value end
  return status
end

-- Looks at one node after the other, once per step: { n1 = fields, n2 = fields, ... }; who is left out does not answer.
-- What the last look gave: whether all is well, and what is wrong.
local function look(steps, between)
  local now, nodes = {}, {}
  for i, id in ipairs { "n1", "n2", "n3" } do
    nodes[i] = { id = id, status = function() return now[id] and says(now[id]) end }
  end
  local watch = safety.watch { world = {}, nodes = function() return nodes end }
  local ok, why
  for number, step in ipairs(steps) do
    now = step
    if between then between(number, nodes) end
    ok, why = watch()
    if not ok then return ok, why, number end
  end
  return ok, why
end

local function finds(expected, steps, between)
  local ok, why, number = look(steps, between)
  assert.same({ false, expected, #steps }, { ok, why, number })
end

describe("check.raft outside of the simulator", function()
  it("passes when all goes forward, and some do not answer", function()
    assert.is_true(look {
      { n1 = { role = "leader" }, n2 = {}, n3 = { last_applied = 6, state_digest = "d6" } },
      { n1 = { role = "leader" }, n3 = {} },
      { n2 = { role = "leader", term = 3, last_applied = 8, state_digest = "d8" }, n3 = { term = 3 } },
    })
  end)

  it("names two that lead in one term, at whatever moments", function()
    finds("n1 and n2 both lead in term 2", { { n1 = { role = "leader" } }, {}, { n2 = { role = "leader" } } })
  end)

  it("lets one node lead in a term for as long as it likes, and another one in the next", function()
    assert.is_true(look {
      { n1 = { role = "leader" } }, { n1 = { role = "leader" } }, { n2 = { role = "leader", term = 3 } },
    })
  end)

  it("names two that came to different states by the same entries", function()
    finds("n1 and n3 have applied the same 7 entries and are in different states",
      { { n1 = {} }, { n2 = {}, n3 = { state_digest = "another" } } })
  end)

  it("names a term that went back, though the node was restarted", function()
    finds("n2 went back from term 2 to 1", { { n2 = {} }, { n2 = { term = 1, starts = 2 } } })
  end)

  it("names an index that went back in one life", function()
    for name, text in pairs {
      commit_index = "the commit_index of n1 went back from 7 to 6",
      last_applied = "the last_applied of n1 went back from 7 to 6",
    } do
      finds(text, { { n1 = {} }, { n1 = { [name] = 6, state_digest = name == "last_applied" and "d6" or "d7" } } })
    end
    finds("the snapshot_index of n1 went back from 5 to 3",
      { { n1 = { snapshot_index = 5 } }, { n1 = { snapshot_index = 3 } } })
  end)

  it("lets a restarted node apply its log anew", function()
    local anew <const> = { starts = 2, commit_index = 0, last_applied = 0, state_digest = "d0" }
    assert.is_true(look { { n1 = {} }, { n1 = anew } })
  end)

  it("lets a node begin anew whose disk was emptied, once", function()
    local function wipe_before_second(number, nodes)
      if number == 2 then nodes[1].wiped = 1 end
    end
    local anew <const> = { starts = 2, term = 0, commit_index = 0, last_applied = 0, state_digest = "d0" }
    local function after(fields)
      local status = {}
      for name, value in pairs(anew) do status[name] = value end
      for name, value in pairs(fields) do status[name] = value end
      return status
    end
    assert.is_true(look({ { n1 = {} }, { n1 = anew } }, wipe_before_second))
    finds("n1 went back from term 3 to 1",
      { { n1 = {} }, { n1 = anew }, { n1 = after { term = 3 } }, { n1 = after { term = 1 } } }, wipe_before_second)
  end)

  it("asks a world that checks itself", function()
    local watch = safety.watch { world = { violation = function() return "two leaders" end } }
    assert.same({ false, "two leaders" }, { watch() })
    assert.is_true(safety.watch { world = { violation = function() end } }())
  end)
end)
