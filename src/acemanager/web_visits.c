#include "web_visits.h"

#include "io/file.h"
#include "io/log.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_MAX = 64 * 1024, LAZY = 600, AGAIN = 60 };

/* ---- the file ---- */

static json_t *visit_json(const struct web_visit *v)
{
    return json_pack("{ss ss ss ss ss sI sI sI ss sI sI sI}", "name", v->who.name, "from",
                     v->who.from, "label", v->who.label, "role", web_role_name(v->who.role),
                     "target", v->target, "since", (json_int_t)v->since, "last",
                     (json_int_t)v->last, "until", (json_int_t)v->until, "end",
                     web_end_name(v->end), "connections", (json_int_t)v->connections, "in",
                     (json_int_t)v->in, "out", (json_int_t)v->out);
}

static bool take_text(const json_t *from, const char *name, char *out, size_t room)
{
    const char *text = json_string_value(json_object_get(from, name));
    if (!text || strlen(text) >= room) {
        return false;
    }
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static int64_t number_of(const json_t *from, const char *name)
{
    json_int_t number = json_integer_value(json_object_get(from, name));
    return number > 0 ? number : 0;
}

static bool take_visit(const json_t *from, struct web_visit *out)
{
    char role[16], end[16];
    if (!take_text(from, "name", out->who.name, sizeof out->who.name) ||
        !take_text(from, "from", out->who.from, sizeof out->who.from) ||
        !take_text(from, "label", out->who.label, sizeof out->who.label) ||
        !take_text(from, "target", out->target, sizeof out->target) ||
        !take_text(from, "role", role, sizeof role) || !take_text(from, "end", end, sizeof end)) {
        return false;
    }
    out->who.role = web_role_find(amm_view_str(role));
    out->since = number_of(from, "since");
    out->last = number_of(from, "last");
    out->until = number_of(from, "until");
    out->connections = (uint32_t)number_of(from, "connections");
    out->in = (uint64_t)number_of(from, "in");
    out->out = (uint64_t)number_of(from, "out");
    out->end = web_end_find(end);
    if (out->until == 0) {
        out->until = out->last;
        out->end = WEB_END_RESTART;
    }
    return true;
}

void web_visits_open(struct web_visits *v, const char *folder)
{
    struct amm_span text;
    char error[256];
    size_t i;
    json_t *one;
    *v = (struct web_visits){.due = AMM_NEVER};
    snprintf(v->path, sizeof v->path, "%s/page-visits", folder);
    if (access(v->path, F_OK) != 0 ||
        !amm_file_read(v->path, FILE_MAX, &text, error, sizeof error)) {
        return;
    }
    json_t *list = json_loadb((const char *)text.data, text.len, 0, NULL);
    json_array_foreach(list, i, one)
    {
        if (v->n < WEB_VISITS && take_visit(one, &v->at[v->n])) {
            v->at[v->n++].number = ++v->last_number;
        }
    }
    json_decref(list);
    free(text.data);
}

static bool write_file(struct web_visits *v)
{
    char error[256] = "out of memory";
    json_t *list = json_array();
    for (size_t i = 0; i < v->n; i++) {
        json_array_append_new(list, visit_json(&v->at[i]));
    }
    char *text = json_dumps(list, JSON_COMPACT);
    bool ok = text && amm_file_write(v->path, amm_view_str(text), 0600, error, sizeof error);
    if (!ok && strcmp(v->error, error) != 0) {
        amm_log(AMM_LOG_WARNING, "visits", amm_field_text("why", error));
    }
    snprintf(v->error, sizeof v->error, "%.150s", ok ? "" : error);
    free(text);
    json_decref(list);
    return ok;
}

void web_visits_step(struct web_visits *v, amm_time mono)
{
    if (mono >= v->due) {
        v->due = write_file(v) ? AMM_NEVER : mono + AGAIN * AMM_SECOND;
    }
}

/* ---- changes ---- */

uint32_t web_visits_begin(struct web_visits *v, const struct web_visitor *who, const char *target,
                          struct amm_now now)
{
    if (v->n == WEB_VISITS) {
        memmove(&v->at[0], &v->at[1], (WEB_VISITS - 1) * sizeof v->at[0]);
        v->n--;
    }
    struct web_visit *visit = &v->at[v->n++];
    *visit = (struct web_visit){
        .number = ++v->last_number, .who = *who, .since = now.wall, .last = now.wall};
    snprintf(visit->target, sizeof visit->target, "%s", target);
    v->due = now.mono;
    return visit->number;
}

struct web_visit *web_visits_find(struct web_visits *v, uint32_t number)
{
    for (size_t i = 0; i < v->n && number != 0; i++) {
        if (v->at[i].number == number) {
            return &v->at[i];
        }
    }
    return NULL;
}

void web_visits_touch(struct web_visits *v, uint32_t number, struct amm_now now)
{
    struct web_visit *visit = web_visits_find(v, number);
    if (visit) {
        visit->last = now.wall;
        v->due = amm_time_min(v->due, amm_time_after(now.mono, LAZY * AMM_SECOND));
    }
}

void web_visits_end(struct web_visits *v, uint32_t number, enum web_end why, struct amm_now now)
{
    struct web_visit *visit = web_visits_find(v, number);
    if (visit && visit->until == 0) {
        visit->until = now.wall > 0 ? now.wall : 1;
        visit->end = why;
        v->due = now.mono;
    }
}
