--- The options that scenarios take behind their file, read from what the runner prints of them.
local runner = require "kvserver.scenario.runner"

--- @table list {{name =, argument = ("" for a switch), help =}, ...}
local list = {}
for line in runner.usage:gmatch "[^\n]+" do
  local name, argument, help = line:match "^  %-%-(%l+) ?(%S*)%s%s+(.+)$"
  if name then list[#list + 1] = { name = name, argument = argument, help = help } end
end
return list
