/* Soft resets: a new key for a session that is established, started by either side
 * (doc/protocol/renegotiation.md). */
#include "engine_state.h"

#define RENEWAL_RETRY (60 * AMM_SECOND)

void amm_engine_plan_renewal(struct amm_engine *engine, struct amm_now now,
                             struct amm_session *session)
{
    amm_duration after = engine->config.renegotiate;
    if (after == 0) {
        session->renegotiate_at = AMM_NEVER;
        return;
    }
    /* 90 to 100 %: sessions that began together do not renew together. */
    amm_duration jitter =
        (amm_duration)amm_random_below(&engine->env.random, (uint64_t)(after / 10) + 1);
    session->renegotiate_at = amm_time_after(now.mono, after - jitter);
}

static struct negotiation *start(struct amm_engine *engine, struct amm_now now,
                                 struct amm_session *session, uint8_t key_id)
{
    amm_engine_drop_negotiation(engine, session);
    struct negotiation *n = amm_engine_negotiate(engine, now, session, key_id, 0);
    if (n != NULL) {
        session->renegotiate_at = AMM_NEVER;
        amm_reliable_send(&n->reliable, now.mono, AMM_OP_CONTROL_SOFT_RESET_V1, amm_view(NULL, 0));
    } else if (engine->config.renegotiate != 0) {
        session->renegotiate_at = amm_time_after(now.mono, RENEWAL_RETRY);
    }
    return n;
}

static bool is_busy(const struct negotiation *n)
{
    return n != NULL && n->step != STEP_IDLE;
}

bool amm_engine_renegotiate(struct amm_engine *engine, struct amm_now now,
                            struct amm_session *session)
{
    if (session->state != SESSION_ESTABLISHED || is_busy(negotiation_of(engine, session))) {
        return false;
    }
    uint8_t key_id = amm_key_id_next(session->last_key_id);
    if (key_id == session->key_id) {
        key_id = amm_key_id_next(key_id);
    }
    struct negotiation *n = start(engine, now, session, key_id);
    if (n != NULL) {
        n->own_start = true;
    }
    return n != NULL;
}

static bool may_start(struct amm_engine *engine, struct amm_now now,
                      const struct amm_session *session)
{
    const struct negotiation *n = negotiation_of(engine, session);
    if (session->state != SESSION_ESTABLISHED) {
        return false;
    }
    if (is_busy(n) && (n->step != STEP_RESET || n->say)) {
        return false; /* one at a time; and nobody puts off what ends his session */
    }
    if (is_busy(n) && n->own_start && !is_server(engine)) {
        return false; /* both began, under different key ids: the server gives way, or neither would
                         end */
    }
    return !is_server(engine) || session->last_soft_reset == 0 ||
           now.mono - session->last_soft_reset >= engine->config.renegotiate_min;
}

void amm_engine_soft_reset(struct amm_engine *engine, struct amm_now now,
                           struct amm_session *session, const struct amm_control *control)
{
    if (control->key_id == 0 || control->message_id != 0 || control->key_id == session->key_id) {
        amm_drop(engine->drops, AMM_DROP_CONTROL_KEY_ID);
        return;
    }
    if (!may_start(engine, now, session)) {
        amm_drop(engine->drops, AMM_DROP_SOFT_RESET_EARLY);
        return;
    }
    if (start(engine, now, session, control->key_id) == NULL) {
        return;
    }
    session->last_soft_reset = now.mono;
    amm_engine_take_control(engine, now, session, control);
}

static void fill_first_keys(struct amm_engine *engine, const struct amm_session *session,
                            const struct negotiation *n, struct amm_plane_command *command)
{
    command->inner_ip = n->push.local;
    /* A client's own settings are for servers that say nothing; a server has none. */
    const struct amm_engine_config *own = &engine->config;
    command->ping = n->push.ping > 0 ? n->push.ping : own->ping;
    /* More often than the server asks, never less: it would take the tunnel for lost. */
    if (own->keep_alive > 0 && (command->ping == 0 || own->keep_alive < command->ping)) {
        command->ping = own->keep_alive;
    }
    unsigned restart = n->push.ping_restart > 0 ? n->push.ping_restart : own->ping_restart;
    /* Both sides ping; the server waits twice as long before it gives up, so that the client, which
     * can do something about it, is first to notice. */
    restart *= is_server(engine) ? 2u : 1u;
    command->ping_restart = (uint16_t)(restart < UINT16_MAX ? restart : UINT16_MAX);
    command->data_v1 = amm_session_has(session, SESSION_DATA_V1);
    command->epoch = amm_engine_epoch(engine, session);
    memcpy(command->name, session->identity.name, sizeof command->name);
}

bool amm_engine_install_keys(struct amm_engine *engine, struct amm_session *session,
                             struct negotiation *n, enum amm_plane_op op)
{
    struct amm_data_keys keys;
    enum amm_role role = engine->config.role;
    bool ok = amm_session_has(session, SESSION_EXPORTER)
                  ? amm_keys_from_exporter(&keys, engine->env.tls, n->tls, role, session->cipher,
                                           n->key_id)
                  : amm_keys_from_prf(&keys, &n->exchange, role, session->cipher, n->key_id);
    amm_wipe(&n->exchange.client, sizeof n->exchange.client);
    if (!ok) {
        return false;
    }
    struct amm_event *event = amm_engine_plane(engine, session, op);
    event->plane.keys = keys;
    if (op == AMM_PLANE_ADD) {
        fill_first_keys(engine, session, n, &event->plane);
        amm_session_set(session, SESSION_INSTALLED);
    }
    amm_wipe(&keys, sizeof keys);
    return true;
}

void amm_engine_renewed(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                        struct negotiation *n)
{
    amm_engine_plane(engine, session, AMM_PLANE_SEND);
    amm_session_open(session);
    session->key_id = n->key_id;
    session->keys_expire = AMM_NEVER;
    amm_session_clear(session, SESSION_FINISHED);
    amm_session_shut(session);
    amm_engine_plan_renewal(engine, now, session);
    amm_engine_event(engine, session, AMM_EVENT_RENEWED);
    if (is_server(engine) || engine->config.release_tls) {
        n->finished = true;
    } else {
        n->step = STEP_IDLE;
        n->act_at = AMM_NEVER;
        n->give_up = AMM_NEVER;
    }
}

void amm_engine_not_renewed(struct amm_engine *engine, struct amm_now now,
                            struct amm_session *session)
{
    amm_engine_drop_negotiation(engine, session);
    if (session->keys_expire == AMM_NEVER) {
        session->keys_expire = amm_time_after(now.mono, engine->config.tran_window);
    }
    if (engine->config.renegotiate != 0) {
        session->renegotiate_at = amm_time_after(now.mono, RENEWAL_RETRY);
    }
}

bool amm_engine_make_dynamic_wrap(struct amm_engine *engine, struct amm_session *session,
                                  struct negotiation *n)
{
    uint8_t key[AMM_STATIC_KEY];
    bool ok = amm_keys_dynamic(key, engine->env.tls, n->tls, n->has_raw_key ? n->raw_key : NULL);
    if (ok) {
        amm_session_open(session);
        amm_wrap_init_crypt(&session->dynamic, key, engine->config.role);
        amm_session_set(session, SESSION_DYNAMIC);
        amm_session_shut(session);
    }
    amm_wipe(key, sizeof key);
    amm_wipe(n->raw_key, sizeof n->raw_key);
    return ok;
}
