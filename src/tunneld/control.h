/* The control thread: the control socket, the channel to the holder, reloads, events and the end.
 * It never touches a packet or an engine; it sends orders to the handshake threads and reads peer
 * records and counters. */
#pragma once

#include "journal.h"
#include "shared.h"

struct amm_control;

struct amm_control_settings {
    struct amm_roster *roster;   /* in use; a reference is taken */
    struct amm_tls_context *tls; /* to try revocation lists with; taken over */
    int64_t certificate_ends;    /* wall seconds */
    enum amm_ipc_alarm alarm;    /* raised at start; 0 none */
    const char *alarm_text;
};

struct amm_control *amm_control_new(struct amm_shared *shared,
                                    const struct amm_control_settings *settings, char *error,
                                    size_t room);
struct amm_control *amm_control_free(struct amm_control *control);

/* Serves until the holder says STOP or is gone and every gateway has been told to reconnect, at
 * most AMM_GOODBYE. */
void amm_control_run(struct amm_control *control);

#define AMM_GOODBYE (1500 * AMM_MILLISECOND)

/* Parses the roster that the holder has read; at start and at each reload. NULL with a sentence in
 * `error`. */
struct amm_roster *amm_roster_load(const struct amm_shared *shared, const struct amm_blob *blob,
                                   char *error, size_t room);
