--- Commands of the console: the process.
local uv = require "luv"

-- When the statement has ended, and its answer is on its way.
local function ask(context, what)
  local f <const> = context.console[what]
  if not f then error(("node.%s: this node is part of another program, which alone can do that"):format(what), 0) end
  context.console:tell_log(context.session, what)
  context.session:afterwards(f)
  return true
end

-- What has stopped, and cannot be started, is gone: better to see that before.
local function restart(context)
  local program <const> = context.console.program
  if program and not uv.fs_access(program, "X") then
    error(("node.restart: %s: there is no such program any more"):format(program), 0)
  end
  return ask(context, "restart")
end

return {
  { name = "node.restart", arguments = "", writes = true, run = restart,
    example = "node.restart()", summary = "Stops this node cleanly and starts it anew",
    returns = "true, before it begins: the console is told when the node goes",
    help = "The process stays the same one, with the arguments and the environment that it was started with; a program "
      .. "that was replaced on disk is the one that runs then." },
  { name = "node.stop", arguments = "", writes = true, run = function(context) return ask(context, "stop") end,
    example = "node.stop()", summary = "Stops this node cleanly, as SIGTERM does",
    returns = "true, before it begins: the console is told when the node goes",
    help = "A leader hands over first; requests in flight have two seconds." },
}
