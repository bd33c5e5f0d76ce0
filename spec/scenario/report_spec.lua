-- What is kept of a telling: which files, what is in them, and when there is none.
local child = require "spec.support.child"
local directory = require "spec.support.directory"
local json = require "kvserver.json"
local uv = require "luv"

local STORY <const> = [[
local kv = require "kvserver.scenario"
kv.scenario("what is (kept)", { nodes = 3 }, function(c)
  kv.sometimes("a thing", function() return true end)
  c:client():put("k", "\255")
  c:client():mput { { key = "a", value = "1" }, { key = "b", value = "2" } }
  FAILS
end)
]]

local function run(fails, ...)
  local file <close> = child.file((STORY:gsub("FAILS", fails and 'error { failed = "on purpose" }' or "")))
  return child.run { "--script", file.path, "--seed", "5", "--quiet", ... }, file.path
end

local function lines_of(dir, name)
  local list = {}
  for line in dir:read(name):gmatch "[^\n]+" do list[#list + 1] = json.decode(line) end
  return list
end

describe("--report in sim", function()
  it("keeps the verdict and the line that tells it again", function()
    local dir <close> = directory.new()
    local _, path = run(true, "--report", dir.path)
    local verdict = lines_of(dir, "what-is-kept-sim-5/verdict.json")[1]
    assert.same({ "what is (kept)", "sim", 5, "fail", "on purpose", 3, { ["a thing"] = true } },
      { verdict.name, verdict.world, verdict.seed, verdict.verdict, verdict.why, verdict.operations, verdict.happened })
    assert.is_true(verdict.ms > 0)
    assert.equal(("kvserver --script %s --world sim --seed 5"):format(path), verdict.replay)
  end)

  it("keeps the account as it was printed", function()
    local dir <close> = directory.new()
    local file <close> = child.file((STORY:gsub("FAILS", "")))
    local result = child.run { "--script", file.path, "--seed", "5", "--report", dir.path }
    local account <const> = dir:read "latest/account.txt"
    assert.matches("leads in term 1", account)
    assert.truthy(result.stdout:find(account, 1, true))
  end)

  it("keeps a line per operation, bytes that are no text as base64", function()
    local dir <close> = directory.new()
    run(false, "--report", dir.path)
    local history = lines_of(dir, "latest/history.jsonl")
    assert.equal(3, #history)
    local put, a, b = table.unpack(history)
    assert.same({ 1, "c1", "put", "k", "/w==", "ok", 1 },
      { put.id, put.client, put.kind, put.key, put.value_base64, put.outcome, put.seq })
    assert.is_nil(put.value)
    assert.equal("ok", put.attempts[#put.attempts].answer)
    assert.equal(put.node, put.attempts[#put.attempts].node)
    assert.is_true(put.called <= put.returned)
    assert.same({ "1", "2", 1, 1 }, { a.value, b.value, a.batch, b.batch })
  end)

  it("keeps a line per event, with the number that --until takes", function()
    local dir <close> = directory.new()
    run(false, "--report", dir.path)
    local trace, last, kinds = lines_of(dir, "latest/trace.jsonl"), 0, {}
    for _, record in ipairs(trace) do
      assert.is_true(record.event >= last)
      assert.is_string(record.text)
      last, kinds[record.kind] = record.event, true
    end
    for _, kind in ipairs { "append", "vote_reply", "state", "turn" } do assert.is_true(kinds[kind], kind) end
  end)

  it("takes explanations and lines that are no text", function()
    local dir <close> = directory.new()
    local file <close> = child.file [[
      local kv = require "kvserver.scenario"
      kv.scenario("bytes", { nodes = 1 }, function()
        kv.mark "a \255 mark"
        error { failed = "held \255" }
      end)
    ]]
    local junit <const> = dir.path .. "/junit.xml"
    local result = child.run { "--script", file.path, "--seed", "1", "--report", dir.path, "--junit", junit }
    assert.equal("", result.stderr)
    assert.equal("held \\xff", lines_of(dir, "latest/verdict.json")[1].why)
    assert.matches("a \\xff mark\n", dir:read "latest/account.txt")
    assert.matches('<failure message="fail">held \\xff</failure>', dir:read "junit.xml")
    assert.matches("\n  seed 1: held \\xff\n", child.run({ "--script", file.path, "--seeds", "1..2" }).stdout)
  end)

  it("links the newest, and writes a folder anew", function()
    local dir <close> = directory.new()
    run(true, "--report", dir.path)
    run(false, "--report", dir.path)
    assert.equal("what-is-kept-sim-5", uv.fs_readlink(dir.path .. "/latest"))
    assert.equal("pass", lines_of(dir, "latest/verdict.json")[1].verdict)
  end)

  it("is not needed: then nothing is kept", function()
    assert.is_nil(run(true).stdout:find "kept:")
  end)
end)

describe("a world with files", function()
  it("keeps data directories and logs of what failed, and names the place", function()
    local result = run(true, "--world", "child")
    local path <const> = result.stdout:match "\n  kept: (%S+)\n"
    local dir <close> = setmetatable({ path = path }, getmetatable(directory.new()))
    for _, name in ipairs { "n1.log", "n1/FORMAT", "verdict.json", "history.jsonl" } do
      assert.is_true(#dir:read(name) > 0, name)
    end
    assert.equal("account", lines_of(dir, "trace.jsonl")[1].kind)
  end)

  it("keeps nothing of what passed, unless it is told to", function()
    assert.is_nil(run(false, "--world", "inproc").stdout:find "kept:")
    local dir <close> = directory.new()
    run(false, "--world", "inproc", "--report", dir.path)
    assert.is_true(#dir:read "latest/n2/FORMAT" > 0)
  end)
end)
