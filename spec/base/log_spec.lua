-- The log, as a child process writes it to its stderr.

local http = require "spec.support.http"
local json = require "kvserver.json"
local process = require "kvserver.process"

local PREAMBLE <const> = 'local log = require "kvserver.log"\n'

-- Runs `source` in a child. `shell` may say how, with $PROGRAM and $SCRIPT, and $DIR to work in.
local function run(source, shell)
  local dir <const> = os.tmpname()
  os.remove(dir)
  assert(os.execute("mkdir -m 700 " .. dir))
  local file = assert(io.open(dir .. "/script.lua", "w"))
  file:write(PREAMBLE .. source)
  file:close()
  local result = process.run {
    args = { "/bin/bash", "-c", shell or "exec $PROGRAM $SCRIPT" },
    env = { PROGRAM = process.self(), SCRIPT = dir .. "/script.lua", DIR = dir },
    timeout_ms = 20000,
  }
  os.execute("rm -r " .. dir)
  assert.equal(0, result.code, result.stderr)
  return result
end

local function lines(text)
  local list = {}
  for line in text:gmatch("([^\n]*)\n") do list[#list + 1] = line end
  return list
end

-- The line without its time.
local function written(source)
  return (run(source).stderr:gsub("^ts=%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ ", ""))
end

describe("log", function()
  it("writes one logfmt line per event, with the time in UTC", function()
    local before = os.time()
    local line = run('log.write("info", "server", "ready", { port = 7000 })').stderr
    local date, rest = line:match("^ts=(%S+)%.%d%d%dZ (.*)$")
    assert.equal("level=info module=server event=ready port=7000\n", rest)
    local at = os.time() -- of the same clock; compared as text, which sorts as time does
    assert.is_true(date >= os.date("!%Y-%m-%dT%H:%M:%S", before) and date <= os.date("!%Y-%m-%dT%H:%M:%S", at))
  end)

  for value, expected in pairs {
    ["127.0.0.1:7000"] = "127.0.0.1:7000",
    [""] = '""',
    ["two words"] = '"two words"',
    ["a=b"] = '"a=b"',
    ['say "hi"'] = [["say \"hi\""]],
    ["back\\slash"] = [["back\\slash"]],
    ["a\nb\tc\rd"] = [["a\nb\tc\rd"]],
    ["\1\27\127"] = [["\u0001\u001b\u007f"]],
    ["über"] = '"über"',
    ["bad \xff\xfe bytes"] = '"bad \u{FFFD}\u{FFFD} bytes"',
  } do
    it(("writes the value %q so that it can be read back"):format(value), function()
      assert.equal("level=warn module=m event=e v=" .. expected .. "\n",
        written(('log.write("warn", "m", "e", { v = %q })'):format(value)))
    end)
  end

  it("leaves out what is below its level, which is info at first", function()
    local text = run([[
      log.write("debug", "m", "one")
      log.write("info", "m", "two")
      log.configure("error", "logfmt")
      log.write("warn", "m", "three")
      log.write("error", "m", "four")
      log.configure("debug", "logfmt")
      log.write("debug", "m", "five")]]).stderr
    local events = {}
    for event in text:gmatch("event=(%w+)") do events[#events + 1] = event end
    assert.same({ "two", "four", "five" }, events)
  end)

  it("writes JSON when told to", function()
    local text = run([[
      log.configure("info", "json")
      log.write("info", "m", "e", { text = "a \"quoted\" \xff \1 text", number = math.maxinteger })]]).stderr
    local value = assert(json.decode(text))
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", value.ts)
    value.ts = nil
    assert.same({ level = "info", module = "m", event = "e", text = 'a "quoted" \u{FFFD} \1 text',
      number = math.maxinteger }, value)
  end)

  it("cuts long values at a character, and leaves out fields that do not fit into a line", function()
    local source = [[
      log.configure("info", "json")
      log.write("info", "m", "e", { v = ("\u{20ac}"):rep(1000) })
      log.write("info", "m", "e", { a = ("a"):rep(2000), b = ("b"):rep(2000), c = ("\1"):rep(2000), d = "d" })]]
    local text = lines(run(source).stderr)
    assert.equal(("\u{20ac}"):rep(341), json.decode(text[1]).v)
    assert.is_true(#text[2] < 4096)
    local value = assert(json.decode(text[2]))
    assert.equal("d", value.d)
    assert.is_nil(value.c) -- 6 characters for each byte
    assert.equal(1024, #value.a)
  end)

  it("does not block on a full pipe, but drops lines and says later how many", function()
    -- Descriptor 3 keeps the pipe open; nobody reads it until the child itself empties it.
    local result = run([[
      for i = 1, 3000 do log.write("info", "m", "e" .. i % 60, { i = i, padding = ("x"):rep(100) }) end
      os.execute("dd if=$DIR/pipe of=$DIR/first bs=1M iflag=nonblock status=none 2>/dev/null")
      log.write("info", "m", "after")
      log.write("info", "m", "then")]],
      "mkfifo $DIR/pipe; exec 3<>$DIR/pipe; $PROGRAM $SCRIPT 2>$DIR/pipe; code=$?;" ..
      "dd if=$DIR/pipe of=$DIR/rest bs=1M iflag=nonblock status=none 2>/dev/null; cat $DIR/first $DIR/rest; exit $code")
    local written_lines = lines(result.stdout)
    assert.matches("event=then$", table.remove(written_lines)) -- what was told is not told again
    for i = 1, #written_lines - 1 do
      assert.equal(tostring(i), written_lines[i]:match(" i=(%d+)"), written_lines[i])
    end
    local through = #written_lines - 1
    assert.is_true(through >= 100 and through < 3000, through .. " lines got through")
    assert.matches("event=after dropped_lines=" .. 3000 - through .. "$", written_lines[#written_lines])
  end)

  it("begins a line anew when a file took only a part of the last one, and says in the next event how many it lost",
    function()
      local result = run([[
        for _ = 1, 20 do log.write("info", "m", "e", { padding = ("x"):rep(200) }) end
        assert(os.execute("prlimit --fsize=100000 --pid $PPID"))
        log.say("words")
        log.write("info", "m", "after")]],
        "trap '' XFSZ; (ulimit -S -f 1; exec $PROGRAM $SCRIPT) 2>>$DIR/log && cat $DIR/log")
      local written_lines <const> = lines(result.stdout)
      local torn <const> = #written_lines - 2
      assert.matches("^ts=%S+ level=info module=m event=e padding=x*$", written_lines[torn])
      assert.is_true(#written_lines[torn] < #written_lines[1])
      assert.equal("words", written_lines[torn + 1])
      assert.matches("^ts=%S+ level=info module=m event=after dropped_lines=" .. 21 - torn .. "$",
        written_lines[torn + 2])
    end)

  it("keeps its most recent lines in memory, those that stderr does not take, too", function()
    run([[
      for i = 1, 1500 do log.write("info", "m", "e" .. i % 50, { i = i }) end
      local lines = log.recent()
      assert(#lines == 1000, #lines)
      for i, line in ipairs(lines) do
        assert(line:match("^ts=%S+ level=info module=m event=e%d+ i=(%d+)") == tostring(500 + i), line)
      end]], "exec $PROGRAM $SCRIPT 2>/dev/full")
  end)

  it("keeps no more of them than a quarter of a MiB", function()
    run([[
      local line
      for i = 1, 900 do log.write("info", "m", "e" .. i % 10, { i = i, padding = ("x"):rep(1000) }) end
      local lines, bytes = log.recent(), 0
      for i, line in ipairs(lines) do
        bytes = bytes + #line + 1
        assert(line:match(" i=(%d+)") == tostring(900 - #lines + i), line)
        assert(#line:match("padding=(x+)") == 1000, line)
      end
      assert(bytes <= 1 << 18 and bytes > (1 << 18) - 2000, bytes)]])
  end)

  it("gives the newest of its recent lines that match", function()
    run([[
      for i = 1, 20 do log.write("info", "m", "e", { i = i }) end
      local function numbers(...)
        local list = {}
        for _, line in ipairs(log.recent(...)) do list[#list + 1] = line:match(" i=(%d+)") end
        return table.concat(list, " ")
      end
      assert(numbers(3) == "18 19 20", numbers(3))
      assert(numbers(0) == "", numbers(0))
      assert(numbers(2, " i=1%d$") == "18 19", numbers(2, " i=1%d$"))
      assert(numbers(nil, "=7$") == "7")
      assert(numbers(5, "no such") == "")
      assert(not pcall(log.recent, -1))
      assert(not pcall(log.recent, 1, "[")) -- no pattern
      assert(#log.recent() == 20)]])
  end)

  it("leaves the flags of a stderr that others share as they are", function()
    run('log.write("info", "m", "e")', "mkfifo $DIR/pipe; exec 3<>$DIR/pipe; $PROGRAM $SCRIPT 2>&3 || exit 1;" ..
      "flags=$(awk '/flags/ {print $2}' /proc/$$/fdinfo/3); exit $((flags & 04000))")
  end)

  it("writes words for people as they are, line by line", function()
    local text = run([[
      log.configure("error", "json")
      log.say("one\n\ntwo \27")
      log.say("three\n")
      log.say("")
      log.say(("x"):rep(5000))
      assert(#log.recent() == 5)]]).stderr
    assert.equal("one\n\ntwo \27\nthree\n" .. ("x"):rep(4095) .. "\n", text)
  end)
end)

describe("a storm of one event", function()
  it("is cut after a number of lines, others are not", function()
    local text = run([[
      for i = 1, 150 do
        log.write("info", "m", "storm", { i = i })
        if i % 10 == 0 then log.write("info", "m", "other") end
      end]]).stderr
    local _, storm = text:gsub("event=storm", "")
    local _, other = text:gsub("event=other", "")
    assert.same({ 100, 15 }, { storm, other })
    assert.matches("event=storm i=100\n", text)
  end)

  -- A window is long. But an event that needs the place of another one says what was left out of that one.
  it("is summed up by a line of its own", function()
    local text = run([[
      for i = 1, 150 do log.write("warn", "m", "storm", { i = i }) end
      for i = 1, 3000 do log.write("error", "m", "e" .. i) end]]).stderr
    assert.matches("level=warn module=m event=storm suppressed_lines=50\n", text)
  end)

  it("is summed up before the next line of any event, once its window is over", function()
    local text = run([[
      local probe = require("spec.support.http").native "log_probe"
      for _ = 1, 120 do probe.pass("warn", "m", "storm", 1) end -- just after the machine came up
      log.write("info", "m", "other")
      log.write("info", "m", "other")]]).stderr
    local other <const> = "ts=%S+ level=info module=m event=other\n"
    assert.matches("^ts=%S+ level=warn module=m event=storm suppressed_lines=20\n" .. other .. other .. "$", text)
  end)

  it("may begin anew when its window is over, and what was left out is told once", function()
    local probe = http.native "log_probe"
    local MODULE <const>, WINDOW_MS <const> = "of the spec", 10000
    for i = 1, 120 do assert.equal(i <= 100, probe.pass("warn", MODULE, "e", 1000)) end
    assert.is_false(probe.pass("warn", MODULE, "e", 1000 + WINDOW_MS - 1))
    assert.is_nil(probe.take(1000 + WINDOW_MS - 1))
    assert.same({ module = MODULE, event = "e", level = "warn", count = 21 }, probe.take(1000 + WINDOW_MS))
    assert.is_nil(probe.take(1000 + WINDOW_MS))
    assert.is_true(probe.pass("warn", MODULE, "e", 1000 + WINDOW_MS))
    for i = 2, 101 do assert.equal(i <= 100, probe.pass("info", MODULE, "e", 1001 + WINDOW_MS)) end
  end)

  it("is one of an event and its module", function()
    local probe = http.native "log_probe"
    for _ = 1, 100 do probe.pass("info", "a", "e", 5) end
    assert.is_false(probe.pass("info", "a", "e", 5))
    assert.is_true(probe.pass("info", "b", "e", 5))
    assert.is_true(probe.pass("info", "a", "f", 5))
    assert.is_true(probe.pass("info", ("x"):rep(100), ("y"):rep(100), 5)) -- longer than what is kept of names
  end)
end)
