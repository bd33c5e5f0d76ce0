local cases = require "sim_ledger"

-- What a start found, and whether that can be.
local possible <const> = {
  ["what was durable"] = true, ["a whole batch more"] = true, ["half a batch more"] = false,
  ["what no job can have written yet"] = false, ["later changes without earlier ones"] = false,
  ["less than what was durable"] = false, ["another entry"] = false, ["another vote"] = false,
  ["a log whose front is gone, without a snapshot"] = false,
}

describe("the ledger of a simulated disk", function()
  for name, can_be in pairs(possible) do
    it(("%s a start that finds %s"):format(can_be and "accepts" or "refuses", name), function()
      assert.equal(can_be, (cases[name]()))
    end)
  end

  it("tells whether it is more than what was durable", function()
    assert.is_false((select(2, cases["what was durable"]())))
    assert.is_true((select(2, cases["a whole batch more"]())))
  end)

  it("is asked about everything here", function()
    for name in pairs(cases) do assert.is_boolean(possible[name], name) end
  end)
end)
