/* A server's plane and client planes for it, over the real AEAD, for tests of the data plane. */
#pragma once

#include "data/plane.h"
#include "support/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { WORLD_ROOM = 2048 };

/* One side: a plane with its own counters. */
struct side {
    struct amm_plane_config config;
    struct amm_aead *aead;
    struct amm_drops drops;
    void *table;
    uint32_t n_slots;
    struct amm_plane *plane;
};

struct world {
    struct amm_now now;
    struct side server;
    struct side client;
    uint32_t peer_id;
    uint8_t datagram[WORLD_ROOM];
};

/* Server: pool 10.128.0.0/19 net30, TCP 80 published. Client: a peer of it, not yet added on either
 * side. */
void world_open(struct world *world);
void world_close(struct world *world);
int world_tear_down(void **state); /* of cmocka */

/* Makes the plane of `side` from its config; the table is new. */
void side_open(struct side *side, struct amm_now now);
void side_close(struct side *side);

/* Keys number `n` as the server (or the client) has them. */
struct amm_data_keys world_keys(unsigned n, uint8_t key_id, enum amm_role role);
struct amm_path world_path(const char *remote);

/* The commands of a session: `session` is its index and tag; `keys` is the number of the keys. */
struct amm_plane_command world_command(enum amm_plane_op op, uint32_t peer_id, uint32_t session,
                                       unsigned keys, uint8_t key_id, enum amm_role role);
void world_command_side(struct world *world, struct side *side, enum amm_plane_op op,
                        uint32_t peer_id, uint32_t session, unsigned keys, uint8_t key_id);

/* Adds the peer on both sides (session 1, keys 1, key id 0), lets the client send, proves the key
 * to the server, and takes all notes. */
void world_join(struct world *world, uint32_t peer_id);

/* A packet of the client in world->datagram; its length, 0 if the plane dropped it. */
size_t world_client_seal(struct world *world, struct amm_view inner);
/* The same of the server, for the client's inner address. */
size_t world_server_seal(struct world *world, struct amm_view inner);

/* Opens world->datagram at the server, coming from `remote`. True if an inner packet came out. */
bool world_server_open(struct world *world, size_t len, const char *remote, struct amm_span *inner);
bool world_client_open(struct world *world, size_t len, struct amm_span *inner);

/* An ICMP echo request that the server lets pass. */
struct amm_view world_echo(struct world *world);
uint32_t world_client_ip(const struct world *world);
struct amm_peer *world_server_peer(struct world *world, uint32_t peer_id);

/* The next note must be of this kind (and session); returns it. */
struct amm_plane_note take_note(struct side *side, enum amm_plane_note_kind kind, uint32_t session);
void no_note(struct side *side);
void drop_notes(struct side *side);

/* The counter must stand at `n`. */
void assert_drops(const struct side *side, enum amm_drop reason, uint64_t n);
/* All counters together must stand at `n`. */
void assert_all_drops(const struct side *side, uint64_t n);

#define CLIENT_REMOTE "198.51.100.7:40000"
