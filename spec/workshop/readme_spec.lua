-- README.md as a promise: its tour is run with curl against a fresh node, its cluster is started and loses a node, its
-- options are those of --help.

local child = require "spec.support.child"
local client = require "kvserver.client"
local cluster = require "kvserver.cluster"
local config_file = require "kvserver.config_file"
local directory = require "spec.support.directory"
local http = require "spec.support.http"
local nodes = require "spec.support.nodes"
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

local START <const> = "n1%-" .. ("%x"):rep(16)

-- What differs from run to run is compared by its name only.
local function without_time(text)
  return (text:gsub('"uptime_ms":%d+', '"uptime_ms":0'):gsub(START, "n1-START"))
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
    local steps, start = tour(read_readme()), nil
    assert.is_true(#steps > 20)
    for _, step in ipairs(steps) do
      assert.matches("curl .*http://127%.0%.0%.1:7000", step.command)
      local command = step.command:gsub("http://127%.0%.0%.1:7000", url):gsub("curl ", "curl --silent ", 1)
      if start then command = command:gsub(START, start) end
      local answer = run(command):gsub(url:match("//(.*)$"), "127.0.0.1:7000")
      start = answer:match(START) or start
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

  it("has an example of a configuration that is one, and says what comes of a mistake in it", function()
    local example = read_readme():match("\n## Configuration\n.-\n```lua\n(.-)```")
    local file <close> = child.file(example)
    assert.same({
      peers = { n1 = "10.0.0.1:7001", n2 = "10.0.0.2:7001", n3 = "10.0.0.3:7001" }, max_value_bytes = 4194304,
      data = "/srv/kvdata", log_level = "debug",
    }, config_file.load(file.path, { id = "n2" }))
    local mistaken <close> = child.file((example:gsub('log_level = "debug"', 'log_levl = "debug"')))
    local _, why = config_file.load(mistaken.path, { id = "n1" })
    assert.matches("`cluster.lua" .. why:sub(#mistaken.path + 1) .. "`", read_readme(), 1, true)
  end)

  it("lists exactly the options that there are", function()
    local listed, offered = {}, {}
    for option in read_readme():gmatch("\n| `%-%-([%a-]+)") do listed[option] = true end
    for _, row in ipairs(options.rows) do
      offered[row.name] = true
    end
    assert.same(offered, listed)
  end)

  -- The section that tells of what can be watched.
  local function watching()
    return assert(read_readme():match("\n## Watching it\n(.-)\n## "))
  end

  it("lists all families of figures, and no others", function()
    local listed, served = {}, {}
    for row in watching():gmatch("\n(| `[^\n]*)") do
      local kind = row:match("| (%a+) |")
      if kind == "gauge" or kind == "counter" or kind == "histogram" then
        for name in row:match("^| (.-) |"):gmatch("`([%w_]+)`") do listed[name] = kind end
      end
    end
    local dir <close> = directory.new()
    local c <close> = nodes.cluster()
    local alone <close> = http.node { data = dir.path }
    local leader <const> = c:wait_leader()
    for _, text in ipairs { c:client(leader):http("GET", "/metrics").body, alone:ask("GET /metrics").body } do
      for name, kind in text:gmatch("# TYPE (%S+) (%a+)\n") do served[name] = kind end
    end
    assert.same(served, listed)
  end)

  it("lists all events of the log, and no others", function()
    local listed, written = {}, {}
    for module, events in watching():gmatch("\n| (%a+) | (`[^|]*) |") do
      for event in events:gmatch("`([%w_]+)`") do listed[module .. " " .. event] = true end
    end
    local sources <close> = assert(io.popen("cat src/*/*.c src/*/*/*.c lua/kvserver/*.lua | tr -s ' \\n' ' '"))
    local text = sources:read("a")
    for _, pattern in ipairs { 'LOG_%u+%("(%a+)", "([^"]+)"', 'log%.write%("%a+", "(%a+)", "([^"]+)"' } do
      for module, event in text:gmatch(pattern) do
        if not text:find(('LOG_STR("%s", "%s"'):format(module, event), 1, true) then
          written[module .. " " .. event] = true
        end
      end
    end
    assert.same(written, listed)
  end)

  it("lists all reasons why a node is not ready, and no others", function()
    local listed, given = {}, {}
    for reason in watching():match("\n| reason |.-\n\n"):gmatch("\n| `([%w_]+)` |") do listed[reason] = true end
    for _, path in ipairs { "src/raft/node_ready.c", "src/httpapi/routes_node.c" } do
      local file <close> = assert(io.open(path))
      for reason in file:read("a"):gmatch('struct raft_unready [%w_]+ = {%s*"([%w_]+)"') do given[reason] = true end
    end
    assert.same(given, listed)
  end)
end)
