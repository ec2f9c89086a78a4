/* The loop of amm-proxyd. */
#pragma once

#include "proxyd/proxyd.h"

/* Serves until proxyd->stopping. */
void proxyd_run(struct proxyd *proxyd);

/* One turn: waits for what is ready or due, and does it. */
void proxyd_turn(struct proxyd *proxyd);

/* Which namespace has that name now: device and inode. False: none. */
bool proxyd_find_home(const char *namespace_name, struct proxyd_home *out);
