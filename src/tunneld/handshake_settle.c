#include "handshake_parts.h"

#include <stdio.h>

/* ---- reports ---- */

static void push_report(struct amm_handshake *h, const struct amm_cell_event *report)
{
    struct amm_cell_event *cell = amm_ring_reserve(h->face->reports, sizeof *cell);
    if (!cell) {
        atomic_fetch_add_explicit(&h->face->lost_events, 1, memory_order_relaxed);
        return;
    }
    *cell = *report;
    amm_ring_commit(h->face->reports);
    amm_bell_ring(&h->shared->control_bell);
}

static struct amm_cell_event new_report(const struct amm_handshake *h, struct amm_now now,
                                        uint8_t kind, const struct amm_path *path)
{
    return (struct amm_cell_event){
        .kind = AMM_CELL_EVENT,
        .port_index = path->port_index,
        .event = {.kind = kind,
                  .at = now.wall,
                  .port = h->shared->places[path->port_index].port,
                  .remote = path->remote,
                  .transport = path->transport},
    };
}

static void set_login(struct amm_ipc_event *event, const struct amm_identity *identity)
{
    amm_text_clean(event->name, sizeof event->name, amm_view_str(identity->name));
    memcpy(event->login.key, identity->key, sizeof event->login.key);
    memcpy(event->login.serial, identity->serial, sizeof event->login.serial);
}

static void set_text(char *out, size_t room, const char *text)
{
    amm_text_clean(out, room, amm_view_str(text));
}

void amm_handshake_report_refused(struct amm_handshake *h, struct amm_now now,
                                  const struct amm_path *path, const struct amm_identity *identity,
                                  const char *reason, const char *text)
{
    struct amm_cell_event report = new_report(h, now, AMM_IPC_REFUSED, path);
    set_login(&report.event, identity);
    set_text(report.event.reason, sizeof report.event.reason, reason);
    set_text(report.event.text, sizeof report.event.text, text);
    push_report(h, &report);
}

void amm_handshake_report_moved(struct amm_handshake *h, struct amm_now now,
                                const struct amm_peer *peer, const struct amm_path *path)
{
    struct amm_cell_event report = new_report(h, now, AMM_IPC_MOVED, path);
    set_text(report.event.name, sizeof report.event.name, peer->name);
    report.event.peer_id = peer->peer_id;
    report.event.epoch = peer->epoch;
    set_text(report.event.reason, sizeof report.event.reason, "moved");
    push_report(h, &report);
}

static void report_joined(struct amm_handshake *h, struct amm_now now,
                          const struct amm_event *event)
{
    struct amm_cell_event report = new_report(h, now, AMM_IPC_JOINED, &event->path);
    char client[sizeof report.event.client];

    snprintf(client, sizeof client, "%.31s %.15s", event->info.version, event->info.platform);
    report.event.peer_id = event->push.peer_id;
    report.event.epoch = event->epoch;
    report.event.inner_ip = event->push.local;
    set_login(&report.event, &event->identity);
    set_text(report.event.client, sizeof report.event.client, client);
    set_text(report.event.text, sizeof report.event.text,
             event->tls_version ? event->tls_version : "");
    push_report(h, &report);
}

static void report_left(struct amm_handshake *h, struct amm_now now, const struct amm_event *event)
{
    struct amm_cell_event report = new_report(h, now, AMM_IPC_LEFT, &event->path);
    const struct amm_places *places = &h->shared->places[event->path.port_index];

    uint32_t peer_id = amm_authority_place(h->authority, event->session);
    report.event.peer_id = peer_id;
    report.event.epoch = event->epoch;
    report.event.inner_ip = amm_pool_address(&places->pool, amm_peer_id_slot(peer_id));
    set_login(&report.event, &event->identity);
    set_text(report.event.reason, sizeof report.event.reason, amm_close_reason_name(event->reason));
    set_text(report.event.text, sizeof report.event.text, event->text);
    push_report(h, &report);
}

/* Handshakes that ended before they joined. */
static void report_unjoined(struct amm_handshake *h, struct amm_now now,
                            const struct amm_event *event)
{
    switch (event->reason) {
    case AMM_CLOSE_TLS:
        amm_handshake_report_refused(
            h, now, &event->path, &event->identity, amm_tls_failure_name(event->failure),
            event->text[0] ? event->text : amm_tls_failure_text(event->failure));
        return;
    case AMM_CLOSE_REFUSED:
        if (amm_authority_denied(h->authority, event->session)) {
            return; /* reported when it was decided */
        }
        /* fall through */
    case AMM_CLOSE_NO_CIPHER:
    case AMM_CLOSE_TIMEOUT:
    case AMM_CLOSE_PROTOCOL:
        amm_handshake_report_refused(h, now, &event->path, &event->identity,
                                     amm_close_reason_name(event->reason), event->text);
        return;
    case AMM_CLOSE_SILENT:
    case AMM_CLOSE_EXIT:
    case AMM_CLOSE_REPLACED:
    case AMM_CLOSE_KICKED:
    case AMM_CLOSE_REVOKED:
    case AMM_CLOSE_RESTART:
    case AMM_CLOSE_LINK:
        return;
    }
}

/* ---- events ---- */

/* What the operator can do about it, behind what the client is told. */
static const char *cure_of(enum amm_denial denial)
{
    switch (denial) {
    case AMM_DENIAL_NONE:
        break;
    case AMM_DENIAL_NOT_ON_ROSTER:
        return "add it with: ammctl gateway add";
    case AMM_DENIAL_OTHER_PORT:
        return "give it a connection file of its port, or a place here with: ammctl gateway add";
    case AMM_DENIAL_PORT_FULL:
        return "raise the port's limit, or give gateways another port";
    case AMM_DENIAL_HELD:
    case AMM_DENIAL_DRAINING:
        return "it joins by itself when the time is over";
    }
    return "";
}

static void authorise(struct amm_handshake *h, struct amm_now now, const struct amm_event *event)
{
    struct amm_command verdict;
    char text[AMM_IPC_TEXT];
    enum amm_denial denial = amm_authority_decide(h->authority, now, event, &verdict);

    if (denial) {
        snprintf(text, sizeof text, "%.100s (%.80s)", verdict.text, cure_of(denial));
        amm_handshake_report_refused(h, now, &event->path, &event->identity,
                                     amm_denial_name(denial), text);
    }
    amm_engine_command(h->engine, now, &verdict);
}

static void pass_command(struct amm_handshake *h, const struct amm_plane_command *command)
{
    uint16_t worker = (uint16_t)(amm_peer_id_slot(command->peer_id) % h->shared->n_workers);
    struct amm_ring *ring = h->face->down[worker];
    struct amm_cell_command *cell = amm_ring_reserve(ring, sizeof *cell);
    struct amm_stream *stream = NULL;

    cell->kind = AMM_CELL_COMMAND;
    cell->command = *command;
    amm_ring_commit(ring);
    if (command->op == AMM_PLANE_ADD && command->path.transport == AMM_TCP) {
        stream = amm_stream_find(&h->streams, command->path.link);
    }
    if (stream) {
        amm_handshake_move(h, stream, worker);
    }
    amm_bell_ring(&h->shared->workers[worker].bell);
}

static void end_session(struct amm_handshake *h, struct amm_now now, const struct amm_event *event)
{
    if (event->was_joined) {
        report_left(h, now, event);
    } else {
        report_unjoined(h, now, event);
    }
    amm_authority_release(h->authority, event->session);
    struct amm_stream *stream =
        event->path.transport == AMM_TCP ? amm_stream_find(&h->streams, event->path.link) : NULL;
    if (stream) {
        stream->closing = true;
        h->streams_changed = true;
    }
}

static void handle(struct amm_handshake *h, struct amm_now now, const struct amm_event *event)
{
    switch (event->kind) {
    case AMM_EVENT_AUTHORISE:
        authorise(h, now, event);
        break;
    case AMM_EVENT_PLANE:
        pass_command(h, &event->plane);
        break;
    case AMM_EVENT_JOINED:
        report_joined(h, now, event);
        amm_handshake_judge(h, now, event);
        break;
    case AMM_EVENT_CLOSED:
        end_session(h, now, event);
        break;
    case AMM_EVENT_PUSHED:
    case AMM_EVENT_RENEWED:
    case AMM_EVENT_MESSAGE:
        break;
    }
}

/* ---- packets ---- */

static void send_by_worker(struct amm_handshake *h, uint16_t worker,
                           const struct amm_control_out *out)
{
    struct amm_ring *ring = h->face->down[worker];
    size_t need = sizeof(struct amm_cell_packet) + out->len;
    struct amm_cell_packet *cell =
        amm_ring_fits(ring, need + AMM_RING_RESERVE) ? amm_ring_reserve(ring, need) : NULL;

    if (!cell) {
        amm_drop(h->drops, AMM_DROP_QUEUE_FULL);
        return;
    }
    *cell = (struct amm_cell_packet){
        .kind = AMM_CELL_SEND, .len = (uint32_t)out->len, .path = out->path};
    memcpy(cell->bytes, out->data, out->len);
    amm_ring_commit(ring);
    amm_bell_ring(&h->shared->workers[worker].bell);
}

static void send_by_stream(struct amm_handshake *h, struct amm_now now,
                           const struct amm_control_out *out)
{
    struct amm_stream *stream = amm_stream_find(&h->streams, out->path.link);

    if (!stream || stream->broken) {
        amm_drop(h->drops, AMM_DROP_SEND_FAILED);
    } else if (stream->owner != AMM_STREAM_HERE) {
        send_by_worker(h, stream->owner, out);
    } else if (amm_stream_queue(&h->streams, stream, amm_view(out->data, out->len))) {
        amm_stream_flush(&h->streams, amm_stream_take_dirty(&h->streams), h->loop,
                         handshake_tag(HANDSHAKE_TAG_TCP, out->path.link), now.mono);
        h->streams_changed |= stream->broken;
    } else {
        amm_drop(h->drops, AMM_DROP_TCP_SLOW);
        stream->broken = h->streams_changed = true;
    }
}

static void send_out(struct amm_handshake *h, struct amm_now now, const struct amm_control_out *out)
{
    if (out->path.transport == AMM_TCP) {
        send_by_stream(h, now, out);
        return;
    }
    uint32_t link = out->path.link;
    if (link >= h->shared->handoff->n_listeners || h->sockets[link] < 0 ||
        amm_udp_send(h->sockets[link], &out->path.remote, &out->path.local,
                     amm_view(out->data, out->len), 0) != AMM_UDP_OK) {
        amm_drop(h->drops, AMM_DROP_SEND_FAILED);
    }
}

static bool workers_have_room(struct amm_handshake *h)
{
    for (uint16_t i = 0; i < h->shared->n_workers; i++) {
        if (!amm_ring_fits(h->face->down[i], HANDSHAKE_MOVE_ROOM)) {
            return false;
        }
    }
    return true;
}

void amm_handshake_settle(struct amm_handshake *h, struct amm_now now)
{
    for (;;) {
        if (!workers_have_room(h)) {
            h->congested = true;
            return;
        }
        if (amm_engine_next_event(h->engine, &h->event)) {
            handle(h, now, &h->event);
        } else if (amm_engine_output(h->engine, now, &h->out)) {
            send_out(h, now, &h->out); /* the last packet of a session makes an event again */
        } else {
            return;
        }
    }
}
