#include "report.h"

#include "base/drop.h"
#include "io/file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES_MAX = 10 * 1000 * 1000 };

void samples_add(struct samples *s, amm_duration value)
{
    if (s->n == s->room) {
        size_t room = s->room ? s->room * 2 : 1024;
        uint32_t *us = room <= SAMPLES_MAX ? realloc(s->us, room * sizeof *us) : NULL;
        if (!us) {
            return;
        }
        s->us = us;
        s->room = room;
    }
    amm_duration us = value / AMM_MICROSECOND;
    s->us[s->n++] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

void samples_deinit(struct samples *s)
{
    free(s->us);
    *s = (struct samples){0};
}

static int by_value(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

static json_t *summary(struct samples *s)
{
    if (s->n == 0) {
        return json_null();
    }
    qsort(s->us, s->n, sizeof *s->us, by_value);
    return json_pack("{s:I, s:f, s:f, s:f, s:f}", "n", (json_int_t)s->n, "min_ms",
                     s->us[0] / 1000.0, "median_ms", s->us[s->n / 2] / 1000.0, "p99_ms",
                     s->us[s->n * 99 / 100] / 1000.0, "max_ms", s->us[s->n - 1] / 1000.0);
}

void fleet_progress(const struct fleet_numbers *n, amm_duration since)
{
    printf("%.1f s  up %u/%u  started %u  failed %llu  lost %llu",
           (double)since / (double)AMM_SECOND, n->up, n->count, n->started,
           (unsigned long long)n->failed, (unsigned long long)n->lost);
    if (n->echo_sent > 0 || n->answered > 0) {
        printf("  echo %llu/%llu  answered %llu", (unsigned long long)n->echo_received,
               (unsigned long long)n->echo_sent, (unsigned long long)n->answered);
    }
    printf("%s%s\n", n->last_failure[0] ? "  " : "", n->last_failure);
    fflush(stdout);
}

static json_t *drops_json(const struct amm_drops *drops)
{
    json_t *object = json_object();
    for (unsigned i = 0; i < AMM_DROP_COUNT; i++) {
        if (drops->count[i] > 0) {
            json_object_set_new(object, amm_drop_name((enum amm_drop)i),
                                json_integer((json_int_t)drops->count[i]));
        }
    }
    return object;
}

bool fleet_report_write(const char *path, struct fleet_numbers *n, const struct amm_drops *drops,
                        char *error, size_t room)
{
    json_t *report = json_pack(
        "{s:i, s:i, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:I, s:I, s:o, s:s, s:o}", "count",
        (int)n->count, "up", (int)n->up, "joined", (json_int_t)n->joined, "failed",
        (json_int_t)n->failed, "lost", (json_int_t)n->lost, "renewed", (json_int_t)n->renewed,
        "all_joined_s",
        n->all_joined_after ? json_real((double)n->all_joined_after / (double)AMM_SECOND)
                            : json_null(),
        "join", summary(&n->joins), "echo_sent", (json_int_t)n->echo_sent, "echo_received",
        (json_int_t)n->echo_received, "answered", (json_int_t)n->answered, "echo",
        summary(&n->echoes), "last_failure", n->last_failure, "drops", drops_json(drops));
    char *text = report ? json_dumps(report, JSON_INDENT(2)) : NULL;
    json_decref(report);
    if (!text) {
        snprintf(error, room, "out of memory");
        return false;
    }
    bool ok = amm_file_write(path, amm_view_str(text), 0644, error, room);
    free(text);
    return ok;
}
