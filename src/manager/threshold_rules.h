/* A threshold: a column of the dashboard, and perhaps conditions on a stat that raise an event.
 * What its members mean, and what follows for one value. No store, no clock.
 *
 * A threshold is for a branch (all gateways in a group and below it) or for one gateway. Of several
 * with one label that reach a gateway, the nearest counts: its own, then its group's, and so on
 * up. */
#pragma once

#include "base/time.h"
#include "gateway_stat.h"
#include "pattern.h"

#include <jansson.h>

enum {
    THRESHOLD_LABEL_MAX = 64,
    THRESHOLD_VALUE_MAX = 64, /* of a condition; also the default value */
    THRESHOLD_UNIT_MAX = 16,
    THRESHOLD_HOLD_MAX = 86400,
};

enum threshold_state {                 /* numbers are stored; in the order of how bad they are */
                       THRESHOLD_NONE, /* nothing to say: no value yet, no conditions */
                       THRESHOLD_OK,
                       THRESHOLD_WARNING,
                       THRESHOLD_ERROR,
};
const char *threshold_state_name(enum threshold_state state); /* "ok" */

enum threshold_op {
    OP_NONE, /* no condition */
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_EQ,
    OP_NE,
    OP_MISSING,
    OP_PRESENT,
    OP_MATCHES,
};

struct threshold_condition {
    enum threshold_op op;
    bool is_number;
    double number;
    char value[THRESHOLD_VALUE_MAX + 1];
    struct pattern *pattern; /* OP_MATCHES; owned */
};

struct threshold {
    int64_t id, tenant, group; /* group 0: the whole tenant */
    int64_t gateway;           /* 0: for the branch */
    char label[THRESHOLD_LABEL_MAX + 1];
    char stat[AMM_STAT_NAME_MAX + 1], stat_label[AMM_STAT_NAME_MAX + 1];
    unsigned kinds;                              /* bits 1 << enum fleet_kind; never 0 */
    char default_value[THRESHOLD_VALUE_MAX + 1]; /* what is meant when nothing is reported; "" */
    char display_filter[PATTERN_MAX + 1];        /* shows what it matches; "": everything */
    struct pattern *filter;                      /* owned; NULL: no filter */
    uint32_t dashboard_group, order;             /* columns from left to right */
    struct threshold_condition warning, error;
    double hysteresis; /* how far a number must come back behind the mark; >= 0 */
    uint32_t hold;     /* seconds that a condition must hold before it counts */
    char unit[THRESHOLD_UNIT_MAX + 1];
    struct stat_key key;    /* of stat and stat_label */
    struct threshold *next; /* of the same place; thresholds.c */
};

/* Takes the members that `json` has; the others stay as they are (zeroed: the defaults). Not
 * "tenant", "group", "gateway", "id". False with an error that names the member; *out is then to be
 * cleared all the same. */
bool threshold_read(struct threshold *out, const json_t *json, struct fleet_error *error);
/* The same members; a new reference. NULL: out of memory. */
json_t *threshold_write(const struct threshold *threshold);
void threshold_clear(struct threshold *threshold); /* what it owns */

/* What a gateway shows in the column. */
struct threshold_cell {
    enum stat_says says;
    bool is_there; /* it has a value, or the default stands for it */
    bool is_number;
    double number;
    char text[AMM_STAT_TEXT_MAX + 1];
};
void threshold_cell(const struct threshold *threshold, const struct fleet_gateway *gateway,
                    int64_t now, struct threshold_cell *out);
/* `cell->text` behind the display filter. */
void threshold_shown(const struct threshold *threshold, const struct threshold_cell *cell,
                     char *out, size_t room);

/* The state that this value means when it has been `before` so far (hysteresis). */
enum threshold_state threshold_judge(const struct threshold *threshold,
                                     const struct threshold_cell *cell,
                                     enum threshold_state before);

/* One (threshold, gateway) that is not simply OK. */
struct threshold_record {
    int64_t threshold;
    int64_t since;                /* wall seconds, of `state` */
    amm_time pending_at;          /* monotonic, since when `pending` holds; AMM_NEVER: nothing is */
    enum threshold_state state;   /* as the operator sees it */
    enum threshold_state pending; /* worse, but its hold time is not over */
};
/* Takes a new judgement in. True if `state` has changed. */
bool threshold_step(const struct threshold *threshold, struct threshold_record *record,
                    enum threshold_state judged, struct amm_now now);

/* "RSSI: -105 dBm, below -100 dBm": what an event says. */
void threshold_text(const struct threshold *threshold, const struct threshold_cell *cell,
                    enum threshold_state state, char *out, size_t room);

/* About how many steps one look at its patterns costs: scans over many gateways add it up and stop
 * when they have had enough. */
size_t threshold_cost(const struct threshold *threshold, const struct threshold_cell *cell);
