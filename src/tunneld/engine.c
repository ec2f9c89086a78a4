/* The engine process: from the hand-over to running threads, and back to an exit code. */
#include "control.h"
#include "handshake.h"
#include "worker.h"

#include "crypto/pki.h"
#include "io/clock.h"
#include "io/log.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_BAD_FILES = 2, GENERATION_ROW = AMM_SLOT_MAX + 1 };

_Static_assert(AMM_PORTS_MAX *GENERATION_ROW * sizeof(_Atomic uint16_t) <= AMM_STATE_ENGINE,
               "a generation for each slot of each port");

struct engine {
    struct amm_handoff *handoff;
    struct amm_shared shared;
    struct amm_wrap_config wraps[AMM_PORTS_MAX];
    struct amm_engine_config config;
    struct amm_roster *roster;
    struct amm_tls_context
        *tls[AMM_THREADS_MAX + 1]; /* of each handshake thread, then of control */
    enum amm_ipc_alarm alarm;
    char alarm_text[AMM_IPC_TEXT];
    struct amm_worker *workers[AMM_THREADS_MAX];
    struct amm_handshake *handshakes[AMM_THREADS_MAX];
    struct amm_control *control;
    pthread_t worker_threads[AMM_THREADS_MAX], handshake_threads[AMM_THREADS_MAX];
    uint16_t n_worker_threads, n_handshake_threads;
    char error[AMM_CONF_ERROR];
};

/* ---- files ---- */

static const struct amm_blob *blob_of(const struct engine *engine, unsigned kind)
{
    return &engine->handoff->material.blobs[kind];
}

static bool complain(struct engine *engine, const char *file, const char *text)
{
    snprintf(engine->error, sizeof engine->error, "%.120s: %.120s", file, text);
    return false;
}

static bool load_wrap(struct engine *engine, uint8_t i)
{
    const struct amm_port_config *port = &engine->handoff->config.ports[i];
    const struct amm_blob *key = blob_of(engine, AMM_BLOB_WRAP_KEY + i);
    const struct amm_blob *v2 = blob_of(engine, AMM_BLOB_V2_KEY + i);
    struct amm_wrap_config *wrap = &engine->wraps[i];

    *wrap = (struct amm_wrap_config){
        .mode = port->wrap, .auth_digest = port->auth_digest, .direction = port->key_direction};
    if (wrap->mode != AMM_WRAP_NONE &&
        (!key->text || !amm_static_key_parse(key->text, wrap->static_key))) {
        return complain(engine, port->wrap_key,
                        key->problem ? key->problem : "not a static key of 2048 bits");
    }
    if (port->v2_key[0]) {
        wrap->has_v2 = true;
        if (!v2->text || !amm_v2_server_key_parse(v2->text, wrap->v2_server_key)) {
            return complain(engine, port->v2_key,
                            v2->problem ? v2->problem : "not a tls-crypt-v2 server key");
        }
    }
    return true;
}

/* A context a thread: OpenSSL's locks are not shared. */
static struct amm_tls_context *new_tls_context(struct engine *engine)
{
    struct amm_tls_settings settings = {
        .role = AMM_SERVER,
        .ca = blob_of(engine, AMM_BLOB_CA)->text,
        .certificate = blob_of(engine, AMM_BLOB_CERTIFICATE)->text,
        .key = blob_of(engine, AMM_BLOB_KEY)->text,
        .crl = blob_of(engine, AMM_BLOB_CRL)->text,
    };
    return amm_tls_context_new(&settings, engine->error, sizeof engine->error);
}

static bool has_files(struct engine *engine)
{
    static const unsigned needed[] = {AMM_BLOB_CA, AMM_BLOB_CERTIFICATE, AMM_BLOB_KEY};

    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        const struct amm_blob *blob = blob_of(engine, needed[i]);
        if (!blob->text) {
            snprintf(engine->error, sizeof engine->error, "%s",
                     blob->problem ? blob->problem : "a file is missing");
            return false;
        }
    }
    /* Without its revocation list a server would let everybody in. */
    if (engine->handoff->config.crl[0] && !blob_of(engine, AMM_BLOB_CRL)->text) {
        const char *problem = blob_of(engine, AMM_BLOB_CRL)->problem;
        return complain(engine, engine->handoff->config.crl, problem ? problem : "missing");
    }
    return true;
}

/* A broken roster at the start raises the alarm: nobody can join until it is mended, but nobody who
 * is up falls. */
static bool load_roster(struct engine *engine)
{
    engine->roster = amm_roster_load(&engine->shared, blob_of(engine, AMM_BLOB_ROSTER),
                                     engine->alarm_text, sizeof engine->alarm_text);
    if (!engine->roster) {
        engine->alarm = AMM_ALARM_ROSTER;
        engine->roster = amm_roster_empty();
    }
    return engine->roster != NULL;
}

static bool load_files(struct engine *engine)
{
    if (!has_files(engine)) {
        return false;
    }
    for (uint8_t i = 0; i < engine->handoff->n_ports; i++) {
        if (!load_wrap(engine, i)) {
            return false;
        }
    }
    for (uint16_t i = 0; i <= engine->handoff->n_handshake; i++) {
        engine->tls[i] = new_tls_context(engine);
        if (!engine->tls[i]) {
            return false;
        }
    }
    return load_roster(engine);
}

/* ---- shared ---- */

static bool fill_places(struct engine *engine, uint8_t i)
{
    const struct amm_tunneld_config *config = &engine->handoff->config;
    struct amm_places *places = &engine->shared.places[i];
    _Atomic uint16_t *generations = amm_state_engine(engine->handoff->state);

    *places = (struct amm_places){
        .port = config->ports[i].port,
        .pool = config->ports[i].pool,
        .n_slots = amm_pool_slots(&config->ports[i].pool),
        .limit = config->ports[i].limit,
        .ping = (uint16_t)config->ping,
        .ping_restart = (uint16_t)config->ping_restart,
        .mtu = (uint16_t)config->mtu,
        .peers = amm_state_peers(engine->handoff->state, i),
        .generations = generations + (size_t)i * GENERATION_ROW,
    };
    places->sessions = calloc(places->n_slots + 1, sizeof *places->sessions);
    return places->sessions != NULL;
}

static bool steering_is_complete(const struct amm_handoff *handoff)
{
    for (uint8_t i = 0; i < handoff->n_ports; i++) {
        if (!handoff->tun_steered[i]) {
            return false;
        }
    }
    return true;
}

static bool make_worker_face(struct amm_shared *shared, uint16_t i, bool sideways)
{
    struct amm_worker_face *face = &shared->workers[i];

    for (uint16_t j = 0; j < shared->n_handshake; j++) {
        if (!(face->up[j] = amm_ring_new(AMM_RING_BYTES))) {
            return false;
        }
    }
    for (uint16_t j = 0; sideways && j < shared->n_workers; j++) {
        if (!(face->sideways[j] = amm_ring_new(AMM_RING_INNER_BYTES))) {
            return false;
        }
    }
    return amm_bell_init(&face->bell);
}

static bool make_handshake_face(struct amm_shared *shared, uint16_t i)
{
    struct amm_handshake_face *face = &shared->handshakes[i];

    for (uint16_t j = 0; j < shared->n_workers; j++) {
        if (!(face->down[j] = amm_ring_new(AMM_RING_BYTES))) {
            return false;
        }
    }
    face->orders = amm_ring_new(AMM_RING_BYTES / 4);
    face->reports = amm_ring_new(AMM_RING_BYTES);
    return face->orders && face->reports && amm_bell_init(&face->bell);
}

static bool make_shared(struct engine *engine)
{
    struct amm_handoff *handoff = engine->handoff;
    struct amm_shared *shared = &engine->shared;
    bool good;

    shared->handoff = handoff;
    shared->config = &handoff->config;
    shared->n_workers = handoff->n_workers;
    shared->n_handshake = handoff->n_handshake;
    shared->n_ports = handoff->n_ports;
    /* Sessions of a former process may still name its connections for a moment. */
    atomic_store(&shared->connections, handoff->state->engine_starts << 24);
    shared->workers = calloc(shared->n_workers, sizeof *shared->workers);
    shared->handshakes = calloc(shared->n_handshake, sizeof *shared->handshakes);
    good = shared->workers && shared->handshakes && amm_bell_init(&shared->control_bell);
    for (uint8_t i = 0; good && i < shared->n_ports; i++) {
        good = fill_places(engine, i);
    }
    for (uint16_t i = 0; good && i < shared->n_workers; i++) {
        good = make_worker_face(shared, i, !steering_is_complete(handoff) && shared->n_workers > 1);
    }
    for (uint16_t i = 0; good && i < shared->n_handshake; i++) {
        good = make_handshake_face(shared, i);
    }
    if (!good) {
        snprintf(engine->error, sizeof engine->error, "out of memory or descriptors");
    }
    return good;
}

static void free_shared(struct amm_shared *shared)
{
    for (uint16_t i = 0; shared->workers && i < shared->n_workers; i++) {
        for (uint16_t j = 0; j < AMM_THREADS_MAX; j++) {
            amm_ring_free(shared->workers[i].up[j]);
            amm_ring_free(shared->workers[i].sideways[j]);
        }
        amm_bell_deinit(&shared->workers[i].bell);
    }
    for (uint16_t i = 0; shared->handshakes && i < shared->n_handshake; i++) {
        for (uint16_t j = 0; j < AMM_THREADS_MAX; j++) {
            amm_ring_free(shared->handshakes[i].down[j]);
        }
        amm_ring_free(shared->handshakes[i].orders);
        amm_ring_free(shared->handshakes[i].reports);
        amm_bell_deinit(&shared->handshakes[i].bell);
    }
    for (uint8_t i = 0; i < shared->n_ports; i++) {
        free(shared->places[i].sessions);
    }
    amm_bell_deinit(&shared->control_bell);
    free(shared->workers);
    free(shared->handshakes);
}

/* ---- threads ---- */

static void fill_engine_config(struct engine *engine)
{
    const struct amm_tunneld_config *config = &engine->handoff->config;
    struct amm_engine_config *out = &engine->config;
    uint32_t share = config->handshake_limit / engine->handoff->n_handshake;

    amm_engine_config_defaults(out);
    out->role = AMM_SERVER;
    out->wraps = engine->wraps;
    out->n_wraps = engine->handoff->n_ports;
    memcpy(out->ciphers, config->ciphers, sizeof out->ciphers);
    out->n_sessions = engine->handoff->state->sessions_per_thread;
    out->n_negotiations = share ? share : 1;
    out->renegotiate = config->renegotiate * AMM_SECOND;
    out->renegotiate_min = config->soft_reset_interval * AMM_SECOND;
}

/* The caller frees what it takes. */
static struct amm_tls_context *take_tls(struct engine *engine, uint16_t i)
{
    struct amm_tls_context *tls = engine->tls[i];
    engine->tls[i] = NULL;
    return tls;
}

static int64_t end_of_certificate(const struct engine *engine)
{
    struct amm_identity own;
    char error[128];
    bool good =
        amm_pki_identity(blob_of(engine, AMM_BLOB_CERTIFICATE)->text, &own, error, sizeof error);
    return good ? own.not_after : INT64_MAX; /* TLS has taken it; the alarm is all that is lost */
}

/* Workers first: sessions of a former process are compared with the peers that live on. */
static bool make_threads(struct engine *engine)
{
    struct amm_shared *shared = &engine->shared;
    struct amm_now now = amm_now();

    for (uint16_t i = 0; i < shared->n_workers; i++) {
        engine->workers[i] = amm_worker_new(shared, i, now, engine->error, sizeof engine->error);
        if (!engine->workers[i]) {
            return false;
        }
    }
    for (uint16_t i = 0; i < shared->n_handshake; i++) {
        struct amm_handshake_settings settings = {&engine->config, take_tls(engine, i),
                                                  engine->roster};
        engine->handshakes[i] =
            amm_handshake_new(shared, i, &settings, now, engine->error, sizeof engine->error);
        if (!engine->handshakes[i]) {
            return false;
        }
    }
    struct amm_control_settings settings = {
        .roster = engine->roster,
        .tls = take_tls(engine, shared->n_handshake),
        .certificate_ends = end_of_certificate(engine),
        .alarm = engine->alarm,
        .alarm_text = engine->alarm_text,
    };
    engine->control = amm_control_new(shared, &settings, engine->error, sizeof engine->error);
    return engine->control != NULL;
}

static bool start_threads(struct engine *engine)
{
    for (uint16_t i = 0; i < engine->shared.n_workers; i++) {
        if (pthread_create(&engine->worker_threads[i], NULL, amm_worker_run, engine->workers[i])) {
            return complain(engine, "worker", "cannot start a thread");
        }
        engine->n_worker_threads++;
    }
    for (uint16_t i = 0; i < engine->shared.n_handshake; i++) {
        if (pthread_create(&engine->handshake_threads[i], NULL, amm_handshake_run,
                           engine->handshakes[i])) {
            return complain(engine, "handshake", "cannot start a thread");
        }
        engine->n_handshake_threads++;
    }
    return true;
}

/* Handshake threads first: what they still say to the gateways leaves through the workers. */
static void stop_threads(struct engine *engine)
{
    struct amm_shared *shared = &engine->shared;

    atomic_store(&shared->handshakes_stop, true);
    for (uint16_t i = 0; i < engine->n_handshake_threads; i++) {
        amm_bell_ring(&shared->handshakes[i].bell);
        pthread_join(engine->handshake_threads[i], NULL);
    }
    atomic_store(&shared->workers_stop, true);
    for (uint16_t i = 0; i < engine->n_worker_threads; i++) {
        amm_bell_ring(&shared->workers[i].bell);
        pthread_join(engine->worker_threads[i], NULL);
    }
}

static void free_threads(struct engine *engine)
{
    for (uint16_t i = 0; i <= engine->handoff->n_handshake; i++) {
        amm_tls_context_free(engine->tls[i]);
    }
    for (uint16_t i = 0; i < engine->shared.n_handshake; i++) {
        amm_handshake_free(engine->handshakes[i]);
    }
    for (uint16_t i = 0; i < engine->shared.n_workers; i++) {
        amm_worker_free(engine->workers[i]);
    }
    amm_control_free(engine->control);
}

/* ---- the whole ---- */

static void log_start(const struct engine *engine)
{
    uint32_t adopted = 0;
    for (uint16_t i = 0; i < engine->shared.n_workers; i++) {
        adopted += amm_worker_adopted(engine->workers[i]);
    }
    amm_log(AMM_LOG_INFO, "engine-started", amm_field_text("version", AMM_VERSION),
            amm_field_number("workers", engine->shared.n_workers),
            amm_field_number("handshake_threads", engine->shared.n_handshake),
            amm_field_text("aead", engine->shared.workers[0].aead),
            amm_field_number("tunnels_kept", adopted),
            amm_field_number("start", engine->handoff->state->engine_starts));
}

static int serve(struct engine *engine)
{
    if (!make_shared(engine) || !load_files(engine)) {
        return EXIT_BAD_FILES;
    }
    fill_engine_config(engine);
    if (!make_threads(engine)) {
        return EXIT_FAILURE;
    }
    /* The threads have what they need: no second copy of the keys. */
    amm_material_free(&engine->handoff->material);
    log_start(engine);
    bool started = start_threads(engine);
    if (started && amm_channel_send(engine->handoff->channel, AMM_CHANNEL_READY, 0)) {
        amm_control_run(engine->control);
    }
    stop_threads(engine);
    return started ? EXIT_SUCCESS : EXIT_FAILURE;
}

int amm_engine_main(struct amm_handoff *handoff)
{
    struct engine *engine = calloc(1, sizeof *engine);
    int code;

    if (!engine) {
        return EXIT_FAILURE;
    }
    /* A pool of memory for each thread would cost more than the handshakes themselves. */
    mallopt(M_ARENA_MAX, 2);
    engine->handoff = handoff;
    code = serve(engine);
    if (code) {
        fprintf(stderr, "amm-tunneld: %s\n", engine->error);
    }
    free_threads(engine);
    free_shared(&engine->shared);
    amm_roster_unref(engine->roster);
    amm_wipe(engine->wraps, sizeof engine->wraps);
    free(engine);
    return code;
}
