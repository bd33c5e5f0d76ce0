--- Statements and what they come to: has the node run them, and shows results, output and errors in the format that is
-- set. One per console; scripts, pipes and the prompt share it.
--
--     local session <const> = session.new(node, { format = "json" })
--     local outcome <const> = session:evaluate { code = "status()", chunk = "=stdin", line = 1 }
local escape = require "kvserver.console.escape"
local json = require "kvserver.json"
local output = require "kvserver.console.output"
local render = require "kvserver.console.render"
local types = require "kvserver.types"

local M = {}

-- Formats that another program reads: what a statement prints would not be of that format.
local FOR_PROGRAMS <const> = { json = true, lua = true, yaml = true, csv = true, markdown = true }
-- Formats that have no place for how many items were left out.
local WITHOUT_CUT <const> = { csv = true, markdown = true }
local RED <const>, NORMAL <const> = "\27[31m", "\27[0m"

local Session = {}
Session.__index = Session

-- What statements print.
function Session:printed(value)
  local text <const> = type(value) == "string" and value or render.value(value, self.style)
  local to_stderr <const> = FOR_PROGRAMS[self.style.format]
  local to_terminal <const> = to_stderr and self.stderr_terminal or not to_stderr and self.style.terminal
  local write <const> = to_stderr and output.note or output.result
  write((to_terminal and escape.text(text, true) or text):gsub("\n?$", "\n", 1))
end

--- Shows one value.
-- @param value of kvserver.console.decode
function Session:show(value)
  local text <const> = render.value(value, self.style) .. "\n"
  if self.page and self.page(text) then return end
  output.result(text)
  if WITHOUT_CUT[self.style.format] and type(value) == "table" and value.more then
    self:complain(("%d more were left out"):format(value.more))
  end
end

--- Says what is wrong, on standard error.
-- @tparam string text
function Session:complain(text)
  if not self.prompting then text = "kvserver: " .. text end
  if self.stderr_terminal then text = escape.text(text, true) end
  if self.stderr_terminal and self.style.colour then text = RED .. text .. NORMAL end
  output.note(text .. "\n")
end

--- Says how a statement failed.
-- @tparam table reply `message`, and perhaps `kind`, `traceback`, `hint`
function Session:complain_of(reply)
  if self.style.format == "json" then
    local error_object <const> = { ok = false }
    for _, key in ipairs { "kind", "message", "traceback", "hint" } do
      local text <const> = reply[key]
      if type(text) == "string" then error_object[key] = types.utf8_valid(text) and text or escape.text(text, true) end
    end
    local text <const> = json.encode(error_object)
    return output.note((self.stderr_terminal and escape.text(text) or text) .. "\n")
  end
  local lines <const> = { type(reply.message) == "string" and reply.message or "the node does not say what is wrong" }
  if type(reply.hint) == "string" then lines[#lines + 1] = reply.hint end
  if type(reply.traceback) == "string" then lines[#lines + 1] = reply.traceback end
  self:complain(table.concat(lines, "\n"))
end

-- Without a reply.
local function no_reply(self, why)
  if why == "timeout" then
    self:complain_of { kind = "timeout", message = ("timeout: it took more than %g s"):format(self.timeout_s) }
    return "failed"
  end
  self:complain_of { kind = "disconnected", message = ("%s: %s"):format(self.node.path, why) }
  return "disconnected"
end

--- Has the node run a statement, and shows what it comes to. Waits.
-- @tparam table source `code`, `chunk` (how Lua calls it: "=stdin"), `line` (number of its first line there)
-- @treturn string "done", "failed", "cancelled", or "disconnected"
function Session:evaluate(source)
  local reply <const>, why = self.node:request({
    ["do"] = "eval", code = source.code, chunk = source.chunk, line = source.line, rw = self.rw,
  }, self.timeout_s and self.timeout_s * 1000)
  if not reply then return no_reply(self, why) end
  if reply.ok then
    for _, value in ipairs(reply.values) do self:show(value) end
  else
    self:complain_of(reply)
  end
  if self.timing then
    output.note(("(%.1f ms in the node, %.1f ms in all)\n"):format(tonumber(reply.ms) or 0, reply.round_ms))
  end
  return reply.ok and "done" or reply.kind == "cancelled" and "cancelled" or "failed"
end

--- Goes on with another connection.
-- @param node of kvserver.console.connection
function Session:use(node)
  self.node = node
  node.on_print = function(value) self:printed(value) end
end

--- Makes one.
-- @param node of kvserver.console.connection
-- @tparam table settings `format`; `terminal` (true: results go to one), `colour`, `columns` (its width);
-- `stderr_terminal` (true: all else goes to one); `timeout_s`; `rw`; `yes` (true: nothing is asked)
-- @return the session: `style` (as of kvserver.console.render), `timing` and `rw` may be changed; `page` may be set to
-- a function that takes a text and returns true when it has shown it, `ask` to one that asks and returns whether it was
-- yes, `prompting` to true: messages need not say from whom they are
function M.new(node, settings)
  local self <const> = setmetatable({
    timeout_s = settings.timeout_s, rw = settings.rw or false, yes = settings.yes or false, timing = false,
    stderr_terminal = settings.stderr_terminal or false, prompting = false,
    style = {
      format = settings.format or "auto", terminal = settings.terminal or false, colour = settings.colour or false,
      columns = settings.columns, thousands = settings.terminal or false,
    },
  }, Session)
  self:use(node)
  return self
end

return M
