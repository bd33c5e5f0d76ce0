local M = {}
function M.run() error "not yet" end
return M
