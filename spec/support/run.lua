--- Runs the spec files side by side, each in a process of its own, one more at a time than there are processors, since
-- many of them wait most of the time; the longest first, so that nobody waits for one of them at the end:
--
--     kvserver spec/support/run.lua BUSTED REPORT [FILE | FOLDER | OPTION of busted ...]
--
-- BUSTED is its program, REPORT where the JUnit report of all goes. Prints a line per file as it ends, then the
-- failures in full, then the totals as the last line (spec/support/report.lua prints the same of one process). Exits
-- with 1 when something failed; a file whose process ends without its totals is a failure.
local process = require "kvserver.process"
local task = require "kvserver.task"
local uv = require "luv"

local ENDLESS_MS <const> = 1000000000 -- who starts this sets the limit
local LONGEST <const> = { -- of 3 seconds and more
  "spec/integration/cluster_spec.lua", "spec/io/http_server_spec.lua", "spec/script/runaway_spec.lua",
  "spec/server/fault_transport_spec.lua", "spec/console/node/limits_spec.lua",
  "spec/integration/cluster_processes_spec.lua", "spec/world/network_spec.lua", "spec/scenario/guide_spec.lua",
  "spec/httpapi/hostile_spec.lua", "spec/scenario/shipped_spec.lua",
}

-- ---- what to run ----

local function find(folder)
  local list <close> = assert(io.popen(("find '%s' -name '*_spec.lua' -type f | sort"):format(folder)))
  local files = {}
  for path in list:lines() do files[#files + 1] = path end
  return files
end

-- Stays in order otherwise.
local function longest_first(files)
  local given, list = {}, {}
  for _, file in ipairs(files) do given[file] = true end
  for _, file in ipairs(LONGEST) do
    assert(uv.fs_stat(file), file .. " is one of the longest specs in spec/support/run.lua, and does not exist")
    if given[file] then list[#list + 1] = file end
    given[file] = nil
  end
  for _, file in ipairs(files) do
    if given[file] then list[#list + 1] = file end
  end
  return list
end

-- What exists is to be run, the rest is for busted.
local function split(arguments)
  local files, options = {}, {}
  for _, argument in ipairs(arguments) do
    local status = uv.fs_stat(argument)
    if not status then
      options[#options + 1] = argument
    elseif status.type == "directory" then
      local found = find((argument:gsub("/$", "")))
      table.move(found, 1, #found, #files + 1, files)
    else
      files[#files + 1] = argument
    end
  end
  if #files == 0 then files = find("spec") end
  return longest_first(files), options
end

-- ---- one file ----

local function read_and_remove(path)
  local file = io.open(path)
  if not file then return "" end
  local text = file:read("a")
  file:close()
  os.remove(path)
  return text
end

local function run_file(busted, options, file, report)
  local args = { process.self(), busted, "--ignore-lua", "--output=spec/support/report.lua", "-Xoutput", report }
  table.move(options, 1, #options, #args + 1, args)
  args[#args + 1] = file
  local child <close> = process.spawn { args = args, stderr = "inherit" }
  local result = child:wait(ENDLESS_MS)
  local text, passed, failed = result.stdout:match("^(.-)\n(%d+) passed, (%d+) failed\n$")
  local outcome = {
    text = text or result.stdout, passed = tonumber(passed) or 0, failed = tonumber(failed) or 0,
    report = read_and_remove(report),
  }
  if (result.code ~= 0 or result.signal ~= 0) and outcome.failed == 0 then
    outcome.failed = 1
    outcome.text = ("%s\n\nFAILED %s: its process ended with exit code %d, signal %d\n"):format(outcome.text, file,
      result.code, result.signal)
  end
  return outcome
end

-- ---- the reports ----

local function sum(reports, name)
  local total = 0
  for _, report in ipairs(reports) do
    total = total + (tonumber(report:match("<testsuites [^>]-" .. name .. "='([%d.]+)'")) or 0)
  end
  return total
end

local function write_report(path, files, reports)
  local out <close> = assert(io.open(path, "w"))
  out:write(("<testsuites errors='%d' skip='%d' tests='%d' failures='%d' time='%.2f'>\n"):format(sum(reports, "errors"),
    sum(reports, "skip"), sum(reports, "tests"), sum(reports, "failures"), sum(reports, "time")))
  for i, report in ipairs(reports) do
    local suites = report:match("<testsuites[^>]*>\n(.*)</testsuites>") or ""
    out:write((suites:gsub("name='Run 1 of 1'", ("name='%s'"):format(files[i]))))
  end
  out:write("</testsuites>\n")
end

-- ---- all of them ----

local busted <const>, report_path <const> = arg[1], arg[2]
local files <const>, options <const> = split(table.move(arg, 3, #arg, 1, {}))
local passed, failed, next_file = 0, 0, 1
local details, reports = {}, {}

local function run_files()
  while files[next_file] do
    local number = next_file
    next_file = next_file + 1
    local outcome = run_file(busted, options, files[number], ("%s.%d"):format(report_path, number))
    local line, more = outcome.text:match("^(.-)\n(\n.*)$")
    print(((line or outcome.text):gsub("\n$", "")))
    io.stdout:flush()
    passed, failed = passed + outcome.passed, failed + outcome.failed
    reports[number] = outcome.report
    details[#details + 1] = more
  end
end

local workers = {}
for i = 1, uv.available_parallelism() + 1 do workers[i] = task.spawn(run_files) end
for _, worker in ipairs(workers) do worker:join() end
write_report(report_path, files, reports)
io.write(table.concat(details), ("\n%d passed, %d failed\n"):format(passed, failed))
io.stdout:flush()
os.exit(failed == 0, true)
