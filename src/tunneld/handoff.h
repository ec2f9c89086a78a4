/* What the holder hands to the engine: descriptors, state memory, configuration and files
 * (ARCHITECTURE.md, "Memory that outlives a process").
 *
 * The holder owns everything that must outlive an engine and starts `amm-tunneld --engine FD` as
 * the unprivileged user, where FD is one end of a SEQPACKET pair, the *channel*. The engine first
 * receives the whole hand-over; later the channel carries struct amm_channel_message both ways.
 * When the channel closes, the other side is gone: the engine then drains and ends. Owner: the main
 * thread of each process. */
#pragma once

#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AMM_HANDOFF_VERSION = 2, AMM_STATE_VERSION = 3, AMM_STATE_MAGIC = 0x416d6d53 };

/* ---- state memory: one memfd, mapped shared by each engine in turn; zeroed when new ---- */

struct amm_state {
    uint32_t magic, version;
    uint32_t n_ports, n_handshake;
    uint32_t size_of_peer;            /* sizeof(struct amm_peer), as a guard */
    uint32_t sessions_per_thread;     /* records in each session table */
    uint64_t size;                    /* of the whole mapping */
    uint64_t peers_at[AMM_PORTS_MAX]; /* offset of amm_peer_table_size(slots of the port) */
    uint64_t
        sessions_at[AMM_THREADS_MAX];  /* offset of amm_session_table_size(sessions_per_thread) */
    uint64_t labels_at[AMM_PORTS_MAX]; /* struct amm_label[2 * (slots + 1)], by slot and lane */
    uint64_t engine_at;                /* 256 KiB for the engine's own use, zeroed when new */
    uint32_t engine_starts;            /* 1 for the first engine; written by the holder */
    int64_t started;                   /* wall seconds, of the holder */
};

enum { AMM_STATE_ENGINE = 262144 };

static inline void *amm_state_peers(struct amm_state *state, unsigned port_index)
{
    return (uint8_t *)state + state->peers_at[port_index];
}

static inline void *amm_state_sessions(struct amm_state *state, unsigned thread)
{
    return (uint8_t *)state + state->sessions_at[thread];
}

/* What is known of a tunnel beyond its peer record. Owner: the control thread of the engine. */
struct amm_label {
    uint32_t peer_id; /* whose it is; 0: nobody's. Written last */
    uint8_t key[32];  /* SHA-256 of the certificate's SubjectPublicKeyInfo */
    uint8_t serial[20];
    char client[48]; /* version and platform that it announced */
};

static inline struct amm_label *amm_state_labels(struct amm_state *state, unsigned port_index)
{
    return (struct amm_label *)((uint8_t *)state + state->labels_at[port_index]);
}

static inline void *amm_state_engine(struct amm_state *state)
{
    return (uint8_t *)state + state->engine_at;
}

/* True for the first engine: nothing to take over, and looking would make the kernel give every
 * page of the tables. */
static inline bool amm_state_is_new(const struct amm_state *state)
{
    return state->engine_starts <= 1;
}

/* ---- files: read by the holder (only it may read the key), parsed by the engine ---- */

enum amm_blob_kind {
    AMM_BLOB_CA,
    AMM_BLOB_CERTIFICATE,
    AMM_BLOB_KEY,
    AMM_BLOB_CRL,
    AMM_BLOB_ROSTER,
    AMM_BLOB_WRAP_KEY,                                   /* + port index */
    AMM_BLOB_V2_KEY = AMM_BLOB_WRAP_KEY + AMM_PORTS_MAX, /* + port index */
    AMM_BLOB_COUNT = AMM_BLOB_V2_KEY + AMM_PORTS_MAX,
};

struct amm_blob {
    const char *text; /* NUL behind `len` bytes; NULL: not configured, or unreadable */
    size_t len;
    const char *problem; /* NULL, or why the file could not be read; at a reload: raise the alarm,
                            keep the last */
};

struct amm_material {
    struct amm_blob blobs[AMM_BLOB_COUNT];
    void *mapping; /* read-only; its pages go when it is unmapped by amm_material_free */
    size_t size;
};

void amm_material_free(struct amm_material *material);

/* ---- the hand-over ---- */

struct amm_handoff {
    int channel;
    struct amm_tunneld_config config;
    struct amm_material material;
    struct amm_state *state;
    uint16_t n_workers, n_handshake; /* = config.workers, config.handshake_threads */
    uint8_t n_ports;
    uint8_t n_listeners;             /* = amm_listeners(config) */
    bool tun_steered[AMM_PORTS_MAX]; /* false: queues get packets of any worker; hand over */
    uint8_t listener_port[AMM_LISTENERS_MAX]; /* port index */
    struct amm_listen listeners[AMM_LISTENERS_MAX];
    int udp_handshake[AMM_LISTENERS_MAX]
                     [AMM_THREADS_MAX]; /* [listener][thread]; -1 for TCP listeners */
    int udp_worker[AMM_LISTENERS_MAX][AMM_THREADS_MAX];
    int tcp[AMM_LISTENERS_MAX]
           [AMM_THREADS_MAX]; /* listening; [listener][handshake thread]; -1 for UDP */
    int tun[AMM_PORTS_MAX][AMM_THREADS_MAX];        /* [port index][worker] */
    int services[AMM_PORTS_MAX][AMM_PUBLISHED_MAX]; /* [port index][index in config.published]:
                                                       listening on the tunnel address, for the
                                                       manager; -1: none */
    uint32_t manager_uid;                           /* UINT32_MAX: no manager */
    int control;                                    /* listening, non-blocking, SEQPACKET */
};

/* Engine side: receives everything and maps the state. False with a sentence in `error`. */
bool amm_handoff_receive(int channel, struct amm_handoff *out, char *error, size_t room);

/* ---- later, on the channel ---- */

enum amm_channel_type {
    /* holder -> engine */
    AMM_CHANNEL_MATERIAL = 16, /* files were read again; take with amm_channel_receive */
    AMM_CHANNEL_STOP = 17,     /* drain: tell every gateway to reconnect, then exit 0 */
    /* engine -> holder */
    AMM_CHANNEL_READY =
        32, /* serving: before it, exit code 2 means "bad configuration", which is not retried */
    AMM_CHANNEL_RELOAD = 33,   /* read the files again (AMM_IPC_RELOAD) */
    AMM_CHANNEL_ACCEPTED = 34, /* `good`: bit 1 << kind for each blob that is in use now; what is
                                  not in it is kept by the holder as it was, for the next engine */
};

struct amm_channel_message {
    uint32_t type; /* enum amm_channel_type */
    uint32_t good; /* ACCEPTED */
};

enum amm_channel_result { AMM_CHANNEL_OK, AMM_CHANNEL_NOTHING, AMM_CHANNEL_CLOSED };

/* Engine side. `material` is filled with MATERIAL and belongs to the caller. */
enum amm_channel_result amm_channel_receive(int channel, struct amm_channel_message *message,
                                            struct amm_material *material);
bool amm_channel_send(int channel, uint32_t type, uint32_t good);

/* ---- the engine's entry, in engine.c ---- */

/* Serves until it is told to stop; the exit code: 0 after STOP or a lost holder, 2 for files it
 * cannot use (said on standard error), 1 for anything else. SIGTERM, SIGINT and SIGHUP are ignored
 * here: the holder gets them. */
int amm_engine_main(struct amm_handoff *handoff);
