--- string.find, match, gmatch and gsub as statements of a console have them: they can be interrupted, however long the
-- text is and whatever the pattern, and what gsub calls may wait.
--
-- Where the library's own cannot take long, that does it: by the most steps that a pattern of this length, with so many
-- repetitions, can take in so long a text. Elsewhere kvserver.console.node.pattern does, which is slower.
local pattern = require "kvserver.console.node.pattern"
local placed = require "kvserver.console.node.placed"

local M = {}

local STEPS_MAX <const> = 1000000 -- of the library's matching: a few milliseconds
local PATTERN_BYTES_MAX <const> = 1000 -- longer ones are not looked through
local PLAIN_STEPS_MAX <const> = 1 << 27 -- of its comparing

local function is_text(value)
  return type(value) == "string" or type(value) == "number"
end

-- Whether the library's own may do it: always with what it refuses.
local function is_quick(subject, text)
  if not is_text(subject) or not is_text(text) then return true end
  text = tostring(text)
  if #text > PATTERN_BYTES_MAX then return false end
  local _, repetitions <const> = string.gsub(text, "[*+?-]", "")
  local _, pairs_of <const> = string.gsub(text, "%%b", "")
  local length <const> = #tostring(subject) + 1.0
  return #text * length ^ (1 + repetitions + pairs_of) <= STEPS_MAX
end

-- Where a search begins: from 1 to one behind the text; nil: nowhere.
local function start_of(subject, init)
  local length <const> = #subject
  init = init == nil and 1 or math.tointeger(init) or error("number has no integer representation", 0)
  if init < 0 then init = math.max(length + init + 1, 1) end
  if init == 0 then init = 1 end
  return init <= length + 1 and init or nil
end

local function prepare(text, subject, literal)
  return pattern.matcher(tostring(text), subject, literal)
end

local function search(subject, text, init, whole)
  subject = tostring(subject)
  local from <const> = start_of(subject, init)
  if not from then return nil end
  local matcher <const> = prepare(text, subject)
  local first <const>, last = matcher:search(from)
  if not first then return nil end
  if whole then return first, last, matcher:captures() end
  if matcher.level == 0 then return string.sub(subject, first, last) end
  return matcher:captures()
end

local function is_plain(subject, text, plain)
  return is_text(subject) and is_text(text) and (plain or not string.find(text, "[%^$*+?.(%[%%-]"))
end

--- As string.find.
function M.find(subject, text, init, plain)
  if is_plain(subject, text, plain) then
    if #tostring(subject) * #tostring(text) > PLAIN_STEPS_MAX then
      error(("string.find: up to %d comparisons in a console: take pieces with sub"):format(PLAIN_STEPS_MAX), 2)
    end
    return string.find(subject, text, init, true)
  end
  if is_quick(subject, text) then return placed(string.find, subject, text, init) end
  return placed(search, subject, text, init, true)
end

--- As string.match.
function M.match(subject, text, init)
  if is_quick(subject, text) then return placed(string.match, subject, text, init) end
  return placed(search, subject, text, init, false)
end

local function whole_or_captures(matcher, first, last)
  if matcher.level == 0 then return string.sub(matcher.subject, first, last) end
  return matcher:captures()
end

--- As string.gmatch.
function M.gmatch(subject, text, init)
  if is_quick(subject, text) then return placed(string.gmatch, subject, text, init) end
  subject = tostring(subject)
  local from, last_end = start_of(subject, init) or #subject + 2, 0
  local matcher <const> = placed(prepare, text, subject, true)
  return function()
    while from <= #subject + 1 do
      local first <const>, last = placed(matcher.search, matcher, from)
      if not first then break end
      if last + 1 ~= last_end then -- else nothing again, where the one before ended
        from, last_end = last + 1, last + 1
        return whole_or_captures(matcher, first, last)
      end
      from = first + 1
    end
    from = #subject + 2
  end
end

-- ---- gsub ----

local function expand(matcher, replacement, first, last)
  return (string.gsub(replacement, "%%(.?)", function(c)
    if c == "%" then return "%" end
    local level <const> = tonumber(c)
    if not level then error("invalid use of '%' in replacement string", 0) end
    if level == 0 or level == 1 and matcher.level == 0 then return string.sub(matcher.subject, first, last) end
    if level > matcher.level then error(("invalid capture index %%%d in replacement string"):format(level), 0) end
    return tostring(matcher:capture(level))
  end))
end

local function replacement_of(matcher, replacement, first, last)
  local kind <const> = type(replacement)
  if kind == "string" or kind == "number" then return expand(matcher, tostring(replacement), first, last) end
  local value
  if kind == "table" then
    value = replacement[(whole_or_captures(matcher, first, last))]
  else
    value = replacement(whole_or_captures(matcher, first, last))
  end
  if not value then return string.sub(matcher.subject, first, last) end
  if not is_text(value) then error(("invalid replacement value (a %s)"):format(type(value)), 0) end
  return tostring(value)
end

local function substitute(subject, text, replacement, count_max)
  subject = tostring(subject)
  local matcher <const> = prepare(text, subject)
  local parts <const>, count = {}, 0
  local from, copied, last_end = 1, 1, 0
  while count < count_max and from <= #subject + 1 do
    local first <const>, last = matcher:search(from)
    if not first then break end
    if last + 1 ~= last_end then
      count = count + 1
      parts[#parts + 1] = string.sub(subject, copied, first - 1)
      parts[#parts + 1] = replacement_of(matcher, replacement, first, last)
      from, copied, last_end = last + 1, last + 1, last + 1
    else
      from = first + 1
    end
    if matcher.anchored then break end
  end
  parts[#parts + 1] = string.sub(subject, copied)
  return table.concat(parts), count
end

local REPLACEMENTS <const> = { string = true, number = true, table = true, ["function"] = true }

--- As string.gsub.
function M.gsub(subject, text, replacement, count_max)
  local calls <const> = type(replacement) == "function" or type(replacement) == "table"
  local refused <const> = not is_text(subject) or not is_text(text) or not REPLACEMENTS[type(replacement)]
    or count_max ~= nil and not math.tointeger(count_max)
  if refused or is_quick(subject, text) and not calls then
    return placed(string.gsub, subject, text, replacement, count_max)
  end
  return placed(substitute, subject, text, replacement, count_max and math.tointeger(count_max) or math.maxinteger)
end

return M
