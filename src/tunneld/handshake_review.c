#include "handshake_parts.h"

#include <stdio.h>

enum { REVIEW_STEP = 64 };

/* ---- which sessions must end ---- */

struct session {
    struct amm_session_ref ref;
    struct amm_identity identity;
    uint32_t peer_id;
    uint8_t port_index;
};

/* True if the session's peer record is live, is its own, and has a connection in this process. */
static bool has_peer(const struct amm_handshake *h, const struct session *session)
{
    const struct amm_places *places = &h->shared->places[session->port_index];
    const struct amm_peer *record =
        amm_peer_table_at(places->peers, places->n_slots, session->peer_id);
    struct amm_peer peer;

    return record && amm_peer_read(record, &peer) && peer.session.index == session->ref.index &&
           peer.session.tag == session->ref.tag && peer.session.thread == session->ref.thread &&
           peer.path.transport == AMM_UDP;
}

/* Fills reason and words of `close`; false if the session may stay. Words make the engine say them
 * through a new TLS session, except when the gateway is not wanted; those that should come back at
 * once are told by the exit message alone. */
static bool must_end(const struct amm_handshake *h, const struct session *session,
                     struct amm_command *close)
{
    const struct handshake_review *review = &h->review;
    const char *text = NULL;

    bool is_asked_for = review->ports & 1U << session->port_index &&
                        (!review->name[0] || !strcmp(review->name, session->identity.name));

    if (h->leaving || (is_asked_for && !review->name[0])) {
        close->reason = AMM_CLOSE_RESTART;
        text = "";
    } else if (is_asked_for) {
        close->reason = AMM_CLOSE_KICKED;
        text = "disconnected by the operator";
    } else if (amm_tls_context_revokes(h->tls, &session->identity)) {
        close->reason = AMM_CLOSE_REVOKED;
        text = "the certificate has been revoked";
    } else if (!amm_authority_allows(h->authority, session->identity.name, session->port_index,
                                     session->peer_id)) {
        close->reason = AMM_CLOSE_KICKED;
        text = amm_authority_knows(h->authority, session->identity.name)
                   ? "this gateway has another port or slot now"
                   : "this gateway is no longer registered here";
    } else if (review->orphans && !has_peer(h, session)) {
        close->reason = AMM_CLOSE_LINK;
        text = "";
    }
    snprintf(close->text, sizeof close->text, "%s", text ? text : "");
    return text != NULL;
}

static bool next_session(struct amm_handshake *h, uint32_t *cursor, struct session *out)
{
    return amm_engine_each(h->engine, cursor, &out->ref, &out->identity, &out->peer_id,
                           &out->port_index);
}

/* ---- the walk ---- */

/* Somebody waits for it: without room for it now, it is tried again. */
static bool push_answer(struct amm_handshake *h, uint32_t token, uint32_t sessions)
{
    struct amm_cell_answer *cell = amm_ring_reserve(h->face->reports, sizeof *cell);
    if (!cell) {
        h->congested = true;
        return false;
    }
    *cell = (struct amm_cell_answer){AMM_CELL_ANSWER, token, sessions};
    amm_ring_commit(h->face->reports);
    amm_bell_ring(&h->shared->control_bell);
    return true;
}

static void end_review(struct amm_handshake *h)
{
    if (!h->review.token || push_answer(h, h->review.token, h->review.closed)) {
        h->review = (struct handshake_review){0};
    }
}

void amm_handshake_review(struct amm_handshake *h, struct amm_now now)
{
    struct session session;

    for (unsigned i = 0; h->review.active && i < REVIEW_STEP && !h->congested; i++) {
        struct amm_command close = {.kind = AMM_COMMAND_CLOSE};
        if (!next_session(h, &h->review.cursor, &session)) {
            end_review(h);
        } else if (must_end(h, &session, &close)) {
            close.session = session.ref;
            h->review.closed++;
            amm_engine_command(h->engine, now, &close);
            amm_handshake_settle(h, now);
        }
    }
    if (h->leaving && h->goodbye_token && !h->review.active && !amm_engine_sessions(h->engine) &&
        push_answer(h, h->goodbye_token, 0)) {
        h->goodbye_token = 0;
    }
}

void amm_handshake_judge(struct amm_handshake *h, struct amm_now now,
                         const struct amm_event *joined)
{
    struct session session = {.ref = joined->session,
                              .identity = joined->identity,
                              .peer_id = joined->push.peer_id,
                              .port_index = joined->path.port_index};
    struct amm_command close = {.kind = AMM_COMMAND_CLOSE, .session = joined->session};

    if (must_end(h, &session, &close)) {
        amm_engine_command(h->engine, now, &close);
    }
}

/* ---- orders ---- */

static void take_crl(struct amm_handshake *h, struct amm_now now, struct amm_crl_text *crl)
{
    char error[256];
    /* The control thread has tried this list; a failure here is a lack of memory, and the old list
     * stays. */
    if (!amm_tls_context_set_crl(h->tls, crl->text, now.wall, error, sizeof error)) {
        amm_drop(h->drops, AMM_DROP_TLS_FAILED);
    }
    amm_crl_text_unref(crl);
}

static void take_order(struct amm_handshake *h, struct amm_now now,
                       const struct amm_cell_order *order)
{
    h->review = (struct handshake_review){.active = true, .token = order->token};
    switch ((enum amm_cell_kind)order->kind) {
    case AMM_CELL_ROSTER:
        amm_authority_set_roster(h->authority, order->roster);
        break;
    case AMM_CELL_CRL:
        take_crl(h, now, order->crl);
        break;
    case AMM_CELL_KICK:
        snprintf(h->review.name, sizeof h->review.name, "%s", order->name);
        h->review.ports = order->ports;
        if (order->until) {
            amm_authority_hold(h->authority, order->name, order->until, now.mono);
        }
        break;
    case AMM_CELL_DRAIN:
        h->review.ports = order->ports;
        for (uint8_t i = 0; i < h->shared->n_ports; i++) {
            if (order->ports & 1U << i) {
                amm_authority_drain(h->authority, i, order->until);
            }
        }
        break;
    case AMM_CELL_GOODBYE:
        h->leaving = true;
        h->goodbye_token = order->token;
        h->review.token = 0;
        break;
    case AMM_CELL_COMMAND:
    case AMM_CELL_SEND:
    case AMM_CELL_CONNECTION:
    case AMM_CELL_CLOSE:
    case AMM_CELL_NOTE:
    case AMM_CELL_CONTROL:
    case AMM_CELL_LOST:
    case AMM_CELL_INNER:
    case AMM_CELL_EVENT:
    case AMM_CELL_ANSWER:
        break;
    }
}

void amm_handshake_take_orders(struct amm_handshake *h, struct amm_now now)
{
    const void *order;
    size_t len;

    /* One at a time: the next one waits until the walk for the last one is done. */
    while (!h->review.active && (order = amm_ring_peek(h->face->orders, &len))) {
        take_order(h, now, order);
        amm_ring_release(h->face->orders);
    }
}

/* ---- after a former process ---- */

static void remove_peer(struct amm_handshake *h, uint8_t port_index, const struct amm_peer *peer)
{
    uint16_t worker = (uint16_t)(amm_peer_id_slot(peer->peer_id) % h->shared->n_workers);
    struct amm_ring *ring = h->face->down[worker];
    struct amm_cell_command *cell = amm_ring_fits(ring, sizeof *cell + AMM_RING_RESERVE)
                                        ? amm_ring_reserve(ring, sizeof *cell)
                                        : NULL;
    if (cell) { /* without room it lives until its ping-restart */
        *cell = (struct amm_cell_command){
            .kind = AMM_CELL_COMMAND,
            .command = {.op = AMM_PLANE_REMOVE,
                        .port_index = port_index,
                        .peer_id = peer->peer_id,
                        .session = peer->session},
        };
        amm_ring_commit(ring);
    }
}

/* Peers of this thread's sessions that no session speaks for. */
static void remove_orphans(struct amm_handshake *h, uint8_t port_index)
{
    const struct amm_places *places = &h->shared->places[port_index];
    struct amm_peer peer;

    for (uint32_t slot = 1; slot <= places->n_slots; slot++) {
        for (uint32_t lane = 0; lane < 2; lane++) {
            const struct amm_peer *record =
                amm_peer_table_at(places->peers, places->n_slots, amm_peer_id(lane, slot));
            if (record->state == AMM_PEER_LIVE && amm_peer_read(record, &peer) &&
                peer.session.thread % h->shared->n_handshake == h->index &&
                amm_authority_place(h->authority, peer.session) != peer.peer_id) {
                remove_peer(h, port_index, &peer);
            }
        }
    }
}

void amm_handshake_reconcile(struct amm_handshake *h)
{
    struct session session;
    uint32_t cursor = 0;

    while (next_session(h, &cursor, &session)) {
        if (session.port_index < h->shared->n_ports) {
            amm_authority_adopt(h->authority, session.ref, session.port_index, session.peer_id);
        }
    }
    for (uint8_t i = 0; i < h->shared->n_ports; i++) {
        remove_orphans(h, i);
    }
    h->review = (struct handshake_review){.active = true, .orphans = true};
}
