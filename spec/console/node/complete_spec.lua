-- What a word that is being typed may become.
local console = require "spec.support.console"
local encode = require "kvserver.console.node.encode"

describe("completion", function()
  local w, c
  setup(function()
    w = console.world { peers = { n1 = "127.0.0.1:0", n2 = "127.0.0.1:2" } }
    c = w:attach { rw = true }
    c:eval [[
      list = { first = 1, fn = function(a, b, ...) return a, b, ... end, ['no name'] = 2, nested = { deep = {} } }]]
    c:eval("trap = setmetatable({}, { __index = function() error('ran') end, __pairs = function() error('ran') end })")
    c:eval("name = 'text'")
  end)
  teardown(function()
    c:close()
    getmetatable(w).__close(w)
  end)

  -- The words, and what would be there once the only one is taken.
  local function complete(text)
    local reply <const> = c:ask { ["do"] = "complete", text = text }
    local values <const> = encode.decode(reply.values)
    local words <const> = {}
    for i, candidate in ipairs(values[1]) do words[i] = candidate.text end
    return words, #words == 1 and text:sub(1, values[2] - 1) .. words[1] or nil, values[1]
  end

  local cases <const> = {
    { "raft.pe", "raft.peers" }, { "x = raft.pe", "x = raft.peers" }, { "kv.get(raf", "kv.get(raft" },
    { "list.fi", "list.first" }, { "list.nested.de", "list.nested.deep" }, { "list:f", "list:fn" },
    { "name:upp", "name:upper" }, { "help('raft.trans", "help('raft.transfer" },
    { "config.set(\"log_l", "config.set(\"log_level" }, { "log.level('d", "log.level('debug" },
    { "raft.transfer('n2", "raft.transfer('n2" }, { "fault.drop_next 'n2", "fault.drop_next 'n2" },
    { "whi", "while" },
  }
  for _, case in ipairs(cases) do
    it(("makes %q of %q"):format(case[2], case[1]), function()
      local _, whole <const> = complete(case[1])
      assert.equal(case[2], whole)
    end)
  end

  it("lists all there is, in order", function()
    assert.same({ "cas", "count", "delete", "get", "put", "scan" }, (complete("kv.")))
    assert.same({ "first", "fn", "nested" }, (complete("list.")))
    assert.same({ "n1", "n2" }, (complete("fault.hold('")))
    assert.is_true(#complete("") > 40)
  end)

  it("tells the arguments of functions", function()
    local _, _, found <const> = complete("kv.p")
    assert.same({ { text = "put", kind = "function", arguments = "key, value" } }, found)
    local _, _, own <const> = complete("list.fn")
    assert.same({ { text = "fn", kind = "function", arguments = "a, b, ..." } }, own)
    local _, _, both <const> = complete("confi")
    assert.same({ { text = "config", kind = "table", arguments = "" } }, both)
  end)

  it("finds nothing where there is nothing, and runs nothing", function()
    for _, text in ipairs { "nothing.", "list.first.", "trap.x", "trap.", "zzz", "kv.get('", "f()." } do
      assert.same({}, (complete(text)), text)
    end
  end)

  it("looks at what is near the cursor, however much is typed, and at names that somebody may type", function()
    for _, text in ipairs { ("a"):rep(100000), ("a."):rep(100000), ("f(''"):rep(100000) } do
      local start <const> = os.clock()
      complete(text .. " raft.pe")
      local _, whole <const> = complete(text .. " raft.pe")
      assert.equal(text .. " raft.peers", whole)
      complete(text)
      assert.is_true(os.clock() - start < 1)
    end
    c:eval("wide = {} for i = 1, 9000 do wide['k' .. i] = i end wide[('k'):rep(100000)] = 1")
    local found <const> = complete("wide.k")
    assert.equal(200, #found)
    assert.same({ "k1", "k10", "k100" }, { table.unpack(found, 1, 3) })
  end)

  it("works while a statement runs", function()
    local id <const> = c:begin("while true do end")
    local _, whole <const> = complete("raft.pe")
    assert.equal("raft.peers", whole)
    c:write { ["do"] = "cancel", id = id }
    assert.equal("cancelled", c:answer(id).kind)
  end)

  it("is refused without a text", function()
    assert.equal("refused", c:ask({ ["do"] = "complete" }).kind)
  end)
end)
