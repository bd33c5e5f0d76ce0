--- What is kept of a telling. A folder per telling, SCENARIO-WORLD-SEED, in the folder of `--report`, with `latest` as
-- a link to the newest:
--
--   verdict.json     name, world, seed, verdict, why, ms, operations, figures, gap_ms, happened, replay
--   account.txt      the account, as it was printed
--   history.jsonl    a line per client operation, in the order of their beginnings (kvserver.scenario.history)
--   trace.jsonl      a line per event: in sim all of them, elsewhere the account
--   n1.log, ...      what the nodes logged, and n1/, ... their data directories (not in sim)
--
-- Without `--report`, worlds with files use a folder below /tmp, which stays only when the scenario did not pass.
local files = require "kvserver.files"
local json = require "kvserver.json"
local types = require "kvserver.types"
local uv = require "luv"

local M = {}

local SLUG_MAX <const> = 60
local OP_FIELDS <const> = {
  "id", "client", "kind", "key", "value", "expected", "saw", "outcome", "called", "returned", "node", "seq", "op_id",
  "batch", "stale",
}

local function slug(name)
  return (name:lower():gsub("[^%w]+", "-"):gsub("^-", ""):gsub("-$", ""):sub(1, SLUG_MAX))
end

local function make_directory(path)
  local ok, why = files.make_directory(path)
  if not ok then error(("--report: %s"):format(why), 0) end
end

local function link_latest(parent, name)
  local link <const> = parent .. "/latest"
  local status <const> = uv.fs_lstat(link)
  if status and status.type == "link" then uv.fs_unlink(link) end
  if not status or status.type == "link" then uv.fs_symlink(name, link) end
end

-- Of a folder of its own, when the program ends in the midst of the telling: nobody will ask for it.
local Folder = {}

function Folder:__close()
  if self.temporary and not self.is_settled then files.remove_tree(self.path) end
end

--- A folder for a telling, empty; nil when nothing is to be kept.
-- @treturn ?table path, temporary; a `<close>` value
function M.open(options, scenario, seed)
  if not options.report then
    if options.world == "sim" then return nil end
    return setmetatable({ path = files.make_temporary "scenario", temporary = true }, Folder)
  end
  local name <const> = ("%s-%s-%d"):format(slug(scenario.name), options.world, seed)
  local path <const> = options.report .. "/" .. name
  make_directory(options.report)
  files.remove_tree(path)
  make_directory(path)
  link_latest(options.report, name)
  return setmetatable({ path = assert(uv.fs_realpath(path)) }, Folder)
end

-- ---- files ----

local function write_lines(path, lines)
  local file <close> = assert(io.open(path, "w"))
  for _, line in ipairs(lines) do file:write(line, "\n") end
end

-- Bytes that are no UTF-8 travel as base64 in the twin field.
local function put(record, name, value)
  if type(value) == "string" and not types.utf8_valid(value) then
    record[name .. "_base64"] = types.base64_encode(value)
  else
    record[name] = value
  end
end

local function attempts_of(op)
  local list = {}
  for i, attempt in ipairs(op.attempts or {}) do
    list[i] = { node = attempt.node, at = attempt.at, answer = attempt.answer }
  end
  return json.array(list)
end

local function history_lines(history)
  local lines = {}
  for i, op in ipairs(history) do
    local record = { attempts = attempts_of(op) }
    for _, name in ipairs(OP_FIELDS) do put(record, name, op[name]) end
    lines[i] = json.encode(record)
  end
  return lines
end

-- Line by line: a long telling has a million of them.
local function write_trace(path, result)
  local world <const> = result.cluster and result.cluster.world
  local file <close> = assert(io.open(path, "w"))
  if world and world.records then
    for record in world:records() do file:write(json.encode(record), "\n") end
    return
  end
  for _, line in ipairs(result.lines) do
    file:write(json.encode { at_ms = line.at, kind = "account", text = line.text }, "\n")
  end
end

local function account_lines(result)
  local lines = {}
  for i, line in ipairs(result.lines) do lines[i] = ("%10.3f  %s"):format(line.at / 1000, line.text) end
  return lines
end

--- Writes what was seen; the world is still open.
-- @tparam ?table folder of open
-- @tparam table result of kvserver.scenario.story
function M.write(folder, result)
  if not folder or folder.temporary and result.verdict == "pass" then return end
  write_lines(folder.path .. "/verdict.json", { json.encode {
    name = result.name, world = result.world, seed = result.seed, verdict = result.verdict, why = result.why,
    ms = result.ms, operations = #result.history, happened = result.happened,
    figures = result.figures, gap_ms = result.gap_ms,
    replay = result.replay,
  } })
  write_lines(folder.path .. "/account.txt", account_lines(result))
  write_lines(folder.path .. "/history.jsonl", history_lines(result.history))
  write_trace(folder.path .. "/trace.jsonl", result)
end

--- Behind the end of the world: a folder of its own goes when nobody will want it.
function M.close(folder, result)
  if not folder then return end
  folder.is_settled = true
  if folder.temporary and (result.verdict == "pass" or result.verdict == "skipped") then
    files.remove_tree(folder.path)
  else
    result.kept = folder.path
  end
end

-- ---- JUnit ----

local ESCAPES <const> = { ["<"] = "&lt;", [">"] = "&gt;", ["&"] = "&amp;", ['"'] = "&quot;" }

local function escape(text)
  return (tostring(text):gsub('[<>&"]', ESCAPES):gsub("[%z\1-\8\11\12\14-\31]", "?"))
end

local function test_case(result, options)
  local open <const> = ('  <testcase classname="%s" name="%s (%s)" time="%.3f"'):format(escape(options.file),
    escape(result.name), escape(result.world), (result.wall_ms or 0) / 1000)
  local tag <const> = ({ fail = "failure", undecided = "skipped", skipped = "skipped" })[result.verdict]
  if not tag then return open .. "/>" end
  return ('%s>\n    <%s message="%s">%s</%s>\n  </testcase>'):format(open, tag, escape(result.verdict),
    escape(result.why or ""), tag)
end

--- Writes the verdicts as JUnit XML.
-- @tparam string path
-- @tparam table options file
-- @tparam table results
function M.junit(path, options, results)
  local failures, skipped = 0, 0
  for _, result in ipairs(results) do
    if result.verdict == "fail" then failures = failures + 1 end
    if result.verdict == "skipped" or result.verdict == "undecided" then skipped = skipped + 1 end
  end
  local lines = {
    '<?xml version="1.0" encoding="UTF-8"?>',
    ('<testsuite name="%s" tests="%d" failures="%d" skipped="%d">'):format(escape(options.file), #results, failures,
      skipped),
  }
  for _, result in ipairs(results) do lines[#lines + 1] = test_case(result, options) end
  lines[#lines + 1] = "</testsuite>"
  write_lines(path, lines)
end

return M
