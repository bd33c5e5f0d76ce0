--- Run by busted before the specs (see .busted): nodes inside the specs' process tell the log only what is an error.
require("kvserver.log").configure("error", "logfmt")
