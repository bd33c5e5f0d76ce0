--- Runs a lint of spec/lint as `make lint` runs it, on files made up for it.
--
--   local output, code = made_up_tree.lint("spec/lint/words.lua", { ["a.c"] = "int a;\n" })

local uv = require "luv"

local M = {}

local function write(path, text)
  os.execute(("mkdir -p '%s'"):format(path:match("^(.*)/")))
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
end

--- Lays out the files, runs the lint over them with this same binary.
-- @param script path of the lint
-- @param files table from path in the tree to text
-- @return what it printed, with paths relative to the tree
-- @return its exit code
function M.lint(script, files)
  local root = assert(uv.fs_mkdtemp("/tmp/kvserver-tree-XXXXXX"))
  for path, text in pairs(files) do write(root .. "/" .. path, text) end
  local run <close> = assert(io.popen(("'%s' '%s' '%s' 2>&1"):format(uv.exepath(), script, root)))
  local output = run:read("a")
  local _, _, code = run:close()
  os.execute(("rm -rf '%s'"):format(root))
  return (output:gsub(root:gsub("%p", "%%%0") .. "/", "")), code
end

return M
