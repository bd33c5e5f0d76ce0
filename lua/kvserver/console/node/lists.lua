--- The library `table` as statements of a console have it: nothing in it holds the node up, whatever the list says of
-- its length, and what a metamethod or a comparison calls may be interrupted, and wait.
--
-- The library's own works in C, where nothing interrupts it: it is left what has few steps. A list with a metatable is
-- worked on here, as a list without one is, too, where comparisons may each take long.
local placed = require "kvserver.console.node.placed"

local M = {}

--- Limits of one call.
M.MOVED_ITEMS_MAX = 1000000
M.UNPACKED_ITEMS_MAX = 100000

local PIECE <const> = 2000 -- items that the library's own joins at once

-- As the library's own reads a number; anything else stays what it is, for it to refuse.
local function integer(value)
  return math.tointeger(tonumber(value)) or value
end

local function is_integer(value)
  return math.type(value) == "integer"
end

-- That its length, and what is in it, is what it holds.
local function is_plain(list)
  return type(list) ~= "table" or debug.getmetatable(list) == nil
end

-- ---- inserting and removing ----

local function insert_into(list, at, value)
  local last <const> = #list + 1
  if at < 1 or at > last then error("bad argument #2 to 'insert' (position out of bounds)", 0) end
  for i = last, at + 1, -1 do list[i] = list[i - 1] end
  list[at] = value
end

local function insert(list, ...)
  local count <const>, at, value = select("#", ...), ...
  if count == 1 then
    list[#list + 1] = at
  elseif count ~= 2 then
    error("wrong number of arguments to 'insert'", 0)
  elseif not is_integer(integer(at)) then
    error("bad argument #2 to 'insert' (number expected)", 0)
  else
    insert_into(list, integer(at), value)
  end
end

--- As table.insert.
function M.insert(list, ...)
  return placed(is_plain(list) and table.insert or insert, list, ...)
end

local function remove(list, at)
  local last <const> = #list
  at = at == nil and last or integer(at)
  if not is_integer(at) then error("bad argument #2 to 'remove' (number expected)", 0) end
  if at ~= last and (at < 1 or at > last + 1) then
    error("bad argument #2 to 'remove' (position out of bounds)", 0)
  end
  local value <const> = list[at]
  for i = at, last - 1 do list[i] = list[i + 1] end
  list[math.max(at, last)] = nil
  return value
end

--- As table.remove.
function M.remove(list, ...)
  if is_plain(list) then return placed(table.remove, list, ...) end
  return placed(remove, list, ...)
end

-- ---- joining, moving, unpacking ----

local function concat(list, separator, first, last)
  first = first == nil and 1 or integer(first)
  last = last == nil and type(list) == "table" and #list or integer(last)
  if not is_integer(first) or not is_integer(last) or last < first or math.ult(last - first, PIECE) then
    return table.concat(list, separator, first, last)
  end
  local parts <const> = {}
  for at = first, last, PIECE do
    parts[#parts + 1] = table.concat(list, separator, at, at + math.min(PIECE - 1, last - at))
  end
  return table.concat(parts, separator)
end

--- As table.concat.
function M.concat(...)
  return placed(concat, ...)
end

local function move(from, first, last, ...)
  first, last = integer(first), integer(last)
  if is_integer(first) and is_integer(last) and last >= first
    and not math.ult(last - first, M.MOVED_ITEMS_MAX) then
    error(("table.move: up to %d items in a console"):format(M.MOVED_ITEMS_MAX), 0)
  end
  return table.move(from, first, last, ...)
end

--- As table.move.
function M.move(...)
  return placed(move, ...)
end

local function unpack(list, first, last)
  first = first == nil and 1 or integer(first)
  if last == nil then last = #list end
  last = integer(last)
  if is_integer(first) and is_integer(last) and last >= first
    and not math.ult(last - first, M.UNPACKED_ITEMS_MAX) then
    error(("table.unpack: up to %d items in a console"):format(M.UNPACKED_ITEMS_MAX), 0)
  end
  return table.unpack(list, first, last)
end

--- As table.unpack.
function M.unpack(...)
  return placed(unpack, ...)
end

-- ---- sorting ----

-- Merges the runs list[first..middle] and list[middle + 1..last], each in order, into `merged`.
local function merge(list, merged, first, middle, last, before)
  local left, right = first, middle + 1
  for at = first, last do
    if right > last or left <= middle and not before(list[right], list[left]) then
      merged[at], left = list[left], left + 1
    else
      merged[at], right = list[right], right + 1
    end
  end
end

-- It is stable.
local function sort(list, before)
  local count <const>, from, into = #list, list, {}
  local width = 1
  while width < count do
    for first = 1, count, 2 * width do
      merge(from, into, first, math.min(first + width - 1, count), math.min(first + 2 * width - 1, count), before)
    end
    from, into, width = into, from, 2 * width
  end
  for at = 1, from ~= list and count or 0 do list[at] = from[at] end
end

local function is_less(a, b)
  return a < b
end

--- As table.sort, but stable.
function M.sort(list, before)
  if type(list) ~= "table" or before ~= nil and type(before) ~= "function" then
    return placed(table.sort, list, before)
  end
  return placed(sort, list, before or is_less)
end

return M
