--- The reference of the scenario language in scenarios/README.md: made from the comments of its verbs.
--
--     local reference = require "spec.scenario.reference"
--     for _, verb in ipairs(reference.verbs()) do print(verb.text, verb.comment) end
--     file:write(reference.fill_in(readme))
--
-- A verb is a function whose comment has a line `@verb`, which shows how it is used. `make reference` writes them down.
local M = {}

local BEGIN <const> = "<!-- The verbs: from the comments in lua/, by `make reference`. -->\n"
local END <const> = "<!-- The end of the verbs. -->\n"
local WIDTH <const> = 120

-- Where the verbs are, in the order in which they are shown.
local FILES <const> = {
  "scenario.lua", "scenario/cluster.lua", "scenario/node.lua", "scenario/net.lua", "scenario/disk.lua",
  "scenario/client.lua", "scenario/load.lua", "scenario/nemesis.lua", "check.lua", "sight.lua",
}

-- Groups, and the patterns of what belongs to them: the first that fits counts, in the order of RULES.
local GROUPS <const> = {
  "Scenario", "Cluster", "Node", "Wait", "Network", "Disk", "Clock", "Client", "Load", "Nemesis", "Checks",
  "Properties",
}
local RULES <const> = {
  { "Wait", "^%l+:wait_", "^kv%.eventually", "^kv%.sleep", "^kv%.now" },
  { "Properties", "^kv%.always", "^kv%.never", "^kv%.sometimes", "^sight%." },
  { "Scenario", "^kv%." }, { "Network", "^c%.net:" }, { "Disk", "^n%.disk:" }, { "Clock", "^n%.clock:" },
  { "Client", "^client:", "^c:client" }, { "Load", "^load:", "^c:load" },
  { "Nemesis", "^nemesis:", "^c:nemesis", "^c:calm" }, { "Checks", "^check%." }, { "Node", "^n:" },
  { "Cluster", "^c:" },
}

local function group_of(text)
  for _, rule in ipairs(RULES) do
    for i = 2, #rule do
      if text:find(rule[i]) then return rule[1] end
    end
  end
  error("no group for " .. text)
end

-- ---- comments ----

-- A comment as its tags, with their lines joined: { {tag=, text=}, ... }; the first has no tag.
local function tags_of(lines)
  local list = { { text = "" } }
  for _, line in ipairs(lines) do
    local text <const> = line:gsub("^%-%-%-?%s?", "")
    local tag, rest = text:match("^@(%l+)(.*)")
    if tag then
      list[#list + 1] = { tag = tag, text = rest }
    else
      list[#list].text = list[#list].text .. " " .. text
    end
  end
  for _, item in ipairs(list) do item.text = item.text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "") end
  return list
end

local SAYS <const> = { tparam = "given", param = "given", treturn = "returns", ["return"] = "returns" }

-- "[opt] table options among (...)" is `options`: among (...)
local function shown_tag(item)
  local text = item.text:gsub("^%[[^%]]*%]%s*", "")
  if item.tag == "treturn" then return (text:gsub("^(%S+)%s*", "%1: ", 1):gsub(": $", "")) end
  if item.tag == "return" then return text end
  if item.tag == "tparam" then text = text:gsub("^%S+%s+", "", 1) end
  local name, meaning = text:match("^(%S+)%s*(.*)$")
  return meaning ~= "" and ("`%s`: %s"):format(name, meaning) or nil
end

local function verb_of(lines, code, file)
  local tags <const> = tags_of(lines)
  local verb = { comment = tags[1].text, given = {}, returns = {}, file = file }
  for i = 2, #tags do
    local list <const> = verb[SAYS[tags[i].tag]]
    if tags[i].tag == "verb" then verb.text = tags[i].text end
    if list then list[#list + 1] = shown_tag(tags[i]) end
  end
  if not verb.text then return nil end
  verb.name = verb.text:match("^[%l.]+[.:]([%l_]+)")
  verb.owner = verb.text:match("^(.*)[.:]" .. verb.name)
  verb.code_name = code:match("^function %w+[.:]([%w_]+)") or code:match("^M%.([%w_]+) =")
  verb.group = group_of(verb.text)
  return verb
end

local function add_verbs(list, file)
  local path <const> = "lua/kvserver/" .. file
  local comment = {}
  for line in io.lines(path) do
    if line:find "^%-%-" then
      if line:find "^%-%-%-" then comment = {} end
      comment[#comment + 1] = line
    else
      list[#list + 1] = #comment > 0 and verb_of(comment, line, path) or nil
      comment = {}
    end
  end
end

--- All verbs.
-- @treturn table a list of {text=, comment=, given=, returns=, group=, owner= ("c.net"), name= ("heal"), code_name= (of
-- the function below the comment), file=}
function M.verbs()
  local list = {}
  for _, file in ipairs(FILES) do add_verbs(list, file) end
  return list
end

-- ---- the text ----

local function wrapped(text, indent, first)
  local lines, line = {}, first
  for word in text:gmatch("%S+") do
    if #line + #word + 1 > WIDTH and line:find "%S" then
      lines[#lines + 1] = line
      line = indent .. word
    else
      line = line:find "[^%s-]" and line .. " " .. word or line .. word
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n") .. "\n"
end

local function shown(verb)
  local parts = { wrapped(("`%s`: %s"):format(verb.text, verb.comment), "  ", "- ") }
  for _, text in ipairs(verb.given) do parts[#parts + 1] = wrapped(text, "    ", "  - ") end
  for _, text in ipairs(verb.returns) do parts[#parts + 1] = wrapped("returns " .. text, "    ", "  - ") end
  return table.concat(parts)
end

--- The section, from its first to its last line.
-- @treturn string
function M.text()
  local by_group = {}
  for _, verb in ipairs(M.verbs()) do
    by_group[verb.group] = by_group[verb.group] or {}
    table.insert(by_group[verb.group], shown(verb))
  end
  local parts = { BEGIN }
  for _, group in ipairs(GROUPS) do
    parts[#parts + 1] = ("\n### %s\n\n%s"):format(group, table.concat(by_group[group]))
  end
  parts[#parts + 1] = "\n" .. END
  return table.concat(parts)
end

--- A document with the section between its two marks as it must be.
-- @tparam string document
-- @treturn string
function M.fill_in(document)
  local first, last = document:find(BEGIN, 1, true), select(2, document:find(END, 1, true))
  if not first or not last then error("scenarios/README.md: the marks of the reference are missing", 0) end
  return document:sub(1, first - 1) .. M.text() .. document:sub(last + 1)
end

return M
