--- The console without a prompt: statements of the command line, and those of standard input, one after the other.
local backslash = require "kvserver.console.backslash"
local input = require "kvserver.console.input"
local script = require "kvserver.console.script"
local statement = require "kvserver.console.statement"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local EXIT_DONE <const>, EXIT_FAILED <const>, EXIT_NO_NODE <const>, EXIT_INTERRUPTED <const> = 0, 1, 3, 130
local CANCEL_MS <const> = 1000

local exit_codes <const> = {
  done = EXIT_DONE, failed = EXIT_FAILED, cancelled = EXIT_INTERRUPTED, disconnected = EXIT_NO_NODE,
}

-- SIGINT ends what runs in the node, and then this program; a second one ends it at once, and so does a node that does
-- not answer.
local function handle_interrupts(self)
  local handle <const>, node = uv.new_signal(), self.session.node
  handle:start("sigint", function()
    if self.interrupted or not node.current then os.exit(EXIT_INTERRUPTED, true) end
    self.interrupted = true
    node:cancel()
    task.spawn(function()
      task.sleep(CANCEL_MS)
      os.exit(EXIT_INTERRUPTED, true)
    end)
  end)
  return handle
end

-- Remembers how it went: the worst that happened is the exit code. False: the end.
local function go_on(self, outcome)
  local code <const> = exit_codes[outcome]
  self.code = math.max(self.code, code)
  return not self.interrupted and (code == EXIT_DONE or code == EXIT_FAILED and self.keep_going)
end

local function run_programs(self, programs)
  for _, program in ipairs(programs) do
    local outcome
    if program.flag == "-e" then
      outcome = self.session:evaluate { code = program.text, chunk = "=(-e)", line = 1 }
    else
      outcome = script.run(self.session, program.text, self.words)
    end
    if not go_on(self, outcome) then return false end
  end
  return true
end

local function run_one(self, text, line)
  if statement.is_own(text) then return backslash.run(self.session, text) end
  return self.session:evaluate { code = text, chunk = "=stdin", line = line }
end

local function run_input(self)
  local source <const> = input.open()
  local text, first, number = nil, 1, 0
  for line in source.read, source do
    number = number + 1
    if not text then first = number end
    text = text and text .. "\n" .. line or line
    local state <const> = statement.is_own(text) and "complete" or statement.state(text)
    if state ~= "incomplete" then
      local code <const> = text
      text = nil
      if state == "complete" and not go_on(self, run_one(self, code, first)) or self.session.over then return end
    end
  end
  if text then go_on(self, run_one(self, text, first)) end -- the node says what it lacks
end

--- Runs the programs that are given; without any, what standard input holds, to its end.
-- @param session of kvserver.console.session
-- @tparam table given of kvserver.console.arguments
-- @treturn integer the exit code
function M.run(session, given)
  local self <const> = { session = session, keep_going = given.keep_going, words = given.words, code = EXIT_DONE }
  local interrupts <const> = handle_interrupts(self)
  if #given.programs > 0 then
    run_programs(self, given.programs)
  else
    run_input(self)
  end
  interrupts:close()
  return self.interrupted and EXIT_INTERRUPTED or self.code
end

return M
