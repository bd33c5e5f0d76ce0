--- Writes the reference of the scenario language into scenarios/README.md: `make reference`.
local reference = require "spec.scenario.reference"

local PATH <const> = "scenarios/README.md"

local function read()
  local file <close> = assert(io.open(PATH))
  return file:read "a"
end

local document <const> = reference.fill_in(read())
local file <close> = assert(io.open(PATH, "w"))
assert(file:write(document))
