/* The kinds of faults that a simulated world knows and counts. Pure. */
#ifndef KV_SIM_FAULT_H
#define KV_SIM_FAULT_H

enum sim_fault {
  SIM_FAULT_CRASH,        /* of a process, by a power cut */
  SIM_FAULT_KILL,         /* of a process alone: what it wrote stays */
  SIM_FAULT_LEADER_CRASH, /* a crash or kill of the node that leads */
  SIM_FAULT_CUT_SHORT,    /* a crash in the middle of the disk's work */
  SIM_FAULT_UNTOLD,       /* a start that found more than what its node knew to be durable */
  SIM_FAULT_RESTART,
  SIM_FAULT_START_CUT, /* a start that ended in a power cut */
  SIM_FAULT_WIPE,
  SIM_FAULT_PAUSE,
  SIM_FAULT_RESUME,
  SIM_FAULT_CUT,
  SIM_FAULT_HEAL,
  SIM_FAULT_SLOW_DISK,
  SIM_FAULT_FAIL_DISK, /* some call, and everything after it */
  SIM_FAULT_FAIL_SYNC, /* some sync, and all after it */
  SIM_FAULT_FULL_DISK,
  SIM_FAULT_NO_ROOM,    /* a write that was refused for it */
  SIM_FAULT_FULL_START, /* a start that was refused for it */
  SIM_FAULT_ROT,        /* bits of a node that is down flip */
  SIM_FAULT_ROT_FOUND,  /* and its start does not go on with what is left */
  SIM_FAULT_CLOCK_RATE,
  SIM_FAULT_TRANSFER, /* a hand-over that was accepted */
  SIM_FAULT_LINK_DOWN,
  SIM_FAULT_LOST,       /* a message */
  SIM_FAULT_DUPLICATED, /* a message */
  SIM_FAULT_OVERTAKEN,  /* an earlier message of its link, by this one */
  SIM_FAULT_DELAYED,    /* a message, by the long tail */
  SIM_FAULT_BLOCKED,    /* a message, by a cut */
  SIM_FAULT_DROPPED,    /* a message, because it was the next one */
  SIM_FAULT_HELD,       /* a message, until it is released */
  SIM_FAULT_FLIP,       /* a bit of a node that is down */
  SIM_FAULTS
};

/* "crash", "slow_disk", ... Static. */
const char *sim_fault_name(enum sim_fault fault);

#endif
