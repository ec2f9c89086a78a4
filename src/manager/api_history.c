/* /api/v1/gateways/{id}/history */
#include "domain/stats.h"
#include "fleet_module.h"
#include "history.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    POINTS_MAX = 1000,
    BUCKETS = POINTS_MAX / 2,
    RANGE_DEFAULT = 86400,
    RANGE_MAX = 400 * 86400,
    BYTES_MAX = 8 << 20, /* of blocks that one answer reads */
    OUTAGES_MAX = 500,
    HOURS_MAX = 1000, /* of traffic in one answer; more are added up */
};

/* Of each stretch of time the least and the most: so that a chart shows every spike. */
struct bucket {
    uint32_t n;
    int64_t least_at, most_at;
    double least, most;
};

struct chart {
    struct job *job;
    int64_t from, to;
    uint8_t series; /* HISTORY_SERIES: none is asked for */
    const char *label;
    size_t bytes;
    bool is_truncated;

    size_t n; /* points as they are, while they are few */
    int64_t at[POINTS_MAX];
    double value[POINTS_MAX];
    struct bucket buckets[BUCKETS];

    int64_t silence; /* seconds without a sample that are a gap */
    int64_t last_sample;
    json_t *gaps;

    int64_t step; /* seconds of traffic that are added up */
    uint64_t traffic[HOURS_MAX][HISTORY_PURPOSES];
};

static void add_point(struct chart *chart, int64_t at, double value)
{
    if (chart->n < POINTS_MAX) {
        chart->at[chart->n] = at;
        chart->value[chart->n] = value;
    }
    chart->n++;
    int64_t span = chart->to - chart->from + 1;
    struct bucket *bucket = &chart->buckets[(at - chart->from) * BUCKETS / span];
    if (bucket->n == 0 || value < bucket->least) {
        bucket->least = value;
        bucket->least_at = at;
    }
    if (bucket->n == 0 || value > bucket->most) {
        bucket->most = value;
        bucket->most_at = at;
    }
    bucket->n++;
}

static json_t *number(double value)
{
    return value == floor(value) && fabs(value) < 9e15 ? json_integer((json_int_t)value)
                                                       : json_real(value);
}

static void append_point(json_t *list, int64_t at, double value)
{
    json_array_append_new(list, json_pack("[I, o]", (json_int_t)at, number(value)));
}

static json_t *points_json(const struct chart *chart)
{
    json_t *list = json_array();
    for (size_t i = 0; chart->n <= POINTS_MAX && i < chart->n; i++) {
        append_point(list, chart->at[i], chart->value[i]);
    }
    for (size_t i = 0; chart->n > POINTS_MAX && i < BUCKETS; i++) {
        const struct bucket *b = &chart->buckets[i];
        bool least_first = b->least_at <= b->most_at;
        if (b->n > 0) {
            append_point(list, least_first ? b->least_at : b->most_at,
                         least_first ? b->least : b->most);
        }
        if (b->n > 1 && b->least_at != b->most_at) {
            append_point(list, least_first ? b->most_at : b->least_at,
                         least_first ? b->most : b->least);
        }
    }
    return list;
}

/* ---- blocks ---- */

static void note_sample(struct chart *chart, int64_t at)
{
    if (chart->last_sample != 0 && at - chart->last_sample > chart->silence) {
        json_array_append_new(chart->gaps,
                              json_pack("[I, I]", (json_int_t)chart->last_sample, (json_int_t)at));
    }
    chart->last_sample = at;
}

static void take_block(struct chart *chart, int64_t hour, struct amm_view block)
{
    struct history_reader reader;
    uint16_t offset;
    if ((chart->bytes += block.len) > BYTES_MAX) {
        chart->is_truncated = true;
        return;
    }
    history_read(&reader, block);
    while (history_next_sample(&reader, &offset)) {
        struct history_value value;
        struct amm_view label;
        uint8_t series;
        int64_t at = hour + offset;
        bool is_meant = at >= chart->from && at <= chart->to, is_checkin = false;
        while (is_meant && history_next_entry(&reader, &series, &label, &value)) {
            if (series >= HISTORY_TRAFFIC) {
                unsigned purpose = series - HISTORY_TRAFFIC;
                size_t i = (size_t)((at - chart->from) / chart->step);
                if (purpose < HISTORY_PURPOSES && i < HOURS_MAX && value.integer > 0) {
                    chart->traffic[i][purpose] += (uint64_t)value.integer;
                }
                continue;
            }
            is_checkin = true;
            if (series == chart->series && amm_view_equal(label, amm_view_str(chart->label))) {
                add_point(chart, at, value.real);
            }
        }
        if (is_checkin) {
            note_sample(chart, at);
        }
    }
}

static enum amm_store_result read_blocks(struct chart *chart, int64_t gateway)
{
    struct manager *m = chart->job->m;
    int64_t first = chart->from - chart->from % HISTORY_HOUR - HISTORY_HOUR, hour;
    struct amm_rows *rows =
        amm_store_query(m->store, AMM_SQL_STAT_HISTORY_OF,
                        AMM_WITH(amm_number(gateway), amm_number(first), amm_number(chart->to)));
    while (!chart->is_truncated && amm_rows_next(rows)) {
        take_block(chart, amm_rows_number(rows, 0), amm_rows_view(rows, 1));
    }
    enum amm_store_result result = amm_rows_end(rows);
    struct amm_view waiting = history_waiting(m, gateway, &hour);
    take_block(chart, hour, waiting);
    return result;
}

static json_t *traffic_json(const struct chart *chart)
{
    json_t *list = json_array();
    for (size_t i = 0; i < HOURS_MAX; i++) {
        const uint64_t *t = chart->traffic[i];
        if ((t[0] | t[1] | t[2] | t[3]) != 0) {
            json_array_append_new(list,
                                  json_pack("{s:I, s:I, s:I, s:I, s:I}", "at",
                                            (json_int_t)(chart->from + (int64_t)i * chart->step),
                                            "checkin", (json_int_t)t[HISTORY_CHECKIN], "tunnel_in",
                                            (json_int_t)t[HISTORY_TUNNEL_IN], "tunnel_out",
                                            (json_int_t)t[HISTORY_TUNNEL_OUT], "page",
                                            (json_int_t)t[HISTORY_PAGE]));
        }
    }
    return list;
}

/* ---- outages of the tunnel ---- */

static bool is_down(const struct amm_rows *rows)
{
    return amm_view_equal(amm_rows_view(rows, 1), amm_view_str("tunnel-down"));
}

/* [[from, to], ...]; one that goes on ends where the question ends. */
static json_t *outages_json(const struct chart *chart, const struct fleet_gateway *gateway)
{
    struct amm_store *store = chart->job->m->store;
    struct amm_value id = amm_number(gateway->id), tenant = amm_number(gateway->group->tenant->id);
    json_t *list = json_array();
    struct amm_rows *rows = amm_store_query(store, AMM_SQL_EVENT_TUNNEL_BEFORE,
                                            AMM_WITH(id, tenant, amm_number(chart->from)));
    int64_t down_at = amm_rows_next(rows) && is_down(rows) ? chart->from : 0;
    amm_rows_end(rows);
    rows = amm_store_query(store, AMM_SQL_EVENT_TUNNEL_OF,
                           AMM_WITH(id, tenant, amm_number(chart->from), amm_number(chart->to),
                                    amm_number(2 * OUTAGES_MAX)));
    while (amm_rows_next(rows)) {
        int64_t at = amm_rows_number(rows, 0);
        if (is_down(rows)) {
            down_at = down_at != 0 ? down_at : at;
        } else if (down_at != 0) {
            json_array_append_new(list, json_pack("[I, I]", (json_int_t)down_at, (json_int_t)at));
            down_at = 0;
        }
    }
    amm_rows_end(rows);
    if (down_at != 0) {
        json_array_append_new(list,
                              json_pack("[I, I]", (json_int_t)down_at, (json_int_t)chart->to));
    }
    return list;
}

/* ---- which series there are ---- */

static json_t *series_json(const struct fleet_gateway *gateway)
{
    json_t *list = json_array();
    for (size_t i = 0; i < amm_stats_count; i++) {
        struct value value, item;
        struct amm_view label;
        char name[2 * AMM_STAT_NAME_MAX + 2];
        if (!amm_stats[i].history ||
            !values_find(gateway->stats, VALUES_STATS, amm_stats[i].name, &value)) {
            continue;
        }
        if (!amm_stats[i].labelled) {
            json_array_append_new(list, json_string(amm_stats[i].name));
        }
        for (size_t at = 0; amm_stats[i].labelled && value_next(&value, &at, &label, &item);) {
            snprintf(name, sizeof name, "%s/%.*s", amm_stats[i].name, (int)label.len,
                     (const char *)label.data);
            json_array_append_new(list, json_string(name));
        }
    }
    return list;
}

/* "AssetTemperature/dock": false if no history is kept of it. */
static bool take_stat(struct chart *chart, char *text)
{
    char *slash = strchr(text, '/');
    chart->label = slash ? slash + 1 : "";
    if (slash) {
        *slash = '\0';
    }
    const struct amm_stat *stat = amm_stat_find(text);
    if (stat == NULL || !stat->history || stat->labelled != (chart->label[0] != '\0')) {
        return false;
    }
    chart->series = (uint8_t)(stat - amm_stats);
    return true;
}

static bool take_range(struct chart *chart)
{
    struct job *job = chart->job;
    chart->to = job_query_number(job, "to", job->m->now.wall);
    chart->from = job_query_number(job, "from", chart->to - RANGE_DEFAULT);
    if (chart->from >= chart->to || chart->to - chart->from > RANGE_MAX || chart->from < 0) {
        job_error(job, 400, "bad-value", "from", "from is before to, by at most 400 days");
        return false;
    }
    int64_t hours = (chart->to - chart->from) / HISTORY_HOUR + 1;
    chart->from -= chart->from % HISTORY_HOUR; /* whole hours of traffic */
    chart->step = HISTORY_HOUR * (hours / (HOURS_MAX - 1) + 1);
    return true;
}

static void answer(struct chart *chart, const struct fleet_gateway *gateway, const char *name)
{
    bool has_stat = chart->series != HISTORY_SERIES;
    chart->silence = 2 * (int64_t)fleet_interval(gateway) + FLEET_LATE_GRACE;
    enum amm_store_result result = read_blocks(chart, gateway->id);
    if (result != AMM_STORE_OK) {
        job_store_error(chart->job, result);
        return;
    }
    json_t *json = json_pack(
        "{s:I, s:I, s:o, s:O, s:o, s:o, s:I, s:b, s:o}", "from", (json_int_t)chart->from, "to",
        (json_int_t)chart->to, "points", points_json(chart), "gaps", chart->gaps, "tunnel",
        outages_json(chart, gateway), "traffic", traffic_json(chart), "traffic_step",
        (json_int_t)chart->step, "truncated", chart->is_truncated, "series", series_json(gateway));
    if (json != NULL && has_stat) {
        json_object_set_new(json, "stat", json_string(name));
        json_object_set_new(json, "unit", json_string(amm_stats[chart->series].unit));
    }
    job_json(chart->job, 200, json);
}

static void history_handle(struct job *job)
{
    char text[2 * AMM_STAT_NAME_MAX + 2] = "", name[sizeof text];
    struct chart *chart = calloc(1, sizeof *chart);
    if (chart == NULL) {
        job_json(job, 503, NULL);
        return;
    }
    chart->job = job;
    chart->series = HISTORY_SERIES;
    chart->label = "";
    chart->gaps = json_array();
    bool has_stat = job_query_text(job, "stat", text, sizeof text);
    memcpy(name, text, sizeof name);
    if (has_stat && !take_stat(chart, text)) {
        job_error(job, 400, "bad-value", "stat",
                  "no history is kept of this one: without `stat` the answer lists those of the "
                  "gateway in `series`");
    } else if (take_range(chart)) {
        answer(chart, fleet_gateway_find(job->m->fleet, job->id), name);
    }
    json_decref(chart->gaps);
    free(chart);
}

static const struct field history_query[] = {
    {"stat", FIELD_TEXT, false, 1, 2 * AMM_STAT_NAME_MAX + 1, NULL,
     "a marked stat, or one of its labels: AssetTemperature/dock"},
    {"from", FIELD_NUMBER, false, 0, INT64_MAX, NULL, "seconds since 1970; default a day before"},
    {"to", FIELD_NUMBER, false, 1, INT64_MAX, NULL, "default now"},
    {0}};

const struct route history_routes[] = {
    {.method = "GET",
     .path = "/api/v1/gateways/{id}/history",
     .action = ACCESS_VIEW,
     .find = gateway_find_object,
     .query = history_query,
     .handle = history_handle,
     .summary =
         "A stat over time in at most 1000 points, outages of the tunnel, traffic by purpose"},
    {0},
};
