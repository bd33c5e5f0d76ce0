--- A binary heap: what is first by an order is at hand.
local M = {}

local Heap = {}
Heap.__index = Heap

--- An empty one.
-- @tparam function before (a, b) -> whether a comes before b
function M.new(before)
  return setmetatable({ before = before }, Heap)
end

--- The first one, still inside; nil when there is none.
function Heap:first()
  return self[1]
end

--- Puts one in.
function Heap:push(item)
  local at = #self + 1
  while at > 1 and self.before(item, self[at // 2]) do
    self[at] = self[at // 2]
    at = at // 2
  end
  self[at] = item
end

-- The place below `at` whose item comes first; nil when there is nothing below.
local function first_below(self, at)
  local left <const>, right <const> = 2 * at, 2 * at + 1
  if self[right] and self.before(self[right], self[left]) then return right end
  return self[left] and left
end

--- Takes the first one out; there must be one.
function Heap:pop()
  local first <const>, last <const> = self[1], table.remove(self)
  if first == last then return first end
  local at, below = 1, first_below(self, 1)
  while below and self.before(self[below], last) do
    self[at] = self[below]
    at, below = below, first_below(self, below)
  end
  self[at] = last
  return first
end

return M
