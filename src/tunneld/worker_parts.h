/* What the files of a worker share. */
#pragma once

#include "batch.h"
#include "data/offload.h"
#include "io/loop.h"
#include "io/udp.h"
#include "stream.h"
#include "worker.h"

enum { WORKER_RECEIVE = 16, WORKER_SEGMENT_MAX = 2048, WORKER_TUN_ROUNDS = 64 };

struct amm_worker {
    struct amm_shared *shared;
    struct amm_worker_face *face;
    struct amm_drops *drops; /* = &face->drops */
    uint16_t index;
    uint32_t adopted;
    struct amm_loop *loop;
    struct amm_aead *aead;
    struct amm_plane *planes[AMM_PORTS_MAX];
    int tuns[AMM_PORTS_MAX];
    int sockets[AMM_LISTENERS_MAX]; /* by link; -1 for TCP listeners */
    struct amm_batch *batch;
    struct amm_coalesce *coalesce;
    uint8_t coalesced_port; /* whose packets wait in `coalesce` */
    uint32_t written;       /* ports whose tun got packets in this round, a bit each */
    uint8_t answering; /* how often the kernel had answered at once lately, 0 to ANSWERING_MAX */
    uint8_t unasked;   /* rounds since that was last looked at */
    bool congested;    /* a ring had no room for what must not be lost */
    amm_time judged;   /* when slow streams were looked for */
    struct amm_streams streams;
    struct amm_udp_slot slots[WORKER_RECEIVE];
    uint8_t *receive_buffer; /* WORKER_RECEIVE * AMM_UDP_BUFFER */
    uint8_t *tun_buffer;     /* 65536 */
};

/* What a loop tag says: kind in the upper half, number in the lower. */
enum { WORKER_TAG_BELL = 0, WORKER_TAG_UDP = 1, WORKER_TAG_TUN = 2, WORKER_TAG_TCP = 3 };

static inline uint64_t worker_tag(uint32_t kind, uint32_t number)
{
    return (uint64_t)kind << 32 | number;
}

/* ---- worker_down.c: from the gateways to the tun devices ---- */

void amm_worker_receive_udp(struct amm_worker *worker, struct amm_now now, uint32_t listener);
void amm_worker_receive_tcp(struct amm_worker *worker, struct amm_now now,
                            struct amm_stream *stream);

/* Takes the frames in `bytes`, which came from `stream`. */
void amm_worker_take_frames(struct amm_worker *worker, struct amm_now now,
                            struct amm_stream *stream, struct amm_span bytes);

/* Writes what waits in the coalescer to its tun queue. */
void amm_worker_flush_inner(struct amm_worker *worker);

/* ---- worker_up.c: from the tun devices to the gateways ---- */

/* Takes up to `most` packets of a tun queue; how many there were. */
unsigned amm_worker_receive_tun(struct amm_worker *worker, struct amm_now now, uint8_t port_index,
                                unsigned most);

/* One packet of the tun device of a port, of any worker. */
void amm_worker_take_inner(struct amm_worker *worker, struct amm_now now, uint8_t port_index,
                           const struct amm_vnet *vnet, struct amm_span packet);

/* Sends a datagram that the plane made, by its path. */
void amm_worker_send(struct amm_worker *worker, const struct amm_path *path,
                     struct amm_view datagram);

/* Sends what waits in the batch and in the streams. */
void amm_worker_flush_outer(struct amm_worker *worker, struct amm_now now);
