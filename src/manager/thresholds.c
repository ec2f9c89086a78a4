/* Which thresholds there are, and the records of how gateways stand. */
#include "thresholds_parts.h"

#include "manager/metrics.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- places ---- */

struct place_key {
    int64_t tenant, group, gateway;
};

static bool place_is(const void *item, void *key)
{
    const struct threshold_place *place = item;
    const struct place_key *want = key;
    return place->tenant == want->tenant && place->group == want->group &&
           place->gateway == want->gateway;
}

static struct threshold_place *place_find(const struct thresholds *t, int64_t tenant, int64_t group,
                                          int64_t gateway)
{
    struct place_key key = {tenant, group, gateway};
    return index_find(&t->places, threshold_hash(tenant, group, gateway), place_is, &key);
}

static struct threshold_place *place_make(struct thresholds *t, const struct threshold *of)
{
    struct threshold_place *place = place_find(t, of->tenant, of->group, of->gateway);
    if (place != NULL) {
        return place;
    }
    place = calloc(1, sizeof *place);
    if (place == NULL ||
        !index_add(&t->places, threshold_hash(of->tenant, of->group, of->gateway), place)) {
        free(place);
        return NULL;
    }
    place->tenant = of->tenant;
    place->group = of->group;
    place->gateway = of->gateway;
    return place;
}

static bool threshold_is(const void *item, void *key)
{
    return ((const struct threshold *)item)->id == *(const int64_t *)key;
}

struct threshold *threshold_find(const struct thresholds *t, int64_t id)
{
    return index_find(&t->by_id, threshold_hash(id, 0, 0), threshold_is, &id);
}

static void threshold_free(struct threshold *threshold)
{
    if (threshold != NULL) {
        threshold_clear(threshold);
        free(threshold);
    }
}

/* Takes it over; false: out of memory, and it is freed. */
static bool insert(struct thresholds *t, struct threshold *threshold)
{
    struct threshold_place *place = place_make(t, threshold);
    if (place == NULL || !index_add(&t->by_id, threshold_hash(threshold->id, 0, 0), threshold)) {
        threshold_free(threshold);
        return false;
    }
    struct threshold **at = &place->first;
    while (*at != NULL && (*at)->id < threshold->id) {
        at = &(*at)->next;
    }
    threshold->next = *at;
    *at = threshold;
    place->n++;
    return true;
}

static void forget(struct thresholds *t, struct threshold *threshold)
{
    struct threshold_place *place =
        place_find(t, threshold->tenant, threshold->group, threshold->gateway);
    struct threshold **at = &place->first;
    while (*at != threshold) {
        at = &(*at)->next;
    }
    *at = threshold->next;
    index_remove(&t->by_id, threshold_hash(threshold->id, 0, 0), threshold);
    if (--place->n == 0) {
        index_remove(&t->places, threshold_hash(place->tenant, place->group, place->gateway),
                     place);
        free(place);
    }
    threshold_free(threshold);
}

/* ---- which ones reach a gateway ---- */

static size_t add_place(const struct threshold_place *place, const struct fleet_gateway *gateway,
                        const struct threshold *out[THRESHOLDS_REACHING], size_t n)
{
    for (const struct threshold *one = place ? place->first : NULL; one; one = one->next) {
        bool fits = gateway == NULL || (one->kinds & 1u << gateway->kind) != 0;
        for (size_t i = 0; i < n && fits; i++) {
            fits = strcmp(out[i]->label, one->label) != 0;
        }
        if (fits && n < THRESHOLDS_REACHING) {
            out[n++] = one;
        }
    }
    return n;
}

size_t thresholds_reaching(const struct thresholds *t, const struct fleet_group *group,
                           const struct fleet_gateway *gateway,
                           const struct threshold *out[THRESHOLDS_REACHING])
{
    size_t n = 0;
    int64_t tenant = group->tenant->id;
    if (gateway != NULL) {
        n = add_place(place_find(t, tenant, 0, gateway->id), gateway, out, n);
    }
    for (; group != NULL; group = group->parent) {
        n = add_place(place_find(t, tenant, group->id, 0), gateway, out, n);
    }
    return n;
}

static int compare_columns(const void *a, const void *b)
{
    const struct threshold *x = *(const struct threshold *const *)a;
    const struct threshold *y = *(const struct threshold *const *)b;
    if (x->dashboard_group != y->dashboard_group) {
        return x->dashboard_group < y->dashboard_group ? -1 : 1;
    }
    if (x->order != y->order) {
        return x->order < y->order ? -1 : 1;
    }
    return (x->id > y->id) - (x->id < y->id);
}

void thresholds_sort(const struct threshold **list, size_t n)
{
    qsort(list, n, sizeof *list, compare_columns);
}

size_t thresholds_at(const struct thresholds *t, int64_t tenant, int64_t group, int64_t gateway,
                     void (*each)(void *context, const struct threshold *threshold), void *context)
{
    const struct threshold_place *place = place_find(t, tenant, group, gateway);
    for (const struct threshold *one = place ? place->first : NULL; one && each; one = one->next) {
        each(context, one);
    }
    return place ? place->n : 0;
}

/* ---- from the store ---- */

static struct threshold *from_row(const struct amm_rows *rows)
{
    struct fleet_error error;
    struct amm_view text = amm_rows_view(rows, 4);
    struct threshold *threshold = calloc(1, sizeof *threshold);
    json_t *json = json_loadb((const char *)text.data, text.len, 0, NULL);
    if (threshold != NULL) {
        threshold->id = amm_rows_number(rows, 0);
        threshold->tenant = amm_rows_number(rows, 1);
        threshold->group = amm_rows_number(rows, 2);
        threshold->gateway = amm_rows_number(rows, 3);
    }
    bool good = threshold != NULL && json != NULL && threshold_read(threshold, json, &error);
    json_decref(json);
    if (!good) {
        threshold_free(threshold);
        return NULL;
    }
    return threshold;
}

static bool load_all(struct thresholds *t)
{
    bool good = true;
    struct amm_rows *rows = amm_store_query(t->m->store, AMM_SQL_THRESHOLD_ALL, AMM_WITHOUT);
    while (good && amm_rows_next(rows)) {
        struct threshold *threshold = from_row(rows);
        good = threshold != NULL && insert(t, threshold);
    }
    return amm_rows_end(rows) == AMM_STORE_OK && good;
}

/* As it is in the store: changed, gone, or there again. */
static void reload(struct manager *m, void *data)
{
    struct thresholds *t = m->thresholds;
    int64_t id = *(const int64_t *)data;
    struct threshold *known = threshold_find(t, id);
    struct amm_rows *rows =
        amm_store_query(m->store, AMM_SQL_THRESHOLD_ONE, AMM_WITH(amm_number(id)));
    struct threshold *stored = amm_rows_next(rows) ? from_row(rows) : NULL;
    if (amm_rows_end(rows) == AMM_STORE_OK) {
        if (known != NULL) {
            forget(t, known);
        }
        if (stored != NULL) {
            insert(t, stored);
        }
        thresholds_look_at_all(t);
    }
}

void thresholds_purge(struct thresholds *t)
{
    for (uint32_t i = 0; i < t->places.slots; i++) {
        struct threshold_place *place = t->places.items[i];
        while (place != NULL &&
               (place->gateway != 0
                    ? fleet_gateway_find(t->m->fleet, place->gateway) == NULL
                    : fleet_branch_find(t->m->fleet, place->tenant, place->group) == NULL)) {
            bool is_last = place->n == 1;
            forget(t, place->first);
            place = is_last ? t->places.items[i] : place; /* another one may have moved there */
        }
    }
}

static void changed(struct manager *m, void *data)
{
    (void)data;
    thresholds_look_at_all(m->thresholds);
}

/* ---- changing ---- */

static bool store_refused(struct manager *m, enum amm_store_result result,
                          struct fleet_error *error)
{
    if (result == AMM_STORE_OK) {
        return true;
    }
    return fleet_refuse(
        error, result == AMM_STORE_FULL || result == AMM_STORE_READ_ONLY ? 507 : 503,
        "store-refuses", NULL, "the change could not be saved: %s", amm_store_error(m->store));
}

static char *definition_of(const struct threshold *threshold)
{
    json_t *json = threshold_write(threshold);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}

static bool label_is_taken(const struct thresholds *t, const struct threshold *what)
{
    const struct threshold_place *place = place_find(t, what->tenant, what->group, what->gateway);
    for (const struct threshold *one = place ? place->first : NULL; one; one = one->next) {
        if (one->id != what->id && strcmp(one->label, what->label) == 0) {
            return true;
        }
    }
    return false;
}

static size_t count_of_branches(const struct thresholds *t, int64_t tenant)
{
    size_t n = 0;
    for (uint32_t i = 0; i < t->places.slots; i++) {
        const struct threshold_place *place = t->places.items[i];
        n += place && place->tenant == tenant && place->gateway == 0 ? place->n : 0;
    }
    return n;
}

static bool may_add(const struct thresholds *t, const struct threshold *what,
                    struct fleet_error *error)
{
    if (label_is_taken(t, what)) {
        return fleet_refuse(error, 409, "exists", "label", "there is a threshold \"%s\" already",
                            what->label);
    }
    bool is_full = what->gateway != 0 ? thresholds_at(t, what->tenant, 0, what->gateway, NULL,
                                                      NULL) >= THRESHOLDS_OF_GATEWAY
                                      : count_of_branches(t, what->tenant) >= THRESHOLDS_OF_TENANT;
    return !is_full ||
           fleet_refuse(error, 409, "too-many", NULL,
                        "a tenant has at most %d thresholds of groups, a gateway %d of its own: "
                        "remove one first",
                        THRESHOLDS_OF_TENANT, THRESHOLDS_OF_GATEWAY);
}

struct threshold *threshold_add(struct manager *m, const struct threshold *what,
                                struct fleet_error *error)
{
    struct thresholds *t = m->thresholds;
    if (!may_add(t, what, error)) {
        return NULL;
    }
    json_t *members = threshold_write(what);
    char *text = definition_of(what);
    struct threshold *threshold = members && text ? calloc(1, sizeof *threshold) : NULL;
    bool good = threshold != NULL || fleet_refuse(error, 503, "no-memory", NULL, "out of memory");
    if (good) {
        threshold->tenant = what->tenant;
        threshold->group = what->group;
        threshold->gateway = what->gateway;
        struct amm_value gateway = what->gateway != 0 ? amm_number(what->gateway) : amm_null();
        good = threshold_read(threshold, members, error) &&
               store_refused(
                   m,
                   amm_store_number(m->store, AMM_SQL_THRESHOLD_ADD,
                                    AMM_WITH(amm_number(what->tenant), amm_number(what->group),
                                             gateway, amm_text(text)),
                                    &threshold->id),
                   error);
    }
    json_decref(members);
    free(text);
    if (!good) {
        threshold_free(threshold);
        return NULL;
    }
    int64_t id = threshold->id;
    manager_undo(m, reload, &id, sizeof id);
    manager_after(m, changed, NULL, 0);
    if (!insert(t, threshold)) {
        fleet_refuse(error, 503, "no-memory", NULL, "out of memory");
        return NULL;
    }
    return threshold;
}

bool threshold_change(struct manager *m, struct threshold *threshold, const json_t *members,
                      struct fleet_error *error)
{
    struct threshold next = {.id = threshold->id,
                             .tenant = threshold->tenant,
                             .group = threshold->group,
                             .gateway = threshold->gateway};
    json_t *all = threshold_write(threshold);
    bool good = all != NULL && json_object_update(all, (json_t *)(uintptr_t)members) == 0;
    good = (good || fleet_refuse(error, 503, "no-memory", NULL, "out of memory")) &&
           threshold_read(&next, all, error);
    json_decref(all);
    if (good && label_is_taken(m->thresholds, &next)) {
        good = fleet_refuse(error, 409, "exists", "label", "there is a threshold \"%s\" already",
                            next.label);
    }
    char *text = good ? definition_of(&next) : NULL;
    good = good && text != NULL &&
           store_refused(m,
                         amm_store_run(m->store, AMM_SQL_THRESHOLD_SET,
                                       AMM_WITH(amm_text(text), amm_number(threshold->id),
                                                amm_number(threshold->tenant))),
                         error);
    free(text);
    if (!good) {
        threshold_clear(&next);
        return false;
    }
    manager_undo(m, reload, &threshold->id, sizeof threshold->id);
    manager_after(m, changed, NULL, 0);
    threshold_clear(threshold);
    next.next = threshold->next;
    *threshold = next;
    threshold->key = stat_key(threshold->stat, threshold->stat_label); /* borrows from itself */
    return true;
}

bool threshold_remove(struct manager *m, struct threshold *threshold, struct fleet_error *error)
{
    if (!store_refused(
            m,
            amm_store_run(m->store, AMM_SQL_THRESHOLD_REMOVE,
                          AMM_WITH(amm_number(threshold->id), amm_number(threshold->tenant))),
            error)) {
        return false;
    }
    manager_undo(m, reload, &threshold->id, sizeof threshold->id);
    manager_after(m, changed, NULL, 0);
    forget(m->thresholds, threshold);
    return true;
}

bool thresholds_begin_tenant(struct manager *m, int64_t tenant, struct fleet_error *error)
{
    struct threshold what = {.tenant = tenant};
    json_t *json =
        json_pack("{s:s, s:s, s:i, s:{s:s}}", "label", "Tunnel", "stat",
                  "ManagementTunnel-IPAddress", "dashboard_group", 1, "error", "op", "missing");
    bool good = json != NULL && threshold_read(&what, json, error) &&
                threshold_add(m, &what, error) != NULL;
    threshold_clear(&what);
    json_decref(json);
    return good;
}

/* ---- how gateways stand ---- */

static bool standing_is(const void *item, void *key)
{
    return ((const struct threshold_standing *)item)->gateway == *(const int64_t *)key;
}

struct threshold_standing *threshold_standing_of(struct thresholds *t, int64_t gateway, bool make)
{
    uint64_t hash = threshold_hash(gateway, 1, 0);
    struct threshold_standing *standing = index_find(&t->standings, hash, standing_is, &gateway);
    if (standing != NULL || !make) {
        return standing;
    }
    standing = calloc(1, sizeof *standing);
    if (standing == NULL || !index_add(&t->standings, hash, standing)) {
        free(standing);
        return NULL;
    }
    standing->gateway = gateway;
    return standing;
}

void threshold_standing_drop(struct thresholds *t, int64_t gateway)
{
    struct threshold_standing *standing = threshold_standing_of(t, gateway, false);
    if (standing != NULL) {
        for (uint32_t i = 0; i < standing->n; i++) {
            t->n_pending -= standing->at[i].pending_at != AMM_NEVER;
        }
        index_remove(&t->standings, threshold_hash(gateway, 1, 0), standing);
        free(standing->at);
        free(standing);
    }
}

struct threshold_record *threshold_record_of(const struct threshold_standing *standing, int64_t id)
{
    for (uint32_t i = 0; standing != NULL && i < standing->n; i++) {
        if (standing->at[i].threshold == id) {
            return &standing->at[i];
        }
    }
    return NULL;
}

void threshold_show_worst(struct thresholds *t, struct fleet_gateway *gateway)
{
    const struct threshold_standing *standing = threshold_standing_of(t, gateway->id, false);
    enum threshold_state worst = THRESHOLD_OK;
    for (uint32_t i = 0; standing != NULL && i < standing->n; i++) {
        worst = standing->at[i].state > worst ? standing->at[i].state : worst;
    }
    gateway->alarm = (uint8_t)worst;
}

static bool put_record(struct thresholds *t, int64_t gateway, int64_t threshold, int64_t state,
                       int64_t since)
{
    struct threshold_standing *standing = threshold_standing_of(t, gateway, true);
    if (standing == NULL || state < THRESHOLD_WARNING || state > THRESHOLD_ERROR) {
        return standing != NULL;
    }
    struct threshold_record *bigger =
        realloc(standing->at, (standing->n + 1) * sizeof *standing->at);
    if (bigger == NULL) {
        return false;
    }
    standing->at = bigger;
    standing->room = standing->n + 1;
    standing->at[standing->n++] = (struct threshold_record){.threshold = threshold,
                                                            .since = since,
                                                            .state = (enum threshold_state)state,
                                                            .pending_at = AMM_NEVER};
    return true;
}

void threshold_standing_reload(struct manager *m, int64_t gateway_id)
{
    struct thresholds *t = m->thresholds;
    threshold_standing_drop(t, gateway_id);
    struct amm_rows *rows =
        amm_store_query(m->store, AMM_SQL_THRESHOLD_STATE_OF, AMM_WITH(amm_number(gateway_id)));
    while (amm_rows_next(rows)) {
        put_record(t, gateway_id, amm_rows_number(rows, 0), amm_rows_number(rows, 1),
                   amm_rows_number(rows, 2));
    }
    amm_rows_end(rows);
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, gateway_id);
    if (gateway != NULL) {
        threshold_show_worst(t, gateway);
    }
}

static bool load_standings(struct thresholds *t)
{
    bool good = true;
    struct amm_rows *rows = amm_store_query(t->m->store, AMM_SQL_THRESHOLD_STATE_ALL, AMM_WITHOUT);
    while (good && amm_rows_next(rows)) {
        good = put_record(t, amm_rows_number(rows, 0), amm_rows_number(rows, 1),
                          amm_rows_number(rows, 2), amm_rows_number(rows, 3));
    }
    good = amm_rows_end(rows) == AMM_STORE_OK && good;
    for (size_t i = 0; i < fleet_gateway_count(t->m->fleet); i++) {
        threshold_show_worst(t, fleet_gateway_at(t->m->fleet, i));
    }
    return good;
}

enum threshold_state thresholds_state(const struct thresholds *t,
                                      const struct fleet_gateway *gateway,
                                      const struct threshold *threshold, int64_t *since)
{
    const struct threshold_standing *standing =
        threshold_standing_of((struct thresholds *)(uintptr_t)t, gateway->id, false);
    const struct threshold_record *record = threshold_record_of(standing, threshold->id);
    if (since != NULL) {
        *since = record ? record->since : 0;
    }
    return record ? record->state : THRESHOLD_OK;
}

/* ---- the module ---- */

static bool start(struct manager *m, char *error, size_t room)
{
    struct fleet_error refused = {.text = "out of memory"};
    struct thresholds *t = calloc(1, sizeof *t);
    if (t != NULL) {
        m->thresholds = t;
        t->m = m;
    }
    bool good = t != NULL && load_all(t) && load_standings(t) && thresholds_watch_start(t);
    if (good && amm_store_is_new(m->store) && t->by_id.used == 0) {
        good = thresholds_begin_tenant(m, fleet_tenant_by_slug(m->fleet, "main")->id, &refused);
    }
    if (!good) {
        snprintf(error, room, "cannot read the thresholds: %s", refused.text);
    }
    return good;
}

static void stop(struct manager *m)
{
    struct thresholds *t = m->thresholds;
    if (t == NULL) {
        return;
    }
    manager_timer_set(m, &t->tick, AMM_NEVER);
    for (uint32_t i = 0; i < t->by_id.slots; i++) {
        threshold_free(t->by_id.items[i]);
    }
    for (uint32_t i = 0; i < t->places.slots; i++) {
        free(t->places.items[i]);
    }
    for (uint32_t i = 0; i < t->standings.slots; i++) {
        struct threshold_standing *standing = t->standings.items[i];
        free(standing ? standing->at : NULL);
        free(standing);
    }
    index_deinit(&t->by_id);
    index_deinit(&t->places);
    index_deinit(&t->standings);
    free(t->due);
    free(t);
    m->thresholds = NULL;
}

static void metrics(struct manager *m, struct metrics *out)
{
    metrics_add(out, METRIC_GAUGE, "thresholds", "Thresholds of all tenants.", NULL,
                m->thresholds->by_id.used);
    metrics_add(out, METRIC_GAUGE, "thresholds_met_gateways",
                "Gateways that meet the condition of one.", NULL, m->thresholds->standings.used);
    metrics_add(out, METRIC_COUNTER, "thresholds_judged_total", "Gateways looked at.", NULL,
                (double)m->thresholds->judged);
    metrics_add(out, METRIC_COUNTER, "thresholds_raised_total", "Changes of state.", NULL,
                (double)m->thresholds->raised);
}

const struct manager_module threshold_module = {
    .name = "thresholds", .start = start, .stop = stop, .metrics = metrics};
