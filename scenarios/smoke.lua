--- A first day with one node: write, read, change, list, forget, and a retry that does not count twice.
--
--     kvserver --script scenarios/smoke.lua
local assert = require "luassert"
local client = require "kvserver.client"
local server = require "kvserver.server"

local function step(text)
  print("  " .. text)
end

print "One node, in this process, on a port of its own."
local node <close> = assert(server.start { id = "n1", listen = "127.0.0.1:0" })
local alice <close> = client.connect("http://127.0.0.1:" .. node:port(), { client_id = "alice" })
assert.is_true(alice:healthz().ok)

step "Alice greets the world, and the greeting is there."
assert.is_true(alice:put("greeting", "hello").ok)
assert.are.equal("hello", alice:get("greeting").value)

step "What nobody wrote is not found; that is an answer, not a failure."
local missing = alice:get("farewell")
assert.are.equal(404, missing.status)
assert.are.equal("not_found", missing.err_code)

step "Values are bytes: NUL and what is no UTF-8 come back as they went."
local bytes <const> = "\0\1\255 raw"
assert.is_true(alice:put("blob", bytes).ok)
assert.are.equal(bytes, alice:get("blob").value)

step "Bob swaps the greeting if it is what he thinks; the second time it is not."
local bob <close> = client.connect("http://127.0.0.1:" .. node:port(), { client_id = "bob" })
assert.is_true(bob:cas("greeting", "hello", "good day").ok)
local refused = bob:cas("greeting", "hello", "good night")
assert.are.equal(409, refused.status)
assert.are.equal("cas_failed", refused.err_code)
assert.are.equal("good day", bob:get("greeting").value)

step "Three fruits arrive together, are read together and listed in order."
assert.is_true(alice:mput({ { key = "fruit/b", value = "2" }, { key = "fruit/a", value = "1" },
  { key = "fruit/c", value = "3" } }).ok)
assert.are.same({ ["fruit/a"] = "1", ["fruit/c"] = "3" }, alice:mget({ "fruit/a", "fruit/c", "fruit/x" }).values)
local page = alice:scan({ prefix = "fruit/", limit = 2 })
assert.are.same({ { key = "fruit/a", value = "1" }, { key = "fruit/b", value = "2" } }, page.entries)
assert.are.equal("fruit/b", page.next)
assert.are.equal("fruit/c", alice:scan({ prefix = "fruit/", after = page.next }).entries[1].key)

step "Bob deletes one, is told that it existed, and sends the very same request again: the reply is the same."
local deleted = bob:delete("fruit/a", { seq = 100 })
assert.are.equal(1, deleted.deleted)
local again = bob:delete("fruit/a", { seq = 100 })
assert.are.equal(1, again.deleted)
assert.are.equal("same", again.replay)
assert.are.equal(2, alice:mdelete({ "fruit/a", "fruit/b", "fruit/c" }).deleted)

step "The node sums up: two keys are left, it leads, and everything it committed is applied."
local status = alice:status()
assert.are.equal("leader", status.role)
assert.are.equal(2, status.keys)
assert.are.equal(2, status.clients)
assert.are.equal(status.commit_index, status.last_applied)

print(("All well after %d log entries."):format(status.last_applied))
