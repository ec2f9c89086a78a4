/* src/acemanager/identity.h */
#include "identity.h"

#include "crypto/csr.h"
#include "crypto/est.h"
#include "crypto/pki.h"
#include "power.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { DAY = 86400 };

#define NOW INT64_C(1793500000)

static struct power power;
static struct ace_identity identity;
static char error[ACE_PATH + 256];
static char ca_key[AMM_PEM_MAX], ca[AMM_PEM_MAX], gateway_ca_key[AMM_PEM_MAX],
    gateway_ca[AMM_PEM_MAX];

static void make_ca(const char *name, char *key, char *certificate)
{
    const struct amm_certificate_request request = {.role = AMM_CERTIFICATE_CA,
                                                    .name = name,
                                                    .not_before = NOW - DAY,
                                                    .not_after = NOW + 3650 * (int64_t)DAY};
    assert_true(amm_pki_key_new(key, error, sizeof error));
    assert_true(amm_pki_issue(&request, key, NULL, key, certificate, error, sizeof error));
}

static void reopen(void)
{
    ace_identity_close(&identity);
    ace_identity_open(&identity, &power.files, power.folder, error, sizeof error);
}

static void begin(uint64_t seed)
{
    if (!ca[0]) {
        make_ca("amm server CA", ca_key, ca);
        make_ca("amm gateway CA", gateway_ca_key, gateway_ca);
    }
    power_init(&power, seed);
    identity = (struct ace_identity){0};
    reopen();
}

static void end(void)
{
    ace_identity_close(&identity);
    power_deinit(&power);
}

/* What the server makes of a request. malloc'd. */
static char *answer_to(const char *body, size_t len, const char *name, int64_t not_after)
{
    uint8_t key[AMM_P256_KEY];
    char certificate[AMM_PEM_MAX], *out;
    size_t out_len;
    const struct amm_certificate_request request = {
        .role = AMM_CERTIFICATE_GATEWAY, .name = name, .not_before = NOW, .not_after = not_after};
    assert_true(amm_est_request_read(amm_view(body, len), key, error, sizeof error));
    assert_true(amm_pki_issue_to(&request, key, gateway_ca, gateway_ca_key, certificate, error,
                                 sizeof error));
    assert_true(amm_est_certificates_write(certificate, &out, &out_len, error, sizeof error));
    return out;
}

static bool enrol(const char *name, int64_t not_after)
{
    char *body, *answer;
    size_t len;
    if (!ace_identity_request(&identity, "SN1", &body, &len, error, sizeof error)) {
        return false;
    }
    answer = answer_to(body, len, name, not_after);
    bool ok = ace_identity_take(&identity, amm_view_str(answer), error, sizeof error);
    free(body);
    free(answer);
    return ok;
}

static void a_lost_answer_is_asked_for_with_the_same_key(void **state)
{
    (void)state;
    char *first, *again;
    uint8_t key[AMM_P256_KEY], other[AMM_P256_KEY];
    size_t len, again_len;
    begin(1);
    assert_true(ace_identity_request(&identity, "SN1", &first, &len, error, sizeof error));
    reopen();
    assert_true(ace_identity_request(&identity, "SN1", &again, &again_len, error, sizeof error));
    assert_true(amm_est_request_read(amm_view(first, len), key, error, sizeof error));
    assert_true(amm_est_request_read(amm_view(again, again_len), other, error, sizeof error));
    assert_memory_equal(key, other, sizeof key);
    free(first);
    free(again);
    assert_true(enrol("gw1", NOW + 90 * DAY));
    assert_string_equal(identity.name, "gw1");
    assert_false(ace_identity_wants_renewal(&identity, NOW + 44 * DAY));
    assert_true(ace_identity_wants_renewal(&identity, NOW + 45 * DAY));
    reopen();
    assert_string_equal(identity.name, "gw1");
    assert_int_equal(identity.not_after, NOW + 90 * DAY);
    end();
}

static void a_certificate_for_another_key_is_refused(void **state)
{
    (void)state;
    char key[AMM_PEM_MAX], *body, *request, *answer;
    size_t len, request_len;
    begin(2);
    assert_true(ace_identity_request(&identity, "SN1", &body, &len, error, sizeof error));
    assert_true(amm_pki_key_new(key, error, sizeof error));
    assert_true(amm_est_request_write(key, "x", &request, &request_len, error, sizeof error));
    answer = answer_to(request, request_len, "gw1", NOW + DAY);
    assert_false(ace_identity_take(&identity, amm_view_str(answer), error, sizeof error));
    assert_null(identity.certificate);
    assert_false(ace_identity_take(&identity, amm_view_str("AAAA"), error, sizeof error));
    free(body);
    free(request);
    free(answer);
    end();
}

static void a_renewal_is_whole_over_power_cuts(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 60; seed++) {
        begin(100 + seed);
        assert_true(enrol("old", NOW + 90 * DAY));
        power.count = 0;
        power.fault_at = 1 + seed % 20;
        power.fault = seed % 2 ? POWER_CUT : POWER_ERROR;
        bool ok = enrol("new", NOW + 180 * DAY);
        if (power.is_off) {
            power_restore(&power);
        }
        power_repair(&power);
        reopen();
        assert_non_null(identity.certificate); /* a pair that fits, always */
        assert_true(strcmp(identity.name, "new") == 0 ||
                    (!ok && strcmp(identity.name, "old") == 0));
        assert_true(enrol("newer", NOW + 270 * DAY));
        end();
    }
}

static void cas_are_taken_by_pin_then_by_name(void **state)
{
    (void)state;
    char both[2 * AMM_PEM_MAX], other_key[AMM_PEM_MAX], other[AMM_PEM_MAX], next[AMM_PEM_MAX],
        *body;
    struct amm_identity of_ca, of_other;
    size_t len;
    begin(3);
    make_ca("evil CA", other_key, other);
    make_ca("amm server CA 2", other_key, next); /* the successor */
    assert_true(amm_pki_identity(ca, &of_ca, error, sizeof error));
    assert_true(amm_pki_identity(other, &of_other, error, sizeof error));
    snprintf(both, sizeof both, "%s%s", gateway_ca, ca);
    assert_true(amm_est_certificates_write(both, &body, &len, error, sizeof error));
    assert_false(
        ace_identity_take_ca(&identity, amm_view(body, len), of_other.key, error, sizeof error));
    assert_null(identity.ca);
    assert_true(
        ace_identity_take_ca(&identity, amm_view(body, len), of_ca.key, error, sizeof error));
    assert_string_equal(identity.ca, ca); /* and not the gateways' */
    assert_true(ace_identity_has_ca(&identity, of_ca.key));
    assert_false(ace_identity_has_ca(&identity, of_other.key));
    free(body);
    snprintf(both, sizeof both, "%s%s", next, gateway_ca);
    assert_true(amm_est_certificates_write(both, &body, &len, error, sizeof error));
    assert_true(ace_identity_take_ca(&identity, amm_view(body, len), NULL, error, sizeof error));
    reopen();
    assert_string_equal(identity.ca, next);
    free(body);
    assert_true(amm_est_certificates_write(other, &body, &len, error, sizeof error));
    assert_false(ace_identity_take_ca(&identity, amm_view(body, len), NULL, error, sizeof error));
    assert_string_equal(identity.ca, next);
    free(body);
    end();
}

/* What makes it true that an operator can be signed in after a power cut, too. */
static void the_remote_access_key_is_kept_and_forgotten_with_the_identity(void **state)
{
    (void)state;
    uint8_t key[AMM_REMOTE_KEY] = {1, 2, 3, [31] = 9};
    begin(71);
    assert_false(identity.has_remote_key);
    assert_true(ace_identity_take_remote_key(&identity, key, error, sizeof error));
    key[0] = 7; /* another one takes its place */
    assert_true(ace_identity_take_remote_key(&identity, key, error, sizeof error));
    ace_identity_close(&identity);
    assert_true(ace_identity_open(&identity, &power.files, power.folder, error, sizeof error));
    assert_true(identity.has_remote_key);
    assert_memory_equal(identity.remote_key, key, sizeof key);
    assert_true(ace_identity_forget(&identity, error, sizeof error));
    assert_true(ace_identity_open(&identity, &power.files, power.folder, error, sizeof error));
    assert_false(identity.has_remote_key);
    end();
}

static void forgetting_leaves_nothing(void **state)
{
    (void)state;
    char path[ACE_PATH];
    begin(4);
    assert_true(enrol("gw1", NOW + DAY));
    assert_true(ace_identity_forget(&identity, error, sizeof error));
    reopen();
    assert_null(identity.certificate);
    assert_null(identity.key);
    assert_int_not_equal(access(power_path(&power, "gateway.key", path), F_OK), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_answer_is_asked_for_with_the_same_key),
        cmocka_unit_test(a_certificate_for_another_key_is_refused),
        cmocka_unit_test(a_renewal_is_whole_over_power_cuts),
        cmocka_unit_test(cas_are_taken_by_pin_then_by_name),
        cmocka_unit_test(the_remote_access_key_is_kept_and_forgotten_with_the_identity),
        cmocka_unit_test(forgetting_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
