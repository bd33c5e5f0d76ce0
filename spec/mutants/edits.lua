--- Exact replacement of a text in a source file.
--
--     local changed = require("spec.mutants.edits").apply({ "src/a.c", "x > 1", "x >= 1" }, text)

local M = {}

--- Replaces the text, which must stand there exactly once: else the mutant is not the bug that it says it is.
-- @tparam table edit file, text, what stands there instead
-- @tparam string source what is in the file
-- @treturn string
function M.apply(edit, source)
  local path, from, to = table.unpack(edit)
  local first, last = source:find(from, 1, true)
  if not first then error(("%s: not found: %s"):format(path, from), 0) end
  if source:find(from, first + 1, true) then error(("%s: found twice: %s"):format(path, from), 0) end
  return source:sub(1, first - 1) .. to .. source:sub(last + 1)
end

return M
