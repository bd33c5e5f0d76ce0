--- Tells the manager that started this process (systemd, or one like it) how far it has come: sd_notify(3).
--
--     require("kvserver.notify").tell "READY=1"
local log = require "kvserver.log"
local unixsocket = require "kvserver.unixsocket"

local M = {}

--- Sends a state to the socket that NOTIFY_SOCKET names; nothing when it names none. A failure is logged, and no more:
-- the node serves all the same.
-- @tparam string state "READY=1" or "STOPPING=1"
function M.tell(state)
  local address <const> = os.getenv "NOTIFY_SOCKET"
  if not address or address == "" then return end
  local sent <const>, why = unixsocket.send(address, state)
  if not sent then log.write("warn", "notify", "not_sent", { state = state, why = why }) end
end

return M
