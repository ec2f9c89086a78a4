#include "pki/connection_file.h"

enum {
    INNER_MTU = 1400,
    DATA_OVERHEAD = 24,   /* what one DATA_V2 packet adds to an inner one: `mssfix` counts it,
                             `tun-mtu`   does not */
    CONNECTIONS_MAX = 64, /* OpenVPN refuses a file with more */
};

bool pki_host_ok(const char *text)
{
    size_t len = strlen(text);
    return len >= 1 && len <= 253 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:") == len;
}

static bool is_word(const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c <= ' ' || *c > '~') {
            return false;
        }
    }
    return *text != '\0';
}

static void write_settings(struct amm_writer *w, const struct pki_connection *connection)
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
        connection->name, connection->server_name, INNER_MTU, INNER_MTU + DATA_OVERHEAD);
}

static void write_block(struct amm_writer *w, const char *tag, const char *text)
{
    size_t len = strlen(text);
    amm_write_text(w, "<%s>\n%s%s</%s>\n", tag, text, len > 0 && text[len - 1] == '\n' ? "" : "\n",
                   tag);
}

static void write_wrap(struct amm_writer *w, const struct pki_connection *connection)
{
    if (connection->wrap == AMM_WRAP_AUTH) {
        amm_write_str(w, "key-direction 1\nauth SHA256\n");
    }
    if (connection->wrap != AMM_WRAP_NONE) {
        write_block(w, amm_wrap_mode_name(connection->wrap), connection->wrap_key);
    }
}

static void write_remote(struct amm_writer *w, const char *host, int port, bool is_tcp)
{
    amm_write_text(w, "<connection>\nremote %s %d %s\n", host, port, is_tcp ? "tcp-client" : "udp");
    if (!is_tcp) {
        amm_write_str(w, "explicit-exit-notify 2\n"); /* OpenVPN refuses it for TCP */
    }
    amm_write_str(w, "</connection>\n");
}

/* UDP on all ports and hosts first, the gateway's own port leading, then TCP in the same order. */
static void write_remotes(struct amm_writer *w, const struct pki_connection *connection)
{
    for (int is_tcp = 0; is_tcp <= 1; is_tcp++) {
        for (size_t port = 0; port < connection->n_ports; port++) {
            for (size_t host = 0; host < connection->n_remotes; host++) {
                write_remote(w, connection->remotes[host], connection->ports[port], is_tcp);
            }
        }
    }
}

bool pki_connection_write(struct amm_writer *w, const struct pki_connection *connection)
{
    if (!is_word(connection->name) || !is_word(connection->server_name) ||
        2 * connection->n_remotes * connection->n_ports > CONNECTIONS_MAX) {
        return false;
    }
    for (size_t i = 0; i < connection->n_remotes; i++) {
        if (!pki_host_ok(connection->remotes[i])) {
            return false;
        }
    }
    /* A <connection> takes the settings that stand before it, the wrap too, and ignores later ones.
     */
    write_settings(w, connection);
    write_wrap(w, connection);
    write_remotes(w, connection);
    write_block(w, "ca", connection->ca);
    write_block(w, "cert", connection->certificate);
    write_block(w, "key", connection->key);
    return !w->failed;
}
