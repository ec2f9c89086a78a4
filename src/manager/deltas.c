#include "deltas.h"

#include "fleet_module.h"
#include "index.h"
#include "manager/stream.h"

#include <stdlib.h>

#define PAUSE (AMM_SECOND / 2)

struct delta {
    struct delta *next; /* oldest first */
    int64_t gateway, group, tenant;
    unsigned changes;
};

struct deltas {
    struct manager *m;
    struct index by_gateway;
    struct delta *first, **last;
    bool is_too_much;
    struct manager_timer timer;
};

static uint64_t hash_of(int64_t id)
{
    uint64_t x = (uint64_t)id * 0x9e3779b97f4a7c15u;
    return x ^ x >> 32;
}

static bool is_of(const void *item, void *key)
{
    return ((const struct delta *)item)->gateway == *(const int64_t *)key;
}

static struct delta *take_first(struct deltas *d)
{
    struct delta *delta = d->first;
    if (delta != NULL) {
        d->first = delta->next;
        d->last = d->first ? d->last : &d->first;
        index_remove(&d->by_gateway, hash_of(delta->gateway), delta);
    }
    return delta;
}

static void drop_all(struct deltas *d)
{
    for (struct delta *delta; (delta = take_first(d)) != NULL;) {
        free(delta);
    }
}

/* ---- what is told ---- */

static json_t *changes_to_json(unsigned changes)
{
    static const char *const names[] = {"created",    "deleted", "moved",    "access",
                                        "check-in",   "values",  "settings", "tunnel",
                                        "operations", "events",  "edited"};
    json_t *list = json_array();
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (changes & 1u << i) {
            json_array_append_new(list, json_string(names[i]));
        }
    }
    return list;
}

static json_t *item_json(struct manager *m, const struct delta *delta)
{
    const struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, delta->gateway);
    json_t *json = gateway ? gateway_to_json_compact(gateway, m->now.wall)
                           : json_pack("{s:o}", "id", job_json_id(delta->gateway));
    if (json != NULL) {
        json_object_set_new(json, "changes", changes_to_json(delta->changes));
    }
    return json;
}

static int compare_places(const void *a, const void *b)
{
    const struct delta *x = *(struct delta *const *)a, *y = *(struct delta *const *)b;
    if (x->tenant != y->tenant) {
        return x->tenant < y->tenant ? -1 : 1;
    }
    return (x->group > y->group) - (x->group < y->group);
}

static bool is_same_place(const struct delta *a, const struct delta *b)
{
    return a->tenant == b->tenant && a->group == b->group;
}

static void tell(struct manager *m, struct delta **list, size_t n)
{
    qsort(list, n, sizeof(struct delta *), compare_places);
    for (size_t i = 0; i < n;) {
        struct access_object place = {list[i]->tenant, list[i]->group};
        json_t *items = json_array();
        size_t first = i;
        while (i < n && i - first < DELTAS_OF_MESSAGE && is_same_place(list[i], list[first])) {
            json_array_append_new(items, item_json(m, list[i++]));
        }
        stream_publish(m, &place, "gateways", json_pack("{s:o}", "items", items));
    }
}

static void fire(struct manager *m, struct manager_timer *timer)
{
    struct deltas *d = timer->context;
    struct delta *list[DELTAS_AT_ONCE];
    size_t n = 0;
    if (!stream_is_heard(m)) {
        drop_all(d);
        d->is_too_much = false;
        return;
    }
    if (d->is_too_much) {
        d->is_too_much = false;
        drop_all(d);
        stream_reset(m);
        return;
    }
    while (n < DELTAS_AT_ONCE && d->first != NULL) {
        list[n++] = take_first(d);
    }
    tell(m, list, n);
    for (size_t i = 0; i < n; i++) {
        free(list[i]);
    }
    if (d->first != NULL) {
        manager_timer_set(m, timer, amm_time_after(m->now.mono, PAUSE));
    }
}

/* ---- what is noted ---- */

void deltas_note(struct deltas *d, const struct fleet_note *note)
{
    int64_t id = note->gateway_id;
    struct delta *delta = index_find(&d->by_gateway, hash_of(id), is_of, &id);
    if (delta == NULL) {
        delta = d->by_gateway.used < DELTAS_WAITING ? calloc(1, sizeof *delta) : NULL;
        if (delta == NULL || !index_add(&d->by_gateway, hash_of(id), delta)) {
            free(delta);
            d->is_too_much = true;
            return;
        }
        if (d->first == NULL) {
            manager_timer_set(d->m, &d->timer, amm_time_after(d->m->now.mono, PAUSE));
        }
        delta->gateway = id;
        *d->last = delta;
        d->last = &delta->next;
    }
    delta->changes |= note->changes;
    delta->group = note->group_id;
    delta->tenant = note->tenant_id;
}

struct deltas *deltas_new(struct manager *m)
{
    struct deltas *d = calloc(1, sizeof *d);
    if (d != NULL) {
        d->m = m;
        d->last = &d->first;
        d->timer = (struct manager_timer){.fire = fire, .context = d};
    }
    return d;
}

struct deltas *deltas_free(struct deltas *d)
{
    if (d != NULL) {
        manager_timer_set(d->m, &d->timer, AMM_NEVER);
        drop_all(d);
        index_deinit(&d->by_gateway);
        free(d);
    }
    return NULL;
}
