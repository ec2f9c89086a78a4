/* Negotiations under way: their number, their order, what moves them on, and what time does to
 * them. */
#include "engine_state.h"

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

void amm_engine_made_progress(struct amm_engine *engine, struct amm_now now, struct negotiation *n)
{
    unlink_negotiation(engine, n);
    link_newest(engine, now, n);
}

bool amm_engine_evict(struct amm_engine *engine, struct amm_now now, const struct negotiation *n)
{
    if (now.mono - n->progress < EVICT_IDLE) {
        return false;
    }
    amm_engine_end_because(engine, &engine->sessions[n->session], AMM_CLOSE_TIMEOUT,
                           "too many handshakes under way", AMM_PLANE_REMOVE);
    return true;
}

/* Room for one more: the handshake that has been waiting longest goes, if it has been for a while.
 */
static bool evict_one(struct amm_engine *engine, struct amm_now now)
{
    const struct negotiation *n = engine->oldest;
    while (n != NULL && engine->sessions[n->session].state != SESSION_HANDSHAKE) {
        n = n->newer;
    }
    return n != NULL && amm_engine_evict(engine, now, n);
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
    size_t longest = 0;
    while (!n->session_over && !n->finished && amm_negotiation_tls_state(n, tls) == AMM_TLS_OPEN) {
        size_t len = tls->read(n->tls, engine->record, sizeof engine->record);
        if (len == 0) {
            break;
        }
        longest = len > longest ? len : longest;
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
    amm_wipe(engine->record, longest); /* key material, and a password behind it */
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

/* What is due already waits for something else: for output to be taken, or for an acknowledgement.
 */
static amm_time later(amm_time at, amm_time now)
{
    return at > now ? at : AMM_NEVER;
}

static amm_time deadline_of(const struct amm_engine *engine, const struct amm_session *session,
                            const struct negotiation *n, amm_time now)
{
    amm_time at =
        amm_time_min(later(session->renegotiate_at, now), later(session->keys_expire, now));
    if (n != NULL) {
        at = amm_time_min(at, amm_time_min(later(n->give_up, now), later(n->act_at, now)));
        at = amm_time_min(at, later(amm_reliable_deadline(&n->reliable), now));
        if (is_server(engine) && session->state == SESSION_HANDSHAKE) {
            at = amm_time_min(
                at, later(amm_time_after(n->progress, engine->config.half_open_window), now));
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
