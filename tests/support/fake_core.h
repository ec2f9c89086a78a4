/* A core of the gateway without a gateway: the pages' unit tests and the preview program
 * (tests/browser/preview.c) set what it says and look at what it was told. */
#pragma once

#include "acemanager/core.h"

enum { FAKE_PARAMETERS = 64, FAKE_EVENTS = 8, FAKE_NTP = 4, FAKE_LISTENS = 4 };

struct ace_core {
    struct amm_now now; /* mono 0: the real clock */
    char folder[512];

    struct {
        char value[AMM_MSCI_VALUE], pending[AMM_MSCI_VALUE];
        bool is_pending;
        int64_t at;
        const char *by;
    } parameters[FAKE_PARAMETERS];  /* in the registry's order */
    char objection[AMM_MSCI_ERROR]; /* not "": ace_parameters_set refuses with it */
    uint32_t objection_id;

    struct ace_identity_view identity;
    struct ace_checkin_view checkin;
    struct ace_tunnel_view tunnel;
    struct ace_clock_view clock;
    struct ace_ntp_view ntp[FAKE_NTP];
    struct ace_bytes_view bytes;
    struct ace_about about;
    struct amm_checkin_event events[FAKE_EVENTS]; /* newest first */
    size_t n_events;
    uint64_t events_waiting, events_lost;
    json_t *stats;
    struct ace_listen listens[FAKE_LISTENS];
    size_t n_listens;
    struct ace_part part;
    bool has_remote_key;
    uint8_t remote_key[32];
    unsigned doubts;        /* about the key */
    uint64_t looks, looked; /* for the tunnel's epoch */
    bool is_slow;           /* looks are not answered at once */

    /* what it was told */
    unsigned activations, reboots, resets, checkins, sets, told;
    bool forgot_identity;
    const char *by;
    char last_event[64];
};

/* All defaults: nothing enrolled, tunnel disabled, no stats. */
void fake_core_init(struct ace_core *core, const char *folder);
void fake_core_deinit(struct ace_core *core);

/* A gateway that is up: what the mock of the console reference shows. */
void fake_core_busy(struct ace_core *core, int64_t wall);

/* Every text that came from outside is markup that wants to run. */
void fake_core_hostile(struct ace_core *core);

void fake_core_set(struct ace_core *core, uint32_t id, const char *value);
