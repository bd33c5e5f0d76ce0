-- One request, one reply: every row of the contract's tables. A row is
--   { title, request line, body or false, status, reply body, {reply headers}, {request headers},
--     given = {requests before it} }
-- A reply body that starts with ^ is a pattern, else it is the whole body. A header of false must be absent.
local http = require "spec.support.http"

local function bad(message) return http.error_body("bad_request", message) end
local function large(message) return http.error_body("too_large", message) end

local OK <const> = '{"ok":true}'
local HEALTH <const> = '{"ok":true,"id":"n1","role":"leader","term":1,"leader_id":"n1"}'
local MISSING <const> = http.error_body("not_found", "key: does not exist")
local NO_ROUTE <const> = http.error_body("not_found", "path: no such route")
local NOT_ALLOWED <const> = http.error_body("method_not_allowed", "method: not one that this path has, see Allow")
local ACCEPTED <const> = '^{"ok":true,"op_id":"n1%-%x+%-1"}$'
local NO_OP <const> = http.error_body("not_found",
  "op_id: expected one that an asynchronous write was answered with")
local OTHER_START <const> = http.error_body("not_found",
  "op_id: of another start of this node, what it knew then is lost; the outcome is unknown")
local CAS_FAILED <const> = http.error_body("cas_failed", "expected: differs from the current value")
local BAD_ESCAPE <const> = "malformed percent-encoding, expected % and two hex digits"
local BAD_SEQ <const> = "seq: expected an integer from 0 to 9223372036854775807"
local BAD_X_SEQ <const> = "X-Seq: expected an integer from 0 to 9223372036854775807"
local BAD_LIMIT <const> = "limit: expected an integer from 1 to 10000"
local BAD_INDEX <const> = "min_index: expected an integer from 0 to 18446744073709551615"
local RAW <const> = "Content-Type: application/octet-stream"
local AS_RAW <const> = "Accept: application/octet-stream"

local CLIENT <const> = { "X-Client-Id: c", "X-Seq: 1" }
local CLIENT_WROTE <const> = { { "PUT /kv/a", '{"client_id":"c","seq":1,"value":"1"}' } }
local TWICE <const> = "%s: the body has a client_id or seq already; expected one of both"

local function value(text) return ('{"ok":true,"value":"%s"}'):format(text) end
local function deleted(n) return ('{"ok":true,"deleted":%d}'):format(n) end

local function put(target, text) return { "PUT /kv/" .. target, ('{"value":"%s"}'):format(text) } end

local A_IS_1 <const> = { put("a", "1") }
local ABC <const> = { { "POST /kv/mput", '{"entries":[{"key":"a","value":"1"},{"key":"b","value":"2"},' ..
  '{"key":"b/c","value":"3"},{"key":"c","value":"4"}]}' } }
local function entries(list, next_key)
  return ('{"ok":true,"entries":[%s],"next":"%s"}'):format(list, next_key or "")
end
local A <const>, B <const> = '{"key":"a","value":"1"}', '{"key":"b","value":"2"}'
local BC <const>, C <const> = '{"key":"b/c","value":"3"}', '{"key":"c","value":"4"}'

-- The limits are small, so that the rows stay short.
local CONFIG <const> = { max_key_bytes = 16, max_value_bytes = 32, max_body_bytes = 65536, request_timeout_ms = 2000 }
local K16 <const>, K17 <const> = ("k"):rep(16), ("k"):rep(17)
local V32 <const>, V33 <const> = ("v"):rep(32), ("v"):rep(33)
local BASE64_OF_33 <const> = ("AAAA"):rep(11)

local groups = {}

local OP_START <const> = "0123456789abcdef"

groups["GET /ops"] = {
  { "no id", "GET /ops/", false, 404, NO_OP },
  { "an id without its parts", "GET /ops/x", false, 404, NO_OP },
  { "no node", "GET /ops/-" .. OP_START .. "-1", false, 404, NO_OP },
  { "two parts", "GET /ops/" .. OP_START .. "-1", false, 404, NO_OP },
  { "no number", "GET /ops/n1-" .. OP_START .. "-", false, 404, NO_OP },
  { "a number that is not one", "GET /ops/n1-" .. OP_START .. "-1x", false, 404, NO_OP },
  { "a number of 0", "GET /ops/n1-" .. OP_START .. "-0", false, 404, NO_OP },
  { "a number with a 0 in front", "GET /ops/n1-" .. OP_START .. "-01", false, 404, NO_OP },
  { "a number of 2^64", "GET /ops/n1-" .. OP_START .. "-18446744073709551616", false, 404, NO_OP },
  { "a number of 2^64-1", "GET /ops/n1-" .. OP_START .. "-18446744073709551615", false, 404, OTHER_START },
  { "a short start", "GET /ops/n1-123456789abcdef-1", false, 404, NO_OP },
  { "a long start", "GET /ops/n1-00123456789abcdef-1", false, 404, NO_OP },
  { "a start in upper case", "GET /ops/n1-0123456789ABCDEF-1", false, 404, NO_OP },
  { "a node of illegal characters", "GET /ops/n%201-" .. OP_START .. "-1", false, 404, NO_OP },
  { "a node of 64 characters", "GET /ops/" .. ("n"):rep(64) .. "-" .. OP_START .. "-1", false, 404, NO_OP },
  { "a NUL", "GET /ops/n1%00-" .. OP_START .. "-1", false, 404, NO_OP },
  { "a path below", "GET /ops/n1-" .. OP_START .. "-1/", false, 404, NO_OP },
  { "a bad escape", "GET /ops/n1%2", false, 400, bad("op_id: " .. BAD_ESCAPE) },
  { "an id of another start", "GET /ops/n1-" .. OP_START .. "-1", false, 404, OTHER_START },
  { "the same, percent-encoded", "GET /ops/%6e1%2D" .. OP_START .. "-1", false, 404, OTHER_START },
  { "the same, HEAD", "HEAD /ops/n1-" .. OP_START .. "-1", false, 404, "",
    { ["content-length"] = tostring(#OTHER_START) } },
  { "an id of nobody here", "GET /ops/n1-n2-" .. OP_START .. "-1", false, 404,
    http.error_body("not_found", "op_id: of a node that is not known here; the outcome is unknown") },
  { "PUT", "PUT /ops/n1-" .. OP_START .. "-1", "{}", 405, NOT_ALLOWED, { allow = "GET, HEAD" } },
  { "DELETE", "DELETE /ops/n1-" .. OP_START .. "-1", false, 405, NOT_ALLOWED, { allow = "GET, HEAD" } },
  { "POST", "POST /ops/x", "{}", 405, NOT_ALLOWED, { allow = "GET, HEAD" } },
  { "without the slash", "GET /ops", false, 404, NO_ROUTE },
}

groups["node routes"] = {
  { "healthz", "GET /healthz", false, 200, HEALTH, { ["content-type"] = "application/json" } },
  { "livez", "GET /livez", false, 200, HEALTH },
  { "readyz", "GET /readyz", false, 200, HEALTH },
  { "a query on healthz is ignored", "GET /healthz?x=1&read=nonsense", false, 200, HEALTH },
  { "a body of a GET is ignored", "GET /healthz", "{nonsense", 200, HEALTH },
  { "HEAD healthz", "HEAD /healthz", false, 200, "", { ["content-length"] = tostring(#HEALTH) } },
  { "HEAD readyz", "HEAD /readyz", false, 200, "", { ["content-length"] = tostring(#HEALTH) } },
  { "status", "GET /status", false, 200, '^{"id":"n1","role":"leader",.*"version":"[%d.]+"}$' },
  { "HEAD status", "HEAD /status", false, 200, "" },
}

groups["paths and methods"] = {
  { "the root", "GET /", false, 404, NO_ROUTE, { ["content-type"] = "application/json" } },
  { "an unknown path", "GET /nope", false, 404, NO_ROUTE },
  { "an unknown path, POST", "POST /nope", "{}", 404, NO_ROUTE },
  { "a path that only begins like a route", "GET /healthzz", false, 404, NO_ROUTE },
  { "a path below a route", "GET /healthz/x", false, 404, NO_ROUTE },
  { "a path in another case", "GET /Healthz", false, 404, NO_ROUTE },
  { "routes are not percent-decoded", "GET /health%7A", false, 404, NO_ROUTE },
  { "nor is the prefix of keys", "GET /k%76/a", false, 404, NO_ROUTE },
  { "a path that is not normalised", "GET //kv/a", false, 404, NO_ROUTE },
  { "a path with dot segments is not normalised", "GET /x/../kv/a", false, 404, NO_ROUTE },
  { "a path that only begins like that of the figures", "GET /metricsx", false, 404, NO_ROUTE },
  { "HEAD of an unknown path", "HEAD /nope", false, 404, "" },
  { "POST healthz", "POST /healthz", "{}", 405, NOT_ALLOWED, { allow = "GET, HEAD" } },
  { "DELETE status", "DELETE /status", false, 405, NOT_ALLOWED, { allow = "GET, HEAD" } },
  { "PUT readyz", "PUT /readyz", "{}", 405, NOT_ALLOWED, { allow = "GET, HEAD" } },
  { "OPTIONS livez", "OPTIONS /livez", false, 405, NOT_ALLOWED, { allow = "GET, HEAD" } },
  { "POST kv", "POST /kv", "{}", 405, NOT_ALLOWED, { allow = "GET, HEAD" } },
  { "PUT kv", "PUT /kv", "{}", 405, NOT_ALLOWED, { allow = "GET, HEAD" } },
  { "POST of a key", "POST /kv/a", "{}", 405, NOT_ALLOWED, { allow = "GET, HEAD, PUT, DELETE" } },
  { "PATCH of a key", "PATCH /kv/a", "{}", 405, NOT_ALLOWED, { allow = "GET, HEAD, PUT, DELETE" } },
  { "PATCH of an operation", "PATCH /kv/cas", "{}", 405, NOT_ALLOWED, { allow = "GET, HEAD, PUT, DELETE, POST" } },
  { "POST below an operation", "POST /kv/cas/x", "{}", 405, NOT_ALLOWED, { allow = "GET, HEAD, PUT, DELETE" } },
  { "POST of an operation, encoded, is a key", "POST /kv/c%61s", "{}", 405, NOT_ALLOWED,
    { allow = "GET, HEAD, PUT, DELETE" } },
}

groups["keys"] = {
  { "a missing key", "GET /kv/a", false, 404, MISSING },
  { "a key", "GET /kv/a", false, 200, value "1", nil, nil, given = A_IS_1 },
  { "PUT makes a key named cas", "GET /kv/cas", false, 200, value "1", given = { put("cas", "1") } },
  { "PUT makes a key named mget", "GET /kv/mget", false, 200, value "1", given = { put("mget", "1") } },
  { "DELETE of a key named mput", "DELETE /kv/mput", false, 200, deleted(1), given = { put("mput", "1") } },
  { "a slash and its escape are the same", "GET /kv/a%2Fb", false, 200, value "1", given = { put("a/b", "1") } },
  { "in both directions", "GET /kv/a/b", false, 200, value "1", given = { put("a%2fb", "1") } },
  { "slashes at the end belong to the key", "GET /kv/a", false, 404, MISSING, given = { put("a/", "1") } },
  { "a key of slashes", "GET /kv///", false, 200, value "1", given = { put("%2F/", "1") } },
  { "dot segments belong to the key", "GET /kv/a/../b", false, 200, value "1", given = { put("a/%2e%2e/b", "1") } },
  { "and do not name another one", "GET /kv/b", false, 404, MISSING, given = { put("a/../b", "1") } },
  { "decoded once only", "GET /kv/%2541", false, 200, value "1", given = { put("%2541", "1") } },
  { "so not twice", "GET /kv/A", false, 404, MISSING, given = { put("%2541", "1") } },
  { "a plus is a plus", "GET /kv/a%20b", false, 404, MISSING, given = { put("a+b", "1") } },
  { "a question mark, encoded", "GET /kv/a%3Fb", false, 200, value "1", given = { put("a%3fb", "1") } },
  { "UTF-8", "GET /kv/%C3%A9", false, 200, value "1", given = { { "POST /kv/mput",
    '{"entries":[{"key":"é","value":"1"}]}' } } },
  { "the empty key", "GET /kv/", false, 400, bad "key: must not be empty" },
  { "the empty key, PUT", "PUT /kv/", '{"value":"1"}', 400, bad "key: must not be empty" },
  { "the empty key, DELETE", "DELETE /kv/", false, 400, bad "key: must not be empty" },
  { "NUL", "GET /kv/a%00", false, 400, bad "key: must not hold NUL" },
  { "NUL, PUT", "PUT /kv/%00", '{"value":"1"}', 400, bad "key: must not hold NUL" },
  { "not UTF-8", "GET /kv/%ff", false, 400, bad "key: not valid UTF-8" },
  { "not UTF-8, PUT", "PUT /kv/%C3", '{"value":"1"}', 400, bad "key: not valid UTF-8" },
  { "a surrogate", "GET /kv/%ED%A0%80", false, 400, bad "key: not valid UTF-8" },
  { "a malformed escape", "GET /kv/%zz", false, 400, bad("key: " .. BAD_ESCAPE) },
  { "a cut escape", "GET /kv/a%2", false, 400, bad("key: " .. BAD_ESCAPE) },
  { "a malformed escape, PUT", "PUT /kv/%", '{"value":"1"}', 400, bad("key: " .. BAD_ESCAPE) },
  { "the longest key", "PUT /kv/" .. K16, '{"value":"1"}', 200, OK },
  { "counted after decoding", "PUT /kv/" .. ("%6b"):rep(16), '{"value":"1"}', 200, OK },
  { "a longer one", "PUT /kv/" .. K17, '{"value":"1"}', 413,
    large "key: 17 bytes exceed the limit of 16 (--max-key-bytes)" },
  { "a longer one, GET", "GET /kv/" .. K17, false, 413,
    large "key: 17 bytes exceed the limit of 16 (--max-key-bytes)" },
  { "a longer one, DELETE", "DELETE /kv/" .. K17, false, 413,
    large "key: 17 bytes exceed the limit of 16 (--max-key-bytes)" },
}

groups["GET and HEAD"] = {
  { "the bytes", "GET /kv/a", false, 200, "1", { ["content-type"] = "application/octet-stream" }, { AS_RAW },
    given = A_IS_1 },
  { "the bytes of a missing key are JSON", "GET /kv/a", false, 404, MISSING, { ["content-type"] = "application/json" },
    { AS_RAW } },
  { "another Accept", "GET /kv/a", false, 200, value "1", nil, { "Accept: application/json" }, given = A_IS_1 },
  { "any Accept", "GET /kv/a", false, 200, value "1", nil, { "Accept: */*" }, given = A_IS_1 },
  { "HEAD", "HEAD /kv/a", false, 200, "", { ["content-length"] = "23", ["x-raft-index"] = "2" }, given = A_IS_1 },
  { "HEAD of the bytes", "HEAD /kv/a", false, 200, "",
    { ["content-length"] = "1", ["content-type"] = "application/octet-stream" }, { AS_RAW }, given = A_IS_1 },
  { "HEAD of a missing key", "HEAD /kv/a", false, 404, "", { ["content-length"] = tostring(#MISSING) } },
  { "a value is escaped", "GET /kv/a", false, 200, '{"ok":true,"value":"\\"\\\\\\n\\u0001\xc3\xa9/"}',
    given = { { "PUT /kv/a", [[{"value":"\"\\\n\u0001\u00e9\/"}]] } } },
  { "a value with NUL", "GET /kv/a", false, 200, value "a\\u0000b", given = { { "PUT /kv/a",
    [[{"value":"a\u0000b"}]] } } },
  { "read=stale", "GET /kv/a?read=stale", false, 200, value "1", { ["x-raft-index"] = "2" }, given = A_IS_1 },
  { "read=readindex", "GET /kv/a?read=readindex", false, 200, value "1", { ["x-raft-index"] = "2" }, given = A_IS_1 },
  { "read=nonsense", "GET /kv/a?read=fresh", false, 400, bad 'read: expected "readindex" or "stale"' },
  { "an empty read", "GET /kv/a?read=", false, 400, bad 'read: expected "readindex" or "stale"' },
  { "min_index", "GET /kv/a?min_index=2", false, 200, value "1", given = A_IS_1 },
  { "min_index of 0", "GET /kv/a?min_index=0&read=stale", false, 404, MISSING },
  { "min_index of nonsense", "GET /kv/a?min_index=x", false, 400, bad(BAD_INDEX) },
  { "a negative min_index", "GET /kv/a?min_index=-1", false, 400, bad(BAD_INDEX) },
  { "a min_index over 2^64-1", "GET /kv/a?min_index=18446744073709551616", false, 400, bad(BAD_INDEX) },
  { "an unknown parameter is ignored", "GET /kv/a?pretty=1&x", false, 200, value "1", given = A_IS_1 },
  { "the mode of a read is ignored", "GET /kv/a?mode=nonsense", false, 404, MISSING },
}

groups["PUT"] = {
  { "a value", "PUT /kv/a", '{"value":"1"}', 200, OK, { ["x-raft-index"] = "2", ["x-replay"] = false } },
  { "with client and seq", "PUT /kv/a", '{"client_id":"c","seq":1,"value":"1"}', 200, OK },
  { "the empty value", "PUT /kv/a", '{"value":""}', 200, OK },
  { "base64", "PUT /kv/a", '{"value_base64":"/w=="}', 200, OK },
  { "empty base64", "PUT /kv/a", '{"value_base64":""}', 200, OK },
  { "JSON as curl sends it", "PUT /kv/a", '{"value":"1"}', 200, OK, nil,
    { "Content-Type: application/x-www-form-urlencoded" } },
  { "blanks around it", "PUT /kv/a", ' \r\n\t{ "value" : "1" }\n', 200, OK },
  { "an unknown field", "PUT /kv/a", '{"more":1,"value":"1"}', 200, OK },
  { "an unknown field with all it holds", "PUT /kv/a",
    '{"more":{"value":1,"seq":"x","a":[{"keys":[1,{}]},[]]},"value":"1","x":[],"y":null,"z":true}', 200, OK },
  { "a field that other routes know", "PUT /kv/a", '{"key":1,"keys":{},"entries":"x","expected":[],"value":"1"}', 200,
    OK },
  { "mode=sync", "PUT /kv/a?mode=sync", '{"value":"1"}', 200, OK },
  { "mode=async", "PUT /kv/a?mode=async", '{"value":"1"}', 202, ACCEPTED },
  { "mode=async, not valid", "PUT /kv/a?mode=async", "{}", 400,
    bad "value: missing, expected a string (or value_base64)" },
  { "mode=nonsense", "PUT /kv/a?mode=fast", '{"value":"1"}', 400, bad 'mode: expected "sync" or "async"' },
  { "the read policy of a write is ignored", "PUT /kv/a?read=nonsense", '{"value":"1"}', 200, OK },
  { "no body", "PUT /kv/a", "", 400, bad "body: empty, expected a JSON object" },
  { "no value", "PUT /kv/a", '{"client_id":"c","seq":1}', 400,
    bad "value: missing, expected a string (or value_base64)" },
  { "a number for a value", "PUT /kv/a", '{"value":1}', 400, bad "value: expected a string, got a number" },
  { "null for a value", "PUT /kv/a", '{"value":null}', 400, bad "value: expected a string, got null" },
  { "a boolean for a value", "PUT /kv/a", '{"value":true}', 400, bad "value: expected a string, got a boolean" },
  { "an object for a value", "PUT /kv/a", '{"value":{}}', 400, bad "value: expected a string, got an object" },
  { "an array for a value", "PUT /kv/a", '{"value":["1"]}', 400, bad "value: expected a string, got an array" },
  { "both twins", "PUT /kv/a", '{"value":"1","value_base64":"MQ=="}', 400,
    bad "value_base64: stands beside its twin; give one of the two" },
  { "both twins, the other way round", "PUT /kv/a", '{"value_base64":"MQ==","value":"1"}', 400,
    bad "value: stands beside its twin; give one of the two" },
  { "base64 with a wrong character", "PUT /kv/a", '{"value_base64":"!w=="}', 400,
    bad "value_base64: expected base64 (RFC 4648, padded)" },
  { "base64 without padding", "PUT /kv/a", '{"value_base64":"/w"}', 400,
    bad "value_base64: expected base64 (RFC 4648, padded)" },
  { "base64 with unused bits", "PUT /kv/a", '{"value_base64":"/x=="}', 400,
    bad "value_base64: expected base64 (RFC 4648, padded)" },
  { "a number for base64", "PUT /kv/a", '{"value_base64":1}', 400,
    bad "value_base64: expected a string of base64, got a number" },
  { "a duplicate field", "PUT /kv/a", '{"value":"1","value":"1"}', 400,
    '^{"ok":false,"err_code":"bad_request",.*value' },
  { "a duplicate unknown field", "PUT /kv/a", '{"x":1,"x":2,"value":"1"}', 400,
    '^{"ok":false,"err_code":"bad_request"' },
  { "a duplicate field by escapes", "PUT /kv/a", [[{"v\u0061lue":"1","value":"1"}]], 400,
    '^{"ok":false,"err_code":"bad_request"' },
  { "an escaped field name", "PUT /kv/a", [[{"v\u0061lue":"1"}]], 200, OK },
  { "an array", "PUT /kv/a", '["1"]', 400, bad "body: expected an object, got an array" },
  { "a string", "PUT /kv/a", '"1"', 400, bad "body: expected an object, got a string" },
  { "null", "PUT /kv/a", "null", 400, bad "body: expected an object, got null" },
  { "not JSON", "PUT /kv/a", "value=1", 400, '^{"ok":false,"err_code":"bad_request","err_msg":"body: ' },
  { "cut JSON", "PUT /kv/a", '{"value":"1"', 400, '^{"ok":false,"err_code":"bad_request","err_msg":"body: ' },
  { "trailing garbage", "PUT /kv/a", '{"value":"1"}}', 400, '^{"ok":false,"err_code":"bad_request","err_msg":"body: ' },
  { "two values", "PUT /kv/a", '{"value":"1"}{"value":"2"}', 400,
    '^{"ok":false,"err_code":"bad_request","err_msg":"body: ' },
  { "a trailing comma", "PUT /kv/a", '{"value":"1",}', 400, '^{"ok":false,"err_code":"bad_request","err_msg":"body: ' },
  { "a comment", "PUT /kv/a", '{/**/"value":"1"}', 400, '^{"ok":false,"err_code":"bad_request","err_msg":"body: ' },
  { "invalid UTF-8", "PUT /kv/a", '{"value":"\xff"}', 400, '^{"ok":false,"err_code":"bad_request","err_msg":"body: ' },
  { "invalid UTF-8 in what is ignored", "PUT /kv/a", '{"x":"\xc3","value":"1"}', 400,
    '^{"ok":false,"err_code":"bad_request","err_msg":"body: ' },
  { "a lone surrogate", "PUT /kv/a", [[{"value":"\ud800"}]], 400,
    '^{"ok":false,"err_code":"bad_request","err_msg":"body: ' },
  { "a pair of surrogates", "PUT /kv/a", [[{"value":"\ud83d\ude00"}]], 200, OK },
  { "nesting that is too deep", "PUT /kv/a", '{"x":' .. ("["):rep(40) .. ("]"):rep(40) .. ',"value":"1"}', 400,
    '^{"ok":false,"err_code":"bad_request","err_msg":"body: ' },
  { "the longest value", "PUT /kv/a", ('{"value":"%s"}'):format(V32), 200, OK },
  { "counted after unescaping", "PUT /kv/a", ('{"value":"%s"}'):format(("\\u0041"):rep(32)), 200, OK },
  { "a longer value", "PUT /kv/a", ('{"value":"%s"}'):format(V33), 413,
    large "value: 33 bytes exceed the limit of 32 (--max-value-bytes)" },
  { "a longer value in base64", "PUT /kv/a", ('{"value_base64":"%s"}'):format(BASE64_OF_33), 413,
    large "value_base64: 33 bytes exceed the limit of 32 (--max-value-bytes)" },
  { "a body over its limit", "PUT /kv/a", ("x"):rep(65537), 413,
    '^{"ok":false,"err_code":"too_large",.*65537.*%-%-max%-body%-bytes' },
}

groups["client_id and seq"] = {
  { "seq 0", "PUT /kv/a", '{"client_id":"c","seq":0,"value":"1"}', 200, OK },
  { "the largest seq", "PUT /kv/a", '{"client_id":"c","seq":9223372036854775807,"value":"1"}', 200, OK },
  { "a seq of 2^63", "PUT /kv/a", '{"client_id":"c","seq":9223372036854775808,"value":"1"}', 400, bad(BAD_SEQ) },
  { "a huge seq", "PUT /kv/a", '{"client_id":"c","seq":' .. ("9"):rep(400) .. ',"value":"1"}', 400, bad(BAD_SEQ) },
  { "a negative seq", "PUT /kv/a", '{"client_id":"c","seq":-1,"value":"1"}', 400, bad(BAD_SEQ) },
  { "minus zero", "PUT /kv/a", '{"client_id":"c","seq":-0,"value":"1"}', 400, bad(BAD_SEQ) },
  { "a fraction", "PUT /kv/a", '{"client_id":"c","seq":1.0,"value":"1"}', 400, bad(BAD_SEQ) },
  { "an exponent", "PUT /kv/a", '{"client_id":"c","seq":1e3,"value":"1"}', 400, bad(BAD_SEQ) },
  { "a seq in a string", "PUT /kv/a", '{"client_id":"c","seq":"1","value":"1"}', 400,
    bad "seq: expected a number, got a string" },
  { "a null seq", "PUT /kv/a", '{"client_id":"c","seq":null,"value":"1"}', 400,
    bad "seq: expected a number, got null" },
  { "a seq without a client_id", "PUT /kv/a", '{"seq":1,"value":"1"}', 200, OK },
  { "a client_id without a seq", "PUT /kv/a", '{"client_id":"c","value":"1"}', 200, OK },
  { "a number for client_id", "PUT /kv/a", '{"client_id":1,"seq":1,"value":"1"}', 400,
    bad "client_id: expected a string, got a number" },
  { "the longest client_id", "PUT /kv/a", ('{"client_id":"%s","seq":1,"value":"1"}'):format(("c"):rep(256)), 200, OK },
  { "a longer client_id", "PUT /kv/a", ('{"client_id":"%s","seq":1,"value":"1"}'):format(("c"):rep(257)), 400,
    bad "client_id: longer than 256 bytes" },
  { "a replay", "PUT /kv/b", '{"client_id":"c","seq":1,"value":"2"}', 200, deleted(1), { ["x-replay"] = "same" },
    given = { put("a", "1"), { "DELETE /kv/a", '{"client_id":"c","seq":1}' } } },
  { "an older one", "PUT /kv/b", '{"client_id":"c","seq":1,"value":"2"}', 200, OK, { ["x-replay"] = "older" },
    given = { { "PUT /kv/a", '{"client_id":"c","seq":2,"value":"1"}' } } },
}

groups["raw PUT"] = {
  { "bytes", "PUT /kv/a", "\0\xff{", 200, OK, nil, { RAW } },
  { "JSON is bytes then", "GET /kv/a", false, 200, value [[{\"value\":1}]], given = { { "PUT /kv/a", '{"value":1}',
    { RAW } } } },
  { "no bytes", "GET /kv/a", false, 200, value "", given = { { "PUT /kv/a", "", { RAW } } } },
  { "client and seq in headers", "PUT /kv/a", "2", 200, OK, { ["x-replay"] = "same" },
    { RAW, "X-Client-Id: c", "X-Seq: 1" }, given = { { "PUT /kv/a", "1", { RAW, "X-Client-Id: c", "X-Seq: 1" } } } },
  { "the same client as in JSON", "PUT /kv/a", '{"client_id":"c","seq":1,"value":"2"}', 200, OK,
    { ["x-replay"] = "same" },
    given = { { "PUT /kv/a", "1", { RAW, "X-Client-Id: c", "X-Seq: 1" } } } },
  { "a seq that is no number", "PUT /kv/a", "1", 400, bad(BAD_X_SEQ), nil, { RAW, "X-Client-Id: c", "X-Seq: one" } },
  { "a seq of 2^63", "PUT /kv/a", "1", 400, bad(BAD_X_SEQ), nil, { RAW, "X-Seq: 9223372036854775808" } },
  { "an empty seq", "PUT /kv/a", "1", 400, bad(BAD_X_SEQ), nil, { RAW, "X-Seq:" } },
  { "a longer client_id", "PUT /kv/a", "1", 400, bad "client_id: longer than 256 bytes", nil,
    { RAW, "X-Client-Id: " .. ("c"):rep(257), "X-Seq: 1" } },
  { "a client_id that is not UTF-8", "PUT /kv/a", "1", 400, bad "client_id: not valid UTF-8", nil,
    { RAW, "X-Client-Id: \xff", "X-Seq: 1" } },
  { "a doubled client", "PUT /kv/a", "1", 400, bad "X-Client-Id: sent 2 times, expected once", nil,
    { RAW, "X-Client-Id: c", "x-client-id: c", "X-Seq: 1" } },
  { "a doubled seq", "PUT /kv/a", "1", 400, bad "X-Seq: sent 3 times, expected once", nil,
    { RAW, "X-Client-Id: c", "X-Seq: 1", "X-Seq: 2", "X-SEQ: 3" } },
  { "a doubled Content-Type", "PUT /kv/a", '{"value":"1"}', 400, bad "Content-Type: sent 2 times, expected once", nil,
    { "Content-Type: application/json", RAW } },
  { "after a doubled header nothing was done", "GET /kv/a", false, 404, MISSING,
    given = { { "PUT /kv/a", "1", { RAW, "X-Seq: 1", "X-Seq: 1" } } } },
  { "the longest value", "PUT /kv/a", V32, 200, OK, nil, { RAW } },
  { "a longer one", "PUT /kv/a", V33, 413, large "value: 33 bytes exceed the limit of 32 (--max-value-bytes)", nil,
    { RAW } },
  { "a key that is not valid", "PUT /kv/%ff", "1", 400, bad "key: not valid UTF-8", nil, { RAW } },
}

-- Any write whose JSON names no client may do so in headers.
groups["headers beside JSON"] = {
  { "PUT", "PUT /kv/b", '{"value":"1"}', 200, OK, { ["x-replay"] = "same" }, CLIENT, given = CLIENT_WROTE },
  { "cas", "POST /kv/cas", '{"key":"b","expected":"","value":"1"}', 200, OK, { ["x-replay"] = "same" }, CLIENT,
    given = CLIENT_WROTE },
  { "mput", "POST /kv/mput", '{"entries":[{"key":"b","value":"1"}]}', 200, OK, { ["x-replay"] = "same" }, CLIENT,
    given = CLIENT_WROTE },
  { "mdelete", "POST /kv/mdelete", '{"keys":["a"]}', 200, OK, { ["x-replay"] = "same" }, CLIENT,
    given = CLIENT_WROTE },
  { "both in PUT", "PUT /kv/a", '{"client_id":"c","seq":1,"value":"1"}', 400, bad(TWICE:format("X-Seq")), nil,
    { "X-Seq: 1" } },
  { "both in mput", "POST /kv/mput", '{"client_id":"c","entries":[{"key":"b","value":"1"}]}', 400,
    bad(TWICE:format("X-Client-Id")), nil, CLIENT },
  { "a seq that is no number", "PUT /kv/a", '{"value":"1"}', 400, bad(BAD_X_SEQ), nil, { "X-Seq: one" } },
}

groups["DELETE"] = {
  { "a key", "DELETE /kv/a", false, 200, deleted(1), { ["x-raft-index"] = "3" }, given = A_IS_1 },
  { "a missing key", "DELETE /kv/a", false, 200, deleted(0) },
  { "with client and seq", "DELETE /kv/a", '{"client_id":"c","seq":1}', 200, deleted(1), given = A_IS_1 },
  { "an empty object", "DELETE /kv/a", "{}", 200, deleted(0) },
  { "an empty body", "DELETE /kv/a", "", 200, deleted(0) },
  { "not an object", "DELETE /kv/a", "[]", 400, bad "body: expected an object, got an array" },
  { "a bad seq", "DELETE /kv/a", '{"seq":-1}', 400, bad(BAD_SEQ) },
  { "client and seq in headers", "DELETE /kv/a", false, 200, OK, { ["x-replay"] = "same" }, CLIENT,
    given = CLIENT_WROTE },
  { "headers and an empty object", "DELETE /kv/a", "{}", 200, OK, { ["x-replay"] = "same" }, CLIENT,
    given = CLIENT_WROTE },
  { "headers beside a client_id", "DELETE /kv/a", '{"client_id":"c"}', 400, bad(TWICE:format("X-Client-Id")), nil,
    CLIENT },
  { "headers beside a seq", "DELETE /kv/a", '{"seq":1}', 400, bad(TWICE:format("X-Client-Id")), nil, CLIENT },
  { "a doubled client", "DELETE /kv/a", false, 400, bad "X-Client-Id: sent 2 times, expected once", nil,
    { "X-Client-Id: c", "X-Client-Id: d", "X-Seq: 1" } },
  { "a doubled seq", "DELETE /kv/a", "{}", 400, bad "X-Seq: sent 2 times, expected once", nil,
    { "X-Seq: 1", "X-Seq: 1" } },
  { "a doubled Content-Type", "DELETE /kv/a", false, 400, bad "Content-Type: sent 2 times, expected once", nil,
    { RAW, RAW } },
  { "a raw value", "DELETE /kv/a", "{}", 400,
    bad "Content-Type: a DELETE takes no raw value, expected a JSON object or no body", nil, { RAW } },
  { "a raw value that is empty", "DELETE /kv/a", "", 200, deleted(1), nil, { RAW }, given = A_IS_1 },
  { "a value is an unknown field", "DELETE /kv/a", '{"value":1}', 200, deleted(0) },
  { "mode=async", "DELETE /kv/a?mode=async", false, 202, ACCEPTED },
}

groups["GET /kv"] = {
  { "all", "GET /kv", false, 200, entries(table.concat({ A, B, BC, C }, ",")), given = ABC },
  { "nothing", "GET /kv", false, 200, entries "" },
  { "HEAD", "HEAD /kv", false, 200, "", { ["content-length"] = tostring(#entries "") } },
  { "a prefix", "GET /kv?prefix=b", false, 200, entries(B .. "," .. BC), given = ABC },
  { "a prefix that nothing has", "GET /kv?prefix=x", false, 200, entries "", given = ABC },
  { "an empty prefix", "GET /kv?prefix=&after=b", false, 200, entries(BC .. "," .. C), given = ABC },
  { "an encoded prefix", "GET /kv?prefix=b%2F", false, 200, entries(BC), given = ABC },
  { "after", "GET /kv?after=b", false, 200, entries(BC .. "," .. C), given = ABC },
  { "after a key that is not there", "GET /kv?after=aa", false, 200, entries(table.concat({ B, BC, C }, ",")),
    given = ABC },
  { "after the last", "GET /kv?after=c", false, 200, entries "", given = ABC },
  { "a prefix and after", "GET /kv?prefix=b&after=b", false, 200, entries(BC), given = ABC },
  { "after before the prefix", "GET /kv?prefix=b&after=a", false, 200, entries(B .. "," .. BC), given = ABC },
  { "a limit", "GET /kv?limit=2", false, 200, entries(A .. "," .. B, "b"), given = ABC },
  { "a limit that is just enough", "GET /kv?limit=4", false, 200, entries(table.concat({ A, B, BC, C }, ",")),
    given = ABC },
  { "a limit within a prefix", "GET /kv?prefix=b&limit=1", false, 200, entries(B, "b"), given = ABC },
  { "the largest limit", "GET /kv?limit=10000", false, 200, entries(table.concat({ A, B, BC, C }, ",")), given = ABC },
  { "limit 0", "GET /kv?limit=0", false, 400, bad(BAD_LIMIT) },
  { "a larger limit", "GET /kv?limit=10001", false, 400, bad(BAD_LIMIT) },
  { "a limit that is no number", "GET /kv?limit=ten", false, 400, bad(BAD_LIMIT) },
  { "an empty limit", "GET /kv?limit=", false, 400, bad(BAD_LIMIT) },
  { "a malformed prefix", "GET /kv?prefix=%zz", false, 400, bad("prefix: " .. BAD_ESCAPE) },
  { "a malformed after", "GET /kv?after=%", false, 400, bad("after: " .. BAD_ESCAPE) },
  { "a prefix that is not UTF-8", "GET /kv?prefix=%ff", false, 400, bad "prefix: expected UTF-8 without NUL" },
  { "an after with NUL", "GET /kv?prefix=a&after=%00", false, 400, bad "after: expected UTF-8 without NUL" },
  { "stale", "GET /kv?read=stale&prefix=c", false, 200, entries(C), { ["x-raft-index"] = "2" }, given = ABC },
  { "a bad policy", "GET /kv?read=x", false, 400, bad 'read: expected "readindex" or "stale"' },
}

groups["POST /kv/cas"] = {
  { "that holds", "POST /kv/cas", '{"key":"a","expected":"1","value":"2"}', 200, OK, { ["x-raft-index"] = "3" },
    given = A_IS_1 },
  { "that fails", "POST /kv/cas", '{"key":"a","expected":"2","value":"3"}', 409, CAS_FAILED, { ["x-raft-index"] = "3" },
    given = A_IS_1 },
  { "a missing key counts as empty", "POST /kv/cas", '{"key":"a","expected":"","value":"2"}', 200, OK },
  { "a missing key is nothing else", "POST /kv/cas", '{"key":"a","expected":"1","value":"2"}', 409, CAS_FAILED },
  { "to the empty value", "POST /kv/cas", '{"key":"a","expected":"1","value":""}', 200, OK, given = A_IS_1 },
  { "in base64", "POST /kv/cas", '{"key":"a","expected_base64":"MQ==","value_base64":"/w=="}', 200, OK,
    given = A_IS_1 },
  { "a failed one is replayed", "POST /kv/cas", '{"client_id":"c","seq":1,"key":"a","expected":"","value":"1"}', 409,
    CAS_FAILED, { ["x-replay"] = "same" },
    given = { { "POST /kv/cas", '{"client_id":"c","seq":1,"key":"a","expected":"x","value":"1"}' } } },
  { "no key", "POST /kv/cas", '{"expected":"1","value":"2"}', 400, bad "key: missing, expected a string" },
  { "no expected", "POST /kv/cas", '{"key":"a","value":"2"}', 400,
    bad "expected: missing, expected a string (or expected_base64)" },
  { "no value", "POST /kv/cas", '{"key":"a","expected":"2"}', 400,
    bad "value: missing, expected a string (or value_base64)" },
  { "both twins of expected", "POST /kv/cas", '{"key":"a","expected":"","expected_base64":"","value":""}', 400,
    bad "expected_base64: stands beside its twin; give one of the two" },
  { "an empty key", "POST /kv/cas", '{"key":"","expected":"","value":""}', 400, bad "key: must not be empty" },
  { "a key with NUL", "POST /kv/cas", [[{"key":"\u0000","expected":"","value":""}]], 400,
    bad "key: must not hold NUL" },
  { "a key that is not a string", "POST /kv/cas", '{"key":["a"],"expected":"","value":""}', 400,
    bad "key: expected a string, got an array" },
  { "a longer key", "POST /kv/cas", ('{"key":"%s","expected":"","value":""}'):format(K17), 413,
    large "key: 17 bytes exceed the limit of 16 (--max-key-bytes)" },
  { "a longer value", "POST /kv/cas", ('{"key":"a","expected":"","value":"%s"}'):format(V33), 413,
    large "value: 33 bytes exceed the limit of 32 (--max-value-bytes)" },
  { "a longer expected", "POST /kv/cas", ('{"key":"a","expected":"%s","value":""}'):format(V33), 413,
    large "expected: 33 bytes exceed the limit of 32 (--max-value-bytes)" },
  { "no body", "POST /kv/cas", "", 400, bad "body: empty, expected a JSON object" },
  { "mode=async", "POST /kv/cas?mode=async", '{"key":"a","expected":"x","value":"y"}', 202, ACCEPTED },
}

groups["POST /kv/mget"] = {
  { "keys", "POST /kv/mget", '{"keys":["c","a","x"]}', 200, '{"ok":true,"values":{"a":"1","c":"4"}}',
    { ["x-raft-index"] = "2" },
    given = ABC },
  { "a key twice", "POST /kv/mget", '{"keys":["a","b","a"]}', 200, '{"ok":true,"values":{"a":"1","b":"2"}}',
    given = ABC },
  { "no keys", "POST /kv/mget", '{"keys":[]}', 200, '{"ok":true,"values":{}}' },
  { "missing keys", "POST /kv/mget", '{"keys":["x","y"]}', 200, '{"ok":true,"values":{}}' },
  { "stale", "POST /kv/mget?read=stale", '{"keys":["a"]}', 200, '{"ok":true,"values":{"a":"1"}}', given = ABC },
  { "a bad policy", "POST /kv/mget?read=x", '{"keys":["a"]}', 400, bad 'read: expected "readindex" or "stale"' },
  { "the mode of a read is ignored", "POST /kv/mget?mode=async", '{"keys":["a"]}', 200, '{"ok":true,"values":{}}' },
  { "keys missing", "POST /kv/mget", "{}", 400, bad "keys: missing, expected an array" },
  { "keys that are no array", "POST /kv/mget", '{"keys":"a"}', 400, bad "keys: expected an array, got a string" },
  { "keys that are an object", "POST /kv/mget", '{"keys":{"a":1}}', 400, bad "keys: expected an array, got an object" },
  { "a number among the keys", "POST /kv/mget", '{"keys":["a",1]}', 400,
    bad "keys[1]: expected a string, got a number" },
  { "an array among the keys", "POST /kv/mget", '{"keys":[["a"]]}', 400,
    bad "keys[0]: expected a string, got an array" },
  { "an empty key", "POST /kv/mget", '{"keys":["a",""]}', 400, bad "keys[1]: must not be empty" },
  { "a longer key", "POST /kv/mget", ('{"keys":["a","b","%s"]}'):format(K17), 413,
    large "keys[2]: 17 bytes exceed the limit of 16 (--max-key-bytes)" },
  { "a GET of it is a key", "GET /kv/mget", false, 404, MISSING },
}

groups["POST /kv/mput"] = {
  { "entries", "POST /kv/mput", '{"entries":[{"key":"a","value":"1"},{"value_base64":"/w==","key":"b"}]}', 200, OK,
    { ["x-raft-index"] = "2" } },
  { "a key twice: the last one counts", "GET /kv/a", false, 200, value "2",
    given = { { "POST /kv/mput", '{"entries":[{"key":"a","value":"1"},{"key":"a","value":"2"}]}' } } },
  { "unknown fields in an entry", "POST /kv/mput", '{"entries":[{"key":"a","x":{"key":[{}]},"value":"1"}],"y":[[]]}',
    200, OK },
  { "no entries", "POST /kv/mput", '{"entries":[]}', 400, bad "entries: must not be empty" },
  { "entries missing", "POST /kv/mput", '{"client_id":"c","seq":1}', 400, bad "entries: missing, expected an array" },
  { "entries that are no array", "POST /kv/mput", '{"entries":{}}', 400,
    bad "entries: expected an array, got an object" },
  { "a string among the entries", "POST /kv/mput", '{"entries":["a"]}', 400,
    bad "entries[0]: expected an object, got a string" },
  { "an array among the entries", "POST /kv/mput", '{"entries":[{"key":"a","value":"1"},[]]}', 400,
    bad "entries[1]: expected an object, got an array" },
  { "an entry without a key", "POST /kv/mput", '{"entries":[{"value":"1"}]}', 400,
    bad "entries[0].key: missing, expected a string" },
  { "an entry without a value", "POST /kv/mput", '{"entries":[{"key":"a","value":"1"},{"key":"b"}]}', 400,
    bad "entries[1].value: missing, expected a string (or value_base64)" },
  { "a number for a key", "POST /kv/mput", '{"entries":[{"key":1,"value":"1"}]}', 400,
    bad "entries[0].key: expected a string, got a number" },
  { "an object for a value", "POST /kv/mput", '{"entries":[{"key":"a","value":{}}]}', 400,
    bad "entries[0].value: expected a string, got an object" },
  { "both twins", "POST /kv/mput", '{"entries":[{"key":"a","value":"1","value_base64":"MQ=="}]}', 400,
    bad "entries[0].value_base64: stands beside its twin; give one of the two" },
  { "a duplicate field of an entry", "POST /kv/mput", '{"entries":[{"key":"a","key":"b","value":"1"}]}', 400,
    '^{"ok":false,"err_code":"bad_request"' },
  { "an empty key", "POST /kv/mput", '{"entries":[{"key":"","value":"1"}]}', 400,
    bad "entries[0].key: must not be empty" },
  { "a key with NUL", "POST /kv/mput", [[{"entries":[{"key":"\u0000","value":"1"}]}]], 400,
    bad "entries[0].key: must not hold NUL" },
  { "a longer key", "POST /kv/mput", ('{"entries":[{"key":"a","value":"1"},{"key":"%s","value":"1"}]}'):format(K17),
    413,
    large "entries[1].key: 17 bytes exceed the limit of 16 (--max-key-bytes)" },
  { "a longer value", "POST /kv/mput", ('{"entries":[{"key":"a","value":"%s"}]}'):format(V33), 413,
    large "entries[0].value: 33 bytes exceed the limit of 32 (--max-value-bytes)" },
  { "nothing of a refused batch is done", "GET /kv", false, 200, entries "",
    given = { { "POST /kv/mput", '{"entries":[{"key":"a","value":"1"},{"key":"b"}]}' } } },
}

groups["POST /kv/mdelete"] = {
  { "keys", "POST /kv/mdelete", '{"keys":["a","x","c"]}', 200, deleted(2), { ["x-raft-index"] = "3" }, given = ABC },
  { "a key twice", "POST /kv/mdelete", '{"keys":["a","a"]}', 200, deleted(1), given = ABC },
  { "missing keys", "POST /kv/mdelete", '{"keys":["x"]}', 200, deleted(0) },
  { "no keys", "POST /kv/mdelete", '{"keys":[]}', 400, bad "keys: must not be empty" },
  { "keys missing", "POST /kv/mdelete", "{}", 400, bad "keys: missing, expected an array" },
  { "a number among the keys", "POST /kv/mdelete", '{"keys":[1]}', 400,
    bad "keys[0]: expected a string, got a number" },
  { "a longer key", "POST /kv/mdelete", ('{"keys":["%s"]}'):format(K17), 413,
    large "keys[0]: 17 bytes exceed the limit of 16 (--max-key-bytes)" },
  { "mode=async", "POST /kv/mdelete?mode=async", '{"keys":["a"]}', 202, ACCEPTED },
}

-- What the connection answers itself has the same shape.
groups["framing"] = {
  { "a chunked body", "PUT /kv/a", false, 200, OK, nil, { "Transfer-Encoding: chunked", "",
    "5\r\n{\"val\r\n8\r\nue\":\"1\"}\r\n0\r\n" } },
  { "a bad request line", "GET", false, 400, '^{"ok":false,"err_code":"bad_request","err_msg":"[^"]+"}$',
    { connection = "close" } },
  { "a head over its limit", "GET /" .. ("x"):rep(33000), false, 431,
    '^{"ok":false,"err_code":"too_large","err_msg":"[^"]+"}$', { connection = "close" } },
}

local function check_body(expected, body)
  if expected:sub(1, 1) == "^" then
    assert.matches(expected, body)
  else
    assert.equal(expected, body)
  end
end

local names = {}
for name in pairs(groups) do names[#names + 1] = name end
table.sort(names)

describe("a request of", function()
  for _, group in ipairs(names) do
    describe(group, function()
      for _, row in ipairs(groups[group]) do
        local title, line, body, status, reply_body, reply_headers, headers = table.unpack(row, 1, 7)
        it(("%s: %s -> %d"):format(title, line:sub(1, 48), status), function()
          local node <close> = http.node(CONFIG)
          for _, given in ipairs(row.given or {}) do node:ask(table.unpack(given, 1, 3)) end
          local reply = node:ask(line, body or nil, headers)
          check_body(reply_body, reply.body)
          assert.equal(status, reply.status)
          for name, expected in pairs(reply_headers or {}) do
            assert.equal(expected, reply.headers[name] or false, name)
          end
        end)
      end
    end)
  end
end)
