/* Strangers at a server's door. UDP: nothing is stored for a sender until it has shown, by a
 * cookie, that it receives what we send to its address (doc/protocol/cookie.md). TCP has shown that
 * already.
 *
 * Order of checks: length, opcode, key id and session id (done by the caller), tls-crypt-v2 key,
 * packet authentication, rate limit, cookie. Authentication comes before the rate limit because a
 * token is taken from the sender's prefix: whoever forges the address but has no key must not be
 * able to empty it. */
#include "engine_state.h"

#include <stdlib.h>

enum { PREFIX_SHARE_MIN = 16 };

/* A stranger's packet, opened without a session. */
struct stranger {
    const struct amm_path *path;
    struct amm_wrap_context wrap; /* holds keys: wipe */
    uint8_t kc[AMM_STATIC_KEY];   /* of a tls-crypt-v2 client: wipe */
    bool is_v2;
    struct amm_wkc_info wkc_info;
    uint64_t wkc_name;     /* 0 without tls-crypt-v2 */
    struct amm_view front; /* the packet without WKc */
    struct amm_unwrapped opened;
};

bool amm_engine_init_admission(struct amm_engine *engine)
{
    const struct amm_engine_config *config = &engine->config;
    engine->port_wraps = calloc(config->n_wraps, sizeof *engine->port_wraps);
    engine->limiter = malloc(sizeof *engine->limiter);
    engine->parked = calloc(PARKED_PACKETS, sizeof *engine->parked);
    if (engine->port_wraps == NULL || engine->limiter == NULL || engine->parked == NULL) {
        return false;
    }
    for (unsigned i = 0; i < config->n_wraps; i++) {
        amm_wrap_init(&engine->port_wraps[i], &config->wraps[i], AMM_SERVER);
    }
    struct amm_limiter_config limits = {
        .per_bucket = config->resets_per_prefix,
        .total = config->resets_total,
    };
    struct amm_siphash_key key;
    amm_random_fill(&engine->env.random, &key, sizeof key);
    amm_limiter_init(engine->limiter, &limits, key);
    amm_random_fill(&engine->env.random, &engine->cookie.key, sizeof engine->cookie.key);
    engine->cookie.slot = config->hand_window / 2;
    return true;
}

/* Finds the key for the packet and opens it. False with *why. */
static bool open_stranger(struct amm_engine *engine, struct amm_view packet, unsigned opcode,
                          struct stranger *s, enum amm_drop *why)
{
    const struct amm_wrap_config *config = &engine->config.wraps[s->path->port_index];
    s->front = packet;
    s->is_v2 = amm_opcode_has_wkc(opcode);
    if (s->is_v2) {
        struct amm_view wkc;
        if (!config->has_v2) {
            *why = AMM_DROP_WRAP_MISSING;
            return false;
        }
        if (!amm_wkc_split(packet, &s->front, &wkc, why) ||
            !amm_wkc_open(config->v2_server_key, wkc, s->kc, &s->wkc_info, why)) {
            return false;
        }
        s->wkc_name = amm_cookie_wkc(&engine->cookie, wkc);
        amm_wrap_init_crypt(&s->wrap, s->kc, AMM_SERVER);
    } else {
        s->wrap = engine->port_wraps[s->path->port_index];
        if (s->wrap.mode != AMM_WRAP_NONE) {
            memcpy(s->kc, config->static_key, sizeof s->kc);
        }
    }
    return amm_wrap_open_stateless(&s->wrap, s->front,
                                   (struct amm_span){engine->scratch, sizeof engine->scratch},
                                   &s->opened, why);
}

static void wipe_stranger(struct stranger *s)
{
    amm_wipe(s, sizeof *s);
}

static struct amm_cookie_claim claim_of(const struct stranger *s)
{
    return (struct amm_cookie_claim){
        .path = s->path,
        .client_sid = s->opened.control.own_sid,
        .wkc = s->wkc_name,
    };
}

static uint64_t bucket_of(const struct stranger *s)
{
    return s->is_v2 ? s->wkc_name : amm_address_prefix(&s->path->remote);
}

/* The stateless answer: our session id is the cookie. */
static void answer_reset(struct amm_engine *engine, struct amm_now now, const struct stranger *s)
{
    if (!amm_limiter_take(engine->limiter, now.mono, bucket_of(s),
                          amm_address_prefix(&s->path->remote))) {
        amm_drop(engine->drops, AMM_DROP_RESET_LIMIT);
        return;
    }
    struct loose_packet *loose = amm_engine_loose(engine, s->path);
    if (loose == NULL) {
        return;
    }
    struct amm_cookie_claim claim = claim_of(s);
    uint8_t tlv[8];
    struct amm_writer early = amm_writer(tlv, sizeof tlv);
    if (s->is_v2) {
        amm_early_encode(&early, AMM_EARLY_RESEND_WKC);
    }
    struct amm_control answer = {
        .own_sid = amm_cookie_make(&engine->cookie, &claim, now.mono),
        .peer_sid = s->opened.control.own_sid,
        .n_acks = 1,
        .opcode = AMM_OP_CONTROL_HARD_RESET_SERVER_V2,
        .payload = amm_view(tlv, amm_writer_len(&early)),
    };
    loose->len =
        (uint16_t)amm_wrap_seal_stateless(&s->wrap, amm_wrap_time(&engine->clock, now), &answer,
                                          (struct amm_span){loose->data, sizeof loose->data});
}

static bool drop(struct amm_engine *engine, enum amm_drop why)
{
    amm_drop(engine->drops, why);
    return false;
}

/* ---- new sessions ---- */

static bool has_room_for_sid(const struct amm_engine *engine, uint64_t client_sid)
{
    unsigned n = 0;
    for (uint32_t i = amm_chains_first(&engine->by_sid, client_sid); i != AMM_CHAIN_END;
         i = amm_chains_next(&engine->by_sid, i)) {
        n++;
    }
    return n < SAME_SID_MAX;
}

/* May this sender begin one more handshake? A prefix that nobody has ever joined from gets a
 * quarter of the places, so that one host cannot take them all; its own oldest one makes room, if
 * that has been waiting for a while. Prefixes that are known, and holders of a tls-crypt-v2 key,
 * are not counted: behind one address of a carrier stand thousands of gateways. */
static bool make_room_for_prefix(struct amm_engine *engine, struct amm_now now,
                                 const struct stranger *s)
{
    uint64_t prefix = amm_address_prefix(&s->path->remote);
    uint32_t share = engine->config.n_negotiations / 4;
    uint32_t n = 0;
    struct negotiation *oldest = NULL;
    if (share < PREFIX_SHARE_MIN) {
        share = PREFIX_SHARE_MIN;
    }
    if (s->is_v2 || engine->n_negotiations < share || amm_limiter_knows(engine->limiter, prefix)) {
        return true;
    }
    for (struct negotiation *at = engine->oldest; at != NULL; at = at->newer) {
        const struct amm_session *session = &engine->sessions[at->session];
        if (session->state == SESSION_HANDSHAKE &&
            amm_address_prefix(&session->path.remote) == prefix) {
            oldest = oldest == NULL ? at : oldest;
            n++;
        }
    }
    return n < share || amm_engine_evict(engine, now, oldest);
}

static struct amm_session *create(struct amm_engine *engine, struct amm_now now,
                                  const struct stranger *s, uint64_t own_sid, uint32_t next_message)
{
    uint64_t client_sid = s->opened.control.own_sid;
    struct amm_session *session = NULL;
    if (!make_room_for_prefix(engine, now, s)) {
        amm_drop(engine->drops, AMM_DROP_HANDSHAKE_LIMIT);
        return NULL;
    }
    if (has_room_for_sid(engine, client_sid)) {
        session = amm_engine_take_session(engine, s->path, own_sid, client_sid);
    }
    if (session == NULL) {
        amm_drop(engine->drops, AMM_DROP_SESSION_LIMIT);
        return NULL;
    }
    session->wrap = s->wrap;
    struct negotiation *n = amm_engine_negotiate(engine, now, session, 0, next_message);
    if (n == NULL) {
        amm_engine_forget_session(engine, session);
        return NULL;
    }
    n->limit_bucket = bucket_of(s);
    if (s->wrap.mode != AMM_WRAP_NONE) {
        memcpy(n->raw_key, s->kc, sizeof n->raw_key);
        n->has_raw_key = true;
    }
    return session;
}

/* Opens the first packet again, now against the replay window of its session, and takes it. */
static bool take_first(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                       struct amm_view front)
{
    struct amm_unwrapped opened;
    enum amm_drop why;
    if (!amm_wrap_open(&session->wrap, front,
                       (struct amm_span){engine->scratch, sizeof engine->scratch}, &opened, &why)) {
        return drop(engine, why);
    }
    amm_engine_take_control(engine, now, session, &opened.control);
    return true;
}

/* ---- packets that overtook the first one ---- */

static void park(struct amm_engine *engine, struct amm_now now, const struct amm_path *path,
                 struct amm_view packet, uint64_t client_sid)
{
    struct parked_packet *parked = &engine->parked[engine->next_parked];
    engine->next_parked = (engine->next_parked + 1) % PARKED_PACKETS;
    parked->since = now.mono;
    parked->client_sid = client_sid;
    parked->path = *path;
    parked->len = (uint16_t)packet.len;
    memmove(parked->data, packet.data, packet.len);
}

static void unpark(struct amm_engine *engine, struct amm_now now, const struct amm_path *path,
                   uint64_t client_sid)
{
    for (unsigned i = 0; i < PARKED_PACKETS; i++) {
        struct parked_packet *parked = &engine->parked[i];
        if (parked->len == 0 || parked->client_sid != client_sid ||
            !amm_path_equal(&parked->path, path)) {
            continue;
        }
        size_t len = parked->len;
        parked->len = 0;
        if (now.mono - parked->since <= PARKED_LIFE) {
            amm_engine_input(engine, now, path, amm_view(parked->data, len));
        }
    }
}

/* ---- the three ways in ---- */

static bool take_reset(struct amm_engine *engine, struct amm_now now, const struct stranger *s)
{
    const struct amm_control *control = &s->opened.control;
    if (control->key_id != 0) {
        return drop(engine, AMM_DROP_CONTROL_KEY_ID);
    }
    if (control->message_id != 0) {
        return drop(engine, AMM_DROP_CONTROL_MALFORMED);
    }
    if (s->path->transport == AMM_TCP) {
        uint64_t own_sid;
        do {
            own_sid = amm_random_u64(&engine->env.random);
        } while (own_sid == 0);
        struct amm_session *session = create(engine, now, s, own_sid, 0);
        if (session == NULL) {
            return false;
        }
        struct negotiation *n = negotiation_of(engine, session);
        amm_reliable_send(&n->reliable, now.mono, AMM_OP_CONTROL_HARD_RESET_SERVER_V2,
                          amm_view(NULL, 0));
        return take_first(engine, now, session, s->front);
    }
    if (s->is_v2 && !amm_wrap_is_v2_signal(s->opened.replay_id)) {
        return drop(engine, AMM_DROP_WKC_NO_COOKIE);
    }
    answer_reset(engine, now, s);
    return true;
}

static bool is_first_message(const struct amm_control *control)
{
    for (unsigned i = 0; i < control->n_acks; i++) {
        if (control->acks[i] > 1) {
            return false;
        }
    }
    return control->message_id <= 1;
}

static bool take_cookie(struct amm_engine *engine, struct amm_now now, const struct stranger *s,
                        struct amm_view packet)
{
    const struct amm_control *control = &s->opened.control;
    struct amm_cookie_claim claim = claim_of(s);
    if (control->n_acks == 0) {
        /* Clients before 2.6 acknowledge our reset in a packet of its own and never repeat it: if
         * it was lost, they answer a repeated reset with another. */
        if (control->opcode == AMM_OP_CONTROL_V1 && control->message_id == 1) {
            answer_reset(engine, now, s);
        }
        return drop(engine, AMM_DROP_COOKIE_MISSING);
    }
    if (!amm_cookie_check(&engine->cookie, &claim, now.mono, control->peer_sid)) {
        return drop(engine, AMM_DROP_COOKIE_BAD);
    }
    if (!is_first_message(control)) {
        if (control->opcode == AMM_OP_CONTROL_V1 && control->message_id < AMM_RECEIVE_WINDOW) {
            park(engine, now, s->path, packet, control->own_sid);
        }
        return drop(engine, AMM_DROP_SESSION_UNKNOWN);
    }
    if (s->is_v2 &&
        !amm_wkc_is_fresh(&engine->config.wraps[s->path->port_index], &s->wkc_info, now.wall)) {
        return drop(engine, AMM_DROP_WKC_EXPIRED);
    }
    struct amm_session *session = create(engine, now, s, control->peer_sid, 1);
    if (session == NULL) {
        return false;
    }
    session->wrap.tx_id = 1; /* the stateless reset */
    uint64_t client_sid = control->own_sid;
    bool ok = take_first(engine, now, session, s->front);
    unpark(engine, now, s->path, client_sid);
    return ok;
}

bool amm_engine_admit(struct amm_engine *engine, struct amm_now now, const struct amm_path *path,
                      struct amm_view packet, const struct amm_control *peek)
{
    bool is_reset = peek->opcode == AMM_OP_CONTROL_HARD_RESET_CLIENT_V2 ||
                    peek->opcode == AMM_OP_CONTROL_HARD_RESET_CLIENT_V3;
    bool is_first = peek->opcode == AMM_OP_CONTROL_V1 || peek->opcode == AMM_OP_ACK_V1 ||
                    peek->opcode == AMM_OP_CONTROL_WKC_V1;
    if (!is_reset && (!is_first || peek->key_id != 0 || path->transport == AMM_TCP)) {
        return drop(engine, AMM_DROP_SESSION_UNKNOWN);
    }
    struct stranger s = {.path = path};
    enum amm_drop why;
    bool ok;
    if (open_stranger(engine, packet, peek->opcode, &s, &why)) {
        ok = is_reset ? take_reset(engine, now, &s) : take_cookie(engine, now, &s, packet);
    } else {
        /* A later message of a tls-crypt-v2 client cannot be opened before the first has brought
         * its key. */
        if (peek->opcode == AMM_OP_CONTROL_V1 && engine->config.wraps[path->port_index].has_v2 &&
            path->transport == AMM_UDP) {
            park(engine, now, path, packet, peek->own_sid);
        }
        ok = drop(engine, why);
    }
    wipe_stranger(&s);
    return ok;
}
