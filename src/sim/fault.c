#include "sim/fault.h"

static const char *const names[SIM_FAULTS] = {
    [SIM_FAULT_CRASH] = "crash",
    [SIM_FAULT_KILL] = "kill",
    [SIM_FAULT_LEADER_CRASH] = "leader_crash",
    [SIM_FAULT_CUT_SHORT] = "cut_short",
    [SIM_FAULT_UNTOLD] = "untold",
    [SIM_FAULT_RESTART] = "restart",
    [SIM_FAULT_START_CUT] = "start_cut",
    [SIM_FAULT_WIPE] = "wipe",
    [SIM_FAULT_PAUSE] = "pause",
    [SIM_FAULT_RESUME] = "resume",
    [SIM_FAULT_CUT] = "cut",
    [SIM_FAULT_HEAL] = "heal",
    [SIM_FAULT_SLOW_DISK] = "slow_disk",
    [SIM_FAULT_FAIL_DISK] = "fail_disk",
    [SIM_FAULT_FAIL_SYNC] = "fail_sync",
    [SIM_FAULT_FULL_DISK] = "full_disk",
    [SIM_FAULT_NO_ROOM] = "no_room",
    [SIM_FAULT_FULL_START] = "full_start",
    [SIM_FAULT_ROT] = "rot",
    [SIM_FAULT_ROT_FOUND] = "rot_found",
    [SIM_FAULT_CLOCK_RATE] = "clock_rate",
    [SIM_FAULT_TRANSFER] = "transfer",
    [SIM_FAULT_LINK_DOWN] = "link_down",
    [SIM_FAULT_LOST] = "lost",
    [SIM_FAULT_DUPLICATED] = "duplicated",
    [SIM_FAULT_OVERTAKEN] = "overtaken",
    [SIM_FAULT_DELAYED] = "delayed",
    [SIM_FAULT_BLOCKED] = "blocked",
    [SIM_FAULT_DROPPED] = "dropped",
    [SIM_FAULT_HELD] = "held",
    [SIM_FAULT_FLIP] = "flip",
};

const char *sim_fault_name(enum sim_fault fault) {
  return names[fault];
}
