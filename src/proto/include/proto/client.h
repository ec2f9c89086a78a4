/* A whole tunnel client without I/O: the engine in its client role and a data plane with one peer,
 * joined. Used by ammer, by amm-fleet and by the tests. One owner thread. */
#pragma once

#include "proto/engine.h"

struct amm_client;

struct amm_client_config {
    struct amm_engine_config
        engine; /* role is set to AMM_CLIENT; n_sessions and n_negotiations are ignored */
    uint16_t mtu;
    bool null_aead; /* tests */
};

/* `aead` may be shared by the clients of one thread. */
struct amm_client *amm_client_new(const struct amm_client_config *config,
                                  const struct amm_engine_env *env, struct amm_aead *aead,
                                  struct amm_drops *drops, struct amm_now now);
struct amm_client *amm_client_free(struct amm_client *client);

/* Starts a new session to `path`; a former one is dropped silently. */
void amm_client_connect(struct amm_client *client, struct amm_now now, const struct amm_path *path);

/* Takes any datagram from the server (control or data). True if `*inner` is an IP packet for the
 * tun device (inside `datagram`, which is decrypted in place). `*broken` (may be NULL) is set if a
 * TCP connection must be closed because of it. */
bool amm_client_input(struct amm_client *client, struct amm_now now, const struct amm_path *path,
                      struct amm_span datagram, struct amm_span *inner, bool *broken);

/* Seals an inner packet as amm_plane_seal does; `*path` says where it goes. {NULL, 0} while not
 * joined. */
struct amm_span amm_client_seal(struct amm_client *client, struct amm_now now,
                                struct amm_view inner, uint8_t *out, struct amm_path *path);

/* Control packets, pings and exit messages. */
bool amm_client_output(struct amm_client *client, struct amm_now now, struct amm_control_out *out);

/* AUTHORISE and PLANE events never come out here; they are handled inside. */
bool amm_client_next_event(struct amm_client *client, struct amm_event *out);

amm_time amm_client_deadline(const struct amm_client *client);
void amm_client_expire(struct amm_client *client, struct amm_now now);

/* Says goodbye (explicit exit notify) and ends the session; drain output afterwards. */
void amm_client_leave(struct amm_client *client, struct amm_now now);

void amm_client_renegotiate(struct amm_client *client, struct amm_now now);

/* The peer record (counters, path, keys) while joined, else NULL. */
const struct amm_peer *amm_client_peer(const struct amm_client *client);
