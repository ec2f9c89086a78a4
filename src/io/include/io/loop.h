/* A thin epoll set with deadlines. One owner thread. Level-triggered: what is not read is reported
 * again, but for AMM_EDGE. */
#pragma once

#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

struct amm_loop;

enum amm_interest {
    AMM_READ = 1,
    AMM_WRITE = 2,
    AMM_EDGE = 4 /* with AMM_READ: reported once for each write to the other end */
};

enum { AMM_LOOP_READY = 64 };

struct amm_ready {
    uint64_t tag;
    bool readable, writable;
    bool closed; /* hang-up or error: read to learn which */
};

struct amm_loop *amm_loop_new(void); /* NULL: out of descriptors or memory */
struct amm_loop *amm_loop_free(struct amm_loop *loop);

/* Readable when something is ready: for a loop around this one. */
int amm_loop_fd(const struct amm_loop *loop);

/* `tag` comes back in amm_ready; `interest` 0 keeps the descriptor in the set but silent (but for
 * hang-up). */
bool amm_loop_add(struct amm_loop *loop, int fd, unsigned interest, uint64_t tag);
bool amm_loop_change(struct amm_loop *loop, int fd, unsigned interest, uint64_t tag);
void amm_loop_remove(struct amm_loop *loop, int fd);

/* Waits until something is ready, a signal came, or monotonic time
 * `deadline` (AMM_NEVER: no limit; a past time: does not wait). How many were written to out. */
unsigned amm_loop_wait(struct amm_loop *loop, amm_time deadline,
                       struct amm_ready out[AMM_LOOP_READY]);
