#include "ovpn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* What a remote still lacks until the end of the file (or block) is known. */
struct loose_remote {
    bool has_port, has_transport;
};

struct defaults {
    uint16_t port;
    uint8_t transport, family;
    bool has_port, has_transport;
};

struct parser {
    struct amm_settings *settings;
    struct amm_ovpn_report *report;
    const char *file;
    unsigned line;
    struct loose_remote loose[AMM_SETTINGS_REMOTES];
    struct defaults whole, block;
    bool in_connection;
    unsigned block_first; /* first remote of the connection block */
    bool is_client, has_role_check, has_data_ciphers, has_direction, has_wrap;
    bool no_negotiation; /* ncp-disable */
    char cipher[32];     /* `cipher` of the file if it is none of ours */
    unsigned cipher_line;
};

typedef bool directive_handler(struct parser *p, char **arg, unsigned n);

static void write_note(struct parser *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool fail(struct parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void write_note(struct parser *p, const char *format, ...)
{
    char words[256], clean[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(words, sizeof words, format, ap);
    va_end(ap);
    amm_text_clean(clean, sizeof clean, amm_view_str(words));
    struct amm_ovpn_report *r = p->report;
    r->n_notes++;
    size_t room = sizeof r->notes - r->notes_len;
    int len = snprintf(r->notes + r->notes_len, room, "%s:%u: %s\n", p->file, p->line, clean);
    if (len > 0 && (size_t)len < room) {
        r->notes_len += (size_t)len;
    } else {
        r->notes[r->notes_len] = '\0';
    }
}

static bool fail(struct parser *p, const char *format, ...)
{
    char words[256], clean[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(words, sizeof words, format, ap);
    va_end(ap);
    amm_text_clean(clean, sizeof clean, amm_view_str(words));
    snprintf(p->report->error, sizeof p->report->error, "%.48s:%u: %s", p->file, p->line, clean);
    return false;
}

static bool take_number(struct parser *p, const char *directive, const char *word, uint32_t min,
                        uint32_t max, uint32_t *out)
{
    char *end;
    unsigned long long value = strtoull(word, &end, 10);
    if (word[0] < '0' || word[0] > '9' || *end != '\0' || value < min || value > max) {
        return fail(p, "%s: \"%.40s\" is not a number from %u to %u", directive, word, min, max);
    }
    *out = (uint32_t)value;
    return true;
}

/* ---- remotes ---- */

static bool take_transport(struct parser *p, const char *word, uint8_t *transport, uint8_t *family)
{
    if (!amm_transport_parse(amm_view_str(word), transport, family)) {
        return fail(
            p, "proto: \"%.40s\" is not known (allowed: udp, udp4, udp6, tcp-client, tcp4, tcp6)",
            word);
    }
    return true;
}

static bool on_remote(struct parser *p, char **arg, unsigned n)
{
    struct amm_settings *s = p->settings;
    uint32_t port = 0;
    if (s->n_remotes == AMM_SETTINGS_REMOTES) {
        return fail(p, "remote: more than %d servers", AMM_SETTINGS_REMOTES);
    }
    struct amm_remote *remote = &s->remotes[s->n_remotes];
    struct loose_remote *loose = &p->loose[s->n_remotes];
    *remote = (struct amm_remote){0};
    *loose = (struct loose_remote){n > 2, n > 3};
    size_t len = strlen(arg[1]);
    if (len == 0 || len >= sizeof remote->host) {
        return fail(p, "remote: a host name has 1 to 253 characters");
    }
    memcpy(remote->host, arg[1], len);
    if (n > 2 && !take_number(p, "remote", arg[2], 1, 65535, &port)) {
        return false;
    }
    remote->port = (uint16_t)port;
    if (n > 3 && !take_transport(p, arg[3], &remote->transport, &remote->family)) {
        return false;
    }
    s->n_remotes++;
    return true;
}

static struct defaults *scope(struct parser *p)
{
    return p->in_connection ? &p->block : &p->whole;
}

static bool on_port(struct parser *p, char **arg, unsigned n)
{
    uint32_t port;
    (void)n;
    if (!take_number(p, arg[0], arg[1], 1, 65535, &port)) {
        return false;
    }
    scope(p)->port = (uint16_t)port;
    scope(p)->has_port = true;
    return true;
}

static bool on_proto(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    scope(p)->has_transport = true;
    return take_transport(p, arg[1], &scope(p)->transport, &scope(p)->family);
}

static void fill_remotes(struct parser *p, unsigned first, const struct defaults *from)
{
    for (unsigned i = first; i < p->settings->n_remotes; i++) {
        struct amm_remote *remote = &p->settings->remotes[i];
        if (!p->loose[i].has_port && from->has_port) {
            remote->port = from->port;
            p->loose[i].has_port = true;
        }
        if (!p->loose[i].has_transport && from->has_transport) {
            remote->transport = from->transport;
            remote->family = from->family;
            p->loose[i].has_transport = true;
        }
    }
}

/* ---- certificates and keys ---- */

static bool name_material(struct parser *p, enum amm_material_kind kind, char **arg)
{
    struct amm_material *m = &p->settings->materials[kind];
    if (strcmp(arg[1], "[inline]") == 0) {
        return true;
    }
    if (strlen(arg[1]) >= sizeof m->path) {
        return fail(p, "%s: the path is longer than 255 characters", arg[0]);
    }
    snprintf(m->path, sizeof m->path, "%s", arg[1]);
    return true;
}

static bool on_ca(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    return name_material(p, AMM_MATERIAL_CA, arg);
}

static bool on_cert(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    return name_material(p, AMM_MATERIAL_CERTIFICATE, arg);
}

static bool on_key(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    return name_material(p, AMM_MATERIAL_KEY, arg);
}

static bool on_crl(struct parser *p, char **arg, unsigned n)
{
    if (n > 2) {
        return fail(p, "crl-verify: a folder of lists is not supported; give one file");
    }
    return name_material(p, AMM_MATERIAL_CRL, arg);
}

static bool on_login(struct parser *p, char **arg, unsigned n)
{
    p->settings->needs_login = true;
    return n < 2 || name_material(p, AMM_MATERIAL_LOGIN, arg);
}

static bool set_wrap(struct parser *p, const char *directive, enum amm_wrap_mode mode)
{
    if (p->has_wrap && p->settings->wrap != mode) {
        return fail(p, "%s: only one of tls-auth, tls-crypt and tls-crypt-v2 may be given",
                    directive);
    }
    p->has_wrap = true;
    p->settings->wrap = mode;
    return true;
}

static bool take_direction(struct parser *p, const char *word)
{
    p->has_direction = true;
    if (strcmp(word, "0") == 0) {
        p->settings->direction = AMM_DIRECTION_0;
    } else if (strcmp(word, "1") == 0) {
        p->settings->direction = AMM_DIRECTION_1;
    } else if (strcmp(word, "bidirectional") == 0) {
        p->settings->direction = AMM_DIRECTION_BOTH;
    } else {
        return fail(p, "key-direction: \"%.40s\" is not 0 or 1", word);
    }
    return true;
}

static bool on_key_direction(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    return take_direction(p, arg[1]);
}

static bool on_tls_auth(struct parser *p, char **arg, unsigned n)
{
    return set_wrap(p, arg[0], AMM_WRAP_AUTH) && (n < 3 || take_direction(p, arg[2])) &&
           name_material(p, AMM_MATERIAL_WRAP, arg);
}

static bool on_tls_crypt(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    return set_wrap(p, arg[0], AMM_WRAP_CRYPT) && name_material(p, AMM_MATERIAL_WRAP, arg);
}

static bool on_tls_crypt_v2(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    return set_wrap(p, arg[0], AMM_WRAP_CRYPT_V2) && name_material(p, AMM_MATERIAL_WRAP, arg);
}

static bool on_auth(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    if (!amm_digest_find(amm_view_str(arg[1]), &p->settings->digest)) {
        return fail(p, "auth: \"%.40s\" is not supported (allowed: SHA1, SHA256, SHA512)", arg[1]);
    }
    return true;
}

static bool on_cert_role(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    if (strcmp(arg[1], "server") != 0) {
        return fail(p, "%s: only \"server\" makes sense in a client", arg[0]);
    }
    p->has_role_check = true;
    return true;
}

static bool on_server_name(struct parser *p, char **arg, unsigned n)
{
    struct amm_settings *s = p->settings;
    if (n < 3 || (strcmp(arg[2], "name") != 0 && strcmp(arg[2], "name-prefix") != 0)) {
        return fail(p,
                    "verify-x509-name: only the forms \"NAME name\" and \"NAME name-prefix\" are "
                    "supported");
    }
    if (arg[1][0] == '\0' || strlen(arg[1]) >= sizeof s->server_name) {
        return fail(p, "verify-x509-name: the name must have 1 to 127 characters");
    }
    snprintf(s->server_name, sizeof s->server_name, "%s", arg[1]);
    s->server_name_is_prefix = strcmp(arg[2], "name-prefix") == 0;
    return true;
}

/* ---- ciphers ---- */

static bool is_small_block(const char *cipher)
{
    static const char *const names[] = {"BF-", "DES-", "CAST5-", "RC2-", "IDEA-"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strncasecmp(cipher, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

static bool on_cipher(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    p->cipher[0] = '\0';
    p->cipher_line = p->line;
    if (amm_cipher_find(amm_view_str(arg[1])) == AMM_CIPHER_NONE) {
        amm_text_clean(p->cipher, sizeof p->cipher, amm_view_str(arg[1]));
    }
    return true;
}

static bool on_data_ciphers(struct parser *p, char **arg, unsigned n)
{
    char unknown[128];
    (void)n;
    if (amm_ciphers_parse(p->settings->ciphers, amm_view_str(arg[1]), unknown, sizeof unknown) ==
        0) {
        return fail(p,
                    "%s: none of \"%.60s\" is supported (allowed: AES-256-GCM, AES-128-GCM, "
                    "CHACHA20-POLY1305)",
                    arg[0], arg[1]);
    }
    if (unknown[0]) {
        write_note(p, "%s: %s not supported, left out", arg[0], unknown);
    }
    p->has_data_ciphers = true;
    return true;
}

static bool on_ncp_disable(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    p->no_negotiation = true;
    write_note(p, "%s: has no effect; the cipher is always negotiated", arg[0]);
    return true;
}

/* ---- tunnel ---- */

static bool on_dev(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    if (strncmp(arg[1], "tun", 3) != 0) {
        return fail(p, "%s: \"%.40s\" is not supported; only tun devices are", arg[0], arg[1]);
    }
    if (strlen(arg[1]) >= sizeof p->settings->tun) {
        return fail(p, "dev: an interface name has at most 15 characters");
    }
    if (strcmp(arg[0], "dev") == 0) {
        snprintf(p->settings->tun, sizeof p->settings->tun, "%s", arg[1]);
    }
    return true;
}

static bool on_tun_mtu(struct parser *p, char **arg, unsigned n)
{
    uint32_t mtu;
    (void)n;
    if (!take_number(p, arg[0], arg[1], 576, 1500, &mtu)) {
        return false;
    }
    p->settings->mtu = (uint16_t)mtu;
    return true;
}

static bool take_seconds(struct parser *p, char **arg, unsigned at, uint16_t *out)
{
    uint32_t seconds;
    if (!take_number(p, arg[0], arg[at], 0, 65535, &seconds)) {
        return false;
    }
    *out = (uint16_t)seconds;
    return true;
}

static bool on_ping(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    return take_seconds(p, arg, 1, &p->settings->ping);
}

static bool on_ping_restart(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    return take_seconds(p, arg, 1, &p->settings->ping_restart);
}

static bool on_keepalive(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    return take_seconds(p, arg, 1, &p->settings->ping) &&
           take_seconds(p, arg, 2, &p->settings->ping_restart);
}

static bool on_reneg(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    return take_number(p, arg[0], arg[1], 0, UINT32_MAX, &p->settings->renegotiate);
}

static bool on_answer_timeout(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    return take_number(p, arg[0], arg[1], 1, 3600, &p->settings->answer_timeout);
}

static bool on_hand_window(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    return take_number(p, arg[0], arg[1], 5, 3600, &p->settings->hand_window);
}

static bool on_remote_random(struct parser *p, char **arg, unsigned n)
{
    (void)arg;
    (void)n;
    p->settings->remote_random = true;
    return true;
}

static bool on_route_nopull(struct parser *p, char **arg, unsigned n)
{
    (void)arg;
    (void)n;
    p->settings->no_pushed_routes = true;
    return true;
}

static bool on_route(struct parser *p, char **arg, unsigned n)
{
    struct amm_settings *s = p->settings;
    struct amm_route route = {0, UINT32_MAX};
    bool is_ours = amm_ipv4_parse(&route.network, arg[1]) &&
                   (n < 3 || amm_ipv4_parse(&route.mask, arg[2])) &&
                   (n < 4 || strcmp(arg[3], "vpn_gateway") == 0);
    if (!is_ours || !amm_route_allowed(&route)) {
        write_note(p, "route: %.40s is not a private network behind the tunnel, ignored", arg[1]);
        return true;
    }
    if (s->n_routes == AMM_PUSH_ROUTES) {
        return fail(p, "route: more than %d routes", AMM_PUSH_ROUTES);
    }
    s->routes[s->n_routes++] = route;
    return true;
}

static bool on_fragment(struct parser *p, char **arg, unsigned n)
{
    if (n > 1 && strcmp(arg[1], "0") == 0) {
        return true;
    }
    return fail(p, "%s: not supported, the server would send packets that cannot be read", arg[0]);
}

static bool on_compression(struct parser *p, char **arg, unsigned n)
{
    bool is_stub_v2 = n > 1 && strcmp(arg[1], "stub-v2") == 0;
    bool is_migrate = n > 1 && strcmp(arg[1], "migrate") == 0;
    if (strcmp(arg[0], "compress") == 0 && (is_stub_v2 || is_migrate)) {
        return true;
    }
    if (strcmp(arg[0], "comp-lzo") == 0 && n > 1 && strcmp(arg[1], "no") == 0) {
        write_note(
            p, "comp-lzo no: packets carry no compression byte here; if the tunnel stays silent, "
               "remove comp-lzo from the server too");
        return true;
    }
    return fail(p, "%s: compression is not supported; remove it here and on the server", arg[0]);
}

static bool on_client(struct parser *p, char **arg, unsigned n)
{
    (void)arg;
    (void)n;
    p->is_client = true;
    return true;
}

static bool on_user(struct parser *p, char **arg, unsigned n)
{
    (void)n;
    if (strlen(arg[1]) >= sizeof p->settings->user) {
        return fail(p, "user: a user name has at most 31 characters");
    }
    snprintf(p->settings->user, sizeof p->settings->user, "%s", arg[1]);
    return true;
}

/* ---- the table ---- */

enum outcome { TAKEN, QUIET, NO_EFFECT, NOT_OBEYED, UNSUPPORTED };

static const struct directive {
    const char *name;
    enum outcome outcome;
    uint8_t least, most; /* words behind the name; TAKEN */
    directive_handler *handler;
    const char *why; /* UNSUPPORTED, NOT_OBEYED */
} directives[] = {
    {"client", TAKEN, 0, 0, on_client, NULL},
    {"tls-client", TAKEN, 0, 0, on_client, NULL},
    {"remote", TAKEN, 1, 3, on_remote, NULL},
    {"port", TAKEN, 1, 1, on_port, NULL},
    {"rport", TAKEN, 1, 1, on_port, NULL},
    {"proto", TAKEN, 1, 1, on_proto, NULL},
    {"remote-random", TAKEN, 0, 0, on_remote_random, NULL},
    {"server-poll-timeout", TAKEN, 1, 1, on_answer_timeout, NULL},
    {"connect-timeout", TAKEN, 1, 1, on_answer_timeout, NULL},
    {"hand-window", TAKEN, 1, 1, on_hand_window, NULL},
    {"dev", TAKEN, 1, 1, on_dev, NULL},
    {"dev-type", TAKEN, 1, 1, on_dev, NULL},
    {"tun-mtu", TAKEN, 1, 2, on_tun_mtu, NULL},
    {"ca", TAKEN, 1, 1, on_ca, NULL},
    {"cert", TAKEN, 1, 1, on_cert, NULL},
    {"key", TAKEN, 1, 1, on_key, NULL},
    {"crl-verify", TAKEN, 1, 2, on_crl, NULL},
    {"auth-user-pass", TAKEN, 0, 1, on_login, NULL},
    {"tls-auth", TAKEN, 1, 2, on_tls_auth, NULL},
    {"tls-crypt", TAKEN, 1, 1, on_tls_crypt, NULL},
    {"tls-crypt-v2", TAKEN, 1, 2, on_tls_crypt_v2, NULL},
    {"key-direction", TAKEN, 1, 1, on_key_direction, NULL},
    {"auth", TAKEN, 1, 1, on_auth, NULL},
    {"remote-cert-tls", TAKEN, 1, 1, on_cert_role, NULL},
    {"ns-cert-type", TAKEN, 1, 1, on_cert_role, NULL},
    {"verify-x509-name", TAKEN, 1, 2, on_server_name, NULL},
    {"cipher", TAKEN, 1, 1, on_cipher, NULL},
    {"data-ciphers", TAKEN, 1, 1, on_data_ciphers, NULL},
    {"ncp-ciphers", TAKEN, 1, 1, on_data_ciphers, NULL},
    {"ncp-disable", TAKEN, 0, 0, on_ncp_disable, NULL},
    {"ping", TAKEN, 1, 1, on_ping, NULL},
    {"ping-restart", TAKEN, 1, 1, on_ping_restart, NULL},
    {"keepalive", TAKEN, 2, 2, on_keepalive, NULL},
    {"reneg-sec", TAKEN, 1, 2, on_reneg, NULL},
    {"route", TAKEN, 1, 4, on_route, NULL},
    {"route-nopull", TAKEN, 0, 0, on_route_nopull, NULL},
    {"fragment", TAKEN, 0, 2, on_fragment, NULL},
    {"comp-lzo", TAKEN, 0, 1, on_compression, NULL},
    {"compress", TAKEN, 0, 1, on_compression, NULL},
    {"user", TAKEN, 1, 1, on_user, NULL},

    /* Said by nearly every file, and either what happens anyway or none of a tunnel's business. */
    {"pull", QUIET, 0, 0, NULL, NULL},
    {"nobind", QUIET, 0, 0, NULL, NULL},
    {"bind", QUIET, 0, 0, NULL, NULL},
    {"float", QUIET, 0, 0, NULL, NULL},
    {"persist-tun", QUIET, 0, 0, NULL, NULL},
    {"persist-key", QUIET, 0, 0, NULL, NULL},
    {"resolv-retry", QUIET, 0, 0, NULL, NULL},
    {"connect-retry", QUIET, 0, 0, NULL, NULL},
    {"connect-retry-max", QUIET, 0, 0, NULL, NULL},
    {"explicit-exit-notify", QUIET, 0, 0, NULL, NULL},
    {"mssfix", QUIET, 0, 0, NULL, NULL},
    {"mtu-disc", QUIET, 0, 0, NULL, NULL},
    {"mtu-test", QUIET, 0, 0, NULL, NULL},
    {"topology", QUIET, 0, 0, NULL, NULL},
    {"tun-ipv6", QUIET, 0, 0, NULL, NULL},
    {"data-ciphers-fallback", QUIET, 0, 0, NULL, NULL},
    {"auth-nocache", QUIET, 0, 0, NULL, NULL},
    {"auth-retry", QUIET, 0, 0, NULL, NULL},
    {"tls-timeout", QUIET, 0, 0, NULL, NULL},
    {"tran-window", QUIET, 0, 0, NULL, NULL},
    {"replay-window", QUIET, 0, 0, NULL, NULL},
    {"tls-version-min", QUIET, 0, 0, NULL, NULL},
    {"verb", QUIET, 0, 0, NULL, NULL},
    {"mute", QUIET, 0, 0, NULL, NULL},
    {"mute-replay-warnings", QUIET, 0, 0, NULL, NULL},
    {"group", QUIET, 0, 0, NULL, NULL},
    {"sndbuf", QUIET, 0, 0, NULL, NULL},
    {"rcvbuf", QUIET, 0, 0, NULL, NULL},
    {"fast-io", QUIET, 0, 0, NULL, NULL},
    {"push-peer-info", QUIET, 0, 0, NULL, NULL},
    {"ignore-unknown-option", QUIET, 0, 0, NULL, NULL},
    {"allow-compression", QUIET, 0, 0, NULL, NULL},
    {"dh", QUIET, 0, 0, NULL, NULL},

    /* Known, and the tunnel works without them. */
    {"tls-cipher", NO_EFFECT, 0, 0, NULL, NULL},
    {"tls-ciphersuites", NO_EFFECT, 0, 0, NULL, NULL},
    {"tls-groups", NO_EFFECT, 0, 0, NULL, NULL},
    {"pull-filter", NO_EFFECT, 0, 0, NULL, NULL},
    {"local", NO_EFFECT, 0, 0, NULL, NULL},
    {"link-mtu", NO_EFFECT, 0, 0, NULL, NULL},

    {"up", NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"down", NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"down-pre", NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"up-restart", NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"route-up", NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"route-pre-down", NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"ipchange", NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"tls-verify", NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"iproute", NOT_OBEYED, 0, 0, NULL, "programs are never run"},
    {"script-security", NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"plugin", NOT_OBEYED, 0, 0, NULL, "plugins are never loaded"},
    {"engine", NOT_OBEYED, 0, 0, NULL, "modules are never loaded"},
    {"providers", NOT_OBEYED, 0, 0, NULL, "modules are never loaded"},
    {"redirect-gateway", NOT_OBEYED, 0, 0, NULL, "the default route is never touched"},
    {"redirect-private", NOT_OBEYED, 0, 0, NULL, "only routes of the tunnel are set"},
    {"dhcp-option", NOT_OBEYED, 0, 0, NULL, "the resolver is never touched"},
    {"dns", NOT_OBEYED, 0, 0, NULL, "the resolver is never touched"},
    {"setenv", NOT_OBEYED, 0, 0, NULL, "the environment is never set"},
    {"setenv-safe", NOT_OBEYED, 0, 0, NULL, "the environment is never set"},
    {"config", NOT_OBEYED, 0, 0, NULL, "one file is read"},
    {"cd", NOT_OBEYED, 0, 0, NULL, "paths are relative to this file"},
    {"log", NOT_OBEYED, 0, 0, NULL, "nothing is written to files that this file names"},
    {"log-append", NOT_OBEYED, 0, 0, NULL, "nothing is written to files that this file names"},
    {"status", NOT_OBEYED, 0, 0, NULL, "nothing is written to files that this file names"},
    {"writepid", NOT_OBEYED, 0, 0, NULL, "nothing is written to files that this file names"},
    {"management", NOT_OBEYED, 0, 0, NULL, "use the state socket"},
    {"daemon", NOT_OBEYED, 0, 0, NULL, "the service manager does that"},

    {"server", UNSUPPORTED, 0, 0, NULL, "this is a server's file; ammer is a client"},
    {"tls-server", UNSUPPORTED, 0, 0, NULL, "this is a server's file; ammer is a client"},
    {"mode", UNSUPPORTED, 0, 0, NULL, "this is a server's file; ammer is a client"},
    {"secret", UNSUPPORTED, 0, 0, NULL, "static key mode is not supported; use certificates"},
    {"http-proxy", UNSUPPORTED, 0, 0, NULL, "proxies are not supported"},
    {"socks-proxy", UNSUPPORTED, 0, 0, NULL, "proxies are not supported"},
    {"pkcs12", UNSUPPORTED, 0, 0, NULL, "give ca, cert and key in PEM form"},
    {"pkcs11-id", UNSUPPORTED, 0, 0, NULL, "give cert and key in PEM form"},
    {"askpass", UNSUPPORTED, 0, 0, NULL, "give a key without a passphrase"},
    {"extra-certs", UNSUPPORTED, 0, 0, NULL,
     "put the intermediates behind the certificate in cert"},
    {"capath", UNSUPPORTED, 0, 0, NULL, "give one ca file"},
    {"peer-fingerprint", UNSUPPORTED, 0, 0, NULL, "use ca and verify-x509-name"},
    {"verify-hash", UNSUPPORTED, 0, 0, NULL, "use ca and verify-x509-name"},
};

static const struct directive *find_directive(const char *name)
{
    for (size_t i = 0; i < sizeof directives / sizeof directives[0]; i++) {
        if (strcmp(directives[i].name, name) == 0) {
            return &directives[i];
        }
    }
    return NULL;
}

static bool obey(struct parser *p, char **arg, unsigned n)
{
    if (strncmp(arg[0], "--", 2) == 0) {
        arg[0] += 2;
    }
    const struct directive *d = find_directive(arg[0]);
    if (!d) {
        write_note(p, "%.60s: unknown directive, ignored", arg[0]);
        return true;
    }
    switch (d->outcome) {
    case TAKEN:
        if (n - 1 < d->least || n - 1 > d->most) {
            return fail(p, "%s: takes %u to %u values, %u given", d->name, d->least, d->most,
                        n - 1);
        }
        return d->handler(p, arg, n);
    case QUIET:
        return true;
    case NO_EFFECT:
        write_note(p, "%s: has no effect", d->name);
        return true;
    case NOT_OBEYED:
        write_note(p, "%s: never obeyed (%s)", d->name, d->why);
        return true;
    case UNSUPPORTED:
        return fail(p, "%s: %s", d->name, d->why);
    }
    return false;
}

/* ---- blocks ---- */

static bool take_material(struct parser *p, const char *name, enum amm_material_kind kind,
                          struct amm_view body)
{
    if (body.len > AMM_MATERIAL_MAX) {
        return fail(p, "<%s>: longer than %d bytes", name, AMM_MATERIAL_MAX);
    }
    if (p->settings->materials[kind].text) {
        return fail(p, "<%s>: given twice", name);
    }
    if (!amm_material_set(&p->settings->materials[kind], body)) {
        return fail(p, "<%s>: contains a NUL character", name);
    }
    return true;
}

static bool take_connection(struct parser *p, struct amm_view body, unsigned first_line)
{
    struct amm_ovpn_lexer lexer;
    amm_ovpn_lexer_init(&lexer, body, first_line);
    p->in_connection = true;
    p->block = (struct defaults){0};
    p->block_first = p->settings->n_remotes;
    for (;;) {
        enum amm_ovpn_token token = amm_ovpn_lexer_next(&lexer);
        p->line = lexer.line;
        if (token == AMM_OVPN_END) {
            break;
        }
        if (token == AMM_OVPN_BROKEN) {
            return fail(p, "%s", lexer.broken);
        }
        if (token == AMM_OVPN_BLOCK) {
            return fail(p, "<%s>: not allowed inside <connection>", lexer.arguments[0]);
        }
        if (!obey(p, lexer.arguments, lexer.n_arguments)) {
            return false;
        }
    }
    fill_remotes(p, p->block_first, &p->block);
    p->in_connection = false;
    return true;
}

static bool take_block(struct parser *p, const struct amm_ovpn_lexer *lexer)
{
    static const struct {
        const char *name;
        enum amm_material_kind kind;
        enum amm_wrap_mode wrap;
    } blocks[] = {
        {"ca", AMM_MATERIAL_CA, AMM_WRAP_NONE},
        {"cert", AMM_MATERIAL_CERTIFICATE, AMM_WRAP_NONE},
        {"key", AMM_MATERIAL_KEY, AMM_WRAP_NONE},
        {"crl-verify", AMM_MATERIAL_CRL, AMM_WRAP_NONE},
        {"auth-user-pass", AMM_MATERIAL_LOGIN, AMM_WRAP_NONE},
        {"tls-auth", AMM_MATERIAL_WRAP, AMM_WRAP_AUTH},
        {"tls-crypt", AMM_MATERIAL_WRAP, AMM_WRAP_CRYPT},
        {"tls-crypt-v2", AMM_MATERIAL_WRAP, AMM_WRAP_CRYPT_V2},
    };
    const char *name = lexer->arguments[0];
    if (strcmp(name, "connection") == 0) {
        return take_connection(p, lexer->body, lexer->body_line);
    }
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        if (strcmp(name, blocks[i].name) != 0) {
            continue;
        }
        if (blocks[i].wrap != AMM_WRAP_NONE && !set_wrap(p, name, blocks[i].wrap)) {
            return false;
        }
        p->settings->needs_login |= blocks[i].kind == AMM_MATERIAL_LOGIN;
        return take_material(p, name, blocks[i].kind, lexer->body);
    }
    const struct directive *d = find_directive(name);
    if (d && d->outcome == UNSUPPORTED) {
        return fail(p, "<%s>: %s", name, d->why);
    }
    if (!d || d->outcome != QUIET) {
        write_note(p, "<%.60s>: unknown block, ignored", name);
    }
    return true;
}

/* ---- the whole file ---- */

static bool has_material(const struct amm_settings *s, enum amm_material_kind kind)
{
    return s->materials[kind].text || s->materials[kind].path[0];
}

static bool check_ciphers(struct parser *p)
{
    if (!p->cipher[0] || p->has_data_ciphers) {
        return true;
    }
    p->line = p->cipher_line;
    if (p->no_negotiation || is_small_block(p->cipher)) {
        return fail(
            p,
            "cipher: %s is not supported (allowed: AES-256-GCM, AES-128-GCM, CHACHA20-POLY1305); "
            "servers from 2.4 on have them",
            p->cipher);
    }
    write_note(p, "cipher: %s is not offered; AES-GCM or CHACHA20-POLY1305 is negotiated",
               p->cipher);
    return true;
}

static bool check_whole(struct parser *p)
{
    struct amm_settings *s = p->settings;
    if (!check_ciphers(p)) {
        return false;
    }
    p->line = 1;
    if (!p->is_client) {
        return fail(p, "client: missing; is this a client's file?");
    }
    if (s->n_remotes == 0) {
        return fail(p, "remote: missing; no server is named");
    }
    if (!has_material(s, AMM_MATERIAL_CA)) {
        return fail(p, "ca: missing; without it any server would be trusted");
    }
    if (has_material(s, AMM_MATERIAL_CERTIFICATE) != has_material(s, AMM_MATERIAL_KEY)) {
        return fail(p, "cert and key: one of them is missing");
    }
    if (s->needs_login && !has_material(s, AMM_MATERIAL_LOGIN)) {
        return fail(
            p, "auth-user-pass: nobody can be asked here; name a file with user name and password "
               "on two lines");
    }
    if (!has_material(s, AMM_MATERIAL_CERTIFICATE) && !s->needs_login) {
        return fail(p, "cert and key: missing");
    }
    if (s->wrap != AMM_WRAP_NONE && !has_material(s, AMM_MATERIAL_WRAP)) {
        return fail(p, "the key of tls-auth, tls-crypt or tls-crypt-v2 is missing");
    }
    if (!p->has_role_check) {
        s->no_role_check = true;
        write_note(
            p,
            "remote-cert-tls server: missing; any certificate of this CA could pose as the server");
    }
    return true;
}

bool amm_ovpn_parse(struct amm_settings *settings, const char *file, struct amm_view text,
                    struct amm_ovpn_report *report)
{
    struct parser p = {.settings = settings, .report = report, .file = file, .line = 1};
    struct amm_ovpn_lexer lexer;
    memset(report, 0, sizeof *report);
    if (text.len > AMM_OVPN_FILE_MAX) {
        return fail(&p, "the file is larger than %d bytes", AMM_OVPN_FILE_MAX);
    }
    amm_ovpn_lexer_init(&lexer, text, 1);
    for (;;) {
        enum amm_ovpn_token token = amm_ovpn_lexer_next(&lexer);
        p.line = lexer.line;
        if (token == AMM_OVPN_END) {
            break;
        }
        if (token == AMM_OVPN_BROKEN) {
            return fail(&p, "%s", lexer.broken);
        }
        if (!(token == AMM_OVPN_BLOCK ? take_block(&p, &lexer)
                                      : obey(&p, lexer.arguments, lexer.n_arguments))) {
            return false;
        }
    }
    struct defaults last = {1194, AMM_UDP, AMM_FAMILY_NONE, true, true};
    fill_remotes(&p, 0, &p.whole);
    fill_remotes(&p, 0, &last);
    return check_whole(&p);
}
