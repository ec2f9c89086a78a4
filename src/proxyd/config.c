#include "proxyd/config.h"

#include "crypto/pki_files.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>

static void *begin(void *config, struct amm_view name, char *error, size_t room)
{
    (void)name, (void)error, (void)room;
    return config;
}

static bool parse_listen(void *into, struct amm_view value, char *error, size_t room)
{
    struct proxyd_config *config = into;
    char text[AMM_CONF_TEXT] = "";
    if (value.len > 0 && value.len < sizeof text) {
        memcpy(text, value.data, value.len);
    }
    if (config->listen.n == PROXYD_LISTEN_MAX) {
        snprintf(error, room, "is one too many (allowed: %d)", PROXYD_LISTEN_MAX);
        return false;
    }
    if (!amm_address_parse(&config->listen.at[config->listen.n], text, 0)) {
        snprintf(error, room,
                 "is no address with a port (allowed: as in 192.0.2.1:8444, [::]:8444)");
        return false;
    }
    config->listen.n++;
    return true;
}

static bool check_domain(void *into, struct amm_view value, char *error, size_t room)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
    const char *domain = ((struct proxyd_config *)into)->domain;
    size_t len = strlen(domain);
    (void)value;
    if (strspn(domain, allowed) != len || len > 200 || domain[0] == '.' || domain[len - 1] == '.' ||
        strstr(domain, "..") != NULL) {
        snprintf(error, room,
                 "is no name (allowed: lower-case letters, digits, '-' and '.', as in "
                 "gw.example.net)");
        return false;
    }
    return true;
}

static const struct amm_conf_section sections[] = {
    {"", false, "Shared with amm-tunneld.", begin, true},
    {"port", true, NULL, NULL, false},
    {"manager", false, "Shared with ammd.", begin, true},
    {"cad", false, NULL, NULL, false},
    {"remote-access", false,
     "The way from a browser to the page of a gateway, amm-proxyd. Each remote session has a host "
     "name of its own below `domain`.",
     begin, false},
    {.name = NULL},
};

#define AT(member) offsetof(struct proxyd_config, member)
#define TEXT(section, name, member, least, most, initial, doc)                                     \
    {                                                                                              \
        section, name, AMM_CONF_STRING, AT(member), least, most, NULL, initial, false, doc, NULL   \
    }
#define FILE_TEXT(name, member, initial, doc)                                                      \
    {                                                                                              \
        "remote-access", name, AMM_CONF_STRING, AT(member), 0, 0, NULL, initial, true, doc, NULL   \
    }
#define SECONDS(name, member, initial, least, most, doc)                                           \
    {                                                                                              \
        "remote-access", name, AMM_CONF_DURATION, AT(member), least, most, NULL, initial, false,   \
            doc, NULL                                                                              \
    }

enum { SOCKET_PATH_MAX = sizeof((struct sockaddr_un *)NULL)->sun_path - 1 };

static const struct amm_conf_key keys[] = {
    TEXT("", "pki", pki, 1, 0, "/etc/amm/pki", "Folder made by `ammctl pki init`."),
    TEXT("", "namespace", namespace_name, 1, 0, "amm", "Network namespace of the tunnels."),
    {"", "isolation-namespace", AMM_CONF_BOOL, AT(isolation_namespace), 0, 0, NULL, "yes", false,
     "The tunnels are in a namespace of their own.", NULL},
    TEXT("", "proxy-user", user, 1, 0, "amm-proxyd",
         "User (name or number) that amm-proxyd runs as: the only one that may open connections to "
         "gateways."),
    TEXT("manager", "user", manager_user, 1, 0, "ammd", "User that ammd runs as."),
    {"remote-access", "listen", AMM_CONF_LIST, 0, 0, 0, NULL, NULL, false,
     "ADDRESS:PORT for browsers. Without any: [::]:8444 with a certificate, 127.0.0.1:8081 without "
     "one.",
     parse_listen},
    {"remote-access", "domain", AMM_CONF_STRING, AT(domain), 1, 200, NULL, "localhost", false,
     "Domain of the remote sessions: `*.DOMAIN` must lead here in the DNS. Not the console's own "
     "name, nor one that shares cookies with it; best one that is a public suffix to browsers, so "
     "that no gateway's page can set a cookie for another's (doc/remote-access.md). Names below "
     "`localhost` are that, and lead to the browser's own machine without any DNS.",
     check_domain},
    {"remote-access", "port", AMM_CONF_NUMBER, AT(port), 0, 65535, NULL, "0", false,
     "Port in the links, if something in front of amm-proxyd has another one. 0: that of the first "
     "`listen`.",
     NULL},
    FILE_TEXT("certificate", certificate, "",
              "Certificate for `*.DOMAIN` with its chain (PEM). Empty: plain HTTP, on loopback "
              "addresses only."),
    FILE_TEXT("key", key, "",
              "Its private key. SIGHUP reads both again, then as proxy-user, who must be able to "
              "read them for that."),
    TEXT("remote-access", "assertion-key", assertion_key, 0, 0, "",
         "Ed25519 private key (PEM) that signs an operator in at a gateway. Empty: "
         "remote-access.key in the pki folder."),
    TEXT("remote-access", "socket", socket, 1, SOCKET_PATH_MAX, "/run/amm/remote.sock",
         "Where ammd tells amm-proxyd which remote sessions there are."),
    SECONDS("idle", idle, "15m", 30, 86400,
            "A remote session in which nothing is asked for so long ends."),
    SECONDS("life", life, "8h", 60, 604800, "The longest that a remote session may last."),
    {"remote-access", "connections", AMM_CONF_NUMBER, AT(connections), 16, 100000, NULL, "4096",
     false, "Connections of browsers at once, at most.", NULL},
    {.name = NULL},
};

const struct amm_conf_schema proxyd_schema = {"amm-proxyd", sections, keys};

static bool is_loopback(const struct amm_address *address)
{
    static const uint8_t six[16] = {[15] = 1};
    return address->family == AMM_FAMILY_IPV4 ? address->ip[0] == 127
                                              : memcmp(address->ip, six, sizeof six) == 0;
}

/* What a single key cannot know. */
static bool check(const struct proxyd_config *config, const char *file, char error[AMM_CONF_ERROR])
{
    char text[AMM_ADDRESS_TEXT];
    bool has_certificate = config->certificate[0] != '\0';
    if (has_certificate != (config->key[0] != '\0')) {
        snprintf(error, AMM_CONF_ERROR,
                 "%s: [remote-access] certificate and key belong together (allowed: both, or none)",
                 file);
        return false;
    }
    for (unsigned i = 0; !has_certificate && i < config->listen.n; i++) {
        if (!is_loopback(&config->listen.at[i])) {
            snprintf(error, AMM_CONF_ERROR,
                     "%s: [remote-access] listen = %s needs TLS: give certificate and key (allowed "
                     "without: loopback addresses)",
                     file, amm_address_text(&config->listen.at[i], text));
            return false;
        }
    }
    return true;
}

bool proxyd_config_load(struct proxyd_config *config, const char *file, struct amm_view text,
                        char error[AMM_CONF_ERROR])
{
    *config = (struct proxyd_config){0};
    if (!amm_conf_parse(&proxyd_schema, config, file, text, error)) {
        return false;
    }
    if (config->listen.n == 0) {
        config->listen.n = 1;
        amm_address_parse(&config->listen.at[0],
                          config->certificate[0] != '\0' ? "[::]:8444" : "127.0.0.1:8081", 0);
    }
    if (config->port == 0) {
        config->port = config->listen.at[0].port;
    }
    if (config->assertion_key[0] == '\0') {
        struct amm_writer w = amm_writer(config->assertion_key, sizeof config->assertion_key);
        amm_write_text(&w, "%s/%s", config->pki, AMM_PKI_REMOTE_KEY);
        amm_write_u8(&w, 0);
        if (w.failed) {
            snprintf(error, AMM_CONF_ERROR, "%s: pki: the path is too long", file);
            return false;
        }
    }
    return check(config, file, error);
}
