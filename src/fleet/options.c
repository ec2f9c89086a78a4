#include "options.h"

#include "crypto/pki_files.h"
#include "settings.h"
#include "io/clock.h"
#include "io/file.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: amm-fleet --server ADDRESS:PORT[,ADDRESS:PORT...] --pki DIR [OPTION]...\n"
    "\n"
    "Simulates gateways: N tunnels in one process, each with its own certificate and socket.\n"
    "\n"
    "  --pki DIR             folder of `ammctl pki init`: trust, issuing CA and channel keys\n"
    "  --trust FILE          CA certificates that servers must have\n"
    "  --ca FILE --ca-key FILE\n"
    "                        makes the certificates PREFIX1, PREFIX2, ... in memory\n"
    "  --certificates DIR    reads NAME.crt and NAME.key instead\n"
    "  --prefix TEXT         gateways' names (gw-)    --first N   number of the first (1)\n"
    "  --count N             gateways (1)             --rate R    joins started per second (100)\n"
    "  --server-name NAME    common name the server must have\n"
    "  --tcp                 over TCP\n"
    "  --wrap MODE           none, tls-auth, tls-crypt, tls-crypt-v2 (none)\n"
    "  --wrap-key FILE       its key, where it is not DIR's; --auth DIGEST for tls-auth (SHA1)\n"
    "  --cipher LIST         ciphers offered\n"
    "  --idle                keep-alives only (the default)\n"
    "  --ping S              an echo request through each tunnel every S seconds\n"
    "  --traffic PPS SIZE    echo requests of SIZE bytes, PPS in each tunnel\n"
    "  --tun NAME            one shared tun device; else inner packets are answered in the "
    "process\n"
    "  --duration S          stay S seconds after the last has joined (default: until a signal)\n"
    "  --join-timeout S      for all to join (60, and what the rate needs)\n"
    "  --vanish              end without goodbye\n"
    "  --keep-tls            keep TLS sessions after joining\n"
    "  --report FILE         result as JSON\n"
    "  --help\n"
    "\n"
    "exit codes: 0 all joined and none was lost, 1 not, 2 wrong usage\n";

static bool fail(const char *option, const char *why)
{
    fprintf(stderr, "amm-fleet: --%s: %s\n", option, why);
    return false;
}

static bool take_number(const char *option, const char *text, uint32_t least, uint32_t most,
                        uint32_t *out)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "amm-fleet: --%s: \"%s\" is not a number from %u to %u\n", option, text,
                least, most);
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool take_servers(struct fleet_options *o, const char *list)
{
    while (*list) {
        char word[AMM_ADDRESS_TEXT];
        size_t len = strcspn(list, ",");
        if (o->n_servers == FLEET_SERVERS || len >= sizeof word) {
            return fail("server", "too many or too long");
        }
        snprintf(word, sizeof word, "%.*s", (int)len, list);
        if (!amm_address_parse(&o->servers[o->n_servers++], word, 1190)) {
            return fail("server", "not an address (allowed: 192.0.2.1:1190, [2001:db8::1]:1190)");
        }
        list += len + (list[len] == ',');
    }
    return o->n_servers > 0 || fail("server", "missing");
}

static void take_folder(struct fleet_options *o, const char *folder)
{
    snprintf(o->trust, sizeof o->trust, "%s/%s", folder, AMM_PKI_SERVER_CA);
    snprintf(o->ca, sizeof o->ca, "%s/gateway-ca.crt", folder);
    snprintf(o->ca_key, sizeof o->ca_key, "%s/gateway-ca.key", folder);
}

/* A tls-crypt-v2 key of our own, made with the server's key. */
static bool make_v2_key(struct amm_wrap_config *wrap, const char *text)
{
    uint8_t server[AMM_V2_SERVER_KEY];
    const struct amm_random random = amm_kernel_random();
    if (amm_v2_client_key_parse(text, wrap->static_key, wrap->wkc, &wrap->wkc_len)) {
        return true;
    }
    amm_random_fill(&random, wrap->static_key, sizeof wrap->static_key);
    return amm_v2_server_key_parse(text, server) &&
           amm_wkc_make(server, wrap->static_key, amm_now().wall, wrap->wkc, &wrap->wkc_len);
}

static bool load_wrap(struct fleet_options *o, const char *mode, const char *key_file,
                      const char *folder)
{
    char path[600], error[256];
    struct amm_span text;
    o->wrap.direction = AMM_DIRECTION_1;
    for (o->wrap.mode = AMM_WRAP_NONE; o->wrap.mode <= AMM_WRAP_CRYPT_V2; o->wrap.mode++) {
        if (strcmp(mode, amm_wrap_mode_name(o->wrap.mode)) == 0) {
            break;
        }
    }
    if (o->wrap.mode > AMM_WRAP_CRYPT_V2) {
        return fail("wrap", "allowed: none, tls-auth, tls-crypt, tls-crypt-v2");
    }
    if (o->wrap.mode == AMM_WRAP_NONE) {
        return true;
    }
    static const char *const files[] = {"", AMM_PKI_TLS_AUTH, AMM_PKI_TLS_CRYPT,
                                        AMM_PKI_TLS_CRYPT_V2};
    snprintf(path, sizeof path, "%s/%s", folder, files[o->wrap.mode]);
    if (!amm_file_read(key_file ? key_file : path, AMM_PEM_MAX, &text, error, sizeof error)) {
        return fail("wrap-key", error);
    }
    bool ok = o->wrap.mode == AMM_WRAP_CRYPT_V2
                  ? make_v2_key(&o->wrap, (char *)text.data)
                  : amm_static_key_parse((char *)text.data, o->wrap.static_key);
    amm_wipe(text.data, text.len);
    free(text.data);
    return ok || fail("wrap-key", "not a key for this wrap");
}

/* Options that need others to be known first. */
struct late {
    const char *pki, *wrap, *wrap_key;
};

enum {
    SERVER = 256,
    PKI,
    TRUST,
    CA,
    CA_KEY,
    CERTIFICATES,
    PREFIX,
    FIRST,
    COUNT,
    RATE,
    SERVER_NAME,
    TCP,
    WRAP,
    WRAP_KEY,
    AUTH,
    CIPHER,
    IDLE,
    PING,
    TRAFFIC,
    TUN,
    DURATION,
    JOIN_TIMEOUT,
    VANISH,
    KEEP_TLS,
    REPORT,
    HELP,
};

static const struct option longs[] = {
    {"server", 1, NULL, SERVER},
    {"pki", 1, NULL, PKI},
    {"trust", 1, NULL, TRUST},
    {"ca", 1, NULL, CA},
    {"ca-key", 1, NULL, CA_KEY},
    {"certificates", 1, NULL, CERTIFICATES},
    {"prefix", 1, NULL, PREFIX},
    {"first", 1, NULL, FIRST},
    {"count", 1, NULL, COUNT},
    {"rate", 1, NULL, RATE},
    {"server-name", 1, NULL, SERVER_NAME},
    {"tcp", 0, NULL, TCP},
    {"wrap", 1, NULL, WRAP},
    {"wrap-key", 1, NULL, WRAP_KEY},
    {"auth", 1, NULL, AUTH},
    {"cipher", 1, NULL, CIPHER},
    {"idle", 0, NULL, IDLE},
    {"ping", 1, NULL, PING},
    {"traffic", 1, NULL, TRAFFIC},
    {"tun", 1, NULL, TUN},
    {"duration", 1, NULL, DURATION},
    {"join-timeout", 1, NULL, JOIN_TIMEOUT},
    {"vanish", 0, NULL, VANISH},
    {"keep-tls", 0, NULL, KEEP_TLS},
    {"report", 1, NULL, REPORT},
    {"help", 0, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static bool take_text(char *out, size_t room, const char *option)
{
    snprintf(out, room, "%s", option);
    return strlen(option) < room || fail(option, "too long");
}

static bool take_channel_option(struct fleet_options *o, struct late *late, int c)
{
    char unknown[64];
    switch (c) {
    case TCP:
        o->transport = AMM_TCP;
        return true;
    case WRAP:
        late->wrap = optarg;
        return true;
    case WRAP_KEY:
        late->wrap_key = optarg;
        return true;
    case AUTH:
        return amm_digest_find(amm_view_str(optarg), &o->wrap.auth_digest) ||
               fail("auth", "allowed: SHA1, SHA256, SHA512");
    case CIPHER:
        return amm_ciphers_parse(o->ciphers, amm_view_str(optarg), unknown, sizeof unknown) > 0 ||
               fail("cipher", "allowed: AES-256-GCM, AES-128-GCM, CHACHA20-POLY1305");
    default:
        return fail("", "unknown option");
    }
}

static bool take_load_option(struct fleet_options *o, struct late *late, int c, char **argv,
                             int argc)
{
    switch (c) {
    case IDLE:
        o->ping = o->traffic = 0;
        return true;
    case PING:
        return take_number("ping", optarg, 1, 86400, &o->ping);
    case TRAFFIC:
        if (optind >= argc) {
            return fail("traffic", "takes PPS and SIZE");
        }
        return take_number("traffic", optarg, 1, 100000, &o->traffic) &&
               take_number("traffic", argv[optind++], 36, 1400, &o->size);
    case TUN:
        return strcmp(optarg, "none") == 0 || take_text(o->tun, sizeof o->tun, optarg);
    case DURATION:
        return take_number("duration", optarg, 0, 1000000, &o->duration);
    case JOIN_TIMEOUT:
        return take_number("join-timeout", optarg, 1, 1000000, &o->join_timeout);
    case VANISH:
        o->vanish = true;
        return true;
    case KEEP_TLS:
        o->keep_tls = true;
        return true;
    case REPORT:
        o->report = optarg;
        return true;
    default:
        return take_channel_option(o, late, c);
    }
}

static bool take_option(struct fleet_options *o, struct late *late, int c, char **argv, int argc)
{
    switch (c) {
    case SERVER:
        return take_servers(o, optarg);
    case PKI:
        late->pki = optarg;
        take_folder(o, optarg);
        return true;
    case TRUST:
        return take_text(o->trust, sizeof o->trust, optarg);
    case CA:
        return take_text(o->ca, sizeof o->ca, optarg);
    case CA_KEY:
        return take_text(o->ca_key, sizeof o->ca_key, optarg);
    case CERTIFICATES:
        return take_text(o->folder, sizeof o->folder, optarg);
    case PREFIX:
        o->prefix = optarg;
        return strlen(optarg) < 48 || fail("prefix", "at most 47 characters");
    case FIRST:
        return take_number("first", optarg, 0, 1000000, &o->first);
    case COUNT:
        return take_number("count", optarg, 1, 100000, &o->count);
    case RATE:
        return take_number("rate", optarg, 1, 100000, &o->rate);
    case SERVER_NAME:
        o->server_name = optarg;
        return true;
    case HELP:
        fputs(usage, stdout);
        exit(0);
    default:
        return c != '?' && take_load_option(o, late, c, argv, argc);
    }
}

bool fleet_options_parse(struct fleet_options *o, int argc, char **argv)
{
    struct late late = {.wrap = "none", .pki = "."};
    *o = (struct fleet_options){
        .prefix = "gw-",
        .first = 1,
        .count = 1,
        .rate = 100,
        .size = 64,
        .duration = UINT32_MAX,
        .wrap.auth_digest = AMM_SHA1,
        .ciphers = {AMM_CIPHER_AES_256_GCM, AMM_CIPHER_AES_128_GCM, AMM_CIPHER_CHACHA20_POLY1305},
    };
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (!take_option(o, &late, c, argv, argc)) {
            return false;
        }
    }
    if (optind != argc || o->n_servers == 0) {
        fputs(usage, stderr);
        return false;
    }
    if (!o->trust[0] || (!o->folder[0] && (!o->ca[0] || !o->ca_key[0]))) {
        return fail("pki", "missing (or --trust with --ca and --ca-key, or with --certificates)");
    }
    if (o->join_timeout == 0) {
        o->join_timeout = 60 + o->count / o->rate;
    }
    return load_wrap(o, late.wrap, late.wrap_key, late.pki);
}
