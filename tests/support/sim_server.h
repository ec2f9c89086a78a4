/* A tunnel server without threads, sockets or files: engines and planes joined by message queues, a
 * small roster that authorises, and the state memory as plain buffers, so that it can be taken over
 * by fresh engines and planes at any moment. Owner: one thread. Used by the simulator, the
 * fuzzers and by tests of programs that need a server in-process. */
#pragma once

#include "proto/engine.h"
#include "data/plane.h"

enum { SIM_PORTS = 2, SIM_ENGINES = 2, SIM_WORKERS = 2, SIM_SLOTS = 14 };

/* What the server does to the outside. `owner` is the config's. */
struct sim_server_sink {
    void *owner;
    void (*send)(void *owner, const struct amm_path *path, struct amm_view datagram);
    void (*inner)(void *owner, uint8_t port_index, struct amm_view packet); /* to the tun device */
    void (*event)(void *owner, const struct amm_event *event); /* JOINED, RENEWED, CLOSED */
};

struct sim_server_config {
    struct amm_engine_config
        engine; /* role, thread, n_wraps and table sizes are set by the server */
    struct amm_engine_env env;
    struct sim_server_sink sink;
    uint8_t n_ports, n_engines, n_workers;
    uint8_t topology;
    uint8_t n_routes;            /* extra pushed routes: makes PUSH_REPLY long */
    uint16_t ping, ping_restart; /* of the clients; the server's own patience is twice as long */
    amm_duration lame_duck;
    uint64_t spend_ids;
    amm_duration
        message_delay; /* queues between engine, plane and authoriser take up to this long */
};

struct sim_server;

struct sim_server *sim_server_new(const struct sim_server_config *config, struct amm_now now);
struct sim_server *sim_server_free(struct sim_server *server);

/* Takes a datagram (or one unframed TCP message). False if a TCP connection must be closed because
 * of it. The datagram is changed. */
bool sim_server_input(struct sim_server *server, struct amm_now now, const struct amm_path *path,
                      struct amm_span datagram);

/* A packet that the host sends into the tun device of a port; false if there is no tunnel for it.
 */
bool sim_server_transmit(struct sim_server *server, struct amm_now now, uint8_t port_index,
                         struct amm_view inner);

/* Passes on what is due, expires, drains. Call after every other call and whenever the deadline is
 * reached. */
void sim_server_run(struct sim_server *server, struct amm_now now);
amm_time sim_server_deadline(const struct sim_server *server);

/* Kill and return: engines, planes and all queued messages are gone; fresh ones take over a copy of
 * the state memory. Tells how many peers and established sessions live on. */
struct sim_survivors {
    uint32_t peers, sessions;
};
struct sim_survivors sim_server_restart(struct sim_server *server, struct amm_now now);

void sim_server_link_lost(struct sim_server *server, struct amm_now now,
                          const struct amm_path *path);

/* Ends the sessions of a gateway (kick); its verdicts are refusals for a while when `refuse_until`
 * says so. */
void sim_server_kick(struct sim_server *server, struct amm_now now, const char *name,
                     bool in_words);
void sim_server_refuse_until(struct sim_server *server, amm_time until);

/* Starts a renegotiation of all sessions. */
void sim_server_renegotiate(struct sim_server *server, struct amm_now now);

/* ---- looking inside ---- */

uint32_t sim_server_established(const struct sim_server *server);
uint32_t sim_server_sessions(const struct sim_server *server);
uint32_t sim_server_negotiating(const struct sim_server *server);
uint32_t sim_server_live(const struct sim_server *server);
struct amm_engine *sim_server_engine(struct sim_server *server, unsigned number);
struct amm_drops sim_server_drops(const struct sim_server *server);

/* Peer records of a port in state memory, both lanes: for hooks that read or break them. */
struct amm_peer *sim_server_peer(struct sim_server *server, uint8_t port_index, uint32_t generation,
                                 uint32_t slot);

/* Roster: "gw-N" has slot N + 1 on port N modulo n_ports; other names are refused for good. */
uint32_t sim_server_address(const struct sim_server *server, unsigned gateway);
uint32_t sim_server_own_address(const struct sim_server *server, uint8_t port_index);
