#include "threshold_rules.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const state_names[] = {"none", "ok", "warning", "error"};
static const char *const op_names[] = {"",   "lt", "le",      "gt",      "ge",
                                       "eq", "ne", "missing", "present", "matches"};
enum { OPS = sizeof op_names / sizeof op_names[0] };
#define OP_LIST "lt, le, gt, ge, eq, ne, missing, present, matches"

const char *threshold_state_name(enum threshold_state state)
{
    return state <= THRESHOLD_ERROR ? state_names[state] : state_names[THRESHOLD_NONE];
}

/* ---- from JSON ---- */

static bool refuse(struct fleet_error *error, const char *field, const char *text)
{
    return fleet_refuse(error, 400, "bad-value", field, "%s: %s", field, text);
}

/* Numbers as people write them: no hexadecimal, no "inf". */
static bool parse_number(const char *text, double *out)
{
    char *end;
    if (text[0] == '\0' || strspn(text, "0123456789+-.eE") != strlen(text)) {
        return false;
    }
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

static bool read_text(const json_t *json, const char *name, size_t most, char *out, size_t room,
                      struct fleet_error *error)
{
    const json_t *value = json_object_get(json, name);
    if (value == NULL) {
        return true;
    }
    const char *text = json_string_value(value);
    if (text == NULL || strlen(text) != json_string_length(value) ||
        !amm_text_ok(text, most, true) || strlen(text) >= room) {
        char words[96];
        snprintf(words, sizeof words, "is a text of at most %zu bytes without control characters",
                 most);
        return refuse(error, name, words);
    }
    snprintf(out, room, "%s", text);
    return true;
}

static bool read_number(const json_t *json, const char *name, double least, double most,
                        double *out, struct fleet_error *error)
{
    const json_t *value = json_object_get(json, name);
    if (value == NULL) {
        return true;
    }
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= least && number <= most)) {
        char words[96];
        snprintf(words, sizeof words, "is a number from %.10g to %.10g", least, most);
        return refuse(error, name, words);
    }
    *out = number;
    return true;
}

static bool read_whole(const json_t *json, const char *name, uint32_t most, uint32_t *out,
                       struct fleet_error *error)
{
    double number = *out;
    if (!read_number(json, name, 0, most, &number, error)) {
        return false;
    }
    *out = (uint32_t)number;
    return number == floor(number) || refuse(error, name, "is a whole number");
}

static struct pattern *compile(const char *text, const char *field, struct fleet_error *error)
{
    char words[300];
    struct pattern *pattern = malloc(sizeof *pattern);
    if (pattern == NULL) {
        fleet_refuse(error, 503, "no-memory", field, "the server is short of memory");
        return NULL;
    }
    if (!pattern_compile(pattern, text, words, sizeof words)) {
        refuse(error, field, words);
        free(pattern);
        return NULL;
    }
    return pattern;
}

static void clear_condition(struct threshold_condition *condition)
{
    free(condition->pattern);
    *condition = (struct threshold_condition){0};
}

/* "value" may be a text, a number, true or false. */
static bool read_value(struct threshold_condition *out, const json_t *value, const char *field,
                       struct fleet_error *error)
{
    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        if (strlen(text) != json_string_length(value) || strlen(text) > THRESHOLD_VALUE_MAX ||
            !amm_text_ok(text, THRESHOLD_VALUE_MAX, true)) {
            return refuse(error, field, "its value has at most 64 bytes, no control characters");
        }
        snprintf(out->value, sizeof out->value, "%s", text);
    } else if (json_is_number(value)) {
        snprintf(out->value, sizeof out->value, "%.10g", json_number_value(value));
    } else if (json_is_boolean(value)) {
        snprintf(out->value, sizeof out->value, "%s", json_is_true(value) ? "true" : "false");
    } else if (out->op != OP_MISSING && out->op != OP_PRESENT) {
        return refuse(error, field, "has no value to compare with");
    }
    out->is_number = parse_number(out->value, &out->number);
    return true;
}

static bool read_condition(struct threshold_condition *out, const json_t *json, const char *field,
                           struct fleet_error *error)
{
    const json_t *condition = json_object_get(json, field);
    if (condition == NULL) {
        return true;
    }
    clear_condition(out);
    if (json_is_null(condition)) {
        return true;
    }
    const char *name = json_string_value(json_object_get(condition, "op"));
    for (unsigned i = 1; name != NULL && i < OPS; i++) {
        if (strcmp(name, op_names[i]) == 0) {
            out->op = (enum threshold_op)i;
        }
    }
    if (out->op == OP_NONE) {
        return refuse(error, field, "is null, or has an `op` of " OP_LIST);
    }
    if (!read_value(out, json_object_get(condition, "value"), field, error)) {
        return false;
    }
    if (out->op <= OP_GE && !out->is_number) {
        return refuse(error, field, "order needs a number as its value");
    }
    if (out->op == OP_MATCHES) {
        out->pattern = compile(out->value, field, error);
        return out->pattern != NULL;
    }
    return true;
}

static bool read_kinds(struct threshold *out, const json_t *json, struct fleet_error *error)
{
    const json_t *list = json_object_get(json, "gateway_types");
    const unsigned all = (1u << FLEET_KINDS) - 1;
    size_t i;
    json_t *item;
    if (list == NULL) {
        out->kinds = out->kinds != 0 ? out->kinds : all;
        return true;
    }
    out->kinds = 0;
    json_array_foreach((json_t *)(uintptr_t)list, i, item)
    {
        unsigned bit = 0;
        for (unsigned kind = 0; kind < FLEET_KINDS && json_is_string(item); kind++) {
            bit |= strcmp(json_string_value(item), fleet_kind_name(kind)) == 0 ? 1u << kind : 0;
        }
        if (bit == 0) {
            return refuse(error, "gateway_types", "is a list of amm, aleos, openvpn");
        }
        out->kinds |= bit;
    }
    if (!json_is_array(list)) {
        return refuse(error, "gateway_types", "is a list of amm, aleos, openvpn");
    }
    out->kinds = out->kinds != 0 ? out->kinds : all; /* none named: any */
    return true;
}

static bool read_stat(struct threshold *out, const json_t *json, struct fleet_error *error)
{
    if (!read_text(json, "stat", AMM_STAT_NAME_MAX, out->stat, sizeof out->stat, error) ||
        !read_text(json, "stat_label", AMM_STAT_NAME_MAX, out->stat_label, sizeof out->stat_label,
                   error)) {
        return false;
    }
    if (!amm_stat_name_ok(out->stat)) {
        return refuse(error, "stat", "is the name of a stat, such as CellLink-RSSI");
    }
    if (out->stat_label[0] != '\0' && !amm_stat_name_ok(out->stat_label)) {
        return refuse(error, "stat_label", "is a label of the stat, such as dock");
    }
    out->key = stat_key(out->stat, out->stat_label);
    return true;
}

static bool read_filter(struct threshold *out, const json_t *json, struct fleet_error *error)
{
    if (!read_text(json, "display_filter", PATTERN_MAX, out->display_filter,
                   sizeof out->display_filter, error)) {
        return false;
    }
    free(out->filter);
    out->filter = NULL;
    if (out->display_filter[0] != '\0') {
        out->filter = compile(out->display_filter, "display_filter", error);
        return out->filter != NULL;
    }
    return true;
}

bool threshold_read(struct threshold *out, const json_t *json, struct fleet_error *error)
{
    const char *label = json_string_value(json_object_get(json, "label"));
    if ((label == NULL && out->label[0] == '\0') || (label != NULL && !fleet_name_ok(label))) {
        return refuse(error, "label", "has 1 to 64 printable characters, none of < > \" \\");
    }
    return read_text(json, "label", THRESHOLD_LABEL_MAX, out->label, sizeof out->label, error) &&
           read_stat(out, json, error) && read_kinds(out, json, error) &&
           read_text(json, "default", THRESHOLD_VALUE_MAX, out->default_value,
                     sizeof out->default_value, error) &&
           read_filter(out, json, error) &&
           read_whole(json, "dashboard_group", 99, &out->dashboard_group, error) &&
           read_whole(json, "order", 9999, &out->order, error) &&
           read_condition(&out->warning, json, "warning", error) &&
           read_condition(&out->error, json, "error", error) &&
           read_number(json, "hysteresis", 0, 1e12, &out->hysteresis, error) &&
           read_whole(json, "hold_s", THRESHOLD_HOLD_MAX, &out->hold, error) &&
           read_text(json, "unit", THRESHOLD_UNIT_MAX, out->unit, sizeof out->unit, error);
}

void threshold_clear(struct threshold *threshold)
{
    free(threshold->filter);
    clear_condition(&threshold->warning);
    clear_condition(&threshold->error);
    threshold->filter = NULL;
}

/* ---- to JSON ---- */

static json_t *condition_to_json(const struct threshold_condition *condition)
{
    if (condition->op == OP_NONE) {
        return json_null();
    }
    if (condition->op == OP_MISSING || condition->op == OP_PRESENT) {
        return json_pack("{s:s}", "op", op_names[condition->op]);
    }
    return json_pack("{s:s, s:s}", "op", op_names[condition->op], "value", condition->value);
}

json_t *threshold_write(const struct threshold *threshold)
{
    json_t *kinds = json_array();
    for (unsigned kind = 0; kind < FLEET_KINDS; kind++) {
        if (threshold->kinds & 1u << kind) {
            json_array_append_new(kinds, json_string(fleet_kind_name(kind)));
        }
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:i, s:i, s:o, s:o, s:f, s:i, s:s}", "label",
                     threshold->label, "stat", threshold->stat, "stat_label", threshold->stat_label,
                     "gateway_types", kinds, "default", threshold->default_value, "display_filter",
                     threshold->display_filter, "dashboard_group", (int)threshold->dashboard_group,
                     "order", (int)threshold->order, "warning",
                     condition_to_json(&threshold->warning), "error",
                     condition_to_json(&threshold->error), "hysteresis", threshold->hysteresis,
                     "hold_s", (int)threshold->hold, "unit", threshold->unit);
}

/* ---- values ---- */

void threshold_cell(const struct threshold *threshold, const struct fleet_gateway *gateway,
                    int64_t now, struct threshold_cell *out)
{
    struct value value;
    char room[STAT_ROOM];
    *out = (struct threshold_cell){.says = stat_says(gateway, &threshold->key, now)};
    if (stat_get(gateway, &threshold->key, now, &value, room) &&
        stat_text(&value, out->text, sizeof out->text)) {
        out->is_there = true;
        out->is_number = value.type == VALUE_INTEGER || value.type == VALUE_REAL;
        out->number = value.real;
    } else if (out->says == STAT_SAYS && threshold->default_value[0] != '\0') {
        snprintf(out->text, sizeof out->text, "%s", threshold->default_value);
        out->is_there = true;
        out->is_number = parse_number(out->text, &out->number);
    }
}

void threshold_shown(const struct threshold *threshold, const struct threshold_cell *cell,
                     char *out, size_t room)
{
    size_t from = 0, to = strlen(cell->text);
    if (threshold->filter != NULL &&
        !pattern_find(threshold->filter, amm_view_str(cell->text), &from, &to)) {
        from = to = 0;
    }
    snprintf(out, room, "%.*s", (int)(to - from), cell->text + from);
}

/* `slack`: how much further than the mark a number must be to be out of the condition again. */
static bool holds(const struct threshold_condition *condition, const struct threshold_cell *cell,
                  double slack)
{
    size_t from, to;
    bool is_equal = condition->is_number && cell->is_number
                        ? cell->number == condition->number
                        : strcmp(cell->text, condition->value) == 0;
    bool has_number = cell->is_there && cell->is_number;
    switch (condition->op) {
    case OP_NONE:
        return false;
    case OP_LT:
        return has_number && cell->number < condition->number + slack;
    case OP_LE:
        return has_number && cell->number <= condition->number + slack;
    case OP_GT:
        return has_number && cell->number > condition->number - slack;
    case OP_GE:
        return has_number && cell->number >= condition->number - slack;
    case OP_EQ:
        return cell->is_there && is_equal;
    case OP_NE:
        return cell->is_there && !is_equal;
    case OP_MISSING:
        return !cell->is_there;
    case OP_PRESENT:
        return cell->is_there;
    case OP_MATCHES:
        return cell->is_there &&
               pattern_find(condition->pattern, amm_view_str(cell->text), &from, &to);
    }
    return false;
}

enum threshold_state threshold_judge(const struct threshold *threshold,
                                     const struct threshold_cell *cell, enum threshold_state before)
{
    bool has_conditions = threshold->warning.op != OP_NONE || threshold->error.op != OP_NONE;
    if (cell->says != STAT_SAYS || !has_conditions) {
        return THRESHOLD_NONE;
    }
    if (holds(&threshold->error, cell, before == THRESHOLD_ERROR ? threshold->hysteresis : 0)) {
        return THRESHOLD_ERROR;
    }
    if (holds(&threshold->warning, cell, before >= THRESHOLD_WARNING ? threshold->hysteresis : 0)) {
        return THRESHOLD_WARNING;
    }
    return cell->is_there ? THRESHOLD_OK : THRESHOLD_NONE;
}

/* Worse waits for the hold time, better counts at once. */
bool threshold_step(const struct threshold *threshold, struct threshold_record *record,
                    enum threshold_state judged, struct amm_now now)
{
    enum threshold_state before = record->state;
    enum threshold_state next = judged == THRESHOLD_NONE ? THRESHOLD_OK : judged;
    if (next <= record->state) {
        record->pending_at = AMM_NEVER;
        record->state = next;
    } else {
        if (record->pending_at == AMM_NEVER || record->pending < next) {
            record->pending_at = now.mono;
        }
        record->pending = next;
        if (now.mono - record->pending_at >= threshold->hold * AMM_SECOND) {
            record->pending_at = AMM_NEVER;
            record->state = next;
        }
    }
    if (record->state != before) {
        record->since = now.wall;
    }
    return record->state != before;
}

static const char *relation(enum threshold_op op)
{
    static const char *const words[OPS] = {
        [OP_LT] = "below",    [OP_LE] = "at most", [OP_GT] = "above",       [OP_GE] = "at least",
        [OP_EQ] = "equal to", [OP_NE] = "not",     [OP_MATCHES] = "matches"};
    return words[op] != NULL ? words[op] : "";
}

void threshold_text(const struct threshold *threshold, const struct threshold_cell *cell,
                    enum threshold_state state, char *out, size_t room)
{
    const struct threshold_condition *condition =
        state == THRESHOLD_ERROR ? &threshold->error : &threshold->warning;
    const char *blank = threshold->unit[0] != '\0' ? " " : "";
    int len = snprintf(out, room, "%s: %s%s%s%s%.*s%s%s", threshold->label, threshold->stat,
                       threshold->stat_label[0] != '\0' ? "/" : "", threshold->stat_label,
                       cell->is_there ? " is " : " is missing",
                       cell->is_there ? amm_text_part(cell->text, 64) : 0, cell->text,
                       cell->is_there ? blank : "", cell->is_there ? threshold->unit : "");
    bool compares =
        condition->op != OP_NONE && condition->op != OP_MISSING && condition->op != OP_PRESENT;
    if (state >= THRESHOLD_WARNING && compares && len > 0 && (size_t)len < room) {
        snprintf(out + len, room - (size_t)len, ", %s %s%s%s", relation(condition->op),
                 condition->value, blank, threshold->unit);
    }
}

size_t threshold_cost(const struct threshold *threshold, const struct threshold_cell *cell)
{
    size_t steps = (threshold->warning.pattern ? threshold->warning.pattern->n_steps : 0u) +
                   (threshold->error.pattern ? threshold->error.pattern->n_steps : 0u);
    return 64 + steps * (strlen(cell->text) + 1);
}
