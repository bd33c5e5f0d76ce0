-- Patterns of statements: as the library's own, whoever does them.
local pattern = require "kvserver.console.node.pattern"
local text = require "kvserver.console.node.text"

local ROUNDS <const> = 5000

-- What a call gives, or raises, without a place.
local function outcome(f, ...)
  local results <const> = table.pack(pcall(f, ...))
  if results[1] then return results end
  return { false, (tostring(results[2]):gsub("^[^:]*:%d+: ", "")) }
end

local function all(iterate, ...)
  return outcome(function(...)
    local list <const> = {}
    for a, b in iterate(...) do list[#list + 1] = tostring(a) .. "," .. tostring(b) end
    return list
  end, ...)
end

-- The matcher in Lua has to do it: behind so many repetitions that the library's own would not be asked.
local SLOW <const> = ("z?"):rep(20)

local function slow(f)
  return function(subject, p, ...)
    if p:sub(1, 1) == "^" then return f(subject, "^" .. SLOW .. p:sub(2), ...) end
    return f(subject, SLOW .. p, ...)
  end
end

describe("patterns in Lua", function()
  local cases <const> = {
    { "hello world", "o" }, { "hello world", "l+" }, { "hello world", "(o)( ?)" },
    { "key = value", "^(%w+)%s*=%s*(%w+)$" }, { "aaa", "a-" }, { "aaab", "a-b" }, { "", "" }, { "", "^$" },
    { "abc", "()b()" }, { "f(a(b)c)d", "%b()" }, { "THE (quick) fox", "%f[%a]%a+" }, { "abcabc", "(abc)%1" },
    { "[]]", "[]]+" }, { "a^b", "[%^]" }, { "a-b", "[a%-]+" }, { "x^y", "x^y" }, { "a$b", "a$b" }, { "a$", "a%$$" },
    { "ab\0cd", "%z" }, { "ab\0cd", "b.c" }, { "äöü", "[\xc0-\xff]+" }, { "0xFF", "^0[xX](%x+)$" },
    { "  trim  ", "^%s*(.-)%s*$" }, { "a,b,,c", "([^,]*)" }, { "abc", "((a)(b))" }, { "abc", "$" }, { "abc", ".-" },
    { "abc", "[a-c]?x?" }, { "abc", "%" }, { "abc", "[a" }, { "abc", "(a" }, { "abc", "a)" }, { "abc", "%1" },
    { "abc", "%b" }, { "abc", "%f" }, { "abc", "(a%1)" }, { "aXb", "%u" }, { "a.b", "%." }, { "a.b", "%p+" },
    { "ab", "a[^b]*b" },
  }
  for _, case in ipairs(cases) do
    local subject <const>, p <const> = case[1], case[2]
    it(("do '%s' in '%s' as the library does"):format(p, subject):gsub("[^ -~]", "?") .. "", function()
      local function match(s, q)
        local m <const> = pattern.matcher(q, s)
        local first <const>, last = m:search(1)
        if not first then return nil end
        if m.level == 0 then return s:sub(first, last) end
        return m:captures()
      end
      local expected <const>, got = outcome(string.match, subject, p), outcome(match, subject, p)
      if expected[1] then return assert.same(expected, got) end
      assert.is_false(got[1])
      assert.equal(expected[2], got[2])
    end)
  end

  -- Short texts of few letters, and patterns of all there is in patterns.
  local function random_of(pieces, count_max)
    local parts <const> = {}
    for i = 1, math.random(0, count_max) do parts[i] = pieces[math.random(#pieces)] end
    return table.concat(parts)
  end
  local LETTERS <const> = { "a", "b", "c", " ", "1", "(", ")" }
  local PIECES <const> = {
    "a", "b", ".", "%a", "%s", "[ab]", "[^a]", "a*", "b+", ".-", "c?", "%d*", "[ab]-", "(", ")", "()", "%1", "%b()",
    "%f[a]", "(a", "b)", "(.-)", "(a*)", "$", "^",
  }
  local REPLACEMENTS <const> = {
    "<%0>", "<%1>", "%%", "x", "", { a = "A", b = 1, c = false },
    function(a, b) return b and "2" or a == "a" and "1" or nil end,
  }

  it("do random ones as the library does", function()
    for _ = 1, ROUNDS do
      local subject <const>, p = random_of(LETTERS, 8), random_of(PIECES, 5)
      local replacement <const> = REPLACEMENTS[math.random(#REPLACEMENTS)]
      local what <const> = ("%q in %q"):format(p, subject)
      local init <const> = math.random(-9, 9)
      local expected <const> = outcome(string.find, subject, p, init)
      local _, opened <const> = p:gsub("%(", "")
      local _, closed <const> = p:gsub("%)", "")
      if expected[1] and opened == closed then -- what is malformed is found where it is met, which may be later
        local quantified <const> = SLOW .. p
        if not p:find("^%^") then
          for _, name in ipairs { "find", "match" } do
            local same <const> = outcome(string[name], subject, quantified, init)
            assert.same(same, outcome(slow(text[name]), subject, p, init), what)
          end
          assert.same(all(string.gmatch, subject, quantified), all(slow(text.gmatch), subject, p), what)
        end
        assert.same(outcome(string.gsub, subject, p, replacement), outcome(text.gsub, subject, p, replacement), what)
      end
    end
  end)

  it("take what the library takes, and refuse what it refuses", function()
    local calls <const> = {
      { "find", 12345, 34 }, { "find", "a.b", ".", 1, true }, { "find", "abc", "b", 10 }, { "find", "abc", "", 4 },
      { "find", "abc", "", 5 }, { "find", "abc", "b", -1 }, { "match", 2024, "%d%d" },
      { "gsub", "abc", "%w", "%0%0", 2 }, { "gsub", "abc", "", "-" }, { "gsub", "hello", "l", { l = "L" } },
      { "gsub", "abc", "b", "%2" }, { "gsub", "abc", "b", "%x" }, { "gsub", "abc", "b", true },
      { "gsub", "abc", "b", "x", 0 }, { "gsub", "abc", "^a", "x" }, { "find", nil, "x" }, { "match", "x" },
      { "gsub", "x", "y" }, { "find", "abc", "b", 1.5 }, { "gsub", "abc", "%w", function() return {} end },
      { "gsub", "abc", "(b)()", function(a, b) return a .. b end },
    }
    for _, call in ipairs(calls) do
      local name <const> = call[1]
      local expected <const> = outcome(string[name], table.unpack(call, 2, 5))
      local got <const> = outcome(text[name], table.unpack(call, 2, 5))
      for _, one in ipairs { expected, got } do
        if one[1] == false then one[2] = one[2]:match("%((.*)%)$") or one[2] end
      end
      assert.same(expected, got, table.concat({ name, tostring(call[2]), tostring(call[3]) }, " "))
    end
  end)

  it("are done in Lua where the library's own would take its time", function()
    local subject <const> = ("a"):rep(300)
    assert.is_nil(text.find(subject .. "x", ("a?"):rep(3) .. ".-b"))
    assert.equal(300, #text.match(subject, "^(.*)a*$"))
    local words <const> = {}
    for word in text.gmatch(("word "):rep(2000), "%a+") do words[#words + 1] = word end
    assert.equal(2000, #words)
    assert.equal(2000, select(2, text.gsub(("word "):rep(2000), "(%a+) ", "%1;")))
  end)
end)
