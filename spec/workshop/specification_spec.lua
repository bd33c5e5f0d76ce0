-- The last section of README.md says where each item of the specification lives. What stands on the right of its tables
-- must be there: files, options, and names that occur as words in the files of their row.

local files = require "kvserver.files"
local options = require "kvserver.options"
local uv = require "luv"

-- The tests that it names.
local TESTS <const> = [[
  TestCluster_M1_3Nodes_WriteToLeader_ReplicatesToFollowers TestCluster_M1_WriteToFollower_ReturnsRedirect
  TestCluster_M2_LeaderCrash_NewLeaderElected TestCluster_M2_WriteAfterFailover_Succeeds
  TestCluster_M5_LaggingFollowerCatchesUpViaSnapshot TestDKV_M1_ReadsAreStaleFromSM TestDKV_M1_WritesCallPropose
  TestDKV_M4_ReadIndex_ReadWaitsForCommitAndApply TestDKV_M4_ReadPolicySwitch TestHTTPAPI_BatchEndpoints
  TestHTTPAPI_Healthz TestHTTPAPI_PutGetDelete TestKVSM_BatchPutBatchDelete TestKVSM_CAS_SuccessAndFail
  TestKVSM_Dedupe_ReplaySameSeqReturnsSameReply TestKVSM_M5_RestoreResetsStateCorrectly
  TestKVSM_M5_SnapshotIncludesDedupe TestKVSM_PutGetDelete TestKVSM_SnapshotRestore_RoundTrip
  TestLogStore_TruncatePrefix TestMemLogStore_AppendReadRangeTermAt TestMemLogStore_DeleteFrom
  TestMemLogStore_DeleteFrom_TruncatesSuffix TestMemLogStore_TermAt_ErrorsOnMissing TestMemStableStore_TermVote
  TestRaft_M1_FollowerHandleAppendEntries_AppendsAndApplies TestRaft_M1_LeaderPropose_AppendsAndCommits
  TestRaft_M2_Election_HappensAfterLeaderStops TestRaft_M2_HigherTermForcesStepDown
  TestRaft_M3_CommittedEntriesNotLostAfterLeaderChange TestRaft_M3_FollowerRejectsOnPrevMismatch
  TestRaft_M3_LeaderBacktracksNextIndexAndRepairsFollower TestRaft_M4_WaitAppliedBlocksUntilApplied
  TestRaft_M5_CreateSnapshot_TruncatesLogPrefix TestRaft_M5_FollowerInstallSnapshot_RestoresState
  TestServer_Run_StartStop TestSnapshotStore_SaveLoad TestTransportHTTP_AppendEntries_RoundTrip
  TestTransportHTTP_BadJSON_Returns400 TestTransportHTTP_InstallSnapshot_Base64RoundTrip
  TestTransportHTTP_RequestVote_RoundTrip
]]

local function read(path)
  local file <close> = assert(io.open(path), path)
  return file:read "a"
end

local function exists(path)
  return uv.fs_stat(path) ~= nil
end

-- The text of a file; of a header with its source, of a source as it is; "" for a directory.
local function text_of(path)
  if path:find "/$" then return "" end
  local source <const> = path:gsub("%.h$", ".c")
  return read(path) .. (source ~= path and exists(source) and read(source) or "")
end

-- The rows of the tables of the section: { left =, right =, terms = what stands in backticks on the right }.
local function rows()
  local section <const> = read("README.md"):match "\n## From the specification to the code\n(.*)$"
  local list <const> = {}
  for left, right in section:gmatch "\n| ([^\n]-) | ([^\n]-) |%f[\n]" do
    local row <const> = { left = left, right = right, terms = {} }
    for term in right:gmatch "`([^`]+)`" do row.terms[#row.terms + 1] = term end
    if right ~= "here" then list[#list + 1] = row end
  end
  return list
end

local function is_path(term)
  return term:find "^%l+/" ~= nil
end

-- What of a term must be found in the files of its row.
local function words_of(term)
  local route <const> = term:match "^%u+ (/%S+)$"
  if route then return { route } end
  local words <const> = {}
  for word in term:gsub("^struct ", ""):gsub("^enum ", ""):gmatch "[%w_]+" do words[#words + 1] = word end
  return words
end

local function has_word(text, word)
  if word:find "^/" then return text:find(word, 1, true) ~= nil end
  return text:find("%f[%w_]" .. word .. "%f[^%w_]") ~= nil
end

-- What is wrong with a row: "" when nothing is.
local function faults(row)
  local text, missing = "", {}
  for _, term in ipairs(row.terms) do
    if is_path(term) and exists(term) then text = text .. text_of(term) end
  end
  for _, term in ipairs(row.terms) do
    if is_path(term) then
      if not exists(term) then missing[#missing + 1] = term end
    elseif term:find "^%-%-" then
      if not options.by_key[term:sub(3):gsub("-", "_")] then missing[#missing + 1] = term end
    else
      for _, word in ipairs(words_of(term)) do
        if not has_word(text, word) then missing[#missing + 1] = term end
      end
    end
  end
  return table.concat(missing, ", ")
end

describe("the way from the specification to the code", function()
  it("is a table of names that are there", function()
    local list <const> = rows()
    assert.is_true(#list > 80)
    for _, row in ipairs(list) do
      assert.equal(row.left .. ": ", row.left .. ": " .. faults(row))
      assert.is_true(#row.terms > 0, row.left)
    end
  end)

  it("would miss a file, an option or a name that is gone", function()
    for _, term in ipairs { "src/gone.c", "src/gone/", "--gone", "kvsm_gone", "struct kvs", "POST /kv/gone" } do
      assert.equal(term, faults { terms = { "src/kvsm/kvsm.h", "src/httpapi/httpapi.c", term } })
    end
  end)

  it("leads every test of the specification to a spec, by its name", function()
    local found <const> = {}
    for _, name in ipairs(files.list "spec") do
      if name:find "_spec%.lua$" then
        for test in read("spec/" .. name):gmatch "%[(Test[%w_]+)%]" do found[test] = true end
      end
    end
    for test in TESTS:gmatch "%S+" do assert.is_true(found[test], test) end
  end)
end)
