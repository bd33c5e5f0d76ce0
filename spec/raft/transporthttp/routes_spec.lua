local http = require "spec.support.http"
local json = require "kvserver.json"
local raft = require "kvserver.raft"
local raftrpc = require "kvserver.raftrpc"
local rpc = require "spec.raft.transporthttp.rpc"

local BINARY <const> = "Content-Type: application/x-kvserver-raft"
local paths <const> = {
  append = "/raft/append_entries", vote = "/raft/request_vote", read = "/raft/read_index",
  timeout_now = "/raft/timeout_now", install = "/raft/install_snapshot",
}
local VOTE <const> = '{"term":5,"candidate_id":"n1","last_log_index":3,"last_log_term":2}'

local function connect(transport)
  local connection = http.connect(transport:port())
  return connection
end

-- A whole exchange in which the node answers.
local function ask(transport, path, body, headers, answer)
  local connection <close> = connect(transport)
  connection:send(http.request("POST " .. path, body, headers))
  if answer then
    local came = rpc.take(transport)
    transport:reply(came.token, answer(came))
  end
  return connection:receive()
end

local function refused(transport, body, headers, path)
  local reply = ask(transport, path or paths.vote, body, headers)
  assert.is_nil(transport:take())
  return reply.status, json.decode(reply.body)
end

describe("Raft routes", function()
  it("bring AppendEntries to the node and its answer back [TestTransportHTTP_AppendEntries_RoundTrip]", function()
    for _, as_json in ipairs { true, false } do
      local b <close> = rpc.serve "n2"
      local a <close> = rpc.serve("n1", { n2 = b:port() }, { json = as_json })
      a:send(rpc.messages.append, rpc.entries)
      local came = rpc.take(b)
      rpc.assert_message(rpc.messages.append, came.message)
      assert.equal(rpc.entries, came.entries)
      local answer = { type = "append_reply", from = 2, to = 1, term = 6, success = false, conflict_index = 5,
        conflict_term = 1, prev_index = 7, round = -3, life = 99 }
      b:reply(came.token, answer)
      local reply = rpc.take(a)
      rpc.assert_message(answer, reply.message)
      assert.is_nil(reply.token)
    end
  end)

  it("bring RequestVote to the node and its answer back [TestTransportHTTP_RequestVote_RoundTrip]", function()
    for _, as_json in ipairs { true, false } do
      local b <close> = rpc.serve "n2"
      local a <close> = rpc.serve("n1", { n2 = b:port() }, { json = as_json })
      a:send(rpc.messages.vote)
      local came = rpc.take(b)
      rpc.assert_message(rpc.messages.vote, came.message)
      local answer = { type = "vote_reply", from = 2, to = 1, term = 8, pre = true, granted = true, vote_term = 9,
        life = 7 }
      b:reply(came.token, answer)
      rpc.assert_message(answer, rpc.take(a).message)
    end
  end)

  it("bring a snapshot in pieces to the node [TestTransportHTTP_InstallSnapshot_Base64RoundTrip]", function()
    for _, as_json in ipairs { true, false } do
      local b <close> = rpc.serve "n2"
      local a <close> = rpc.serve("n1", { n2 = b:port() }, { json = as_json })
      local pieces = { ("\0\xff\n"):rep(100000), rpc.piece, "" }
      local offset = 0
      for place, piece in ipairs(pieces) do
        local message = { type = "install", from = 1, to = 2, term = 7, life = 3, index = 99, snapshot_term = 6,
          offset = offset, done = place == #pieces }
        a:send(message, piece)
        local came = rpc.take(b)
        rpc.assert_message(message, came.message)
        assert.equal(piece, came.entries)
        offset = offset + #piece
        local answer = { type = "install_reply", from = 2, to = 1, term = 7, life = 4, index = 99, snapshot_term = 6,
          offset = offset, done = place == #pieces }
        b:reply(came.token, answer)
        rpc.assert_message(answer, rpc.take(a).message)
      end
    end
  end)

  it("answer 400 to a piece of a snapshot that is no base64, without asking the node", function()
    local b <close> = rpc.serve "n2"
    local body = '{"term":3,"leader_id":"n1","last_included_index":9,"last_included_term":2,"data":"%s","done":true}'
    local status, answer = refused(b, body:format "a!==", nil, paths.install)
    assert.same({ 400, "data: expected base64 (RFC 4648, padded)" }, { status, answer.err_msg })
    status, answer = refused(b, body:format(("A"):rep(5592408)), nil, paths.install)
    assert.same({ 400, "data: more than 4194304 bytes" }, { status, answer.err_msg })
  end)

  it("speak JSON with a person who sends a snapshot", function()
    local b <close> = rpc.serve "n2"
    local body = '{"term":3,"leader_id":"n1","last_included_index":9,"last_included_term":2,"data":"aGk=","done":true}'
    local reply = ask(b, paths.install, body, nil, function(came)
      assert.equal("hi", came.entries)
      return { type = "install_reply", from = 2, to = 1, term = 3, index = 9, snapshot_term = 2, offset = 2,
        done = true }
    end)
    assert.equal(200, reply.status)
    local answer = json.decode(reply.body)
    assert.same({ 3, 9, 2, true }, { answer.term, answer.last_included_index, answer.offset, answer.done })
  end)

  it("bring a read and its answer, and TimeoutNow, which has none", function()
    local b <close> = rpc.serve "n2"
    local a <close> = rpc.serve("n1", { n2 = b:port() })
    a:send(rpc.messages.timeout_now)
    a:send(rpc.messages.read)
    local first = rpc.take(b)
    assert.equal("timeout_now", first.message.type)
    b:reply(first.token)
    local read = rpc.take(b)
    rpc.assert_message(rpc.messages.read, read.message)
    local answer = { type = "read_reply", from = 2, to = 1, term = 3, id = -53, to_life = -52, ok = true, index = 77,
      life = 5 }
    b:reply(read.token, answer)
    rpc.assert_message(answer, rpc.take(a).message)
  end)

  it("speak JSON with a person", function()
    local b <close> = rpc.serve "n2"
    local reply = ask(b, paths.vote, VOTE, nil, function(came)
      assert.same({ "vote", 1, 2, 5 }, { came.message.type, came.message.from, came.message.to, came.message.term })
      return { type = "vote_reply", from = 2, to = 1, term = 5, granted = true, vote_term = 5, life = 1 }
    end)
    assert.same({ 200, "application/json" }, { reply.status, reply.headers["content-type"] })
    local body = json.decode(reply.body)
    assert.same({ 5, true, 5 }, { body.term, body.vote_granted, body.vote_term })
  end)

  it("answer JSON 400 and name the field when the body is bad [TestTransportHTTP_BadJSON_Returns400]", function()
    local b <close> = rpc.serve "n2"
    local status, body = refused(b, '{"term":')
    assert.same({ 400, "bad_request" }, { status, body.err_code })
    status, body = refused(b, '{"term":"x"}')
    assert.same({ 400, "term: expected a number, got a string" }, { status, body.err_msg })
    status, body = refused(b, "", nil, paths.append)
    assert.same({ 400, "bad_request" }, { status, body.err_code })
    status, body = refused(b, "\1\2\3", { BINARY })
    assert.same({ 400, "body: cut short" }, { status, body.err_msg })
  end)

  it("answer 403 to another cluster, a stranger, itself, and what is meant for another node", function()
    local b <close> = rpc.serve "n2"
    local function code(fields)
      local status, body = refused(b, (VOTE:gsub('"candidate_id":"n1"', fields)))
      assert.equal(403, status)
      return body.err_msg
    end
    assert.equal("cluster: the sender belongs to another one", code '"candidate_id":"n1","cluster":"0123456789abcdef"')
    assert.equal("sender: not a member of this cluster", code '"candidate_id":"n4"')
    assert.equal("sender: has the id of this node itself", code '"candidate_id":"n2"')
    assert.equal("to: another node is meant, this one is n2", code '"candidate_id":"n1","to":"n3"')
    local foreign = raftrpc.cluster({ { id = "n1" }, { id = "n2" } }, "n1")
    local status = refused(b, raftrpc.encode("binary", foreign, rpc.messages.vote), { BINARY })
    assert.equal(403, status)
  end)

  it("answer other paths and methods in JSON", function()
    local b <close> = rpc.serve "n2"
    local connection <close> = connect(b)
    connection:send(http.request("POST /raft/nothing", "{}") .. http.request("GET " .. paths.vote))
    local missing, method = connection:receive(), connection:receive()
    assert.same({ 404, "not_found" }, { missing.status, json.decode(missing.body).err_code })
    assert.same({ 405, "POST", "method_not_allowed" },
      { method.status, method.headers.allow, json.decode(method.body).err_code })
  end)

  it("answer in JSON and binary when the node has nothing to say", function()
    local b <close> = rpc.serve "n2"
    local function silence() end
    local reply = ask(b, paths.vote, VOTE, nil, silence)
    assert.same({ 503, "not_ready" }, { reply.status, json.decode(reply.body).err_code })
    reply = ask(b, paths.timeout_now, '{"term":1,"leader_id":"n1"}', nil, silence)
    assert.same({ 200, '{"ok":true}' }, { reply.status, reply.body })
    local connection <close> = connect(b)
    local body = raftrpc.encode("binary", rpc.cluster "n1", rpc.messages.vote)
    connection:send(http.request("POST " .. paths.vote, body, { BINARY }))
    b:reply(rpc.take(b).token)
    local text = connection.socket:receive { until_ = "\r\n\r\n" }
    assert.matches("^HTTP/1.1 204 ", text)
  end)

  it("answer pipelined requests in order, each once, however the node answers", function()
    local b <close> = rpc.serve "n2"
    local connection <close> = connect(b)
    for term = 1, 5 do connection:send(http.request("POST " .. paths.vote, (VOTE:gsub("5", tostring(term), 1)))) end
    local came = {}
    for i = 1, 5 do came[i] = rpc.take(b) end
    for _, i in ipairs { 3, 1, 5, 4, 2 } do
      b:reply(came[i].token, { type = "vote_reply", from = 2, to = 1, term = came[i].message.term })
    end
    for term = 1, 5 do assert.equal(term, json.decode(connection:receive().body).term) end
  end)

  it("drop the answer of a client that is gone", function()
    local b <close> = rpc.serve "n2"
    local gone = connect(b)
    gone:send(http.request("POST " .. paths.vote, VOTE))
    local came = rpc.take(b)
    gone:__close()
    assert.equal(503, ask(b, paths.vote, VOTE, nil, function() end).status) -- the loop has met the end by now
    b:reply(came.token, { type = "vote_reply", from = 2, to = 1, term = 1 })
    assert.equal(503, ask(b, paths.vote, VOTE, nil, function() end).status)
  end)

  it("survive hostile bodies of every kind", function()
    local b <close> = rpc.serve "n2"
    local connection <close> = connect(b)
    local body = raftrpc.encode("binary", rpc.cluster "n1", rpc.messages.append, raft.encode_entries { { term = 1 } })
    for length = 0, #body - 1, 7 do
      connection:send(http.request("POST " .. paths.append, body:sub(1, length), { BINARY }))
      assert.equal(400, connection:receive().status)
    end
  end)
end)
