std = "lua54"
max_line_length = 120
files["spec"] = { std = "+busted" }
files[".busted"] = { std = "lua54" }
files["share/kvserver"] = { read_globals = { "connect", "nodes", "raft", "status" } } -- admin scripts
files["scenarios"] = { std = "+busted" } -- luassert
