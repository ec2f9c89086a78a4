#include "worker_parts.h"

#include "io/clock.h"
#include "io/tun.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    KEY_CACHE = 512,
    CONTROL_OUT = 64 + AMM_DATA_OVERHEAD,
    ANSWERING_MAX = 8, /* rounds without an answer until it is no longer expected */
    ASK_AGAIN = 64,
};

/* How long to sleep when a ring was full: its reader does not ring back. */
#define CONGESTION_PAUSE AMM_MILLISECOND

/* ---- set-up ---- */

static bool open_plane(struct amm_worker *worker, uint8_t port_index, struct amm_now now)
{
    const struct amm_tunneld_config *config = worker->shared->config;
    const struct amm_places *places = &worker->shared->places[port_index];
    struct amm_plane_config plane = {
        .role = AMM_SERVER,
        .port_index = port_index,
        .worker = worker->index,
        .n_workers = worker->shared->n_workers,
        .pool = places->pool,
        .mtu = places->mtu,
        .lame_duck = 60 * AMM_SECOND,
        .no_inner_check = !config->isolation_engine,
    };

    for (size_t i = 0; i < config->n_published && i < 8; i++) {
        plane.published[i] = config->published[i];
    }
    worker->planes[port_index] =
        amm_plane_new(&plane, places->peers, places->n_slots, worker->aead, worker->drops, now);
    if (!worker->planes[port_index]) {
        return false;
    }
    if (!amm_state_is_new(worker->shared->handoff->state)) {
        worker->adopted += amm_plane_adopt(worker->planes[port_index], now);
    }
    worker->tuns[port_index] = worker->shared->handoff->tun[port_index][worker->index];
    return amm_loop_add(worker->loop, worker->tuns[port_index], AMM_READ,
                        worker_tag(WORKER_TAG_TUN, port_index));
}

static bool watch_sockets(struct amm_worker *worker)
{
    const struct amm_handoff *handoff = worker->shared->handoff;

    for (uint32_t i = 0; i < handoff->n_listeners; i++) {
        worker->sockets[i] = handoff->udp_worker[i][worker->index];
        if (worker->sockets[i] >= 0 && !amm_loop_add(worker->loop, worker->sockets[i], AMM_READ,
                                                     worker_tag(WORKER_TAG_UDP, i))) {
            return false;
        }
    }
    return amm_loop_add(worker->loop, worker->face->bell.fd, AMM_READ | AMM_EDGE,
                        worker_tag(WORKER_TAG_BELL, 0));
}

static bool make_buffers(struct amm_worker *worker)
{
    worker->receive_buffer = malloc((size_t)WORKER_RECEIVE * AMM_UDP_BUFFER);
    worker->tun_buffer = malloc(AMM_TUN_BUFFER);
    worker->coalesce = amm_coalesce_new();
    worker->batch =
        amm_batch_new(worker->sockets, worker->shared->handoff->n_listeners, worker->drops);
    worker->aead = amm_aead_new(AMM_AEAD_BEST, KEY_CACHE);
    worker->loop = amm_loop_new();
    if (!worker->receive_buffer || !worker->tun_buffer || !worker->coalesce || !worker->batch ||
        !worker->aead || !worker->loop) {
        return false;
    }
    for (unsigned i = 0; i < WORKER_RECEIVE; i++) {
        worker->slots[i].buffer =
            (struct amm_span){worker->receive_buffer + i * AMM_UDP_BUFFER, AMM_UDP_BUFFER};
    }
    return true;
}

struct amm_worker *amm_worker_new(struct amm_shared *shared, uint16_t index, struct amm_now now,
                                  char *error, size_t room)
{
    struct amm_worker *worker = calloc(1, sizeof *worker);
    bool good = worker != NULL;

    if (good) {
        worker->shared = shared;
        worker->face = &shared->workers[index];
        worker->drops = &worker->face->drops;
        worker->index = index;
        good = make_buffers(worker) && watch_sockets(worker);
    }
    for (uint8_t i = 0; good && i < shared->n_ports; i++) {
        good = open_plane(worker, i, now);
    }
    if (!good) {
        snprintf(error, room, "worker %u: out of memory or descriptors", index);
        return amm_worker_free(worker);
    }
    snprintf(worker->face->aead, sizeof worker->face->aead, "%s", amm_aead_name(worker->aead));
    return worker;
}

struct amm_worker *amm_worker_free(struct amm_worker *worker)
{
    if (!worker) {
        return NULL;
    }
    while (worker->streams.first) {
        amm_stream_remove(&worker->streams, worker->streams.first);
    }
    for (uint8_t i = 0; i < worker->shared->n_ports; i++) {
        amm_plane_free(worker->planes[i]);
    }
    amm_loop_free(worker->loop);
    amm_aead_free(worker->aead);
    amm_batch_free(worker->batch);
    amm_coalesce_free(worker->coalesce);
    free(worker->tun_buffer);
    free(worker->receive_buffer);
    free(worker);
    return NULL;
}

uint32_t amm_worker_adopted(const struct amm_worker *worker)
{
    return worker->adopted;
}

/* ---- streams ---- */

static void accept_stream(struct amm_worker *worker, struct amm_now now,
                          struct amm_cell_connection *cell)
{
    struct amm_stream *stream = amm_stream_add(&worker->streams, cell->fd, &cell->path);

    if (!stream) {
        close(cell->fd);
        return;
    }
    stream->owner = cell->thread;
    if (!amm_loop_add(worker->loop, cell->fd, AMM_READ,
                      worker_tag(WORKER_TAG_TCP, cell->path.link))) {
        stream->broken = true;
    }
    amm_worker_take_frames(worker, now, stream, (struct amm_span){cell->bytes, cell->len});
    amm_worker_flush_inner(worker);
}

/* The handshake thread must learn of each loss; a stream whose news finds no room is tried again.
 */
static bool tell_lost(struct amm_worker *worker, const struct amm_stream *stream)
{
    struct amm_ring *ring = worker->face->up[stream->owner];
    struct amm_cell_link *cell = amm_ring_reserve(ring, sizeof *cell);
    if (!cell) {
        return false;
    }
    *cell = (struct amm_cell_link){AMM_CELL_LOST, stream->path};
    amm_ring_commit(ring);
    amm_bell_ring(&worker->shared->handshakes[stream->owner].bell);
    return true;
}

static void remove_broken_streams(struct amm_worker *worker)
{
    struct amm_stream *next;
    for (struct amm_stream *stream = worker->streams.first; stream; stream = next) {
        next = stream->next;
        if (!stream->broken) {
            continue;
        }
        if (stream->fd >= 0) {
            amm_loop_remove(worker->loop, stream->fd);
            close(stream->fd);
            stream->fd = -1;
        }
        if (tell_lost(worker, stream)) {
            amm_stream_remove(&worker->streams, stream);
        } else {
            worker->congested = true;
        }
    }
}

static void tend_streams(struct amm_worker *worker, struct amm_now now)
{
    if (!worker->streams.n) {
        return;
    }
    if (worker->streams.n_waiting && now.mono - worker->judged >= AMM_SECOND) {
        worker->judged = now.mono;
        amm_streams_judge(&worker->streams, worker->drops, now.mono);
    }
    remove_broken_streams(worker);
}

/* ---- rings ---- */

static void take_cell(struct amm_worker *worker, struct amm_now now, void *record)
{
    const struct amm_cell_command *command = record;
    const struct amm_cell_packet *packet = record;
    const struct amm_cell_link *link = record;
    struct amm_stream *stream;

    switch ((enum amm_cell_kind)command->kind) {
    case AMM_CELL_COMMAND:
        amm_plane_command(worker->planes[command->command.port_index], now, &command->command);
        break;
    case AMM_CELL_SEND:
        amm_worker_send(worker, &packet->path, amm_view(packet->bytes, packet->len));
        break;
    case AMM_CELL_CONNECTION:
        accept_stream(worker, now, record);
        break;
    case AMM_CELL_CLOSE:
        stream = amm_stream_find(&worker->streams, link->path.link);
        if (stream) {
            stream->closing = true;
            amm_stream_flush(&worker->streams, stream, worker->loop,
                             worker_tag(WORKER_TAG_TCP, link->path.link), now.mono);
        }
        break;
    case AMM_CELL_NOTE:
    case AMM_CELL_CONTROL:
    case AMM_CELL_LOST:
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

static void take_down(struct amm_worker *worker, struct amm_now now)
{
    for (uint16_t i = 0; i < worker->shared->n_handshake; i++) {
        struct amm_ring *ring = worker->shared->handshakes[i].down[worker->index];
        void *record;
        size_t len;
        while ((record = amm_ring_peek(ring, &len))) {
            take_cell(worker, now, record);
            amm_ring_release(ring);
        }
    }
}

static void take_sideways(struct amm_worker *worker, struct amm_now now)
{
    for (uint16_t i = 0; i < worker->shared->n_workers; i++) {
        struct amm_ring *ring = worker->shared->workers[i].sideways[worker->index];
        struct amm_cell_inner *cell;
        size_t len;
        while (ring && (cell = amm_ring_peek(ring, &len))) {
            amm_worker_take_inner(worker, now, cell->port_index, &cell->vnet,
                                  (struct amm_span){cell->bytes, cell->len});
            amm_ring_release(ring);
        }
    }
}

static bool something_waits(struct amm_worker *worker)
{
    size_t len;
    for (uint16_t i = 0; i < worker->shared->n_handshake; i++) {
        if (amm_ring_peek(worker->shared->handshakes[i].down[worker->index], &len)) {
            return true;
        }
    }
    for (uint16_t i = 0; i < worker->shared->n_workers; i++) {
        struct amm_ring *ring = worker->shared->workers[i].sideways[worker->index];
        if (ring && amm_ring_peek(ring, &len)) {
            return true;
        }
    }
    return atomic_load(&worker->shared->workers_stop);
}

/* ---- planes ---- */

static bool notes_have_room(struct amm_worker *worker)
{
    for (uint16_t i = 0; i < worker->shared->n_handshake; i++) {
        if (!amm_ring_fits(worker->face->up[i], sizeof(struct amm_cell_note))) {
            return false;
        }
    }
    return true;
}

static void pass_notes(struct amm_worker *worker, struct amm_plane *plane)
{
    struct amm_plane_note note;

    while (notes_have_room(worker)) {
        if (!amm_plane_next_note(plane, &note)) {
            return;
        }
        if (note.session.thread >= worker->shared->n_handshake) {
            continue; /* of a former process with more threads: nobody is left to tell */
        }
        struct amm_ring *ring = worker->face->up[note.session.thread];
        *(struct amm_cell_note *)amm_ring_reserve(ring, sizeof(struct amm_cell_note)) =
            (struct amm_cell_note){AMM_CELL_NOTE, note};
        amm_ring_commit(ring);
        amm_bell_ring(&worker->shared->handshakes[note.session.thread].bell);
    }
    worker->congested = true;
}

static void run_planes(struct amm_worker *worker, struct amm_now now)
{
    for (uint8_t i = 0; i < worker->shared->n_ports; i++) {
        struct amm_plane *plane = worker->planes[i];
        struct amm_path path;
        uint8_t out[CONTROL_OUT];
        size_t len;

        if (amm_plane_deadline(plane) <= now.mono) {
            amm_plane_expire(plane, now);
        }
        while ((len = amm_plane_output(plane, now, &path, out, sizeof out))) {
            amm_worker_send(worker, &path, amm_view(out, len));
        }
        pass_notes(worker, plane);
    }
}

static amm_time next_deadline(const struct amm_worker *worker, struct amm_now now)
{
    amm_time deadline = AMM_NEVER;
    for (uint8_t i = 0; i < worker->shared->n_ports; i++) {
        deadline = amm_time_min(deadline, amm_plane_deadline(worker->planes[i]));
    }
    if (worker->streams.n_waiting) {
        deadline = amm_time_min(deadline, now.mono + AMM_SECOND);
    }
    return worker->congested ? amm_time_min(deadline, now.mono + CONGESTION_PAUSE) : deadline;
}

/* ---- the thread ---- */

static void serve_stream(struct amm_worker *worker, struct amm_now now,
                         const struct amm_ready *ready)
{
    struct amm_stream *stream = amm_stream_find(&worker->streams, (uint32_t)ready->tag);

    if (!stream || stream->broken) {
        return;
    }
    if (ready->writable) {
        amm_stream_flush(&worker->streams, stream, worker->loop, ready->tag, now.mono);
    }
    if (ready->readable || ready->closed) {
        amm_worker_receive_tcp(worker, now, stream);
    }
}

static void serve(struct amm_worker *worker, struct amm_now now, const struct amm_ready *ready)
{
    uint32_t number = (uint32_t)ready->tag;

    switch (ready->tag >> 32) {
    case WORKER_TAG_UDP:
        amm_worker_receive_udp(worker, now, number);
        break;
    case WORKER_TAG_TUN:
        amm_worker_receive_tun(worker, now, (uint8_t)number, WORKER_TUN_ROUNDS);
        break;
    case WORKER_TAG_TCP:
        serve_stream(worker, now, ready);
        break;
    default: /* the bell, which amm_bell_answer has silenced */
        break;
    }
}

/* What this host answers by itself (echo, acknowledgements) is in the tun queue when the write that
 * caused it returns: taking it now saves a turn of the loop. Only while that is so: traffic that
 * goes one way must not pay a read for each write, so it is tried once in ASK_AGAIN rounds there.
 */
static void take_answers(struct amm_worker *worker, struct amm_now now)
{
    bool found = false;

    if (!worker->written || (worker->answering == 0 && ++worker->unasked < ASK_AGAIN)) {
        return;
    }
    worker->unasked = 0;
    for (uint8_t i = 0; i < worker->shared->n_ports; i++) {
        if (worker->written & 1U << i) {
            found |= amm_worker_receive_tun(worker, now, i, 1) > 0;
        }
    }
    if (found) {
        worker->answering = ANSWERING_MAX;
    } else if (worker->answering > 0) {
        worker->answering--;
    }
}

void *amm_worker_run(void *argument)
{
    struct amm_worker *worker = argument;
    struct amm_ready ready[AMM_LOOP_READY];

    for (;;) {
        struct amm_now now = amm_now();
        worker->congested = false;
        take_down(worker, now);
        take_sideways(worker, now);
        run_planes(worker, now);
        amm_worker_flush_outer(worker, now);
        tend_streams(worker, now);
        if (atomic_load(&worker->shared->workers_stop)) {
            return NULL;
        }

        amm_bell_doze(&worker->face->bell);
        amm_time deadline = something_waits(worker) ? 0 : next_deadline(worker, now);
        unsigned n = amm_loop_wait(worker->loop, deadline, ready);
        amm_bell_answer(&worker->face->bell);
        now = amm_now();
        for (unsigned i = 0; i < n; i++) {
            serve(worker, now, &ready[i]);
        }
        take_answers(worker, now);
        worker->written = 0;
    }
}
