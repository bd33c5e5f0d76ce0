--- What commands of the console return: tables that say in which order they are shown.
--
--     return result.list({ "id", "role" }, { { id = "n1", role = "leader" } })
local M = {}

-- A metatable for each list of columns; statements get no hold of it.
local metatables <const> = setmetatable({}, { __mode = "k" })

local function metatable_of(columns)
  local found = metatables[columns]
  if not found then
    found = { columns = columns, __metatable = "columns" }
    metatables[columns] = found
  end
  return found
end

--- A list of records.
-- @tparam {string,...} columns names of their fields, in order; kept, so it should be one table for all calls
-- @tparam table records
-- @treturn table records
function M.list(columns, records)
  local metatable <const> = metatable_of(columns)
  for _, record in ipairs(records) do setmetatable(record, metatable) end
  return setmetatable(records, metatable)
end

--- One record.
-- @tparam {string,...} columns
-- @tparam table record
-- @treturn table record
function M.record(columns, record)
  return setmetatable(record, metatable_of(columns))
end

return M
