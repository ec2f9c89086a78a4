#include "members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *object_load(struct amm_view text, size_t most, struct amm_refusal *error)
{
    json_error_t reason;
    json_t *object = NULL;
    *error = (struct amm_refusal){{0}, {0}};
    if (text.len > most) {
        snprintf(error->text, sizeof error->text, "larger than %zu bytes", most);
        return NULL;
    }
    if (text.len > 0) {
        object = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &reason);
    }
    if (!json_is_object(object)) {
        snprintf(error->text, sizeof error->text, "not a JSON object");
        json_decref(object);
        return NULL;
    }
    return object;
}

bool member_fail(struct members *m, const char *name, const char *text)
{
    if (!m->failed) {
        m->failed = true;
        snprintf(m->error->field, sizeof m->error->field, "%s", name);
        snprintf(m->error->text, sizeof m->error->text, "%s", text);
    }
    return false;
}

static json_t *member(struct members *m, const char *name, enum presence presence)
{
    json_t *value = m->failed ? NULL : json_object_get(m->object, name);
    if (value && json_is_null(value)) {
        value = NULL;
    }
    if (!value && presence == REQUIRED) {
        member_fail(m, name, "missing");
    }
    return value;
}

bool take_whole(struct members *m, const char *name, int64_t least, int64_t most,
                enum presence presence, int64_t *out)
{
    char text[96];
    json_t *value = member(m, name, presence);
    if (!value) {
        return false;
    }
    if (!json_is_integer(value) || json_integer_value(value) < least ||
        json_integer_value(value) > most) {
        snprintf(text, sizeof text, "not a whole number from %lld to %lld", (long long)least,
                 (long long)most);
        return member_fail(m, name, text);
    }
    *out = json_integer_value(value);
    return true;
}

bool take_text(struct members *m, const char *name, char *out, size_t room, enum presence presence)
{
    char text[96];
    json_t *value = member(m, name, presence);
    if (!value) {
        return false;
    }
    if (!json_is_string(value) || json_string_length(value) >= room ||
        !amm_text_ok(json_string_value(value), room, true)) {
        snprintf(text, sizeof text, "not a text of at most %zu bytes without control characters",
                 room - 1);
        return member_fail(m, name, text);
    }
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return true;
}

bool take_hash(struct members *m, const char *name, char out[AMM_CHECKIN_HASH], bool may_be_empty,
               enum presence presence)
{
    char text[AMM_CHECKIN_HASH];
    if (!take_text(m, name, text, sizeof text, presence)) {
        return m->failed ? member_fail(m, name, "not 16 hex digits") : false;
    }
    bool is_whole =
        strlen(text) == sizeof text - 1 && strspn(text, "0123456789abcdef") == sizeof text - 1;
    if (!is_whole && !(may_be_empty && text[0] == '\0')) {
        return member_fail(m, name, "not 16 hex digits");
    }
    memcpy(out, text, sizeof text);
    return true;
}

bool take_flag(struct members *m, const char *name)
{
    json_t *value = member(m, name, OPTIONAL);
    if (value && !json_is_boolean(value)) {
        return member_fail(m, name, "neither true nor false");
    }
    return json_is_true(value);
}

json_t *take_object(struct members *m, const char *name)
{
    json_t *value = member(m, name, OPTIONAL);
    if (value && !json_is_object(value)) {
        member_fail(m, name, "not an object");
        return NULL;
    }
    return value;
}

json_t *take_array(struct members *m, const char *name, size_t most)
{
    char text[96];
    json_t *value = member(m, name, OPTIONAL);
    if (value && (!json_is_array(value) || json_array_size(value) > most)) {
        snprintf(text, sizeof text, "not a list of at most %zu", most);
        member_fail(m, name, text);
        return NULL;
    }
    return value;
}

char *take_lines(struct members *m, const char *name, size_t most)
{
    json_t *value = member(m, name, REQUIRED);
    if (!value) {
        return NULL;
    }
    const char *text = json_is_string(value) ? json_string_value(value) : NULL;
    bool ok = text && json_string_length(value) <= most;
    for (size_t i = 0; ok && text[i]; i++) {
        ok = text[i] == '\n' || text[i] == '\r' || (text[i] >= ' ' && text[i] < 0x7f);
    }
    char *copy = ok ? strdup(text) : NULL;
    if (!copy) {
        member_fail(m, name, ok ? "out of memory" : "not lines of printable text");
    }
    return copy;
}

bool is_id(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    size_t len = strlen(text);
    return len >= 1 && len < AMM_CHECKIN_ID && strspn(text, allowed) == len;
}

bool is_kind(const char *text)
{
    size_t len = strlen(text);
    return len >= 1 && len < AMM_CHECKIN_KIND &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

bool parameter_id(const char *text, uint32_t *out)
{
    size_t len = strspn(text, "0123456789");
    if (len < 1 || len > 5 || text[len] != '\0' || text[0] == '0') {
        return false;
    }
    *out = (uint32_t)strtoul(text, NULL, 10);
    return true;
}

const char *parameter_objection(const json_t *value)
{
    if (json_is_object(value)) {
        return json_object_size(value) == 1 && json_is_boolean(json_object_get(value, "set"))
                   ? NULL
                   : "an object that is not {\"set\": true}";
    }
    if (json_is_string(value)) {
        return json_string_length(value) <= AMM_PARAMETER_TEXT_MAX &&
                       amm_text_ok(json_string_value(value), AMM_PARAMETER_TEXT_MAX, true)
                   ? NULL
                   : "not a text without control characters";
    }
    return json_is_number(value) || json_is_boolean(value) || json_is_null(value)
               ? NULL
               : "neither number, text, true nor false";
}

bool put(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}

bool append(json_t *array, json_t *value)
{
    return json_array_append_new(array, value) == 0;
}

char *object_dump(json_t *object, bool ok, size_t *len)
{
    char *text = ok && object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(object);
    *len = text ? strlen(text) : 0;
    return text;
}

void amm_refusals_add(struct amm_refusals *refusals, const char *field, const char *text)
{
    if (refusals->n == AMM_CHECKIN_REFUSED) {
        refusals->more++;
        return;
    }
    struct amm_refusal *at = &refusals->at[refusals->n++];
    amm_text_clean(at->field, sizeof at->field, amm_view_str(field));
    amm_text_clean(at->text, sizeof at->text, amm_view_str(text));
}

json_t *refusals_json(const struct amm_refusals *refusals, bool *ok)
{
    json_t *array = json_array();
    for (size_t i = 0; i < refusals->n; i++) {
        json_t *one = json_object();
        *ok = *ok && put(one, "field", json_string(refusals->at[i].field)) &&
              put(one, "text", json_string(refusals->at[i].text));
        *ok = append(array, one) && *ok;
    }
    return array;
}

void refusals_take(struct amm_refusals *out, const json_t *array)
{
    size_t i;
    json_t *one;
    json_array_foreach(array, i, one)
    {
        const char *field = json_string_value(json_object_get(one, "field"));
        const char *text = json_string_value(json_object_get(one, "text"));
        if (field && text) {
            amm_refusals_add(out, field, text);
        }
    }
}
