/* Messages from one thread to one other thread: a bounded queue of records without locks, and the
 * bell that wakes the receiver.
 *
 * A ring has one producer and one consumer, for its life. Records have any length, so that a small
 * note does not cost the room of a control packet. A full ring refuses; what the refusal means is
 * the producer's business: control packets are dropped and counted, commands and notes stay where
 * they are until there is room (the producer stops asking for more). */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct amm_ring;

/* `bytes` is a power of two, at least 4096. NULL if out of memory. */
struct amm_ring *amm_ring_new(size_t bytes);
struct amm_ring *amm_ring_free(struct amm_ring *ring);

/* Producer: room for a record of `len` bytes (at most a quarter of the ring), aligned to 8; NULL if
 * the ring is full. Fill it, then commit. A second reserve without commit takes the first one's
 * place. */
void *amm_ring_reserve(struct amm_ring *ring, size_t len);
void amm_ring_commit(struct amm_ring *ring);

/* Producer: true if records of together `len` bytes surely fit. Used to keep a share for what must
 * not be lost. */
bool amm_ring_fits(struct amm_ring *ring, size_t len);

/* Consumer: the oldest record, valid until release; NULL if there is none. */
void *amm_ring_peek(struct amm_ring *ring, size_t *len);
void amm_ring_release(struct amm_ring *ring);

/* One bell per consuming thread, whatever the number of its rings, watched with AMM_EDGE: a ringer
 * that is interrupted may ring when the answer has been given. Ringing costs one atomic load
 * while the consumer is awake. */
struct amm_bell {
    int fd; /* eventfd; the consumer waits for it to become readable */
    _Atomic uint32_t asleep;
};

bool amm_bell_init(struct amm_bell *bell);
void amm_bell_deinit(struct amm_bell *bell);

/* Producer, after commit. */
void amm_bell_ring(struct amm_bell *bell);

/* Consumer: says that it is about to sleep. It must look into all its rings once more after this
 * call and before it blocks; amm_bell_answer afterwards, whether it slept or not. */
void amm_bell_doze(struct amm_bell *bell);
void amm_bell_answer(struct amm_bell *bell);
