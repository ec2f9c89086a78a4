/* The data plane of one port for one worker: opens and seals packets, checks inner addresses, keeps
 * the tunnels alive, and follows gateways that change their address. Sans-I/O: datagrams in and
 * out, time passed in. One owner thread. The packet path (open, route, seal) never allocates and
 * never calls TLS.
 *
 * The control channel lives elsewhere (proto/engine.h). The two talk by values: commands go in,
 * notes come out; in the server they cross threads through rings, in a client and in the simulator
 * they are passed on.
 *
 * Order of checks on receipt: length, opcode, peer id, key id, authentication, replay; only then
 * state (address, last_rx, keys) changes; then the inner checks. */
#pragma once

#include "base/bytes.h"
#include "base/drop.h"
#include "crypto/tls.h"
#include "data/peer.h"
#include "data/pool.h"

/* ---- commands ---- */

enum amm_plane_op {
    AMM_PLANE_ADD,     /* make the peer and install its first keys; answered by NOTE_INSTALLED or
                          NOTE_REFUSED */
    AMM_PLANE_INSTALL, /* install further keys for receiving; answered by NOTE_INSTALLED or
                          NOTE_REFUSED */
    AMM_PLANE_SEND,    /* send with the keys of `key_id` from now on, if they are still installed */
    AMM_PLANE_EXIT,   /* tell the peer to reconnect (exit message on the data channel), then drop it
                       */
    AMM_PLANE_REMOVE, /* drop it without a word; keys are wiped */
};

struct amm_plane_command {
    uint8_t op; /* enum amm_plane_op */
    uint8_t port_index;
    uint16_t reserved;
    uint32_t peer_id;
    struct amm_session_ref session;
    struct amm_data_keys keys; /* ADD, INSTALL; SEND uses key_id only */
    /* ADD only: */
    struct amm_path path;
    uint64_t epoch;
    uint32_t inner_ip;
    uint16_t ping, ping_restart;
    uint8_t data_v1;
    uint8_t reserved2[3];
    char name[AMM_NAME_MAX + 1];
};

/* ---- notes ---- */

enum amm_plane_note_kind {
    AMM_NOTE_INSTALLED, /* keys of `key_id` open packets now: the message that makes the peer switch
                           may leave */
    AMM_NOTE_REFUSED, /* ADD: peer id, address or cipher impossible here; INSTALL: no such peer any
                         more, or the key id is the one being sent with */
    AMM_NOTE_PROVEN, /* first authenticated packet under `key_id`: the peer uses it, and so do we */
    AMM_NOTE_MOVED,  /* the peer floated to `path` */
    AMM_NOTE_WORN,   /* key is nearly used up (packet ids, blocks or failures): renegotiate */
    AMM_NOTE_SILENT, /* ping_restart passed: the peer was dropped */
    AMM_NOTE_EXITED, /* the peer said it exits: dropped */
    AMM_NOTE_REPLACED, /* a newer session of the same gateway took over: dropped */
    AMM_NOTE_REMOVED,  /* EXIT or REMOVE is done */
};

struct amm_plane_note {
    uint8_t kind; /* enum amm_plane_note_kind */
    uint8_t key_id;
    uint8_t port_index;
    uint8_t reserved;
    uint32_t peer_id;
    struct amm_session_ref session;
    struct amm_path path; /* MOVED */
};

/* ---- set-up ---- */

struct amm_plane_config {
    enum amm_role role;
    uint8_t port_index;
    uint16_t worker,
        n_workers; /* this plane serves the slots with slot % n_workers == worker; client: 0, 1 */
    struct amm_pool pool; /* server only */
    uint16_t mtu;         /* inner MTU, 1400 */
    uint16_t
        published[8]; /* TCP ports of the tunnel address that gateways may open; 0 ends the list */
    amm_duration lame_duck; /* how long a replaced key goes on opening packets */
    uint64_t
        spend_ids; /* packet ids after which NOTE_WORN is given; 0 = 0xFF000000 (tests use less) */
    bool no_inner_check; /* tests: show that the other isolation layers hold */
};

/* Peer records of one port: two lanes, so that an old and a new session of one gateway can overlap.
 * The memory belongs to the caller (state memory on a server) and is shared by the planes of a
 * port. */
size_t amm_peer_table_size(uint32_t n_slots); /* bytes, for slots 0..n_slots */
/* A server's record for this id, whoever is there now. (A client: amm_plane_route.) */
struct amm_peer *amm_peer_table_at(void *table, uint32_t n_slots,
                                   uint32_t peer_id); /* NULL: out of range */

struct amm_plane;

/* `table` as above, zeroed when new. `n_slots` is amm_pool_slots() on a server, 1 in a client. */
struct amm_plane *amm_plane_new(const struct amm_plane_config *config, void *table,
                                uint32_t n_slots, struct amm_aead *aead, struct amm_drops *drops,
                                struct amm_now now);
struct amm_plane *amm_plane_free(struct amm_plane *plane);

/* Takes over the records of a former process: drops torn ones, moves packet ids past what may have
 * been used, gives keys new serials, sets timers. Returns how many peers live on. */
uint32_t amm_plane_adopt(struct amm_plane *plane, struct amm_now now);

/* ---- packet path ---- */

enum { AMM_DATA_OVERHEAD = 24 }; /* DATA_V2: opcode and peer id 4, packet id 4, tag 16 */

/* Opens a data packet (opcode DATA_V1 or DATA_V2; the caller sends other opcodes to the engine).
 * The datagram is decrypted in place. True if `*inner` is an IP packet for the tun device, which
 * points into `datagram`; false if it was consumed (ping, exit) or dropped and counted. SYNs come
 * out with their MSS clamped. */
bool amm_plane_open(struct amm_plane *plane, struct amm_now now, const struct amm_path *path,
                    struct amm_span datagram, struct amm_span *inner);

/* The live peer that owns inner address `ip` (server), or the only peer (client); NULL is counted.
 */
struct amm_peer *amm_plane_route(struct amm_plane *plane, uint32_t ip);

/* Seals one inner packet for `peer` into out[inner.len + AMM_DATA_OVERHEAD]; `inner.data` may be
 * out + 24 (then nothing is copied; with data_v1 the payload still is where it was and the datagram
 * starts at out + 3, see the return). Returns the datagram, or {NULL, 0} if it was dropped and
 * counted. The caller sends it to peer->path. */
struct amm_span amm_plane_seal(struct amm_plane *plane, struct amm_now now, struct amm_peer *peer,
                               struct amm_view inner, uint8_t *out);

/* ---- the rest ---- */

/* A command for a peer or session that is gone does nothing but answer: INSTALL with REFUSED, EXIT
 * and REMOVE with REMOVED. Take the notes after each command, or after a few: at most 200 commands
 * (8 in a client) fit. */
void amm_plane_command(struct amm_plane *plane, struct amm_now now,
                       const struct amm_plane_command *command);

/* The oldest note; false when there is none. While notes are not taken, packets that would make one
 * are dropped (QUEUE_FULL) and timers wait: nothing is lost, it happens later. */
bool amm_plane_next_note(struct amm_plane *plane, struct amm_plane_note *out);

/* Pings and exit messages (an exit message leaves three times over UDP, then the peer is dropped):
 * fills out[room >= 64] and `*path`; 0 when there are no more. */
size_t amm_plane_output(struct amm_plane *plane, struct amm_now now, struct amm_path *path,
                        uint8_t *out, size_t room);

/* When to call amm_plane_expire next; in the past while output() or notes wait to be taken. */
amm_time amm_plane_deadline(const struct amm_plane *plane);
void amm_plane_expire(struct amm_plane *plane, struct amm_now now);

/* Number of live peers. */
uint32_t amm_plane_live(const struct amm_plane *plane);
