/* Connection files: an `.ovpn` text for one gateway with everything inline, that carries what a
 * server cannot push. Pure. */
#pragma once

#include "base/bytes.h"
#include "proto/wrap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PKI_CONNECTION_MAX = 65536, PKI_REMOTES_MAX = 16, PKI_PORTS_MAX = 8 };

struct pki_connection {
    const char *name;        /* of the gateway */
    const char *server_name; /* common name in the tunnel server's certificate */
    size_t n_remotes, n_ports;
    const char *remotes[PKI_REMOTES_MAX]; /* hosts, pki_host_ok */
    uint16_t ports[PKI_PORTS_MAX];        /* the gateway's own one first */
    enum amm_wrap_mode wrap;
    const char *wrap_key;               /* text; not looked at without a wrap */
    const char *ca, *certificate, *key; /* PEM; ca: of the server */
};

/* A name or address that can stand in a line of the file: letters, digits, '.', '-', ':'. */
bool pki_host_ok(const char *text);

/* Writes the file; false if it does not fit or a name could not stand in it. Contains a private
 * key: wipe it. */
bool pki_connection_write(struct amm_writer *w, const struct pki_connection *connection);
