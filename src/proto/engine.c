#include "engine_state.h"

#include <stdlib.h>

void amm_engine_config_defaults(struct amm_engine_config *config)
{
    *config = (struct amm_engine_config){
        .ciphers = {AMM_CIPHER_AES_256_GCM, AMM_CIPHER_AES_128_GCM, AMM_CIPHER_CHACHA20_POLY1305},
        .dynamic_tls_crypt = true,
        .exporter = true,
        .n_negotiations = 512,
        .hand_window = 60 * AMM_SECOND,
        .half_open_window = 30 * AMM_SECOND,
        .renegotiate_min = 5 * AMM_SECOND,
        .tran_window = 3600 * AMM_SECOND,
        .resets_per_prefix = 100,
        .resets_total = 4000,
        .version = "amm-0.1.0",
        .platform = "linux",
        .mtu = 1500,
    };
}

/* ---- making and ending ---- */

static void copy_string(char *out, size_t room, const char *text)
{
    size_t len = text == NULL ? 0 : strnlen(text, room - 1);
    memcpy(out, text == NULL ? "" : text, len);
    out[len] = 0;
}

static void copy_config(struct amm_engine *engine, const struct amm_engine_config *config)
{
    engine->config = *config;
    copy_string(engine->username, sizeof engine->username, config->username);
    copy_string(engine->password, sizeof engine->password, config->password);
    copy_string(engine->version, sizeof engine->version, config->version);
    copy_string(engine->platform, sizeof engine->platform, config->platform);
    if (config->role == AMM_CLIENT) {
        engine->config.n_sessions = 1;
        engine->config.n_negotiations = 1;
        engine->config.n_wraps = 1;
    }
    engine->config.username = engine->config.password = NULL;
    engine->config.version = engine->config.platform = NULL;
}

static bool allocate(struct amm_engine *engine, struct amm_now now)
{
    uint32_t n = engine->config.n_sessions;
    struct amm_siphash_key sid_key, link_key;
    amm_random_fill(&engine->env.random, &sid_key, sizeof sid_key);
    amm_random_fill(&engine->env.random, &link_key, sizeof link_key);
    engine->runtime = calloc(n, sizeof *engine->runtime);
    engine->wheel = amm_wheel_new(n, now.mono);
    engine->loose = calloc(LOOSE_PACKETS, sizeof *engine->loose);
    engine->events.room = is_server(engine) ? 64 : 2;
    engine->events.ring = calloc(engine->events.room, sizeof *engine->events.ring);
    return engine->runtime != NULL && engine->wheel != NULL && engine->loose != NULL &&
           engine->events.ring != NULL && amm_chains_init(&engine->by_sid, n, sid_key) &&
           amm_chains_init(&engine->by_link, n, link_key) &&
           (!is_server(engine) || amm_engine_init_admission(engine));
}

static void know_names(struct amm_engine *engine, struct amm_session *session)
{
    uint32_t index = session_index(engine, session);
    amm_chains_add(&engine->by_sid, index, session->peer_sid);
    if (session->path.transport == AMM_TCP) {
        amm_chains_add(&engine->by_link, index, session->path.link);
    }
    engine->n_sessions++;
}

static void schedule(struct amm_engine *engine, struct amm_now now, struct amm_session *session);

/* Takes over what a former process left, or puts the record on the free list. Sessions on TCP end:
 * what stood in the middle of a frame is lost. */
static void adopt(struct amm_engine *engine, struct amm_now now, struct amm_session *session)
{
    bool is_whole = (session->sequence & 1) == 0;
    bool is_sane = session->path.port_index < engine->config.n_wraps && session->tag != 0 &&
                   session->own_sid != 0 && session->peer_sid != 0;
    if (session->state == SESSION_ESTABLISHED && is_whole && is_sane &&
        session->path.transport == AMM_UDP) {
        uint32_t time = amm_wrap_time(&engine->clock, now);
        amm_wrap_resume(&session->wrap, time);
        amm_wrap_resume(&session->dynamic, time);
        know_names(engine, session);
        if (session->renegotiate_at <= now.mono) {
            amm_duration spread = (amm_duration)amm_random_below(&engine->env.random, ADOPT_SPREAD);
            session->renegotiate_at = amm_time_after(now.mono, 1 + spread);
        }
        schedule(engine, now, session);
        if (is_server(engine)) {
            amm_limiter_know(engine->limiter, amm_address_prefix(&session->path.remote));
        }
        return;
    }
    if (session->state != SESSION_FREE && is_sane && amm_session_has(session, SESSION_INSTALLED)) {
        amm_engine_plane(engine, session, AMM_PLANE_EXIT);
    }
    amm_session_wipe(session);
    uint32_t index = session_index(engine, session);
    engine->runtime[index].next_free = engine->first_free;
    engine->first_free = index;
}

struct amm_engine *amm_engine_new(const struct amm_engine_config *config,
                                  const struct amm_engine_env *env, void *sessions,
                                  struct amm_drops *drops, struct amm_now now)
{
    struct amm_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        return NULL;
    }
    copy_config(engine, config);
    engine->env = *env;
    engine->drops = drops;
    engine->clock = amm_wrap_clock(now);
    engine->first_free = AMM_CHAIN_END;
    engine->ready_first = AMM_CHAIN_END;
    if (!allocate(engine, now)) {
        return amm_engine_free(engine);
    }
    engine->table = amm_session_table(sessions, engine->config.n_sessions);
    engine->sessions = engine->table->sessions;
    for (uint32_t i = engine->config.n_sessions; i-- > 0;) {
        adopt(engine, now, &engine->sessions[i]);
    }
    return engine;
}

struct amm_engine *amm_engine_free(struct amm_engine *engine)
{
    if (engine == NULL) {
        return NULL;
    }
    while (engine->oldest != NULL) {
        amm_engine_drop_negotiation(engine, &engine->sessions[engine->oldest->session]);
    }
    amm_chains_deinit(&engine->by_sid);
    amm_chains_deinit(&engine->by_link);
    amm_wheel_free(engine->wheel);
    if (engine->port_wraps != NULL) {
        amm_wipe(engine->port_wraps, engine->config.n_wraps * sizeof *engine->port_wraps);
    }
    if (engine->events.ring != NULL) {
        amm_wipe(engine->events.ring, engine->events.room * sizeof *engine->events.ring);
    }
    free(engine->events.ring);
    free(engine->port_wraps);
    free(engine->limiter);
    free(engine->parked);
    free(engine->loose);
    free(engine->runtime);
    amm_wipe(engine, sizeof *engine);
    free(engine);
    return NULL;
}

void amm_engine_set_tls_context(struct amm_engine *engine, struct amm_tls_context *context)
{
    engine->env.tls_context = context;
}

/* ---- sessions ---- */

struct amm_session_ref amm_engine_ref(const struct amm_engine *engine,
                                      const struct amm_session *session)
{
    return (struct amm_session_ref){
        .index = session_index(engine, session),
        .tag = session->tag,
        .thread = engine->config.thread,
    };
}

struct amm_session_ref amm_engine_client_session(const struct amm_engine *engine)
{
    return amm_engine_ref(engine, &engine->sessions[0]);
}

struct amm_session *amm_engine_take_session(struct amm_engine *engine, const struct amm_path *path,
                                            uint64_t own_sid, uint64_t peer_sid)
{
    uint32_t index = engine->first_free;
    if (index == AMM_CHAIN_END) {
        return NULL;
    }
    engine->first_free = engine->runtime[index].next_free;
    struct amm_session *session = &engine->sessions[index];
    amm_session_begin(engine->table, session);
    session->path = *path;
    session->own_sid = own_sid;
    session->peer_sid = peer_sid;
    know_names(engine, session);
    return session;
}

void amm_engine_forget_session(struct amm_engine *engine, struct amm_session *session)
{
    uint32_t index = session_index(engine, session);
    amm_engine_drop_negotiation(engine, session);
    amm_chains_remove(&engine->by_sid, index, engine->by_sid.names[index]);
    if (session->path.transport == AMM_TCP) {
        amm_chains_remove(&engine->by_link, index, session->path.link);
    }
    amm_wheel_set(engine->wheel, index, AMM_NEVER);
    amm_session_wipe(session);
    engine->runtime[index].next_free = engine->first_free;
    engine->first_free = index;
    engine->n_sessions--;
}

/* ---- negotiations ---- */

static void unlink_negotiation(struct amm_engine *engine, struct negotiation *n)
{
    *(n->older != NULL ? &n->older->newer : &engine->oldest) = n->newer;
    *(n->newer != NULL ? &n->newer->older : &engine->newest) = n->older;
}

static void link_newest(struct amm_engine *engine, struct amm_now now, struct negotiation *n)
{
    n->progress = now.mono;
    n->newer = NULL;
    n->older = engine->newest;
    *(engine->newest != NULL ? &engine->newest->newer : &engine->oldest) = n;
    engine->newest = n;
}

static void made_progress(struct amm_engine *engine, struct amm_now now, struct negotiation *n)
{
    unlink_negotiation(engine, n);
    link_newest(engine, now, n);
}

/* Room for one more: the handshake that has been waiting longest goes, if it has been for a while.
 */
static bool evict_one(struct amm_engine *engine, struct amm_now now)
{
    for (struct negotiation *n = engine->oldest; n != NULL; n = n->newer) {
        struct amm_session *session = &engine->sessions[n->session];
        if (now.mono - n->progress < EVICT_IDLE) {
            return false;
        }
        if (session->state == SESSION_HANDSHAKE) {
            amm_engine_end_because(engine, session, AMM_CLOSE_TIMEOUT,
                                   "too many handshakes under way", AMM_PLANE_REMOVE);
            return true;
        }
    }
    return false;
}

struct negotiation *amm_engine_negotiate(struct amm_engine *engine, struct amm_now now,
                                         struct amm_session *session, uint8_t key_id,
                                         uint32_t next_message)
{
    if (engine->n_negotiations >= engine->config.n_negotiations && !evict_one(engine, now)) {
        amm_drop(engine->drops, AMM_DROP_HANDSHAKE_LIMIT);
        return NULL;
    }
    struct negotiation *n = amm_negotiation_new(&engine->env.random);
    if (n != NULL) {
        n->tls = engine->env.tls->open(engine->env.tls_context, now.wall);
    }
    if (n == NULL || n->tls == NULL) {
        amm_negotiation_free(n, engine->env.tls);
        amm_drop(engine->drops, AMM_DROP_HANDSHAKE_LIMIT);
        return NULL;
    }
    bool is_cookie = next_message > 0;
    n->session = session_index(engine, session);
    n->key_id = key_id;
    n->step = is_cookie ? STEP_KEYS : STEP_RESET;
    n->started = now.mono;
    n->give_up = amm_time_after(now.mono, engine->config.hand_window);
    n->exchange.client_sid = is_server(engine) ? session->peer_sid : session->own_sid;
    n->exchange.server_sid = is_server(engine) ? session->own_sid : session->peer_sid;
    amm_reliable_init(&n->reliable, next_message, next_message, FIRST_TIMEOUT);
    session->last_key_id = key_id;
    engine->runtime[n->session].negotiation = n;
    engine->n_negotiations++;
    link_newest(engine, now, n);
    return n;
}

void amm_engine_drop_negotiation(struct amm_engine *engine, struct amm_session *session)
{
    struct runtime *runtime = &engine->runtime[session_index(engine, session)];
    struct negotiation *n = runtime->negotiation;
    if (n == NULL) {
        return;
    }
    if (session->state == SESSION_ESTABLISHED && n->key_id == session->key_id) {
        session->finished = n->reliable.numbers;
        amm_session_set(session, SESSION_FINISHED);
    }
    runtime->negotiation = NULL;
    engine->n_negotiations--;
    unlink_negotiation(engine, n);
    amm_negotiation_free(n, engine->env.tls);
}

/* ---- running a negotiation ---- */

static void tls_failed(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                       struct negotiation *n)
{
    if (n->step == STEP_LINGER) {
        return;
    }
    if (n->step == STEP_IDLE) {
        n->finished = true; /* the server has closed TLS; the tunnel does not need it */
        return;
    }
    const char *detail = "";
    amm_drop(engine->drops, AMM_DROP_TLS_FAILED);
    n->ending.reason = AMM_CLOSE_TLS;
    n->ending.failure = engine->env.tls->failure(n->tls, &detail);
    char text[sizeof n->ending.text];
    struct amm_writer w = amm_writer(text, sizeof text - 1);
    amm_write_text(&w, "%.100s", amm_tls_failure_text(n->ending.failure));
    if (detail[0] != 0) {
        amm_write_text(&w, " (%.40s)", detail);
    }
    amm_text_clean(n->ending.text, sizeof n->ending.text, amm_view(text, amm_writer_len(&w)));
    /* The alert is still to be sent. A renegotiation that fails leaves the session its old keys. */
    n->step = STEP_LINGER;
    n->linger_ends_session = session->state != SESSION_ESTABLISHED || n->say;
    n->act_at = amm_time_after(now.mono, LINGER_FAILED);
}

static void read_records(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                         struct negotiation *n)
{
    const struct amm_tls_ops *tls = engine->env.tls;
    while (!n->session_over && !n->finished && amm_negotiation_tls_state(n, tls) == AMM_TLS_OPEN) {
        size_t len = tls->read(n->tls, engine->record, sizeof engine->record);
        if (len == 0) {
            break;
        }
        if (n->step == STEP_LINGER || n->step == STEP_REFUSE) {
            continue;
        }
        struct amm_view record = amm_view(engine->record, len);
        if (is_server(engine)) {
            amm_server_record(engine, now, session, n, record);
        } else {
            amm_client_record(engine, now, session, n, record);
        }
    }
    amm_wipe(engine->record, AMM_PRE_MASTER + 2 * AMM_RANDOM + 5);
}

static void pump(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                 struct negotiation *n)
{
    const struct amm_tls_ops *tls = engine->env.tls;
    size_t chunk = amm_engine_chunk(session, n->key_id);
    size_t first_chunk = chunk;
    if (n->resend_wkc) {
        first_chunk -= wrap_config_of(engine, session)->wkc_len;
    }
    if (!amm_negotiation_feed(n, tls)) {
        tls_failed(engine, now, session, n);
    }
    read_records(engine, now, session, n);
    if (!n->tls_failed && amm_negotiation_tls_state(n, tls) == AMM_TLS_FAILED) {
        n->tls_failed = true;
        tls_failed(engine, now, session, n);
    }
    amm_negotiation_drain(n, tls, now.mono, chunk, first_chunk);
}

void amm_engine_run(struct amm_engine *engine, struct amm_now now, struct amm_session *session)
{
    struct negotiation *n = negotiation_of(engine, session);
    bool goes_on = n != NULL;
    while (goes_on) {
        pump(engine, now, session, n);
        goes_on = !n->session_over && !n->finished &&
                  amm_negotiation_tls_state(n, engine->env.tls) == AMM_TLS_OPEN;
        if (goes_on) {
            goes_on = is_server(engine) ? amm_server_advance(engine, now, session, n)
                                        : amm_client_advance(engine, now, session, n);
        }
    }
    amm_engine_settle(engine, now, session);
}

static bool has_output(const struct negotiation *n, struct amm_now now)
{
    return amm_acks_waiting(&n->reliable.numbers) ||
           amm_reliable_deadline(&n->reliable) <= now.mono;
}

/* What is due already waits for something else: for output to be taken, or for an acknowledgement. */
static amm_time later(amm_time at, amm_time now)
{
    return at > now ? at : AMM_NEVER;
}

static amm_time deadline_of(const struct amm_engine *engine, const struct amm_session *session,
                            const struct negotiation *n, amm_time now)
{
    amm_time at = amm_time_min(later(session->renegotiate_at, now), later(session->keys_expire, now));
    if (n != NULL) {
        at = amm_time_min(at, amm_time_min(later(n->give_up, now), later(n->act_at, now)));
        at = amm_time_min(at, later(amm_reliable_deadline(&n->reliable), now));
        if (is_server(engine) && session->state == SESSION_HANDSHAKE) {
            at = amm_time_min(at, later(amm_time_after(n->progress, engine->config.half_open_window), now));
        }
    }
    return at;
}

static void schedule(struct amm_engine *engine, struct amm_now now, struct amm_session *session)
{
    amm_wheel_set(engine->wheel, session_index(engine, session),
                  deadline_of(engine, session, negotiation_of(engine, session), now.mono));
}

static void settle_linger(struct amm_engine *engine, struct amm_now now, struct negotiation *n)
{
    if (n->step != STEP_LINGER) {
        return;
    }
    if (amm_negotiation_is_quiet(n)) {
        amm_duration rest = is_server(engine) ? LINGER_QUIET : 0;
        n->act_at = amm_time_min(n->act_at, amm_time_after(now.mono, rest));
    }
    if (now.mono >= n->act_at && !has_output(n, now)) {
        *(n->linger_ends_session ? &n->session_over : &n->finished) = true;
    }
}

void amm_engine_settle(struct amm_engine *engine, struct amm_now now, struct amm_session *session)
{
    struct negotiation *n = negotiation_of(engine, session);
    if (n != NULL) {
        settle_linger(engine, now, n);
        if (n->session_over) {
            amm_engine_end(engine, session, &n->ending, n->say ? AMM_PLANE_EXIT : AMM_PLANE_REMOVE);
            return;
        }
        if (n->finished) {
            if (n->key_id == session->key_id) {
                amm_engine_drop_negotiation(engine, session);
            } else {
                amm_engine_not_renewed(engine, now, session);
            }
            n = NULL;
            if (amm_acks_waiting(&session->finished)) {
                amm_engine_acknowledge_late(engine, now, session);
            }
        } else if (has_output(n, now)) {
            amm_engine_make_ready(engine, session);
        }
    }
    schedule(engine, now, session);
}

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
        made_progress(engine, now, n);
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

/* ---- time ---- */

amm_time amm_engine_deadline(const struct amm_engine *engine)
{
    return amm_wheel_deadline(engine->wheel);
}

static bool is_timed_out(const struct amm_engine *engine, const struct amm_session *session,
                         const struct negotiation *n, amm_time now)
{
    return now >= n->give_up ||
           (is_server(engine) && session->state == SESSION_HANDSHAKE &&
            now >= amm_time_after(n->progress, engine->config.half_open_window));
}

static void time_out(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                     struct negotiation *n)
{
    amm_drop(engine->drops, AMM_DROP_HANDSHAKE_TIMEOUT);
    if (n->say) {
        n->session_over = true;
    } else if (session->state == SESSION_ESTABLISHED) {
        amm_engine_not_renewed(engine, now, session);
    } else {
        amm_negotiation_over(n, AMM_CLOSE_TIMEOUT, "handshake not finished in time");
    }
}

static void tick(struct amm_engine *engine, struct amm_now now, struct amm_session *session)
{
    struct negotiation *n = negotiation_of(engine, session);
    if (now.mono >= session->keys_expire) {
        amm_engine_end_because(engine, session, AMM_CLOSE_PROTOCOL, "the keys could not be renewed",
                               AMM_PLANE_EXIT);
        return;
    }
    if (n != NULL && n->step != STEP_LINGER && is_timed_out(engine, session, n, now.mono)) {
        time_out(engine, now, session, n);
    }
    if (now.mono >= session->renegotiate_at) {
        session->renegotiate_at = AMM_NEVER;
        amm_engine_renegotiate(engine, now, session);
    }
    n = negotiation_of(engine, session);
    if (n != NULL && !n->session_over) {
        amm_engine_run(engine, now, session);
    } else {
        amm_engine_settle(engine, now, session);
    }
}

void amm_engine_expire(struct amm_engine *engine, struct amm_now now)
{
    uint32_t index;
    while ((index = amm_wheel_expire(engine->wheel, now.mono)) != AMM_WHEEL_NONE) {
        if (engine->sessions[index].state != SESSION_FREE) {
            tick(engine, now, &engine->sessions[index]);
        }
    }
}

/* ---- looking inside ---- */

uint32_t amm_engine_negotiating(const struct amm_engine *engine)
{
    return engine->n_negotiations;
}

uint32_t amm_engine_sessions(const struct amm_engine *engine)
{
    return engine->n_sessions;
}

bool amm_engine_each(const struct amm_engine *engine, uint32_t *cursor, struct amm_session_ref *ref,
                     struct amm_identity *identity, uint32_t *peer_id, uint8_t *port_index)
{
    while (*cursor < engine->config.n_sessions) {
        const struct amm_session *session = &engine->sessions[(*cursor)++];
        if (session->state == SESSION_ESTABLISHED) {
            *ref = amm_engine_ref(engine, session);
            *identity = session->identity;
            *peer_id = session->peer_id;
            *port_index = session->path.port_index;
            return true;
        }
    }
    return false;
}

void amm_engine_know_prefix(struct amm_engine *engine, uint64_t prefix)
{
    if (is_server(engine)) {
        amm_limiter_know(engine->limiter, prefix);
    }
}
