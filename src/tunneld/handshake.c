#include "handshake_parts.h"

#include "io/clock.h"

#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RECEIVE_ROUNDS = 4, NICE = 10, STORM = 32 };

#define CONGESTION_PAUSE AMM_MILLISECOND

/* ---- set-up ---- */

static bool watch(struct amm_handshake *h)
{
    const struct amm_handoff *handoff = h->shared->handoff;
    bool good = amm_loop_add(h->loop, h->face->bell.fd, AMM_READ | AMM_EDGE,
                             handshake_tag(HANDSHAKE_TAG_BELL, 0));

    for (uint32_t i = 0; good && i < handoff->n_listeners; i++) {
        h->sockets[i] = handoff->udp_handshake[i][h->index];
        h->listening[i] = handoff->tcp[i][h->index];
        if (h->sockets[i] >= 0) {
            good =
                amm_loop_add(h->loop, h->sockets[i], AMM_READ, handshake_tag(HANDSHAKE_TAG_UDP, i));
        }
        if (good && h->listening[i] >= 0) {
            good = amm_loop_add(h->loop, h->listening[i], AMM_READ,
                                handshake_tag(HANDSHAKE_TAG_LISTEN, i));
        }
    }
    return good;
}

static bool make_parts(struct amm_handshake *h, const struct amm_handshake_settings *settings,
                       struct amm_now now)
{
    struct amm_engine_config config = *settings->engine;
    struct amm_engine_env env = {
        .random = amm_kernel_random(), .tls = &amm_tls_openssl, .tls_context = settings->tls};

    config.thread = h->index;
    h->buffer = malloc((size_t)HANDSHAKE_RECEIVE * AMM_UDP_BUFFER);
    h->loop = amm_loop_new();
    h->authority = amm_authority_new(h->shared->places, h->shared->n_ports, config.n_sessions,
                                     settings->roster);
    h->engine = amm_engine_new(
        &config, &env, amm_state_sessions(h->shared->handoff->state, h->index), h->drops, now);
    if (!h->buffer || !h->loop || !h->authority || !h->engine) {
        return false;
    }
    for (unsigned i = 0; i < HANDSHAKE_RECEIVE; i++) {
        h->slots[i].buffer = (struct amm_span){h->buffer + i * AMM_UDP_BUFFER, AMM_UDP_BUFFER};
    }
    return watch(h);
}

struct amm_handshake *amm_handshake_new(struct amm_shared *shared, uint16_t index,
                                        const struct amm_handshake_settings *settings,
                                        struct amm_now now, char *error, size_t room)
{
    struct amm_handshake *h = calloc(1, sizeof *h);

    if (h) {
        h->shared = shared;
        h->face = &shared->handshakes[index];
        h->drops = &h->face->drops;
        h->index = index;
        h->tls = settings->tls;
    } else {
        amm_tls_context_free(settings->tls);
    }
    if (!h || !make_parts(h, settings, now)) {
        snprintf(error, room, "handshake thread %u: out of memory or descriptors", index);
        return amm_handshake_free(h);
    }
    if (!amm_state_is_new(shared->handoff->state)) {
        amm_handshake_reconcile(h);
    }
    return h;
}

struct amm_handshake *amm_handshake_free(struct amm_handshake *h)
{
    if (!h) {
        return NULL;
    }
    while (h->streams.first) {
        amm_stream_remove(&h->streams, h->streams.first);
    }
    amm_engine_free(h->engine);
    amm_tls_context_free(h->tls);
    amm_authority_free(h->authority);
    amm_loop_free(h->loop);
    free(h->buffer);
    free(h);
    return NULL;
}

/* ---- packets ---- */

static void take_datagram(struct amm_handshake *h, struct amm_now now, const struct amm_path *path,
                          struct amm_view datagram)
{
    uint8_t opcode = datagram.data[0] >> 3;

    if (opcode == 6 || opcode == 9) {
        /* Behind a control packet in a batch, or for no worker: its worker would not take it from
         * here. */
        amm_drop(h->drops, AMM_DROP_DATA_WORKER);
        return;
    }
    if (!h->leaving) {
        amm_engine_input(h->engine, now, path, datagram);
        amm_handshake_settle(h, now);
    }
}

static void take_batch(struct amm_handshake *h, struct amm_now now, uint32_t listener,
                       const struct amm_udp_batch *got, const uint8_t *bytes)
{
    struct amm_path path = {.remote = got->remote,
                            .local = got->local,
                            .link = listener,
                            .transport = AMM_UDP,
                            .port_index = h->shared->handoff->listener_port[listener]};
    size_t step = got->segment ? got->segment : 1;

    for (size_t at = 0; at < got->len; at += step) {
        size_t left = got->len - at;
        take_datagram(h, now, &path, amm_view(bytes + at, left < step ? left : step));
    }
}

static void receive_udp(struct amm_handshake *h, struct amm_now now, uint32_t listener)
{
    uint16_t port = h->shared->handoff->listeners[listener].address.port;

    for (unsigned round = 0; round < RECEIVE_ROUNDS && !h->congested; round++) {
        unsigned n = amm_udp_receive_many(h->sockets[listener], port, h->slots, HANDSHAKE_RECEIVE);
        for (unsigned i = 0; i < n; i++) {
            take_batch(h, now, listener, &h->slots[i].got, h->slots[i].buffer.data);
        }
        if (n < HANDSHAKE_RECEIVE) {
            return;
        }
    }
}

static void serve_stream(struct amm_handshake *h, struct amm_now now, const struct amm_ready *ready)
{
    struct amm_stream *stream = amm_stream_find(&h->streams, (uint32_t)ready->tag);

    if (!stream || stream->owner != AMM_STREAM_HERE || stream->broken) {
        return;
    }
    if (ready->writable) {
        amm_stream_flush(&h->streams, stream, h->loop, ready->tag, now.mono);
        h->streams_changed |= stream->broken;
    }
    if (!stream->broken && (ready->readable || ready->closed)) {
        amm_handshake_read(h, now, stream);
    }
}

static void serve(struct amm_handshake *h, struct amm_now now, const struct amm_ready *ready)
{
    uint32_t number = (uint32_t)ready->tag;

    switch (ready->tag >> 32) {
    case HANDSHAKE_TAG_UDP:
        receive_udp(h, now, number);
        break;
    case HANDSHAKE_TAG_LISTEN:
        amm_handshake_accept(h, now, number);
        break;
    case HANDSHAKE_TAG_TCP:
        serve_stream(h, now, ready);
        break;
    default: /* the bell, which amm_bell_answer has silenced */
        break;
    }
}

/* ---- news of the workers ---- */

static void report_moved(struct amm_handshake *h, struct amm_now now,
                         const struct amm_plane_note *note)
{
    const struct amm_places *places = &h->shared->places[note->port_index];
    const struct amm_peer *record =
        amm_peer_table_at(places->peers, places->n_slots, note->peer_id);
    struct amm_peer peer;

    if (record && amm_peer_read(record, &peer) && peer.peer_id == note->peer_id) {
        amm_handshake_report_moved(h, now, &peer, &note->path);
    }
}

static void take_note(struct amm_handshake *h, struct amm_now now,
                      const struct amm_plane_note *note)
{
    struct amm_command command = {
        .kind = AMM_COMMAND_NOTE, .session = note->session, .note = *note};

    if (note->kind == AMM_NOTE_MOVED) {
        report_moved(h, now, note);
    }
    amm_engine_command(h->engine, now, &command);
}

static void take_control(struct amm_handshake *h, struct amm_now now,
                         const struct amm_cell_packet *packet)
{
    struct amm_stream *stream =
        packet->path.transport == AMM_TCP ? amm_stream_find(&h->streams, packet->path.link) : NULL;

    if (packet->path.transport == AMM_TCP && !stream) {
        return; /* of a connection that was lost since */
    }
    if (!amm_engine_input(h->engine, now, &packet->path, amm_view(packet->bytes, packet->len)) &&
        stream) {
        stream->closing = h->streams_changed = true;
    }
}

static void take_lost(struct amm_handshake *h, struct amm_now now, const struct amm_path *path)
{
    struct amm_command lost = {.kind = AMM_COMMAND_LINK_LOST, .path = *path};
    struct amm_stream *stream = amm_stream_find(&h->streams, path->link);

    if (stream) {
        amm_stream_remove(&h->streams, stream);
        amm_engine_command(h->engine, now, &lost);
    }
}

static void take_cell(struct amm_handshake *h, struct amm_now now, const void *record)
{
    const struct amm_cell_note *note = record;
    const struct amm_cell_link *link = record;

    switch ((enum amm_cell_kind)note->kind) {
    case AMM_CELL_NOTE:
        take_note(h, now, &note->note);
        break;
    case AMM_CELL_CONTROL:
        take_control(h, now, record);
        break;
    case AMM_CELL_LOST:
        take_lost(h, now, &link->path);
        break;
    case AMM_CELL_COMMAND:
    case AMM_CELL_SEND:
    case AMM_CELL_CONNECTION:
    case AMM_CELL_CLOSE:
    case AMM_CELL_INNER:
    case AMM_CELL_ROSTER:
    case AMM_CELL_CRL:
    case AMM_CELL_KICK:
    case AMM_CELL_DRAIN:
    case AMM_CELL_GOODBYE:
    case AMM_CELL_EVENT:
    case AMM_CELL_ANSWER:
        break;
    }
}

static void take_up(struct amm_handshake *h, struct amm_now now)
{
    for (uint16_t i = 0; i < h->shared->n_workers; i++) {
        struct amm_ring *ring = h->shared->workers[i].up[h->index];
        const void *record;
        size_t len;
        while (!h->congested && (record = amm_ring_peek(ring, &len))) {
            take_cell(h, now, record);
            amm_ring_release(ring);
            amm_handshake_settle(h, now);
        }
    }
}

/* ---- the thread ---- */

static bool something_waits(struct amm_handshake *h)
{
    size_t len;
    for (uint16_t i = 0; i < h->shared->n_workers; i++) {
        if (amm_ring_peek(h->shared->workers[i].up[h->index], &len)) {
            return true;
        }
    }
    return h->review.active || amm_ring_peek(h->face->orders, &len) ||
           atomic_load(&h->shared->handshakes_stop);
}

static amm_time next_deadline(struct amm_handshake *h, struct amm_now now)
{
    amm_time deadline = amm_engine_deadline(h->engine);
    if (h->n_unjoined || h->accept_paused) {
        deadline = amm_time_min(deadline, now.mono + AMM_SECOND);
    }
    return deadline;
}

/* A thread between a handshake storm and the workers: it runs when they have nothing to do. */
static void lower_priority(void)
{
    struct sched_param none = {0};
    /* Both may fail under a tight policy; then the thread is merely less polite. */
    sched_setscheduler(0, SCHED_BATCH, &none);
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
}

/* TLS sessions are the bulk of what a storm of handshakes costs; afterwards the kernel gets it
 * back. */
static void give_back_memory(struct amm_handshake *h, uint32_t negotiating)
{
    atomic_store_explicit(&h->face->handshakes, negotiating, memory_order_relaxed);
    h->storm = negotiating > h->storm ? negotiating : h->storm;
    if (negotiating == 0 && h->storm >= STORM) {
        malloc_trim(0);
        h->storm = 0;
    }
}

static void work(struct amm_handshake *h, struct amm_now now)
{
    h->congested = false;
    take_up(h, now);
    amm_handshake_take_orders(h, now);
    amm_handshake_review(h, now);
    if (amm_engine_deadline(h->engine) <= now.mono) {
        amm_engine_expire(h->engine, now);
    }
    amm_handshake_settle(h, now);
    amm_handshake_tend_streams(h, now);
    amm_handshake_resume_accept(h, now);
    give_back_memory(h, amm_engine_negotiating(h->engine));
}

void *amm_handshake_run(void *argument)
{
    struct amm_handshake *h = argument;
    struct amm_ready ready[AMM_LOOP_READY];

    lower_priority();
    for (;;) {
        struct amm_now now = amm_now();
        work(h, now);
        if (atomic_load(&h->shared->handshakes_stop)) {
            return NULL;
        }
        amm_bell_doze(&h->face->bell);
        amm_time deadline = next_deadline(h, now);
        if (h->congested) {
            deadline = now.mono + CONGESTION_PAUSE;
        } else if (something_waits(h)) {
            deadline = 0;
        }
        unsigned n = amm_loop_wait(h->loop, deadline, ready);
        amm_bell_answer(&h->face->bell);
        now = amm_now();
        for (unsigned i = 0; i < n; i++) {
            serve(h, now, &ready[i]);
        }
    }
}
