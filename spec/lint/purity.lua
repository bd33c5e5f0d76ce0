--- Checks that object files are pure: `kvserver spec/lint/purity.lua build/src/raft/core` prints each symbol that they
-- take from outside without leave, and each variable of their own that lives on between calls, and exits 1.
--
-- What is left can only be a function of its arguments: there is no call to ask for time, randomness, memory, files,
-- sockets or threads, and no place to remember anything.

local allowed <const> = {
  memcpy = true, memmove = true, memset = true, memcmp = true, -- on what the caller hands in
  check_failed = true, -- base/check.h: the end
  __stack_chk_fail = true, __popcountdi2 = true, _GLOBAL_OFFSET_TABLE_ = true, -- of the compiler
  __memcpy_chk = true, __memmove_chk = true, __memset_chk = true,
}
local variables <const> = {
  [".data"] = true, [".bss"] = true, [".tdata"] = true, [".tbss"] = true, ["*COM*"] = true,
}

-- All symbols of the object files: a list of { path, name, section }; *UND* is that of what comes from outside.
local function read_symbols(folder)
  local symbols = {}
  local list <close> = assert(io.popen(("find '%s' -name '*.o' | sort | xargs -r nm -A -f sysv"):format(folder)))
  for line in list:lines() do
    local path, name, rest = line:match("^(%S+%.o):([^%s|]+)%s*|(.*)$")
    if path then symbols[#symbols + 1] = { path = path, name = name, section = rest:match("|(%S*)%s*$") } end
  end
  return symbols
end

local function names_defined(symbols)
  local names = {}
  for _, symbol in ipairs(symbols) do
    if symbol.section ~= "*UND*" then names[symbol.name] = true end
  end
  return names
end

-- nil, or what is wrong.
local function refuse(symbol, own)
  local section = symbol.section:gsub("^(%.%l+)%..*", "%1")
  if symbol.section:find("^%.data%.rel%.ro") then return nil end -- constants with addresses in them
  if variables[section] then return ("the variable %s outlives the call"):format(symbol.name) end
  if section ~= "*UND*" or own[symbol.name] or allowed[symbol.name] then return nil end
  return ("%s comes from outside"):format(symbol.name)
end

local folder = arg[1] or "build/src/raft/core"
local symbols = read_symbols(folder)
local own, offences = names_defined(symbols), 0
for _, symbol in ipairs(symbols) do
  local why = refuse(symbol, own)
  if why then
    offences = offences + 1
    print(("%s: %s"):format(symbol.path, why))
  end
end
if #symbols == 0 then print("no object files: " .. folder) end
os.exit(#symbols > 0 and offences == 0)
