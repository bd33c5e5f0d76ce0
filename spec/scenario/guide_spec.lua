-- scenarios/README.md as a promise: what its tour says is done in an empty directory, and comes out as it says.
local directory = require "spec.support.directory"
local json = require "kvserver.json"
local kv = require "kvserver.scenario"
local process = require "kvserver.process"
local uv = require "luv"
local worlds = require "kvserver.world"

local TIMEOUT_MS <const> = 20000
-- Of a family of faults, all of which a world has or none.
local ONE_OF <const> = { ["net.*"] = "net.cut", ["disk.*"] = "disk.torn_next" }

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

-- The faults and views of the table of worlds -> the cells of its row. Rows about a part of one are left out.
local function features()
  local section <const>, list = read_guide():match "\n## Worlds\n(.-)\n## ", {}
  for row in section:gmatch "\n(| `[^\n]+)" do
    local cells = {}
    for cell in row:gmatch "| ([^|]+) " do cells[#cells + 1] = cell end
    local names <const> = cells[1]:gsub("`[%l_.*]+`,? ?", "") == "" and cells[1] or ""
    for name in names:gmatch "`([%l_.*]+)`" do list[ONE_OF[name] or name] = cells end
  end
  return list
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

  it("says of each world what it can do as the world itself does", function()
    local clusters <close> = setmetatable({}, {
      __close = function(list)
        for _, c in ipairs(list) do c:destroy() end
      end,
    })
    for i, name in ipairs(worlds.names) do clusters[i] = kv.cluster { world = name, nodes = 1 } end
    local checked = 0
    for feature, cells in pairs(features()) do
      for i, c in ipairs(clusters) do
        local says <const> = cells[i + 1]:find "^yes" or cells[i + 1]:find("`" .. feature .. "`", 1, true)
        assert.equal(says ~= nil, (c:can(feature)), ("%s in %s"):format(feature, worlds.names[i]))
        checked = checked + 1
      end
    end
    assert.is_true(checked >= 30)
  end)

  it("lists the fields of a verdict and of an operation", function()
    local section <const> = read_guide():match "\n## Reports\n(.-)\n## "
    local place <close> = directory.new()
    process.run {
      args = { process.self(), "--script", "scenarios/redirect.lua", "--seed", "1", "--report", place.path },
      timeout_ms = TIMEOUT_MS,
    }
    local function check(file, text)
      for line in place:read("latest/" .. file):gmatch "[^\n]+" do
        for field in pairs(json.decode(line)) do assert.truthy(text:find("`" .. field .. "`", 1, true), field) end
      end
    end
    check("verdict.json", section:match "\n| `verdict.json` |([^\n]*)")
    check("history.jsonl", section:match "\nAn operation in `history.jsonl`:(.-)\n\n")
    check("trace.jsonl", section:match "\nA line of `trace.jsonl`:(.*)")
  end)

  it("names the faults and views that a world may lack", function()
    local table_of_worlds <const> = read_guide():match "\n## Worlds\n(.-)\n## "
    local file <close> = assert(io.open "lua/kvserver/scenario.lua")
    local needs <const> = file:read("a"):match "needs %(a list(.-)%), worlds"
    for feature in needs:gmatch '"([%l_.]+)"' do
      local shown <const> = feature:gsub("^(%l+)%..*", "%1.")
      assert.truthy(table_of_worlds:find("`" .. shown, 1, true), feature)
    end
  end)
end)
