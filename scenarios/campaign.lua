--- Simulated clusters under every fault there is, seed after seed, on all cores; stops at the first violation.
--
--     kvserver --script scenarios/campaign.lua --seeds 1..1000
require("kvserver.sim.campaign").main(...)
