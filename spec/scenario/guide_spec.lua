-- scenarios/README.md as a promise: what its tour says is done in an empty directory, and comes out as it says.
local directory = require "spec.support.directory"
local process = require "kvserver.process"
local uv = require "luv"

local TIMEOUT_MS <const> = 20000

local function read_guide()
  local file <close> = assert(io.open "scenarios/README.md")
  return file:read "a"
end

-- The commands of all ```console blocks, in order: { line, command, answer }.
local function tour(text)
  local steps, inside, number = {}, false, 0
  for line in text:gmatch "([^\n]*)\n" do
    number = number + 1
    if line:find "^```" then
      inside = line == "```console"
    elseif inside and line:find "^%$ " then
      steps[#steps + 1] = { line = number, command = line:sub(3), answer = "" }
    elseif inside then
      steps[#steps].answer = steps[#steps].answer .. line .. "\n"
    end
  end
  return steps
end

-- What depends on the machine.
local function without_luck(text)
  return (text:gsub("[%d.]+ m?s of ours", "T of ours"):gsub("seeds in [%d.]+ s, [%d.]+/s", "seeds in T"))
end

describe("scenarios/README.md", function()
  it("has a tour whose commands do what it says", function()
    local guide <const> = read_guide()
    local place <close> = directory.new()
    place:write("mine.lua", guide:match "\n```lua\n(.-)```")
    assert(uv.fs_mkdir(place.path .. "/build", 448))
    assert(uv.fs_symlink(assert(uv.fs_realpath(process.self())), place.path .. "/build/kvserver"))
    local steps <const> = tour(guide)
    assert.is_true(#steps >= 10)
    for _, step in ipairs(steps) do
      local done <const> = process.run {
        args = { "bash", "-c", ("cd '%s' && %s"):format(place.path, step.command) }, timeout_ms = TIMEOUT_MS,
      }
      local where <const> = ("scenarios/README.md:%d: %s\n"):format(step.line, step.command)
      assert.equal("", done.stderr, where)
      if step.answer ~= "" then
        assert.equal(where .. without_luck(step.answer), where .. without_luck(done.stdout))
      else
        assert.is_nil(done.stdout:find "FAIL", where .. done.stdout)
      end
    end
  end)

  it("names the options that the runner has", function()
    local refused <const> = process.run { args = { process.self(), "--script", "scenarios/redirect.lua", "--help" } }
    local usage <const> = refused.stderr
    local section <const> = read_guide():match "\n## Options\n(.-)\n## "
    for option in usage:gmatch "%-%-(%l+)" do
      if option ~= "script" and option ~= "help" then
        assert.truthy(section:find("--" .. option, 1, true), option)
      end
    end
  end)

  it("names the faults and views that a world may lack", function()
    local worlds <const> = read_guide():match "\n## Worlds\n(.-)\n## "
    local file <close> = assert(io.open "lua/kvserver/scenario.lua")
    local needs <const> = file:read("a"):match "needs %(a list(.-)%), worlds"
    for feature in needs:gmatch '"([%l_.]+)"' do
      local shown <const> = feature:gsub("^(%l+)%..*", "%1.")
      assert.truthy(worlds:find("`" .. shown, 1, true), feature)
    end
  end)
end)
