/* The check-in of a gateway (GP-40 to GP-49): messages to structures and back, for both ends. The
 * form of everything is checked here, so that what a structure holds is legal; whether a
 * parameter's value fits its registry entry is domain/msci.h's business. Pure: memory and jansson
 * only. */
#pragma once

#include "base/bytes.h"
#include "domain/stats.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AMM_CHECKIN_VERSION = 1,
    AMM_CHECKIN_BODY_MAX = 256 * 1024, /* bytes, either way */
    AMM_CHECKIN_HASH = 17,             /* 16 hex digits and NUL */
    AMM_CHECKIN_ID = 41,               /* operation ids: 1 to 40 letters, digits, '-' */
    AMM_CHECKIN_TEXT = 257,            /* bytes of a text for people, with NUL */
    AMM_CHECKIN_KIND = 33,
    AMM_CHECKIN_EVENTS = 200, /* in one check-in; the rest goes with the next one */
    AMM_CHECKIN_CHANGES = 256,
    AMM_CHECKIN_RESULTS = 64,
    AMM_CHECKIN_OPERATIONS = 32,
    AMM_CHECKIN_REFUSED = 32,
    AMM_PARAMETERS_MAX = 1024,
    AMM_PARAMETER_TEXT_MAX = 4096, /* bytes of a text value */
    AMM_REMOTE_KEY = 32,
    AMM_EVENT_DATA_MAX = 2048, /* bytes of the compact JSON of an event's data */
};

/* Where a gateway's time comes from. */
enum amm_clock_source {
    AMM_CLOCK_NONE,     /* not trusted */
    AMM_CLOCK_SYSTEM,   /* was above the floor at the start; nothing confirmed it yet */
    AMM_CLOCK_SERVER,   /* signed by the manager (GP-10) */
    AMM_CLOCK_CELLULAR, /* network time of the modem */
    AMM_CLOCK_GPS,
    AMM_CLOCK_NTP,
    AMM_CLOCK_SOURCES,
};

/* "none", "system", "server", "cellular", "gps", "ntp" */
const char *amm_clock_source_name(enum amm_clock_source source);

/* Something that is wrong, by name: "stats.CellLink-RSSI", "not a number". */
struct amm_refusal {
    char field[AMM_STAT_NAME_MAX + 24];
    char text[96];
};

struct amm_refusals {
    size_t n; /* kept; */
    struct amm_refusal at[AMM_CHECKIN_REFUSED];
    size_t more; /* that had no room */
};

/* Adds one; `field` and `text` are cut to fit and cleaned. */
void amm_refusals_add(struct amm_refusals *refusals, const char *field, const char *text);

/* A change made on the gateway itself (GP-45). */
struct amm_checkin_change {
    uint32_t id;   /* MSCIID */
    json_t *value; /* {"set": true} for a secret */
    int64_t at;    /* wall seconds of the gateway */
    char by[65];   /* "user" */
};

struct amm_checkin_event {
    uint64_t id; /* from 1, grows */
    int64_t at;
    char kind[AMM_CHECKIN_KIND]; /* 1 to 32 lower-case letters, digits, '-' */
    char text[AMM_CHECKIN_TEXT];
    json_t *data; /* object; NULL: none */
};

enum amm_operation_state {
    AMM_OPERATION_RUNNING,
    AMM_OPERATION_DONE,
    AMM_OPERATION_FAILED,
    AMM_OPERATION_REFUSED, /* this gateway cannot */
    AMM_OPERATION_STATES,
};

/* "running", "done", "failed", "refused" */
const char *amm_operation_state_name(enum amm_operation_state state);

struct amm_checkin_result {
    char id[AMM_CHECKIN_ID]; /* of the operation, or "settings-<revision>" */
    enum amm_operation_state state;
    char text[AMM_CHECKIN_TEXT];
    json_t *data; /* object, e.g. the text of a diagnostics bundle; NULL: none */
};

struct amm_checkin {
    uint64_t seq;
    char base[AMM_CHECKIN_HASH]; /* "": this one is full */
    char hash[AMM_CHECKIN_HASH];

    /* Left out by an idle gateway: has_... */
    bool has_boot, has_uptime, has_time, has_revision, has_tunnel;
    uint32_t boot;               /* how often it has started */
    int64_t uptime;              /* seconds */
    int64_t time;                /* its wall clock */
    enum amm_clock_source clock; /* with has_time */
    int64_t revision;            /* of the desired settings taken last */
    char tunnel[AMM_CHECKIN_HASH];
    bool has_remote_key;               /* GP-71: asks for the server's remote access key */
    char remote_key[AMM_CHECKIN_HASH]; /* which one it has; "": none */

    json_t *stats;      /* object of legal stats; null values take a stat away. NULL: none */
    json_t *parameters; /* object by MSCIID; values are numbers, texts, booleans, {"set": true} */

    size_t n_changes, n_events, n_results;
    struct amm_checkin_change *changes;
    struct amm_checkin_event *events; /* ids rise */
    struct amm_checkin_result *results;

    /* Decoding only: parts that were left out because they are illegal; the rest is good.
     * `event_last` is the highest id seen, also of an event that was left out: it must be
     * acknowledged all the same, or it would come again for ever. */
    struct amm_refusals refused;
    uint64_t event_last;
};

/* False with `*error` naming the member if the message as a whole cannot be taken (400). Call
 * amm_checkin_deinit in both cases. */
bool amm_checkin_decode(struct amm_checkin *out, struct amm_view body, struct amm_refusal *error);
void amm_checkin_deinit(struct amm_checkin *checkin);

/* Compact JSON, malloc'd with a NUL behind its `*len` bytes; NULL: out of memory. */
char *amm_checkin_encode(const struct amm_checkin *checkin, size_t *len);

struct amm_checkin_operation {
    char id[AMM_CHECKIN_ID];
    char kind[AMM_CHECKIN_KIND];
    int64_t expires; /* wall seconds; 0: never */
    json_t *args;    /* object; NULL: none */
};

struct amm_checkin_answer {
    int64_t time;      /* the server's clock */
    uint64_t seq;      /* that is answered */
    uint64_t events;   /* saved up to here; 0: says nothing */
    uint32_t interval; /* seconds; 0: says nothing */
    bool full;
    int64_t revision;              /* with `set` */
    json_t *set;                   /* object by MSCIID; NULL: none */
    char tunnel[AMM_CHECKIN_HASH]; /* "": says nothing */
    bool has_remote_key;
    uint8_t remote_key[AMM_REMOTE_KEY]; /* Ed25519 (domain/assertion.h) */
    size_t n_operations, n_cancelled;
    struct amm_checkin_operation *operations;
    char (*cancelled)[AMM_CHECKIN_ID];
    struct amm_refusals refused;
};

bool amm_checkin_answer_decode(struct amm_checkin_answer *out, struct amm_view body,
                               struct amm_refusal *error);
void amm_checkin_answer_deinit(struct amm_checkin_answer *answer);
char *amm_checkin_answer_encode(const struct amm_checkin_answer *answer, size_t *len);

/* The hash of a whole state (GP-42): equal for equal contents in any order. NULL is an empty
 * object. */
void amm_checkin_state_hash(const json_t *stats, const json_t *parameters,
                            char out[AMM_CHECKIN_HASH]);

/* What changed from `from` to `to`, as an object with null for what is gone; NULL: nothing (or out
 * of memory with *failed). A new reference. */
json_t *amm_checkin_difference(const json_t *from, const json_t *to, bool *failed);

/* Applies stats or parameters of a check-in to the values kept so far: null takes away, all else
 * replaces. False: out of memory, or more than `most` would be left; then nothing changed. */
bool amm_checkin_apply(json_t *values, const json_t *changes, size_t most);
