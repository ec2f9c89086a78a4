#include "manager/requirements.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A gateway that can do everything; rows change it. */
static struct requirements_facts good(enum fleet_kind kind)
{
    return (struct requirements_facts){.kind = kind,
                                       .has_checked_in = true,
                                       .software_version = "4.15.0",
                                       .ammer_version = "1.0.3.005",
                                       .has_aaf = true,
                                       .https_port = 9443,
                                       .server_certificate_ok = true};
}

#define BIT(feature) (1u << FEATURE_##feature)
#define ALL ((1u << FEATURES) - 1)

static void features_follow_from_the_facts(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        enum fleet_kind kind;
        const char *software, *ammer; /* NULL: good */
        int https_port;               /* 0: good; -1: unknown */
        bool no_checkin, no_aaf, bad_certificate;
        unsigned supported;
        bool is_fault; /* of the first that is missing */
        const char *why;
    } rows[] = {
        {"ours", FLEET_OURS, .supported = ALL},
        {"ours, any version", FLEET_OURS, "0.1.0", "", .supported = ALL},
        {"ours, another page port", FLEET_OURS, .https_port = 8443, .supported = ALL},
        {"ours, page port unknown", FLEET_OURS, .https_port = -1, .supported = ALL & ~BIT(PAGE),
         .is_fault = true, .why = "HTTPS port"},
        {"ours, new", FLEET_OURS, "", "", -1, .no_checkin = true, .supported = ALL & ~BIT(PAGE),
         .why = "not checked in"},
        {"certificate", FLEET_OURS, .bad_certificate = true,
         .supported = ALL & ~BIT(TUNNEL) & ~BIT(PAGE), .is_fault = true, .why = "expired"},
        {"ALEOS", FLEET_ALEOS, .supported = ALL},
        {"ALEOS 4.15 as numbers", FLEET_ALEOS, "4.15", .supported = ALL},
        {"ALEOS 4.9 is older", FLEET_ALEOS, "4.9.8", .supported = ALL & ~BIT(TUNNEL) & ~BIT(PAGE),
         .is_fault = true, .why = "4.9.8 is older than 4.15"},
        {"ALEOS 4.14.99 is older", FLEET_ALEOS, "4.14.99",
         .supported = ALL & ~BIT(TUNNEL) & ~BIT(PAGE), .is_fault = true, .why = "older"},
        {"ALEOS 4.100 is newer", FLEET_ALEOS, "4.100", .supported = ALL},
        {"ALEOS 5", FLEET_ALEOS, "5", .supported = ALL},
        {"ALEOS version no number", FLEET_ALEOS, "four",
         .supported = ALL & ~BIT(TUNNEL) & ~BIT(PAGE), .is_fault = true, .why = "older"},
        {"ALEOS version unknown", FLEET_ALEOS, "", .supported = ALL & ~BIT(TUNNEL) & ~BIT(PAGE),
         .is_fault = true, .why = "not known"},
        {"AMMER 1.0.3.5 is 1.0.3.005", FLEET_ALEOS, NULL, "1.0.3.5", .supported = ALL},
        {"AMMER 1.0.3.10 is newer", FLEET_ALEOS, NULL, "1.0.3.10", .supported = ALL},
        {"AMMER 1.0.3.004", FLEET_ALEOS, NULL, "1.0.3.004",
         .supported = ALL & ~BIT(TUNNEL) & ~BIT(PAGE) & ~BIT(EVENTS), .is_fault = true,
         .why = "AMMER 1.0.3.004 is older"},
        {"no AMMER", FLEET_ALEOS, NULL, "",
         .supported = ALL & ~BIT(TUNNEL) & ~BIT(PAGE) & ~BIT(EVENTS), .is_fault = true,
         .why = "not installed"},
        {"no AAF", FLEET_ALEOS, .no_aaf = true, .supported = ALL & ~BIT(TUNNEL) & ~BIT(PAGE),
         .is_fault = true, .why = "AAF"},
        {"ALEOS answers on 9443 only", FLEET_ALEOS, .https_port = 8443,
         .supported = ALL & ~BIT(PAGE), .is_fault = true, .why = "9443"},
        {"the tunnel does not depend on 1172", FLEET_ALEOS, .https_port = -1,
         .supported = ALL & ~BIT(PAGE), .is_fault = true, .why = "HTTPS port"},
        {"OpenVPN router", FLEET_OPENVPN, "", "", -1, .no_checkin = true,
         .supported = BIT(TUNNEL) | BIT(PAGE), .why = "no software of ours"},
        {"OpenVPN router, certificate", FLEET_OPENVPN, "", "", -1, .no_checkin = true,
         .bad_certificate = true, .supported = 0, .is_fault = true, .why = "expired"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct requirements_facts facts = good(rows[i].kind);
        struct requirement out[FEATURES];
        unsigned supported = 0;
        const struct requirement *first = NULL;
        facts.software_version = rows[i].software ? rows[i].software : facts.software_version;
        facts.ammer_version = rows[i].ammer ? rows[i].ammer : facts.ammer_version;
        facts.https_port = rows[i].https_port < 0    ? 0
                           : rows[i].https_port == 0 ? facts.https_port
                                                     : (uint16_t)rows[i].https_port;
        facts.has_checked_in = !rows[i].no_checkin;
        facts.has_aaf = !rows[i].no_aaf;
        facts.server_certificate_ok = !rows[i].bad_certificate;
        facts.server_certificate_text = rows[i].bad_certificate ? "it has expired" : NULL;
        requirements_check(&facts, out);
        for (unsigned f = 0; f < FEATURES; f++) {
            supported |= (unsigned)out[f].is_supported << f;
            assert_true(out[f].is_supported == (out[f].why[0] == '\0'));
            first = !out[f].is_supported && !first ? &out[f] : first;
        }
        if (supported != rows[i].supported) {
            fail_msg("%s: %x instead of %x", rows[i].what, supported, rows[i].supported);
        }
        if (first && (first->is_fault != rows[i].is_fault || !strstr(first->why, rows[i].why))) {
            fail_msg("%s: %s", rows[i].what, first->why);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_follow_from_the_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
