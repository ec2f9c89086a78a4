#include "domain/checkin.h"

#include "base/base64.h"
#include "members.h"

#include <stdlib.h>
#include <string.h>

static bool take_operation(struct amm_checkin_operation *out, const json_t *from,
                           struct amm_refusal *error)
{
    struct members m = {from, error, false};
    take_text(&m, "id", out->id, sizeof out->id, REQUIRED);
    take_text(&m, "kind", out->kind, sizeof out->kind, REQUIRED);
    take_whole(&m, "expires", 0, JSON_WHOLE_MAX, OPTIONAL, &out->expires);
    json_t *args = take_object(&m, "args");
    if (!m.failed && !is_id(out->id)) {
        member_fail(&m, "operations.id", "not 1 to 40 letters, digits, '-'");
    }
    if (!m.failed && !is_kind(out->kind)) {
        member_fail(&m, "operations.kind", "not 1 to 32 lower-case letters, digits, '-'");
    }
    out->args = m.failed ? NULL : json_incref(args);
    return !m.failed;
}

static void take_operations(struct amm_checkin_answer *out, struct members *m)
{
    size_t i;
    json_t *one;
    json_t *operations = take_array(m, "operations", AMM_CHECKIN_OPERATIONS);
    json_t *cancelled = take_array(m, "cancelled", AMM_CHECKIN_OPERATIONS);
    out->operations = calloc(json_array_size(operations) + 1, sizeof *out->operations);
    out->cancelled = calloc(json_array_size(cancelled) + 1, sizeof *out->cancelled);
    if (!out->operations || !out->cancelled) {
        member_fail(m, "operations", "out of memory");
        return;
    }
    json_array_foreach(operations, i, one)
    {
        if (!take_operation(&out->operations[out->n_operations], one, m->error)) {
            m->failed = true;
            return;
        }
        out->n_operations++;
    }
    json_array_foreach(cancelled, i, one)
    {
        const char *id = json_string_value(one);
        if (!id || !is_id(id)) {
            member_fail(m, "cancelled", "not ids of operations");
            return;
        }
        memcpy(out->cancelled[out->n_cancelled++], id, strlen(id) + 1);
    }
}

static void take_settings(struct amm_checkin_answer *out, struct members *m)
{
    const char *name;
    json_t *value;
    json_t *set = take_object(m, "set");
    take_whole(m, "revision", 0, JSON_WHOLE_MAX, set ? REQUIRED : OPTIONAL, &out->revision);
    if (json_object_size(set) > AMM_PARAMETERS_MAX) {
        member_fail(m, "set", "too many");
    }
    json_object_foreach(set, name, value)
    {
        uint32_t id;
        if (!parameter_id(name, &id) || parameter_objection(value) != NULL) {
            member_fail(m, "set", "not parameters by number");
        }
    }
    out->set = m->failed ? NULL : json_incref(set);
}

static void take_remote_key(struct amm_checkin_answer *out, struct members *m)
{
    char text[AMM_BASE64_ROOM(AMM_REMOTE_KEY)] = "";
    size_t len = 0;
    if (!take_text(m, "remote_access_key", text, sizeof text, OPTIONAL)) {
        return;
    }
    out->has_remote_key = amm_base64_decode(out->remote_key, sizeof out->remote_key, &len,
                                            amm_view_str(text), AMM_BASE64) &&
                          len == sizeof out->remote_key;
    if (!out->has_remote_key) {
        member_fail(m, "remote_access_key", "not 32 bytes in base64");
    }
}

bool amm_checkin_answer_decode(struct amm_checkin_answer *out, struct amm_view body,
                               struct amm_refusal *error)
{
    *out = (struct amm_checkin_answer){0};
    int64_t seq = 0, events = 0, interval = 0;
    json_t *object = object_load(body, AMM_CHECKIN_BODY_MAX, error);
    struct members m = {object, error, object == NULL};
    take_whole(&m, "time", 0, JSON_WHOLE_MAX, REQUIRED, &out->time);
    take_whole(&m, "seq", 1, JSON_WHOLE_MAX, REQUIRED, &seq);
    take_whole(&m, "events", 0, JSON_WHOLE_MAX, OPTIONAL, &events);
    take_whole(&m, "interval", 1, INT32_MAX, OPTIONAL, &interval);
    out->full = take_flag(&m, "full");
    take_hash(&m, "tunnel", out->tunnel, true, OPTIONAL);
    take_remote_key(out, &m);
    take_settings(out, &m);
    take_operations(out, &m);
    refusals_take(&out->refused, take_array(&m, "refused", 1024));
    out->seq = (uint64_t)seq;
    out->events = (uint64_t)events;
    out->interval = (uint32_t)interval;
    json_decref(object);
    return !m.failed;
}

void amm_checkin_answer_deinit(struct amm_checkin_answer *answer)
{
    for (size_t i = 0; i < answer->n_operations; i++) {
        json_decref(answer->operations[i].args);
    }
    free(answer->operations);
    free(answer->cancelled);
    json_decref(answer->set);
    *answer = (struct amm_checkin_answer){0};
}

static json_t *operation_json(const struct amm_checkin_operation *operation)
{
    json_t *one = json_pack("{ss ss}", "id", operation->id, "kind", operation->kind);
    bool ok = one &&
              (operation->expires == 0 || put(one, "expires", json_integer(operation->expires))) &&
              (!operation->args || json_object_set(one, "args", operation->args) == 0);
    if (!ok) {
        json_decref(one);
        return NULL;
    }
    return one;
}

static bool put_operations(json_t *object, const struct amm_checkin_answer *a)
{
    bool ok = true;
    json_t *operations = a->n_operations ? json_array() : NULL;
    json_t *cancelled = a->n_cancelled ? json_array() : NULL;
    for (size_t i = 0; i < a->n_operations; i++) {
        ok = append(operations, operation_json(&a->operations[i])) && ok;
    }
    for (size_t i = 0; i < a->n_cancelled; i++) {
        ok = append(cancelled, json_string(a->cancelled[i])) && ok;
    }
    ok = (a->n_operations == 0 || put(object, "operations", operations)) && ok;
    return (a->n_cancelled == 0 || put(object, "cancelled", cancelled)) && ok;
}

static bool put_remote_key(json_t *object, const struct amm_checkin_answer *a)
{
    char text[AMM_BASE64_ROOM(AMM_REMOTE_KEY)];
    if (!a->has_remote_key) {
        return true;
    }
    amm_base64_encode(text, sizeof text, amm_view(a->remote_key, sizeof a->remote_key), AMM_BASE64);
    return put(object, "remote_access_key", json_string(text));
}

char *amm_checkin_answer_encode(const struct amm_checkin_answer *a, size_t *len)
{
    json_t *o = json_object();
    bool ok = put(o, "time", json_integer(a->time)) &&
              put(o, "seq", json_integer((json_int_t)a->seq)) &&
              (a->events == 0 || put(o, "events", json_integer((json_int_t)a->events))) &&
              (a->interval == 0 || put(o, "interval", json_integer(a->interval))) &&
              (!a->full || put(o, "full", json_true())) &&
              (!a->set || (put(o, "revision", json_integer(a->revision)) &&
                           json_object_set(o, "set", a->set) == 0)) &&
              (a->tunnel[0] == '\0' || put(o, "tunnel", json_string(a->tunnel))) &&
              put_remote_key(o, a) && put_operations(o, a);
    if (ok && a->refused.n > 0) {
        json_t *refused = refusals_json(&a->refused, &ok);
        ok = put(o, "refused", refused) && ok;
    }
    return object_dump(o, ok, len);
}
