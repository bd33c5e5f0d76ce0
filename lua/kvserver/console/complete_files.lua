--- Names of files of this machine, behind a quote: what Tab comes to in a string that begins as a path does.
--
--     files.candidates 'x = "/etc/host'    --> {"/etc/hostname", "/etc/hosts"}, 6
local escape = require "kvserver.console.escape"
local files = require "kvserver.files"
local uv = require "luv"

local M = {}

local CANDIDATES_MAX <const> = 200

local function is_directory(path)
  local status <const> = uv.fs_stat(path)
  return status ~= nil and status.type == "directory"
end

-- Where a path of the user's home is.
local function expand(path)
  return (path:gsub("^~/", (os.getenv "HOME" or "") .. "/", 1))
end

-- What can stand in a string as it is.
local function is_plain(name)
  return escape.text(name) == name and not name:find "[\"'\\]"
end

--- The candidates at the end of a text.
-- @tparam string text up to the cursor
-- @treturn ?{string,...} paths, sorted, those of directories with a / behind; nil: no string that begins a path ends
-- there
-- @treturn ?integer the byte of the text, from 1, where the path begins
function M.candidates(text)
  local quote <const>, path = text:match "([\"'])([^\"']*)$"
  if not quote or not path:find "^~?%.?%.?/" then return nil end
  if select(2, text:gsub(quote, "")) % 2 == 0 then return nil end -- the string ended there, and is divided
  local folder <const>, word = path:match "^(.*/)([^/]*)$"
  local found <const> = {}
  for _, name in ipairs(files.names(expand(folder))) do
    local fits <const> = name:sub(1, #word) == word and is_plain(name) and (word ~= "" or name:sub(1, 1) ~= ".")
    if fits then found[#found + 1] = folder .. name .. (is_directory(expand(folder .. name)) and "/" or "") end
    if #found == CANDIDATES_MAX then break end
  end
  return found, #text - #path + 1
end

return M
