/* Configuration of amm-cad: the section [cad] of amm.conf, and two keys that it shares with the
 * other programs of the server. */
#pragma once

#include "conf/conf.h"

struct cad_config {
    char pki[AMM_CONF_TEXT];          /* top of the file: the folder of the keys */
    char manager_user[AMM_CONF_TEXT]; /* [manager] user: the one that may ask */
    char user[AMM_CONF_TEXT], socket[AMM_CONF_TEXT], state[AMM_CONF_TEXT];
    uint32_t per_minute; /* certificates */
};

extern const struct amm_conf_schema cad_schema;
