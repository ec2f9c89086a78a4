#include "history.h"

#include "fleet_module.h"
#include "domain/stats.h"
#include "index.h"
#include "manager/core.h"
#include "manager/metrics.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

enum { MARKED_MAX = 64, BACKLOG = 20000 };

/* A gateway of which something waits to be written. */
struct waiting {
    struct waiting *before, *behind; /* in its queue */
    struct queue *in;                /* NULL: it is in a unit that is not durable yet */
    int64_t gateway, hour;
    amm_time since;     /* in the queue */
    int64_t sampled_at; /* wall seconds: one sample a second is enough */
    uint32_t len, room, leaving;
    uint64_t traffic[HISTORY_PURPOSES];
    uint8_t *data;
};

struct queue {
    struct waiting *first, *last;
    size_t n;
};

struct marked {
    struct values_key key;
    uint8_t series;
    bool is_labelled;
};

struct history {
    struct manager *m;
    struct index by_gateway;
    struct queue ready; /* has a sample */
    struct queue later; /* only traffic */
    size_t bytes;
    size_t n_marked;
    struct marked marked[MARKED_MAX];
    struct manager_timer tick;
    uint64_t samples, dropped;
};

/* ---- what waits ---- */

static uint64_t hash_of(int64_t id)
{
    uint64_t x = (uint64_t)id * 0x9e3779b97f4a7c15u;
    return x ^ x >> 32;
}

static bool is_of(const void *item, void *key)
{
    return ((const struct waiting *)item)->gateway == *(const int64_t *)key;
}

static struct waiting *find(const struct history *h, int64_t gateway)
{
    return index_find(&h->by_gateway, hash_of(gateway), is_of, &gateway);
}

static void enqueue(struct history *h, struct waiting *w, struct queue *queue)
{
    w->since = h->m->now.mono;
    w->in = queue;
    w->before = queue->last;
    w->behind = NULL;
    *(queue->last ? &queue->last->behind : &queue->first) = w;
    queue->last = w;
    queue->n++;
}

static void dequeue(struct waiting *w)
{
    struct queue *queue = w->in;
    if (queue != NULL) {
        *(w->before ? &w->before->behind : &queue->first) = w->behind;
        *(w->behind ? &w->behind->before : &queue->last) = w->before;
        queue->n--;
        w->in = NULL;
    }
}

static struct waiting *find_or_make(struct history *h, int64_t gateway)
{
    struct waiting *w = find(h, gateway);
    if (w != NULL || h->bytes >= HISTORY_MEMORY) {
        return w;
    }
    w = calloc(1, sizeof *w);
    if (w == NULL || !index_add(&h->by_gateway, hash_of(gateway), w)) {
        free(w);
        return NULL;
    }
    w->gateway = gateway;
    w->hour = h->m->now.wall - h->m->now.wall % HISTORY_HOUR;
    h->bytes += sizeof *w;
    enqueue(h, w, &h->later);
    return w;
}

static void forget(struct history *h, struct waiting *w)
{
    index_remove(&h->by_gateway, hash_of(w->gateway), w);
    h->bytes -= sizeof *w + w->room;
    free(w->data);
    free(w);
}

/* Bytes behind what waits; false: no room. */
static bool append(struct history *h, struct waiting *w, const void *data, size_t len)
{
    if (w->len + len > HISTORY_BLOCK_MAX || h->bytes >= HISTORY_MEMORY) {
        h->dropped++;
        return false;
    }
    if (w->len + len > w->room) {
        uint32_t room = (uint32_t)(w->len + len) + 64;
        uint8_t *bigger = realloc(w->data, room);
        if (bigger == NULL) {
            h->dropped++;
            return false;
        }
        h->bytes += room - w->room;
        w->data = bigger;
        w->room = room;
    }
    memcpy(w->data + w->len, data, len);
    w->len += (uint32_t)len;
    return true;
}

struct amm_view history_waiting(const struct manager *m, int64_t gateway, int64_t *hour)
{
    const struct waiting *w = m->history ? find(m->history, gateway) : NULL;
    *hour = w ? w->hour : 0;
    return w && w->in ? amm_view(w->data, w->len) : amm_view(NULL, 0);
}

/* ---- samples ---- */

static void add_number(struct history_writer *out, uint8_t series, struct amm_view label,
                       const struct value *value)
{
    if (value->type == VALUE_INTEGER || value->type == VALUE_REAL) {
        struct history_value number = {value->type == VALUE_REAL, value->integer, value->real};
        history_entry(out, series, label, &number);
    }
}

static void add_marked(struct history_writer *out, const struct marked *marked,
                       const struct fleet_gateway *gateway)
{
    struct value value, item;
    if (!values_get(gateway->stats, marked->key, &value)) {
        return;
    }
    if (!marked->is_labelled) {
        add_number(out, marked->series, amm_view(NULL, 0), &value);
        return;
    }
    struct amm_view label;
    for (size_t at = 0; value_next(&value, &at, &label, &item);) {
        add_number(out, marked->series, label, &item);
    }
}

static bool offset_now(const struct history *h, const struct waiting *w, uint16_t *out)
{
    int64_t offset = h->m->now.wall - w->hour;
    *out = (uint16_t)offset;
    return offset >= 0 && offset <= UINT16_MAX;
}

static void take_sample(struct history *h, const struct fleet_gateway *gateway)
{
    uint8_t room[HISTORY_SAMPLE_MAX];
    struct history_writer out;
    uint16_t offset;
    struct waiting *w = find_or_make(h, gateway->id);
    if (w == NULL || !offset_now(h, w, &offset)) {
        h->dropped++;
        return;
    }
    if (w->sampled_at == h->m->now.wall) {
        return;
    }
    w->sampled_at = h->m->now.wall;
    history_sample_begin(&out, room, sizeof room, offset);
    for (size_t i = 0; i < h->n_marked; i++) {
        add_marked(&out, &h->marked[i], gateway);
    }
    size_t len = history_sample_end(&out);
    if (len > 0 && append(h, w, room, len)) {
        h->samples++;
        if (w->in == &h->later) {
            dequeue(w);
            enqueue(h, w, &h->ready);
        }
    }
}

/* Behind a commit: nothing may be written here. */
static void fleet_changed(void *context, const struct fleet_note *note)
{
    struct history *h = ((struct manager *)context)->history;
    const struct fleet_gateway *gateway = h && note->changes & FLEET_CHECKED_IN
                                              ? fleet_gateway_find(h->m->fleet, note->gateway_id)
                                              : NULL;
    if (gateway != NULL) {
        take_sample(h, gateway);
    }
}

void history_traffic(struct manager *m, int64_t gateway, enum history_purpose purpose,
                     uint64_t bytes)
{
    struct waiting *w = m->history && bytes > 0 ? find_or_make(m->history, gateway) : NULL;
    if (w != NULL) {
        w->traffic[purpose] += bytes;
    }
}

static void tunnel_bytes(struct manager *m, int64_t gateway, uint64_t in, uint64_t out)
{
    history_traffic(m, gateway, HISTORY_TUNNEL_IN, in);
    history_traffic(m, gateway, HISTORY_TUNNEL_OUT, out);
}

/* What was counted becomes a sample of its own. */
static void take_traffic(struct history *h, struct waiting *w)
{
    uint8_t room[64];
    struct history_writer out;
    uint16_t offset;
    bool has_any = false;
    if (!offset_now(h, w, &offset)) {
        return;
    }
    history_sample_begin(&out, room, sizeof room, offset);
    for (unsigned i = 0; i < HISTORY_PURPOSES; i++) {
        struct history_value value = {.integer = (int64_t)w->traffic[i],
                                      .real = (double)w->traffic[i]};
        if (w->traffic[i] > 0) {
            history_entry(&out, (uint8_t)(HISTORY_TRAFFIC + i), amm_view(NULL, 0), &value);
            has_any = true;
        }
    }
    size_t len = has_any ? history_sample_end(&out) : 0;
    if (len > 0 && append(h, w, room, len)) {
        memset(w->traffic, 0, sizeof w->traffic);
    }
}

/* ---- writing ---- */

/* Durable: what was written is forgotten; what has come since stays. */
static void has_left(struct manager *m, void *data)
{
    struct history *h = m->history;
    struct waiting *w = find(h, *(const int64_t *)data);
    bool has_traffic = false;
    w->len -= w->leaving;
    if (w->len > 0) {
        memmove(w->data, w->data + w->leaving, w->len);
    }
    for (unsigned i = 0; i < HISTORY_PURPOSES; i++) {
        has_traffic |= w->traffic[i] > 0;
    }
    if (w->len == 0 && !has_traffic) {
        forget(h, w);
        return;
    }
    if (w->len == 0) {
        w->hour = m->now.wall - m->now.wall % HISTORY_HOUR;
    }
    enqueue(h, w, w->len > 0 ? &h->ready : &h->later);
}

static void has_stayed(struct manager *m, void *data)
{
    struct waiting *w = find(m->history, *(const int64_t *)data);
    enqueue(m->history, w, &m->history->ready);
}

/* False: the store refuses. */
static bool write_block(struct history *h, struct waiting *w)
{
    uint8_t room[HISTORY_BLOCK_MAX];
    struct amm_writer out = amm_writer(room, sizeof room);
    struct amm_rows *rows = amm_store_query(h->m->store, AMM_SQL_STAT_HISTORY_GET,
                                            AMM_WITH(amm_number(w->gateway), amm_number(w->hour)));
    if (amm_rows_next(rows)) {
        amm_write_view(&out, amm_rows_view(rows, 0));
    }
    if (amm_rows_end(rows) != AMM_STORE_OK) {
        return false;
    }
    amm_write_bytes(&out, w->data, w->len);
    if (out.failed) {
        h->dropped++; /* the hour is full */
        return true;
    }
    enum amm_store_result result =
        amm_store_run(h->m->store, AMM_SQL_STAT_HISTORY_SET,
                      AMM_WITH(amm_number(w->gateway), amm_number(w->hour),
                               amm_blob(room, amm_writer_len(&out))));
    return result == AMM_STORE_OK || result == AMM_STORE_CONFLICT; /* the gateway is gone */
}

static bool write_one(struct history *h, struct waiting *w)
{
    take_traffic(h, w);
    w->leaving = w->len;
    manager_undo(h->m, has_stayed, &w->gateway, sizeof w->gateway);
    manager_after(h->m, has_left, &w->gateway, sizeof w->gateway);
    return w->len == 0 || write_block(h, w);
}

/* Those whose turn has come; `all`: the rest, too. */
static bool write_some(struct history *h, size_t most, bool all)
{
    bool ok = true;
    for (struct waiting *w; (w = h->later.first) != NULL;) {
        if (!all && h->m->now.mono < amm_time_after(w->since, HISTORY_TRAFFIC_EVERY * AMM_SECOND)) {
            break;
        }
        dequeue(w);
        enqueue(h, w, &h->ready);
    }
    for (size_t i = 0; ok && h->ready.first != NULL && (all || i < most); i++) {
        struct waiting *w = h->ready.first;
        dequeue(w);
        ok = write_one(h, w);
    }
    return ok;
}

static void tick(struct manager *m, struct manager_timer *timer)
{
    struct history *h = m->history;
    manager_timer_set(m, timer, amm_time_after(m->now.mono, AMM_SECOND));
    if (manager_store_state(m) != AMM_STORE_OK) {
        return;
    }
    size_t most = h->ready.n > BACKLOG ? 5 * HISTORY_PER_SECOND : HISTORY_PER_SECOND;
    if (!write_some(h, most, false)) {
        manager_fail(m);
    }
}

/* ---- the module ---- */

static void find_marked(struct history *h)
{
    for (size_t i = 0; i < amm_stats_count && i < HISTORY_TRAFFIC; i++) {
        if (amm_stats[i].history && h->n_marked < MARKED_MAX) {
            h->marked[h->n_marked++] = (struct marked){values_key(VALUES_STATS, amm_stats[i].name),
                                                       (uint8_t)i, amm_stats[i].labelled};
        }
    }
}

static bool start(struct manager *m, char *error, size_t room)
{
    struct history *h = calloc(1, sizeof *h);
    if (h == NULL) {
        snprintf(error, room, "out of memory");
        return false;
    }
    m->history = h;
    m->tunnel_bytes = tunnel_bytes;
    h->m = m;
    find_marked(h);
    fleet_watch(m->fleet, fleet_changed, m);
    h->tick = (struct manager_timer){.fire = tick};
    manager_timer_set(m, &h->tick, amm_time_after(m->now.mono, AMM_SECOND));
    return true;
}

static void write_all(struct manager *m, void *context)
{
    (void)context;
    if (!write_some(m->history, 0, true)) {
        manager_fail(m);
    }
}

static void stop(struct manager *m)
{
    struct history *h = m->history;
    if (h == NULL) {
        return;
    }
    manager_timer_set(m, &h->tick, AMM_NEVER);
    core_unit(m, write_all, NULL);
    for (uint32_t i = 0; i < h->by_gateway.slots; i++) {
        struct waiting *w = h->by_gateway.items[i];
        free(w ? w->data : NULL);
        free(w);
    }
    index_deinit(&h->by_gateway);
    free(h);
    m->history = NULL;
    m->tunnel_bytes = NULL;
}

static void metrics(struct manager *m, struct metrics *out)
{
    const struct history *h = m->history;
    metrics_add(out, METRIC_COUNTER, "history_samples_total", "Samples of stats.", NULL,
                (double)h->samples);
    metrics_add(out, METRIC_COUNTER, "history_dropped_total",
                "Samples that had no room, in memory or in their hour.", NULL, (double)h->dropped);
    metrics_add(out, METRIC_GAUGE, "history_waiting_gateways",
                "Gateways with samples to be written.", NULL, h->by_gateway.used);
}

const struct manager_module history_module = {
    .name = "history", .start = start, .stop = stop, .metrics = metrics};
