--- Which node the console attaches to: from a TARGET to the path of an admin socket, and the nodes that there are on
-- this machine.
local admin_client = require "kvserver.admin_client"
local escape = require "kvserver.console.escape"
local files = require "kvserver.files"
local options = require "kvserver.options"
local uv = require "luv"

local M = {}

local PATH_BYTES_MAX <const> = 107 -- what the address of a Unix socket has room for
local PING_MS <const> = 1000
local PROGRAM <const> = "kvserver" -- as the system calls its processes
local LISTENING <const> = 0x10000 -- a flag in /proc/net/unix

--- Kinds of failure, as exit codes.
M.USAGE, M.NO_NODE = 2, 3

local function kind_of(path)
  local status <const> = uv.fs_stat(path)
  return status and status.type
end

-- The socket of a data directory; a path that is too long from the root may be short enough from here.
local function socket_in(directory)
  return (directory:gsub("/+$", "")) .. "/admin.sock"
end

local function check_length(path)
  if #path <= PATH_BYTES_MAX then return path end
  return nil, ("%s: the path of a Unix socket has up to %d bytes, and this has %d: go to a directory nearer to it")
    :format(path, PATH_BYTES_MAX, #path), M.USAGE
end

local function no_such(target)
  if options.address(target) then
    return nil, ("%s: a console over the network is not there before there is authentication; TARGET is a data "
      .. "directory, or the path of an admin socket"):format(target), M.USAGE
  end
  return nil, target .. ": no such data directory or socket", M.NO_NODE
end

--- The socket that a TARGET means.
-- @tparam string target a data directory, or the path of a socket
-- @treturn ?string its path; or nil, why not, and USAGE or NO_NODE
function M.resolve(target)
  local path <const>, why, code = check_length(target)
  local kind <const> = kind_of(target)
  if kind == "directory" then
    local inside <const> = socket_in(target)
    local short <const>, too_long, usage = check_length(inside)
    if not short then return nil, too_long, usage end
    if kind_of(inside) == "socket" then return inside end
    return nil, ("%s: no node runs there (there is no %s)"):format(target, inside), M.NO_NODE
  end
  if not path then return nil, why, code end
  if not kind then return no_such(target) end
  if kind ~= "socket" then
    return nil, target .. ": not a socket; TARGET is a data directory, or the path of an admin socket", M.USAGE
  end
  return path
end

-- The inodes of the sockets of all processes of this program whose descriptors this user may see: a set of texts.
local function own_sockets()
  local inodes <const> = {}
  for _, pid in ipairs(files.names "/proc") do
    local comm <close> = pid:find "^%d" and io.open(("/proc/%s/comm"):format(pid)) or nil
    if comm and comm:read "l" == PROGRAM then
      for _, fd in ipairs(files.names(("/proc/%s/fd"):format(pid))) do
        local link <const> = uv.fs_readlink(("/proc/%s/fd/%s"):format(pid, fd))
        local inode <const> = link and link:match "^socket:%[(%d+)%]$"
        if inode then inodes[inode] = true end
      end
    end
  end
  return inodes
end

-- The paths of sockets that a node may listen on, as they were bound: those of processes of this program, and those
-- that are called as admin sockets are.
local function candidates()
  local file <close> = io.open "/proc/net/unix"
  local inodes <const>, paths, seen = own_sockets(), {}, {}
  for line in file and file:lines() or function() end do
    local flags <const>, inode, path = line:match "^%x+: %x+ %x+ (%x+) %x+ %x+ +(%d+) (/.+)$"
    local listens <const> = path and tonumber(flags, 16) & LISTENING ~= 0
    if listens and not seen[path] and (inodes[inode] or path:find "/admin%.sock$") then
      seen[path] = true
      paths[#paths + 1] = path
    end
  end
  table.sort(paths)
  return paths
end

-- Asks who is there: nil when it is no node, or another's.
local function ping(path)
  local client <close> = admin_client.connect(path, PING_MS)
  local answer <const> = client and client:call "ping"
  if type(answer) ~= "table" or type(answer.id) ~= "string" then return nil end
  answer.path = path
  return answer
end

--- The nodes of this machine whose admin sockets this user may use. Waits.
-- @treturn {table,...} what each says to `ping` (id, pid, ...), and its `path`; by path
function M.nodes()
  local found <const> = {}
  for _, path in ipairs(candidates()) do found[#found + 1] = ping(path) end
  return found
end

local function several(found)
  local lines <const> = { "several nodes run on this machine; say which:" }
  for _, node in ipairs(found) do
    lines[#lines + 1] = ("  kvserver --console %s   (%s)"):format(escape.text(node.path), escape.text(node.id))
  end
  return table.concat(lines, "\n")
end

--- The socket that is meant when there is no TARGET: that of ./kvdata, else that of the one node of this machine.
-- @treturn ?string its path; or nil, why not, and USAGE or NO_NODE
function M.default()
  local here <const> = socket_in "./kvdata"
  if kind_of(here) == "socket" then return here end
  local found <const> = M.nodes()
  if #found == 1 then return found[1].path end
  if #found == 0 then return nil, "no node runs on this machine, as far as this user can see", M.NO_NODE end
  return nil, several(found), M.USAGE
end

return M
