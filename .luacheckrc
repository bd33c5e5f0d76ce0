std = "lua54"
max_line_length = 120
files["spec"] = { std = "+busted" }
files[".busted"] = { std = "lua54" }
files["scenarios"] = { std = "+busted" } -- luassert
