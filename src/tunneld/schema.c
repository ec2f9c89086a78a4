/* The keys of amm.conf: what can be checked one value at a time. */
#include "tunneld/config.h"

#include "crypto/aead.h"
#include "io/netns.h"

#include <stdio.h>
#include <sys/un.h>

/* ---- values that are more than a number or a word ---- */

static void copy_text(char out[AMM_CONF_TEXT], struct amm_view text)
{
    size_t len = text.len < AMM_CONF_TEXT ? text.len : AMM_CONF_TEXT - 1;
    if (len > 0) {
        memcpy(out, text.data, len);
    }
    out[len] = '\0';
}

/* Takes the next word of a list separated by spaces, commas or colons; false at the end. */
static bool next_word(struct amm_view *list, struct amm_view *word)
{
    while (list->len > 0 && strchr(" ,:\t", list->data[0]) != NULL) {
        list->data++;
        list->len--;
    }
    size_t len = 0;
    while (len < list->len && strchr(" ,:\t", list->data[len]) == NULL) {
        len++;
    }
    *word = amm_view(list->data, len);
    list->data += len;
    list->len -= len;
    return len > 0;
}

static bool parse_ciphers(void *into, struct amm_view value, char *error, size_t room)
{
    struct amm_tunneld_config *config = into;
    struct amm_view word;
    size_t n = 0;
    memset(config->ciphers, AMM_CIPHER_NONE, sizeof config->ciphers);
    while (next_word(&value, &word)) {
        enum amm_cipher cipher = amm_cipher_find(word);
        if (cipher == AMM_CIPHER_NONE || n == sizeof config->ciphers ||
            memchr(config->ciphers, cipher, n) != NULL) {
            n = 0;
            break;
        }
        config->ciphers[n++] = (uint8_t)cipher;
    }
    if (n == 0) {
        snprintf(error, room,
                 "is no list of ciphers (allowed: AES-256-GCM, AES-128-GCM, CHACHA20-POLY1305, "
                 "each once)");
    }
    return n > 0;
}

static bool parse_port(struct amm_view text, uint16_t *out)
{
    uint32_t number = 0;
    for (size_t i = 0; i < text.len && i < 6; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        number = number * 10 + (uint32_t)(text.data[i] - '0');
    }
    *out = (uint16_t)number;
    return text.len > 0 && text.len <= 5 && number >= 1 && number <= 65535;
}

static bool parse_published(void *into, struct amm_view value, char *error, size_t room)
{
    struct amm_tunneld_config *config = into;
    struct amm_view word;
    config->n_published = 0;
    memset(config->published, 0, sizeof config->published);
    while (next_word(&value, &word)) {
        uint16_t port;
        if (config->n_published == AMM_PUBLISHED_MAX || !parse_port(word, &port)) {
            snprintf(error, room,
                     "is no list of TCP ports (allowed: up to %d numbers of 1 to 65535)",
                     AMM_PUBLISHED_MAX);
            return false;
        }
        config->published[config->n_published++] = port;
    }
    return true;
}

static bool parse_remote(void *into, struct amm_view value, char *error, size_t room)
{
    struct amm_tunneld_config *config = into;
    struct amm_view word;
    config->n_remote = 0;
    while (next_word(&value, &word)) {
        uint16_t port;
        if (config->n_remote == AMM_REMOTE_PORTS_MAX || !parse_port(word, &port)) {
            snprintf(error, room,
                     "is no list of TCP ports (allowed: up to %d numbers of 1 to 65535)",
                     AMM_REMOTE_PORTS_MAX);
            return false;
        }
        bool known = false;
        for (unsigned i = 0; i < config->n_remote; i++) {
            known |= config->remote[i] == port;
        }
        if (!known) {
            config->remote[config->n_remote++] = port;
        }
    }
    return true;
}

static bool check_namespace(void *into, struct amm_view value, char *error, size_t room)
{
    (void)value;
    const struct amm_tunneld_config *config = into;
    if (!amm_netns_name_ok(config->namespace_name)) {
        snprintf(error, room,
                 "is no name of a namespace (allowed: host, or letters, digits, '-', '_', '.')");
        return false;
    }
    return true;
}

static bool check_pool(void *into, struct amm_view value, char *error, size_t room)
{
    (void)value;
    const struct amm_port_config *port = into;
    struct amm_pool pool;
    if (port->pool_text[0] != '\0' && !amm_pool_parse(&pool, port->pool_text, AMM_NET30)) {
        snprintf(error, room,
                 "is no network (allowed: as 10.4.32.0/19, prefix 16 to 29, host bits zero)");
        return false;
    }
    return true;
}

static bool parse_listen(void *into, struct amm_view value, char *error, size_t room)
{
    struct amm_port_config *port = into;
    char text[AMM_CONF_TEXT];
    struct amm_listen listen;
    copy_text(text, value);
    bool is_tcp = strncmp(text, "tcp ", 4) == 0;
    listen.transport = is_tcp ? AMM_TCP : AMM_UDP;
    const char *address = text + strspn(text, "tcpud");
    address += strspn(address, " ");
    if ((!is_tcp && strncmp(text, "udp ", 4) != 0) ||
        !amm_address_parse(&listen.address, address, 0)) {
        snprintf(
            error, room,
            "is no listener (allowed: udp or tcp, then ADDRESS:PORT, as in \"udp [::]:1190\")");
        return false;
    }
    if (port->n_listen == AMM_LISTEN_MAX) {
        snprintf(error, room, "is one too many (allowed: %d listen lines in a section)",
                 AMM_LISTEN_MAX);
        return false;
    }
    port->listen[port->n_listen++] = listen;
    return true;
}

/* ---- sections ---- */

static void *begin_top(void *config, struct amm_view name, char *error, size_t room)
{
    (void)name, (void)error, (void)room;
    return config;
}

static void *begin_port(void *into, struct amm_view name, char *error, size_t room)
{
    struct amm_tunneld_config *config = into;
    uint16_t number;
    if (!parse_port(name, &number)) {
        snprintf(error, room, "not a port (allowed: 1 to 65535)");
        return NULL;
    }
    for (size_t i = 0; i < config->n_ports; i++) {
        if (config->ports[i].port == number) {
            snprintf(error, room, "stands twice");
            return NULL;
        }
    }
    if (config->n_ports == AMM_PORTS_MAX) {
        snprintf(error, room, "one too many (allowed: %d ports)", AMM_PORTS_MAX);
        return NULL;
    }
    struct amm_port_config *port = &config->ports[config->n_ports++];
    *port = (struct amm_port_config){.port = number};
    return port;
}

static const struct amm_conf_section sections[] = {
    {"", false, "Paths, users, limits.", begin_top, false},
    {"port", true,
     "One tunnel port with its own address pool. Without any such section the server has the ports "
     "1190 to 1193 with "
     "their usual pools (10.4.32.0/19, 10.4.96.0/19, 10.4.160.0/19, 10.4.224.0/19); with one or "
     "more it has only "
     "those.",
     begin_port, false},
    {"manager", false, NULL, NULL, false},
    {"cad", false, NULL, NULL, false},
    {"remote-access", false, NULL, NULL, false},
    {.name = NULL},
};

#define TOP(member) offsetof(struct amm_tunneld_config, member)
#define PORT(member) offsetof(struct amm_port_config, member)

#define TEXT(name, member, initial, min, doc)                                                      \
    {                                                                                              \
        "", name, AMM_CONF_STRING, TOP(member), min, 0, NULL, initial, false, doc, NULL            \
    }
#define NUMBER(name, member, initial, min, max, reload, doc)                                       \
    {                                                                                              \
        "", name, AMM_CONF_NUMBER, TOP(member), min, max, NULL, initial, reload, doc, NULL         \
    }
#define SECONDS(name, member, initial, min, max, doc)                                              \
    {                                                                                              \
        "", name, AMM_CONF_DURATION, TOP(member), min, max, NULL, initial, false, doc, NULL        \
    }
#define YES_NO(name, member, initial, doc)                                                         \
    {                                                                                              \
        "", name, AMM_CONF_BOOL, TOP(member), 0, 0, NULL, initial, false, doc, NULL                \
    }

enum { SOCKET_PATH_MAX = sizeof((struct sockaddr_un *)NULL)->sun_path - 1 };

static const struct amm_conf_key keys[] = {
    {"", "namespace", AMM_CONF_STRING, TOP(namespace_name), 1, 63, NULL, "amm", false,
     "Network namespace of the tunnels, made at the start and removed at the end. \"host\": none; "
     "then the tunnels "
     "share the server's own network.",
     check_namespace},
    TEXT("user", user, "amm-tunneld", 1, "User (name or number) that the engine runs as."),
    TEXT("proxy-user", proxy_user, "amm-proxyd", 1,
         "The only user (name or number) that may open connections to gateways."),
    TEXT("manager-user", manager_user, "", 0,
         "User (name or number) that ammd runs as: may use the control socket, and is handed "
         "listeners on the tunnel address of each port for the `published` TCP ports. Empty: no "
         "ammd, and no listeners."),
    {"", "control-socket", AMM_CONF_STRING, TOP(control_socket), 1, SOCKET_PATH_MAX, NULL,
     "/run/amm/tunneld.sock", false,
     "Where ammctl and ammd ask; for root, `manager-user` and the group of `user`.", NULL},
    {"", "gateways", AMM_CONF_STRING, TOP(roster), 1, 0, NULL, "/etc/amm/gateways.conf", true,
     "Which gateways may join: lines of name, port and slot.", NULL},
    TEXT("pools", pools, "", 0,
         "Pools that the manager has changed: lines of port, pool and limit, in place of those of "
         "[port]. Read at the start. Empty: pools.conf beside the gateways file."),
    TEXT("pki", pki, "/etc/amm/pki", 1,
         "Folder made by `ammctl pki init`; holds the files that are not named below."),
    TEXT("ca", ca, "", 0,
         "Certificates that gateways must be signed by. Empty: ca.crt in the pki folder."),
    TEXT("certificate", certificate, "", 0,
         "The server's certificate. Empty: server.crt in the pki folder."),
    TEXT("key", key, "", 0,
         "The server's private key; only root needs to be able to read it. Empty: server.key in "
         "the pki folder."),
    {"", "crl", AMM_CONF_STRING, TOP(crl), 0, 0, NULL, "", true,
     "Revocation lists. Empty: crl.pem in the pki folder. \"none\": no revocation.", NULL},
    NUMBER("workers", workers, "0", 0, AMM_THREADS_MAX, false,
           "Threads that move data. 0: by the number of CPUs."),
    NUMBER("handshake-threads", handshake_threads, "0", 0, AMM_THREADS_MAX, false,
           "Threads that do handshakes. 0: by the number of CPUs."),
    NUMBER("handshake-limit", handshake_limit, "512", 1, 65536, false,
           "Handshakes under way at the same time."),
    {"", "ciphers", AMM_CONF_STRING, TOP(cipher_names), 1, 0, NULL,
     "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305", false, "Data ciphers, best first.",
     parse_ciphers},
    SECONDS("ping", ping, "60", 0, 3600,
            "Silence after which either side sends a keep-alive. 0: never."),
    SECONDS("ping-restart", ping_restart, "240", 0, 86400,
            "Silence after which a gateway starts again; the server forgets it after twice this. "
            "0: never."),
    NUMBER("mtu", mtu, "1400", 576, 1500, false, "MTU inside the tunnels."),
    SECONDS("renegotiate", renegotiate, "1d", 0, 604800,
            "Age of a key at which the server makes a new one. 0: only the gateways do."),
    SECONDS("renegotiate-min", soft_reset_interval, "5", 0, 3600,
            "A gateway that asks for new keys more often than this is not answered."),
    {"", "published", AMM_CONF_STRING, TOP(published_names), 0, 0, NULL, "80, 8443", false,
     "TCP ports of the tunnel addresses that gateways may open.", parse_published},
    NUMBER("page-port", page_port, "9443", 1, 65535, false,
           "TCP port of the gateways' own page, which proxy-user may open."),
    {"", "remote-ports", AMM_CONF_STRING, TOP(remote_names), 0, 0, NULL, "80, 443, 9444", false,
     "Further TCP ports of gateways that proxy-user may open: pages of other routers, ports for "
     "`ammctl gateway forward`, the relay of our own gateways (9444).",
     parse_remote},
    YES_NO("isolation-engine", isolation_engine, "yes",
           "For tests only: \"no\" switches off the engine's checks of inner addresses."),
    YES_NO("isolation-nft", isolation_nft, "yes",
           "For tests only: \"no\" loads no firewall rules."),
    YES_NO("isolation-namespace", isolation_namespace, "yes",
           "For tests only: \"no\" puts the tunnels into the server's own network."),

    {"port", "pool", AMM_CONF_STRING, PORT(pool_text), 0, 31, NULL, "", false,
     "Addresses of the port's gateways; the server has the first one. Empty: the usual pool of "
     "ports 1190 to 1193.",
     check_pool},
    {"port", "topology", AMM_CONF_CHOICE, PORT(topology), 0, 0, "net30|subnet", "net30", false,
     "net30: four addresses a gateway, 2047 gateways in a /19, works with every router. subnet: "
     "one address a "
     "gateway.",
     NULL},
    {"port", "limit", AMM_CONF_NUMBER, PORT(limit), 0, AMM_SLOT_MAX, NULL, "0", false,
     "Gateways that may be up at the same time. 0: as many as the pool holds, at most 2047.", NULL},
    {"port", "wrap", AMM_CONF_CHOICE, PORT(wrap), 0, 0, "none|tls-auth|tls-crypt", "tls-crypt",
     false, "What protects the first packets of this port.", NULL},
    {"port", "wrap-key", AMM_CONF_STRING, PORT(wrap_key), 0, 0, NULL, "", false,
     "Static key file of the wrap. Empty: tls-auth.key or tls-crypt.key in the pki folder.", NULL},
    {"port", "auth", AMM_CONF_CHOICE, PORT(auth_digest), 0, 0, "SHA1|SHA256|SHA512", "SHA256",
     false,
     "Digest of tls-auth; the clients' `auth` must be the same (without one OpenVPN takes SHA1).",
     NULL},
    {"port", "key-direction", AMM_CONF_CHOICE, PORT(key_direction), 0, 0, "none|0|1", "0", false,
     "Direction of the tls-auth key on the server; clients have the other one.", NULL},
    {"port", "tls-crypt-v2", AMM_CONF_BOOL, PORT(tls_crypt_v2), 0, 0, NULL, "yes", false,
     "Also take clients with a key of their own (tls-crypt-v2), beside `wrap`.", NULL},
    {"port", "v2-key", AMM_CONF_STRING, PORT(v2_key), 0, 0, NULL, "", false,
     "The server's tls-crypt-v2 key. Empty: tls-crypt-v2.key in the pki folder.", NULL},
    {"port", "listen", AMM_CONF_LIST, 0, 0, 0, NULL, NULL, false,
     "udp or tcp, then ADDRESS:PORT; [::] takes IPv4 too. Without any: udp and tcp on [::] with "
     "the port's number.",
     parse_listen},
    {.name = NULL},
};

const struct amm_conf_schema amm_tunneld_schema = {"amm-tunneld", sections, keys};
