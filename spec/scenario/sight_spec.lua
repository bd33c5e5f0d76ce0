-- What is worth seeing over many seeds: when each condition becomes true, and stays so.
local sight = require "kvserver.sight"

local LOOK_MS <const> = 30

-- A node that says what it is told to; its log is {index -> term}.
local function says(fields)
  local status = { role = "follower", term = 1, starts = 1, first_index = 1, last_index = 10, last_term = 1 }
  for name, value in pairs(fields) do status[name] = value end
  return status
end

-- Which conditions hold after these looks: each gives what nodes say, { n1 = fields, ... }.
local function seen(looks, log)
  local now, current = 0, {}
  local cluster = { world = { now = function() return now end } }
  function cluster.status()
    local all = {}
    for id, fields in pairs(current) do all[id] = says(fields) end
    return all
  end
  function cluster.node()
    return { raft_log = function(_, from) return { log and { index = from, term = log[from] } } end }
  end
  local conditions <const>, list = sight.watch(cluster), {}
  for _, one in ipairs(looks) do
    current, now = one, now + LOOK_MS
    for _, condition in pairs(conditions) do condition() end
  end
  for name, condition in pairs(conditions) do
    if condition() then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

describe("sight", function()
  it("sees nothing where nothing happens", function()
    local calm <const> = { n1 = { role = "leader" }, n2 = {}, n3 = {} }
    local grown <const> = { n1 = { role = "leader", last_index = 20 }, n2 = { last_index = 20 }, n3 = {} }
    assert.same({}, seen { calm, grown, grown })
  end)

  it("sees that a node got a snapshot in place of its log", function()
    assert.same({ "snapshot_installed" }, seen { { n2 = {} }, { n2 = { first_index = 12, last_index = 30 } } })
    assert.same({}, seen { { n2 = {} }, { n2 = { first_index = 11, last_index = 30 } } })
  end)

  it("sees that a node gave up entries", function()
    assert.same({ "log_truncated" }, seen { { n2 = {} }, { n2 = { last_index = 8 } } })
    assert.same({}, seen { { n2 = {} }, { n2 = { last_index = 8, starts = 2 } } })
  end)

  it("sees that a node gave up entries for as many others, and more", function()
    local later <const> = { { n2 = {} }, { n2 = { last_index = 12, last_term = 2 } } }
    assert.same({ "log_truncated" }, seen(later, { [10] = 2 }))
    assert.same({}, seen(later, { [10] = 1 }))
  end)

  it("sees two leaders at a time", function()
    assert.same({ "two_leaders" }, seen { { n1 = { role = "leader" }, n2 = { role = "leader", term = 2 } } })
    assert.same({}, seen { { n1 = { role = "leader" } }, { n2 = { role = "leader", term = 2 } } })
  end)

  it("sees that another leader came while a node was behind its log", function()
    local behind <const> = { n1 = { role = "leader", first_index = 12, last_index = 20 }, n3 = {} }
    local function then_leads(term)
      return { n2 = { role = "leader", term = term, first_index = 12, last_index = 20 }, n3 = {} }
    end
    assert.same({ "election_while_one_is_behind" }, seen { behind, then_leads(2) })
    assert.same({}, seen { behind, then_leads(1) })
  end)

  it("knows whether an operation was asked more than once", function()
    assert.is_false(sight.retried { { attempts = { {} } }, {} })
    assert.is_true(sight.retried { { attempts = { {} } }, { attempts = { {}, {} } } })
  end)

  it("sees what was told of asynchronous writes", function()
    assert.same({ ok = false, fail = false, unknown = false }, sight.told { { outcome = "ok" } })
    local taken <const>, other <const> = { { outcome = "fail", op_id = "x" }, { outcome = "ok", op_id = "y" } }, {}
    assert.same({ ok = true, fail = true, unknown = false }, sight.told { taken[1], taken[2], other })
  end)
end)
