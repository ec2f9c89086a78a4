/* What an ammer is to do, whatever file it was read from: ammer's own configuration (config.c) or
 * an `.ovpn` file (ovpn.c). Both fill this one structure; settings_load (load.c) then reads the
 * files it names. */
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "crypto/aead.h"
#include "crypto/mac.h"
#include "proto/push.h"
#include "proto/wrap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AMM_SETTINGS_REMOTES = 64,
    AMM_SETTINGS_PATH = 256,
    AMM_SETTINGS_HOST = 254, /* a DNS name has at most 253 characters */
    AMM_SETTINGS_NAME = 128,
    AMM_MATERIAL_MAX = 65536, /* bytes of one certificate, key or list */
};

/* One server to try. */
struct amm_remote {
    char host[AMM_SETTINGS_HOST]; /* name or address */
    uint16_t port;
    uint8_t transport; /* enum amm_transport */
    uint8_t family;    /* enum amm_family; NONE: both */
};

/* Something that may stand in the configuration or in a file of its own. */
struct amm_material {
    char path[AMM_SETTINGS_PATH]; /* as written; relative to the configuration's folder; "" if none
                                   */
    char *text;                   /* malloc'd, NUL-terminated; NULL until read */
    size_t len;
};

enum amm_material_kind {
    AMM_MATERIAL_CA,
    AMM_MATERIAL_CERTIFICATE,
    AMM_MATERIAL_KEY,
    AMM_MATERIAL_CRL,
    AMM_MATERIAL_WRAP,  /* static key, or tls-crypt-v2 client key */
    AMM_MATERIAL_LOGIN, /* two lines: user name, password */
    AMM_MATERIAL_COUNT,
};

struct amm_settings {
    struct amm_remote remotes[AMM_SETTINGS_REMOTES];
    unsigned n_remotes;
    bool remote_random;

    struct amm_material materials[AMM_MATERIAL_COUNT];
    enum amm_wrap_mode wrap;
    enum amm_key_direction direction; /* tls-auth: of this side */
    enum amm_digest digest;           /* tls-auth */

    bool needs_login;                    /* auth-user-pass was asked for */
    char server_name[AMM_SETTINGS_NAME]; /* "": any name with a certificate of our issuers */
    bool server_name_is_prefix;
    bool no_role_check; /* `.ovpn` without remote-cert-tls */

    uint8_t ciphers[3];          /* enum amm_cipher in order of preference, ended by NONE */
    uint16_t mtu;                /* tun device; a server may push less */
    uint16_t ping, ping_restart; /* used until the server pushes its own; 0: none */
    uint16_t keep_alive;         /* pings at least so often, whatever is pushed; 0: as pushed */
    uint32_t renegotiate;        /* seconds; 0: only the server does */
    uint32_t answer_timeout;     /* seconds without any answer until the next remote is tried */
    uint32_t hand_window;        /* seconds for a whole handshake */

    struct amm_route routes[AMM_PUSH_ROUTES]; /* asked for by our own file */
    unsigned n_routes;
    bool no_pushed_routes;

    char tun[16];                         /* interface name, "" or "tun": the kernel numbers it */
    char user[32];                        /* becomes this user once the device is open; "": stays */
    char state_socket[AMM_SETTINGS_PATH]; /* "": none */
    char state_group[32];                 /* who may ask it, beside the user; "": nobody */
    char clock_floor[AMM_SETTINGS_PATH]; /* file that remembers the latest trusted time; "": none */
    char clock_offset[AMM_SETTINGS_PATH]; /* file with seconds to add to the clock; "": none */
};

/* Everything at its default, and no remote. */
void amm_settings_init(struct amm_settings *settings);

/* Wipes and frees what the materials hold. */
void amm_settings_deinit(struct amm_settings *settings);

/* Stores a copy of `text` as the material; false if it is too long, already there, or contains a
 * NUL. */
bool amm_material_set(struct amm_material *material, struct amm_view text);

/* Names that files use: "udp", "tcp", "udp4", ...; false if `word` is none of them. */
bool amm_transport_parse(struct amm_view word, uint8_t *transport, uint8_t *family);

/* "AES-256-GCM:AES-128-GCM": takes the ones that we have, in order. The number taken; the names of
 * the others go to `unknown[room]`, comma separated. */
unsigned amm_ciphers_parse(uint8_t ciphers[3], struct amm_view list, char *unknown, size_t room);

/* What a route must be to be taken over: inside a private or shared range (RFC 1918, RFC 6598),
 * with a contiguous mask and no host bits. A default route never is. */
bool amm_route_allowed(const struct amm_route *route);
