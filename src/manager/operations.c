#include "operations.h"

#include "events.h"
#include "fleet_parts.h"
#include "parameters.h"
#include "requirements.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const state_names[OPERATION_STATES] = {
    [OPERATION_QUEUED] = "queued",       [OPERATION_TAKEN] = "taken",
    [OPERATION_RUNNING] = "running",     [OPERATION_DONE] = "done",
    [OPERATION_FAILED] = "failed",       [OPERATION_REFUSED] = "refused",
    [OPERATION_CANCELLED] = "cancelled", [OPERATION_EXPIRED] = "expired",
};

const char *operation_state_name(enum operation_state state)
{
    return state < OPERATION_STATES ? state_names[state] : "unknown";
}

bool operation_state_parse(const char *name, enum operation_state *out)
{
    for (unsigned i = 0; i < OPERATION_STATES; i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* ---- kinds ---- */

enum { MINUTES_MAX = 1440 };

/* Refuses members that are not among `known` (ended by NULL). */
static bool only(const json_t *args, const char *const *known, struct fleet_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)args, name, value)
    {
        const char *const *at = known;
        while (*at && strcmp(*at, name) != 0) {
            at++;
        }
        if (!*at) {
            return fleet_refuse(error, 400, "unknown-argument", "args",
                                "This kind of operation has no such argument.");
        }
    }
    return true;
}

static bool check_tunnel(const json_t *args, struct fleet_error *error)
{
    static const char *const known[] = {"minutes", NULL};
    const json_t *minutes = json_object_get(args, "minutes");
    if (!json_is_integer(minutes) || json_integer_value(minutes) < 1 ||
        json_integer_value(minutes) > MINUTES_MAX) {
        return fleet_refuse(error, 400, "bad-argument", "args.minutes",
                            "Minutes that the tunnel shall be up: 1 to %d.", MINUTES_MAX);
    }
    return only(args, known, error);
}

static bool check_factory_reset(const json_t *args, struct fleet_error *error)
{
    static const char *const known[] = {"forget_identity", NULL};
    const json_t *forget = json_object_get(args, "forget_identity");
    if (forget && !json_is_boolean(forget)) {
        return fleet_refuse(error, 400, "bad-argument", "args.forget_identity",
                            "true: the gateway also forgets its certificate and must enrol anew.");
    }
    return only(args, known, error);
}

const struct operation_kind operation_kinds[] = {
    {.name = "reboot", .doc = "Starts the gateway anew."},
    {.name = "check-in", .doc = "Checks in at once with everything it knows."},
    {.name = "tunnel",
     .feature = "tunnel",
     .check = check_tunnel,
     .doc = "Brings the tunnel up for `minutes`, whatever its settings say."},
    {.name = "apply-settings",
     .offers_settings = true,
     .doc = "Takes the desired settings again, also after a failure."},
    {.name = "renew-certificate", .doc = "Renews the certificate now."},
    {.name = "diagnostics", .doc = "Sends a bundle of states and logs with the result."},
    {.name = "factory-reset",
     .is_destructive = true,
     .check = check_factory_reset,
     .doc = "Settings and logins as delivered; the certificate stays unless `forget_identity`."},
    {.name = "install-application", .feature = "software", .is_reserved = true, .doc = "Reserved."},
    {.name = "remove-application", .feature = "software", .is_reserved = true, .doc = "Reserved."},
    {.name = "upgrade",
     .feature = "software",
     .is_upgrade = true,
     .is_reserved = true,
     .doc = "Reserved."},
};
const size_t operation_kinds_count = sizeof operation_kinds / sizeof operation_kinds[0];

const struct operation_kind *operation_kind_find(const char *name)
{
    for (size_t i = 0; i < operation_kinds_count; i++) {
        if (strcmp(operation_kinds[i].name, name) == 0) {
            return &operation_kinds[i];
        }
    }
    return NULL;
}

/* ---- rows ---- */

void operation_deinit(struct operation *operation)
{
    json_decref(operation->args);
    json_decref(operation->result);
    free(operation->text);
    free(operation->by);
    free(operation->key);
    *operation = (struct operation){0};
}

static char *text_column(const struct amm_rows *rows, unsigned column)
{
    struct amm_view view = amm_rows_view(rows, column);
    return strndup(view.len > 0 ? (const char *)view.data : "", view.len);
}

static json_t *json_column(const struct amm_rows *rows, unsigned column)
{
    struct amm_view view = amm_rows_view(rows, column);
    return view.len > 0 ? json_loadb((const char *)view.data, view.len, 0, NULL) : NULL;
}

/* A kind of an older release that is gone. */
static const struct operation_kind kind_gone = {.name = "unknown", .is_reserved = true};

void operation_of_row(const struct amm_rows *rows, struct operation *out)
{
    char kind[AMM_CHECKIN_KIND], state[16];
    *out = (struct operation){
        .row = amm_rows_number(rows, 0),
        .gateway_id = amm_rows_number(rows, 2),
        .args = json_column(rows, 4),
        .key = text_column(rows, 5),
        .text = text_column(rows, 7),
        .result = json_column(rows, 8),
        .created_at = amm_rows_number(rows, 9),
        .by = text_column(rows, 10),
        .expires_at = amm_rows_number(rows, 11),
        .taken_at = amm_rows_number(rows, 12),
        .ended_at = amm_rows_number(rows, 13),
        .state = OPERATION_CANCELLED,
    };
    amm_rows_text(rows, 1, out->id, sizeof out->id);
    amm_rows_text(rows, 3, kind, sizeof kind);
    amm_rows_text(rows, 6, state, sizeof state);
    out->kind = operation_kind_find(kind);
    out->kind = out->kind ? out->kind : &kind_gone;
    operation_state_parse(state, &out->state);
}

json_t *operation_to_json(struct fleet *fleet, const struct operation *operation)
{
    char gateway[24];
    snprintf(gateway, sizeof gateway, "%lld", (long long)operation->gateway_id);
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "id", operation->id, "gateway", gateway, "kind",
        operation->kind->name, "state", operation_state_name(operation->state), "text",
        operation->text ? operation->text : "", "by", operation->by ? operation->by : "",
        "created_at", (json_int_t)operation->created_at, "expires_at",
        (json_int_t)operation->expires_at);
    const struct fleet_gateway *of = fleet_gateway_find(fleet, operation->gateway_id);
    if (json && of) {
        json_object_set_new(json, "gateway_name", json_string(of->name));
    }
    if (json && operation->args) {
        json_object_set(json, "args", operation->args);
    }
    if (json && operation->result) {
        json_object_set(json, "result", operation->result);
    }
    if (json && operation->taken_at != 0) {
        json_object_set_new(json, "taken_at", json_integer(operation->taken_at));
    }
    if (json && operation->ended_at != 0) {
        json_object_set_new(json, "ended_at", json_integer(operation->ended_at));
    }
    return json;
}

/* The one row of a query, or 404. */
static bool one_row(struct fleet *fleet, struct amm_rows *rows, struct operation *out,
                    struct fleet_error *error)
{
    bool found = amm_rows_next(rows);
    if (found) {
        operation_of_row(rows, out);
    }
    enum amm_store_result result = amm_rows_end(rows);
    if (result != AMM_STORE_OK) {
        if (found) {
            operation_deinit(out);
        }
        return fleet_store_refused(fleet, result, error);
    }
    return found || fleet_refuse(error, 404, "not-found", NULL, "There is no such operation.");
}

bool operation_find(struct fleet *fleet, const char *id, struct operation *out,
                    struct fleet_error *error)
{
    return one_row(fleet,
                   amm_store_query(fleet->store, AMM_SQL_OPERATION_BY_UID, AMM_WITH(amm_text(id))),
                   out, error);
}

/* ---- adding ---- */

/* 48 bits of milliseconds would tell when; seconds do, in the same sortable form (ULID). */
static bool make_id(int64_t now, char out[OPERATION_ID])
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint8_t random[10];
    if (getentropy(random, sizeof random) != 0) {
        return false;
    }
    uint64_t time = (uint64_t)now * 1000;
    for (unsigned i = 10; i-- > 0; time >>= 5) {
        out[i] = digits[time & 31];
    }
    for (unsigned bit = 0, i = 10; i < 26; i++, bit += 5) {
        unsigned two =
            (unsigned)random[bit / 8] << 8 | (bit / 8 + 1 < 10 ? random[bit / 8 + 1] : 0);
        out[i] = digits[two >> (11 - bit % 8) & 31];
    }
    out[26] = '\0';
    return true;
}

static bool key_ok(const char *key)
{
    size_t len = strlen(key);
    return len <= OPERATION_KEY_MAX && amm_text_ok(key, OPERATION_KEY_MAX, false);
}

static bool gateway_can(const struct fleet *fleet, const struct fleet_gateway *gateway,
                        const struct operation_kind *kind, int64_t now, struct fleet_error *error)
{
    struct requirement can[FEATURES];
    requirements_of(fleet, gateway, now, can);
    for (unsigned i = 0; i < FEATURES; i++) {
        bool needed = i == FEATURE_OPERATIONS ||
                      (kind->feature && strcmp(kind->feature, feature_name(i)) == 0);
        if (needed && !can[i].is_supported) {
            return fleet_refuse(error, 409, "not-supported", NULL, "%s", can[i].why);
        }
    }
    return true;
}

static bool check(const struct fleet *fleet, const struct fleet_gateway *gateway,
                  const struct operation_kind *kind, const struct operation_new *what, int64_t now,
                  struct fleet_error *error)
{
    if (!kind || kind->is_reserved) {
        return fleet_refuse(error, 400, "unknown-kind", "kind", "There is no such operation.");
    }
    if (what->key && !key_ok(what->key)) {
        return fleet_refuse(error, 400, "bad-key", "key", "A key has 1 to %d characters.",
                            OPERATION_KEY_MAX);
    }
    if (what->expires_in < 0 || what->expires_in > OPERATION_EXPIRES_MAX) {
        return fleet_refuse(error, 400, "bad-expiry", "expires_in", "Seconds: 1 to %d.",
                            OPERATION_EXPIRES_MAX);
    }
    if (what->args && !json_is_object(what->args)) {
        return fleet_refuse(error, 400, "bad-argument", "args", "Arguments are an object.");
    }
    if (!kind->check && json_object_size(what->args) > 0) {
        return fleet_refuse(error, 400, "unknown-argument", "args",
                            "This kind of operation takes no arguments.");
    }
    return (!kind->check || kind->check(what->args, error)) &&
           gateway_can(fleet, gateway, kind, now, error);
}

/* The operation that has the key already. */
static bool find_by_key(struct fleet *fleet, struct fleet_gateway *gateway,
                        const struct operation_new *what, struct operation *out, bool *found,
                        struct fleet_error *error)
{
    struct fleet_error none = {0};
    *found = one_row(fleet,
                     amm_store_query(fleet->store, AMM_SQL_OPERATION_BY_KEY,
                                     AMM_WITH(amm_number(gateway->id), amm_text(what->key))),
                     out, &none);
    if (!*found) {
        if (none.status != 404) {
            *error = none;
        }
        return none.status == 404;
    }
    json_t *nothing = json_object();
    bool same = strcmp(out->kind->name, what->kind) == 0 &&
                json_equal(out->args ? out->args : nothing, what->args ? what->args : nothing);
    json_decref(nothing);
    if (!same) {
        operation_deinit(out);
        return fleet_refuse(error, 409, "key-used", "key",
                            "This key belongs to another operation of the gateway.");
    }
    return true;
}

static void count(struct fleet *fleet, struct fleet_gateway *gateway,
                  const struct operation_kind *kind, int by)
{
    fleet_touch_gateway(fleet, gateway, FLEET_OPERATIONS);
    gateway->open_operations = (uint16_t)(gateway->open_operations + by);
    if (kind->is_upgrade) {
        gateway->open_upgrades = (uint16_t)(gateway->open_upgrades + by);
        fleet_sync_update(gateway);
    }
}

bool operation_add(struct fleet *fleet, struct fleet_gateway *gateway,
                   const struct operation_new *what, int64_t now, struct operation *out,
                   struct fleet_error *error)
{
    const struct operation_kind *kind = operation_kind_find(what->kind);
    char id[OPERATION_ID];
    bool found = false;
    if (!check(fleet, gateway, kind, what, now, error) ||
        (what->key && !find_by_key(fleet, gateway, what, out, &found, error))) {
        return false;
    }
    if (found) {
        return true;
    }
    if (gateway->open_operations >= OPERATIONS_OPEN_MAX) {
        return fleet_refuse(error, 409, "too-many", NULL,
                            "The gateway has %d operations that have not ended; cancel some.",
                            OPERATIONS_OPEN_MAX);
    }
    bool has_args = json_object_size(what->args) > 0;
    char *args = has_args ? json_dumps(what->args, JSON_COMPACT) : NULL;
    if ((has_args && !args) || !make_id(now, id)) {
        free(args);
        return fleet_no_memory(error);
    }
    int64_t expires = now + (what->expires_in > 0 ? what->expires_in : OPERATION_EXPIRES), row = 0;
    enum amm_store_result result = amm_store_number(
        fleet->store, AMM_SQL_OPERATION_ADD,
        AMM_WITH(amm_text(id), amm_number(gateway->group->tenant->id), amm_number(gateway->id),
                 amm_text(kind->name), amm_text(args ? args : ""),
                 what->key ? amm_text(what->key) : amm_null(),
                 amm_text(operation_state_name(OPERATION_QUEUED)), amm_number(now),
                 amm_text(what->by), amm_number(expires)),
        &row);
    free(args);
    if (result != AMM_STORE_OK) {
        return fleet_store_refused(fleet, result, error);
    }
    count(fleet, gateway, kind, 1);
    return (!kind->offers_settings || parameters_retry(fleet, gateway, error)) &&
           operation_find(fleet, id, out, error);
}

/* ---- ending ---- */

static bool set_state(struct fleet *fleet, struct operation *operation, enum operation_state state,
                      const char *text, const json_t *result, int64_t ended_at)
{
    enum { RESULT_MAX = 65536 };
    char *json = result ? json_dumps(result, JSON_COMPACT) : NULL;
    if (json && strlen(json) > RESULT_MAX) {
        free(json);
        json = NULL;
        text = "the result was too long to be kept";
    }
    enum amm_store_result done = amm_store_run(
        fleet->store, AMM_SQL_OPERATION_SET,
        AMM_WITH(amm_text(operation_state_name(state)), amm_text(text), amm_text(json ? json : ""),
                 amm_number(ended_at), amm_number(operation->row)));
    free(json);
    if (done != AMM_STORE_OK) {
        return false;
    }
    struct fleet_gateway *gateway = fleet_gateway_find(fleet, operation->gateway_id);
    if (gateway) {
        fleet_touch_gateway(fleet, gateway, FLEET_OPERATIONS);
        if (ended_at != 0) {
            count(fleet, gateway, operation->kind, -1);
        }
    }
    operation->state = state;
    operation->ended_at = ended_at;
    return true;
}

bool operation_cancel(struct fleet *fleet, struct operation *operation, int64_t now,
                      struct fleet_error *error)
{
    if (operation->state == OPERATION_CANCELLED) {
        return true;
    }
    if (operation->ended_at != 0) {
        return fleet_refuse(error, 409, "ended", NULL, "The operation has ended: %s.",
                            operation_state_name(operation->state));
    }
    if (operation->state != OPERATION_QUEUED) {
        return fleet_refuse(error, 409, "taken", NULL,
                            "The gateway has taken the operation; it cannot be called back.");
    }
    return set_state(fleet, operation, OPERATION_CANCELLED, "cancelled", NULL, now) ||
           fleet_store_refused(fleet, AMM_STORE_FAILED, error);
}

/* The open ones of a gateway, read whole before anything is written. */
static bool open_of(struct fleet *fleet, enum amm_statement statement, int64_t first, size_t most,
                    struct operation *out, size_t *n)
{
    struct amm_rows *rows = amm_store_query(fleet->store, statement,
                                            AMM_WITH(amm_number(first), amm_number((int64_t)most)));
    *n = 0;
    while (*n < most && amm_rows_next(rows)) {
        operation_of_row(rows, &out[(*n)++]);
    }
    return amm_rows_end(rows) == AMM_STORE_OK;
}

static bool take(struct fleet *fleet, struct fleet_gateway *gateway, struct operation *operation,
                 int64_t now, struct amm_checkin_operation *out)
{
    if (operation->state == OPERATION_QUEUED) {
        if (amm_store_run(fleet->store, AMM_SQL_OPERATION_TAKE,
                          AMM_WITH(amm_number(now), amm_number(operation->row))) != AMM_STORE_OK) {
            return false;
        }
        fleet_touch_gateway(fleet, gateway, FLEET_OPERATIONS);
    }
    *out = (struct amm_checkin_operation){.expires = operation->expires_at,
                                          .args = json_incref(operation->args)};
    snprintf(out->id, sizeof out->id, "%s", operation->id);
    snprintf(out->kind, sizeof out->kind, "%s", operation->kind->name);
    return true;
}

bool operations_take(struct fleet *fleet, struct fleet_gateway *gateway, int64_t now,
                     struct amm_checkin_operation *out, size_t room, size_t *n)
{
    struct operation open[OPERATIONS_OPEN_MAX];
    size_t found = 0;
    *n = 0;
    if (gateway->open_operations == 0) {
        return true;
    }
    bool good =
        open_of(fleet, AMM_SQL_OPERATION_OPEN_OF, gateway->id, OPERATIONS_OPEN_MAX, open, &found);
    for (size_t i = 0; i < found; i++) {
        /* One that runs is known to the gateway already; one that is past its time ends soon. */
        if (good && *n < room && open[i].state != OPERATION_RUNNING && open[i].expires_at > now) {
            good = take(fleet, gateway, &open[i], now, &out[*n]);
            *n += good;
        }
        operation_deinit(&open[i]);
    }
    return good;
}

bool operation_result(struct fleet *fleet, struct fleet_gateway *gateway,
                      const struct amm_checkin_result *result, int64_t now)
{
    static const enum operation_state states[AMM_OPERATION_STATES] = {
        [AMM_OPERATION_RUNNING] = OPERATION_RUNNING,
        [AMM_OPERATION_DONE] = OPERATION_DONE,
        [AMM_OPERATION_FAILED] = OPERATION_FAILED,
        [AMM_OPERATION_REFUSED] = OPERATION_REFUSED,
    };
    struct operation operation;
    struct fleet_error error = {0};
    if (!operation_find(fleet, result->id, &operation, &error)) {
        return error.status == 404;
    }
    bool good = true;
    /* Another gateway's operation is none of its business; a late result changes nothing. */
    if (operation.gateway_id == gateway->id && operation.ended_at == 0) {
        enum operation_state state = states[result->state];
        good = set_state(fleet, &operation, state, result->text, result->data,
                         state == OPERATION_RUNNING ? 0 : now);
    }
    operation_deinit(&operation);
    return good;
}

size_t operations_expire(struct fleet *fleet, int64_t now, size_t most)
{
    struct operation past[OPERATIONS_OPEN_MAX];
    size_t n = 0, ended = 0;
    most = most < OPERATIONS_OPEN_MAX ? most : OPERATIONS_OPEN_MAX;
    bool good = open_of(fleet, AMM_SQL_OPERATION_PAST, now, most, past, &n);
    for (size_t i = 0; i < n; i++) {
        const char *text = past[i].state == OPERATION_QUEUED
                               ? "the gateway did not check in in time"
                               : "the gateway took it and sent no result in time";
        if (good) {
            good = set_state(fleet, &past[i], OPERATION_EXPIRED, text, NULL, now);
            ended += good;
        }
        operation_deinit(&past[i]);
    }
    return ended;
}
