--- A reader of the text format of Prometheus (version 0.0.4) that believes nothing: what GET /metrics says, as a table,
-- and all that is wrong with it.
--
--     local figures = require "spec.support.figures"
--     local page = figures.read(reply.body)
--     assert.same({}, page.faults)
--     assert.equal(1, page:value('kvserver_node_info{id="n1"}'))
local M = {}

local NAME <const> = "^[%a_:][%w_:]*"
local LABEL <const> = '^([%a_][%w_]*)="(.-[^\\])"'
local EMPTY_LABEL <const> = '^([%a_][%w_]*)=""'

local Page = {}
Page.__index = Page

function Page:fault(format, ...)
  self.faults[#self.faults + 1] = format:format(...)
end

--- The value of a sample.
-- @tparam string sample its name and labels, as they are written
-- @treturn ?number
function Page:value(sample)
  return self.samples[sample]
end

-- The text of one label is escaped; `}` and `,` may stand in it.
local function read_labels(text)
  local labels, rest = {}, text
  while rest ~= "" do
    local name, value = rest:match(EMPTY_LABEL), ""
    if not name then name, value = rest:match(LABEL) end
    if not name or labels[name] then return nil end
    labels[name] = value
    rest = rest:sub(#name + #value + 4)
    if rest ~= "" and rest:sub(1, 1) ~= "," then return nil end
    rest = rest:sub(2)
  end
  return labels
end

local function read_comment(self, line)
  local kind, name, rest = line:match("^# (%u+) (%S+) (.+)$")
  if kind == "HELP" then
    if self.helps[name] then self:fault("a second HELP: %s", line) end
    self.helps[name] = rest
  elseif kind == "TYPE" then
    if self.types[name] or not self.helps[name] then self:fault("TYPE without HELP, or twice: %s", line) end
    self.types[name] = rest
    self.family = name
  else
    self:fault("neither HELP nor TYPE: %s", line)
  end
end

-- Whether a sample of this name belongs to the family at hand.
local function belongs(self, name)
  if not self.family then return false end
  if self.types[self.family] ~= "histogram" then return name == self.family end
  local suffix = name:sub(1, #self.family) == self.family and name:sub(#self.family + 1)
  return suffix == "_bucket" or suffix == "_sum" or suffix == "_count"
end

-- The labels but for `le`, as a key.
local function series_of(labels)
  local list = {}
  for name, value in pairs(labels) do
    if name ~= "le" then list[#list + 1] = name .. "=" .. value end
  end
  table.sort(list)
  return table.concat(list, ",")
end

local function read_bucket(self, labels, value, line)
  local key = self.family .. "{" .. series_of(labels) .. "}"
  local series = self.histograms[key] or { bound = -1, count = 0 }
  self.histograms[key] = series
  local bound = labels.le == "+Inf" and math.huge or tonumber(labels.le)
  if not bound or bound <= series.bound then self:fault("bounds that do not rise: %s", line) end
  if value < series.count then self:fault("a bucket below the one before it: %s", line) end
  series.bound, series.count = bound or series.bound, value
end

local function read_sample(self, line)
  local name = line:match(NAME)
  local label_text, number = line:match("^[^{ ]+{(.*)} (%S+)$")
  if not label_text then label_text, number = "", line:match("^[^{ ]+ (%S+)$") end
  local value, labels = tonumber(number), read_labels(label_text)
  if not name or not value or not labels then return self:fault("not a sample: %s", line) end
  local sample = line:match("^(.*) ")
  if not belongs(self, name) then self:fault("not of the family %s: %s", self.family, line) end
  if self.samples[sample] then self:fault("twice: %s", line) end
  self.samples[sample] = value
  self.family_of[sample] = self.family
  if name:match("_bucket$") then read_bucket(self, labels, value, line) end
  if name:match("_count$") and self.types[self.family] == "histogram" then
    local series = self.histograms[self.family .. "{" .. series_of(labels) .. "}"]
    local whole = series and series.bound == math.huge and series.count == value
    if not whole then self:fault("a count that is not that of +Inf: %s", line) end
  end
end

--- Reads a page.
-- @tparam string text
-- @return `faults` (a list of texts), `types` and `helps` (by family), `samples` (by name and labels)
function M.read(text)
  local self = setmetatable({
    faults = {}, types = {}, helps = {}, samples = {}, family_of = {}, histograms = {},
  }, Page)
  if text:sub(-1) ~= "\n" then self:fault "the last line does not end" end
  for line in text:gmatch("([^\n]*)\n") do
    if line:sub(1, 1) == "#" then
      read_comment(self, line)
    else
      read_sample(self, line)
    end
  end
  return self
end

--- What fell from one page to a later one and may not: counters, and all of a histogram.
-- @return a list of texts
function Page:fallen(later)
  local list = {}
  for sample, value in pairs(self.samples) do
    local now = later.samples[sample]
    local rises = self.types[self.family_of[sample]] ~= "gauge"
    if rises and (not now or now < value) then
      list[#list + 1] = ("%s: %s, then %s"):format(sample, value, now)
    end
  end
  return list
end

return M
