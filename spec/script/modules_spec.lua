-- What require finds.

local child = require "spec.support.child"

describe("require", function()
  it("finds the bindings and the modules inside the binary, from any directory", function()
    local result = child.run_script [[
      require("luv").chdir("/")
      for _, name in ipairs { "loop", "log", "json", "types", "kvsm", "http", "httpclient", "server" } do
        assert(type(require("kvserver." .. name)) == "table", name)
      end
      for _, name in ipairs { "task", "process", "client" } do
        local _, where = require("kvserver." .. name)
        assert(where == "lua/kvserver/" .. name .. ".lua", where)
      end
      require "argparse"
      print "all"
    ]]
    assert.are.same({ code = 0, signal = 0, stdout = "all\n", stderr = "" }, result)
  end)

  it("says for what is nowhere that the binary does not have it either", function()
    local ok, why = pcall(require, "kvserver.nothing")
    assert.is_false(ok)
    assert.matches("no module 'kvserver.nothing' inside the binary", why, 1, true)
  end)

  it("keeps Debian's paths for everything else", function()
    assert.matches("/usr/share/lua/5.4/?.lua", package.path, 1, true)
    assert.matches("/lua/5.4/?.so", package.cpath, 1, true)
  end)

  it("reads modules from the directory KVSERVER_LUA first", function()
    local dir = os.tmpname()
    os.remove(dir)
    assert(require("luv").fs_mkdir(dir, 448))
    assert(require("luv").fs_mkdir(dir .. "/kvserver", 448))
    local function write(text)
      local file <close> = assert(io.open(dir .. "/kvserver/version.lua", "w"))
      file:write(text)
    end
    write("return 'from disk'")
    local overridden = child.run({ "--version" }, nil, { KVSERVER_LUA = dir })
    write("return +")
    local broken = child.run({ "--version" }, nil, { KVSERVER_LUA = dir })
    os.remove(dir .. "/kvserver/version.lua")
    os.remove(dir .. "/kvserver")
    os.remove(dir)
    assert.are.equal("kvserver from disk\n", overridden.stdout)
    assert.are.equal(1, broken.code)
    assert.matches(dir .. "/kvserver/version.lua:1: unexpected symbol", broken.stderr, 1, true)
  end)
end)
