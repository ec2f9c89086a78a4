/* Fills the database of an ammd that is not running with a fleet, through the manager's own fleet
 * library and the store's own statements: groups, gateways, certificates, and a first check-in of
 * each with 20 stats. What would take hours over the API and EST (a handshake and an approval each)
 * takes half a minute; rows and model are the same.
 *
 *   fleet_fixture DATABASE PKI GATEWAYS CERTIFICATES FILE
 *
 * GATEWAYS gateways named bench-000000, ...; CERTIFICATES of them, chosen at random, get a key and
 * a certificate of the gateway CA in PKI, written to FILE in random order: a line with the number,
 * then key and certificate in PEM. The others get an identity with a key that nobody has. */
#include "manager/checkin.h"
#include "crypto/pki.h"
#include "manager/fleet.h"
#include "fleet_values.h"
#include "io/clock.h"
#include "io/file.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PER_GROUP = 1000, PER_COMMIT = 1000, LIFE = 90 * 86400, LATE_PER_CENT = 3 };

static struct {
    struct amm_store *store;
    struct fleet *fleet;
    char *ca, *ca_key;
    FILE *out;
    int64_t now;
} fixture;

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "fleet_fixture: %s: %s\n", what, why);
    exit(1);
}

static char *read_text(const char *folder, const char *name)
{
    char path[512], error[256];
    struct amm_span text;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!amm_file_read(path, 65536, &text, error, sizeof error)) {
        die("pki", error);
    }
    return (char *)text.data;
}

/* ---- identities ---- */

static void write_certificate(uint32_t number, const char *name, struct amm_identity *identity)
{
    char key[AMM_PEM_MAX], certificate[AMM_PEM_MAX], error[256];
    struct amm_certificate_request request = {.role = AMM_CERTIFICATE_GATEWAY,
                                              .name = name,
                                              .not_before = fixture.now - 3600,
                                              .not_after = fixture.now + LIFE};
    if (!amm_pki_key_new(key, error, sizeof error) ||
        !amm_pki_issue(&request, key, fixture.ca, fixture.ca_key, certificate, error,
                       sizeof error) ||
        !amm_pki_identity(certificate, identity, error, sizeof error)) {
        die(name, error);
    }
    fprintf(fixture.out, "%u\n%s%s", number, key, certificate);
}

/* A certificate that somebody else has. */
static void make_up(uint32_t number, struct amm_identity *identity)
{
    for (size_t i = 0; i < sizeof identity->key; i += sizeof(uint64_t)) {
        uint64_t word = bench_mix((uint64_t)number << 8 | i);
        memcpy(identity->key + i, &word, sizeof word);
    }
    memcpy(identity->serial, identity->key, sizeof identity->serial);
}

static void add_identity(struct fleet_gateway *gateway, const struct amm_identity *identity)
{
    static const uint8_t approval[32], issuer[32];
    struct fleet_identity row = {.not_before = fixture.now - 3600, .not_after = fixture.now + LIFE};
    struct fleet_error error;
    if (amm_store_number(
            fixture.store, AMM_SQL_IDENTITY_ADD,
            AMM_WITH(amm_number(gateway->group->tenant->id), amm_number(gateway->id), amm_number(1),
                     amm_blob(identity->serial, sizeof identity->serial),
                     amm_blob(issuer, sizeof issuer), amm_blob(identity->key, sizeof identity->key),
                     amm_blob(approval, sizeof approval), amm_number(0), amm_number(row.not_before),
                     amm_number(row.not_after), amm_number(fixture.now)),
            &row.id) != AMM_STORE_OK) {
        die(gateway->name, amm_store_error(fixture.store));
    }
    memcpy(row.key_hash, identity->key, sizeof row.key_hash);
    if (!fleet_identity_put(fixture.fleet, gateway, &row) ||
        !fleet_gateway_set_access(fixture.fleet, gateway, FLEET_ADMITTED, NULL, fixture.now,
                                  &error)) {
        die(gateway->name, "cannot be admitted");
    }
}

/* ---- gateways ---- */

static void check_in(struct fleet_gateway *gateway, uint32_t number)
{
    bool is_late = bench_mix(number) % 100 < LATE_PER_CENT;
    struct amm_checkin message = {.seq = 1,
                                  .hash = "0000000000000001",
                                  .has_boot = true,
                                  .boot = 1,
                                  .has_uptime = true,
                                  .uptime = 300,
                                  .has_time = true,
                                  .time = fixture.now,
                                  .clock = AMM_CLOCK_NTP,
                                  .has_revision = true,
                                  .stats = bench_stats(number, 0),
                                  .parameters = bench_parameters(number)};
    struct checkin_input input = {.message = &message,
                                  .digest = bench_mix(number),
                                  .now = {0, fixture.now - (is_late ? 7200 : number % 900)}};
    struct amm_checkin_answer answer;
    struct fleet_error error = {0};
    bool quarantined;
    if (!checkin_take(fixture.fleet, gateway, &input, &answer, &quarantined, &error)) {
        die(gateway->name, error.text);
    }
    amm_checkin_answer_deinit(&answer);
    amm_checkin_deinit(&message);
}

static void add_gateway(struct fleet_group *group, uint32_t number)
{
    char name[BENCH_NAME], serial[BENCH_NAME];
    struct fleet_error error;
    struct amm_identity identity = {0};
    bench_name(number, name);
    bench_serial(number, serial);
    struct fleet_gateway_new what = {
        .group = group, .name = name, .serial = serial, .kind = FLEET_OURS};
    struct fleet_gateway *gateway =
        fleet_gateway_add(fixture.fleet, &what, fixture.now - LIFE / 2, &error);
    if (!gateway) {
        die(name, error.text);
    }
    make_up(number, &identity);
    add_identity(gateway, &identity);
    check_in(gateway, number);
}

static void begin(void)
{
    if (amm_store_begin(fixture.store) != AMM_STORE_OK) {
        die("database", amm_store_error(fixture.store));
    }
}

static void commit(void)
{
    if (amm_store_commit(fixture.store) != AMM_STORE_OK) {
        die("database", amm_store_error(fixture.store));
    }
    fleet_committed(fixture.fleet);
}

static void add_gateways(uint32_t n)
{
    struct fleet_tenant *tenant = fleet_tenant_by_slug(fixture.fleet, "main");
    struct fleet_group *group = NULL;
    struct fleet_error error;
    if (!tenant) {
        die("database", "there is no tenant: start ammd once to make one");
    }
    begin();
    for (uint32_t i = 0; i < n; i++) {
        if (i % PER_GROUP == 0) {
            char name[32];
            snprintf(name, sizeof name, "Depot %03u", i / PER_GROUP);
            group = fleet_group_add(fixture.fleet, tenant->root, name, fixture.now, &error);
            if (!group) {
                die(name, error.text);
            }
        }
        add_gateway(group, i);
        if (i % PER_COMMIT == PER_COMMIT - 1) {
            commit();
            begin();
        }
    }
    commit();
}

/* The first `most` of a shuffled list of all. */
static void add_certificates(uint32_t n, uint32_t most)
{
    uint32_t *order = calloc(n, sizeof *order);
    for (uint32_t i = 0; order && i < n; i++) {
        order[i] = i;
    }
    begin();
    for (uint32_t i = 0; order && i < most; i++) {
        uint32_t other = i + (uint32_t)(bench_mix(i) % (n - i)), number = order[other];
        order[other] = order[i];
        char name[BENCH_NAME];
        struct amm_identity identity;
        bench_name(number, name);
        write_certificate(number, name, &identity);
        add_identity(
            fleet_gateway_by_name(fixture.fleet, fleet_tenant_by_slug(fixture.fleet, "main"), name),
            &identity);
    }
    commit();
    free(order);
}

int main(int argc, char **argv)
{
    char error[AMM_STORE_ERROR];
    if (argc != 6) {
        die("usage", "fleet_fixture DATABASE PKI GATEWAYS CERTIFICATES FILE");
    }
    uint32_t n = (uint32_t)strtoul(argv[3], NULL, 10), most = (uint32_t)strtoul(argv[4], NULL, 10);
    struct amm_store_settings settings = {.database = argv[1], .now = amm_now().wall};
    fixture.now = amm_now().wall;
    fixture.ca = read_text(argv[2], "gateway-ca.crt");
    fixture.ca_key = read_text(argv[2], "gateway-ca.key");
    fixture.store = amm_store_open(&settings, error);
    if (!fixture.store) {
        die("database", error);
    }
    fixture.fleet = fleet_load(fixture.store, fixture.now, error, sizeof error);
    fixture.out = fopen(argv[5], "w");
    if (!fixture.fleet || !fixture.out || most > n) {
        die("start", !fixture.fleet ? error : "cannot write, or more certificates than gateways");
    }
    add_gateways(n);
    add_certificates(n, most);
    if (fclose(fixture.out) != 0) {
        die(argv[5], "cannot be written");
    }
    fleet_free(fixture.fleet);
    amm_store_free(fixture.store);
    free(fixture.ca);
    free(fixture.ca_key);
    return 0;
}
