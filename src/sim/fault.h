/* The kinds of faults that a simulated world knows and counts. Pure. */
#ifndef KV_SIM_FAULT_H
#define KV_SIM_FAULT_H

enum sim_fault {
  SIM_FAULT_CRASH,
  SIM_FAULT_LEADER_CRASH, /* a crash of the node that leads */
  SIM_FAULT_UNTOLD,       /* a sync that was done when its node crashed, without a word to it */
  SIM_FAULT_RESTART,
  SIM_FAULT_WIPE,
  SIM_FAULT_PAUSE,
  SIM_FAULT_RESUME,
  SIM_FAULT_CUT,
  SIM_FAULT_HEAL,
  SIM_FAULT_SLOW_DISK,
  SIM_FAULT_FAIL_DISK, /* every write */
  SIM_FAULT_FAIL_SYNC, /* the next sync, and everything after it */
  SIM_FAULT_CLOCK_RATE,
  SIM_FAULT_TRANSFER, /* a hand-over that was accepted */
  SIM_FAULT_LINK_DOWN,
  SIM_FAULT_LOST,       /* a message */
  SIM_FAULT_DUPLICATED, /* a message */
  SIM_FAULT_OVERTAKEN,  /* an earlier message of its link, by this one */
  SIM_FAULT_DELAYED,    /* a message, by the long tail */
  SIM_FAULT_BLOCKED,    /* a message, by a cut */
  SIM_FAULTS
};

/* "crash", "slow_disk", ... Static. */
const char *sim_fault_name(enum sim_fault fault);

#endif
