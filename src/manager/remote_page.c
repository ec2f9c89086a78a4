/* Pages of gateways: what the record says of them, and whether one can be opened now. */
#include "manager/remote_parts.h"

#include "domain/msci.h"
#include "manager/requirements.h"
#include "manager/tunnel.h"

#include <stdio.h>
#include <time.h>
#include <stdlib.h>

enum { ALEOS_PORT = 9443, OPENVPN_HTTPS = 443, OPENVPN_HTTP = 80 };

/* ---- records ---- */

static uint64_t hash_of(int64_t gateway)
{
    return (uint64_t)gateway * 0x9e3779b97f4a7c15U;
}

static bool is_of(const void *item, void *key)
{
    return ((const struct remote_page *)item)->gateway == *(int64_t *)key;
}

static struct remote_page *find(const struct remote *remote, int64_t gateway)
{
    return index_find(&remote->pages, hash_of(gateway), is_of, &gateway);
}

const struct remote_page *remote_page_find(const struct manager *m, int64_t gateway)
{
    return find(m->remote, gateway);
}

struct remote_page remote_page_copy(const struct manager *m, int64_t gateway)
{
    const struct remote_page *page = find(m->remote, gateway);
    return page != NULL ? *page : (struct remote_page){.gateway = gateway};
}

void remote_page_forget(struct manager *m, int64_t gateway)
{
    struct remote_page *page = find(m->remote, gateway);
    if (page != NULL) {
        index_remove(&m->remote->pages, hash_of(gateway), page);
        amm_wipe(page, sizeof *page);
        free(page);
    }
}

static bool put_memory(struct remote *remote, const struct remote_page *what)
{
    struct remote_page *page = find(remote, what->gateway);
    if (page == NULL) {
        page = malloc(sizeof *page);
        if (page == NULL || !index_add(&remote->pages, hash_of(what->gateway), page)) {
            free(page);
            return false;
        }
    }
    *page = *what;
    return true;
}

static void take_hash(uint8_t out[AMM_PROXY_HASH], bool *has, struct amm_view from)
{
    *has = from.len == AMM_PROXY_HASH;
    if (*has) {
        memcpy(out, from.data, from.len);
    }
}

static bool take_row(struct remote *remote, const struct amm_rows *rows)
{
    struct remote_page page = {
        .gateway = amm_rows_number(rows, 0),
        .scheme = (uint8_t)amm_rows_number(rows, 1),
        .port = (uint16_t)amm_rows_number(rows, 2),
        .pin_at = amm_rows_number(rows, 4),
        .seen_at = amm_rows_number(rows, 7),
        .credentials_at = amm_rows_number(rows, 10),
    };
    take_hash(page.pin, &page.has_pin, amm_rows_view(rows, 3));
    amm_rows_text(rows, 5, page.pin_by, sizeof page.pin_by);
    take_hash(page.seen, &page.has_seen, amm_rows_view(rows, 6));
    amm_rows_text(rows, 8, page.user, sizeof page.user);
    struct amm_view sealed = amm_rows_view(rows, 9);
    if (sealed.len > 0 && sealed.len <= sizeof page.sealed) {
        memcpy(page.sealed, sealed.data, sealed.len);
        page.n_sealed = sealed.len;
    }
    amm_rows_text(rows, 11, page.credentials_by, sizeof page.credentials_by);
    amm_rows_text(rows, 12, page.forwards, sizeof page.forwards);
    return put_memory(remote, &page);
}

bool remote_pages_load(struct manager *m, char *error, size_t room)
{
    bool ok = true;
    struct amm_rows *rows = amm_store_query(m->store, AMM_SQL_PAGE_ALL, AMM_WITHOUT);
    while (ok && amm_rows_next(rows)) {
        ok = take_row(m->remote, rows);
    }
    ok &= amm_rows_end(rows) == AMM_STORE_OK;
    if (!ok) {
        snprintf(error, room, "the pages of gateways cannot be read: %s",
                 amm_store_error(m->store));
    }
    return ok;
}

void remote_pages_free(struct remote *remote)
{
    for (uint32_t i = 0; i < remote->pages.slots; i++) {
        if (remote->pages.items[i] != NULL) {
            amm_wipe(remote->pages.items[i], sizeof(struct remote_page));
            free(remote->pages.items[i]);
        }
    }
    index_deinit(&remote->pages);
}

/* The store says what holds: the unit that wrote was taken back. */
static void read_again(struct manager *m, void *data)
{
    int64_t gateway = *(int64_t *)data;
    struct amm_rows *rows =
        amm_store_query(m->store, AMM_SQL_PAGE_OF, AMM_WITH(amm_number(gateway)));
    if (!amm_rows_next(rows)) {
        remote_page_forget(m, gateway);
    } else {
        take_row(m->remote, rows);
    }
    amm_rows_end(rows);
}

static struct amm_value hash_value(bool has, const uint8_t hash[AMM_PROXY_HASH])
{
    return has ? amm_blob(hash, AMM_PROXY_HASH) : amm_null();
}

enum amm_store_result remote_page_put(struct manager *m, const struct remote_page *page)
{
    manager_undo(m, read_again, &page->gateway, sizeof page->gateway);
    enum amm_store_result result = amm_store_run(
        m->store, AMM_SQL_PAGE_PUT,
        AMM_WITH(amm_number(page->gateway), amm_number(page->scheme), amm_number(page->port),
                 hash_value(page->has_pin, page->pin), amm_number(page->pin_at),
                 amm_text(page->pin_by), hash_value(page->has_seen, page->seen),
                 amm_number(page->seen_at), amm_text(page->user),
                 page->n_sealed > 0 ? amm_blob(page->sealed, page->n_sealed) : amm_null(),
                 amm_number(page->credentials_at), amm_text(page->credentials_by),
                 amm_text(page->forwards)));
    if (result == AMM_STORE_OK && !put_memory(m->remote, page)) {
        result = AMM_STORE_FAILED;
    }
    return result;
}

/* ---- where a page is ---- */

const char *remote_page_state_name(enum remote_page_state state)
{
    static const char *const names[] = {"ready", "tunnel-down", "waiting", "unavailable",
                                        "key-changed"};
    return names[state < REMOTE_PAGE_STATES ? state : REMOTE_PAGE_UNAVAILABLE];
}

static uint16_t reported_port(const struct fleet_gateway *gateway)
{
    char text[AMM_MSCI_VALUE];
    return fleet_reported(gateway, AMM_MSCI_HTTPS_PORT, text, sizeof text)
               ? (uint16_t)strtoul(text, NULL, 10)
               : 0;
}

/* Of the gateway's own page; the server only reads them (GP-80). */
enum { RELAY_LIST = 60012, RELAY_PORT = 60013 };

uint16_t remote_relay_port(const struct fleet_gateway *gateway)
{
    char text[AMM_MSCI_VALUE];
    if (!fleet_reported(gateway, RELAY_LIST, text, sizeof text) || text[0] == '\0' ||
        !fleet_reported(gateway, RELAY_PORT, text, sizeof text)) {
        return 0;
    }
    return (uint16_t)strtoul(text, NULL, 10);
}

/* Scheme and port come from what the gateway reports or, for a router without software of ours,
 * from its record: never from a request. */
void remote_page_place(const struct manager *m, const struct fleet_gateway *gateway,
                       struct remote_target *out)
{
    const struct remote_page *page = find(m->remote, gateway->id);
    *out = (struct remote_target){.state = REMOTE_PAGE_READY};
    out->scheme = AMM_PROXY_HTTPS;
    switch ((enum fleet_kind)gateway->kind) {
    case FLEET_OURS:
        out->port = reported_port(gateway);
        return;
    case FLEET_ALEOS:
        out->port = ALEOS_PORT;
        return;
    case FLEET_OPENVPN:
    case FLEET_KINDS:
        break;
    }
    if (page != NULL && page->scheme != 0) {
        out->scheme = page->scheme;
    }
    out->port = out->scheme == AMM_PROXY_HTTP ? OPENVPN_HTTP : OPENVPN_HTTPS;
    if (page != NULL && page->port != 0) {
        out->port = page->port;
    }
}

__attribute__((format(printf, 4, 5))) static void
say(struct remote_target *out, enum remote_page_state state, const char *cure, const char *why, ...)
{
    va_list args;
    va_start(args, why);
    vsnprintf(out->why, sizeof out->why, why, args);
    va_end(args);
    snprintf(out->cure, sizeof out->cure, "%s", cure);
    out->state = state;
}

static void say_down(struct manager *m, const struct fleet_gateway *gateway,
                     struct remote_target *out)
{
    const struct fleet_tunnel *tunnel = &gateway->tunnel;
    bool rests =
        gateway->kind == FLEET_OURS && !fleet_tunnel_policy_wants(gateway->group, m->now.wall);
    if (remote_is_awaited(m->remote, gateway->id)) {
        say(out, REMOTE_PAGE_WAITING, "It opens by itself when the tunnel is up.",
            "The tunnel was ordered and is not up yet.");
    } else if (rests) {
        say(out, REMOTE_PAGE_TUNNEL_DOWN, "Order the tunnel: it comes up with the next check-in.",
            "The tunnel rests: it is only up when it is ordered.");
    } else if (tunnel->last_error != NULL && tunnel->last_error[0] != '\0') {
        say(out, REMOTE_PAGE_TUNNEL_DOWN, "Mend what is said there; the gateway tries by itself.",
            "The tunnel is down: %.*s", amm_text_part(tunnel->last_error, 150), tunnel->last_error);
    } else if (tunnel->since != 0) {
        struct tm utc = {0};
        char since[32];
        gmtime_r(&(time_t){tunnel->since}, &utc);
        strftime(since, sizeof since, "%Y-%m-%d %H:%M UTC", &utc);
        say(out, REMOTE_PAGE_TUNNEL_DOWN, "See whether the gateway has power and a network.",
            "The tunnel has been down since %s; no reason is known.", since);
    } else {
        say(out, REMOTE_PAGE_TUNNEL_DOWN, "See whether the gateway has power and a network.",
            "The tunnel has never been up.");
    }
}

void remote_page_judge(struct manager *m, const struct fleet_gateway *gateway,
                       struct remote_target *out)
{
    const struct remote_page *page = find(m->remote, gateway->id);
    struct requirement found[FEATURES];
    struct tunnel_up up;
    remote_page_place(m, gateway, out);
    requirements_of(m->fleet, gateway, m->now.wall, found);
    const struct requirement *needed = &found[FEATURE_PAGE];
    if (!fleet_gateway_is_admitted(gateway)) {
        say(out, REMOTE_PAGE_UNAVAILABLE, "Admit it first.", "The gateway is not admitted.");
    } else if (!needed->is_supported) {
        say(out, REMOTE_PAGE_UNAVAILABLE, needed->cure, "%.*s", amm_text_part(needed->why, 190),
            needed->why);
    } else if (page != NULL && page->has_seen) {
        say(out, REMOTE_PAGE_KEY_CHANGED,
            "Find out why (was it reset or replaced?); then an administrator accepts the new key.",
            "The page shows another key than before.");
    } else if (!tunnel_is_up(m, gateway, &up)) {
        say_down(m, gateway, out);
    } else {
        out->epoch = up.epoch;
        out->inner_ip = up.inner_ip;
    }
}

json_t *remote_page_json(struct manager *m, const struct fleet_gateway *gateway)
{
    struct remote_target target;
    const struct remote_page *page = find(m->remote, gateway->id);
    remote_page_judge(m, gateway, &target);
    json_t *json = json_pack("{s:s, s:o, s:s, s:i}", "scheme",
                             target.scheme == AMM_PROXY_HTTP ? "http" : "https", "port",
                             target.port != 0 ? json_integer(target.port) : json_null(), "state",
                             remote_page_state_name(target.state), "visitors",
                             (int)remote_count_gateway(m->remote, gateway->id, true));
    if (json != NULL && target.state != REMOTE_PAGE_READY) {
        json_object_set_new(json, "why", json_string(target.why));
        json_object_set_new(json, "cure", json_string(target.cure));
    }
    if (json != NULL && page != NULL && page->has_seen) {
        char hex[2 * AMM_PROXY_HASH + 1];
        amm_hex(hex, amm_view(page->seen, AMM_PROXY_HASH));
        json_object_set_new(json, "new_key", json_string(hex));
    }
    return json;
}
