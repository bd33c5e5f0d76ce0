--- Prints what `make install` installs beside the program: `kvserver share/write.lua manual|completion`.
local what <const> = assert(arg[1], "expected manual or completion")

io.write(require("share." .. what).text())
