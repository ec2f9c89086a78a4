/* Sealed datagrams on their way out: packets of equal size to the same peer leave as one batch
 * (UDP_SEGMENT), batches to different peers in one system call. One owner thread. */
#pragma once

#include "base/drop.h"
#include "data/plane.h"

enum { AMM_BATCH_MESSAGES = 64, AMM_BATCH_SEGMENTS = 64, AMM_BATCH_BYTES = 65000 };

struct amm_batch;

/* `sockets`: descriptor for each link (struct amm_path.link); borrowed. NULL: out of memory. */
struct amm_batch *amm_batch_new(const int *sockets, uint32_t n_links, struct amm_drops *drops);
struct amm_batch *amm_batch_free(struct amm_batch *batch);

/* Room for a datagram of up to `len` (at most 2048) bytes; sends what is waiting if there is none.
 */
uint8_t *amm_batch_room(struct amm_batch *batch, size_t len);

/* Adds the datagram that was written to amm_batch_room: to `path`. `peer` may be NULL; otherwise
 * its `segment` says which sizes must leave one by one, and is lowered when the path refuses a
 * batch. */
void amm_batch_add(struct amm_batch *batch, const struct amm_path *path, struct amm_peer *peer,
                   size_t len);

/* Sends everything. Call at the end of a burst: `peer` pointers are not kept beyond it. */
void amm_batch_flush(struct amm_batch *batch);
