/* Packets are composed when they are asked for, from the state of session and negotiation, into the
 * caller's buffer: nothing that is queued can outlive what it came from. */
#include "engine_state.h"

enum {
    DATAGRAM = 1206, /* what stock peers send at most; fits every path that carries 1280 */
};

struct amm_wrap_context *amm_session_wrap(struct amm_session *session, uint8_t key_id)
{
    return key_id > 0 && amm_session_has(session, SESSION_DYNAMIC) ? &session->dynamic
                                                                   : &session->wrap;
}

size_t amm_engine_chunk(const struct amm_session *session, uint8_t key_id)
{
    bool is_dynamic = key_id > 0 && amm_session_has(session, SESSION_DYNAMIC);
    size_t overhead = AMM_CONTROL_HEADER + 1 + 4 * AMM_ACKS_IN_CONTROL + 8 + 4 +
                      amm_wrap_overhead(is_dynamic ? &session->dynamic : &session->wrap);
    return DATAGRAM - overhead < AMM_MESSAGE_MAX ? DATAGRAM - overhead : AMM_MESSAGE_MAX;
}

struct loose_packet *amm_engine_loose(struct amm_engine *engine, const struct amm_path *path)
{
    if (engine->n_loose == LOOSE_PACKETS) {
        amm_drop(engine->drops, AMM_DROP_QUEUE_FULL);
        return NULL;
    }
    struct loose_packet *loose =
        &engine->loose[(engine->loose_head + engine->n_loose) % LOOSE_PACKETS];
    engine->n_loose++;
    loose->path = *path;
    loose->len = 0;
    return loose;
}

void amm_engine_make_ready(struct amm_engine *engine, struct amm_session *session)
{
    uint32_t index = session_index(engine, session);
    struct runtime *runtime = &engine->runtime[index];
    if (runtime->is_ready) {
        return;
    }
    runtime->is_ready = true;
    runtime->next_ready = AMM_CHAIN_END;
    if (engine->ready_first == AMM_CHAIN_END) {
        engine->ready_first = index;
    } else {
        engine->runtime[engine->ready_last].next_ready = index;
    }
    engine->ready_last = index;
}

void amm_engine_acknowledge_late(struct amm_engine *engine, struct amm_now now,
                                 struct amm_session *session)
{
    struct loose_packet *loose = amm_engine_loose(engine, &session->path);
    if (loose == NULL) {
        return; /* the peer repeats itself, and so shall we */
    }
    struct amm_control ack = {
        .own_sid = session->own_sid,
        .peer_sid = session->peer_sid,
        .opcode = AMM_OP_ACK_V1,
        .key_id = session->key_id,
    };
    ack.n_acks = amm_acks_take(&session->finished, ack.acks, AMM_ACKS_MAX);
    loose->len = (uint16_t)amm_wrap_seal(amm_session_wrap(session, session->key_id),
                                         amm_wrap_time(&engine->clock, now), &ack,
                                         (struct amm_span){loose->data, sizeof loose->data});
}

static bool compose(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                    struct negotiation *n, struct amm_control_out *out)
{
    struct amm_message message;
    struct amm_control control = {
        .own_sid = session->own_sid,
        .peer_sid = session->peer_sid,
        .key_id = n->key_id,
    };
    if (amm_reliable_next_to_send(&n->reliable, now.mono, &message)) {
        control.opcode = message.opcode;
        control.message_id = message.id;
        control.payload = message.payload;
        control.n_acks = amm_acks_take(&n->reliable.numbers, control.acks, AMM_ACKS_IN_CONTROL);
        if (amm_opcode_has_wkc(control.opcode)) {
            const struct amm_wrap_config *wrap = wrap_config_of(engine, session);
            control.wkc = amm_view(wrap->wkc, wrap->wkc_len);
        }
    } else if (amm_acks_waiting(&n->reliable.numbers)) {
        control.opcode = AMM_OP_ACK_V1;
        control.n_acks = amm_acks_take(&n->reliable.numbers, control.acks, AMM_ACKS_MAX);
    } else {
        return false;
    }
    out->path = session->path;
    out->len =
        amm_wrap_seal(amm_session_wrap(session, n->key_id), amm_wrap_time(&engine->clock, now),
                      &control, (struct amm_span){out->data, sizeof out->data});
    return out->len > 0;
}

static bool take_loose(struct amm_engine *engine, struct amm_control_out *out)
{
    while (engine->n_loose > 0) {
        const struct loose_packet *loose = &engine->loose[engine->loose_head];
        engine->loose_head = (engine->loose_head + 1) % LOOSE_PACKETS;
        engine->n_loose--;
        if (loose->len > 0) {
            out->path = loose->path;
            out->len = loose->len;
            memcpy(out->data, loose->data, loose->len);
            return true;
        }
    }
    return false;
}

static struct amm_session *next_ready(struct amm_engine *engine)
{
    uint32_t index = engine->ready_first;
    struct runtime *runtime = &engine->runtime[index];
    engine->ready_first = runtime->next_ready;
    runtime->is_ready = false;
    return &engine->sessions[index];
}

bool amm_engine_output(struct amm_engine *engine, struct amm_now now, struct amm_control_out *out)
{
    if (take_loose(engine, out)) {
        return true;
    }
    while (engine->ready_first != AMM_CHAIN_END) {
        struct amm_session *session = next_ready(engine);
        struct negotiation *n = negotiation_of(engine, session);
        if (session->state == SESSION_FREE || n == NULL) {
            continue;
        }
        bool has_packet = compose(engine, now, session, n, out);
        amm_engine_settle(engine, now, session);
        if (has_packet) {
            return true;
        }
    }
    return false;
}
