--- Patterns of Lua, matched in Lua: for where the library's own could run for seconds, inside C, uninterrupted.
--
--     local pattern = require "kvserver.console.node.pattern"
--     local matcher = pattern.matcher("(%a+)=(%d+)", "x: n=12")
--     print(matcher:search(1))    --> 4  7
--     print(matcher:capture(2))   --> 12
--
-- What cannot take long is left to the library: a piece of a pattern without repetitions at one place, or looked for in
-- a window of the text; so much of a run of one class. What is done here is the part that goes back and tries again.
local M = {}

local find <const>, sub <const>, byte <const>, min <const>, max <const> = string.find, string.sub, string.byte,
  math.min, math.max
local CAPTURES_MAX <const> = 32
local STEPS_MAX <const> = 200000 -- of the library, at one go: about a millisecond
local SEARCHED_BYTES_MAX <const> = 300 -- of a piece that it looks for
local OPEN <const>, POSITION <const> = -1, -2 -- where a capture ends, when it is not there yet, or never will be

-- ---- compiling ----

local function malformed(what)
  error("malformed pattern (" .. what .. ")", 0)
end

-- Where the set that begins at `at` ends.
local function set_end(text, at)
  at = at + 1
  if sub(text, at, at) == "^" then at = at + 1 end
  repeat
    local c <const> = sub(text, at, at)
    if c == "" then malformed "missing ']'" end
    at = at + (c == "%" and 2 or 1)
  until sub(text, at, at) == "]"
  return at
end

-- One class of characters, as the library reads it, and where it ends.
local function class_at(text, at)
  local c <const> = sub(text, at, at)
  if c == "[" then
    local last <const> = set_end(text, at)
    return sub(text, at, last), last
  elseif c == "%" then
    if at == #text then malformed "ends with '%'" end
    return sub(text, at, at + 1), at + 1
  elseif c ~= "." and find(c, "%p") then
    return "%" .. c, at
  end
  return c, at
end

-- Adds what is matched without going back to what stands before it, if that is such a piece, too.
local function add_piece(items, text)
  local last <const> = items[#items]
  if last and last.kind == "piece" then
    last.text = last.text .. text
    last.anchored = "^" .. last.text
  else
    items[#items + 1] = { kind = "piece", text = text, anchored = "^" .. text }
  end
end

local function add_class(items, text, at)
  local class <const>, last = class_at(text, at)
  local repetition <const> = sub(text, last + 1, last + 1)
  if repetition == "" or not find("*+-?", repetition, 1, true) then
    add_piece(items, class)
    return last + 1
  end
  items[#items + 1] = { kind = repetition == "-" and "least" or "most", one = "^" .. class, run = "^" .. class .. "*",
    min = repetition == "+" and 1 or 0, max = repetition == "?" and 1 or math.maxinteger }
  return last + 2
end

local function add_escape(items, text, at)
  local c <const> = sub(text, at + 1, at + 1)
  if c == "b" then
    if at + 3 > #text then malformed "missing arguments to '%b'" end
    add_piece(items, sub(text, at, at + 3))
    return at + 4
  elseif c == "f" then
    if sub(text, at + 2, at + 2) ~= "[" then error("missing '[' after '%f' in pattern", 0) end
    local last <const> = set_end(text, at + 2)
    add_piece(items, sub(text, at, last))
    return last + 1
  elseif find(c, "^%d") then
    items[#items + 1] = { kind = "same", capture = tonumber(c) }
    return at + 2
  end
  return add_class(items, text, at)
end

local function add(items, text, at)
  local c <const> = sub(text, at, at)
  if c == "(" and sub(text, at + 1, at + 1) == ")" then
    items[#items + 1] = { kind = "position" }
    return at + 2
  elseif c == "(" or c == ")" then
    items[#items + 1] = { kind = c == "(" and "open" or "close" }
    return at + 1
  elseif c == "$" and at == #text then
    items[#items + 1] = { kind = "finish" }
    return at + 1
  elseif c == "%" then
    return add_escape(items, text, at)
  end
  return add_class(items, text, at)
end

local function compile(text, at)
  local items <const> = {}
  while at <= #text do at = add(items, text, at) end
  return items
end

-- ---- matching ----

local Matcher = {}
Matcher.__index = Matcher

local match

-- Each takes (matcher, item, its number, position) and returns where the rest of the pattern ended; nil: it does not
-- match.
local steps <const> = {}

-- How many characters from a position on are of the class.
local function run_length(subject, item, position)
  local window <const>, length = min(item.max, max(1, STEPS_MAX // #item.run)), 0
  repeat
    local text <const> = sub(subject, position + length, position + length + window - 1)
    local _, last <const> = find(text, item.run)
    length = length + last
  until last < window or length >= item.max
  return length
end

function steps.most(self, item, number, position)
  for count = run_length(self.subject, item, position), item.min, -1 do
    local finish <const> = match(self, number + 1, position + count)
    if finish then return finish end
  end
end

function steps.least(self, item, number, position)
  repeat
    local finish <const> = match(self, number + 1, position)
    if finish then return finish end
    local one <const> = position <= #self.subject and find(self.subject, item.one, position)
    position = position + 1
  until not one
end

local function begin_capture(self, number, position, stop)
  if self.level == CAPTURES_MAX then error("too many captures", 0) end
  self.level = self.level + 1
  self.starts[self.level], self.stops[self.level] = position, stop
  local finish <const> = match(self, number + 1, position)
  if not finish then self.level = self.level - 1 end
  return finish
end

function steps.open(self, _, number, position)
  return begin_capture(self, number, position, OPEN)
end

function steps.position(self, _, number, position)
  return begin_capture(self, number, position, POSITION)
end

function steps.close(self, _, number, position)
  local level = self.level
  while level > 0 and self.stops[level] ~= OPEN do level = level - 1 end
  if level == 0 then error("invalid pattern capture", 0) end
  self.stops[level] = position
  local finish <const> = match(self, number + 1, position)
  if not finish then self.stops[level] = OPEN end
  return finish
end

-- Those that match in one way at most: where they end.
local ends <const> = {}

function ends.piece(self, item, position)
  local _, last <const> = find(self.subject, item.anchored, position)
  return last and last + 1
end

function ends.finish(self, _, position)
  return position == #self.subject + 1 and position or nil
end

function ends.same(self, item, position)
  local level <const> = item.capture
  if level == 0 or level > self.level or self.stops[level] == OPEN then
    error(("invalid capture index %%%d"):format(level), 0)
  end
  if self.stops[level] == POSITION then return nil end -- that is no text
  local text <const> = sub(self.subject, self.starts[level], self.stops[level] - 1)
  return sub(self.subject, position, position + #text - 1) == text and position + #text or nil
end

function match(self, number, position)
  local item = self.items[number]
  while item do
    local step <const> = steps[item.kind]
    if step then return step(self, item, number, position) end
    position = ends[item.kind](self, item, position)
    if not position then return nil end
    number = number + 1
    item = self.items[number]
  end
  return position
end

-- From a position on, the first where a piece may match; nil: it matches nowhere. What looks at what is around it, or
-- at all of the text, is tried everywhere.
local function skip(subject, piece, from)
  if #piece > SEARCHED_BYTES_MAX or find(piece, "%%[bf]") then return from end
  local window <const> = STEPS_MAX // #piece -- places at which it may begin
  repeat
    local at <const> = find(sub(subject, from, from + window + #piece), piece)
    if at then return from + at - 1 end
    from = from + window
  until from > #subject + 1
  return nil
end

--- Looks for the pattern.
-- @tparam integer from the first position to try, 1 to #subject + 1
-- @treturn ?integer where it was found, nil when it was not
-- @treturn ?integer where what matched ends; one before where it begins when that is nothing
function Matcher:search(from)
  local first <const>, length = self.items[1], #self.subject
  repeat
    if not self.anchored and first and first.kind == "piece" then
      from = skip(self.subject, first.text, from)
      if not from then return nil end
    end
    self.level = 0
    local finish <const> = match(self, 1, from)
    if finish then
      for level = 1, self.level do
        if self.stops[level] == OPEN then error("unfinished capture", 0) end
      end
      return from, finish - 1
    end
    from = from + 1
  until from > length + 1 or self.anchored
end

--- A capture of what was found last.
-- @tparam integer level from 1
-- @treturn string|integer its text, or the position
function Matcher:capture(level)
  if self.stops[level] == POSITION then return self.starts[level] end
  return sub(self.subject, self.starts[level], self.stops[level] - 1)
end

--- All of them.
function Matcher:captures()
  local list <const> = {}
  for level = 1, self.level do list[level] = self:capture(level) end
  return table.unpack(list, 1, self.level)
end

--- Prepares a pattern for a subject. Raises what is wrong with the pattern, here or when it is met.
-- @tparam string text the pattern
-- @tparam string subject
-- @tparam[opt] boolean literal a "^" at the beginning is no anchor (gmatch)
-- @return the matcher: after a search its `level` is the number of captures
function M.matcher(text, subject, literal)
  local anchored <const> = not literal and byte(text) == byte "^"
  return setmetatable({
    subject = subject, anchored = anchored, items = compile(text, anchored and 2 or 1), level = 0, starts = {},
    stops = {},
  }, Matcher)
end

return M
