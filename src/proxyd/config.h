/* Configuration of amm-proxyd: the section [remote-access] of amm.conf, and keys that it shares
 * with the other programs of the server. */
#pragma once

#include "base/address.h"
#include "conf/conf.h"

enum { PROXYD_LISTEN_MAX = 8 };

struct proxyd_config {
    char pki[AMM_CONF_TEXT];            /* top of the file */
    char namespace_name[AMM_CONF_TEXT]; /* of the tunnels */
    bool isolation_namespace;           /* no: the tunnels are in the namespace of the host */
    char user[AMM_CONF_TEXT];           /* proxy-user */
    char manager_user[AMM_CONF_TEXT];   /* [manager] user: the one that may tell us */

    struct {
        uint8_t n;
        struct amm_address at[PROXYD_LISTEN_MAX];
    } listen;
    char domain[AMM_CONF_TEXT];
    uint32_t port; /* that browsers use; never 0 after proxyd_config_load */
    char certificate[AMM_CONF_TEXT], key[AMM_CONF_TEXT]; /* "": plain, loopback only */
    char assertion_key[AMM_CONF_TEXT];
    char socket[AMM_CONF_TEXT];
    uint32_t idle, life; /* seconds; used by ammd */
    uint32_t connections;
};

extern const struct amm_conf_schema proxyd_schema;

/* False with one line in `error`. */
bool proxyd_config_load(struct proxyd_config *config, const char *file, struct amm_view text,
                        char error[AMM_CONF_ERROR]);
