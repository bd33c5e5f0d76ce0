--- A client of the admin socket of a node (kvserver.admin), for scenarios: blocking, on the loop.
--
--     local admin_client = require "kvserver.admin_client"
--     local node <close> = assert(admin_client.connect("n1.data/admin.sock"))
--     print(assert(node:call("status")).role)
--     assert(node:call("faults.link", "n2", { cut = true }))
local json = require "kvserver.json"
local task = require "kvserver.task"
local uv = require "luv"

local M = {}

local TIMEOUT_MS <const> = 5000
local CLOSED <const> = "the connection is closed"

local Client = {}
Client.__index = Client

-- Ends it: who waits for an answer gets none.
local function give_up(self, why)
  if self.why_closed then return end
  self.why_closed = why
  self.pipe:close()
  for _, waiting in ipairs(self.waiting) do waiting:set(nil, why) end
  self.waiting = {}
end

local function take_answer(self, line)
  local waiting <const> = table.remove(self.waiting, 1)
  local answer <const> = json.decode(line)
  if not waiting or type(answer) ~= "table" then return give_up(self, "an answer that makes no sense: " .. line) end
  if answer.ok then
    waiting:set(answer.result)
  else
    waiting:set(nil, answer.err_msg)
  end
end

-- Answers may be long: pieces are put together once their end is there.
local function take(self, data)
  local from = 1
  for finish in data:gmatch("()\n") do
    self.pieces[#self.pieces + 1] = data:sub(from, finish - 1)
    local line <const> = table.concat(self.pieces)
    self.pieces = {}
    from = finish + 1
    take_answer(self, line)
  end
  self.pieces[#self.pieces + 1] = data:sub(from)
end

local function read(self)
  self.pipe:read_start(function(_, data)
    if self.why_closed then return end
    if data then return take(self, data) end
    give_up(self, CLOSED)
  end)
end

--- Connects.
-- @tparam string path of the socket
-- @tparam[opt=5000] number timeout_ms for each answer
-- @return the client, a `<close>` value; or nil and why not
function M.connect(path, timeout_ms)
  local self <const> = setmetatable({
    pipe = uv.new_pipe(false), waiting = {}, pieces = {}, timeout_ms = timeout_ms or TIMEOUT_MS,
  }, Client)
  local connected <const> = task.event()
  local ok, why = self.pipe:connect(path, function(failed) connected:set(failed) end)
  if not ok then connected:set(why) end
  local in_time, failed = connected:wait(self.timeout_ms)
  if in_time and not failed then
    read(self)
    return self
  end
  self.pipe:close()
  return nil, ("%s: %s"):format(path, failed or "timeout")
end

--- Asks for something and waits for the answer.
-- @tparam string name of the command: see kvserver.admin_commands
-- @param ... its arguments
-- @return the result; or nil and why not: what the node says, "timeout", or why there is no connection
function Client:call(name, ...)
  if self.why_closed then return nil, self.why_closed end
  local arguments <const> = table.pack(...)
  for i = 1, arguments.n do
    if arguments[i] == nil then arguments[i] = json.null end
  end
  arguments.n = nil
  local answered <const> = task.event()
  self.pipe:write(json.encode { ["do"] = name, args = json.array(arguments) } .. "\n")
  self.waiting[#self.waiting + 1] = answered
  local in_time, result, why = answered:wait(self.timeout_ms)
  if not in_time then return nil, "timeout" end
  return result, why
end

--- Closes the connection; requests that wait end without an answer. Any number of times.
function Client:close()
  give_up(self, CLOSED)
end

Client.__close = Client.close

return M
