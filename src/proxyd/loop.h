/* The loop of amm-proxyd. */
#pragma once

#include "proxyd/proxyd.h"

/* Serves until proxyd->stopping. */
void proxyd_run(struct proxyd *proxyd);

/* One turn: waits for what is ready or due, and does it. */
void proxyd_turn(struct proxyd *proxyd);
