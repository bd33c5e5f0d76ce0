-- The lint over the includes, run as `make lint` runs it, on made-up trees.

local made_up_tree = require "spec.support.made_up_tree"

local function lint(files)
  return made_up_tree.lint("spec/lint/include_table.lua", files)
end

describe("the include table", function()
  local cases = {
    { "lets a room include itself and the rooms of its row", "kvsm/a.c",
      '#include "kvsm/a.h"\n#include "base/list.h"\n#include "types/command.h"\n', "" },
    { "refuses a room that is not in the row", "kvsm/a.c", '\n#include "http/parser.h"\n',
      'kvsm/a.c:2: "http/parser.h": kvsm may include only itself, base, types\n' },
    { "lets a room include one header of another where the row says so", "http/a.c",
      '#include "types/limits.h"\n', "" },
    { "refuses the other headers of that room", "http/a.c", '#include "types/json.h"\n',
      'http/a.c:1: "types/json.h": http may include only itself, base, types/limits.h\n' },
    { "refuses all other rooms to base", "base/a.h", '#include "types/limits.h"\n',
      'base/a.h:1: "types/limits.h": base may include only itself\n' },
    { "takes a folder inside a room for a room of its own", "raft/core/a.c", '#include "raft/node.h"\n',
      'raft/core/a.c:1: "raft/node.h": raft/core may include only itself, base/check.h\n' },
    { "keeps the pure core to itself and checks", "raft/core/a.c", '#include "base/check.h"\n#include "base/prng.h"\n',
      'raft/core/a.c:2: "base/prng.h": raft/core may include only itself, base/check.h\n' },
    { "lets the node put the core, the stores and the members together", "raft/node.c",
      '#include "raft/core/raft.h"\n#include "raft/storage/storage.h"\n#include "cluster/cluster.h"\n', "" },
    { "keeps sockets out of the node", "raft/node.c", '#include "io/tcp.h"\n',
      'raft/node.c:1: "io/tcp.h": raft may include only itself, base, types, metrics/histogram.h, kvsm, raft/core, '
        .. "raft/storage, cluster, distributedkv/raft_node.h\n" },
    { "keeps sockets and libuv out of the simulator", "sim/a.c", "#include <uv.h>\n",
      "sim/a.c:1: <uv.h> is not for this file\n" },
    { "keeps libuv out of the pure rooms", "httpapi/a.c", "#include <uv.h>\n",
      "httpapi/a.c:1: <uv.h> is not for this file\n" },
    { "lets io use libuv", "io/a.c", "#include <uv.h>\n", "" },
    { "keeps llhttp to the one file that wraps it", "http/connection.c", "#include <llhttp.h>\n",
      "http/connection.c:1: <llhttp.h> is not for this file\n" },
    { "keeps the clock out of the state machine", "kvsm/a.c", "#include <time.h>\n",
      "kvsm/a.c:1: <time.h> is not for this file\n" },
    { "refuses libraries that it has never heard of", "types/a.c", "#include <jansson.h>\n",
      "types/a.c:1: <jansson.h> is not in the table of spec/lint/include_table.lua\n" },
    { "refuses rooms that it has never heard of", "attic/a.c", '#include "base/list.h"\n',
      "attic/a.c:1: the room attic is not in the table of spec/lint/include_table.lua\n" },
    { "refuses headers that are named from beside", "kvsm/a.c", '#include "kvmap.h"\n',
      'kvsm/a.c:1: "kvmap.h" must be named by its path below src/\n' },
    { "sees through blanks", "base/a.c", ' #  include  "io/tcp.h"\n',
      'base/a.c:1: "io/tcp.h": base may include only itself\n' },
    { "refuses includes by macro, which it cannot read", "base/a.c", "#include HEADER\n",
      "base/a.c:1: an include that names no file\n" },
  }
  for _, case in ipairs(cases) do
    local title, path, text, expected = table.unpack(case)
    it(title, function()
      local output, code = lint { [path] = text }
      assert.equal(expected, output)
      assert.equal(expected == "" and 0 or 1, code)
    end)
  end

  it("fails on a tree without sources, so that a wrong path is no pass", function()
    local output, code = lint {}
    assert.matches("no files: ", output)
    assert.equal(1, code)
  end)
end)
