/* Timers of the fleet thread: a binary heap by time. */
#pragma once

#include "manager/manager.h"

struct timers {
    struct manager_timer **heap;
    uint32_t n, room;
};

/* Sets, moves or (AMM_NEVER) cancels; false: out of memory. */
bool timers_set(struct timers *timers, struct manager_timer *timer, amm_time at);

/* Takes out the earliest timer that is due; NULL: none. */
struct manager_timer *timers_expire(struct timers *timers, amm_time now);
amm_time timers_deadline(const struct timers *timers); /* AMM_NEVER: none */
void timers_deinit(struct timers *timers);
