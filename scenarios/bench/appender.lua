--- Appends to a file and syncs each append: `kvserver appender.lua FILE BYTES SECONDS`. The file is filled with zeros
-- first, and the appends write over them, as a write-ahead log does. Prints the median time of an append, in us.
local uv = require "luv"

local FILE_BYTES <const> = 64 << 20
local MODE <const> = 384 -- rw-------

local path <const>, bytes <const>, seconds <const> = arg[1], math.tointeger(tonumber(arg[2])), tonumber(arg[3])
local file <const> = assert(uv.fs_open(path, "w+", MODE))
local zeros <const> = ("\0"):rep(1 << 20)
for offset = 0, FILE_BYTES - #zeros, #zeros do assert(uv.fs_write(file, zeros, offset)) end
assert(uv.fs_fsync(file))

local piece <const> = ("x"):rep(bytes)
local durations, offset = {}, 0
local end_ns <const> = uv.hrtime() + seconds * 1000000000
repeat
  local start_ns = uv.hrtime()
  assert(uv.fs_write(file, piece, offset))
  assert(uv.fs_fdatasync(file))
  local now_ns = uv.hrtime()
  durations[#durations + 1] = now_ns - start_ns
  offset = (offset + bytes) % (FILE_BYTES - bytes)
until now_ns >= end_ns
table.sort(durations)
print(("p50_us=%d"):format(durations[#durations // 2 + 1] // 1000))
os.remove(path)
