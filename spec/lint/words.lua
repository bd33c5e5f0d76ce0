--- Checks what no file may say: `kvserver spec/lint/words.lua .` prints each offending line and exits 1. Marks of work
-- that was left undone, and paths that exist on one machine only. Looks at all files that belong to the project.

local walk = require "spec.lint.walk"

local refused <const> = {
  { pattern = "%f[%w]TO" .. "DO%f[%W]", why = "work left undone" },
  { pattern = "%f[%w]FIX" .. "ME%f[%W]", why = "work left undone" },
  { pattern = "%f[%w]XX" .. "X%f[%W]", why = "work left undone" },
  { pattern = "/wo" .. "rk/", why = "a path of one machine" },
  { pattern = "/ho" .. "me/", why = "a path of one machine" },
  { pattern = "/ro" .. "ot/", why = "a path of one machine" },
  { pattern = "[ \t]$", why = "blanks at the end of the line" },
  { pattern = "^<<<<<<< ", why = "an unfinished merge" },
  { pattern = "^>>>>>>> ", why = "an unfinished merge" },
}

local function refuse_line(_, line)
  for _, rule in ipairs(refused) do
    if line:find(rule.pattern) then return ("%s: %s"):format(rule.why, line) end
  end
  return nil
end

walk.run {
  find = ("find '%s' '(' -name .git -o -name build -o -name 'kvdata*' ')' -prune -o -type f -print"):format(
    arg[1] or "."),
  check = refuse_line,
}
