/* What the files of the thresholds share. Fleet thread. */
#pragma once

#include "index.h"
#include "thresholds.h"

/* Where thresholds stand: the first of a list. */
struct threshold_place {
    int64_t tenant, group, gateway;
    uint32_t n;
    struct threshold *first; /* by id */
};

/* A gateway that is not simply OK. */
struct threshold_standing {
    int64_t gateway;
    uint32_t n, room;
    struct threshold_record *at;
};

struct thresholds {
    struct manager *m;
    struct index places;    /* struct threshold_place */
    struct index by_id;     /* struct threshold */
    struct index standings; /* struct threshold_standing, by gateway */

    /* Gateways to look at, without repetitions (fleet_gateway.threshold_due). */
    int64_t *due;
    size_t n_due, due_room;
    bool is_posted;
    size_t sweep_at, sweep_left; /* position in the fleet; what is left of a sweep in a hurry */
    uint32_t ticks;
    uint32_t n_pending; /* records whose hold time runs */
    struct manager_timer tick;
    uint64_t judged, raised; /* for /metrics */
};

static inline uint64_t threshold_hash(int64_t a, int64_t b, int64_t c)
{
    uint64_t x = (uint64_t)a * 0x9e3779b97f4a7c15u ^ (uint64_t)b * 0xbf58476d1ce4e5b9u ^
                 (uint64_t)c * 0x94d049bb133111ebu;
    x ^= x >> 31;
    x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

/* ---- thresholds.c ---- */

/* NULL: it stands simply well (with `make`: out of memory). */
struct threshold_standing *threshold_standing_of(struct thresholds *t, int64_t gateway, bool make);
void threshold_standing_drop(struct thresholds *t, int64_t gateway);
struct threshold_record *threshold_record_of(const struct threshold_standing *standing, int64_t id);
/* Reads a gateway's records again: what a unit that was undone has changed. */
void threshold_standing_reload(struct manager *m, int64_t gateway);
/* The worst of its records goes to the gateway itself, for sorting and filtering. */
void threshold_show_worst(struct thresholds *t, struct fleet_gateway *gateway);

/* Forgets those whose group or gateway is gone; the store has already. */
void thresholds_purge(struct thresholds *t);

/* ---- thresholds_watch.c ---- */

bool thresholds_watch_start(struct thresholds *t);
void thresholds_look_at_all(struct thresholds *t); /* soon: a definition has changed */
