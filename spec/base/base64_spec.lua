-- Base64 (RFC 4648 section 4): the only spelling of each byte string, and no other.

local types = require "kvserver.types"

describe("base64", function()
  local vectors <const> = { -- RFC 4648 section 10, and all 64 letters
    { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy" }, { "\0", "AA==" }, { "\xff\xff\xff", "////" }, { "\xfb\xef\xbe", "++++" },
    { "\x00\x10\x83\x10\x51\x87\x20\x92\x8b\x30\xd3\x8f\x41\x14\x93\x51\x55\x97\x61\x96\x9b\x71\xd7\x9f" ..
      "\x82\x18\xa3\x92\x59\xa7\xa2\x9a\xab\xb2\xdb\xaf\xc3\x1c\xb3\xd3\x5d\xb7\xe3\x9e\xbb\xf3\xdf\xbf",
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" },
  }
  for _, vector in ipairs(vectors) do
    it(("writes and reads %q"):format(vector[2]), function()
      assert.equal(vector[2], types.base64_encode(vector[1]))
      assert.equal(vector[1], types.base64_decode(vector[2]))
    end)
  end

  local refused <const> = {
    ["a length that is not a multiple of 4"] = { "Z", "Zg", "Zg=", "Zm9vY", "Zm9v=" },
    ["unused bits that are not zero"] = { "Zh==", "Zv==", "Zm9=", "Zm+=", "AB==", "AAB=" },
    ["padding anywhere but at the end"] = { "====", "Z===", "=g==", "Zg==Zg==", "Zm=v", "Zm8=Zm8=", "Z=g=" },
    ["letters of another alphabet"] = { "Zm9-", "Zm9_", "Zm 9", "Zm9\n", "Zm9\0", "Zm9\xff", "Zm9@", "Zm9[", "Zm9`" },
    ["white space"] = { "Zm9v\n", " Zm9v", "Zm9vYg==\n" },
  }
  for why, texts in pairs(refused) do
    it("refuses " .. why, function()
      for _, text in ipairs(texts) do
        local bytes, message = types.base64_decode(text)
        assert.is_nil(bytes, ("%q was read"):format(text))
        assert.equal("not canonical base64", message)
      end
    end)
  end

  it("takes exactly the 64 letters", function()
    for byte = 0, 255 do
      local letter = string.char(byte)
      local is_letter = letter:find("[A-Za-z0-9+/]") ~= nil
      assert.equal(is_letter, types.base64_decode("AA" .. letter .. "A") ~= nil, ("byte %d"):format(byte))
    end
  end)

  it("gives back random bytes of every length", function()
    local seed <const> = math.random(1 << 31)
    math.randomseed(seed)
    for len = 0, 300 do
      local bytes = {}
      for i = 1, len do bytes[i] = string.char(math.random(0, 255)) end
      local text = table.concat(bytes)
      assert.equal(text, types.base64_decode(types.base64_encode(text)), ("seed %d, length %d"):format(seed, len))
    end
  end)
end)
