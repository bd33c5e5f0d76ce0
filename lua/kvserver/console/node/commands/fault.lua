--- Commands of the console: makes this node fail, for a while. Only with --enable-faults; each use is logged, and ends
-- by itself.
local arguments = require "kvserver.console.node.arguments"
local result = require "kvserver.console.node.result"

local FOR <const> = "1m"
local USED_COLUMNS <const> = { "fault", "for_ms" }

-- Does it now, and undoes it later.
local function use(context, name, for_, begin, undo)
  local for_ms <const> = arguments.duration(name, for_, FOR)
  begin()
  context.console:tell_log(context.session, "fault", { fault = name, for_ms = for_ms })
  context.console.undo:later(name, for_ms, undo)
  return result.record(USED_COLUMNS, { fault = name, for_ms = for_ms })
end

-- The fields but for_, which is not the fault's.
local function split(command, fields)
  if type(fields) ~= "table" then error(command .. ": expected a table that says how it fails", 0) end
  local rest <const> = {}
  for name, value in pairs(fields) do
    if name ~= "for_" then rest[name] = value end
  end
  return rest, fields.for_
end

local function for_of(command, how)
  return arguments.fields(command, how == nil and {} or how, { for_ = "string" }).for_
end

local function link(context, peer, how)
  arguments.string("fault.link", 1, peer)
  local state <const>, for_ = split("fault.link", how)
  local node <const> = context.node
  return use(context, "fault.link " .. peer, for_, function() node:fault_link(peer, state) end,
    function() node:fault_link(peer) end)
end

local function drop_next(context, peer, kind, count, how)
  arguments.string("fault.drop_next", 1, peer)
  local node <const> = context.node
  return use(context, ("fault.drop_next %s %s"):format(peer, kind or "any"), for_of("fault.drop_next", how),
    function() node:fault_drop_next(peer, kind, count) end, function() node:fault_drop_next(peer, kind, 0) end)
end

local function hold(context, peer, how)
  arguments.string("fault.hold", 1, peer)
  local node <const> = context.node
  return use(context, "fault.hold " .. peer, for_of("fault.hold", how), function() node:fault_hold(peer) end,
    function() node:fault_release(peer) end)
end

local function disk(context, how)
  local state <const>, for_ = split("fault.disk", how)
  local node <const> = context.node
  return use(context, "fault.disk", for_, function() node:fault_disk(state) end, function() node:fault_disk {} end)
end

local function heal(context)
  context.console:tell_log(context.session, "fault_heal")
  return context.console.undo:now "^fault%."
end

local function get(context)
  return context.node:faults()
end

local AGAIN <const> = "It ends after for_, a minute unless given; fault.heal() ends it now."

return {
  { name = "fault.link", arguments = "peer, {cut=, delay_ms=, jitter_ms=, drop=, dup=, reorder=, for_='1m'}",
    writes = true, faults = true, run = link, completes = { "node" }, columns = USED_COLUMNS,
    example = "fault.link('n2', { cut = true, for_ = '1s' })", returns = "what fails, and how long",
    summary = "Makes the way from this node to a peer fail",
    help = "Chances are from 0 to 1; what is absent is off. " .. AGAIN },
  { name = "fault.drop_next", arguments = "peer [, type [, count [, {for_='1m'}]]]", writes = true, faults = true,
    run = drop_next, completes = { "node" }, columns = USED_COLUMNS,
    example = "fault.drop_next('n2', 'append', 1, { for_ = '1s' })", returns = "what fails, and how long",
    summary = "Loses the next messages to a peer", help = "Of a type, or any; one unless a count is given. " .. AGAIN },
  { name = "fault.hold", arguments = "peer [, {for_='1m'}]", writes = true, faults = true, run = hold,
    completes = { "node" }, columns = USED_COLUMNS, example = "fault.hold('n2', { for_ = '1s' })",
    returns = "what fails, and how long", summary = "Keeps messages to a peer, and lets them go in the end",
    help = AGAIN },
  { name = "fault.disk", arguments = "{full=, slow_ms=, fail_sync=, torn_next=, for_='1m'}", writes = true,
    faults = true, run = disk, columns = USED_COLUMNS, example = "fault.disk { slow_ms = 1, for_ = '1s' }",
    returns = "what fails, and how long", summary = "Makes the disk of this node fail",
    help = "A node that met fail_sync or torn_next stops for good, whatever ends then. " .. AGAIN },
  { name = "fault.get", arguments = "", faults = true, run = get, example = "fault.get()",
    summary = "The faults of this node, and what they did so far", returns = "a record",
    help = "Those that came over the admin socket by other ways, too." },
  { name = "fault.heal", arguments = "", writes = true, faults = true, run = heal, example = "fault.heal()",
    summary = "Ends the faults that consoles began, now", returns = "how many there were",
    help = "What a program began over the admin socket stays." },
}
