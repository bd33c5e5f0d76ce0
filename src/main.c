/* argv -> the Lua command line (lua/kvserver/cli.lua) -> server or script. */
#include "script/script.h"

int main(int argc, char **argv) {
  return script_main(argc, argv);
}
