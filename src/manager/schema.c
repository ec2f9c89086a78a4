/* The keys of [manager]: what can be checked one value at a time. A part of the manager adds its
 * keys in a block of its own. */
#include "manager/config.h"

#include <stdio.h>
#include <sys/un.h>

static bool add_listen(struct manager_listen *listen, struct amm_view value, char *error,
                       size_t room)
{
    char text[AMM_CONF_TEXT] = "";
    if (value.len > 0 && value.len < sizeof text) {
        memcpy(text, value.data, value.len);
    }
    if (listen->n == MANAGER_LISTEN_MAX) {
        snprintf(error, room, "is one too many (allowed: %d)", MANAGER_LISTEN_MAX);
        return false;
    }
    if (!amm_address_parse(&listen->at[listen->n], text, 0)) {
        snprintf(error, room, "is no address with a port (allowed: as in 192.0.2.1:443, [::]:443)");
        return false;
    }
    listen->n++;
    return true;
}

static bool parse_console(void *into, struct amm_view value, char *error, size_t room)
{
    return add_listen(&((struct manager_config *)into)->console, value, error, room);
}

static bool parse_gateways(void *into, struct amm_view value, char *error, size_t room)
{
    return add_listen(&((struct manager_config *)into)->gateways, value, error, room);
}

static bool parse_metrics(void *into, struct amm_view value, char *error, size_t room)
{
    return add_listen(&((struct manager_config *)into)->metrics, value, error, room);
}

static bool parse_remote(void *into, struct amm_view value, char *error, size_t room)
{
    return add_listen(&((struct manager_config *)into)->remote_listen, value, error, room);
}

/* Names or addresses, separated by blanks or commas. */
static bool check_hosts(void *into, struct amm_view value, char *error, size_t room)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  ".-:, ";
    const struct manager_config *config = into;
    (void)value;
    if (strspn(config->tunnel_hosts, allowed) != strlen(config->tunnel_hosts)) {
        snprintf(error, room,
                 "is no list of hosts (allowed: names and addresses, with blanks or "
                 "commas between them)");
        return false;
    }
    return true;
}

static void *begin_manager(void *config, struct amm_view name, char *error, size_t room)
{
    (void)name, (void)error, (void)room;
    return config;
}

static const struct amm_conf_section sections[] = {
    {"", false, NULL, NULL, false},
    {"port", true, NULL, NULL, false},
    {"cad", false, "Shared with amm-cad.", begin_manager, true},
    {"remote-access", false, "Shared with amm-proxyd.", begin_manager, true},
    {"manager", false, "The manager, ammd: console, API and check-ins.", begin_manager, false},
    {.name = NULL},
};

#define AT(member) offsetof(struct manager_config, member)
#define TEXT(name, member, initial, min, max, doc)                                                 \
    {                                                                                              \
        "manager", name, AMM_CONF_STRING, AT(member), min, max, NULL, initial, false, doc, NULL    \
    }
#define FILE_TEXT(name, member, initial, doc)                                                      \
    {                                                                                              \
        "manager", name, AMM_CONF_STRING, AT(member), 0, 0, NULL, initial, true, doc, NULL         \
    }
#define NUMBER(name, member, initial, min, max, doc)                                               \
    {                                                                                              \
        "manager", name, AMM_CONF_NUMBER, AT(member), min, max, NULL, initial, false, doc, NULL    \
    }
#define SECONDS(name, member, initial, min, max, doc)                                              \
    {                                                                                              \
        "manager", name, AMM_CONF_DURATION, AT(member), min, max, NULL, initial, false, doc, NULL  \
    }
#define LISTEN(name, parse, doc)                                                                   \
    {                                                                                              \
        "manager", name, AMM_CONF_LIST, 0, 0, 0, NULL, NULL, false, doc, parse                     \
    }

enum {
    SOCKET_PATH_MAX = sizeof((struct sockaddr_un *)NULL)->sun_path - 1,
    PATH_MAX_HERE = 200,
    KEEP_MAX = 20 * 365 * 86400
};

static const struct amm_conf_key keys[] = {
    TEXT("user", user, "ammd", 1, 0,
         "User (name or number) that ammd runs as once its sockets are "
         "open."),
    TEXT("database", database, "/var/lib/amm/fleet.db", 1, PATH_MAX_HERE,
         "The database. Its folder belongs to `user`, and is made if it is missing."),
    TEXT("backups", backups, "/var/lib/amm/backups", 1, PATH_MAX_HERE,
         "Folder that backups are written to."),
    TEXT("socket", socket, "/run/amm/ammd.sock", 1, SOCKET_PATH_MAX,
         "Where ammctl asks; root is the system administrator there."),
    LISTEN("console", parse_console,
           "ADDRESS:PORT of console and API. Without any: [::]:443 with a certificate, "
           "127.0.0.1:8080 without one."),
    FILE_TEXT("console-certificate", console_certificate, "",
              "Certificate of the console with its chain (PEM). Empty: plain HTTP, on loopback "
              "addresses only."),
    FILE_TEXT("console-key", console_key, "", "Its private key."),
    TEXT("console-names", console_names, "", 0, 0,
         "Names by which browsers reach the console, separated by blanks; requests for others are "
         "refused. Empty: any name."),
    TEXT("console-files", console_files, "/usr/share/amm/console", 1, PATH_MAX_HERE,
         "Folder with the console's files, read at the start. Without it the API works, and a "
         "page says how the console is built."),
    LISTEN("gateways", parse_gateways,
           "ADDRESS:PORT of check-ins, enrolment and time. Without any: [::]:8443."),
    FILE_TEXT("gateways-certificate", gateways_certificate, "",
              "Certificate that gateways see. Empty: manager.crt in the pki folder."),
    FILE_TEXT("gateways-key", gateways_key, "",
              "Its private key. Empty: manager.key in the pki folder."),
    FILE_TEXT("gateways-ca", gateways_ca, "",
              "Certificates that gateways must be signed by. Empty: gateways-ca.crt in the pki "
              "folder."),
    LISTEN("metrics", parse_metrics,
           "ADDRESS:PORT of /metrics, plain HTTP without a login. Without any: 127.0.0.1:9480."),
    NUMBER("front-threads", front_threads, "0", 0, MANAGER_THREADS_MAX,
           "Threads that do TLS and HTTP. 0: by the number of CPUs."),
    NUMBER("workers", workers, "2", 1, MANAGER_THREADS_MAX,
           "Threads for what is slow: passwords, backups."),
    NUMBER("queue", queue, "4096", 16, 1000000,
           "Requests of gateways that may wait; more are told to come again."),
    NUMBER("connections", connections, "16384", 16, 1000000, "Connections at most."),
    SECONDS("login-idle", login_idle, "30m", 60, 604800,
            "A login ends when nothing was asked for so long."),
    SECONDS("login-life", login_life, "12h", 300, 2592000, "A login ends after this in any case."),
    SECONDS("keep-events", keep_events, "90d", 0, KEEP_MAX,
            "Events of gateways are kept so long. 0 (here and below): for ever."),
    SECONDS("keep-stats", keep_stats, "30d", 0, KEEP_MAX,
            "Stats over time, for charts: about 5 kB a gateway and day."),
    SECONDS("keep-parameter-history", keep_parameters, "730d", 0, KEEP_MAX,
            "Who changed which parameter."),
    SECONDS("keep-identities", keep_identities, "800d", 0, KEEP_MAX,
            "Certificates of gateways, from their end: one that slept may renew up to 400 days "
            "after it."),
    SECONDS("keep-audit", keep_audit, "1095d", 0, KEEP_MAX,
            "The audit log. Where the rest of its chain begins is noted."),
    NUMBER("api-rate", api_rate, "6000", 0, 1000000,
           "Requests a minute of one login or API token. 0: no limit."),
    NUMBER("login-rate", login_rate, "20", 1, 100000,
           "Attempts to log in, a minute, from one network (/24, /56)."),

    {"manager", "tunnel-hosts", AMM_CONF_STRING, AT(tunnel_hosts), 0, 0, NULL, "", false,
     "Names or addresses of the tunnel server as gateways see it, best first. Empty: the address "
     "at which a gateway has reached ammd; connection files then need a name each time.",
     check_hosts},
    {"manager", "enrolment-approval", AMM_CONF_BOOL, AT(enrolment_approval), 0, 0, NULL, "no",
     false, "yes: a gateway that shows a good token waits until a person has approved it.", NULL},
    NUMBER("remote-of-user", remote_of_user, "20", 1, 10000,
           "Remote sessions that one user may have at once."),
    NUMBER("remote-of-gateway", remote_of_gateway, "10", 1, 10000,
           "Remote sessions that may lead to one gateway at once."),
    TEXT("credentials-key", credentials_key, "", 0, PATH_MAX_HERE,
         "File with the key that seals the credentials of gateways' pages in the database; made if "
         "it is missing. Backups do not have it. Empty: credentials.key beside the database."),
    {"remote-access", "listen", AMM_CONF_LIST, 0, 0, 0, NULL, NULL, false,
     "Where browsers find remote sessions: for the console's Content-Security-Policy.",
     parse_remote},
    {"remote-access", "domain", AMM_CONF_STRING, AT(remote_domain), 1, 200, NULL, "localhost",
     false, "Likewise: the domain of their host names.", NULL},
    {"remote-access", "port", AMM_CONF_NUMBER, AT(remote_port), 0, 65535, NULL, "0", false,
     "Likewise: the port in their links. 0: that of `listen`.", NULL},
    {"remote-access", "certificate", AMM_CONF_STRING, AT(remote_certificate), 0, 0, NULL, "", true,
     "Likewise: with one, links are https.", NULL},
    {"remote-access", "socket", AMM_CONF_STRING, AT(remote_socket), 1, SOCKET_PATH_MAX, NULL,
     "/run/amm/remote.sock", false, "Where amm-proxyd asks.", NULL},
    {"remote-access", "idle", AMM_CONF_DURATION, AT(remote_idle), 30, 86400, NULL, "15m", false,
     "A remote session in which nothing is asked for so long ends.", NULL},
    {"remote-access", "life", AMM_CONF_DURATION, AT(remote_life), 60, 604800, NULL, "8h", false,
     "The longest that a remote session may last.", NULL},
    {"cad", "socket", AMM_CONF_STRING, AT(cad_socket), 1, SOCKET_PATH_MAX, NULL,
     "/run/amm/cad.sock", false, "Where amm-cad answers.", NULL},
    {.name = NULL},
};

const struct amm_conf_schema manager_schema = {"ammd", sections, keys};
