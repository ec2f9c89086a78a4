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
        .resets_total = 64000,
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
        bool was_renewing = session->renegotiate_at == AMM_NEVER && engine->config.renegotiate != 0;
        if (session->renegotiate_at <= now.mono || was_renewing) {
            amm_duration spread = (amm_duration)amm_random_below(&engine->env.random, ADOPT_SPREAD);
            session->renegotiate_at = amm_time_after(now.mono, 1 + spread);
        }
        if (session->keys_expire <= now.mono) {
            session->keys_expire = amm_time_after(now.mono, 1); /* ran out while nobody looked */
        }
        amm_engine_settle(engine, now, session);
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
