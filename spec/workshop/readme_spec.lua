-- README.md as a promise: its tour is run with curl against a fresh node, its cluster is started and loses a node, its
-- options are those of --help.

local client = require "kvserver.client"
local cluster = require "kvserver.cluster"
local directory = require "spec.support.directory"
local options = require "kvserver.options"
local process = require "kvserver.process"
local task = require "kvserver.task"

local function read_readme()
  local file <close> = assert(io.open("README.md"))
  return file:read("a")
end

-- The commands of all ```console blocks, in order: { line, command, answer }.
local function tour(text)
  local steps, inside, number = {}, false, 0
  for line in text:gmatch("([^\n]*)\n") do
    number = number + 1
    if line:find("^```") then
      inside = line == "```console"
    elseif inside and line:find("^%$ ") then
      steps[#steps + 1] = { line = number, command = line:sub(3), answer = {} }
    elseif inside then
      table.insert(steps[#steps].answer, line)
    end
  end
  return steps
end

-- What differs from run to run is compared by its name only.
local function without_time(text)
  return (text:gsub('"uptime_ms":%d+', '"uptime_ms":0'))
end

local function run(command)
  local result = process.run { args = { "bash", "-c", "set -o pipefail; " .. command }, timeout_ms = 10000 }
  return (result.stdout:gsub("\r", ""):gsub("\n+$", ""))
end

-- The lines of all ```sh blocks of a section.
local function section_lines(text, title)
  local section = text:match("\n## " .. title .. "\n(.-)\n## ")
  local lines = {}
  for block in section:gmatch("\n```sh\n(.-)```") do
    for line in block:gmatch("[^\n]+") do lines[#lines + 1] = line end
  end
  return lines
end

-- Until the node is ready that was just started: a reader takes longer to go on.
local function wait_ready(url)
  local node <close> = client.connect(url)
  local function ready()
    local answer = node:readyz()
    return answer and answer.ok
  end
  assert(task.wait_until(ready, 10000), url)
end

-- A job of a shell with these lines before it, that ends when this process does.
local function start_job(lines_before, line)
  local command = ("%s\nexec %s"):format(table.concat(lines_before, "\n"), line:gsub("^build/kvserver", process.self()))
  local job = process.spawn { args = { "setpriv", "--pdeathsig", "KILL", "bash", "-c", command } }
  job:wait_line("ready on http://", 10000)
  return job
end

describe("README.md", function()
  it("prints the answers of its tour as a fresh node gives them", function()
    local node <close> = process.spawn { args = { process.self(), "--memory", "--listen", "127.0.0.1:0" } }
    local url = node:wait_line("ready on (%S+)\n", 5000)
    local steps = tour(read_readme())
    assert.is_true(#steps > 20)
    for _, step in ipairs(steps) do
      assert.matches("curl .*http://127%.0%.0%.1:7000", step.command)
      local command = step.command:gsub("http://127%.0%.0%.1:7000", url):gsub("curl ", "curl --silent ", 1)
      local answer = run(command):gsub(url:match("//(.*)$"), "127.0.0.1:7000")
      local place = ("README.md:%d: %s\n"):format(step.line, step.command)
      assert.equal(place .. without_time(table.concat(step.answer, "\n")), place .. without_time(answer))
    end
  end)

  it("has a section on clusters whose commands work as they are pasted, in their order", function()
    local host <const> = cluster.own_host()
    local home <close> = directory.new()
    local settings, jobs, answers = { "cd " .. home.path }, {}, {}
    local _ <close> = setmetatable({}, { __close = function() for _, job in ipairs(jobs) do job:kill() end end })
    for _, line in ipairs(section_lines(read_readme(), "A cluster")) do
      local text = line:gsub("127%.0%.0%.1", host)
      if text:find("^%u+=") then
        settings[#settings + 1] = text
      elseif text:find("^build/kvserver .* &$") then
        jobs[#jobs + 1] = start_job(settings, text:sub(1, -3))
      elseif text:find("^kill %-9 %%%d$") then
        local job <const> = jobs[tonumber(text:match("%d$"))]
        job:kill()
        assert(job:wait(10000)) -- whoever pastes is slower than the end of a process
      else
        wait_ready(text:match("http://[^/]+"))
        answers[#answers + 1] = run((text:gsub("^curl", "curl --silent", 1)))
      end
    end
    assert.equal(4, #jobs)
    assert.matches('"leader_hint":{"leader_id":"n[123]"', table.remove(answers, 3))
    assert.same({ '{"ok":true}', '{"ok":true,"value":"hello"}', '{"ok":true}', '{"ok":true,"value":"hello again"}' },
      answers)
  end)

  it("tells of the laboratory as it is told", function()
    local account = read_readme():match "\n```\n(failover keeps every acknowledged write .-)```"
    local told = process.run {
      args = { process.self(), "--script", "scenarios/failover.lua", "--seed", "1" }, timeout_ms = 10000,
    }
    local function without_ours(text)
      return (text:gsub("[%d.]+ m?s of ours", ""))
    end
    assert.equal(without_ours(account), without_ours(told.stdout))
    assert.equal(0, told.code)
  end)

  it("has an example of a script that runs", function()
    local example = read_readme():match("\n## Scripts\n.-\n```lua\n(.-)```")
    local result = process.run { args = { process.self(), "-" }, stdin = example, timeout_ms = 10000 }
    assert.equal("", result.stderr)
    assert.equal('200\n{"ok":true,"value":"1"}\n', result.stdout)
    assert.equal(0, result.code)
  end)

  it("lists exactly the options that there are", function()
    local listed, offered = {}, {}
    for option in read_readme():gmatch("\n| `%-%-([%a-]+)") do listed[option] = true end
    for _, row in ipairs(options.rows) do
      if not row.later then offered[row.name] = true end
    end
    assert.same(offered, listed)
  end)
end)
