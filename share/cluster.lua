-- Three nodes on one machine, each started with the same file:
--
--     kvserver --config cluster.lua --id n1 &
--     kvserver --config cluster.lua --id n2 &
--     kvserver --config cluster.lua --id n3 &
--
-- The keys are the options of `kvserver --help`, with _ for -. What is said outside of `nodes` holds for all nodes,
-- what is said in it for one; a flag wins over both. Paths are relative to the directory in which a node is started.
local directory <const> = os.getenv "KVSERVER_DATA" or "."

local peers <const> = { n1 = "127.0.0.1:7001", n2 = "127.0.0.1:7002", n3 = "127.0.0.1:7003" }

local nodes <const> = {}
for id in pairs(peers) do
  nodes[id] = { data = ("%s/kvdata-%s"):format(directory, id) }
end

return { peers = peers, nodes = nodes, read_policy = "readindex", election_ms = "300-600" }
