#include "worker_parts.h"

#include "io/tun.h"

enum { RECEIVE_ROUNDS = 4, TCP_CHUNK = 65536 };

static bool is_data(uint8_t first)
{
    return first >> 3 == 9 || first >> 3 == 6; /* DATA_V2; DATA_V1, which the plane counts */
}

/* ---- inner packets ---- */

void amm_worker_flush_inner(struct amm_worker *worker)
{
    struct amm_view framed;
    while ((framed = amm_coalesce_take(worker->coalesce)).len) {
        worker->written |= 1U << worker->coalesced_port;
        if (!amm_tun_write_framed(worker->tuns[worker->coalesced_port], framed)) {
            amm_drop(worker->drops, AMM_DROP_TUN_FAILED);
        }
    }
}

static void give_inner(struct amm_worker *worker, uint8_t port_index, struct amm_view inner)
{
    if (worker->coalesced_port != port_index) {
        amm_worker_flush_inner(worker);
        worker->coalesced_port = port_index;
    }
    if (amm_coalesce_add(worker->coalesce, inner)) {
        return;
    }
    amm_worker_flush_inner(worker);
    if (!amm_coalesce_add(worker->coalesce, inner)) {
        amm_drop(worker->drops, AMM_DROP_TUN_FAILED);
    }
}

/* ---- control packets ---- */

/* The handshake thread that owns the session of a control packet: by the client's session id, as
 * the kernel steers them. */
static uint16_t thread_of(const struct amm_worker *worker, struct amm_view packet)
{
    if (packet.len < 5) {
        return 0;
    }
    return (uint16_t)(amm_load_u32(packet.data + 1) % worker->shared->n_handshake);
}

static void pass_control(struct amm_worker *worker, uint16_t thread, const struct amm_path *path,
                         struct amm_view packet)
{
    struct amm_ring *ring = worker->face->up[thread];
    size_t need = sizeof(struct amm_cell_packet) + packet.len;

    if (packet.len > AMM_CONTROL_MAX) {
        amm_drop(worker->drops, AMM_DROP_CONTROL_OVERSIZE);
        return;
    }
    struct amm_cell_packet *cell =
        amm_ring_fits(ring, need + AMM_RING_RESERVE) ? amm_ring_reserve(ring, need) : NULL;
    if (!cell) {
        amm_drop(worker->drops, AMM_DROP_QUEUE_FULL);
        return;
    }
    *cell = (struct amm_cell_packet){
        .kind = AMM_CELL_CONTROL, .len = (uint32_t)packet.len, .path = *path};
    memcpy(cell->bytes, packet.data, packet.len);
    amm_ring_commit(ring);
    amm_bell_ring(&worker->shared->handshakes[thread].bell);
}

static void take_data(struct amm_worker *worker, struct amm_now now, const struct amm_path *path,
                      struct amm_span datagram)
{
    struct amm_span inner;
    if (amm_plane_open(worker->planes[path->port_index], now, path, datagram, &inner)) {
        give_inner(worker, path->port_index, amm_view_of(inner));
    }
}

/* ---- UDP ---- */

/* A batch is not a peer: each datagram is looked at by itself. */
static void take_batch(struct amm_worker *worker, struct amm_now now, const struct amm_path *path,
                       const struct amm_udp_slot *slot)
{
    size_t step = slot->got.segment ? slot->got.segment : 1;

    for (size_t at = 0; at < slot->got.len; at += step) {
        size_t left = slot->got.len - at;
        struct amm_span datagram = {slot->buffer.data + at, left < step ? left : step};
        if (is_data(datagram.data[0])) {
            take_data(worker, now, path, datagram);
        } else {
            struct amm_view packet = amm_view_of(datagram);
            pass_control(worker, thread_of(worker, packet), path, packet);
        }
    }
}

void amm_worker_receive_udp(struct amm_worker *worker, struct amm_now now, uint32_t listener)
{
    const struct amm_handoff *handoff = worker->shared->handoff;
    uint16_t port = handoff->listeners[listener].address.port;

    for (unsigned round = 0; round < RECEIVE_ROUNDS; round++) {
        unsigned n =
            amm_udp_receive_many(worker->sockets[listener], port, worker->slots, WORKER_RECEIVE);
        for (unsigned i = 0; i < n; i++) {
            struct amm_path path = {.remote = worker->slots[i].got.remote,
                                    .local = worker->slots[i].got.local,
                                    .link = listener,
                                    .transport = AMM_UDP,
                                    .port_index = handoff->listener_port[listener]};
            take_batch(worker, now, &path, &worker->slots[i]);
        }
        amm_worker_flush_inner(worker);
        if (n < WORKER_RECEIVE) {
            break;
        }
    }
}

/* ---- TCP ---- */

void amm_worker_take_frames(struct amm_worker *worker, struct amm_now now,
                            struct amm_stream *stream, struct amm_span bytes)
{
    struct amm_span frame;
    enum amm_frame_result result;

    while ((result = amm_frame_next(stream->reader, &bytes, &frame)) == AMM_FRAME_READY) {
        if (is_data(frame.data[0])) {
            take_data(worker, now, &stream->path, frame);
        } else {
            pass_control(worker, stream->owner, &stream->path, amm_view_of(frame));
        }
    }
    if (result == AMM_FRAME_BROKEN) {
        amm_drop(worker->drops, AMM_DROP_TCP_FRAME);
        stream->broken = true;
    }
}

void amm_worker_receive_tcp(struct amm_worker *worker, struct amm_now now,
                            struct amm_stream *stream)
{
    struct amm_span chunk = {worker->receive_buffer, TCP_CHUNK};

    for (unsigned round = 0; round < RECEIVE_ROUNDS && !stream->broken; round++) {
        ssize_t got = amm_tcp_read(stream->fd, chunk);
        if (got < 0) {
            stream->broken = true;
        } else if (got > 0) {
            amm_worker_take_frames(worker, now, stream, (struct amm_span){chunk.data, (size_t)got});
        }
        if (got < (ssize_t)chunk.len) {
            break;
        }
    }
    amm_worker_flush_inner(worker);
}
