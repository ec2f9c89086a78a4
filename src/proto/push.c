#include "proto/push.h"

#include "base/address.h"
#include "words.h"

enum {
    TUN_MTU_MIN = 100,
    CONTINUATION = 20, /* ",push-continuation 2" */
    OPTION_MAX = 96,   /* longest single option with its comma */
    PART_MIN = 128,
    ROUTE_PREFIX_MIN = 8, /* wider routes are default routes by another name (0/1 and 128/1) */
};

static bool is_mask(uint32_t mask)
{
    uint32_t host = ~mask;
    return (host & (host + 1)) == 0;
}

/* ---- writing ---- */

uint8_t amm_push_flags_allowed(uint8_t flags, const struct amm_peer_info *info)
{
    uint8_t allowed = 0;
    if ((info->iv_proto & AMM_IV_TLS_EKM) != 0) {
        allowed |= AMM_PUSH_TLS_EKM;
    }
    /* Only "protocol-flags" can say this one; bit 7 means that the client reads it. */
    if ((info->iv_proto & AMM_IV_CC_EXIT) != 0 && (info->iv_proto & AMM_IV_DYN_TLS_CRYPT) != 0) {
        allowed |= AMM_PUSH_DYN_TLS_CRYPT;
    }
    return flags & allowed;
}

void amm_push_set_slot(struct amm_push *push, const struct amm_pool *pool, uint32_t slot)
{
    push->topology = pool->topology;
    push->local = amm_pool_address(pool, slot);
    push->route_gateway = 0;
    push->n_routes = 0;
    if (pool->topology == AMM_SUBNET) {
        push->remote = amm_pool_mask(pool);
        push->route_gateway = amm_pool_server(pool);
    } else {
        push->remote = push->local - 1;
        push->routes[push->n_routes++] = (struct amm_route){amm_pool_server(pool), UINT32_MAX};
    }
}

static void write_address(struct amm_writer *w, uint32_t ip)
{
    char text[AMM_IPV4_TEXT];
    amm_write_text(w, " %s", amm_ipv4_text(ip, text));
}

static void write_number(struct amm_writer *w, const char *word, uint32_t value)
{
    if (value != 0) {
        amm_write_text(w, ",%s %u", word, value);
    }
}

static void write_flags(struct amm_writer *w, const struct amm_push *push,
                        const struct amm_peer_info *info)
{
    uint8_t flags = amm_push_flags_allowed(push->flags, info);
    bool exporter = (flags & AMM_PUSH_TLS_EKM) != 0;
    if (flags == 0) {
        return;
    }
    if ((info->iv_proto & AMM_IV_CC_EXIT) == 0) {
        amm_write_str(w, ",key-derivation tls-ekm");
        return;
    }
    amm_write_text(w, ",protocol-flags%s%s", exporter ? " tls-ekm" : "",
                   (flags & AMM_PUSH_DYN_TLS_CRYPT) != 0 ? " dyn-tls-crypt" : "");
}

static void write_tun_mtu(struct amm_writer *w, const struct amm_push *push,
                          const struct amm_peer_info *info)
{
    uint16_t mtu = push->tun_mtu < info->iv_mtu ? push->tun_mtu : info->iv_mtu;
    if (mtu >= TUN_MTU_MIN) {
        write_number(w, "tun-mtu", mtu);
    }
}

/* The options before and after the routes, by number. */
enum {
    OPTION_TOPOLOGY,
    OPTION_IFCONFIG,
    OPTION_ROUTE_GATEWAY,
    OPTION_PING,
    OPTION_PING_RESTART,
    OPTION_PEER_ID,
    OPTION_CIPHER,
    OPTION_FLAGS,
    OPTION_TUN_MTU,
    OPTION_EXIT_NOTIFY,
    OPTION_ROUTES,
};

/* Writes option `number` with its leading comma; nothing if this client is not to see it (PUSH-3).
 */
static void write_option(struct amm_writer *w, const struct amm_push *push,
                         const struct amm_peer_info *info, unsigned number)
{
    switch (number) {
    case OPTION_TOPOLOGY:
        amm_write_str(w, push->topology == AMM_SUBNET ? ",topology subnet" : ",topology net30");
        break;
    case OPTION_IFCONFIG:
        amm_write_str(w, ",ifconfig");
        write_address(w, push->local);
        write_address(w, push->remote);
        break;
    case OPTION_ROUTE_GATEWAY:
        if (push->route_gateway != 0) {
            amm_write_str(w, ",route-gateway");
            write_address(w, push->route_gateway);
        }
        break;
    case OPTION_PING:
        write_number(w, "ping", push->ping);
        break;
    case OPTION_PING_RESTART:
        write_number(w, "ping-restart", push->ping_restart);
        break;
    case OPTION_PEER_ID:
        if ((info->iv_proto & AMM_IV_DATA_V2) != 0 && push->peer_id < AMM_NO_PEER_ID) {
            amm_write_text(w, ",peer-id %u", push->peer_id);
        }
        break;
    case OPTION_CIPHER:
        if (info->ncp && push->cipher != AMM_CIPHER_NONE) {
            amm_write_text(w, ",cipher %s", amm_cipher_name((enum amm_cipher)push->cipher));
        }
        break;
    case OPTION_FLAGS:
        write_flags(w, push, info);
        break;
    case OPTION_TUN_MTU:
        write_tun_mtu(w, push, info);
        break;
    case OPTION_EXIT_NOTIFY:
        write_number(w, "explicit-exit-notify", push->explicit_exit_notify);
        break;
    default:
        amm_write_str(w, ",route");
        write_address(w, push->routes[number - OPTION_ROUTES].network);
        write_address(w, push->routes[number - OPTION_ROUTES].mask);
        break;
    }
}

/* Lays the options out in parts of `room` bytes; those of part `wanted` go to `w` (NULL: only
 * counted). The number of parts. */
static unsigned lay_out(const struct amm_push *push, const struct amm_peer_info *info, size_t room,
                        unsigned wanted, struct amm_writer *w)
{
    const size_t head = strlen("PUSH_REPLY");
    unsigned n_routes = push->n_routes < AMM_PUSH_ROUTES ? push->n_routes : AMM_PUSH_ROUTES;
    unsigned part = 0;
    size_t used = head;
    for (unsigned number = 0; number < OPTION_ROUTES + n_routes; number++) {
        uint8_t text[OPTION_MAX];
        struct amm_writer option = amm_writer(text, sizeof text);
        write_option(&option, push, info, number);
        size_t len = amm_writer_len(&option);
        if (used + len + CONTINUATION + 1 > room) {
            part++;
            used = head;
        }
        used += len;
        if (w && part == wanted) {
            amm_write_bytes(w, text, len);
        }
    }
    return part + 1;
}

size_t amm_push_encode_within(const struct amm_push *push, const struct amm_peer_info *info,
                              unsigned part, struct amm_span out)
{
    if (out.len < PART_MIN) {
        return 0;
    }
    size_t room = out.len < AMM_PUSH_PART ? out.len : AMM_PUSH_PART;
    unsigned parts = lay_out(push, info, room, 0, NULL);
    if (part >= parts) {
        return 0;
    }
    struct amm_writer w = amm_writer(out.data, room);
    amm_write_str(&w, "PUSH_REPLY");
    lay_out(push, info, room, part, &w);
    if (parts > 1) {
        amm_write_text(&w, ",push-continuation %u", part + 1 < parts ? 2u : 1u);
    }
    amm_write_u8(&w, 0);
    return amm_writer_len(&w);
}

size_t amm_push_encode(const struct amm_push *push, const struct amm_peer_info *info, unsigned part,
                       uint8_t out[AMM_PUSH_PART])
{
    return amm_push_encode_within(push, info, part, (struct amm_span){out, AMM_PUSH_PART});
}

/* ---- reading ---- */

void amm_push_reader_init(struct amm_push_reader *reader)
{
    memset(reader, 0, sizeof *reader);
    reader->push.peer_id = AMM_NO_PEER_ID;
}

/* What became of one option. */
enum taken { TAKEN, IGNORED, MALFORMED };

static enum taken ignored_unless(bool ok)
{
    return ok ? TAKEN : IGNORED;
}

static enum taken malformed_unless(bool ok)
{
    return ok ? TAKEN : MALFORMED;
}

static enum taken read_u16(struct amm_view text, uint32_t min, uint16_t *out)
{
    uint32_t value;
    if (!amm_words_number(text, UINT16_MAX, &value) || value < min) {
        return MALFORMED;
    }
    *out = (uint16_t)value;
    return TAKEN;
}

/* Two addresses separated by a blank. */
static bool read_pair(struct amm_view text, uint32_t *a, uint32_t *b)
{
    struct amm_view first;
    return amm_words_cut(&text, ' ', &first) && amm_words_ipv4(first, a) && amm_words_ipv4(text, b);
}

static enum taken read_topology(struct amm_push_reader *reader, struct amm_view text)
{
    bool is_subnet = amm_words_is(text, "subnet");
    reader->push.topology = is_subnet ? AMM_SUBNET : AMM_NET30;
    /* p2p is a pair of addresses, as net30 is. */
    return malformed_unless(is_subnet || amm_words_is(text, "net30") || amm_words_is(text, "p2p"));
}

static enum taken read_ifconfig(struct amm_push_reader *reader, struct amm_view text)
{
    uint32_t local, remote;
    if (!read_pair(text, &local, &remote)) {
        return MALFORMED;
    }
    uint32_t net = local >> 24;
    if (net == 0 || net == 127 || net >= 224 || remote == 0) {
        return MALFORMED;
    }
    reader->push.local = local;
    reader->push.remote = remote;
    return TAKEN;
}

/* "NET [MASK [GATEWAY [METRIC]]]": the gateway is always the tunnel, whatever stands there. */
static enum taken read_route(struct amm_push_reader *reader, struct amm_view text)
{
    struct amm_push *push = &reader->push;
    struct amm_view net, mask_text;
    uint32_t network, mask = UINT32_MAX;
    amm_words_cut(&text, ' ', &net);
    if (net.len > 0 && (net.data[0] < '0' || net.data[0] > '9')) {
        return IGNORED; /* a name: vpn_gateway, remote_host, or one to be looked up */
    }
    if (!amm_words_ipv4(net, &network)) {
        return MALFORMED;
    }
    if (amm_words_cut(&text, ' ', &mask_text) && !amm_words_ipv4(mask_text, &mask)) {
        return MALFORMED;
    }
    if (!is_mask(mask)) {
        return MALFORMED;
    }
    if (mask < UINT32_MAX << (32 - ROUTE_PREFIX_MIN) || push->n_routes == AMM_PUSH_ROUTES) {
        return IGNORED;
    }
    push->routes[push->n_routes++] = (struct amm_route){network & mask, mask};
    return TAKEN;
}

static enum taken read_route_gateway(struct amm_push_reader *reader, struct amm_view text)
{
    if (amm_words_is(text, "dhcp")) {
        return IGNORED;
    }
    return malformed_unless(amm_words_ipv4(text, &reader->push.route_gateway));
}

static enum taken read_ping(struct amm_push_reader *reader, struct amm_view text)
{
    return read_u16(text, 0, &reader->push.ping);
}

static enum taken read_ping_restart(struct amm_push_reader *reader, struct amm_view text)
{
    return read_u16(text, 0, &reader->push.ping_restart);
}

static enum taken read_peer_id(struct amm_push_reader *reader, struct amm_view text)
{
    return malformed_unless(amm_words_number(text, AMM_NO_PEER_ID, &reader->push.peer_id));
}

static enum taken read_cipher(struct amm_push_reader *reader, struct amm_view text)
{
    reader->push.cipher = (uint8_t)amm_cipher_find(text);
    return malformed_unless(reader->push.cipher != AMM_CIPHER_NONE);
}

static enum taken read_protocol_flags(struct amm_push_reader *reader, struct amm_view text)
{
    struct amm_view flag;
    bool all_known = true;
    while (amm_words_cut(&text, ' ', &flag)) {
        if (amm_words_is(flag, "tls-ekm")) {
            reader->push.flags |= AMM_PUSH_TLS_EKM;
        } else if (amm_words_is(flag, "dyn-tls-crypt")) {
            reader->push.flags |= AMM_PUSH_DYN_TLS_CRYPT;
        } else if (amm_words_is(flag, "cc-exit")) {
            reader->push.flags |= AMM_PUSH_CC_EXIT;
        } else {
            all_known = false;
        }
    }
    return ignored_unless(all_known);
}

static enum taken read_key_derivation(struct amm_push_reader *reader, struct amm_view text)
{
    reader->push.flags |= AMM_PUSH_TLS_EKM;
    return malformed_unless(amm_words_is(text, "tls-ekm"));
}

static enum taken read_tun_mtu(struct amm_push_reader *reader, struct amm_view text)
{
    return read_u16(text, TUN_MTU_MIN, &reader->push.tun_mtu);
}

static enum taken read_exit_notify(struct amm_push_reader *reader, struct amm_view text)
{
    reader->push.explicit_exit_notify = 1;
    return text.len == 0 ? TAKEN : read_u16(text, 0, &reader->push.explicit_exit_notify);
}

static enum taken read_continuation(struct amm_push_reader *reader, struct amm_view text)
{
    reader->done = !amm_words_is(text, "2");
    return malformed_unless(!reader->done || amm_words_is(text, "1"));
}

/* The allow-list (PUSH-5). */
static const struct {
    const char *word;
    enum taken (*read)(struct amm_push_reader *reader, struct amm_view value);
} allowed[] = {
    {"topology", read_topology},
    {"ifconfig", read_ifconfig},
    {"route", read_route},
    {"route-gateway", read_route_gateway},
    {"ping", read_ping},
    {"ping-restart", read_ping_restart},
    {"peer-id", read_peer_id},
    {"cipher", read_cipher},
    {"protocol-flags", read_protocol_flags},
    {"key-derivation", read_key_derivation},
    {"tun-mtu", read_tun_mtu},
    {"explicit-exit-notify", read_exit_notify},
    {"push-continuation", read_continuation},
};

/* Counts an option that is not obeyed and adds its first word to the list for a person. */
static void name_ignored(struct amm_push_reader *reader, struct amm_view word)
{
    size_t used = strlen(reader->ignored);
    size_t comma = used > 0 ? 1 : 0;
    if (reader->n_ignored < UINT16_MAX) {
        reader->n_ignored++;
    }
    if (used + comma + word.len >= sizeof reader->ignored) {
        return;
    }
    if (comma) {
        reader->ignored[used++] = ',';
    }
    amm_text_clean(reader->ignored + used, sizeof reader->ignored - used, word);
}

static bool take_option(struct amm_push_reader *reader, struct amm_view option)
{
    struct amm_view word;
    enum taken taken = IGNORED;
    amm_words_cut(&option, ' ', &word);
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        if (amm_words_is(word, allowed[i].word)) {
            taken = allowed[i].read(reader, option);
            break;
        }
    }
    if (taken == IGNORED) {
        name_ignored(reader, word);
    }
    return taken != MALFORMED;
}

bool amm_push_reader_add(struct amm_push_reader *reader, struct amm_view message)
{
    struct amm_view option;
    if (reader->done) {
        return true; /* the tunnel is set up; what comes later is not for us */
    }
    if (!amm_words_cut(&message, ',', &option) || !amm_words_is(option, "PUSH_REPLY") ||
        ++reader->n_parts > AMM_PUSH_PARTS) {
        return false;
    }
    reader->done = true; /* unless push-continuation 2 says otherwise */
    while (amm_words_cut(&message, ',', &option)) {
        if (option.len > 0 && !take_option(reader, option)) {
            return false;
        }
    }
    /* In a subnet the second address is a mask; only now is the topology known for sure. */
    return !reader->done || reader->push.local == 0 || reader->push.topology != AMM_SUBNET ||
           is_mask(reader->push.remote);
}
