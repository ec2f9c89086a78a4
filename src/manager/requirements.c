#include "requirements.h"

#include "fleet_parts.h"

#include "domain/msci.h"
#include "domain/version.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The public minimum for the management tunnel of a real AirLink gateway. */
#define ALEOS_LEAST "4.15"
#define AMMER_LEAST "1.0.3.005"
/* Real ALEOS answers remote ACEmanager on this port only. */
enum { ALEOS_HTTPS_PORT = 9443 };

static const char *const names[FEATURES] = {
    [FEATURE_TUNNEL] = "tunnel",     [FEATURE_PAGE] = "page",
    [FEATURE_CHECK_IN] = "check-in", [FEATURE_SETTINGS] = "settings",
    [FEATURE_EVENTS] = "events",     [FEATURE_OPERATIONS] = "operations",
    [FEATURE_SOFTWARE] = "software",
};

const char *feature_name(enum requirements_feature feature)
{
    return names[feature];
}

__attribute__((format(printf, 4, 5))) static void lacks(struct requirement *out, bool is_fault,
                                                        const char *cure, const char *why, ...)
{
    va_list args;
    if (!out->is_supported) {
        return; /* the first reason is the one to mend first */
    }
    out->is_supported = false;
    out->is_fault = is_fault;
    va_start(args, why);
    vsnprintf(out->why, sizeof out->why, why, args);
    va_end(args);
    snprintf(out->cure, sizeof out->cure, "%s", cure);
}

static void need_server_certificate(const struct requirements_facts *facts, struct requirement *out)
{
    if (!facts->server_certificate_ok) {
        lacks(out, true,
              "Make a new one on the server: ammctl pki server; then restart amm-tunneld.",
              "The tunnel server's certificate is not valid: %s.",
              facts->server_certificate_text ? facts->server_certificate_text : "unknown reason");
    }
}

static void need_aleos(const struct requirements_facts *facts, struct requirement *out)
{
    if (!facts->has_checked_in) {
        lacks(out, false, "It is known after the first check-in.",
              "The gateway has not checked in yet.");
        return;
    }
    if (facts->software_version[0] == '\0') {
        lacks(out, true, "Wait for a check-in that reports SoftwareVersion.",
              "The version of ALEOS is not known.");
    } else if (!amm_version_at_least(facts->software_version, ALEOS_LEAST)) {
        lacks(out, true, "Upgrade the gateway to ALEOS " ALEOS_LEAST " or newer.",
              "ALEOS %.*s is older than " ALEOS_LEAST ".",
              amm_text_part(facts->software_version, 60), facts->software_version);
    }
    if (!facts->has_aaf) {
        lacks(out, true, "Enable ALEOS Application Framework on the gateway (Applications > AAF).",
              "ALEOS Application Framework (AAF) is missing.");
    }
}

static void need_ammer(const struct requirements_facts *facts, struct requirement *out)
{
    if (facts->ammer_version[0] == '\0') {
        lacks(out, true, "Install AMMER " AMMER_LEAST " or newer.", "AMMER is not installed.");
    } else if (!amm_version_at_least(facts->ammer_version, AMMER_LEAST)) {
        lacks(out, true, "Update AMMER to " AMMER_LEAST " or newer.",
              "AMMER %.*s is older than " AMMER_LEAST ".", amm_text_part(facts->ammer_version, 60),
              facts->ammer_version);
    }
}

/* The tunnel never depends on 1172; what goes through it to the page does. */
static void need_https_port(const struct requirements_facts *facts, struct requirement *out)
{
    if (facts->https_port == 0) {
        lacks(out, true, "Wait for a check-in that reports MSCIID 1172.",
              "The gateway's local HTTPS port is not known.");
    } else if (facts->kind == FLEET_ALEOS && facts->https_port != ALEOS_HTTPS_PORT) {
        lacks(out, true, "Set MSCIID 1172 to 9443.",
              "ACEmanager is on port %u; through the tunnel ALEOS answers on 9443 only.",
              facts->https_port);
    }
}

void requirements_check(const struct requirements_facts *facts, struct requirement out[FEATURES])
{
    for (unsigned i = 0; i < FEATURES; i++) {
        out[i] = (struct requirement){.is_supported = true};
    }
    need_server_certificate(facts, &out[FEATURE_TUNNEL]);
    if (facts->kind == FLEET_OPENVPN) {
        for (unsigned i = FEATURE_CHECK_IN; i < FEATURES; i++) {
            lacks(&out[i], false, "", "The router has no software of ours.");
        }
    }
    if (facts->kind == FLEET_ALEOS) {
        need_aleos(facts, &out[FEATURE_TUNNEL]);
        need_ammer(facts, &out[FEATURE_TUNNEL]);
        need_ammer(facts, &out[FEATURE_EVENTS]);
    }
    /* The page goes through the tunnel. */
    if (!out[FEATURE_TUNNEL].is_supported) {
        out[FEATURE_PAGE] = out[FEATURE_TUNNEL];
    } else if (facts->kind != FLEET_OPENVPN) {
        if (!facts->has_checked_in) {
            lacks(&out[FEATURE_PAGE], false, "It is known after the first check-in.",
                  "The gateway has not checked in yet.");
        }
        need_https_port(facts, &out[FEATURE_PAGE]);
    }
}

static void stat_text(const struct fleet_gateway *gateway, const char *name, char *out, size_t room)
{
    struct value value;
    out[0] = '\0';
    if (values_find(gateway->stats, VALUES_STATS, name, &value) && value.type == VALUE_TEXT) {
        amm_text_clean(out, room, value.text);
    }
}

void fleet_server_certificate(struct fleet *fleet, int64_t not_before, int64_t not_after)
{
    fleet->server_not_before = not_before;
    fleet->server_not_after = not_after;
}

/* Why the certificate is not valid now; NULL if it is, or nobody knows. */
static const char *certificate_text(const struct fleet *fleet, int64_t now)
{
    if (fleet->server_not_after == 0) {
        return NULL;
    }
    return now > fleet->server_not_after    ? "it has expired"
           : now < fleet->server_not_before ? "it is not valid yet by the server's clock"
                                            : NULL;
}

void requirements_of(const struct fleet *fleet, const struct fleet_gateway *gateway, int64_t now,
                     struct requirement out[FEATURES])
{
    const char *problem = certificate_text(fleet, now);
    char software[64], ammer[64], port[AMM_MSCI_VALUE];
    struct value aaf;
    stat_text(gateway, "SoftwareVersion", software, sizeof software);
    stat_text(gateway, "AMMER-Version", ammer, sizeof ammer);
    struct requirements_facts facts = {
        .kind = gateway->kind,
        .has_checked_in = gateway->last_checkin != 0,
        .software_version = software,
        .ammer_version = ammer,
        /* AMMER is an application of AAF: where it runs, AAF is. */
        .has_aaf =
            ammer[0] != '\0' || (values_find(gateway->stats, VALUES_STATS, "AAF-Enabled", &aaf) &&
                                 aaf.type == VALUE_TRUE),
        .server_certificate_ok = problem == NULL,
        .server_certificate_text = problem,
    };
    if (fleet_reported(gateway, AMM_MSCI_HTTPS_PORT, port, sizeof port)) {
        facts.https_port = (uint16_t)strtoul(port, NULL, 10);
    }
    requirements_check(&facts, out);
}
