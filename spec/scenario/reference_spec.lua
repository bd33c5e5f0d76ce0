-- The reference of the scenario language: that it says what there is, and that what it says is there.
local kv = require "kvserver.scenario"
local reference = require "spec.scenario.reference"

local function readme()
  local file <close> = assert(io.open "scenarios/README.md")
  return file:read "a"
end

-- What the names before the dot or colon of a verb are.
local function owners(c)
  return {
    kv = kv, check = require "kvserver.check", sight = require "kvserver.sight", c = c, n = c:node(1),
    ["c.net"] = c.net, ["n.disk"] = c:node(1).disk, ["n.clock"] = c:node(1).clock, client = c:client(), load = c:load(),
    nemesis = c:nemesis {},
  }
end

describe("the reference", function()
  it("in scenarios/README.md is what `make reference` writes", function()
    local text <const> = readme()
    assert(text == reference.fill_in(text), "scenarios/README.md is not up to date: make reference")
  end)

  it("names functions that there are, each above its own comment", function()
    local c <close> = kv.cluster { nodes = 1 }
    local own <const> = owners(c)
    local verbs <const> = reference.verbs()
    assert.is_true(#verbs > 80)
    for _, verb in ipairs(verbs) do
      local owner <const> = own[verb.owner] or error(("%s: %s is nothing"):format(verb.text, verb.owner))
      assert(type(owner[verb.name]) == "function", verb.text .. ": there is no such function")
      local made_elsewhere <const> = verb.code_name == "new" or verb.code_name == "start" or verb.code_name == "calm"
      assert(verb.code_name == verb.name or made_elsewhere, ("%s: stands above %s"):format(verb.text, verb.code_name))
    end
  end)

  it("has each verb once, with a sentence", function()
    local seen = {}
    for _, verb in ipairs(reference.verbs()) do
      local name <const> = verb.owner .. "." .. verb.name
      assert.is_nil(seen[name], name)
      assert.matches("^.+[.:]", verb.comment, verb.text)
      seen[name] = true
    end
  end)

  it("has all functions of kv, check and sight, and all verbs of the objects", function()
    local c <close> = kv.cluster { nodes = 1 }
    -- The runner's and the language's own.
    local named = { ["kv.finish"] = true, ["c.await"] = true, ["c.tell_leader"] = true, ["c.count"] = true }
    for _, verb in ipairs(reference.verbs()) do named[verb.owner .. "." .. verb.name] = true end
    for name, owner in pairs(owners(c)) do
      local class <const> = getmetatable(owner) and getmetatable(owner).__index or owner
      for verb, f in pairs(type(class) == "table" and class or {}) do
        local is_verb <const> = type(f) == "function" and not verb:find "^__"
        assert(not is_verb or named[name .. "." .. verb], ("%s.%s has no @verb"):format(name, verb))
      end
    end
  end)
end)
