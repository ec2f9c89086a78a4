/* ammctl gateway profile: a connection file for an OpenVPN client, with everything inline, that
 * carries what a server cannot push. */
#include "pki.h"
#include "pki_store.h"

#include "crypto/mac.h"
#include "io/file.h"
#include "proto/wrap.h"

#include <getopt.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PROFILE_MAX = 65536, REMOTES_MAX = 8, PORT_FIRST = 1190, PORTS = 4, INNER_MTU = 1400 };

/* What one DATA_V2 packet adds to an inner one. `mssfix` counts it, `tun-mtu` does not. */
enum { DATA_OVERHEAD = 24 };

struct profile {
    const char *name, *folder, *output;
    const char *remotes[REMOTES_MAX];
    size_t n_remotes;
    int port, days; /* port 0: where the gateway has its place */
    enum amm_wrap_mode wrap;
    bool wrap_given;
};

static const char usage[] = "gateway profile [--pki DIR] --remote HOST... [--port 1190..1193] "
                            "[--wrap tls-crypt|tls-crypt-v2|tls-auth|none] "
                            "[--days N] [--output FILE|-] NAME";

static bool parse_number(const char *text, int least, int most, int *out)
{
    char *end;
    long value = strtol(text, &end, 10);
    *out = (int)value;
    return *text != '\0' && *end == '\0' && value >= least && value <= most;
}

static bool parse_wrap(const char *text, enum amm_wrap_mode *out)
{
    for (int mode = AMM_WRAP_NONE; mode <= AMM_WRAP_CRYPT_V2; mode++) {
        if (strcmp(text, amm_wrap_mode_name((enum amm_wrap_mode)mode)) == 0) {
            *out = (enum amm_wrap_mode)mode;
            return true;
        }
    }
    return false;
}

/* A name or address that can stand in a line of the file. */
static bool is_host(const char *text)
{
    size_t len = strlen(text);
    return len >= 1 && len <= 253 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:") == len;
}

static bool take_option(struct profile *profile, int option, const char *value)
{
    switch (option) {
    case 'k':
        profile->folder = value;
        return true;
    case 'o':
        profile->output = value;
        return true;
    case 'p':
        return parse_number(value, PORT_FIRST, PORT_FIRST + PORTS - 1, &profile->port);
    case 'd':
        return parse_number(value, 1, 3650, &profile->days);
    case 'w':
        profile->wrap_given = parse_wrap(value, &profile->wrap);
        return profile->wrap_given;
    case 'r':
        if (profile->n_remotes == REMOTES_MAX || !is_host(value)) {
            return false;
        }
        profile->remotes[profile->n_remotes++] = value;
        return true;
    default:
        return false;
    }
}

static bool parse_arguments(int argc, char **argv, struct profile *profile)
{
    static const struct option options[] = {
        {"pki", required_argument, NULL, 'k'},
        {"port", required_argument, NULL, 'p'},
        {"remote", required_argument, NULL, 'r'},
        {"wrap", required_argument, NULL, 'w'},
        {"days", required_argument, NULL, 'd'},
        {"output", required_argument, NULL, 'o'},
        {NULL, 0, NULL, 0},
    };
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (!take_option(profile, option, optarg)) {
            return false;
        }
    }
    profile->name = optind < argc ? argv[optind] : NULL;
    return argc - optind == 1;
}

static void write_connection(struct amm_writer *w, const char *host, int port, bool is_tcp)
{
    amm_write_text(w, "<connection>\nremote %s %d %s\n", host, port, is_tcp ? "tcp-client" : "udp");
    if (!is_tcp) {
        amm_write_str(w, "explicit-exit-notify 2\n"); /* OpenVPN refuses it for TCP */
    }
    amm_write_str(w, "</connection>\n");
}

/* UDP on all ports and hosts first, the gateway's own port leading, then TCP in the same order. */
static void write_connections(struct amm_writer *w, const struct profile *profile)
{
    for (int is_tcp = 0; is_tcp <= 1; is_tcp++) {
        for (int i = 0; i < PORTS; i++) {
            int port = PORT_FIRST + (profile->port - PORT_FIRST + i) % PORTS;
            for (size_t host = 0; host < profile->n_remotes; host++) {
                write_connection(w, profile->remotes[host], port, is_tcp);
            }
        }
    }
}

static void write_settings(struct amm_writer *w, const struct profile *profile, const char *server)
{
    amm_write_text(
        w,
        "# Connection file of gateway %s for OpenVPN 2.5 and later. It holds a private key.\n"
        "client\n"
        "dev tun\n"
        "nobind\n"
        "persist-tun\n"
        "persist-key\n"
        "resolv-retry infinite\n"
        "connect-retry 2 120\n"
        "connect-timeout 20\n"
        "remote-cert-tls server\n"
        "verify-x509-name %s name\n"
        "tls-version-min 1.2\n"
        "data-ciphers AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305\n"
        "allow-compression no\n"
        "reneg-sec 86400\n"
        "tun-mtu %d\n"
        "mssfix %d\n"
        "verb 3\n",
        profile->name, server, INNER_MTU, INNER_MTU + DATA_OVERHEAD);
}

static void write_block(struct amm_writer *w, const char *tag, const char *text)
{
    size_t len = strlen(text);
    amm_write_text(w, "<%s>\n%s%s</%s>\n", tag, text, len > 0 && text[len - 1] == '\n' ? "" : "\n",
                   tag);
}

/* A client key for tls-crypt-v2, made with the server's key. */
static bool make_v2_key(const struct pki *pki, char out[AMM_PEM_MAX], char error[PKI_ERROR])
{
    uint8_t server[AMM_V2_SERVER_KEY], kc[AMM_STATIC_KEY], wkc[AMM_WKC_MAX];
    size_t wkc_len = 0;
    char *text = pki_read(pki, AMM_PKI_TLS_CRYPT_V2, error);
    if (!text) {
        return false;
    }
    struct amm_random random = amm_system_random();
    amm_random_fill(&random, kc, sizeof kc);
    bool ok = amm_v2_server_key_parse(text, server) &&
              amm_wkc_make(server, kc, time(NULL), wkc, &wkc_len);
    if (ok) {
        amm_v2_client_key_text(kc, wkc, wkc_len, out);
    } else {
        snprintf(error, PKI_ERROR, "%s: not a tls-crypt-v2 server key", AMM_PKI_TLS_CRYPT_V2);
    }
    amm_wipe(server, sizeof server);
    amm_wipe(kc, sizeof kc);
    pki_text_free(text);
    return ok;
}

static bool write_wrap(struct amm_writer *w, const struct pki *pki, enum amm_wrap_mode wrap,
                       char error[PKI_ERROR])
{
    if (wrap == AMM_WRAP_NONE) {
        return true;
    }
    if (wrap == AMM_WRAP_CRYPT_V2) {
        char key[AMM_PEM_MAX];
        bool ok = make_v2_key(pki, key, error);
        if (ok) {
            write_block(w, "tls-crypt-v2", key);
        }
        amm_wipe(key, sizeof key);
        return ok;
    }
    if (wrap == AMM_WRAP_AUTH) {
        amm_write_str(w, "key-direction 1\nauth SHA256\n");
    }
    char *key = pki_read(pki, wrap == AMM_WRAP_AUTH ? AMM_PKI_TLS_AUTH : AMM_PKI_TLS_CRYPT, error);
    if (key) {
        write_block(w, amm_wrap_mode_name(wrap), key);
    }
    pki_text_free(key);
    return key != NULL;
}

/* Everything is read and checked before a certificate is issued for it. */
static bool write_profile(struct pki *pki, const struct profile *profile, struct amm_writer *w,
                          char error[PKI_ERROR])
{
    struct amm_identity server;
    struct pki_credential made;
    char *ca = pki_read(pki, AMM_PKI_SERVER_CA, error);
    char *own = ca ? pki_read(pki, AMM_PKI_SERVER, error) : NULL;
    bool ok = own && amm_pki_identity(own, &server, error, PKI_ERROR);
    if (ok) {
        /* A <connection> takes the settings that stand before it, the wrap too, and ignores later
         * ones. */
        write_settings(w, profile, server.name);
        ok = write_wrap(w, pki, profile->wrap, error);
        write_connections(w, profile);
        write_block(w, "ca", ca);
        ok = ok && pki_issue(pki, PKI_PROFILE, profile->name, NULL, profile->days, &made, error);
    }
    if (ok) {
        write_block(w, "cert", made.certificate);
        write_block(w, "key", made.key);
        amm_wipe(&made, sizeof made);
        if (w->failed) {
            snprintf(error, PKI_ERROR, "the connection file would be too large");
            ok = false;
        }
    }
    free(ca);
    free(own);
    return ok;
}

static enum ctl_exit deliver(const struct profile *profile, struct amm_view text)
{
    char error[PKI_ERROR], path[PATH_MAX];
    if (profile->output && strcmp(profile->output, "-") == 0) {
        bool ok = fwrite(text.data, 1, text.len, stdout) == text.len && fflush(stdout) == 0;
        return ok ? CTL_OK
                  : (enum ctl_exit)ctl_fail(CTL_FAILED, "cannot write the connection file");
    }
    int n = snprintf(path, sizeof path, "%s%s", profile->output ? profile->output : profile->name,
                     profile->output ? "" : ".ovpn");
    if (n >= (int)sizeof path) {
        return ctl_fail(CTL_USAGE, "the path of the connection file is too long");
    }
    if (!amm_file_write(path, text, 0600, error, sizeof error)) {
        return ctl_fail(CTL_FAILED, "%s", error);
    }
    printf("%s\n", path);
    return CTL_OK;
}

/* What was not said follows from the server's configuration, where there is one: the port on which
 * the gateway has its place, and the wrap of that port. */
static void fill_defaults(const struct ctl *ctl, struct profile *profile)
{
    if (profile->port == 0) {
        profile->port = ctl->config ? ctl_gateway_port(ctl, profile->name) : 0;
    }
    if (profile->port < PORT_FIRST || profile->port >= PORT_FIRST + PORTS) {
        profile->port = PORT_FIRST;
    }
    for (size_t i = 0; ctl->config && !profile->wrap_given && i < ctl->config->n_ports; i++) {
        if (ctl->config->ports[i].port == profile->port) {
            profile->wrap = (enum amm_wrap_mode)ctl->config->ports[i].wrap;
        }
    }
}

int ctl_gateway_profile(const struct ctl *ctl, int argc, char **argv)
{
    struct profile profile = {.wrap = AMM_WRAP_CRYPT};
    if (!parse_arguments(argc, argv, &profile)) {
        return ctl_fail(CTL_USAGE, "%s", usage);
    }
    fill_defaults(ctl, &profile);
    if (profile.n_remotes == 0) {
        return ctl_fail(CTL_USAGE,
                        "--remote HOST is needed: the server's name or address as gateways see it");
    }
    if (strchr(profile.name, '/') || profile.name[0] == '.') {
        return ctl_fail(CTL_USAGE,
                        "a gateway's name has 1-64 characters, no '/', no space, no leading '.'");
    }
    struct pki pki;
    char error[PKI_ERROR];
    uint8_t *text = malloc(PROFILE_MAX);
    struct amm_writer w = amm_writer(text, text ? PROFILE_MAX : 0);
    bool ok = pki_open(&pki, ctl_pki_folder(ctl, profile.folder), error) &&
              write_profile(&pki, &profile, &w, error);
    enum ctl_exit status = ok ? deliver(&profile, amm_view(text, amm_writer_len(&w)))
                              : (enum ctl_exit)ctl_fail(CTL_FAILED, "%s", error);
    pki_close(&pki);
    amm_wipe(text, text ? PROFILE_MAX : 0);
    free(text);
    return status;
}
