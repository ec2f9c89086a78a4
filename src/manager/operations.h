/* Operations: one action on one gateway, done by the gateway when it checks in.
 *
 *   queued ──(sent with an answer)──► taken ──► running ──► done | failed | refused
 *      └──► cancelled, expired          └──► expired, when no result came
 *
 * An operation has a random id, so that a restored database never gives one out twice, and may have
 * a key of the caller's: the same key for the same gateway is the same operation. It can be
 * cancelled until it is taken. It is sent with every answer until the gateway has said something
 * about it (GP-49).
 *
 * Rows live in the store; open ones of a gateway are counted in memory, so that a gateway without
 * any costs nothing. Owner: the fleet thread. */
#pragma once

#include "fleet.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    OPERATION_ID = 27, /* 26 characters: time and 80 random bits, and NUL */
    OPERATION_KEY_MAX = 64,
    OPERATIONS_OPEN_MAX = 32,      /* of one gateway */
    OPERATION_EXPIRES = 7 * 86400, /* seconds, unless said otherwise */
    OPERATION_EXPIRES_MAX = 366 * 86400,
};

enum operation_state {
    OPERATION_QUEUED,
    OPERATION_TAKEN,
    OPERATION_RUNNING,
    OPERATION_DONE, /* this and what follows has ended */
    OPERATION_FAILED,
    OPERATION_REFUSED,
    OPERATION_CANCELLED,
    OPERATION_EXPIRED,
    OPERATION_STATES,
};
const char *operation_state_name(enum operation_state state);
bool operation_state_parse(const char *name, enum operation_state *out);

/* What can be asked for. New kinds are rows of this table. */
struct operation_kind {
    const char *name;
    const char *feature;  /* of requirements.h: what the gateway must support; NULL: a check-in */
    bool is_destructive;  /* the API wants the gateway's name once more */
    bool is_upgrade;      /* desired settings may wait for it: "Pending (firmware update)" */
    bool is_reserved;     /* known by name only */
    bool offers_settings; /* also those that the gateway could not take before */
    /* Checks the arguments: false with `field` ("args.minutes") and a text. NULL: takes none. */
    bool (*check)(const json_t *args, struct fleet_error *error);
    const char *doc;
};
extern const struct operation_kind operation_kinds[];
extern const size_t operation_kinds_count;
const struct operation_kind *operation_kind_find(const char *name);

struct operation {
    int64_t row;
    char id[OPERATION_ID];
    int64_t gateway_id;
    const struct operation_kind *kind;
    enum operation_state state;
    json_t *args;   /* object; NULL: none */
    json_t *result; /* what the gateway gave with its result; NULL: none */
    char *text;     /* of the result; "" */
    char *by;       /* who asked */
    char *key;      /* "" */
    int64_t created_at, expires_at, taken_at, ended_at; /* 0: not yet */
};
struct amm_rows;
/* The columns of store/statements/operation.def. */
void operation_of_row(const struct amm_rows *rows, struct operation *out);
void operation_deinit(struct operation *operation);
json_t *operation_to_json(struct fleet *fleet, const struct operation *operation);

struct operation_new {
    const char *kind;
    json_t *args;       /* borrowed; NULL: none */
    const char *key;    /* NULL: none */
    int64_t expires_in; /* seconds; 0: OPERATION_EXPIRES */
    const char *by;
};

/* Adds one, or gives the one that has this key already. False with `error`: unknown kind, bad
 * arguments, gateway cannot (requirements.h), too many. Call operation_deinit. */
bool operation_add(struct fleet *fleet, struct fleet_gateway *gateway,
                   const struct operation_new *what, int64_t now, struct operation *out,
                   struct fleet_error *error);
/* False, 404, if there is none. */
bool operation_find(struct fleet *fleet, const char *id, struct operation *out,
                    struct fleet_error *error);
/* 409 "taken" once the gateway has it. */
bool operation_cancel(struct fleet *fleet, struct operation *operation, int64_t now,
                      struct fleet_error *error);

/* Those to be sent to a gateway now, oldest first: they become taken. At most `room`. */
bool operations_take(struct fleet *fleet, struct fleet_gateway *gateway, int64_t now,
                     struct amm_checkin_operation *out, size_t room, size_t *n);
/* A gateway's word about one. Unknown and ended ones change nothing. */
bool operation_result(struct fleet *fleet, struct fleet_gateway *gateway,
                      const struct amm_checkin_result *result, int64_t now);
/* Ends what is past its time; at most `most` at once, returns how many. */
size_t operations_expire(struct fleet *fleet, int64_t now, size_t most);
