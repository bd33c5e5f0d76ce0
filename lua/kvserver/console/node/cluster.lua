--- What the members of a cluster say of themselves, as commands of the console ask them.
local httpclient = require "kvserver.httpclient"
local json = require "kvserver.json"

local M = {}

local ANSWER_MS <const> = 1000

--- The members and their addresses.
-- @tparam table config complete, of kvserver.config
-- @treturn {string,...} ids, sorted
-- @treturn table id -> HOST:PORT
function M.members(config)
  local addresses <const> = config.peers or { [config.id] = config.listen or "" }
  local ids <const> = {}
  for id in pairs(addresses) do ids[#ids + 1] = id end
  table.sort(ids)
  return ids, addresses
end

local function answer_of(call)
  local response <const>, kind, text = call:wait()
  if not response then return nil, ("%s: %s"):format(kind, text) end
  local status <const> = response.status == 200 and json.decode(response.body)
  if type(status) ~= "table" then return nil, "HTTP " .. response.status end
  return status
end

--- Asks all the others for their status, at once, and waits for the last of them, a second at most.
-- @tparam table config complete, of kvserver.config
-- @treturn table id -> as GET /status
-- @treturn table id -> why there is none
function M.ask_others(config)
  local clients <const>, calls = {}, {}
  local _ <close> = setmetatable({}, { __close = function()
    for _, client in pairs(clients) do client:close() end
  end })
  local ids <const>, addresses = M.members(config)
  for _, id in ipairs(ids) do
    if id ~= config.id then
      local host <const>, port = addresses[id]:match("^%[?(.-)%]?:(%d+)$")
      clients[id] = httpclient.open { host = host, port = math.tointeger(tonumber(port)) }
      calls[id] = clients[id]:start { target = "/status", timeout_ms = ANSWER_MS }
    end
  end
  local answers <const>, silent = {}, {}
  for id, call in pairs(calls) do answers[id], silent[id] = answer_of(call) end
  return answers, silent
end

return M
