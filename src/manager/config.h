/* Configuration of ammd: section [manager] of amm.conf, and what it needs to know of the tunnel
 * server's part of the same file. */
#pragma once

#include "base/address.h"
#include "conf/conf.h"
#include "tunneld/config.h"

enum { MANAGER_LISTEN_MAX = 8, MANAGER_THREADS_MAX = 16 };

struct manager_listen {
    uint8_t n;
    struct amm_address at[MANAGER_LISTEN_MAX];
};

struct manager_config {
    struct amm_tunneld_config tunneld; /* ports, pools, pki folder, control socket, gateways file */

    char user[AMM_CONF_TEXT];
    char database[AMM_CONF_TEXT];
    char backups[AMM_CONF_TEXT]; /* folder */
    char socket[AMM_CONF_TEXT];  /* of ammctl */
    struct manager_listen console, gateways, metrics;
    char console_certificate[AMM_CONF_TEXT], console_key[AMM_CONF_TEXT]; /* "": plain, loopback */
    char console_names[AMM_CONF_TEXT];  /* Host names that are served; "": any */
    char console_files[AMM_CONF_TEXT];  /* folder of what web/ is built to */
    char remote_origins[AMM_CONF_TEXT]; /* of remote sessions, for form-action; made of: */
    char remote_domain[AMM_CONF_TEXT], remote_certificate[AMM_CONF_TEXT];
    uint32_t remote_port; /* 0: that of the first of: */
    struct manager_listen remote_listen;
    char gateways_certificate[AMM_CONF_TEXT], gateways_key[AMM_CONF_TEXT];
    char gateways_ca[AMM_CONF_TEXT];
    uint32_t front_threads; /* never 0 after manager_config_load */
    uint32_t workers;
    uint32_t queue;                  /* jobs that may wait */
    uint32_t connections;            /* of all front threads together */
    uint32_t login_idle, login_life; /* seconds */
    /* How long it is kept, seconds; 0: for ever. */
    uint32_t keep_events, keep_stats, keep_parameters, keep_identities, keep_audit;
    uint32_t api_rate;   /* requests a minute of one actor; 0: no limit */
    uint32_t login_rate; /* failed logins a minute from one prefix */

    char remote_socket[AMM_CONF_TEXT];          /* of amm-proxyd: [remote-access] socket */
    uint32_t remote_idle, remote_life;          /* seconds */
    uint32_t remote_of_user, remote_of_gateway; /* remote sessions at once */
    char credentials_key[AMM_CONF_TEXT];        /* file; never "" after manager_config_load */

    char cad_socket[AMM_CONF_TEXT];   /* of amm-cad: [cad] socket */
    char tunnel_hosts[AMM_CONF_TEXT]; /* names of the tunnel server, as gateways see it; "": none */
    bool enrolment_approval;          /* a person approves each enrolment */
};

extern const struct amm_conf_schema manager_schema;

/* Reads both parts of the file; the keys of [manager] are in manager_schema, the rest belongs to
 * amm-tunneld and is checked with its schema. False with one line in `error`. */
bool manager_config_load(struct manager_config *config, const char *file, struct amm_view text,
                         char error[AMM_CONF_ERROR]);
