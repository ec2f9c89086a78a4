#include "worker_parts.h"

#include "io/tun.h"

enum { IPV4_HEADER = 20, HEADROOM = AMM_DATA_OVERHEAD };

/* ---- out ---- */

static void queue_frame(struct amm_worker *worker, uint32_t link, struct amm_view frame)
{
    struct amm_stream *stream = amm_stream_find(&worker->streams, link);

    if (!stream || stream->broken) {
        amm_drop(worker->drops, AMM_DROP_SEND_FAILED);
    } else if (!amm_stream_queue(&worker->streams, stream, frame)) {
        amm_drop(worker->drops, AMM_DROP_QUEUE_FULL);
    }
}

void amm_worker_send(struct amm_worker *worker, const struct amm_path *path,
                     struct amm_view datagram)
{
    if (path->transport == AMM_TCP) {
        queue_frame(worker, path->link, datagram);
        return;
    }
    memcpy(amm_batch_room(worker->batch, datagram.len), datagram.data, datagram.len);
    amm_batch_add(worker->batch, path, NULL, datagram.len);
}

void amm_worker_flush_outer(struct amm_worker *worker, struct amm_now now)
{
    struct amm_stream *stream;

    amm_batch_flush(worker->batch);
    while ((stream = amm_stream_take_dirty(&worker->streams))) {
        amm_stream_flush(&worker->streams, stream, worker->loop,
                         worker_tag(WORKER_TAG_TCP, stream->path.link), now.mono);
    }
}

/* ---- one packet of the tun device ---- */

static void say_too_big(struct amm_worker *worker, uint8_t port_index, struct amm_view packet)
{
    uint8_t answer[576];
    const struct amm_places *places = &worker->shared->places[port_index];
    size_t len = amm_icmp_too_big(packet, amm_pool_server(&places->pool), places->mtu, answer,
                                  sizeof answer);

    amm_drop(worker->drops, AMM_DROP_INNER_TOO_BIG);
    if (len) {
        amm_tun_write(worker->tuns[port_index], amm_view(answer, len));
    }
}

/* Seals the packet that stands HEADROOM behind `out` and adds it to what leaves for the peer. */
static void seal_and_add(struct amm_worker *worker, struct amm_now now, uint8_t port_index,
                         struct amm_peer *peer, uint8_t *out, size_t len)
{
    struct amm_span sealed =
        amm_plane_seal(worker->planes[port_index], now, peer, amm_view(out + HEADROOM, len), out);

    if (!sealed.len) {
        return;
    }
    if (peer->path.transport == AMM_TCP) {
        queue_frame(worker, peer->path.link, amm_view_of(sealed));
    } else {
        amm_batch_add(worker->batch, &peer->path, peer, sealed.len);
    }
}

static void split_and_send(struct amm_worker *worker, struct amm_now now, uint8_t port_index,
                           struct amm_peer *peer, const struct amm_vnet *vnet,
                           struct amm_view packet)
{
    size_t mtu = worker->shared->places[port_index].mtu;
    struct amm_split split;

    if (!amm_split_init(&split, vnet, packet)) {
        amm_drop(worker->drops, AMM_DROP_INNER_MALFORMED);
        return;
    }
    for (;;) {
        uint8_t *out = amm_batch_room(worker->batch, HEADROOM + WORKER_SEGMENT_MAX);
        size_t len = amm_split_next(&split, out + HEADROOM, WORKER_SEGMENT_MAX);
        if (!len) {
            return;
        }
        if (len > mtu) {
            say_too_big(worker, port_index, amm_view(out + HEADROOM, len));
            return;
        }
        seal_and_add(worker, now, port_index, peer, out, len);
    }
}

/* The kernel gave a packet to the wrong queue: only where eBPF steering is not to be had. */
static void pass_sideways(struct amm_worker *worker, uint16_t other, uint8_t port_index,
                          const struct amm_vnet *vnet, struct amm_view packet)
{
    struct amm_ring *ring = worker->face->sideways[other];
    struct amm_cell_inner *cell = ring ? amm_ring_reserve(ring, sizeof *cell + packet.len) : NULL;

    if (!cell) {
        amm_drop(worker->drops, ring ? AMM_DROP_QUEUE_FULL : AMM_DROP_DATA_WORKER);
        return;
    }
    *cell = (struct amm_cell_inner){.kind = AMM_CELL_INNER,
                                    .len = (uint32_t)packet.len,
                                    .vnet = *vnet,
                                    .port_index = port_index};
    memcpy(cell->bytes, packet.data, packet.len);
    amm_ring_commit(ring);
    amm_bell_ring(&worker->shared->workers[other].bell);
}

void amm_worker_take_inner(struct amm_worker *worker, struct amm_now now, uint8_t port_index,
                           const struct amm_vnet *vnet, struct amm_span packet)
{
    const struct amm_places *places = &worker->shared->places[port_index];

    if (packet.len < IPV4_HEADER || packet.data[0] >> 4 != 4) {
        amm_drop(worker->drops, packet.len && packet.data[0] >> 4 == 6 ? AMM_DROP_INNER_IPV6
                                                                       : AMM_DROP_INNER_MALFORMED);
        return;
    }
    uint32_t destination = amm_load_u32(packet.data + 16);
    uint32_t slot = amm_pool_slot(&places->pool, destination);
    uint16_t owner = (uint16_t)(slot % worker->shared->n_workers);
    if (slot && owner != worker->index) {
        pass_sideways(worker, owner, port_index, vnet, amm_view_of(packet));
        return;
    }
    struct amm_peer *peer = amm_plane_route(worker->planes[port_index], destination);
    if (!peer) {
        return;
    }
    if (vnet->gso_type == 0 && packet.len > places->mtu) {
        say_too_big(worker, port_index, amm_view_of(packet));
        return;
    }
    split_and_send(worker, now, port_index, peer, vnet, amm_view_of(packet));
}

unsigned amm_worker_receive_tun(struct amm_worker *worker, struct amm_now now, uint8_t port_index,
                                unsigned most)
{
    for (unsigned taken = 0; taken < most; taken++) {
        struct amm_vnet vnet;
        struct amm_span buffer = {worker->tun_buffer, AMM_TUN_BUFFER};
        ssize_t got = amm_tun_read(worker->tuns[port_index], &vnet, buffer);
        if (got <= 0) {
            return taken;
        }
        amm_worker_take_inner(worker, now, port_index, &vnet,
                              (struct amm_span){buffer.data, (size_t)got});
    }
    return most;
}
