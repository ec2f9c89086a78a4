/* A worker thread: carries the data of the peers whose slot falls to it, on all ports.
 *
 * It owns a UDP socket of each listener group, a tun queue of each port, the TCP connections of its
 * peers and the peer records of its slots. No lock, no allocation and no TLS on the packet path. */
#pragma once

#include "shared.h"

struct amm_worker;

/* Takes over the peers that stand in state memory. `aead` cache size follows from the number of
 * slots. NULL with a sentence in `error`. */
struct amm_worker *amm_worker_new(struct amm_shared *shared, uint16_t index, struct amm_now now,
                                  char *error, size_t room);
struct amm_worker *amm_worker_free(struct amm_worker *worker);

/* Peers that live on from a former process. */
uint32_t amm_worker_adopted(const struct amm_worker *worker);

/* The thread: returns NULL when shared->workers_stop is set and the bell was rung. */
void *amm_worker_run(void *worker);
