/* ammctl gateway profile: a connection file for an OpenVPN client, with everything inline, that
 * carries what a server cannot push. */
#include "pki.h"

#include "crypto/mac.h"
#include "io/file.h"
#include "pki/connection_file.h"
#include "pki/pki_store.h"
#include "proto/wrap.h"

#include <getopt.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { REMOTES_MAX = 8, PORT_FIRST = 1190, PORTS = 4 };

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
        if (profile->n_remotes == REMOTES_MAX || !pki_host_ok(value)) {
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

/* The key text of the wrap, to `out`; "" without a wrap. */
static bool wrap_key(const struct pki *pki, enum amm_wrap_mode wrap, char out[AMM_PEM_MAX],
                     char error[PKI_ERROR])
{
    out[0] = '\0';
    if (wrap == AMM_WRAP_NONE) {
        return true;
    }
    if (wrap == AMM_WRAP_CRYPT_V2) {
        return make_v2_key(pki, out, error);
    }
    char *key = pki_read(pki, wrap == AMM_WRAP_AUTH ? AMM_PKI_TLS_AUTH : AMM_PKI_TLS_CRYPT, error);
    bool ok = key && snprintf(out, AMM_PEM_MAX, "%s", key) < AMM_PEM_MAX;
    if (key && !ok) {
        snprintf(error, PKI_ERROR, "%s: too large", amm_wrap_mode_name(wrap));
    }
    pki_text_free(key);
    return ok;
}

static struct pki_connection connection_of(const struct profile *profile)
{
    struct pki_connection connection = {
        .name = profile->name, .wrap = profile->wrap, .n_remotes = profile->n_remotes};
    memcpy(connection.remotes, profile->remotes, sizeof profile->remotes);
    for (int i = 0; i < PORTS; i++) {
        connection.ports[connection.n_ports++] =
            (uint16_t)(PORT_FIRST + (profile->port - PORT_FIRST + i) % PORTS);
    }
    return connection;
}

/* Everything is read and checked before a certificate is issued for it. */
static bool write_profile(struct pki *pki, const struct profile *profile, struct amm_writer *w,
                          char error[PKI_ERROR])
{
    struct amm_identity server;
    struct pki_credential made = {0};
    struct pki_connection connection = connection_of(profile);
    char key[AMM_PEM_MAX];
    char *ca = pki_read(pki, AMM_PKI_SERVER_CA, error);
    char *own = ca ? pki_read(pki, AMM_PKI_SERVER, error) : NULL;
    bool ok = own && amm_pki_identity(own, &server, error, PKI_ERROR) &&
              wrap_key(pki, profile->wrap, key, error) &&
              pki_issue(pki, PKI_PROFILE, profile->name, NULL, profile->days, &made, error);
    if (ok) {
        connection.server_name = server.name;
        connection.wrap_key = key;
        connection.ca = ca;
        connection.certificate = made.certificate;
        connection.key = made.key;
        ok = pki_connection_write(w, &connection);
        if (!ok) {
            snprintf(error, PKI_ERROR, "the connection file would be too large");
        }
    }
    amm_wipe(&made, sizeof made);
    amm_wipe(key, sizeof key);
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
    uint8_t *text = malloc(PKI_CONNECTION_MAX);
    struct amm_writer w = amm_writer(text, text ? PKI_CONNECTION_MAX : 0);
    bool ok = pki_open(&pki, ctl_pki_folder(ctl, profile.folder), error) &&
              write_profile(&pki, &profile, &w, error);
    enum ctl_exit status = ok ? deliver(&profile, amm_view(text, amm_writer_len(&w)))
                              : (enum ctl_exit)ctl_fail(CTL_FAILED, "%s", error);
    pki_close(&pki);
    amm_wipe(text, text ? PKI_CONNECTION_MAX : 0);
    free(text);
    return status;
}
