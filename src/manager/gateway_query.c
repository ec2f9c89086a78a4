#include "gateway_query.h"

#include "domain/msci.h"
#include "lamps.h"
#include "threshold_rules.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char tunnel_stat[] = "ManagementTunnel-IPAddress";

void gateway_query_init(struct gateway_query *query, int64_t now)
{
    *query = (struct gateway_query){.kind = QUERY_ANY,
                                    .access = QUERY_ANY,
                                    .sync = QUERY_ANY,
                                    .tunnel = QUERY_ANY,
                                    .late = QUERY_ANY,
                                    .clone = QUERY_ANY,
                                    .checkin = QUERY_ANY,
                                    .alarm = QUERY_ANY,
                                    .now = now,
                                    .limit = 100};
}

/* ---- conditions: their text ---- */

static bool parse_number(const char *text, double *out)
{
    char *end;
    /* No hexadecimal, no "inf": what strtod takes beyond decimal digits is a text here. */
    if (text[0] == '\0' || strspn(text, "0123456789+-.eE") != strlen(text)) {
        return false;
    }
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

static const struct {
    const char *sign;
    enum query_operator operator;
} operators[] = {
    /* longer ones first */
    {"!=", QUERY_UNEQUAL}, {"<=", QUERY_AT_MOST}, {">=", QUERY_AT_LEAST}, {"=", QUERY_EQUAL},
    {"<", QUERY_BELOW},    {">", QUERY_ABOVE},    {"~", QUERY_CONTAINS},
};

/* Splits at the first operator; `sign` of `len` 0 if there is none. */
static size_t find_operator(const char *text, enum query_operator *out, size_t *len)
{
    size_t at = strcspn(text, "!=<>~");
    *len = 0;
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        size_t n = strlen(operators[i].sign);
        if (strncmp(text + at, operators[i].sign, n) == 0) {
            *out = operators[i].operator;
            *len = n;
            break;
        }
    }
    return at;
}

static bool take_stat(struct query_condition *out, const char *text, size_t len)
{
    char name[2 * AMM_STAT_NAME_MAX + 2];
    if (len >= sizeof name) {
        return false;
    }
    memcpy(name, text, len);
    name[len] = '\0';
    char *label = strchr(name, '/');
    if (label) {
        *label++ = '\0';
    }
    if (!amm_stat_name_ok(name) || (label && !amm_stat_name_ok(label))) {
        return false;
    }
    snprintf(out->stat, sizeof out->stat, "%.*s", AMM_STAT_NAME_MAX, name);
    snprintf(out->label, sizeof out->label, "%.*s", AMM_STAT_NAME_MAX, label ? label : "");
    return true;
}

static bool parse_condition(const char *text, struct query_condition *out)
{
    size_t len;
    *out = (struct query_condition){.operator= QUERY_HAS };
    if (text[0] == '!' && text[1] != '=') {
        out->operator= QUERY_LACKS;
        return strpbrk(text + 1, "!=<>~") == NULL && take_stat(out, text + 1, strlen(text + 1));
    }
    size_t at = find_operator(text, &out->operator, & len);
    if ((text[at] != '\0' && len == 0) || !take_stat(out, text, at)) {
        return false;
    }
    if (len == 0) {
        return true;
    }
    const char *value = text + at + len;
    if (strlen(value) >= sizeof out->text) {
        return false;
    }
    snprintf(out->text, sizeof out->text, "%s", value);
    out->is_number = parse_number(value, &out->number);
    bool is_order = out->operator>= QUERY_BELOW && out->operator<= QUERY_AT_LEAST;
    return !is_order || out->is_number;
}

bool gateway_query_conditions(struct gateway_query *query, const char *text, char *error,
                              size_t room)
{
    while (*text != '\0') {
        char one[AMM_STAT_NAME_MAX * 2 + QUERY_TEXT + 4];
        size_t len = strcspn(text, ";");
        if (query->n_conditions == QUERY_CONDITIONS) {
            snprintf(error, room, "At most %d conditions.", QUERY_CONDITIONS);
            return false;
        }
        snprintf(one, sizeof one, "%.*s", (int)len, text);
        if (len >= sizeof one || !parse_condition(one, &query->conditions[query->n_conditions])) {
            snprintf(error, room,
                     "\"%.*s\" is no condition. Such are: CellLink-RSSI<-100, Platform=RV50, "
                     "Platform~rv, AssetTemperature/dock>=20, WiFiLink-IPAddress, !IMEI; order "
                     "needs a number.",
                     amm_text_part(one, 60), one);
            return false;
        }
        query->n_conditions++;
        text += len + (text[len] == ';');
    }
    return true;
}

bool gateway_query_sort(struct gateway_query *query, const char *text)
{
    static const struct {
        const char *name;
        enum query_sort sort;
    } sorts[] = {{"name", QUERY_BY_NAME},
                 {"serial", QUERY_BY_SERIAL},
                 {"last_checkin", QUERY_BY_LAST_CHECKIN},
                 {"tunnel", QUERY_BY_TUNNEL},
                 {"worst", QUERY_BY_WORST}};
    for (size_t i = 0; i < sizeof sorts / sizeof sorts[0]; i++) {
        if (strcmp(text, sorts[i].name) == 0) {
            query->sort = sorts[i].sort;
            return true;
        }
    }
    struct query_condition named;
    if (strncmp(text, "stat:", 5) != 0 || !take_stat(&named, text + 5, strlen(text + 5))) {
        return false;
    }
    /* The server's own stat: in the order of addresses, not of their texts. */
    query->sort = strcmp(named.stat, tunnel_stat) == 0 ? QUERY_BY_TUNNEL : QUERY_BY_STAT;
    snprintf(query->sort_stat, sizeof query->sort_stat, "%s", named.stat);
    snprintf(query->sort_label, sizeof query->sort_label, "%s", named.label);
    return true;
}

/* ---- conditions: what they are true of ---- */

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* `part` is in lower case (ASCII). Plain: texts are short, and there are 100 000 of them. */
static bool contains(struct amm_view text, struct amm_view part)
{
    for (size_t at = 0; at + part.len <= text.len; at++) {
        size_t i = 0;
        while (i < part.len && lower(text.data[at + i]) == part.data[i]) {
            i++;
        }
        if (i == part.len) {
            return true;
        }
    }
    return false;
}

static void make_lower(char *text)
{
    for (; *text != '\0'; text++) {
        *text = (char)lower((uint8_t)*text);
    }
}

static bool is_number(const struct value *value)
{
    return value->type == VALUE_INTEGER || value->type == VALUE_REAL;
}

static bool equals(const struct query_condition *condition, const struct value *value)
{
    switch (value->type) {
    case VALUE_INTEGER:
    case VALUE_REAL:
        return condition->is_number && value->real == condition->number;
    case VALUE_FALSE:
        return strcmp(condition->text, "false") == 0;
    case VALUE_TRUE:
        return strcmp(condition->text, "true") == 0;
    case VALUE_TEXT:
        return amm_view_equal(value->text, amm_view_str(condition->text));
    case VALUE_OBJECT:
        break;
    }
    return false;
}

static bool holds(const struct query_condition *condition, const struct fleet_gateway *gateway,
                  int64_t now)
{
    struct value value;
    char room[STAT_ROOM];
    bool has = stat_get(gateway, &condition->key, now, &value, room);
    switch (condition->operator) {
    case QUERY_HAS:
        return has;
    case QUERY_LACKS:
        return !has;
    case QUERY_EQUAL:
        return has && equals(condition, &value);
    case QUERY_UNEQUAL:
        return !has || !equals(condition, &value);
    case QUERY_BELOW:
        return has && is_number(&value) && value.real < condition->number;
    case QUERY_AT_MOST:
        return has && is_number(&value) && value.real <= condition->number;
    case QUERY_ABOVE:
        return has && is_number(&value) && value.real > condition->number;
    case QUERY_AT_LEAST:
        return has && is_number(&value) && value.real >= condition->number;
    case QUERY_CONTAINS:
        return has && value.type == VALUE_TEXT &&
               contains(value.text, amm_view_str(condition->text));
    }
    return false;
}

static bool has_text(const struct fleet_gateway *gateway, const char *text)
{
    static const struct values_key device_name = {AMM_MSCI_DEVICE_NAME, "1154"};
    struct amm_view part = amm_view_str(text);
    struct value value;
    char address[16];
    return contains(amm_view_str(gateway->name), part) ||
           contains(amm_view_str(gateway->serial), part) ||
           contains(amm_view_str(gateway->note), part) ||
           (values_get(gateway->reported, device_name, &value) && value.type == VALUE_TEXT &&
            contains(value.text, part)) ||
           (fleet_tunnel_address(gateway, address) && contains(amm_view_str(address), part));
}

static bool fits(uint8_t wanted, unsigned is)
{
    return wanted == QUERY_ANY || wanted == is;
}

/* Nothing that is not well is well. */
static uint8_t alarm_of(const struct fleet_gateway *gateway)
{
    return gateway->alarm > THRESHOLD_OK ? gateway->alarm : THRESHOLD_OK;
}

/* Cheap ones first. */
static bool matches(const struct gateway_query *query, const struct fleet_gateway *gateway)
{
    if (gateway->group->mark != query->mark || !fits(query->kind, gateway->kind) ||
        !fits(query->access, gateway->access) || !fits(query->sync, gateway->sync) ||
        !fits(query->tunnel, gateway->tunnel.up_port != 0) ||
        !fits(query->clone, gateway->clone_flag) ||
        (query->port != 0 && gateway->tunnel.port != query->port) ||
        !fits(query->late, fleet_is_late(gateway, query->now)) ||
        (query->checkin != QUERY_ANY && query->checkin != lamp_checkin(gateway, query->now)) ||
        (query->alarm != QUERY_ANY && query->alarm != alarm_of(gateway))) {
        return false;
    }
    for (size_t i = 0; i < query->n_conditions; i++) {
        if (!holds(&query->conditions[i], gateway, query->now)) {
            return false;
        }
    }
    return query->text[0] == '\0' || has_text(gateway, query->text);
}

static void prepare(struct gateway_query *query)
{
    for (size_t i = 0; i < query->n_conditions; i++) {
        struct query_condition *condition = &query->conditions[i];
        condition->key = stat_key(condition->stat, condition->label);
        if (condition->operator== QUERY_CONTAINS) {
            make_lower(condition->text);
        }
    }
    make_lower(query->text);
}

/* ---- order ---- */

/* Numbers come before texts, and those without a key last, in both directions. */
struct sort_key {
    enum { KEY_NUMBER, KEY_TEXT, KEY_NONE } type;
    double number;
    struct amm_view text; /* of the gateway, or of the cursor */
    int64_t id;
};

struct ranked {
    struct fleet_gateway *gateway;
    struct sort_key key;
};

static void text_key(struct sort_key *key, struct amm_view text)
{
    key->type = text.len > 0 ? KEY_TEXT : KEY_NONE;
    key->text = text;
}

static void key_of_stat(struct sort_key *key, const struct fleet_gateway *gateway,
                        const struct stat_key *stat, int64_t now)
{
    struct value value;
    char room[STAT_ROOM]; /* only of the tunnel's address, which has an order of its own */
    key->type = KEY_NONE;
    if (!stat_get(gateway, stat, now, &value, room)) {
        return;
    }
    switch (value.type) {
    case VALUE_INTEGER:
    case VALUE_REAL:
        key->type = KEY_NUMBER;
        key->number = value.real;
        return;
    case VALUE_FALSE:
    case VALUE_TRUE:
        key->type = KEY_NUMBER;
        key->number = value.type == VALUE_TRUE;
        return;
    case VALUE_TEXT:
        text_key(key, value.text);
        return;
    case VALUE_OBJECT:
        return;
    }
}

static void key_of(const struct gateway_query *query, const struct stat_key *stat,
                   const struct fleet_gateway *gateway, struct sort_key *key)
{
    key->id = gateway->id;
    key->number = 0;
    key->text = (struct amm_view){NULL, 0};
    switch (query->sort) {
    case QUERY_BY_NAME:
        text_key(key, amm_view_str(gateway->name));
        return;
    case QUERY_BY_SERIAL:
        text_key(key, amm_view_str(gateway->serial));
        return;
    case QUERY_BY_LAST_CHECKIN:
        key->type = gateway->last_checkin != 0 ? KEY_NUMBER : KEY_NONE;
        key->number = (double)gateway->last_checkin;
        return;
    case QUERY_BY_TUNNEL:
        key->type = gateway->tunnel.up_port != 0 ? KEY_NUMBER : KEY_NONE;
        key->number = gateway->tunnel.inner_ip;
        return;
    case QUERY_BY_STAT:
        key_of_stat(key, gateway, stat, query->now);
        return;
    case QUERY_BY_WORST:
        key->type = KEY_NUMBER;
        key->number = -(double)alarm_of(gateway);
        key->text = amm_view_str(gateway->name);
        return;
    }
}

/* As strcmp, which orders the list by name. */
static int compare_texts(struct amm_view a, struct amm_view b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.data, b.data, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_keys(const struct sort_key *a, const struct sort_key *b, bool descending)
{
    int order = 0;
    if (a->type != b->type) {
        return a->type < b->type ? -1 : 1;
    }
    if (a->type == KEY_NUMBER) {
        order = (a->number > b->number) - (a->number < b->number);
        if (order == 0 && a->text.data != NULL && b->text.data != NULL) {
            order = compare_texts(a->text, b->text);
        }
    } else if (a->type == KEY_TEXT) {
        order = compare_texts(a->text, b->text);
    }
    if (order == 0) {
        order = (a->id > b->id) - (a->id < b->id);
    }
    return descending ? -order : order;
}

/* ---- cursors: "n:-71:12", "t:RV50:12", "w:-3 truck-7:12" (worst), "x::12" ---- */

static void write_cursor(const struct sort_key *key, char out[QUERY_CURSOR])
{
    if (key->type == KEY_NUMBER && key->text.data != NULL) {
        snprintf(out, QUERY_CURSOR, "w:%d %.*s:%lld", (int)key->number, (int)key->text.len,
                 (const char *)key->text.data, (long long)key->id);
    } else if (key->type == KEY_NUMBER) {
        snprintf(out, QUERY_CURSOR, "n:%.17g:%lld", key->number, (long long)key->id);
    } else if (key->type == KEY_TEXT) {
        snprintf(out, QUERY_CURSOR, "t:%.*s:%lld", (int)key->text.len, (const char *)key->text.data,
                 (long long)key->id);
    } else {
        snprintf(out, QUERY_CURSOR, "x::%lld", (long long)key->id);
    }
}

/* Borrows the text. */
static bool read_cursor(const char *text, struct sort_key *out)
{
    const char *colon = strrchr(text, ':');
    char *end, number[32];
    if (!colon || colon < text + 2 || text[1] != ':' || colon[1] < '0' || colon[1] > '9') {
        return false;
    }
    *out = (struct sort_key){.text = amm_view(text + 2, (size_t)(colon - text) - 2)};
    out->id = strtoll(colon + 1, &end, 10);
    if (*end != '\0') {
        return false;
    }
    switch (text[0]) {
    case 'n':
        out->type = KEY_NUMBER;
        if (out->text.len >= sizeof number) {
            return false;
        }
        snprintf(number, sizeof number, "%.*s", (int)out->text.len, (const char *)out->text.data);
        out->text = (struct amm_view){NULL, 0};
        return parse_number(number, &out->number);
    case 'w': /* "-3 name" */
        if (out->text.len < 4 || text[2] != '-' || text[3] < '1' || text[3] > '3' ||
            text[4] != ' ') {
            return false;
        }
        out->type = KEY_NUMBER;
        out->number = -(text[3] - '0');
        out->text = amm_view(text + 5, out->text.len - 3);
        return true;
    case 't':
        out->type = KEY_TEXT;
        return out->text.len > 0;
    case 'x':
        out->type = KEY_NONE;
        return out->text.len == 0;
    }
    return false;
}

/* ---- running ---- */

/* By name, the list is in order already: begin behind the cursor and stop when the page is full,
 * unless all are to be counted. */
static void run_by_name(struct fleet *fleet, struct gateway_query *query,
                        const struct sort_key *after, struct gateway_page *out)
{
    size_t n = fleet_gateway_count(fleet), first = 0;
    if (after) {
        char name[QUERY_CURSOR];
        snprintf(name, sizeof name, "%.*s", (int)after->text.len, (const char *)after->text.data);
        first = fleet_gateway_behind(fleet, name, after->id);
    }
    for (size_t i = query->want_total ? 0 : first; i < n; i++) {
        struct fleet_gateway *gateway = fleet_gateway_at(fleet, i);
        if (!matches(query, gateway)) {
            continue;
        }
        out->total++;
        if (i < first) {
            continue;
        }
        if (out->n < query->limit) {
            out->at[out->n++] = gateway;
            continue;
        }
        out->has_more = true;
        if (!query->want_total) {
            break;
        }
    }
    if (out->has_more) {
        struct sort_key key;
        key_of(query, NULL, out->at[out->n - 1], &key);
        write_cursor(&key, out->next);
    }
}

/* The first `limit` + 1 of any order: a heap with the last of them on top. */
struct heap {
    struct ranked *at;
    size_t n, most;
    bool descending;
};

static void sift_down(struct heap *heap, size_t i)
{
    for (;;) {
        size_t last = i, left = 2 * i + 1;
        for (size_t child = left; child < left + 2 && child < heap->n; child++) {
            if (compare_keys(&heap->at[child].key, &heap->at[last].key, heap->descending) > 0) {
                last = child;
            }
        }
        if (last == i) {
            return;
        }
        struct ranked swap = heap->at[i];
        heap->at[i] = heap->at[last];
        heap->at[last] = swap;
        i = last;
    }
}

static void heap_offer(struct heap *heap, const struct ranked *item)
{
    if (heap->n == heap->most) {
        if (compare_keys(&item->key, &heap->at[0].key, heap->descending) < 0) {
            heap->at[0] = *item;
            sift_down(heap, 0);
        }
        return;
    }
    size_t i = heap->n++;
    heap->at[i] = *item;
    while (i > 0 &&
           compare_keys(&heap->at[i].key, &heap->at[(i - 1) / 2].key, heap->descending) > 0) {
        struct ranked swap = heap->at[i];
        heap->at[i] = heap->at[(i - 1) / 2];
        heap->at[(i - 1) / 2] = swap;
        i = (i - 1) / 2;
    }
}

static bool run_ranked(struct fleet *fleet, struct gateway_query *query,
                       const struct sort_key *after, struct gateway_page *out)
{
    struct stat_key stat = stat_key(query->sort_stat, query->sort_label);
    struct heap heap = {.most = query->limit + 1, .descending = query->descending};
    heap.at = malloc(heap.most * sizeof *heap.at);
    if (!heap.at) {
        return false;
    }
    for (size_t i = 0; i < fleet_gateway_count(fleet); i++) {
        struct ranked item = {.gateway = fleet_gateway_at(fleet, i)};
        if (!matches(query, item.gateway)) {
            continue;
        }
        out->total++;
        key_of(query, &stat, item.gateway, &item.key);
        if (!after || compare_keys(&item.key, after, query->descending) > 0) {
            heap_offer(&heap, &item);
        }
    }
    out->has_more = heap.n == heap.most;
    if (out->has_more) {
        heap.at[0] = heap.at[--heap.n];
        sift_down(&heap, 0);
        write_cursor(&heap.at[0].key, out->next);
    }
    /* The last one comes off first. */
    out->n = heap.n;
    while (heap.n > 0) {
        out->at[heap.n - 1] = heap.at[0].gateway;
        heap.at[0] = heap.at[--heap.n];
        sift_down(&heap, 0);
    }
    free(heap.at);
    return true;
}

bool gateway_query_run(struct fleet *fleet, struct gateway_query *query, struct gateway_page *out)
{
    struct sort_key after;
    bool has_after = query->after[0] != '\0';
    out->n = out->total = 0;
    out->has_more = false;
    if (has_after && !read_cursor(query->after, &after)) {
        return false;
    }
    prepare(query);
    if (query->sort == QUERY_BY_NAME && !query->descending) {
        run_by_name(fleet, query, has_after ? &after : NULL, out);
        return true;
    }
    return run_ranked(fleet, query, has_after ? &after : NULL, out);
}

void gateway_query_each(struct fleet *fleet, struct gateway_query *query,
                        void (*each)(void *context, struct fleet_gateway *gateway), void *context)
{
    prepare(query);
    for (size_t i = 0; i < fleet_gateway_count(fleet); i++) {
        struct fleet_gateway *gateway = fleet_gateway_at(fleet, i);
        if (matches(query, gateway)) {
            each(context, gateway);
        }
    }
}

void gateway_query_count(struct fleet *fleet, struct gateway_query *query,
                         struct gateway_counts *out)
{
    *out = (struct gateway_counts){0};
    prepare(query);
    for (size_t i = 0; i < fleet_gateway_count(fleet); i++) {
        const struct fleet_gateway *gateway = fleet_gateway_at(fleet, i);
        if (!matches(query, gateway)) {
            continue;
        }
        out->total++;
        out->tunnel_up += gateway->tunnel.up_port != 0;
        out->late += fleet_is_late(gateway, query->now);
        out->cloned += gateway->clone_flag;
        out->by_kind[gateway->kind]++;
        out->by_access[gateway->access]++;
        out->by_sync[gateway->sync]++;
    }
}
