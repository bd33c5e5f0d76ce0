-- The lint over object files, run as `make lint` runs it, on made-up ones.

local process = require "kvserver.process"
local uv = require "luv"

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
end

-- Compiles the sources (name -> text), each to an object file; what the lint says of all, with its exit code.
local function lint(sources)
  local root = assert(uv.fs_mkdtemp("/tmp/kvserver-tree-XXXXXX"))
  local compile = { "/usr/bin/gcc", "-O2", "-c" }
  for name, source in pairs(sources) do
    compile[#compile + 1] = name .. ".c"
    write(("%s/%s.c"):format(root, name), source .. "\n")
  end
  if next(sources) then assert.equal(0, process.run({ args = compile, cwd = root }).code) end
  local result = process.run { args = { process.self(), "spec/lint/purity.lua", root } }
  os.execute(("rm -rf '%s'"):format(root))
  return (result.stdout:gsub(root:gsub("%p", "%%%0") .. "/", "")), result.code
end

describe("the lint over the purity of objects", function()
  it("lets files call each other and move bytes, and constants be, addresses in them or not", function()
    local output, code = lint {
      a = "int b(int); int a(int x) { return b(x); }",
      b = "static const int k[] = {1, 2}; int b(int x) { return k[x]; }",
      c = "void *memmove(void *, const void *, unsigned long); void c(char *p) { memmove(p, p + 1, 1000); }",
      d = 'static const char *const k[] = {"a", "b"}; const char *d(int x) { return k[x]; }',
    }
    assert.same({ "", 0 }, { output, code })
  end)

  it("refuses time, randomness, memory, output and whatever else comes from outside", function()
    local output, code = lint {
      a = "long time(long *); long a(void) { return time(0); }",
      b = "int rand(void); int b(void) { return rand(); }",
      c = "void *malloc(unsigned long); void *c(void) { return malloc(1); }",
      d = 'int puts(const char *); int d(void) { return puts("d"); }',
      e = "int getpid(void); int (*e(void))(void) { return getpid; }",
      f = "extern int environment; int f(void) { return environment; }",
    }
    assert.equal("a.o: time comes from outside\nb.o: rand comes from outside\nc.o: malloc comes from outside\n"
      .. "d.o: puts comes from outside\ne.o: getpid comes from outside\nf.o: environment comes from outside\n", output)
    assert.equal(1, code)
  end)

  it("refuses variables that live on between calls", function()
    local output, code = lint {
      a = "int a(void) { static int count; return ++count; }",
      b = "int b = 7;",
      c = "int c;",
      d = "_Thread_local int d;",
      e = "_Thread_local int e = 7;",
      f = "int outside; int *f = &outside;",
    }
    assert.equal("a.o: the variable count.0 outlives the call\nb.o: the variable b outlives the call\n"
      .. "c.o: the variable c outlives the call\nd.o: the variable d outlives the call\n"
      .. "e.o: the variable e outlives the call\nf.o: the variable f outlives the call\n"
      .. "f.o: the variable outside outlives the call\n", output)
    assert.equal(1, code)
  end)

  it("fails without object files, so that a wrong path is no pass", function()
    local output, code = lint {}
    assert.matches("^no object files: ", output)
    assert.equal(1, code)
  end)
end)
