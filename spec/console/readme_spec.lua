-- README.md's tour of the console: what is typed there at a prompt is typed, its commands are run, and its script.
local child = require "spec.support.child"
local directory = require "spec.support.directory"
local process = require "kvserver.process"
local terminal = require "spec.support.terminal"

local TIMEOUT_MS <const> = 10000

local function read_section()
  local file <close> = assert(io.open "README.md")
  return assert(file:read("a"):match "\n## The console\n(.-)\n## ")
end

-- A directory with a node's data in ./kvdata and the program in build/, as the tour has them.
local function world()
  local dir <const> = directory.new()
  local node <const> = process.spawn {
    args = { process.self(), "--listen", "127.0.0.1:0" }, cwd = dir.path,
  }
  node:wait_line("ready on", TIMEOUT_MS)
  os.execute(("mkdir %s/build && ln -s %s %s/build/kvserver"):format(dir.path, process.self(), dir.path))
  return setmetatable({ dir = dir, path = dir.path }, { __close = function()
    node:kill()
    node:wait(TIMEOUT_MS)
    dir:remove()
  end })
end

-- Types what stands behind prompts, and expects the rest to appear.
local function replay(t, text)
  for line in text:gmatch "([^\n]+)\n" do
    local prompt <const>, typed = line:match "^(n1 leader[>#] )(.*)$"
    local question <const>, answer = line:match "^(.*%[y/N%] )(.*)$"
    local continued <const>, more = line:match "^( +%.%.> )(.*)$"
    local shown <const>, keys = prompt or question or continued, typed or answer or more
    if shown then
      t:expect(shown)
      t:press(keys .. "\r")
      t:expect(keys .. "\n")
    else
      t:expect(line:gsub("^        ", "\t") .. "\n")
    end
  end
end

describe("README.md on the console", function()
  it("shows what appears when its tour is typed, and what its commands print", function()
    local section <const> = read_section()
    local w <close> = world()
    do
      local t <close> = terminal.start({ process.self(), "--console", w.path .. "/kvdata" }, { HOME = w.path })
      replay(t, section:match "\n```\n(.-\n)```")
      t:expect "n1 leader# "
    end
    local count = 0
    local steps <const> = section:match "\n```sh%-session\n(.-\n)```"
    for command, answer in steps:gsub("%f[^\n\0]%$ ", "\0"):gmatch "%z([^\n]*)\n(%Z*)" do
      local result <const> = process.run {
        args = { "bash", "-c", "exec 2>&1; " .. command }, cwd = w.path, timeout_ms = TIMEOUT_MS,
      }
      assert.equal(command .. "\n" .. answer, command .. "\n" .. result.stdout)
      count = count + 1
    end
    assert.equal(5, count)
  end)

  it("has an admin script that runs", function()
    local w <close> = world()
    w.dir:write("script.lua", read_section():match "\n```lua\n(.-)```")
    local result <const> = child.run { "--console", w.path .. "/kvdata", "-f", w.path .. "/script.lua", "key" }
    assert.same({ 0, "", "n1\tleads in term\t1\nnil\n" }, { result.code, result.stderr, result.stdout })
  end)
end)
