/* Deterministic simulator of the tunnel: a server, its clients and the network between them in
 * virtual time.
 *
 * Everything that happens follows from the seed. Events stand in a heap ordered by (time,
 * sequence); after each step the invariants of check.c hold or the run ends with the name of the
 * one that does not. */
#pragma once

#include "base/random.h"
#include "proto/client.h"
#include "support/fake_tls.h"
#include "support/sim_server.h"

#include <stdio.h>

enum {
    SIM_CLIENTS = 4,
    SIM_PACKET = 2048,
    SIM_TRACE = 80,
    SIM_RECORDED = 64,
    SIM_SEQUENCES = 1 << 16
};

/* Faults that the harness plants so that each invariant shows that it can fail (--break NAME). */
enum sim_break {
    SIM_BREAK_NONE,
    SIM_BREAK_REUSE_IDS, /* packet ids start again after a take-over */
    SIM_BREAK_REPLAY,    /* replay windows forget */
    SIM_BREAK_CORRUPT,   /* a byte of an opened packet changes on its way to the tun device */
    SIM_BREAK_SPOOF, /* inner source addresses are not checked: the packet is put on the tun side */
    SIM_BREAK_STREAM, /* control bytes are fed to TLS twice */
    SIM_BREAK_WRAP,   /* a control packet goes out a second time under the same replay id */
    SIM_BREAK_LEAK,   /* nothing expires at the end, so that sessions stay */
    SIM_BREAK_CUT,    /* a client hears nothing any more */
    SIM_BREAK_LET_IN, /* an intruder has a good certificate */
    SIM_BREAK_LAZY,   /* the first packets of each attempt are lost on a clean network */
    SIM_BREAK_DEAF,   /* soft resets are lost on a clean network */
    SIM_BREAK_STUCK,  /* deadlines are ignored */
    SIM_BREAK_FORGET, /* a take-over loses a peer */
    SIM_BREAK_SOURCE, /* the server answers from another address than the one asked */
    SIM_BREAK_CHANCE, /* something outside the seed gets in */
    SIM_BREAK_COUNT,
};

/* Drawn from the seed by scenario.c. Probabilities are in 1/10000. */
struct sim_parameters {
    unsigned n_intruders; /* the last of the clients */
    unsigned n_clients, n_ports, n_engines, n_workers;
    enum amm_wrap_mode mode[SIM_PORTS];
    bool has_v2[SIM_PORTS];
    unsigned loss, duplicate, corrupt, reorder;
    amm_duration delay, jitter, message_delay;
    amm_duration chaos_length, chaos_gap;
    amm_duration traffic_gap;
    amm_duration hand_window, renegotiate, lame_duck;
    uint16_t ping, ping_restart;
    uint64_t spend_ids;
    unsigned n_routes;
    uint8_t topology;
    bool exporter, dynamic, two_round_trips, passwords;
    bool attack; /* strangers send */
    uint8_t cipher;
    unsigned tcp; /* bit per client */
    unsigned v2;  /* bit per client: tls-crypt-v2 where its port has it */
};

enum sim_event_kind {
    SIM_TO_SERVER,
    SIM_TO_CLIENT,
    SIM_CONNECT,
    SIM_TRAFFIC,
    SIM_CHAOS,
    SIM_LINK_LOST
};

struct sim_event {
    amm_time at;
    uint64_t sequence;
    enum sim_event_kind kind;
    unsigned client;
    uint32_t connection;         /* TCP; CONNECT: attempt */
    struct amm_address from, to; /* outer addresses */
    size_t len;
    uint8_t *data; /* owned */
};

struct sim_heap {
    struct sim_event *events;
    size_t n, room;
    uint64_t sequence;
};

/* Which sequence numbers came out on the tun side, per direction. */
struct sim_flow {
    uint32_t next;
    uint64_t delivered;
    uint64_t seen[SIM_SEQUENCES / 64];
};

struct sim_client {
    struct amm_client *client;
    struct amm_tls_context *tls;
    struct amm_seeded_random random;
    struct amm_wrap_config wrap;
    struct amm_drops drops;
    struct amm_address outer;   /* as the server sees it: changes with NAT */
    struct amm_path path;       /* as the client sees it */
    uint32_t connection;        /* TCP: 0 when there is none */
    amm_time last_in, last_out; /* TCP keeps order */
    amm_time outage_until;
    amm_time disturbed;  /* last time that something happened which may end its tunnel */
    amm_time attempt_at; /* when it connected last */
    uint32_t attempts;   /* a planned connect is void when another came before */
    unsigned renewals;
    bool joined, connecting, resting;
    uint32_t inner_ip;
    char name[16];
    struct sim_flow up, down;
};

/* One line of the story, turned into text only when it is shown. */
struct sim_note {
    amm_time at;
    const char *what;
    int client; /* -1: the server */
    bool to_server;
    uint64_t number;
    size_t len;
    uint8_t head[16];
};

struct sim_recorded {
    struct amm_address from, to;
    bool to_server;
    size_t len;
    uint8_t data[SIM_PACKET];
};

struct sim_set; /* of 64-bit numbers */

struct sim {
    uint64_t seed;
    bool trace;
    enum sim_break planted;
    struct sim_parameters is;
    struct amm_seeded_random seeded;
    struct amm_random random;
    struct amm_now now;
    int64_t wall_start, wall_step;
    bool calm, leaving;
    struct sim_heap heap;
    struct sim_server *server;
    struct amm_tls_context *server_tls;
    struct amm_tls_ops tls; /* amm_tls_fake, or with a planted fault */
    struct amm_wrap_config wraps[SIM_PORTS];
    struct amm_seeded_random server_random;
    struct amm_aead *aead; /* of all clients */
    struct sim_client clients[SIM_CLIENTS];
    uint32_t connections;
    struct sim_recorded recorded[SIM_RECORDED]; /* for attackers */
    unsigned n_recorded;
    struct sim_set *nonces, *wrap_ids;
    uint64_t hash;
    struct sim_note notes[SIM_TRACE];
    uint64_t n_notes;
    uint64_t steps, datagrams, restarts, joins, renewals, moves;
    const char *failed; /* name of the invariant */
    char reason[256];
};

/* ---- heap.c ---- */
void sim_heap_add(struct sim_heap *heap, struct sim_event event);
bool sim_heap_take(struct sim_heap *heap, amm_time now, struct sim_event *out);
amm_time sim_heap_next(const struct sim_heap *heap);
void sim_heap_free(struct sim_heap *heap);

/* ---- network.c ---- */
uint64_t sim_below(struct sim *sim, uint64_t bound);
bool sim_chance(struct sim *sim, unsigned per_10000);
void sim_send_from_client(struct sim *sim, unsigned number, const struct amm_path *path,
                          struct amm_view datagram);
void sim_send_from_server(void *sim, const struct amm_path *path, struct amm_view datagram);
void sim_break_connection(struct sim *sim, unsigned number);
void sim_attack(struct sim *sim);
bool sim_server_uses(const struct sim *sim, const struct amm_address *address);

/* ---- clients.c ---- */
void sim_client_start(struct sim *sim, unsigned number);
void sim_client_end(struct sim *sim, unsigned number);
void sim_client_connect(struct sim *sim, unsigned number);
void sim_client_connect_later(struct sim *sim, unsigned number, amm_duration after);
void sim_client_run(struct sim *sim, unsigned number);
void sim_client_input(struct sim *sim, unsigned number, struct amm_span datagram);
void sim_client_new_outer(struct sim *sim, unsigned number, bool new_ip);

/* ---- traffic.c ---- */
void sim_traffic(struct sim *sim, unsigned number);
void sim_tun_of_server(void *sim, uint8_t port_index, struct amm_view packet);
void sim_tun_of_client(struct sim *sim, unsigned number, struct amm_view packet);

/* ---- scenario.c ---- */
void sim_draw_parameters(struct sim *sim);
amm_duration
sim_patience(const struct sim *sim); /* within this a client is back after the last fault */
/* Clients 0 .. n-1 may join; those behind them have no right to. */
unsigned sim_honest(const struct sim *sim);
bool sim_network_is_clean(const struct sim *sim);       /* nothing is lost, late or foreign */
amm_duration sim_handshake_time(const struct sim *sim); /* on such a network */
void sim_print_parameters(const struct sim *sim, FILE *out);
void sim_chaos(struct sim *sim);
/* Notes that something happens to a client until then, which may end its tunnel. */
void sim_disturb(struct sim *sim, unsigned number, amm_time until);

/* ---- world.c ---- */
struct amm_now sim_server_now(const struct sim *sim); /* the server's wall clock makes steps */
void sim_restart_server(struct sim *sim);
/* Runs a seed to its end; true if every invariant held. Free afterwards in both cases. */
bool sim_run(struct sim *sim, uint64_t seed, enum sim_break planted, bool trace);
void sim_end(struct sim *sim);

/* ---- check.c ---- */
extern struct sim *sim_current; /* whose seals are watched */
const char *sim_break_name(enum sim_break planted);
const char *sim_break_shows(enum sim_break planted); /* the invariant that must fire */
void sim_fail(struct sim *sim, const char *invariant, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sim_say(struct sim *sim, const char *what, int client, uint64_t number);
void sim_say_packet(struct sim *sim, const char *what, int client, bool to_server,
                    struct amm_view packet);
void sim_print_notes(const struct sim *sim, FILE *out);
void sim_check_wrap_id(struct sim *sim, unsigned client, bool to_server, struct amm_view packet);
void sim_check_step(struct sim *sim);
bool sim_check_all_up(const struct sim *sim);
void sim_check_freed(struct sim *sim);
struct sim_set *sim_set_new(void);
struct sim_set *sim_set_free(struct sim_set *set);
bool sim_set_add(struct sim_set *set, uint64_t number); /* false if it was in */
