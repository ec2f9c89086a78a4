#include "ovpn_parts.h"

#include <stdio.h>
#include <stdlib.h>

static bool take_number(struct ovpn_parser *p, const char *directive, const char *word,
                        uint32_t min, uint32_t max, uint32_t *out)
{
    char *end;
    unsigned long long value = strtoull(word, &end, 10);
    if (word[0] < '0' || word[0] > '9' || *end != '\0' || value < min || value > max) {
        return ovpn_fail(p, "%s: \"%.40s\" is not a number from %u to %u", directive, word, min,
                         max);
    }
    *out = (uint32_t)value;
    return true;
}

/* ---- remotes ---- */

static bool take_transport(struct ovpn_parser *p, const char *word, uint8_t *transport,
                           uint8_t *family)
{
    if (!amm_transport_parse(amm_view_str(word), transport, family)) {
        return ovpn_fail(
            p, "proto: \"%.40s\" is not known (allowed: udp, udp4, udp6, tcp-client, tcp4, tcp6)",
            word);
    }
    return true;
}

static bool on_remote(struct ovpn_parser *p, char **arg, unsigned n)
{
    struct amm_settings *s = p->settings;
    uint32_t port = 0;
    if (s->n_remotes == AMM_SETTINGS_REMOTES) {
        return ovpn_fail(p, "remote: more than %d servers", AMM_SETTINGS_REMOTES);
    }
    struct amm_remote *remote = &s->remotes[s->n_remotes];
    struct loose_remote *loose = &p->loose[s->n_remotes];
    *remote = (struct amm_remote){0};
    *loose = (struct loose_remote){n > 2, n > 3};
    size_t len = strlen(arg[1]);
    if (len == 0 || len >= sizeof remote->host) {
        return ovpn_fail(p, "remote: a host name has 1 to 253 characters");
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

static struct remote_defaults *scope(struct ovpn_parser *p)
{
    return p->in_connection ? &p->block : &p->whole;
}

static bool on_port(struct ovpn_parser *p, char **arg, unsigned n)
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

static bool on_proto(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    scope(p)->has_transport = true;
    return take_transport(p, arg[1], &scope(p)->transport, &scope(p)->family);
}

/* ---- certificates and keys ---- */

static bool name_material(struct ovpn_parser *p, enum amm_material_kind kind, char **arg)
{
    struct amm_material *m = &p->settings->materials[kind];
    if (strcmp(arg[1], "[inline]") == 0) {
        return true;
    }
    if (strlen(arg[1]) >= sizeof m->path) {
        return ovpn_fail(p, "%s: the path is longer than 255 characters", arg[0]);
    }
    snprintf(m->path, sizeof m->path, "%s", arg[1]);
    return true;
}

static bool on_ca(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    return name_material(p, AMM_MATERIAL_CA, arg);
}

static bool on_cert(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    return name_material(p, AMM_MATERIAL_CERTIFICATE, arg);
}

static bool on_key(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    return name_material(p, AMM_MATERIAL_KEY, arg);
}

static bool on_crl(struct ovpn_parser *p, char **arg, unsigned n)
{
    if (n > 2) {
        return ovpn_fail(p, "crl-verify: a folder of lists is not supported; give one file");
    }
    return name_material(p, AMM_MATERIAL_CRL, arg);
}

static bool on_login(struct ovpn_parser *p, char **arg, unsigned n)
{
    p->settings->needs_login = true;
    return n < 2 || name_material(p, AMM_MATERIAL_LOGIN, arg);
}

bool ovpn_set_wrap(struct ovpn_parser *p, const char *directive, enum amm_wrap_mode mode)
{
    if (p->has_wrap && p->settings->wrap != mode) {
        return ovpn_fail(p, "%s: only one of tls-auth, tls-crypt and tls-crypt-v2 may be given",
                         directive);
    }
    p->has_wrap = true;
    p->settings->wrap = mode;
    return true;
}

static bool take_direction(struct ovpn_parser *p, const char *word)
{
    if (strcmp(word, "0") == 0) {
        p->settings->direction = AMM_DIRECTION_0;
    } else if (strcmp(word, "1") == 0) {
        p->settings->direction = AMM_DIRECTION_1;
    } else if (strcmp(word, "bidirectional") == 0) {
        p->settings->direction = AMM_DIRECTION_BOTH;
    } else {
        return ovpn_fail(p, "key-direction: \"%.40s\" is not 0 or 1", word);
    }
    return true;
}

static bool on_key_direction(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    return take_direction(p, arg[1]);
}

static bool on_tls_auth(struct ovpn_parser *p, char **arg, unsigned n)
{
    return ovpn_set_wrap(p, arg[0], AMM_WRAP_AUTH) && (n < 3 || take_direction(p, arg[2])) &&
           name_material(p, AMM_MATERIAL_WRAP, arg);
}

static bool on_tls_crypt(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    return ovpn_set_wrap(p, arg[0], AMM_WRAP_CRYPT) && name_material(p, AMM_MATERIAL_WRAP, arg);
}

static bool on_tls_crypt_v2(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    return ovpn_set_wrap(p, arg[0], AMM_WRAP_CRYPT_V2) && name_material(p, AMM_MATERIAL_WRAP, arg);
}

static bool on_auth(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    if (!amm_digest_find(amm_view_str(arg[1]), &p->settings->digest)) {
        return ovpn_fail(p, "auth: \"%.40s\" is not supported (allowed: SHA1, SHA256, SHA512)",
                         arg[1]);
    }
    return true;
}

static bool on_cert_role(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    if (strcmp(arg[1], "server") != 0) {
        return ovpn_fail(p, "%s: only \"server\" makes sense in a client", arg[0]);
    }
    p->has_role_check = true;
    return true;
}

static bool on_server_name(struct ovpn_parser *p, char **arg, unsigned n)
{
    struct amm_settings *s = p->settings;
    if (n < 3 || (strcmp(arg[2], "name") != 0 && strcmp(arg[2], "name-prefix") != 0)) {
        return ovpn_fail(
            p, "verify-x509-name: only the forms \"NAME name\" and \"NAME name-prefix\" are "
               "supported");
    }
    if (arg[1][0] == '\0' || strlen(arg[1]) >= sizeof s->server_name) {
        return ovpn_fail(p, "verify-x509-name: the name must have 1 to 127 characters");
    }
    snprintf(s->server_name, sizeof s->server_name, "%s", arg[1]);
    s->server_name_is_prefix = strcmp(arg[2], "name-prefix") == 0;
    return true;
}

/* ---- ciphers ---- */

static bool on_cipher(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    p->cipher[0] = '\0';
    p->cipher_line = p->line;
    if (amm_cipher_find(amm_view_str(arg[1])) == AMM_CIPHER_NONE) {
        amm_text_clean(p->cipher, sizeof p->cipher, amm_view_str(arg[1]));
    }
    return true;
}

static bool on_data_ciphers(struct ovpn_parser *p, char **arg, unsigned n)
{
    char unknown[128];
    (void)n;
    if (amm_ciphers_parse(p->settings->ciphers, amm_view_str(arg[1]), unknown, sizeof unknown) ==
        0) {
        return ovpn_fail(p,
                         "%s: none of \"%.60s\" is supported (allowed: AES-256-GCM, AES-128-GCM, "
                         "CHACHA20-POLY1305)",
                         arg[0], arg[1]);
    }
    if (unknown[0]) {
        ovpn_note(p, "%s: %s not supported, left out", arg[0], unknown);
    }
    p->has_data_ciphers = true;
    return true;
}

static bool on_ncp_disable(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    p->no_negotiation = true;
    ovpn_note(p, "%s: has no effect; the cipher is always negotiated", arg[0]);
    return true;
}

/* ---- tunnel ---- */

static bool on_dev(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    if (strncmp(arg[1], "tun", 3) != 0) {
        return ovpn_fail(p, "%s: \"%.40s\" is not supported; only tun devices are", arg[0], arg[1]);
    }
    if (strlen(arg[1]) >= sizeof p->settings->tun) {
        return ovpn_fail(p, "dev: an interface name has at most 15 characters");
    }
    if (strcmp(arg[0], "dev") == 0) {
        snprintf(p->settings->tun, sizeof p->settings->tun, "%s", arg[1]);
    }
    return true;
}

static bool on_tun_mtu(struct ovpn_parser *p, char **arg, unsigned n)
{
    uint32_t mtu = 0;
    (void)n;
    if (!take_number(p, arg[0], arg[1], 576, 1500, &mtu)) {
        return false;
    }
    p->settings->mtu = (uint16_t)mtu;
    return true;
}

static bool take_seconds(struct ovpn_parser *p, char **arg, unsigned at, uint16_t *out)
{
    uint32_t seconds = 0;
    if (!take_number(p, arg[0], arg[at], 0, 65535, &seconds)) {
        return false;
    }
    *out = (uint16_t)seconds;
    return true;
}

static bool on_ping(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    return take_seconds(p, arg, 1, &p->settings->ping);
}

static bool on_ping_restart(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    return take_seconds(p, arg, 1, &p->settings->ping_restart);
}

static bool on_keepalive(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    return take_seconds(p, arg, 1, &p->settings->ping) &&
           take_seconds(p, arg, 2, &p->settings->ping_restart);
}

static bool on_reneg(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    return take_number(p, arg[0], arg[1], 0, UINT32_MAX, &p->settings->renegotiate);
}

static bool on_answer_timeout(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    return take_number(p, arg[0], arg[1], 1, 3600, &p->settings->answer_timeout);
}

static bool on_hand_window(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    return take_number(p, arg[0], arg[1], 5, 3600, &p->settings->hand_window);
}

static bool on_remote_random(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)arg;
    (void)n;
    p->settings->remote_random = true;
    return true;
}

static bool on_route_nopull(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)arg;
    (void)n;
    p->settings->no_pushed_routes = true;
    return true;
}

static bool on_route(struct ovpn_parser *p, char **arg, unsigned n)
{
    struct amm_settings *s = p->settings;
    struct amm_route route = {0, UINT32_MAX};
    bool is_ours = amm_ipv4_parse(&route.network, arg[1]) &&
                   (n < 3 || amm_ipv4_parse(&route.mask, arg[2])) &&
                   (n < 4 || strcmp(arg[3], "vpn_gateway") == 0);
    if (!is_ours || !amm_route_allowed(&route)) {
        ovpn_note(p, "route: %.40s is not a private network behind the tunnel, ignored", arg[1]);
        return true;
    }
    if (s->n_routes == AMM_PUSH_ROUTES) {
        return ovpn_fail(p, "route: more than %d routes", AMM_PUSH_ROUTES);
    }
    s->routes[s->n_routes++] = route;
    return true;
}

static bool on_fragment(struct ovpn_parser *p, char **arg, unsigned n)
{
    if (n > 1 && strcmp(arg[1], "0") == 0) {
        return true;
    }
    return ovpn_fail(p, "%s: not supported, the server would send packets that cannot be read",
                     arg[0]);
}

static bool on_compression(struct ovpn_parser *p, char **arg, unsigned n)
{
    bool is_stub_v2 = n > 1 && strcmp(arg[1], "stub-v2") == 0;
    bool is_migrate = n > 1 && strcmp(arg[1], "migrate") == 0;
    if (strcmp(arg[0], "compress") == 0 && (is_stub_v2 || is_migrate)) {
        return true;
    }
    if (strcmp(arg[0], "comp-lzo") == 0 && n > 1 && strcmp(arg[1], "no") == 0) {
        ovpn_note(
            p, "comp-lzo no: packets carry no compression byte here; if the tunnel stays silent, "
               "remove comp-lzo from the server too");
        return true;
    }
    return ovpn_fail(p, "%s: compression is not supported; remove it here and on the server",
                     arg[0]);
}

static bool on_client(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)arg;
    (void)n;
    p->is_client = true;
    return true;
}

static bool on_user(struct ovpn_parser *p, char **arg, unsigned n)
{
    (void)n;
    if (strlen(arg[1]) >= sizeof p->settings->user) {
        return ovpn_fail(p, "user: a user name has at most 31 characters");
    }
    snprintf(p->settings->user, sizeof p->settings->user, "%s", arg[1]);
    return true;
}

/* ---- the table ---- */

static const struct ovpn_directive directives[] = {
    {"client", OVPN_TAKEN, 0, 0, on_client, NULL},
    {"tls-client", OVPN_TAKEN, 0, 0, on_client, NULL},
    {"remote", OVPN_TAKEN, 1, 3, on_remote, NULL},
    {"port", OVPN_TAKEN, 1, 1, on_port, NULL},
    {"rport", OVPN_TAKEN, 1, 1, on_port, NULL},
    {"proto", OVPN_TAKEN, 1, 1, on_proto, NULL},
    {"remote-random", OVPN_TAKEN, 0, 0, on_remote_random, NULL},
    {"server-poll-timeout", OVPN_TAKEN, 1, 1, on_answer_timeout, NULL},
    {"connect-timeout", OVPN_TAKEN, 1, 1, on_answer_timeout, NULL},
    {"hand-window", OVPN_TAKEN, 1, 1, on_hand_window, NULL},
    {"dev", OVPN_TAKEN, 1, 1, on_dev, NULL},
    {"dev-type", OVPN_TAKEN, 1, 1, on_dev, NULL},
    {"tun-mtu", OVPN_TAKEN, 1, 2, on_tun_mtu, NULL},
    {"ca", OVPN_TAKEN, 1, 1, on_ca, NULL},
    {"cert", OVPN_TAKEN, 1, 1, on_cert, NULL},
    {"key", OVPN_TAKEN, 1, 1, on_key, NULL},
    {"crl-verify", OVPN_TAKEN, 1, 2, on_crl, NULL},
    {"auth-user-pass", OVPN_TAKEN, 0, 1, on_login, NULL},
    {"tls-auth", OVPN_TAKEN, 1, 2, on_tls_auth, NULL},
    {"tls-crypt", OVPN_TAKEN, 1, 1, on_tls_crypt, NULL},
    {"tls-crypt-v2", OVPN_TAKEN, 1, 2, on_tls_crypt_v2, NULL},
    {"key-direction", OVPN_TAKEN, 1, 1, on_key_direction, NULL},
    {"auth", OVPN_TAKEN, 1, 1, on_auth, NULL},
    {"remote-cert-tls", OVPN_TAKEN, 1, 1, on_cert_role, NULL},
    {"ns-cert-type", OVPN_TAKEN, 1, 1, on_cert_role, NULL},
    {"verify-x509-name", OVPN_TAKEN, 1, 2, on_server_name, NULL},
    {"cipher", OVPN_TAKEN, 1, 1, on_cipher, NULL},
    {"data-ciphers", OVPN_TAKEN, 1, 1, on_data_ciphers, NULL},
    {"ncp-ciphers", OVPN_TAKEN, 1, 1, on_data_ciphers, NULL},
    {"ncp-disable", OVPN_TAKEN, 0, 0, on_ncp_disable, NULL},
    {"ping", OVPN_TAKEN, 1, 1, on_ping, NULL},
    {"ping-restart", OVPN_TAKEN, 1, 1, on_ping_restart, NULL},
    {"keepalive", OVPN_TAKEN, 2, 2, on_keepalive, NULL},
    {"reneg-sec", OVPN_TAKEN, 1, 2, on_reneg, NULL},
    {"route", OVPN_TAKEN, 1, 4, on_route, NULL},
    {"route-nopull", OVPN_TAKEN, 0, 0, on_route_nopull, NULL},
    {"fragment", OVPN_TAKEN, 0, 2, on_fragment, NULL},
    {"comp-lzo", OVPN_TAKEN, 0, 1, on_compression, NULL},
    {"compress", OVPN_TAKEN, 0, 1, on_compression, NULL},
    {"user", OVPN_TAKEN, 1, 1, on_user, NULL},

    /* Said by nearly every file, and either what happens anyway or none of a tunnel's business. */
    {"pull", OVPN_QUIET, 0, 0, NULL, NULL},
    {"nobind", OVPN_QUIET, 0, 0, NULL, NULL},
    {"bind", OVPN_QUIET, 0, 0, NULL, NULL},
    {"float", OVPN_QUIET, 0, 0, NULL, NULL},
    {"persist-tun", OVPN_QUIET, 0, 0, NULL, NULL},
    {"persist-key", OVPN_QUIET, 0, 0, NULL, NULL},
    {"resolv-retry", OVPN_QUIET, 0, 0, NULL, NULL},
    {"connect-retry", OVPN_QUIET, 0, 0, NULL, NULL},
    {"connect-retry-max", OVPN_QUIET, 0, 0, NULL, NULL},
    {"explicit-exit-notify", OVPN_QUIET, 0, 0, NULL, NULL},
    {"mssfix", OVPN_QUIET, 0, 0, NULL, NULL},
    {"mtu-disc", OVPN_QUIET, 0, 0, NULL, NULL},
    {"mtu-test", OVPN_QUIET, 0, 0, NULL, NULL},
    {"topology", OVPN_QUIET, 0, 0, NULL, NULL},
    {"tun-ipv6", OVPN_QUIET, 0, 0, NULL, NULL},
    {"data-ciphers-fallback", OVPN_QUIET, 0, 0, NULL, NULL},
    {"auth-nocache", OVPN_QUIET, 0, 0, NULL, NULL},
    {"auth-retry", OVPN_QUIET, 0, 0, NULL, NULL},
    {"tls-timeout", OVPN_QUIET, 0, 0, NULL, NULL},
    {"tran-window", OVPN_QUIET, 0, 0, NULL, NULL},
    {"replay-window", OVPN_QUIET, 0, 0, NULL, NULL},
    {"tls-version-min", OVPN_QUIET, 0, 0, NULL, NULL},
    {"verb", OVPN_QUIET, 0, 0, NULL, NULL},
    {"mute", OVPN_QUIET, 0, 0, NULL, NULL},
    {"mute-replay-warnings", OVPN_QUIET, 0, 0, NULL, NULL},
    {"group", OVPN_QUIET, 0, 0, NULL, NULL},
    {"sndbuf", OVPN_QUIET, 0, 0, NULL, NULL},
    {"rcvbuf", OVPN_QUIET, 0, 0, NULL, NULL},
    {"fast-io", OVPN_QUIET, 0, 0, NULL, NULL},
    {"push-peer-info", OVPN_QUIET, 0, 0, NULL, NULL},
    {"ignore-unknown-option", OVPN_QUIET, 0, 0, NULL, NULL},
    {"allow-compression", OVPN_QUIET, 0, 0, NULL, NULL},
    {"dh", OVPN_QUIET, 0, 0, NULL, NULL},

    /* Known, and the tunnel works without them. */
    {"tls-cipher", OVPN_NO_EFFECT, 0, 0, NULL, NULL},
    {"tls-ciphersuites", OVPN_NO_EFFECT, 0, 0, NULL, NULL},
    {"tls-groups", OVPN_NO_EFFECT, 0, 0, NULL, NULL},
    {"pull-filter", OVPN_NO_EFFECT, 0, 0, NULL, NULL},
    {"local", OVPN_NO_EFFECT, 0, 0, NULL, NULL},
    {"link-mtu", OVPN_NO_EFFECT, 0, 0, NULL, NULL},

    {"up", OVPN_NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"down", OVPN_NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"down-pre", OVPN_NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"up-restart", OVPN_NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"route-up", OVPN_NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"route-pre-down", OVPN_NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"ipchange", OVPN_NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"tls-verify", OVPN_NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"iproute", OVPN_NOT_OBEYED, 0, 0, NULL, "programs are never run"},
    {"script-security", OVPN_NOT_OBEYED, 0, 0, NULL, "scripts are never run"},
    {"plugin", OVPN_NOT_OBEYED, 0, 0, NULL, "plugins are never loaded"},
    {"engine", OVPN_NOT_OBEYED, 0, 0, NULL, "modules are never loaded"},
    {"providers", OVPN_NOT_OBEYED, 0, 0, NULL, "modules are never loaded"},
    {"redirect-gateway", OVPN_NOT_OBEYED, 0, 0, NULL, "the default route is never touched"},
    {"redirect-private", OVPN_NOT_OBEYED, 0, 0, NULL, "only routes of the tunnel are set"},
    {"dhcp-option", OVPN_NOT_OBEYED, 0, 0, NULL, "the resolver is never touched"},
    {"dns", OVPN_NOT_OBEYED, 0, 0, NULL, "the resolver is never touched"},
    {"setenv", OVPN_NOT_OBEYED, 0, 0, NULL, "the environment is never set"},
    {"setenv-safe", OVPN_NOT_OBEYED, 0, 0, NULL, "the environment is never set"},
    {"config", OVPN_NOT_OBEYED, 0, 0, NULL, "one file is read"},
    {"cd", OVPN_NOT_OBEYED, 0, 0, NULL, "paths are relative to this file"},
    {"log", OVPN_NOT_OBEYED, 0, 0, NULL, "nothing is written to files that this file names"},
    {"log-append", OVPN_NOT_OBEYED, 0, 0, NULL, "nothing is written to files that this file names"},
    {"status", OVPN_NOT_OBEYED, 0, 0, NULL, "nothing is written to files that this file names"},
    {"writepid", OVPN_NOT_OBEYED, 0, 0, NULL, "nothing is written to files that this file names"},
    {"management", OVPN_NOT_OBEYED, 0, 0, NULL, "use the state socket"},
    {"daemon", OVPN_NOT_OBEYED, 0, 0, NULL, "the service manager does that"},

    {"server", OVPN_UNSUPPORTED, 0, 0, NULL, "this is a server's file; ammer is a client"},
    {"tls-server", OVPN_UNSUPPORTED, 0, 0, NULL, "this is a server's file; ammer is a client"},
    {"mode", OVPN_UNSUPPORTED, 0, 0, NULL, "this is a server's file; ammer is a client"},
    {"secret", OVPN_UNSUPPORTED, 0, 0, NULL, "static key mode is not supported; use certificates"},
    {"http-proxy", OVPN_UNSUPPORTED, 0, 0, NULL, "proxies are not supported"},
    {"socks-proxy", OVPN_UNSUPPORTED, 0, 0, NULL, "proxies are not supported"},
    {"pkcs12", OVPN_UNSUPPORTED, 0, 0, NULL, "give ca, cert and key in PEM form"},
    {"pkcs11-id", OVPN_UNSUPPORTED, 0, 0, NULL, "give cert and key in PEM form"},
    {"askpass", OVPN_UNSUPPORTED, 0, 0, NULL, "give a key without a passphrase"},
    {"extra-certs", OVPN_UNSUPPORTED, 0, 0, NULL,
     "put the intermediates behind the certificate in cert"},
    {"capath", OVPN_UNSUPPORTED, 0, 0, NULL, "give one ca file"},
    {"peer-fingerprint", OVPN_UNSUPPORTED, 0, 0, NULL, "use ca and verify-x509-name"},
    {"verify-hash", OVPN_UNSUPPORTED, 0, 0, NULL, "use ca and verify-x509-name"},
};

const struct ovpn_directive *ovpn_directive_find(const char *name)
{
    for (size_t i = 0; i < sizeof directives / sizeof directives[0]; i++) {
        if (strcmp(directives[i].name, name) == 0) {
            return &directives[i];
        }
    }
    return NULL;
}

bool ovpn_obey(struct ovpn_parser *p, char **arg, unsigned n)
{
    if (strncmp(arg[0], "--", 2) == 0) {
        arg[0] += 2;
    }
    const struct ovpn_directive *d = ovpn_directive_find(arg[0]);
    if (!d) {
        ovpn_note(p, "%.60s: unknown directive, ignored", arg[0]);
        return true;
    }
    switch (d->outcome) {
    case OVPN_TAKEN:
        if (n - 1 < d->least || n - 1 > d->most) {
            return ovpn_fail(p, "%s: takes %u to %u values, %u given", d->name, d->least, d->most,
                             n - 1);
        }
        return d->handler(p, arg, n);
    case OVPN_QUIET:
        return true;
    case OVPN_NO_EFFECT:
        ovpn_note(p, "%s: has no effect", d->name);
        return true;
    case OVPN_NOT_OBEYED:
        ovpn_note(p, "%s: never obeyed (%s)", d->name, d->why);
        return true;
    case OVPN_UNSUPPORTED:
        return ovpn_fail(p, "%s: %s", d->name, d->why);
    }
    return false;
}
