#include "ipc/client_state.h"

#include <stdlib.h>

enum { EPOCH_TEXT = 16 + 1 };

const char *amm_client_phase_name(enum amm_client_phase phase)
{
    static const char *const names[] = {
        "waiting-for-time", "resolving", "connecting", "authenticating", "up",
        "backing-off",      "refused",
    };
    _Static_assert(sizeof names / sizeof names[0] == AMM_PHASE_COUNT, "one name a phase");
    return names[phase];
}

/* The fields whose form is simple, so that encoder, decoder and JSON cannot drift apart. */
enum field_kind { TEXT, NUMBER32, NUMBER64 };

static const struct field {
    const char *name;
    enum field_kind kind;
    size_t offset, room;
} fields[] = {
#define FIELD(kind, member)                                                                        \
    {                                                                                              \
#member, kind, offsetof(struct amm_client_state, member),                                  \
            sizeof(((struct amm_client_state *)0)->member)                                         \
    }
    FIELD(NUMBER64, since),    FIELD(TEXT, remote),         FIELD(TEXT, tun),
    FIELD(TEXT, server),       FIELD(TEXT, cipher),         FIELD(TEXT, tls),
    FIELD(NUMBER32, joins),    FIELD(NUMBER32, next_try),   FIELD(NUMBER64, rx_packets),
    FIELD(NUMBER64, rx_bytes), FIELD(NUMBER64, tx_packets), FIELD(NUMBER64, tx_bytes),
    FIELD(TEXT, last_error),
#undef FIELD
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

static uint64_t number_of(const struct amm_client_state *state, const struct field *f)
{
    const char *at = (const char *)state + f->offset;
    uint32_t small;
    uint64_t large;
    if (f->kind == NUMBER32) {
        memcpy(&small, at, sizeof small);
        return small;
    }
    memcpy(&large, at, sizeof large);
    return large;
}

static void write_clean(struct amm_writer *w, const char *text, bool json)
{
    char clean[512];
    amm_text_clean(clean, sizeof clean, amm_view_str(text));
    for (const char *c = clean; *c; c++) {
        if (json && (*c == '"' || *c == '\\')) {
            amm_write_u8(w, '\\');
        }
        amm_write_u8(w, (uint8_t)*c);
    }
}

static const char *ip_text(uint32_t ip, char out[AMM_IPV4_TEXT])
{
    return ip ? amm_ipv4_text(ip, out) : "";
}

/* 16 hex digits: no JSON reader makes a rounded number of it. */
static const char *epoch_text(uint64_t epoch, char out[EPOCH_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    size_t n = epoch ? EPOCH_TEXT - 1 : 0;
    for (size_t i = 0; i < n; i++) {
        out[i] = digits[epoch >> (60 - 4 * i) & 15];
    }
    out[n] = '\0';
    return out;
}

static const char *address_text(const struct amm_client_state *state, char out[AMM_ADDRESS_TEXT])
{
    return state->address.family == AMM_FAMILY_NONE ? "" : amm_address_text(&state->address, out);
}

size_t amm_client_state_encode(const struct amm_client_state *state, uint8_t *out, size_t room)
{
    char ip[AMM_IPV4_TEXT], server[AMM_IPV4_TEXT], address[AMM_ADDRESS_TEXT], epoch[EPOCH_TEXT];
    struct amm_writer w = amm_writer(out, room);
    amm_write_text(&w, "state=%s\naddress=%s\ninner=%s\nserver_inner=%s\nepoch=%s\n",
                   amm_client_phase_name(state->phase), address_text(state, address),
                   ip_text(state->inner_ip, ip), ip_text(state->server_ip, server),
                   epoch_text(state->epoch, epoch));
    for (size_t i = 0; i < N_FIELDS; i++) {
        amm_write_text(&w, "%s=", fields[i].name);
        if (fields[i].kind == TEXT) {
            write_clean(&w, (const char *)state + fields[i].offset, false);
        } else {
            amm_write_text(&w, "%llu", (unsigned long long)number_of(state, &fields[i]));
        }
        amm_write_u8(&w, '\n');
    }
    return amm_writer_len(&w);
}

size_t amm_client_state_json(const struct amm_client_state *state, char *out, size_t room)
{
    char ip[AMM_IPV4_TEXT], server[AMM_IPV4_TEXT], address[AMM_ADDRESS_TEXT], epoch[EPOCH_TEXT];
    struct amm_writer w = amm_writer(out, room);
    amm_write_text(&w,
                   "{\"state\":\"%s\",\"address\":\"%s\",\"inner\":\"%s\",\"server_inner\":\"%s\","
                   "\"epoch\":\"%s\"",
                   amm_client_phase_name(state->phase), address_text(state, address),
                   ip_text(state->inner_ip, ip), ip_text(state->server_ip, server),
                   epoch_text(state->epoch, epoch));
    for (size_t i = 0; i < N_FIELDS; i++) {
        amm_write_text(&w, ",\"%s\":", fields[i].name);
        if (fields[i].kind == TEXT) {
            amm_write_u8(&w, '"');
            write_clean(&w, (const char *)state + fields[i].offset, true);
            amm_write_u8(&w, '"');
        } else {
            amm_write_text(&w, "%llu", (unsigned long long)number_of(state, &fields[i]));
        }
    }
    amm_write_str(&w, "}\n");
    return amm_writer_len(&w);
}

/* ---- decoding ---- */

static bool parse_number(const char *text, uint64_t most, uint64_t *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9' || strlen(text) > 19) {
        return false;
    }
    *out = strtoull(text, &end, 10);
    return *end == '\0' && *out <= most;
}

static bool take_simple(struct amm_client_state *out, const struct field *f, const char *value)
{
    char *at = (char *)out + f->offset;
    uint64_t number;
    if (f->kind == TEXT) {
        if (strlen(value) >= f->room) {
            return false;
        }
        memcpy(at, value, strlen(value) + 1);
        return true;
    }
    if (!parse_number(value, f->kind == NUMBER32 ? UINT32_MAX : INT64_MAX, &number)) {
        return false;
    }
    uint32_t small = (uint32_t)number;
    memcpy(at, f->kind == NUMBER32 ? (void *)&small : (void *)&number, f->room);
    return true;
}

static bool take_epoch(uint64_t *out, const char *value)
{
    if (strlen(value) != EPOCH_TEXT - 1 || strspn(value, "0123456789abcdef") != EPOCH_TEXT - 1) {
        return value[0] == '\0';
    }
    *out = strtoull(value, NULL, 16);
    return true;
}

static bool take_phase(struct amm_client_state *out, const char *value)
{
    for (unsigned i = 0; i < AMM_PHASE_COUNT; i++) {
        if (strcmp(value, amm_client_phase_name((enum amm_client_phase)i)) == 0) {
            out->phase = (enum amm_client_phase)i;
            return true;
        }
    }
    return false;
}

static bool take_pair(struct amm_client_state *out, const char *key, const char *value,
                      bool *has_phase)
{
    if (strcmp(key, "state") == 0) {
        *has_phase = true;
        return take_phase(out, value);
    }
    if (strcmp(key, "address") == 0) {
        return value[0] == '\0' || amm_address_parse(&out->address, value, 0);
    }
    if (strcmp(key, "inner") == 0) {
        return value[0] == '\0' || amm_ipv4_parse(&out->inner_ip, value);
    }
    if (strcmp(key, "server_inner") == 0) {
        return value[0] == '\0' || amm_ipv4_parse(&out->server_ip, value);
    }
    if (strcmp(key, "epoch") == 0) {
        return take_epoch(&out->epoch, value);
    }
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (strcmp(key, fields[i].name) == 0) {
            return take_simple(out, &fields[i], value);
        }
    }
    return true;
}

bool amm_client_state_decode(struct amm_client_state *out, struct amm_view packet)
{
    struct amm_client_state state = {0};
    bool has_phase = false;
    for (size_t at = 0; at < packet.len;) {
        char line[512];
        const uint8_t *start = packet.data + at;
        const uint8_t *newline = memchr(start, '\n', packet.len - at);
        if (!newline || (size_t)(newline - start) >= sizeof line) {
            return false;
        }
        size_t len = (size_t)(newline - start);
        amm_text_clean(line, sizeof line, amm_view(start, len));
        at += len + 1;
        char *equals = strchr(line, '=');
        if (!equals) {
            return false;
        }
        *equals = '\0';
        if (!take_pair(&state, line, equals + 1, &has_phase)) {
            return false;
        }
    }
    if (!has_phase) {
        return false;
    }
    *out = state;
    return true;
}
