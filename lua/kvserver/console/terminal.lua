--- The console at a prompt: reads statements, shows what they come to, and how the node is, until it is left.
local backslash = require "kvserver.console.backslash"
local batch = require "kvserver.console.batch"
local complete = require "kvserver.console.complete"
local history = require "kvserver.console.history"
local link = require "kvserver.console.link"
local output = require "kvserver.console.output"
local pager = require "kvserver.console.pager"
local screen = require "kvserver.console.screen"
local statement = require "kvserver.console.statement"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local EXIT_DONE <const>, EXIT_INTERRUPTED <const> = 0, 130
local MARK <const> = "\1" -- around what has no width
local COLOURS <const> = { leader = "\27[32m", follower = "\27[36m", candidate = "\27[33m", disconnected = "\27[31m" }
local NORMAL <const> = "\27[0m"

local Terminal = {}
Terminal.__index = Terminal

-- ---- the prompt ----

local function painted(self, role)
  local colour <const> = self.session.style.colour and self.screen.edits and COLOURS[role]
  if not colour then return role end
  return MARK .. colour .. MARK .. role .. MARK .. NORMAL .. MARK
end

function Terminal:prompt()
  local about <const> = self.link.node.about
  local role <const> = self.link:is_up() and about.role or "disconnected"
  local shown <const> = self.link:is_up() and painted(self, role) or "(" .. painted(self, role) .. ")"
  return ("%s %s%s "):format(about.id, shown, self.session.rw and "#" or ">")
end

local function continuation(self)
  local about <const> = self.link.node.about
  return (" "):rep(math.max(0, #tostring(about.id) + #tostring(about.role) - 1)) .. "..> "
end

-- ---- reading ----

-- The next line; of a paste it may have several. Nil and why there is none.
local function read_line(self, text)
  self.continues = text ~= nil
  return self.screen:read(text and continuation(self) or self:prompt())
end

-- Whether what was typed so far is to be run: the text; or nil: there is more to come.
local function finished(text, line)
  local forced <const> = statement.forced(text)
  if forced then return forced end
  if line:find "^%s*$" and text ~= line then return text end
  return statement.state(text) ~= "incomplete" and text or nil
end

-- A statement or a command of the console; nil and "interrupt" or "end".
local function read_statement(self)
  local text
  while true do
    local line <const>, why = read_line(self, text)
    if not line then return nil, why end
    if not text and statement.is_own(line) then return line end
    text = text and text .. "\n" .. line or line
    local whole <const> = finished(text, line)
    if whole then return whole end
  end
end

-- ---- running ----

local function greet(self)
  local about <const> = self.link.node.about
  local leader <const> = about.leader_id and about.leader_id ~= about.id and " of " .. about.leader_id or ""
  local where <const> = ("kvserver %s, node %s (%s%s, term %s), %s %s\n"):format(about.version, about.id, about.role,
    leader, about.term, about.members, about.members == 1 and "member" or "members")
  output.result(where .. "help() or ? for help, Ctrl-D to leave\n")
end

-- A file of the user's own, run in the node when the session begins, and again in a new one.
local function run_startup(self)
  if self.given.no_startup then return end
  local path <const> = (os.getenv "HOME" or "") .. "/.kvserverrc.lua"
  local file <close> = io.open(path, "rb")
  if file then self.session:evaluate { code = file:read "a", chunk = "=.kvserverrc.lua", line = 1 } end
end

-- Ctrl-C while the terminal is not ours to read: what runs in the node is cancelled; a second time ends the console,
-- whatever the node does.
local function on_interrupt(self)
  if self.watching then self.watching:set() end
  if not self.session.node.current then -- a pager has the terminal, or nobody
    if self.watching then output.note "\n" end -- behind the ^C
    return
  end
  if self.cancelled then
    output.note "\nleft; what ran is cancelled if the node still hears it\n"
    os.exit(EXIT_INTERRUPTED, true)
  end
  self.cancelled = true
  output.note "\n" -- behind the ^C
  self.session.node:cancel()
end

local function run_statement(self, code)
  self.cancelled = false
  self.session.style.columns = self.screen:columns()
  local outcome
  if statement.is_own(code) then
    outcome = backslash.run(self.session, code)
  else
    outcome = self.session:evaluate { code = code, chunk = "=console", line = 1 }
    self.session.latest = code
  end
  return outcome
end

-- What was pasted, as far as it works.
local function run_all(self, statements)
  for _, code in ipairs(statements) do
    if run_statement(self, code) ~= "done" or self.session.over then return end
  end
end

-- \watch: again and again, until Ctrl-C or a failure.
local function watch(self, seconds, code)
  if not code then
    self.session:complain "\\watch: there is no statement before it to repeat"
    return false
  end
  self.watching = task.event()
  local outcome
  repeat
    output.result(("-- %s, every %g s: %s\n"):format(os.date "%H:%M:%S", seconds, code:gsub("\n", " ")))
    self.cancelled = false
    outcome = self.session:evaluate { code = code, chunk = "=console", line = 1 }
  until outcome ~= "done" or self.watching:wait(math.ceil(seconds * 1000))
  self.watching = nil
  return outcome == "cancelled" and "done" or outcome
end

local function loop(self)
  while not self.session.over do
    local text <const>, why = read_statement(self)
    if why == "end" then break end
    if text and (statement.is_own(text) or statement.state(text) ~= "empty") then
      if self.history:add(text) then self.screen:add_history(text) end
      run_all(self, statement.split(text))
    end
  end
  local about <const> = self.link.node.about
  if self.link:is_up() then output.note(("%s goes on (pid %s)\n"):format(about.id, about.pid)) end
end

-- ---- what the node does meanwhile ----

local function watch_node(self, options)
  self.link = link.watch(self.session.node, options, {
    on_change = function()
      if not self.continues then self.screen:set_prompt(self:prompt()) end
    end,
    on_lost = function(why)
      self.screen:note(("disconnected: %s; looking for it again\n"):format(why))
    end,
    on_back = function(node)
      self.session:use(node)
      self.screen:note(("connected again to %s (pid %s); what the session had set is lost\n"):format(node.about.id,
        node.about.pid))
      run_startup(self)
    end,
  })
end

local function open(session, given)
  local self <const> = setmetatable({ session = session, given = given }, Terminal)
  self.screen = screen.open {
    complete = function(before) return complete.complete(self.session.node, before, self.screen:columns()) end,
    hint = complete.hint,
  }
  local home <const> = os.getenv "HOME"
  self.history = history.open(self.screen.edits and home and home .. "/.kvserver_history" or nil)
  for _, text in ipairs(self.history.entries) do self.screen:add_history(text) end
  session.ask = function(question)
    self.continues = true
    local answer <const> = self.screen:read(question)
    return answer ~= nil and answer:lower():find "^%s*y" ~= nil
  end
  session.watch = function(seconds, code) return watch(self, seconds, code) end
  session.page = function(text) return self.screen.edits and pager.show(text, self.screen:rows()) end
  return self
end

--- Runs it.
-- @param session of kvserver.console.session
-- @tparam table given of kvserver.console.arguments
-- @tparam table options of the connection, to make it again
-- @treturn integer the exit code
function M.run(session, given, options)
  if #given.programs > 0 then
    local code <const> = batch.run(session, given)
    if code ~= EXIT_DONE and not given.keep_going then return code end
  end
  session.prompting = true
  local self <const> = open(session, given)
  watch_node(self, options)
  local interrupts <const> = uv.new_signal()
  interrupts:start("sigint", function() on_interrupt(self) end)
  if self.screen.edits then greet(self) end
  run_startup(self)
  loop(self)
  interrupts:close()
  self.link:close()
  self.screen:close()
  return EXIT_DONE
end

return M
