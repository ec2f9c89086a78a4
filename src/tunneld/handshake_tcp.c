#include "handshake_parts.h"

#include <errno.h>
#include <unistd.h>

/* A connection that says nothing sensible is closed soon, one whose peer has not joined later:
 * after more than a handshake may take. */
#define SILENCE_WINDOW (10 * AMM_SECOND)
#define JOIN_WINDOW (70 * AMM_SECOND)

static void close_here(struct amm_handshake *h, struct amm_now now, struct amm_stream *stream)
{
    struct amm_command lost = {.kind = AMM_COMMAND_LINK_LOST, .path = stream->path};

    amm_loop_remove(h->loop, stream->fd);
    amm_stream_remove(&h->streams, stream);
    h->n_unjoined--;
    amm_engine_command(h->engine, now, &lost);
}

/* ---- accept ---- */

/* Whoever says nothing makes room for whoever comes: silent connections cannot lock anybody out. */
static bool make_room(struct amm_handshake *h, struct amm_now now, const struct amm_address *remote)
{
    uint64_t prefix = amm_address_prefix(remote);
    struct amm_stream *silent = NULL;
    struct amm_stream *silent_neighbour = NULL;
    unsigned neighbours = 0;

    for (struct amm_stream *stream = h->streams.first; stream; stream = stream->next) {
        if (stream->owner != AMM_STREAM_HERE) {
            continue;
        }
        bool same = amm_address_prefix(&stream->path.remote) == prefix;
        neighbours += same;
        silent = stream->spoke ? silent : stream; /* the last in the list is the oldest */
        silent_neighbour = stream->spoke || !same ? silent_neighbour : stream;
    }
    bool crowded = neighbours >= HANDSHAKE_PER_PREFIX;
    struct amm_stream *victim = crowded ? silent_neighbour : silent;
    if (!crowded && h->n_unjoined < HANDSHAKE_STREAMS) {
        return true;
    }
    if (victim) {
        close_here(h, now, victim);
    }
    return victim != NULL;
}

static void accept_one(struct amm_handshake *h, struct amm_now now, uint32_t listener, int fd,
                       const struct amm_address *remote, const struct amm_address *local)
{
    struct amm_path path = {.remote = *remote,
                            .local = *local,
                            .link = atomic_fetch_add(&h->shared->connections, 1) + 1,
                            .transport = AMM_TCP,
                            .port_index = h->shared->handoff->listener_port[listener]};
    struct amm_stream *stream = NULL;

    if (!h->leaving && make_room(h, now, remote)) {
        stream = amm_stream_add(&h->streams, fd, &path);
    }
    if (!stream) {
        amm_drop(h->drops, AMM_DROP_HANDSHAKE_LIMIT);
        close(fd);
        return;
    }
    h->n_unjoined++;
    stream->deadline = now.mono + SILENCE_WINDOW;
    if (!amm_loop_add(h->loop, fd, AMM_READ, handshake_tag(HANDSHAKE_TAG_TCP, path.link))) {
        stream->broken = h->streams_changed = true;
    }
}

void amm_handshake_accept(struct amm_handshake *h, struct amm_now now, uint32_t listener)
{
    for (unsigned i = 0; i < 64; i++) {
        struct amm_address remote, local;
        int fd = amm_tcp_accept(h->listening[listener], &remote, &local);
        if (fd >= 0) {
            accept_one(h, now, listener, fd, &remote, &local);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            amm_loop_change(h->loop, h->listening[listener], 0,
                            handshake_tag(HANDSHAKE_TAG_LISTEN, listener));
            h->accept_paused = true;
            h->accept_again = now.mono + AMM_SECOND;
        }
        return;
    }
}

void amm_handshake_resume_accept(struct amm_handshake *h, struct amm_now now)
{
    if (!h->accept_paused || now.mono < h->accept_again) {
        return;
    }
    h->accept_paused = false;
    for (uint32_t i = 0; i < h->shared->handoff->n_listeners; i++) {
        if (h->listening[i] >= 0) {
            amm_loop_change(h->loop, h->listening[i], AMM_READ,
                            handshake_tag(HANDSHAKE_TAG_LISTEN, i));
        }
    }
}

/* ---- frames ---- */

static void take_frame(struct amm_handshake *h, struct amm_now now, struct amm_stream *stream,
                       struct amm_view frame)
{
    struct amm_path path = stream->path;
    uint8_t opcode = frame.data[0] >> 3;

    if (opcode == 6 || opcode == 9) {
        amm_drop(h->drops, AMM_DROP_DATA_PEER_UNKNOWN);
        return;
    }
    if (!amm_engine_input(h->engine, now, &path, frame)) {
        stream->broken = h->streams_changed = true;
    } else if (!stream->spoke) {
        stream->spoke = true;
        stream->deadline = now.mono + JOIN_WINDOW;
    }
    amm_handshake_settle(h, now);
}

static void take_chunk(struct amm_handshake *h, struct amm_now now, struct amm_stream *stream,
                       struct amm_span chunk)
{
    enum amm_frame_result result = AMM_FRAME_READY;
    struct amm_span frame;

    h->reading = stream;
    h->rest = chunk;
    while (stream->owner == AMM_STREAM_HERE && !stream->broken && result == AMM_FRAME_READY) {
        result = amm_frame_next(stream->reader, &h->rest, &frame);
        if (result == AMM_FRAME_READY) {
            take_frame(h, now, stream, amm_view_of(frame));
        }
    }
    h->reading = NULL;
    if (result == AMM_FRAME_BROKEN) {
        amm_drop(h->drops, AMM_DROP_TCP_FRAME);
        stream->broken = h->streams_changed = true;
    }
}

void amm_handshake_read(struct amm_handshake *h, struct amm_now now, struct amm_stream *stream)
{
    uint8_t chunk[HANDSHAKE_CHUNK];
    ssize_t got = amm_tcp_read(stream->fd, (struct amm_span){chunk, sizeof chunk});

    if (got < 0) {
        stream->broken = h->streams_changed = true;
    } else if (got > 0) {
        take_chunk(h, now, stream, (struct amm_span){chunk, (size_t)got});
    }
}

/* ---- to the worker ---- */

void amm_handshake_move(struct amm_handshake *h, struct amm_stream *stream, uint16_t worker)
{
    struct amm_ring *ring = h->face->down[worker];
    struct amm_view partial, rest = amm_view(NULL, 0);

    if (stream->owner == worker || stream->broken) {
        return; /* a new session on a connection that is there already */
    }
    if (stream->owner != AMM_STREAM_HERE) {
        stream->closing = h->streams_changed = true; /* another gateway on the same connection */
        return;
    }
    partial = amm_view(stream->reader->partial, stream->reader->have);
    if (h->reading == stream) {
        rest = amm_view_of(h->rest);
    }
    struct amm_cell_connection *cell =
        amm_ring_reserve(ring, sizeof *cell + partial.len + rest.len);
    if (!cell || stream->writer.len) {
        stream->broken = h->streams_changed = true; /* it has not even taken our handshake */
        return;
    }
    *cell = (struct amm_cell_connection){.kind = AMM_CELL_CONNECTION,
                                         .fd = stream->fd,
                                         .thread = h->index,
                                         .len = (uint16_t)(partial.len + rest.len),
                                         .path = stream->path};
    memcpy(cell->bytes, partial.data, partial.len);
    if (rest.len) {
        memcpy(cell->bytes + partial.len, rest.data, rest.len);
    }
    amm_loop_remove(h->loop, stream->fd);
    stream->fd = -1;
    stream->owner = worker;
    stream->deadline = AMM_NEVER;
    amm_stream_release_buffers(stream);
    h->n_unjoined--;
    amm_ring_commit(ring);
}

/* ---- the end of connections ---- */

/* A worker's connection: it closes it after what was sent before, and says LOST. */
static void ask_to_close(struct amm_handshake *h, struct amm_stream *stream)
{
    struct amm_ring *ring = h->face->down[stream->owner];
    struct amm_cell_link *cell = amm_ring_reserve(ring, sizeof *cell);

    if (!cell) {
        h->streams_changed = h->congested = true;
        return;
    }
    *cell = (struct amm_cell_link){AMM_CELL_CLOSE, stream->path};
    stream->closing = stream->broken = false;
    amm_ring_commit(ring);
    amm_bell_ring(&h->shared->workers[stream->owner].bell);
}

void amm_handshake_tend_streams(struct amm_handshake *h, struct amm_now now)
{
    struct amm_stream *next;
    bool late = h->n_unjoined && now.mono - h->judged >= AMM_SECOND;

    if (!late && !h->streams_changed) {
        return;
    }
    if (late) {
        h->judged = now.mono;
        amm_streams_judge(&h->streams, h->drops, now.mono);
    }
    h->streams_changed = false;
    for (struct amm_stream *stream = h->streams.first; stream; stream = next) {
        next = stream->next;
        if (stream->owner != AMM_STREAM_HERE) {
            if (stream->closing || stream->broken) {
                ask_to_close(h, stream);
            }
            continue;
        }
        if (stream->closing) {
            amm_stream_flush(&h->streams, stream, h->loop,
                             handshake_tag(HANDSHAKE_TAG_TCP, stream->path.link), now.mono);
        }
        if (stream->broken || now.mono >= stream->deadline) {
            close_here(h, now, stream);
        }
    }
    amm_handshake_settle(h, now);
}
