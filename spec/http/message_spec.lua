--- Encoding of messages, URL coding.
local http = require "kvserver.http"

describe("percent coding", function()
  it("keeps unreserved characters and encodes every other byte", function()
    local all, kept = {}, {}
    for byte = 0, 255 do
      local char = string.char(byte)
      local unreserved = char:match "[A-Za-z0-9._~-]" ~= nil
      all[byte + 1] = char
      kept[byte + 1] = unreserved and char or ("%%%02X"):format(byte)
    end
    assert.are.equal(table.concat(kept), http.percent_encode(table.concat(all)))
  end)

  it("decodes what it encoded, whatever the bytes", function()
    local bytes = {}
    for byte = 0, 255 do
      bytes[byte + 1] = string.char(byte)
    end
    local text = table.concat(bytes)
    assert.are.equal(text, http.percent_decode(http.percent_encode(text)))
    assert.are.equal("", http.percent_decode(http.percent_encode ""))
  end)

  for raw, decoded in pairs {
    ["a%2Fb"] = "a/b",
    ["a%2fb"] = "a/b",
    ["a/b"] = "a/b",
    ["%252F"] = "%2F", -- decoded once
    ["a+b"] = "a+b",
    ["%00"] = "\0",
    ["\u{fc}%C3%BC"] = "\u{fc}\u{fc}",
    [""] = "",
  } do
    it(("decodes %q"):format(raw), function()
      assert.are.equal(decoded, http.percent_decode(raw))
    end)
  end

  for _, raw in ipairs { "%", "a%", "%2", "a%2", "%g0", "%0g", "%%20", "% 20", "%-1", "%\0a" } do
    it(("refuses %q"):format(raw), function()
      local decoded, message = http.percent_decode(raw)
      assert.is_nil(decoded)
      assert.matches("hexadecimal", message)
    end)
  end
end)

describe("query_find", function()
  for _, row in ipairs {
    { "a=1&b=2", "a", "1" },
    { "a=1&b=2", "b", "2" },
    { "a=1&a=2", "a", "1" },
    { "a=", "a", "" },
    { "a", "a", "" },
    { "a&b", "b", "" },
    { "a=b=c", "a", "b=c" },
    { "a=%26", "a", "%26" },
    { "&&a=1&", "a", "1" },
    { "aa=1", "a", nil },
    { "A=1", "a", nil },
    { "b=a=1", "a", nil },
    { "=1", "a", nil },
    { "", "a", nil },
  } do
    it(("finds %s in %q"):format(row[2], row[1]), function()
      assert.are.equal(row[3], http.query_find(row[1], row[2]))
    end)
  end
end)

describe("encode_response", function()
  it("announces type and length", function()
    assert.are.equal("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\n{}",
      http.encode_response(200, "a/b", nil, "{}"))
  end)

  it("leaves the body out of the answer to HEAD, not its length", function()
    assert.are.equal("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n",
      http.encode_response(404, nil, "", "{}", true))
  end)

  it("adds header lines and Connection: close", function()
    local head = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
    assert.are.equal(head .. "Retry-After: 1\r\nConnection: close\r\n\r\n",
      http.encode_response(503, nil, "Retry-After: 1\r\n", "", false, true))
  end)

  for _, status in ipairs { 100, 204, 304 } do
    it(("never sends a body with %d, nor its length"):format(status), function()
      local encoded = http.encode_response(status, "a/b", "X: y\r\n", "body")
      assert.are.equal(("HTTP/1.1 %d %s\r\nX: y\r\n\r\n"):format(status, http.reason(status)), encoded)
    end)
  end

  it("is read back by the parser, whatever the body", function()
    for _, size in ipairs { 0, 1, 9, 10, 4096, 100000 } do
      local body = ("\r\n\0x"):rep(size // 4) .. ("y"):rep(size % 4)
      local message = http.parser { kind = "response" }:feed(http.encode_response(200, "a/b", "", body))[1]
      assert.are.equal(body, message.body)
    end
  end)
end)

describe("encode_request", function()
  it("leaves the length out when there is no body", function()
    assert.are.equal("GET /kv/a HTTP/1.1\r\nHost: h:1\r\n\r\n", http.encode_request("GET", "/kv/a", "h:1"))
    assert.are.equal("DELETE /kv/a HTTP/1.1\r\nHost: h:1\r\nX: y\r\n\r\n",
      http.encode_request("DELETE", "/kv/a", "h:1", "X: y\r\n"))
  end)

  it("always announces the length for PUT and POST", function()
    assert.are.equal("PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", http.encode_request("PUT", "/k", "h"))
    assert.are.equal("POST /k HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab",
      http.encode_request("POST", "/k", "h", "", "ab"))
  end)

  it("announces the length of any body", function()
    assert.are.equal("DELETE /k HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab",
      http.encode_request("DELETE", "/k", "h", "", "ab"))
  end)
end)

describe("reason", function()
  it("knows every status of the API", function()
    for _, status in ipairs {
      200, 202, 307, 400, 403, 404, 405, 408, 409, 413, 417, 431, 500, 501, 503, 504, 505, 507,
    } do
      assert.are_not.equal("Unknown", http.reason(status))
    end
    assert.are.equal("Unknown", http.reason(299))
  end)
end)
