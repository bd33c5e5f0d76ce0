--- The parser: request and response bytes -> outcome.
-- A row is {what it shows, bytes, outcome}. The outcome is written by `outcome` below: messages as they came, then a
-- failure as its status and, where the text is our own, what it says. Each row is also fed cut in two at every byte,
-- and byte by byte: nothing may depend on the cuts.
local http = require "kvserver.http"

local MAX_BODY <const> = 1000
local HEAD_BYTES_MAX <const> = 32768
local HEADERS_MAX <const> = 100

local HOST <const> = "Host: h\r\n"
local ALWAYS_CUT_BELOW <const> = 1500 -- longer input is cut at some places only

--- A GET of "/" with these header lines.
local function get(lines)
  return "GET / HTTP/1.1\r\n" .. HOST .. (lines or "") .. "\r\n"
end

--- A PUT of "/k" with these header lines, and what follows the head.
local function put(lines, rest)
  return "PUT /k HTTP/1.1\r\n" .. HOST .. lines .. "\r\n" .. (rest or "")
end

local function chunked(rest)
  return put("Transfer-Encoding: chunked\r\n", rest)
end

local function response(head, rest)
  return "HTTP/1.1 " .. head .. "\r\n\r\n" .. (rest or "")
end

local function describe_message(event)
  local parts = {}
  if event.status then
    parts[1] = tostring(event.status)
  else
    parts[1] = event.method .. " " .. event.path .. (event.query ~= "" and "?" .. event.query or "")
  end
  if event.body ~= "" then
    parts[#parts + 1] = #event.body > 40 and ("[%d bytes]"):format(#event.body) or ("[%s]"):format(event.body)
  end
  if event.http_1_0 then parts[#parts + 1] = "1.0" end
  if not event.keep_alive then parts[#parts + 1] = "close" end
  return table.concat(parts, " ")
end

local function describe_event(event)
  if event.type == "failure" then return event.status .. " " .. event.text end
  if event.type == "continue" then return "continue" end
  return describe_message(event)
end

--- Feeds the pieces and tells what came of it.
local function outcome(kind, pieces, setup)
  local parser = http.parser { kind = kind, max_body = MAX_BODY }
  if setup then setup(parser) end
  local told = {}
  for _, piece in ipairs(pieces) do
    local events = parser:feed(piece)
    for _, event in ipairs(events) do
      told[#told + 1] = describe_event(event)
    end
    if #events > 0 and events[#events].type == "failure" then break end
  end
  if parser:in_message() then
    told[#told + 1] = "..."
    local event = parser:finish()
    if event.type == "message" then told[#told + 1] = describe_event(event) end
  end
  return table.concat(told, " | ")
end

local function assert_outcome(expected, told, cut)
  -- A bare status at the end: the reason is llhttp's, whose words are its own.
  if expected:match("^%d%d%d$") or expected:match("| %d%d%d$") then
    if told:sub(1, #expected) == expected and told:sub(#expected + 1, #expected + 1) == " " then return end
  end
  assert.are.equal(expected, told, cut)
end

local function cuts_of(bytes)
  local step = #bytes < ALWAYS_CUT_BELOW and 1 or #bytes // 29
  local position = 1 - step
  return function()
    position = position + step
    if position < #bytes then return position end
  end
end

local function bytes_one_by_one(bytes)
  local pieces = {}
  for i = 1, #bytes do
    pieces[i] = bytes:sub(i, i)
  end
  return pieces
end

local function run_table(kind, rows)
  for _, row in ipairs(rows) do
    local title, bytes, expected, setup = row[1], row[2], row[3], row.setup
    it(title, function()
      local whole = outcome(kind, { bytes }, setup)
      assert_outcome(expected, whole, "in one piece")
      for cut in cuts_of(bytes) do
        local told = outcome(kind, { bytes:sub(1, cut), bytes:sub(cut + 1) }, setup)
        assert.are.equal(whole, told, "cut behind byte " .. cut)
      end
      assert.are.equal(whole, outcome(kind, bytes_one_by_one(bytes), setup), "byte by byte")
    end)
  end
end

local function padded_head(bytes_count)
  local empty = get "X: \r\n"
  return get("X: " .. ("x"):rep(bytes_count - #empty) .. "\r\n")
end

local function many_headers(count)
  return get(("X: y\r\n"):rep(count - 1)) -- Host is one
end

describe("requests that are well formed", function()
  run_table("request", {
    { "a GET", get(), "GET /" },
    { "a query behind the first question mark", "GET /a?b=c?d HTTP/1.1\r\n" .. HOST .. "\r\n", "GET /a?b=c?d" },
    { "an empty query", "GET /a? HTTP/1.1\r\n" .. HOST .. "\r\n", "GET /a" },
    { "escapes stay as they are", "GET /a%2Fb%00%zz HTTP/1.1\r\n" .. HOST .. "\r\n", "GET /a%2Fb%00%zz" },
    { "raw UTF-8 in the path, as curl sends it", "GET /k\u{fc} HTTP/1.1\r\n" .. HOST .. "\r\n", "GET /k\u{fc}" },
    { "all that a path may hold", "GET /a-._~!$&'()*+,;=:@//.. HTTP/1.1\r\n" .. HOST .. "\r\n",
      "GET /a-._~!$&'()*+,;=:@//.." },
    { "a body of known length", put("Content-Length: 5\r\n", "hello"), "PUT /k [hello]" },
    { "a length of zero", put "Content-Length: 0\r\n", "PUT /k" },
    { "leading zeros in a length", put("Content-Length: 005\r\n", "hello"), "PUT /k [hello]" },
    { "blanks around a length", put("Content-Length:   5  \r\n", "hello"), "PUT /k [hello]" },
    { "no length is no body", put "", "PUT /k" },
    { "a GET with a body", "GET / HTTP/1.1\r\n" .. HOST .. "Content-Length: 2\r\n\r\nab", "GET / [ab]" },
    { "a body of CR, LF and NUL", put("Content-Length: 4\r\n", "\r\n\0\n"), "PUT /k [\r\n\0\n]" },
    { "the largest body", put("Content-Length: 1000\r\n", ("b"):rep(MAX_BODY)), "PUT /k [1000 bytes]" },
    { "chunks", chunked "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "PUT /k [hello!]" },
    { "only the last chunk", chunked "0\r\n\r\n", "PUT /k" },
    { "chunk sizes in both cases", chunked "a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n",
      "PUT /k [01234567890123456789a]" },
    { "leading zeros in a chunk size", chunked "0005\r\nhello\r\n0000\r\n\r\n", "PUT /k [hello]" },
    { "a chunk that looks like framing", chunked "7\r\n0\r\n\r\nab\r\n0\r\n\r\n", "PUT /k [0\r\n\r\nab]" },
    { "a chunk extension", chunked "5;a=b\r\nhello\r\n0;c\r\n\r\n", "PUT /k [hello]" },
    { "a quoted chunk extension", chunked '5;a="b c"\r\nhello\r\n0\r\n\r\n', "PUT /k [hello]" },
    { "a trailer, which is dropped", chunked "0\r\nX-Sum: 1\r\nY:\r\n\r\n", "PUT /k" },
    { "a trailer that says close changes nothing", chunked "0\r\nConnection: close\r\n\r\n", "PUT /k" },
    { "Transfer-Encoding in capitals", put("TRANSFER-ENCODING: CHUNKED\r\n", "1\r\na\r\n0\r\n\r\n"), "PUT /k [a]" },
    { "the largest chunked body", chunked("3E8\r\n" .. ("b"):rep(MAX_BODY) .. "\r\n0\r\n\r\n"), "PUT /k [1000 bytes]" },
    { "an empty header value", get "X:\r\n", "GET /" },
    { "a header value of blanks", get "X: \t \r\n", "GET /" },
    { "a header without a blank behind the colon", get "X:y\r\n", "GET /" },
    { "header bytes above ASCII", get "X: \u{fc}\xff\r\n", "GET /" },
    { "every byte that a name may hold", get "!#$%&'*+-.^_`|~09azAZ: y\r\n", "GET /" },
    { "an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET /" },
    { "an address as Host", "GET / HTTP/1.1\r\nHost: [::1]:7000\r\n\r\n", "GET /" },
    { "blank lines before a request", "\r\n\r\n" .. get(), "GET /" },
    { "a blank line between requests", get() .. "\r\n" .. get(), "GET / | GET /" },
    { "three requests in one piece",
      get() .. put("Content-Length: 1\r\n", "x") .. get(), "GET / | PUT /k [x] | GET /" },
    { "absolute-form", "GET http://h:80/a?b HTTP/1.1\r\n" .. HOST .. "\r\n", "GET /a?b" },
    { "absolute-form without a path", "GET HTTP://h HTTP/1.1\r\n" .. HOST .. "\r\n", "GET /" },
    { "absolute-form with a query only", "GET https://h?b HTTP/1.1\r\n" .. HOST .. "\r\n", "GET /?b" },
    { "OPTIONS *", "OPTIONS * HTTP/1.1\r\n" .. HOST .. "\r\n", "OPTIONS *" },
    { "a method that nobody knows", "FROB /a HTTP/1.1\r\n" .. HOST .. "\r\n", "FROB /a" },
    { "methods in lower case are other methods", "get /a HTTP/1.1\r\n" .. HOST .. "\r\n", "get /a" },
    { "CONNECT to a path is just another method", "CONNECT /a HTTP/1.1\r\n" .. HOST .. "\r\n" .. get(),
      "CONNECT /a | GET /" },
    { "Upgrade does not leave HTTP", get "Connection: Upgrade\r\nUpgrade: websocket\r\n" .. get(), "GET / | GET /" },
    { "Upgrade with a body does not leave HTTP",
      put("Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n", "ab") .. get(), "PUT /k [ab] | GET /" },
    { "verbs of RTSP are other methods", "DESCRIBE /a HTTP/1.1\r\n" .. HOST .. "\r\n" .. get(), "DESCRIBE /a | GET /" },
    { "HTTP/1.0 closes", "GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close" },
    { "HTTP/1.0 with keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / 1.0" },
    { "Connection: close", get "Connection: close\r\n", "GET / close" },
    { "close in a list, in capitals", get "Connection: TE , CLOSE\r\n", "GET / close" },
    { "close wins over keep-alive", get "Connection: keep-alive, close\r\n", "GET / close" },
    { "closed is not close", get "Connection: closed\r\n", "GET /" },
    { "bytes behind Connection: close are refused", get "Connection: close\r\n" .. get(),
      "GET / close | 400 bytes behind a message that ended the connection" },
    { "Expect: 100-continue", put("Expect: 100-Continue\r\nContent-Length: 2\r\n", "ab"), "continue | PUT /k [ab]" },
    { "Expect: 100-continue with chunks",
      put("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n"), "continue | PUT /k [a]" },
    { "Expect: 100-continue without a body", put "Expect: 100-continue\r\n", "PUT /k" },
    { "HTTP/1.0 expects nothing",
      "PUT /k HTTP/1.0\r\nExpect: x\r\nContent-Length: 1\r\n\r\na", "PUT /k [a] 1.0 close" },
    { "a head of exactly the limit", padded_head(HEAD_BYTES_MAX), "GET /" },
    { "head and trailer each have the limit for themselves",
      put("Transfer-Encoding: chunked\r\nX: " .. ("x"):rep(20000) .. "\r\n",
        "0\r\nX: " .. ("x"):rep(20000) .. "\r\n\r\n"),
      "PUT /k" },
    { "head and trailer each have the limit of fields for themselves",
      put("Transfer-Encoding: chunked\r\n" .. ("X: y\r\n"):rep(60), "0\r\n" .. ("X: y\r\n"):rep(60) .. "\r\n"),
      "PUT /k" },
    { "as many headers as the limit", many_headers(HEADERS_MAX), "GET /" },
    { "a request that has not ended", get():sub(1, -3), "..." },
    { "a body that has not ended", put("Content-Length: 5\r\n", "hell"), "..." },
    { "chunks that have not ended", chunked "5\r\nhello\r\n0\r\n", "..." },
    { "nothing but blank lines", "\r\n\r\n\r", "" },
  })
end)

describe("the request line", function()
  run_table("request", {
    { "a bare LF at its end", "GET / HTTP/1.1\n" .. HOST .. "\r\n", "400 request line: no CRLF behind the version" },
    { "CR without LF at its end", "GET / HTTP/1.1\rHost: h\r\n\r\n", "400 header: CR without LF" },
    { "two blanks before the target", "GET  / HTTP/1.1\r\n" .. HOST .. "\r\n",
      "400 request line: not a target and one blank" },
    { "a tab before the target", "GET\t/ HTTP/1.1\r\n" .. HOST .. "\r\n",
      "400 request line: not a method and one blank" },
    { "two blanks before the version", "GET /  HTTP/1.1\r\n" .. HOST .. "\r\n",
      "400 request line: expected HTTP/1.1 behind the target" },
    { "a blank behind the version", "GET / HTTP/1.1 \r\n" .. HOST .. "\r\n",
      "400 request line: no CRLF behind the version" },
    { "a blank before the method", " GET / HTTP/1.1\r\n" .. HOST .. "\r\n",
      "400 request line: not a method and one blank" },
    { "no target", "GET HTTP/1.1\r\n" .. HOST .. "\r\n", "400" },
    { "no version (HTTP/0.9)", "GET /\r\n\r\n", "400 request line: no HTTP version" },
    { "HTTP/0.9 by name", "GET / HTTP/0.9\r\n\r\n", "505 only HTTP/1.1 and HTTP/1.0 are spoken here" },
    { "HTTP/1.2", "GET / HTTP/1.2\r\n" .. HOST .. "\r\n", "505 only HTTP/1.1 and HTTP/1.0 are spoken here" },
    { "HTTP/2.0", "GET / HTTP/2.0\r\n" .. HOST .. "\r\n", "505 only HTTP/1.1 and HTTP/1.0 are spoken here" },
    { "HTTP/2", "GET / HTTP/2\r\n" .. HOST .. "\r\n", "505 only HTTP/1.1 and HTTP/1.0 are spoken here" },
    { "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 only HTTP/1.1 and HTTP/1.0 are spoken here" },
    { "HTTP/1.10", "GET / HTTP/1.10\r\n" .. HOST .. "\r\n", "400 request line: no CRLF behind the version" },
    { "HTTP/11.1", "GET / HTTP/11.1\r\n" .. HOST .. "\r\n", "400 request line: expected HTTP/1.1 behind the target" },
    { "the version in lower case", "GET / http/1.1\r\n" .. HOST .. "\r\n",
      "400 request line: expected HTTP/1.1 behind the target" },
    { "RTSP", "GET / RTSP/1.0\r\n\r\n", "400 request line: expected HTTP/1.1 behind the target" },
    { "ICE", "SOURCE / ICE/1.0\r\n\r\n", "400 request line: expected HTTP/1.1 behind the target" },
    { "NUL in the target", "GET /a\0b HTTP/1.1\r\n" .. HOST .. "\r\n", "400 request line: not a target and one blank" },
    { "a tab in the target", "GET /a\tb HTTP/1.1\r\n" .. HOST .. "\r\n",
      "400 request line: not a target and one blank" },
    { "DEL in the target", "GET /\x7f HTTP/1.1\r\n" .. HOST .. "\r\n", "400 request line: not a target and one blank" },
    { "a fragment in the target", "GET /a#b HTTP/1.1\r\n" .. HOST .. "\r\n",
      "400 request line: not a target and one blank" },
    { "a path without its slash", "GET a HTTP/1.1\r\n" .. HOST .. "\r\n", "400" },
    { "another scheme", "GET ftp://h/a HTTP/1.1\r\n" .. HOST .. "\r\n",
      "400 request target: neither a path nor an http URL" },
    { "a scheme without a host", "GET http:///a HTTP/1.1\r\n" .. HOST .. "\r\n", "400" },
    { "GET *", "GET * HTTP/1.1\r\n" .. HOST .. "\r\n", "400 request target: * is for OPTIONS only" },
    { "** for OPTIONS", "OPTIONS ** HTTP/1.1\r\n" .. HOST .. "\r\n", "400" },
    { "CONNECT to an authority", "CONNECT h:80 HTTP/1.1\r\n" .. HOST .. "\r\n", "400" },
    { "a method that is no token", "GE(T / HTTP/1.1\r\n" .. HOST .. "\r\n",
      "400 request line: not a method and one blank" },
    { "a TLS hello", "\x16\x03\x01\x02\x00\x01\x00", "400 request line: not a method and one blank" },
    { "a bare LF before a request", "\n" .. get(), "400 request line: not a method and one blank" },
    { "CR without LF before a request", "\r" .. get(), "400 blank line: CR without LF" },
    { "a response", "HTTP/1.1 200 OK\r\n\r\n", "400 request line: not a method and one blank" },
    { "a target of endless length", "GET /" .. ("a"):rep(HEAD_BYTES_MAX),
      "431 head, trailer or chunk extensions over 32768 bytes" },
    { "a method of endless length", ("A"):rep(HEAD_BYTES_MAX + 1),
      "431 head, trailer or chunk extensions over 32768 bytes" },
    { "endless blank lines", ("\r\n"):rep(HEAD_BYTES_MAX // 2 + 1),
      "431 head, trailer or chunk extensions over 32768 bytes" },
  })
end)

describe("header fields", function()
  local control <const> = "400 header: a control byte, or LF without CR, in a value"
  local name <const> = "400 header: a byte that no name may hold"
  run_table("request", {
    { "a bare LF behind a value", get "X: a\nY: b\r\n", control },
    { "a bare LF ends the head", "GET / HTTP/1.1\r\nHost: h\r\n\n", name },
    { "CR without LF in a value", get "X: a\rb\r\n", "400 header: CR without LF" },
    { "CR CR LF", get "X: a\r\r\n", "400 header: CR without LF" },
    { "CR without LF ends the head",
      "GET / HTTP/1.1\r\nHost: h\r\n\rGET /b HTTP/1.1\r\n\r\n", "400 header: CR without LF" },
    { "NUL in a value", get "X: a\0b\r\n", control },
    { "DEL in a value", get "X: a\x7fb\r\n", control },
    { "a form feed in a value", get "X: a\fb\r\n", control },
    { "an escape in a value", get "X: \x1b[31m\r\n", control },
    { "obs-fold with a blank", get "X: a\r\n b\r\n", "400 header: a line that begins with a blank (obs-fold)" },
    { "obs-fold with a tab", get "X: a\r\n\tb\r\n", "400 header: a line that begins with a blank (obs-fold)" },
    { "obs-fold that hides chunked", put("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
      "400 header: a line that begins with a blank (obs-fold)" },
    { "a blank before the first header", "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
      "400 header: a line that begins with a blank (obs-fold)" },
    { "a blank before the colon", get "X : y\r\n", "400 header: a blank before the colon" },
    { "a tab before the colon", get "X\t: y\r\n", "400 header: a blank before the colon" },
    { "Content-Length with a blank before the colon", put("Content-Length : 5\r\n", "hello"),
      "400 header: a blank before the colon" },
    { "Transfer-Encoding with a blank before the colon", put("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
      "400 header: a blank before the colon" },
    { "a blank inside a name", get "X Y: z\r\n", "400 header: a blank before the colon" },
    { "no colon", get "X\r\n", name },
    { "no name", get ": y\r\n", "400 header: no name before the colon" },
    { "NUL in a name", get "X\0: y\r\n", name },
    { "a byte above ASCII in a name", get "X\xff: y\r\n", name },
    { "a vertical tab before Transfer-Encoding", put("\vTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), name },
    { "a control byte before the value of Transfer-Encoding",
      put("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"), control },
    { "a quote in a name", get 'X": y\r\n', name },
    { "one byte too many", padded_head(HEAD_BYTES_MAX + 1), "431 head, trailer or chunk extensions over 32768 bytes" },
    { "an endless value", "GET / HTTP/1.1\r\n" .. HOST .. "X: " .. ("x"):rep(HEAD_BYTES_MAX),
      "431 head, trailer or chunk extensions over 32768 bytes" },
    { "one header too many", many_headers(HEADERS_MAX + 1), "431 more than 100 header fields" },
    { "no Host", "GET / HTTP/1.1\r\n\r\n", "400 Host: missing" },
    { "two Hosts", get "Host: h\r\n", "400 Host: more than one" },
    { "two different Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHOST: b\r\n\r\n", "400 Host: more than one" },
    { "a Host with a path", "GET / HTTP/1.1\r\nHost: h/a\r\n\r\n", "400 Host: not a host and port" },
    { "a Host with a blank", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 Host: not a host and port" },
    { "a Host with a user", "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", "400 Host: not a host and port" },
    { "another expectation", put("Expect: 200-ok\r\nContent-Length: 1\r\n", "a"),
      "417 Expect: only 100-continue is understood" },
    { "an expectation without a body", get "Expect: tea\r\n", "417 Expect: only 100-continue is understood" },
    { "two expectations", put("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n", "a"),
      "417 Expect: only 100-continue is understood" },
  })
end)

describe("the length of a body", function()
  run_table("request", {
    { "with a plus sign", put("Content-Length: +5\r\n", "hello"), "400" },
    { "negative", put("Content-Length: -5\r\n", "hello"), "400" },
    { "hexadecimal", put("Content-Length: 0x5\r\n", "hello"), "400" },
    { "with a fraction", put("Content-Length: 5.0\r\n", "hello"), "400" },
    { "with an exponent", put("Content-Length: 1e1\r\n", "hello"), "400" },
    { "with a blank inside", put("Content-Length: 1 0\r\n", "hello"), "400" },
    { "with an underscore", put("Content-Length: 1_0\r\n", "hello"), "400" },
    { "empty", put("Content-Length:\r\n", "hello"), "400" },
    { "blanks only", put("Content-Length:  \t\r\n", "hello"), "400" },
    { "a word", put("Content-Length: five\r\n", "hello"), "400" },
    { "a list of two equal lengths", put("Content-Length: 5, 5\r\n", "hello"), "400" },
    { "a list of two lengths", put("Content-Length: 5,6\r\n", "hello"), "400" },
    { "twice the same", put("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), "400" },
    { "twice, different", put("Content-Length: 5\r\ncontent-length: 6\r\n", "hello"), "400" },
    { "2^64", put("Content-Length: 18446744073709551616\r\n", "x"), "400" },
    { "2^64 + 5, which wraps to 5", put("Content-Length: 18446744073709551621\r\n", "hello"), "400" },
    { "beyond 64 bits by far", put("Content-Length: " .. ("9"):rep(40) .. "\r\n", "x"), "400" },
    { "2^63", put("Content-Length: 9223372036854775808\r\n", "x"),
      "413 body of 9223372036854775808 bytes is over --max-body-bytes 1000" },
    { "over the limit by one", put("Content-Length: 1001\r\n", ""),
      "413 body of 1001 bytes is over --max-body-bytes 1000" },
    { "over the limit, and the client waits for leave", put("Expect: 100-continue\r\nContent-Length: 1001\r\n"),
      "413 body of 1001 bytes is over --max-body-bytes 1000" },
    { "beside Transfer-Encoding", put("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "400" },
    { "behind Transfer-Encoding", put("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), "400" },
    { "of zero beside Transfer-Encoding",
      put("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "400" },
  })
end)

describe("Transfer-Encoding", function()
  run_table("request", {
    { "gzip before chunked", put("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
      "501 Transfer-Encoding: only chunked is spoken here" },
    { "chunked before gzip", put("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), "400" },
    { "gzip alone", put("Transfer-Encoding: gzip\r\n", "x"), "400" },
    { "identity", put("Transfer-Encoding: identity\r\n", "x"), "400" },
    { "xchunked", put("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), "400" },
    { "chunkedx", put("Transfer-Encoding: chunkedx\r\n", "0\r\n\r\n"), "400" },
    { "in quotes", put('Transfer-Encoding: "chunked"\r\n', "0\r\n\r\n"), "400" },
    { "with a parameter", put("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"), "400" },
    { "with a comma behind it", put("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n"), "400" },
    { "empty", put("Transfer-Encoding:\r\n", "x"), "400" },
    { "twice", put("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "400" },
    { "chunked twice in one field", put("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), "400" },
    { "twice, identity first",
      put("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "400" },
    { "in HTTP/1.0", "PUT /k HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "400 Transfer-Encoding in HTTP/1.0" },
  })
end)

describe("chunks", function()
  local size <const> = "400 chunk size: not hexadecimal"
  local overhead <const> = "431 head, trailer or chunk extensions over 32768 bytes"
  run_table("request", {
    { "a size with 0x", chunked "0x5\r\nhello\r\n0\r\n\r\n", size },
    { "a size with a sign", chunked "+5\r\nhello\r\n0\r\n\r\n", size },
    { "a negative size", chunked "-5\r\nhello\r\n0\r\n\r\n", size },
    { "a blank before the size", chunked " 5\r\nhello\r\n0\r\n\r\n", size },
    { "a blank behind the size", chunked "5 \r\nhello\r\n0\r\n\r\n", size },
    { "a blank before the extension", chunked "5 ;a\r\nhello\r\n0\r\n\r\n", size },
    { "no size", chunked "\r\nhello\r\n0\r\n\r\n", size },
    { "no size, but an extension", chunked ";a\r\nhello\r\n0\r\n\r\n", size },
    { "a bare LF behind the size", chunked "5\nhello\r\n0\r\n\r\n", size },
    { "CR without LF behind the size", chunked "5\rhello\r\n0\r\n\r\n", "400 chunk size: CR without LF" },
    { "a letter in the size", chunked "5g\r\nhello\r\n0\r\n\r\n", size },
    { "an underscore in the size", chunked "1_0\r\nhello\r\n0\r\n\r\n", size },
    { "a size of 17 digits", chunked "00000000000000005\r\nhello\r\n0\r\n\r\n", "400 chunk size: more than 16 digits" },
    { "a size that wraps 64 bits", chunked "10000000000000005\r\nhello\r\n0\r\n\r\n",
      "400 chunk size: more than 16 digits" },
    { "a size of 2^64 - 1", chunked "ffffffffffffffff\r\n",
      "413 body of at least 18446744073709551615 bytes is over --max-body-bytes 1000" },
    { "sizes whose sum wraps 64 bits", chunked "5\r\nhello\r\nffffffffffffffff\r\n",
      "413 body of at least 18446744073709551615 bytes is over --max-body-bytes 1000" },
    { "over the limit at once", chunked "3E9\r\n", "413 body of at least 1001 bytes is over --max-body-bytes 1000" },
    { "over the limit in sum", chunked("3E8\r\n" .. ("b"):rep(1000) .. "\r\n1\r\n"),
      "413 body of at least 1001 bytes is over --max-body-bytes 1000" },
    { "a bare LF in an extension", chunked "5;a\nhello\r\n0\r\n\r\n",
      "400 chunk extension: a control byte, or LF without CR" },
    { "a bare LF in a quoted extension", chunked '5;a="\n"\r\nhello\r\n0\r\n\r\n',
      "400 chunk extension: a control byte, or LF without CR" },
    { "CR without LF in an extension", chunked "5;a\rb\r\nhello\r\n0\r\n\r\n", "400 chunk size: CR without LF" },
    { "NUL in an extension", chunked "5;\0\r\nhello\r\n0\r\n\r\n", "400" },
    { "data longer than its size", chunked "4\r\nhello\r\n0\r\n\r\n", "400 chunk: longer than its size" },
    { "data shorter than its size", chunked "6\r\nhello\r\n0\r\n\r\n", "400 chunk: longer than its size" },
    { "a bare LF behind the data", chunked "5\r\nhello\n0\r\n\r\n", "400 chunk: longer than its size" },
    { "CR without LF behind the data", chunked "5\r\nhello\r0\r\n\r\n", "400 chunk: CR without LF behind it" },
    { "a bare LF in a trailer", chunked "0\r\nX: y\n\r\n", "400 header: a control byte, or LF without CR, in a value" },
    { "a bare LF ends the trailer", chunked "0\r\n\n", "400 header: a byte that no name may hold" },
    { "obs-fold in a trailer", chunked "0\r\nX: y\r\n z\r\n\r\n",
      "400 header: a line that begins with a blank (obs-fold)" },
    { "a blank before the colon in a trailer", chunked "0\r\nX : y\r\n\r\n", "400 header: a blank before the colon" },
    { "a request that begins in place of the trailer", chunked "0\r\nGET / HTTP/1.1\r\n\r\n",
      "400 header: a blank before the colon" },
    { "an endless trailer", chunked("0\r\nX: " .. ("x"):rep(HEAD_BYTES_MAX)), overhead },
    { "too many fields in a trailer", chunked("0\r\n" .. ("X: y\r\n"):rep(HEADERS_MAX + 1)),
      "431 more than 100 header fields" },
    { "an endless extension", chunked("1;" .. ("x"):rep(HEAD_BYTES_MAX + 1)), overhead },
    { "extensions that are endless in sum", chunked(("1;%s\r\na\r\n"):format(("x"):rep(HEAD_BYTES_MAX // 4)):rep(4)),
      overhead },
  })
end)

describe("responses", function()
  local function expect_head(parser)
    parser:expect_head()
  end
  run_table("response", {
    { "with a length", response("200 OK\r\nContent-Length: 2", "{}"), "200 [{}]" },
    { "with chunks", response("200 OK\r\nTransfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n"), "200 [{}]" },
    { "one behind the other",
      response("404 Not Found\r\nContent-Length: 0") .. response("200 OK\r\nContent-Length: 1", "a"),
      "404 | 200 [a]" },
    { "an empty reason", response("200 \r\nContent-Length: 0"), "200" },
    { "204 has no body", response("204 No Content") .. response("200 OK\r\nContent-Length: 0"), "204 | 200" },
    { "304 has no body whatever it says", response("304 Not Modified\r\nContent-Length: 9") ..
      response("200 OK\r\nContent-Length: 0"), "304 | 200" },
    { "100 comes before the answer", response("100 Continue") .. response("200 OK\r\nContent-Length: 0"), "100 | 200" },
    { "a body until the connection ends", response("200 OK", "abc"), "... | 200 [abc] close" },
    { "the largest body without a length", response("200 OK", ("x"):rep(MAX_BODY)), "... | 200 [1000 bytes] close" },
    { "an empty body until the connection ends", response("200 OK"), "... | 200 close" },
    { "a body that ends too early", response("200 OK\r\nContent-Length: 5", "abc"), "..." },
    { "Connection: close", response("200 OK\r\nConnection: close\r\nContent-Length: 0"), "200 close" },
    { "HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "200 1.0 close" },
    { "the answer to HEAD has no body",
      response("200 OK\r\nContent-Length: 5") .. response("200 OK\r\nContent-Length: 1", "a"),
      "200 | 200 [a]", setup = expect_head },
    { "the answer to HEAD may come behind 100",
      response("100 Continue") .. response("200 OK\r\nContent-Length: 5") .. response("200 OK\r\nContent-Length: 1",
      "a"),
      "100 | 200 | 200 [a]", setup = expect_head },
    { "the answer to HEAD may leave the length out", response("200 OK") .. response("200 OK\r\nContent-Length: 1", "a"),
      "200 | 200 [a]", setup = expect_head },
    { "two lengths", response("200 OK\r\nContent-Length: 1\r\nContent-Length: 1", "a"), "400" },
    { "both framings", response("200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", "a"), "400" },
    { "a bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "400 status line: a control byte, or LF without CR" },
    { "a bare CR", "HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n", "400 header: CR without LF" },
    { "obs-fold", response("200 OK\r\nX: y\r\n z"), "400 header: a line that begins with a blank (obs-fold)" },
    { "HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
      "400 status line: neither HTTP/1.1 nor HTTP/1.0, or no known status" },
    { "HTTP/0.9", "HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
      "400 status line: neither HTTP/1.1 nor HTTP/1.0, or no known status" },
    { "a status below 100", response("099 X\r\nContent-Length: 0"), "400" },
    { "a status above 599", response("600 X\r\nContent-Length: 0"),
      "400 status line: neither HTTP/1.1 nor HTTP/1.0, or no known status" },
    { "a status of four digits", response("2000 X\r\nContent-Length: 0"), "400" },
    { "a body over the limit", response("200 OK\r\nContent-Length: 1001"),
      "413 body of 1001 bytes is over --max-body-bytes 1000" },
    { "a body without length over the limit", response("200 OK", ("x"):rep(1001)),
      "413 body of at least 1001 bytes is over --max-body-bytes 1000" },
    { "a request", get(), "400" },
  })
end)

describe("the bytes that may stand", function()
  --- Which of all 256 bytes are accepted, as one string.
  local function accepted(template)
    local bytes = {}
    for byte = 0, 255 do
      local char = string.char(byte)
      local request = template:gsub("@", function() return char end)
      local event = http.parser { kind = "request" }:feed(request)[1]
      if event and event.type == "message" then bytes[#bytes + 1] = char end
    end
    return table.concat(bytes)
  end

  --- All bytes that are in the class of a Lua pattern.
  local function class(pattern)
    local bytes = {}
    for byte = 0, 255 do
      local char = string.char(byte)
      if char:find(pattern) then bytes[#bytes + 1] = char end
    end
    return table.concat(bytes)
  end

  it("in a method are those of a token", function()
    assert.are.equal(class "[%w!#$%%&'*+%-.^_`|~]", accepted("A@ / HTTP/1.1\r\n" .. HOST .. "\r\n"))
  end)

  it("in a path are all but blanks, controls and the fragment's mark", function()
    assert.are.equal(class "[\x21\x22\x24-\x7e\x80-\xff]", accepted("GET /@ HTTP/1.1\r\n" .. HOST .. "\r\n"))
  end)

  it("in a header's name are those of a token; a colon ends it", function()
    assert.are.equal(class "[%w!#$%%&'*+%-.^_`|~:]", accepted(get "A@B: c\r\n"))
  end)

  it("in a header's value are all but controls", function()
    assert.are.equal(class "[\t\x20-\x7e\x80-\xff]", accepted(get "A: b@c\r\n"))
  end)

  it("in a Host are those of names, addresses and ports", function()
    assert.are.equal(class "[%w%-._~%%!$&'()*+,;=:%[%]]", accepted "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n")
  end)
end)

describe("http.parser", function()
  it("gives the header fields as they came, values without the blanks around them", function()
    local parser = http.parser { kind = "request" }
    local message = parser:feed(get "X-a:  b c\t\r\nx-A:\r\n")[1]
    assert.are.same({
      { name = "Host", value = "h" },
      { name = "X-a", value = "b c" },
      { name = "x-A", value = "" },
    }, message.headers)
  end)

  it("says how many bytes it used, up to the end of the last message", function()
    local parser = http.parser { kind = "request" }
    local _, used = parser:feed(get() .. get())
    assert.are.equal(2 * #get(), used)
  end)

  it("is in a message from its first byte to its last, blank lines not counted", function()
    local parser = http.parser { kind = "request" }
    assert.is_false(parser:in_message())
    parser:feed "\r\n"
    assert.is_false(parser:in_message())
    parser:feed "P"
    assert.is_true(parser:in_message())
    parser:feed(put("Content-Length: 1\r\n"):sub(2))
    assert.is_true(parser:in_message())
    parser:feed "x"
    assert.is_false(parser:in_message())
  end)

  it("stays failed", function()
    local parser = http.parser { kind = "request" }
    local first = parser:feed "\n"[1]
    local second = parser:feed(get())[1]
    assert.are.same(first, second)
    assert.are.equal("failure", parser:finish().type)
  end)

  it("ends well between messages, badly inside one", function()
    local parser = http.parser { kind = "request" }
    assert.is_nil(parser:finish())
    parser:feed(get())
    assert.is_nil(parser:finish())
    parser:feed "GET"
    local failure = parser:finish()
    assert.are.equal("400 the connection ended inside a message", describe_event(failure))
  end)

  it("goes on after its memory was given back", function()
    local parser = http.parser { kind = "request" }
    parser:feed(many_headers(HEADERS_MAX) .. put("Content-Length: 20000\r\n", ("x"):rep(20000)))
    parser:trim()
    local events = parser:feed(many_headers(HEADERS_MAX) .. put("Content-Length: 3\r\n", "abc"))
    assert.are.equal("GET /", describe_event(events[1]))
    assert.are.equal("PUT /k [abc]", describe_event(events[2]))
  end)

  it("keeps what has arrived when it is asked for memory inside a message", function()
    local parser = http.parser { kind = "request" }
    parser:feed(put("Content-Length: 20000\r\n", ("x"):rep(19999)))
    parser:trim()
    assert.are.equal(("x"):rep(20000), parser:feed("x")[1].body)
  end)

  it("names an option that makes no sense", function()
    assert.has_error(function() http.parser { kind = "both" } end)
    assert.has_error(function() http.parser { max_body = -1 } end)
  end)
end)
