#include "domain/relay.h"

#include <string.h>

enum { PORT_DIGITS = 5, HOST_MAX = 64, ANY_PORT = 1 };

static const char own[] = "gateway";

static bool is_between(uint8_t c)
{
    return c == ',' || c == ';' || c == ' ' || c == '\t';
}

/* ---- addresses ---- */

static size_t bytes_of(const struct amm_address *address)
{
    return address->family == AMM_FAMILY_IPV4 ? 4 : 16;
}

/* What no host behind a gateway has. */
static bool is_special(const struct amm_address *a)
{
    static const uint8_t zero[15] = {0};
    if (a->family == AMM_FAMILY_IPV4) {
        return a->ip[0] == 0 || a->ip[0] == 127 || a->ip[0] >= 224 ||
               (a->ip[0] == 169 && a->ip[1] == 254);
    }
    bool is_mapped = memcmp(a->ip, zero, 10) == 0; /* also ::, ::1 and the old ::192.0.2.1 */
    bool is_link_local = a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
    return is_mapped || is_link_local || a->ip[0] == 0xff;
}

static void mask(struct amm_address *address, unsigned prefix)
{
    for (size_t i = 0; i < bytes_of(address); i++) {
        unsigned left = prefix > 8 * i ? prefix - 8 * (unsigned)i : 0;
        unsigned keep = left >= 8 ? 0xffU : 0xff00U >> left & 0xffU;
        address->ip[i] = (uint8_t)(address->ip[i] & keep);
    }
}

/* ---- reading ---- */

static bool take_number(struct amm_view text, size_t digits, unsigned most, unsigned *out)
{
    unsigned value = 0;
    if (text.len == 0 || text.len > digits || (text.len > 1 && text.data[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(text.data[i] - '0');
    }
    *out = value;
    return value <= most;
}

static bool take_port(struct amm_view text, uint16_t *out)
{
    unsigned port;
    if (!take_number(text, PORT_DIGITS, UINT16_MAX, &port) || port == 0) {
        return false;
    }
    *out = (uint16_t)port;
    return true;
}

static bool take_ports(struct amm_view text, struct amm_relay_entry *out)
{
    const uint8_t *dash = text.len > 0 ? memchr(text.data, '-', text.len) : NULL;
    size_t len = dash ? (size_t)(dash - text.data) : text.len;
    if (!take_port(amm_view(text.data, len), &out->first)) {
        return false;
    }
    out->last = out->first;
    return !dash || (take_port(amm_view(dash + 1, text.len - len - 1), &out->last) &&
                     out->last >= out->first);
}

/* An address without port and brackets. */
static bool take_address(struct amm_view text, struct amm_address *out)
{
    char copy[HOST_MAX];
    if (text.len == 0 || text.len >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    bool is_ipv6 = strchr(copy, ':') != NULL;
    return strspn(copy, is_ipv6 ? "0123456789abcdefABCDEF:." : "0123456789.") == text.len &&
           amm_address_parse(out, copy, ANY_PORT) &&
           out->family == (is_ipv6 ? AMM_FAMILY_IPV6 : AMM_FAMILY_IPV4) && !is_special(out);
}

static bool take_network(struct amm_view text, struct amm_relay_entry *out)
{
    const uint8_t *slash = text.len > 0 ? memchr(text.data, '/', text.len) : NULL;
    size_t len = slash ? (size_t)(slash - text.data) : text.len;
    if (!take_address(amm_view(text.data, len), &out->network)) {
        return false;
    }
    bool is_ipv4 = out->network.family == AMM_FAMILY_IPV4;
    unsigned most = is_ipv4 ? 32 : 128, prefix = most;
    unsigned least = is_ipv4 ? AMM_RELAY_PREFIX_LEAST : AMM_RELAY_PREFIX_LEAST_IPV6;
    if (slash && (!take_number(amm_view(slash + 1, text.len - len - 1), 3, most, &prefix) ||
                  prefix < least)) {
        return false;
    }
    out->prefix = (uint8_t)prefix;
    mask(&out->network, prefix);
    return true;
}

/* "HOST:PORTS" into its parts; brackets stand around what has colons itself. */
static bool cut(struct amm_view text, struct amm_view *host, struct amm_view *ports)
{
    size_t end = 0;
    bool has_brackets = text.len > 0 && text.data[0] == '[';
    while (end < text.len && text.data[end] != (has_brackets ? ']' : ':')) {
        end++;
    }
    size_t colon = end + (has_brackets ? 1 : 0);
    if (colon >= text.len || text.data[colon] != ':') {
        return false;
    }
    *host = has_brackets ? amm_view(text.data + 1, end - 1) : amm_view(text.data, end);
    *ports = amm_view(text.data + colon + 1, text.len - colon - 1);
    bool has_colons = host->len > 0 && memchr(host->data, ':', host->len) != NULL;
    return has_brackets == has_colons;
}

static bool take_entry(struct amm_view text, struct amm_relay_entry *out)
{
    struct amm_view host, ports;
    *out = (struct amm_relay_entry){0};
    return cut(text, &host, &ports) && take_ports(ports, out) &&
           (amm_view_equal(host, amm_view_str(own)) || take_network(host, out));
}

bool amm_relay_parse(struct amm_relay_list *out, struct amm_view text, struct amm_view *bad)
{
    struct amm_relay_list list = {0};
    for (size_t at = 0; at < text.len;) {
        size_t end = at;
        while (end < text.len && !is_between(text.data[end])) {
            end++;
        }
        struct amm_view one = amm_view(text.data + at, end - at);
        if (one.len > 0 && (list.n == AMM_RELAY_ENTRIES || !take_entry(one, &list.at[list.n++]))) {
            if (bad) {
                *bad = one;
            }
            return false;
        }
        at = end + 1;
    }
    *out = list;
    return true;
}

bool amm_relay_target_parse(struct amm_address *out, struct amm_view text)
{
    struct amm_view host, ports;
    struct amm_address target = {0};
    uint16_t port;
    if (!cut(text, &host, &ports) || !take_port(ports, &port) ||
        !(amm_view_equal(host, amm_view_str(own)) || take_address(host, &target))) {
        return false;
    }
    target.port = port;
    *out = target;
    return true;
}

/* ---- writing ---- */

const char *amm_relay_target_text(const struct amm_address *target, char out[AMM_RELAY_TARGET])
{
    if (target->family != AMM_FAMILY_NONE) {
        return amm_address_text(target, out);
    }
    struct amm_writer w = amm_writer(out, AMM_RELAY_TARGET - 1);
    amm_write_text(&w, "%s:%u", own, target->port);
    out[amm_writer_len(&w)] = '\0';
    return out;
}

static void write_entry(struct amm_writer *w, const struct amm_relay_entry *e)
{
    char text[AMM_ADDRESS_TEXT];
    if (e->network.family == AMM_FAMILY_NONE) {
        amm_write_str(w, own);
    } else {
        amm_address_text(&e->network, text);
        size_t len = (size_t)(strrchr(text, ':') - text); /* what stands before the port */
        bool has_brackets = text[0] == '[';
        unsigned most = e->network.family == AMM_FAMILY_IPV4 ? 32 : 128;
        amm_write_text(w, "%.*s", (int)(len - (has_brackets ? 1 : 0)), text);
        if (e->prefix < most) {
            amm_write_text(w, "/%u", e->prefix);
        }
        if (has_brackets) {
            amm_write_str(w, "]");
        }
    }
    amm_write_text(w, ":%u", e->first);
    if (e->last != e->first) {
        amm_write_text(w, "-%u", e->last);
    }
}

bool amm_relay_text(const struct amm_relay_list *list, char out[AMM_RELAY_LIST])
{
    struct amm_writer w = amm_writer(out, AMM_RELAY_LIST - 1);
    for (size_t i = 0; i < list->n; i++) {
        amm_write_str(&w, i > 0 ? ", " : "");
        write_entry(&w, &list->at[i]);
    }
    out[amm_writer_len(&w)] = '\0';
    return !w.failed;
}

/* ---- asking ---- */

static bool is_inside(const struct amm_relay_entry *e, const struct amm_address *target)
{
    struct amm_address network = *target;
    if (e->network.family != target->family) {
        return false;
    }
    if (e->network.family == AMM_FAMILY_NONE) {
        return true;
    }
    mask(&network, e->prefix);
    return memcmp(network.ip, e->network.ip, bytes_of(target)) == 0;
}

bool amm_relay_allows(const struct amm_relay_list *list, const struct amm_address *target)
{
    if (target->port == 0 || (target->family != AMM_FAMILY_NONE && is_special(target))) {
        return false;
    }
    for (size_t i = 0; i < list->n; i++) {
        const struct amm_relay_entry *e = &list->at[i];
        if (target->port >= e->first && target->port <= e->last && is_inside(e, target)) {
            return true;
        }
    }
    return false;
}
