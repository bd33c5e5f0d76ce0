-- One scenario with many seeds: the smallest that fails, and that it fails again the same way.
local child = require "spec.support.child"
local directory = require "spec.support.directory"

-- Seeds 10, 11 and 38 fail: children that tell ten seeds each find 11 before 10.
local STORY <const> = [[
local kv = require "kvserver.scenario"
kv.scenario("it fails of some seeds", { nodes = 1 }, function(c)
  kv.sometimes("an odd seed", function() return kv.seed() % 2 == 1 end)
  kv.sometimes("no seed at all", function() return NEVER end)
  c:client():put("k", tostring(kv.seed()))
  kv.sleep "100ms"
  local bad = { [10] = true, [11] = true, [38] = true }
  assert.is_nil(bad[kv.seed()], "a bad seed")
end)
]]

local function told(never, ...)
  local file <close> = child.file((STORY:gsub("NEVER", never)))
  local result = child.run { "--script", file.path, ... }
  return result, file.path
end

describe("many seeds", function()
  it("name the smallest that fails, with the line that tells it again", function()
    local result, path = told("true", "--seeds", "1..60", "--jobs", "2")
    assert.equal(1, result.code)
    assert.matches("FAIL: it fails of some seeds\n  seed 10: [^\n]*a bad seed", result.stdout)
    assert.truthy(result.stdout:find(("  again: kvserver --script %s --world sim --seed 10\n"):format(path), 1, true))
    assert.matches("\n0 passed, 1 failed, 0 undecided, 0 skipped\n$", result.stdout)
  end)

  it("show with the failing one the same again, twice", function()
    local file <close> = child.file((STORY:gsub("NEVER", "true")))
    local function again()
      local result = child.run { "--script", file.path, "--seed", "10" }
      assert.equal(1, result.code)
      return (result.stdout:gsub("[%d.]+ m?s of ours", ""))
    end
    local once <const> = again()
    assert.matches("a bad seed", once)
    assert.equal(once, again())
  end)

  it("pass when none fails, and add up what they saw", function()
    local result = told("kv.seed() == 103", "--seeds", "101..160")
    assert.equal(0, result.code, result.stdout)
    assert.matches("\n60 seeds in [%d.]+ s, [%d.]+/s; %d+ s of virtual time\n", result.stdout)
    assert.matches("\n  60 operations, 60 x leader\n", result.stdout)
    assert.matches("\n  sometimes an odd seed: in 30 seeds\n", result.stdout)
    assert.matches("\n  sometimes no seed at all: in 1 seeds\n", result.stdout)
    assert.matches("\n1 passed, 0 failed, 0 undecided, 0 skipped\n$", result.stdout)
  end)

  it("fail when something that should happen sometimes never did", function()
    local result = told("false", "--seeds", "101..160")
    assert.equal(1, result.code)
    assert.matches("FAIL: it fails of some seeds\n  in no seed: no seed at all\n", result.stdout)
  end)

  it("that are few pass all the same then", function()
    local result = told("false", "--seeds", "201..216")
    assert.equal(0, result.code)
    assert.matches("\n  sometimes no seed at all: in 0 seeds\n", result.stdout)
  end)

  it("name a seed whose program ended, though a larger one failed before that", function()
    local place <close> = directory.new()
    place:write("story.lua", ([[
      local kv = require "kvserver.scenario"
      local uv = require "luv"
      -- Returns once the child is gone that tells seed 11: it left its number.
      local function wait_for_other()
        local number
        for _ = 1, 10000 do
          local file = io.open "PLACE/number"
          number = number or file and file:read "n"
          if file then file:close() end
          if number and not uv.kill(number, 0) then return end
          uv.sleep(1)
        end
      end
      kv.scenario("it ends the program", { nodes = 1 }, function()
        if kv.seed() == 4 then
          wait_for_other()
          os.exit(9, true)
        elseif kv.seed() == 11 then
          local file <close> = assert(io.open("PLACE/number", "w"))
          file:write(uv.os_getpid(), "\n")
          error { failed = "eleven" }
        end
      end)
    ]]):gsub("PLACE", place.path))
    local result = child.run { "--script", place.path .. "/story.lua", "--seeds", "1..20", "--jobs", "2" }
    assert.matches("seed 4: the program ended with exit code 9", result.stdout)
    assert.matches("\n  again: [^\n]* %-%-seed 4\n", result.stdout)
    assert.is_nil(result.stdout:find('"verdict"', 1, true))
  end)

  it("say how a program ended that was to tell them", function()
    local file <close> = child.file [[
      local kv = require "kvserver.scenario"
      kv.scenario("it ends the program", { nodes = 1 }, function()
        if kv.seed() == 4 then os.exit(9, true) end
      end)
    ]]
    local result = child.run { "--script", file.path, "--seeds", "1..8" }
    assert.equal(1, result.code)
    assert.matches("seed 4: the program ended with exit code 9", result.stdout)
  end)
end)
