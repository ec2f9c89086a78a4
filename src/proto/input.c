/* Finding the session that a control packet belongs to. */
#include "engine_state.h"

/* ---- input ---- */

static void take_in_negotiation(struct amm_engine *engine, struct amm_now now,
                                struct amm_session *session, struct negotiation *n,
                                const struct amm_control *control)
{
    bool progress = false;
    for (unsigned i = 0; i < control->n_acks; i++) {
        progress |= amm_reliable_ack(&n->reliable, now.mono, control->acks[i]);
    }
    if (control->opcode != AMM_OP_ACK_V1) {
        switch (amm_reliable_receive(&n->reliable, control->message_id, control->opcode,
                                     control->payload)) {
        case AMM_RECEIPT_STORED:
            progress = true;
            break;
        case AMM_RECEIPT_REFUSED:
            amm_drop(engine->drops, AMM_DROP_MESSAGE_WINDOW);
            break;
        case AMM_RECEIPT_DUPLICATE:
            break;
        }
    }
    if (progress) {
        amm_engine_made_progress(engine, now, n);
    }
    amm_engine_run(engine, now, session);
}

static void take_late(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                      const struct amm_control *control)
{
    if (control->opcode == AMM_OP_ACK_V1) {
        return;
    }
    if (!amm_numbers_discard(&session->finished, control->message_id)) {
        amm_drop(engine->drops, AMM_DROP_MESSAGE_WINDOW);
        return;
    }
    amm_drop(engine->drops, AMM_DROP_MESSAGE_NO_TLS);
    amm_engine_acknowledge_late(engine, now, session);
}

void amm_engine_take_control(struct amm_engine *engine, struct amm_now now,
                             struct amm_session *session, const struct amm_control *control)
{
    struct negotiation *n = negotiation_of(engine, session);
    if (n != NULL && n->key_id == control->key_id) {
        take_in_negotiation(engine, now, session, n, control);
    } else if (control->key_id == session->key_id && amm_session_has(session, SESSION_FINISHED)) {
        take_late(engine, now, session, control);
    } else if (control->opcode == AMM_OP_CONTROL_SOFT_RESET_V1) {
        amm_engine_soft_reset(engine, now, session, control);
    } else {
        amm_drop(engine->drops, AMM_DROP_CONTROL_KEY_ID);
    }
}

/* What became of offering a packet to a session. */
enum offer { OFFER_TAKEN, OFFER_NOT_MINE, OFFER_REFUSED };

static bool is_on_path(const struct amm_session *session, const struct amm_path *path)
{
    if (session->path.transport == AMM_TCP || path->transport == AMM_TCP) {
        return session->path.transport == path->transport && session->path.link == path->link;
    }
    return amm_path_equal(&session->path, path);
}

static enum offer offer(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                        const struct amm_path *path, struct amm_view packet, unsigned opcode,
                        enum amm_drop *why)
{
    struct amm_view front = packet, wkc;
    struct amm_unwrapped opened;
    struct amm_wrap_context *wrap = amm_session_wrap(session, amm_byte0_key_id(packet.data[0]));
    if (amm_opcode_has_wkc(opcode) && !amm_wkc_split(packet, &front, &wkc, why)) {
        return OFFER_REFUSED;
    }
    if (!amm_wrap_open(wrap, front, (struct amm_span){engine->scratch, sizeof engine->scratch},
                       &opened, why)) {
        return OFFER_REFUSED;
    }
    const struct amm_control *control = &opened.control;
    if (control->n_acks > 0 && control->peer_sid != session->own_sid) {
        *why = AMM_DROP_CONTROL_SID;
        return OFFER_NOT_MINE;
    }
    if (!is_on_path(session, path) && wrap->mode == AMM_WRAP_NONE && control->n_acks == 0) {
        *why = AMM_DROP_SESSION_UNKNOWN; /* from elsewhere, and nothing in it that only the client
                                            can know */
        return OFFER_NOT_MINE;
    }
    amm_engine_take_control(engine, now, session, control);
    return OFFER_TAKEN;
}

/* Sessions of this client session id: first the one on this path, then those that may have been
 * moved. */
static enum offer offer_to_all(struct amm_engine *engine, struct amm_now now,
                               const struct amm_path *path, struct amm_view packet,
                               const struct amm_control *peek, enum amm_drop *why)
{
    enum offer result = OFFER_NOT_MINE;
    *why = AMM_DROP_COUNT;
    for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
        uint32_t next;
        for (uint32_t i = amm_chains_first(&engine->by_sid, peek->own_sid); i != AMM_CHAIN_END;
             i = next) {
            struct amm_session *session = &engine->sessions[i];
            next = amm_chains_next(&engine->by_sid, i);
            bool is_elsewhere = !is_on_path(session, path);
            bool may_move = path->transport == AMM_UDP && session->path.transport == AMM_UDP &&
                            session->path.port_index == path->port_index &&
                            session->state == SESSION_ESTABLISHED;
            if (is_elsewhere != (elsewhere == 1) || (is_elsewhere && !may_move)) {
                continue;
            }
            enum offer one = offer(engine, now, session, path, packet, peek->opcode, why);
            if (one == OFFER_TAKEN) {
                return OFFER_TAKEN;
            }
            result = one == OFFER_REFUSED ? OFFER_REFUSED : result;
        }
    }
    return result;
}

static bool input_to_server(struct amm_engine *engine, struct amm_now now,
                            const struct amm_path *path, struct amm_view packet,
                            const struct amm_control *peek)
{
    bool is_reset = peek->opcode == AMM_OP_CONTROL_HARD_RESET_CLIENT_V2 ||
                    peek->opcode == AMM_OP_CONTROL_HARD_RESET_CLIENT_V3;
    if (path->port_index >= engine->config.n_wraps) {
        amm_drop(engine->drops, AMM_DROP_WRAP_MISSING);
        return false;
    }
    if (peek->opcode == AMM_OP_CONTROL_HARD_RESET_SERVER_V2) {
        amm_drop(engine->drops, AMM_DROP_CONTROL_OPCODE);
        return false;
    }
    if (path->transport == AMM_UDP && is_reset) {
        if (amm_chains_first(&engine->by_sid, peek->own_sid) != AMM_CHAIN_END) {
            /* Late or replayed: its session is there. An answer, with the wrap's time of now, would
             * make the client take everything that the session sends for a replay. */
            amm_drop(engine->drops, AMM_DROP_WRAP_REPLAY);
            return false;
        }
        return amm_engine_admit(engine, now, path, packet, peek);
    }
    enum amm_drop why;
    switch (offer_to_all(engine, now, path, packet, peek, &why)) {
    case OFFER_TAKEN:
        return true;
    case OFFER_REFUSED:
        amm_drop(engine->drops, why);
        return false;
    case OFFER_NOT_MINE:
        break;
    }
    if (path->transport == AMM_TCP &&
        amm_chains_first(&engine->by_link, path->link) != AMM_CHAIN_END) {
        amm_drop(engine->drops, AMM_DROP_SESSION_UNKNOWN); /* one session for one connection */
        return false;
    }
    return amm_engine_admit(engine, now, path, packet, peek);
}

static bool input_to_client(struct amm_engine *engine, struct amm_now now,
                            const struct amm_path *path, struct amm_view packet,
                            const struct amm_control *peek)
{
    struct amm_session *session = &engine->sessions[0];
    struct amm_unwrapped opened;
    enum amm_drop why = AMM_DROP_SESSION_UNKNOWN;
    if (session->state == SESSION_FREE ||
        !amm_address_equal(&session->path.remote, &path->remote)) {
        amm_drop(engine->drops, AMM_DROP_SESSION_UNKNOWN);
        return false;
    }
    bool is_reset = peek->opcode == AMM_OP_CONTROL_HARD_RESET_SERVER_V2;
    if (amm_opcode_has_wkc(peek->opcode) || peek->opcode == AMM_OP_CONTROL_HARD_RESET_CLIENT_V2) {
        amm_drop(engine->drops, AMM_DROP_CONTROL_OPCODE);
        return false;
    }
    if (!amm_wrap_open(amm_session_wrap(session, peek->key_id), packet,
                       (struct amm_span){engine->scratch, sizeof engine->scratch}, &opened, &why)) {
        amm_drop(engine->drops, why);
        return false;
    }
    const struct amm_control *control = &opened.control;
    struct negotiation *n = negotiation_of(engine, session);
    if (is_reset && session->peer_sid == 0) {
        if (n == NULL || !amm_client_take_reset(engine, session, n, control)) {
            return false;
        }
    }
    bool is_ours = control->n_acks == 0 || control->peer_sid == session->own_sid;
    if (control->own_sid != session->peer_sid || session->peer_sid == 0 || !is_ours) {
        amm_drop(engine->drops, AMM_DROP_CONTROL_SID);
        return false;
    }
    amm_engine_take_control(engine, now, session, control);
    return true;
}

bool amm_engine_input(struct amm_engine *engine, struct amm_now now, const struct amm_path *path,
                      struct amm_view packet)
{
    struct amm_control peek;
    enum amm_drop why;
    if (packet.len > AMM_CONTROL_MAX) {
        amm_drop(engine->drops, AMM_DROP_CONTROL_OVERSIZE);
        return false;
    }
    if (engine->events.n > EVENTS_PENDING_MAX) {
        amm_drop(engine->drops, AMM_DROP_QUEUE_FULL);
        return true;
    }
    if (!amm_control_peek(&peek, packet, &why)) {
        amm_drop(engine->drops, why);
        return false;
    }
    return is_server(engine) ? input_to_server(engine, now, path, packet, &peek)
                             : input_to_client(engine, now, path, packet, &peek);
}
