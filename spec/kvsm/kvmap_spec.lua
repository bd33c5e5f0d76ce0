local kvsm = require "kvserver.kvsm"
local seeded = require "spec.kvsm.seeded"

local function numbered(count)
  local keys = {}
  for at = 1, count do keys[at] = ("k%07d"):format(at) end
  return keys
end

local function reversed(list)
  local back = {}
  for at = #list, 1, -1 do back[#back + 1] = list[at] end
  return back
end

local function shuffled(list)
  local copy = table.move(list, 1, #list, 1, {})
  for at = #copy, 2, -1 do
    local other = math.random(at)
    copy[at], copy[other] = copy[other], copy[at]
  end
  return copy
end

--- Keys in order, and their values, of a plain table.
local function sorted(model)
  local keys, values = {}, {}
  for key in pairs(model) do keys[#keys + 1] = key end
  table.sort(keys)
  for at, key in ipairs(keys) do values[at] = model[key] end
  return keys, values
end

local function assert_equals_model(model, view)
  local keys, values = sorted(model)
  local got_keys, got_values = view:entries()
  assert.equal(#keys, view:count())
  assert.same(keys, got_keys)
  assert.same(values, got_values)
end

local function copy_of(model)
  local copy = {}
  for key, value in pairs(model) do copy[key] = value end
  return copy
end

describe("kvmap", function()
  it("is empty at first", function()
    local map <close> = kvsm.map()
    assert.equal(0, map:count())
    assert.equal(0, map:bytes())
    assert.is_nil(map:get("k"))
    assert.is_false(map:delete("k"))
    assert.same({}, (map:entries()))
  end)

  it("overwrites in place and by replacement", function()
    local map <close> = kvsm.map()
    map:put("k", "one")
    map:put("k", "two")
    assert.equal("two", map:get("k"))
    map:put("k", "longer than before")
    assert.equal("longer than before", map:get("k"))
    map:put("k", "")
    assert.equal("", map:get("k"))
    assert.equal(1, map:count())
    assert.equal(1, map:bytes())
  end)

  it("orders keys by their bytes, shorter first", function()
    local map <close> = kvsm.map()
    local keys = {
      "", "\0", "\0\0", "\0\0\0\0\0", "\1", "a", "a\0", "a\0b", "ab", "b", "\127", "\128", "\255", "\255\0",
    }
    for _, key in ipairs(shuffled(keys)) do map:put(key, "=" .. key) end
    assert.same(keys, (map:entries()))
    for _, key in ipairs(keys) do assert.equal("=" .. key, map:get(key)) end
  end)

  it("keeps keys apart that differ only in length or behind a long common beginning", function()
    local map <close> = kvsm.map()
    local keys = {}
    for length = 0, 200 do keys[length + 1] = ("x"):rep(length) end
    for _, key in ipairs(shuffled(keys)) do map:put(key, tostring(#key)) end
    assert.same(keys, (map:entries()))
    for _, key in ipairs(keys) do assert.equal(tostring(#key), map:get(key)) end
    assert.is_nil(map:get(("x"):rep(100) .. "\0"))
    assert.is_nil(map:get(("x"):rep(201)))
  end)

  for name, order in pairs { ascending = function(list) return list end, descending = reversed, random = shuffled } do
    it("holds what is put in " .. name .. " order, through growing and shrinking", function()
      local map <close> = kvsm.map()
      local keys = numbered(6000)
      for _, key in ipairs(order(keys)) do map:put(key, key) end
      assert.same(keys, (map:entries()))
      for at, key in ipairs(order(keys)) do
        assert.is_true(map:delete(key))
        if at % 1000 == 0 then
          assert.equal(6000 - at, #(map:entries()))
        end
      end
      assert.equal(0, map:count())
      assert.equal(0, map:bytes())
    end)
  end

  it("appends in order, and refuses a key that is not greater", function()
    local map <close> = kvsm.map()
    local keys = numbered(5000)
    for _, key in ipairs(keys) do map:append(key, key) end
    assert.same(keys, (map:entries()))
    assert.has_error(function() map:append("k0005000", "") end)
  end)

  it("seeks the first key that is not smaller", function()
    local map <close> = kvsm.map()
    for at = 0, 1998, 2 do map:put(("%04d"):format(at), "") end
    for at = 0, 1998 do
      local found = map:entries(("%04d"):format(at), 1)
      assert.equal(at + at % 2 <= 1998 and ("%04d"):format(at + at % 2) or nil, found[1])
    end
    assert.equal("0000", map:entries("", 1)[1])
    assert.is_nil(map:entries("2", 1)[1])
  end)

  it("holds long keys and values", function()
    local map <close> = kvsm.map()
    local key, value = ("k"):rep(65535), ("v"):rep(1048576)
    map:put(key, value)
    map:put(key .. "", value .. "!")
    assert.equal(value .. "!", map:get(key))
    assert.has_error(function() map:put(key .. "k", "") end)
  end)

  it("shows a snapshot what was, whatever happens after", function()
    local map <close> = kvsm.map()
    local model = {}
    for _, key in ipairs(numbered(3000)) do
      map:put(key, "before")
      model[key] = "before"
    end
    local snapshot <close> = map:snapshot()
    for at, key in ipairs(numbered(3000)) do
      if at % 3 == 0 then map:delete(key) else map:put(key, "after!") end
    end
    for at = 1, 500 do map:put("new" .. at, "") end
    assert_equals_model(model, snapshot)
    assert.equal(2500, map:count())
  end)

  it("keeps a snapshot alive when the map is closed first", function()
    local map = kvsm.map()
    map:put("k", "v")
    local snapshot = map:snapshot()
    map:put("k", "w")
    map:close()
    assert.same({ "v" }, select(2, snapshot:entries()))
    snapshot:release()
    assert.has_error(function() snapshot:entries() end)
    assert.has_error(function() map:count() end)
  end)

  it("frees what released snapshots saw in steps that are asked for", function()
    local map <close> = kvsm.map()
    for _, key in ipairs(numbered(1000)) do map:put(key, "before") end
    local snapshot <close> = map:snapshot()
    for _, key in ipairs(numbered(1000)) do map:put(key, "after!") end
    snapshot:release()
    local calls = 1
    while map:reclaim(10) do calls = calls + 1 end
    assert.is_true(calls > 100 and calls < 130, "calls: " .. calls)
    assert.is_false(map:reclaim(10))
  end)

  it("can be taken apart in steps", function()
    local map <close> = kvsm.map()
    for _, key in ipairs(numbered(1000)) do map:put(key, key) end
    local calls = 1
    while map:dismantle(10) do calls = calls + 1 end
    assert.equal(100, calls)
    assert.has_error(function() map:put("k", "v") end)
  end)

  describe("against a plain table", function()
    local function random_key(random, universe)
      if random.chance(70) then return ("key-%05d"):format(random.int(universe)) end
      return random.bytes(random.int(0, 7), { "\0", "a", "b", "\255" })
    end

    local function random_value(random)
      if random.chance(90) then return random.bytes(4) end
      return random.bytes(random.int(0, 300))
    end

    --- Takes, compares or lets go of a snapshot.
    local function touch_snapshots(random, map, model, held)
      local action = random.int(3)
      if action == 1 and #held < 6 then
        held[#held + 1] = { snapshot = map:snapshot(), model = copy_of(model) }
      elseif #held > 0 then
        local one = table.remove(held, random.int(#held))
        assert_equals_model(one.model, one.snapshot)
        if action == 3 then one.snapshot:release() else table.insert(held, one) end
      end
      map:reclaim(random.int(0, 300))
    end

    local function change(random, map, model, universe, delete_percent)
      local key = random_key(random, universe)
      if random.chance(delete_percent) then
        assert.equal(model[key] ~= nil, map:delete(key))
        model[key] = nil
      else
        local value = random_value(random)
        map:put(key, value)
        model[key] = value
      end
      local probe = random_key(random, universe)
      assert.equal(model[probe], map:get(probe))
    end

    local function play(random, universe, steps_count, delete_percent, map, model, held)
      for step = 1, steps_count do
        change(random, map, model, universe, delete_percent)
        if step % 211 == 0 then touch_snapshots(random, map, model, held) end
      end
      assert_equals_model(model, map)
    end

    it("agrees over thousands of random operations and snapshots", seeded.run(function(random)
      local map <close> = kvsm.map()
      local model, held = {}, {}
      for _, delete_percent in ipairs { 10, 90, 30, 70, 50 } do
        play(random, 4000, 3000, delete_percent, map, model, held)
      end
      for _, one in ipairs(held) do
        assert_equals_model(one.model, one.snapshot)
        one.snapshot:release()
      end
      while map:reclaim(100) do end
      assert_equals_model(model, map)
    end))

    it("agrees for few keys that come and go all the time", seeded.run(function(random)
      local map <close> = kvsm.map()
      local model, held = {}, {}
      play(random, 40, 8000, 50, map, model, held)
      for _, one in ipairs(held) do assert_equals_model(one.model, one.snapshot) end
    end))

    it("agrees when windows of keys are deleted", seeded.run(function(random)
      local map <close> = kvsm.map()
      local model = {}
      for _, key in ipairs(numbered(10000)) do
        map:put(key, "v")
        model[key] = "v"
      end
      local held = { snapshot = map:snapshot(), model = copy_of(model) }
      for _ = 1, 15 do
        local keys = map:entries(("k%07d"):format(random.int(10000)), random.int(600))
        for _, key in ipairs(keys) do
          assert.is_true(map:delete(key))
          model[key] = nil
        end
        assert_equals_model(model, map)
      end
      assert_equals_model(held.model, held.snapshot)
    end))
  end)
end)
