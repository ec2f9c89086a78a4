/* Which features a gateway supports, and why not: the one place that knows.
 *
 * Facts in, verdicts out; no clock, no store. A router without software of ours lacks features
 * without being wrong: `is_fault` tells the two apart, so that nobody is warned about an OpenVPN
 * router that cannot take settings. */
#pragma once

#include "fleet.h"

#include <stdbool.h>
#include <stdint.h>

enum requirements_feature {
    FEATURE_TUNNEL,   /* the management tunnel */
    FEATURE_PAGE,     /* its own web page through the tunnel */
    FEATURE_CHECK_IN, /* stats, states */
    FEATURE_SETTINGS, /* desired parameters */
    FEATURE_EVENTS,
    FEATURE_OPERATIONS,
    FEATURE_SOFTWARE, /* images and applications */
    FEATURES,
};
const char *feature_name(enum requirements_feature feature); /* "tunnel", "page", ... */

struct requirements_facts {
    enum fleet_kind kind;
    bool has_checked_in;
    const char *software_version;        /* "" unknown */
    const char *ammer_version;           /* "" unknown or not installed */
    bool has_aaf;                        /* ALEOS Application Framework */
    uint16_t https_port;                 /* MSCIID 1172; 0: not known */
    bool server_certificate_ok;          /* of the tunnel server: valid now */
    const char *server_certificate_text; /* why not; NULL */
};

struct requirement {
    bool is_supported;
    bool is_fault;  /* something to be mended, not just another kind of gateway */
    char why[200];  /* a sentence; "" if it is supported */
    char cure[200]; /* what to do; "" if nothing can be done */
};

void requirements_check(const struct requirements_facts *facts, struct requirement out[FEATURES]);

/* The same of a gateway as it was last heard. */
void requirements_of(const struct fleet *fleet, const struct fleet_gateway *gateway, int64_t now,
                     struct requirement out[FEATURES]);
