/* A handshake thread: an engine with the control sessions whose client session id falls to it, its
 * UDP socket of each listener group, and the TCP connections until their peer has joined. Runs at
 * low priority: handshakes give way to data. */
#pragma once

#include "shared.h"

struct amm_handshake;

struct amm_handshake_settings {
    const struct amm_engine_config *engine; /* `thread` is set here */
    struct amm_tls_context *tls;            /* of this thread alone; taken over */
    struct amm_roster *roster;              /* a reference is taken */
};

/* Takes over the sessions that stand in state memory. NULL with a sentence in `error`. */
struct amm_handshake *amm_handshake_new(struct amm_shared *shared, uint16_t index,
                                        const struct amm_handshake_settings *settings,
                                        struct amm_now now, char *error, size_t room);
struct amm_handshake *amm_handshake_free(struct amm_handshake *handshake);

/* The thread: returns NULL when shared->handshakes_stop is set and the bell was rung. */
void *amm_handshake_run(void *handshake);
