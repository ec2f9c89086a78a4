/* Configuration of amm-tunneld (amm.conf): the schema and its flat result. Holder and engine both
 * see it. */
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "conf/conf.h"
#include "crypto/pki_files.h"
#include "data/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AMM_PORTS_MAX = 8,
    AMM_LISTEN_MAX = 8, /* listen lines of one port */
    AMM_LISTENERS_MAX = AMM_PORTS_MAX * AMM_LISTEN_MAX,
    AMM_REMOTE_PORTS_MAX = 16,
    AMM_PUBLISHED_MAX = 8, /* as struct amm_plane_config.published, 0 ends the list */
    AMM_THREADS_MAX = 64,  /* workers, and handshake threads */
    AMM_CONFIG_FILE_MAX = 1 << 20,
};

struct amm_listen {
    uint8_t transport; /* enum amm_transport */
    struct amm_address address;
};

struct amm_port_config {
    uint16_t port; /* its name: 1190 */
    uint8_t wrap;  /* enum amm_wrap_mode: NONE, AUTH or CRYPT */
    uint8_t topology;
    uint32_t limit; /* gateways at most */
    char pool_text[AMM_CONF_TEXT];
    struct amm_pool pool;
    bool tls_crypt_v2;            /* taken beside `wrap` */
    char wrap_key[AMM_CONF_TEXT]; /* file; "" with wrap none */
    char v2_key[AMM_CONF_TEXT];   /* file; "" without tls_crypt_v2 */
    uint8_t auth_digest;          /* enum amm_digest, tls-auth only */
    uint8_t key_direction;        /* enum amm_key_direction, tls-auth only */
    uint8_t n_listen;
    struct amm_listen listen[AMM_LISTEN_MAX];
};

struct amm_tunneld_config {
    char namespace_name[AMM_CONF_TEXT]; /* "host": the tuns stay in the namespace the program was
                                           started in */
    char user[AMM_CONF_TEXT];
    char proxy_user[AMM_CONF_TEXT];
    char manager_user[AMM_CONF_TEXT]; /* "": no manager, and no listeners for it */
    char control_socket[AMM_CONF_TEXT];
    char roster[AMM_CONF_TEXT]; /* key `gateways` */
    char pools[AMM_CONF_TEXT];  /* file of amm_tunneld_pools_read; never "" after load */
    char pki[AMM_CONF_TEXT];    /* folder of the files below where they are not named */
    char ca[AMM_CONF_TEXT], certificate[AMM_CONF_TEXT], key[AMM_CONF_TEXT];
    char crl[AMM_CONF_TEXT];             /* "" none */
    uint32_t workers, handshake_threads; /* never 0 after amm_tunneld_config_load */
    uint32_t handshake_limit;            /* handshakes under way, all threads together */
    char cipher_names[AMM_CONF_TEXT];
    char published_names[AMM_CONF_TEXT];
    uint8_t ciphers[3];          /* enum amm_cipher, order of preference, ended by NONE */
    uint32_t ping, ping_restart; /* seconds, as pushed; the server waits twice ping_restart */
    uint32_t mtu;
    uint32_t renegotiate;         /* seconds; 0: only the gateways do */
    uint32_t soft_reset_interval; /* seconds between renegotiations of one gateway at least */
    uint16_t published[AMM_PUBLISHED_MAX + 1];
    char remote_names[AMM_CONF_TEXT];
    uint16_t remote[AMM_REMOTE_PORTS_MAX]; /* beside page_port, that proxy-user may open */
    uint8_t n_remote;
    uint8_t n_published;
    uint32_t page_port;                                        /* the gateways' own page, 9443 */
    bool isolation_engine, isolation_nft, isolation_namespace; /* false in tests only */
    uint8_t n_ports;
    struct amm_port_config ports[AMM_PORTS_MAX];
};

extern const struct amm_conf_schema amm_tunneld_schema;

/* Parses, fills in what has computed defaults (ports, listeners, pools, threads) and checks what a
 * single key cannot know: pools that overlap one another, limits above the pool, a wrap without its
 * key file, the same address twice. False with one line in `error`. */
bool amm_tunneld_config_load(struct amm_tunneld_config *config, const char *file,
                             struct amm_view text, char error[AMM_CONF_ERROR]);

/* Pools that the manager has changed since the file was written: lines "port pool limit", comments
 * from '#' on. They take the place of the port's own; ports that the server does not have are left
 * out. False, and nothing changed, with one line in `error`. Of amm_tunneld_pools_read: no such
 * file is no change. */
bool amm_tunneld_pools_apply(struct amm_tunneld_config *config, const char *file,
                             struct amm_view text, char error[AMM_CONF_ERROR]);
bool amm_tunneld_pools_read(struct amm_tunneld_config *config, char error[AMM_CONF_ERROR]);

/* False with one line in `error` if two ports' pools overlap. */
bool amm_tunneld_pools_apart(const struct amm_tunneld_config *config, const char *file,
                             char error[AMM_CONF_ERROR]);

/* Listeners are numbered over all ports in the order of the file: struct amm_path.link of UDP. */
unsigned amm_listeners(const struct amm_tunneld_config *config);
