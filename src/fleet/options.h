/* What an amm-fleet is asked to do. */
#pragma once

#include "base/address.h"
#include "crypto/aead.h"
#include "proto/wrap.h"

#include <stdbool.h>
#include <stdint.h>

enum { FLEET_SERVERS = 32 };

struct fleet_options {
    struct amm_address servers[FLEET_SERVERS]; /* gateway i uses number i mod n */
    unsigned n_servers;
    enum amm_transport transport;
    const char *prefix;      /* gateways are PREFIX1, PREFIX2, ... */
    uint32_t first, count;   /* number of the first; how many */
    const char *server_name; /* NULL: any name */
    char trust[512], ca[512],
        ca_key[512]; /* files; ca and ca_key "" if certificates are read from `folder` */
    char folder[512];
    struct amm_wrap_config wrap;
    uint8_t ciphers[3];
    uint32_t rate;         /* joins started per second */
    uint32_t ping;         /* seconds between echo requests through each tunnel; 0: none */
    uint32_t traffic;      /* echo requests per second and tunnel; 0: none */
    uint32_t size;         /* bytes of each inner request */
    uint32_t duration;     /* seconds to stay after all have joined; UINT32_MAX: until a signal */
    uint32_t join_timeout; /* seconds for all to join */
    bool vanish;           /* ends without goodbye */
    bool keep_tls;         /* keep each session's TLS after joining, as ammer does */
    char tun[16];          /* shared device; "": packets are answered in the process */
    const char *report;    /* file; NULL: none */
};

/* False with a message on standard error. */
bool fleet_options_parse(struct fleet_options *out, int argc, char **argv);
