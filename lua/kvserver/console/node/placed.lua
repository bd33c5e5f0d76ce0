--- Calls a function in the name of the one that a statement called: what it raises has the place of the statement.
--
--     function M.concat(list) return placed(join, list) end   -- a tail call, so that whoever called `concat` is next
--
-- @tparam function f
-- @param ... its arguments
-- @return what it returns; raises what it raises, a text without the place in a program that nobody sees
local function placed(f, ...)
  local results <const> = table.pack(pcall(f, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  local why <const> = results[2]
  if type(why) ~= "string" then error(why, 0) end
  error((why:gsub("^lua/kvserver/[^%s:]+%.lua:%d+: ", "")), 2)
end

return placed
