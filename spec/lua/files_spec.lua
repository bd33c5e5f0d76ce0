local directory = require "spec.support.directory"
local files = require "kvserver.files"
local uv = require "luv"

describe("files", function()
  it("makes a directory, does not mind one that is there, and says what is not possible", function()
    local dir <close> = directory.new()
    assert.is_true(files.make_directory(dir.path .. "/a"))
    assert.is_true(files.make_directory(dir.path .. "/a"))
    local ok, why = files.make_directory(dir.path .. "/b/c")
    assert.is_nil(ok)
    assert.matches("ENOENT", why)
  end)

  it("makes temporary directories, each of its own", function()
    local a <const>, b = files.make_temporary "purpose", files.make_temporary "purpose"
    assert.not_equal(a, b)
    assert.matches("^/tmp/kvserver%-purpose%-", a)
    files.remove_tree(a)
    files.remove_tree(b)
    assert.is_nil(uv.fs_stat(a))
  end)

  it("lists and removes what is in a directory, but not what links in it lead to", function()
    local dir <close> = directory.new()
    local outside <close> = directory.new()
    outside:write("kept", "x")
    for _, name in ipairs { "tree", "tree/b", "tree/empty" } do files.make_directory(dir.path .. "/" .. name) end
    for _, name in ipairs { "tree/z", "tree/a", "tree/b/c" } do dir:write(name, "x") end
    assert(uv.fs_symlink(outside.path, dir.path .. "/tree/link"))
    assert.same({ "a", "b/c", "z" }, files.list(dir.path .. "/tree"))
    assert.same({ "a", "b", "empty", "link", "z" }, files.names(dir.path .. "/tree"))
    files.remove_tree(dir.path .. "/tree")
    assert.same({}, dir:names())
    assert.same({ "kept" }, outside:names())
    files.remove_tree(dir.path .. "/nowhere")
    assert.same({}, files.list(dir.path .. "/nowhere"))
  end)

  it("sums up the sizes of files in a directory and below it", function()
    local dir <close> = directory.new()
    files.make_directory(dir.path .. "/below")
    dir:write("a", "12345")
    dir:write("below/b", "123")
    assert.equal(8, files.tree_bytes(dir.path))
    assert.equal(0, files.tree_bytes(dir.path .. "/nowhere"))
  end)

  it("leaves nothing behind in the registry, however often it lists", function()
    local dir <close> = directory.new()
    dir:write("a", "")
    local function registered()
      local count = 0
      for _ in pairs(debug.getregistry()) do count = count + 1 end
      return count
    end
    files.list(dir.path)
    local before <const> = registered()
    for _ = 1, 100 do files.list(dir.path) end
    collectgarbage()
    assert.is_true(registered() - before < 10)
  end)

  it("removes a file, too", function()
    local dir <close> = directory.new()
    dir:write("file", "x")
    files.remove_tree(dir.path .. "/file")
    assert.same({}, dir:names())
  end)
end)
