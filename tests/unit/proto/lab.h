/* A tunnel server and up to four clients in memory: engines, data planes and a wire between them
 * that a test can listen to, cut and write on. Time stands still until the test moves it. */
#pragma once

#include "proto/client.h"
#include "support/fake_tls.h"

#include "data/plane.h"

enum { LAB_CLIENTS = 4, LAB_SLOTS = 63, LAB_WIRE = 512, LAB_EVENTS = 64 };

enum lab_wrap { LAB_NONE, LAB_AUTH, LAB_CRYPT, LAB_V2, LAB_WRAPS };

struct lab_packet {
    struct amm_path path; /* as the server sees it: remote is the client */
    bool to_server;
    size_t len;
    uint8_t data[AMM_CONTROL_MAX];
};

struct lab_client {
    struct amm_client *client;
    struct amm_wrap_config wrap;
    struct amm_tls_context *tls;
    struct amm_drops drops;
    struct amm_path path; /* as the server sees it */
    struct amm_event events[LAB_EVENTS];
    unsigned n_events;
};

struct lab {
    struct amm_now now;
    struct amm_seeded_random random;
    struct amm_engine *engine;
    struct amm_engine_config config;
    struct amm_wrap_config wrap;
    struct amm_tls_context *tls;
    struct amm_drops drops;
    struct amm_plane *plane;
    struct amm_pool pool;
    void *sessions, *peers;
    void (*change_client)(struct amm_engine_config *config);
    struct amm_aead *aead;
    struct amm_event events[LAB_EVENTS];
    unsigned n_events;
    uint32_t generation;

    /* what the server's outside decides */
    bool hold_verdict;
    bool no_peer_id;            /* is pushed, as by servers before OpenVPN 2.4 */
    struct amm_command verdict; /* without kind and session; accept unless changed */

    struct lab_client clients[LAB_CLIENTS];
    struct lab_packet wire[LAB_WIRE]; /* under way */
    unsigned n_wire;
    unsigned sent_to_client, sent_to_server;

    /* May change or drop (false) a packet that is put on the wire. */
    bool (*filter)(struct lab *lab, struct lab_packet *packet);
    unsigned counter; /* for the filter */
    bool hold_plane;  /* commands to the server's plane are kept back */
    struct amm_plane_command held[16];
    unsigned n_held;
};

/* `change` (may be NULL) alters the server's and the clients' settings before they are used. */
struct lab_settings {
    enum lab_wrap wrap;
    enum amm_transport transport;
    void (*change_server)(struct amm_engine_config *config);
    void (*change_client)(struct amm_engine_config *config);
};

void lab_start(struct lab *lab, const struct lab_settings *settings);
void lab_stop(struct lab *lab);

/* Starts client `i` and makes it connect. */
struct lab_client *lab_connect(struct lab *lab, unsigned i);
/* Makes client `i` anew, after a test has changed its settings. */
void lab_renew_client(struct lab *lab, unsigned i);

/* Delivers everything until nothing is under way; time stands still. */
void lab_settle(struct lab *lab);

/* Moves time on in steps of at most 100 ms, delivering and expiring. */
void lab_run(struct lab *lab, amm_duration for_how_long);

/* Sends packets as the test made them. */
void lab_inject(struct lab *lab, const struct amm_path *path, const void *data, size_t len);

/* The first event of this kind since the last lab_forget, or NULL. */
const struct amm_event *lab_event(const struct lab *lab, enum amm_event_kind kind);
const struct amm_event *lab_client_event(const struct lab_client *client, enum amm_event_kind kind);
unsigned lab_count(const struct lab *lab, enum amm_event_kind kind);
void lab_forget(struct lab *lab);

/* Sends an ICMP echo each way through the tunnel of client `i`; true if both arrive unchanged. */
bool lab_ping(struct lab *lab, unsigned i);

/* Fails the test unless client `i` and the server think that it has joined, and data passes. */
void lab_expect_joined(struct lab *lab, unsigned i);

/* Commands to the session of the last event of this kind. */
void lab_command(struct lab *lab, const struct amm_session_ref *session,
                 struct amm_command command);

/* Releases commands that were held back from the plane. */
void lab_release_plane(struct lab *lab);

/* A new process takes the state memory over. */
void lab_restart_server(struct lab *lab);
