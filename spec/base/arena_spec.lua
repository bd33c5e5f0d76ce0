-- Memory of an arena: allocations never overlap, keep their content when they move, whether the block suffices or not.
-- The sanitizers see the rest: leaks, use after free, alignment.

local probe = require "base_probe"

describe("arena", function()
  for _, block_bytes in ipairs { 0, 64, 1000, 4096, 65536 } do
    it(("keeps allocations apart when its block has %d bytes"):format(block_bytes), function()
      local seed <const> = math.random(1 << 31)
      math.randomseed(seed)
      local arena, sizes = probe.arena(block_bytes), {}
      for step = 1, 500 do
        local slot, choice = math.random(0, 31), math.random(3)
        if not sizes[slot] then
          sizes[slot] = math.random(0, 400)
          arena:alloc(slot, sizes[slot])
        elseif choice == 1 then
          sizes[slot] = nil
          arena:free(slot)
        else
          sizes[slot] = math.random(0, 400)
          arena:resize(slot, sizes[slot])
        end
        if not arena:intact() then error(("seed %d: damaged at step %d"):format(seed, step)) end
      end
    end)
  end

  it("grows the last allocation in place as long as the block suffices", function()
    local arena = probe.arena(4096)
    arena:alloc(0, 16)
    for bytes = 16, 8192, 16 do
      arena:resize(0, bytes)
      assert.is_true(arena:intact())
    end
  end)
end)
