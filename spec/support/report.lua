--- What `make test` prints: a line per spec file, the failures in full, and the totals as the last line. Beside it the
-- JUnit report, by busted's own handler. An output handler of busted:
--
--   busted --output=spec/support/report.lua -Xoutput build/specs.xml
--
-- A failed run exits with 1: busted itself exits with the count, of which the system keeps 8 bits.

local busted = require "busted"

local function count_line(passed, pending, failed, seconds)
  local parts = { ("%d passed"):format(passed) }
  if pending > 0 then parts[#parts + 1] = ("%d pending"):format(pending) end
  if failed > 0 then parts[#parts + 1] = ("%d FAILED"):format(failed) end
  return ("%s, %.2f s"):format(table.concat(parts, ", "), seconds)
end

local function indent(text)
  return (tostring(text):gsub("[^\n]+", "  %0"))
end

local function where(case)
  local trace = case.element.trace or case.trace or {}
  return ("%s:%s"):format(trace.short_src or "?", trace.currentline or "?")
end

local function describe_failure(case)
  local lines = { ("\n%s %s: %s"):format(case.isError and "ERROR" or "FAILED", where(case), case.name) }
  lines[#lines + 1] = indent(case.message or "no message")
  if case.isError and case.trace and case.trace.traceback then lines[#lines + 1] = indent(case.trace.traceback) end
  if case.randomseed then lines[#lines + 1] = ("  random seed: %s"):format(case.randomseed) end
  return table.concat(lines, "\n")
end

return function(options)
  local junit = require "busted.outputHandlers.junit"(options)
  junit:subscribe(options)

  local handler = require "busted.outputHandlers.base"()
  local at_file_start

  local function totals()
    return handler.successesCount, handler.pendingsCount, #handler.failures + #handler.errors
  end

  local function file_start()
    at_file_start = { totals() }
    return nil, true
  end

  local function file_end(file)
    local passed, pending, failed = totals()
    local before = at_file_start
    print(("%-56s %s"):format(file.name,
      count_line(passed - before[1], pending - before[2], failed - before[3], file.duration or 0)))
    io.stdout:flush()
    return nil, true
  end

  local function at_exit()
    for _, case in ipairs(handler.pendings) do
      print(("\nPENDING %s: %s"):format(where(case), case.name))
    end
    for _, list in ipairs { handler.failures, handler.errors } do
      for _, case in ipairs(list) do print(describe_failure(case)) end
    end
    local passed, _, failed = totals()
    print(("\n%d passed, %d failed"):format(passed, failed))
    io.stdout:flush()
    if failed > 0 then os.exit(1, true) end
    return nil, true
  end

  busted.subscribe({ "file", "start" }, file_start)
  busted.subscribe({ "file", "end" }, file_end)
  busted.subscribe({ "exit" }, at_exit)
  return handler
end
