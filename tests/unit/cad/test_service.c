#include "cad/service.h"
#include "crypto/mac.h"
#include "crypto/tls.h"
#include "folder.h"
#include "pki/pki_store.h"
#include "proto/wrap.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { PER_MINUTE = 60 };
#define DAY INT64_C(86400)

static struct cad_material *material;
static struct cad_record *record;
static struct cad_service *service;
static struct amm_now now;
static char state_folder[96];
static struct amm_cad_message answer;

static void open_all(void)
{
    char error[CAD_ERROR] = "";
    material = cad_material_load(test_pki, error);
    record = material ? cad_record_open(state_folder, now.wall, error) : NULL;
    service = record ? cad_service_new(material, record, PER_MINUTE) : NULL;
    if (!service) {
        fail_msg("%s", error);
    }
}

static void close_all(void)
{
    service = cad_service_free(service);
    record = cad_record_close(record);
    material = cad_material_free(material);
}

static int set_up(void **state)
{
    static int round;
    (void)state;
    snprintf(state_folder, sizeof state_folder, "%s/state-%d", test_folder, round++);
    now = (struct amm_now){.mono = 1000 * AMM_SECOND, .wall = time(NULL)};
    open_all();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_all();
    return 0;
}

static void ask(struct amm_cad_message request)
{
    request.id = 42;
    cad_service_answer(service, &request, now, &answer);
    assert_true(answer.id == 42);
}

static void is_failed(enum amm_cad_failure reason, const char *words)
{
    assert_int_equal(answer.type, AMM_CAD_FAILED);
    if (answer.failed.reason != reason || !strstr(answer.failed.words, words)) {
        fail_msg("%s: %s", amm_cad_failure_name(answer.failed.reason), answer.failed.words);
    }
}

static struct amm_cad_message request_for(const char *name, uint8_t approval)
{
    struct amm_cad_message request = {.type = AMM_CAD_ISSUE};
    char key[AMM_PEM_MAX], error[256];
    request.issue.kind = AMM_CAD_GATEWAY;
    request.issue.approval[0] = approval;
    snprintf(request.issue.name, sizeof request.issue.name, "%s", name);
    assert_true(amm_pki_key_new(key, error, sizeof error));
    assert_true(amm_pki_public_key(key, request.issue.key, error, sizeof error));
    return request;
}

static X509 *parse(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(certificate);
    return certificate;
}

static void a_certificate_is_a_gateways_for_its_time_and_key(void **state)
{
    (void)state;
    struct amm_cad_message request = request_for("gw-1@depot", 1);
    struct amm_identity identity;
    char error[256];
    int64_t from, until;
    ask(request);
    assert_int_equal(answer.type, AMM_CAD_ISSUED);
    X509 *made = parse(answer.issued.certificate);
    X509 *ca = parse(material->of[AMM_CAD_GATEWAY].at[0].certificate);
    assert_int_equal(X509_verify(made, X509_get0_pubkey(ca)), 1);
    assert_int_equal(X509_get_extended_key_usage(made), XKU_SSL_CLIENT);
    assert_int_equal(X509_check_ca(made), 0);
    X509_free(made);
    X509_free(ca);
    assert_true(amm_pki_identity(answer.issued.certificate, &identity, error, sizeof error));
    assert_string_equal(identity.name, "gw-1@depot");
    assert_memory_equal(identity.serial, answer.issued.serial, sizeof identity.serial);
    assert_true(amm_pki_validity(answer.issued.certificate, &from, &until, error, sizeof error));
    assert_true(from == answer.issued.not_before && from == now.wall - 3600);
    assert_true(until == answer.issued.not_after && until == now.wall + 90 * DAY);
    uint8_t hash[AMM_SHA256_LEN];
    amm_sha256(amm_view(request.issue.key, sizeof request.issue.key), hash);
    assert_memory_equal(identity.key, hash, sizeof hash);
    assert_memory_equal(answer.issued.issuer, material->of[AMM_CAD_GATEWAY].at[0].hash, 32);
}

static void a_connection_files_certificate_is_of_the_other_ca(void **state)
{
    (void)state;
    struct amm_cad_message request = request_for("router", 1);
    request.issue.kind = AMM_CAD_PROFILE;
    ask(request);
    assert_int_equal(answer.type, AMM_CAD_ISSUED);
    assert_memory_equal(answer.issued.issuer, material->of[AMM_CAD_PROFILE].at[0].hash, 32);
    assert_true(answer.issued.not_after == now.wall + 3650 * DAY);
}

static void names_that_no_gateway_may_have_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "a b",
        "a/b",
        ".a",
        "-a",
        "a@",
        "@a",
        "a@b@c",
        "a\tb",
        "a\"b",
        "a,CN",
        "a*",
        "amm-manager",
        "amm-server",
        "amm-time",
        "\xc3\xa4",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefX"};
    static const char *const good[] = {
        "a",
        "gw-1",
        "gw_1.x",
        "A@b",
        "1",
        "amm-gw",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (cad_name_ok(bad[i])) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(cad_name_ok(good[i]));
    }
    ask(request_for("amm-manager", 1));
    is_failed(AMM_CAD_REFUSED, "no name");
    assert_int_equal(cad_record_issued(record), 0);
}

static void nothing_lasts_longer_than_its_kind(void **state)
{
    (void)state;
    struct amm_cad_message request = request_for("gw-1", 1);
    request.issue.days = 91;
    ask(request);
    is_failed(AMM_CAD_REFUSED, "longer");
    request.issue.days = 1;
    ask(request);
    assert_true(answer.issued.not_after == now.wall + DAY);
    request = request_for("gw-1", 2);
    request.issue.kind = AMM_CAD_PROFILE;
    request.issue.days = 3651;
    ask(request);
    is_failed(AMM_CAD_REFUSED, "longer");
}

static void other_keys_are_refused(void **state)
{
    (void)state;
    struct amm_cad_message request = request_for("gw-1", 1);
    request.issue.key[30] ^= 1; /* a point that is not on the curve */
    ask(request);
    is_failed(AMM_CAD_REFUSED, "not ECDSA P-256");
    request.issue.key[5] ^= 1; /* another type */
    ask(request);
    is_failed(AMM_CAD_REFUSED, "not ECDSA P-256");
}

static void one_approval_is_one_certificate(void **state)
{
    (void)state;
    struct amm_cad_message request = request_for("gw-1", 1), other = request_for("gw-1", 1);
    char first[AMM_CAD_TEXT];
    ask(request);
    assert_int_equal(answer.type, AMM_CAD_ISSUED);
    memcpy(first, answer.issued.certificate, sizeof first);
    for (int round = 0; round < 2; round++) {
        ask(request);
        assert_int_equal(answer.type, AMM_CAD_ISSUED);
        assert_string_equal(answer.issued.certificate, first);
        assert_memory_equal(answer.issued.issuer, material->of[AMM_CAD_GATEWAY].at[0].hash, 32);
        ask(other); /* another key */
        is_failed(AMM_CAD_CONFLICT, "used for another");
        other.issue = request.issue;
        other.issue.name[0] = 'x';
        ask(other);
        is_failed(AMM_CAD_CONFLICT, "used for another");
        other.issue = request.issue;
        other.issue.kind = AMM_CAD_PROFILE;
        ask(other);
        is_failed(AMM_CAD_CONFLICT, "used for another");
        close_all(); /* and after a restart */
        open_all();
    }
    assert_int_equal(cad_record_issued(record), 1);
}

static void revoke_last(void)
{
    struct amm_cad_message revoke = {.type = AMM_CAD_REVOKE,
                                     .revoke = {.kind = AMM_CAD_GATEWAY, .at = 0}};
    memcpy(revoke.revoke.serial, answer.issued.serial, sizeof revoke.revoke.serial);
    ask(revoke);
    assert_int_equal(answer.type, AMM_CAD_DONE);
}

static void what_is_revoked_is_neither_given_again_nor_renewed(void **state)
{
    (void)state;
    struct amm_cad_message request = request_for("gw-1", 1), renewal = request_for("gw-1", 2);
    ask(request);
    memcpy(renewal.issue.renews, answer.issued.serial, sizeof renewal.issue.renews);
    revoke_last();
    for (int round = 0; round < 2; round++) {
        ask(request);
        is_failed(AMM_CAD_REVOKED_BEFORE, "was revoked");
        ask(renewal);
        is_failed(AMM_CAD_REVOKED_BEFORE, "to be renewed");
        close_all();
        open_all();
    }
}

static void a_renewal_keeps_the_name(void **state)
{
    (void)state;
    struct amm_cad_message request = request_for("gw-1", 1), renewal = request_for("gw-2", 2);
    ask(request);
    memcpy(renewal.issue.renews, answer.issued.serial, sizeof renewal.issue.renews);
    ask(renewal);
    is_failed(AMM_CAD_REFUSED, "another name");
    snprintf(renewal.issue.name, sizeof renewal.issue.name, "gw-1");
    ask(renewal);
    assert_int_equal(answer.type, AMM_CAD_ISSUED);
}

static void more_than_the_rate_has_to_wait(void **state)
{
    (void)state;
    struct amm_cad_message request = request_for("gw-1", 0);
    for (uint8_t i = 1; i <= PER_MINUTE; i++) {
        request.issue.approval[0] = i;
        ask(request);
        assert_int_equal(answer.type, AMM_CAD_ISSUED);
    }
    request.issue.approval[0] = PER_MINUTE + 1;
    ask(request);
    is_failed(AMM_CAD_BUSY, "used up");
    assert_in_range(answer.failed.retry, 1, 2);
    request.issue.approval[0] = 1; /* what was issued is not counted again */
    ask(request);
    assert_int_equal(answer.type, AMM_CAD_ISSUED);
    request.issue.approval[0] = PER_MINUTE + 1;
    now.mono += 2 * AMM_SECOND;
    ask(request);
    assert_int_equal(answer.type, AMM_CAD_ISSUED);
    assert_int_equal(cad_record_issued(record), PER_MINUTE + 1);
}

static void a_clock_before_or_behind_the_ca_signs_nothing(void **state)
{
    (void)state;
    int64_t wall = now.wall;
    now.wall = 1000;
    ask(request_for("gw-1", 1));
    is_failed(AMM_CAD_BROKEN, "clock");
    now.wall = wall + 7300 * DAY;
    ask(request_for("gw-1", 1));
    is_failed(AMM_CAD_BROKEN, "clock");
    /* A certificate does not outlive its CA. */
    now.wall = wall + 7295 * DAY;
    ask(request_for("gw-1", 1));
    assert_int_equal(answer.type, AMM_CAD_ISSUED);
    assert_true(answer.issued.not_after == material->of[AMM_CAD_GATEWAY].at[0].not_after);
}

static void lists_name_what_is_revoked(void **state)
{
    (void)state;
    struct amm_cad_message request = request_for("gw-1", 1);
    struct amm_identity identity;
    char error[CAD_ERROR] = "", trusted[4 * AMM_PEM_MAX], server[2 * AMM_PEM_MAX];
    ask(request);
    assert_true(amm_pki_identity(answer.issued.certificate, &identity, error, sizeof error));
    memcpy(identity.issuer, answer.issued.issuer, sizeof identity.issuer);
    struct pki pki;
    assert_true(pki_open(&pki, test_pki, error));
    char *ca = pki_read(&pki, AMM_PKI_CA, error), *own = pki_read(&pki, AMM_PKI_SERVER, error),
         *key = pki_read(&pki, AMM_PKI_SERVER_KEY, error);
    pki_close(&pki);
    snprintf(trusted, sizeof trusted, "%s", ca);
    snprintf(server, sizeof server, "%s", own);
    for (int round = 0; round < 3; round++) {
        char *lists = cad_service_lists(service, now, error);
        assert_non_null(lists);
        struct amm_tls_settings settings = {
            .role = AMM_SERVER, .ca = trusted, .crl = lists, .certificate = server, .key = key};
        struct amm_tls_context *context = amm_tls_context_new(&settings, error, sizeof error);
        if (!context) {
            fail_msg("%s", error);
        }
        assert_true(amm_tls_context_revokes(context, &identity) == (round > 0));
        amm_tls_context_free(context);
        free(lists);
        if (round == 0) {
            revoke_last();
        } else {
            close_all(); /* and it stays so */
            open_all();
        }
    }
    free(ca);
    free(own);
    pki_text_free(key);
}

static void the_state_tells_when_lists_are_new(void **state)
{
    (void)state;
    ask((struct amm_cad_message){.type = AMM_CAD_STATUS});
    assert_int_equal(answer.type, AMM_CAD_STATE);
    uint64_t number = answer.state.list_number;
    ask(request_for("gw-1", 1));
    revoke_last();
    ask((struct amm_cad_message){.type = AMM_CAD_STATUS});
    assert_true(answer.state.list_number == number + 1);
    assert_int_equal(answer.state.issued, 1);
    assert_int_equal(answer.state.revoked, 1);
    assert_true(answer.state.authority_until > now.wall + 7000 * DAY);
}

static void time_is_its_own_and_verifies(void **state)
{
    (void)state;
    struct amm_cad_message request = {.type = AMM_CAD_TIME, .nonce = {1, 2, 3}};
    char certificate[AMM_CAD_TEXT], error[CAD_ERROR];
    ask((struct amm_cad_message){.type = AMM_CAD_AUTHORITIES, .which = AMM_CAD_TIME_CERTIFICATE});
    assert_int_equal(answer.type, AMM_CAD_TEXT_IS);
    memcpy(certificate, answer.text, sizeof certificate);
    ask(request);
    assert_int_equal(answer.type, AMM_CAD_SIGNED_TIME);
    assert_true(answer.signed_time.wall == now.wall);
    struct amm_time_claim claim = {now.wall, answer.signed_time.signature, certificate};
    assert_true(
        amm_time_accept(&claim, request.nonce, material->server_ca, 0, error, sizeof error));
}

static void wraps_are_given_and_a_v2_key_is_new_each_time(void **state)
{
    (void)state;
    uint8_t kc[2][AMM_STATIC_KEY], wkc[AMM_WKC_MAX], key[AMM_STATIC_KEY];
    size_t len;
    for (int i = 0; i < 2; i++) {
        ask((struct amm_cad_message){.type = AMM_CAD_WRAP, .which = AMM_CAD_TLS_CRYPT_V2});
        assert_int_equal(answer.type, AMM_CAD_TEXT_IS);
        assert_true(amm_v2_client_key_parse(answer.text, kc[i], wkc, &len));
    }
    assert_memory_not_equal(kc[0], kc[1], sizeof kc[0]);
    ask((struct amm_cad_message){.type = AMM_CAD_WRAP, .which = AMM_CAD_TLS_CRYPT});
    assert_true(amm_static_key_parse(answer.text, key));
    ask((struct amm_cad_message){.type = AMM_CAD_WRAP, .which = AMM_CAD_TLS_AUTH});
    assert_true(amm_static_key_parse(answer.text, key));
    material->tls_auth[0] = '\0';
    ask((struct amm_cad_message){.type = AMM_CAD_WRAP, .which = AMM_CAD_TLS_AUTH});
    is_failed(AMM_CAD_REFUSED, "no key for this wrap");
}

static void a_new_ca_issues_and_the_old_one_is_still_listed(void **state)
{
    (void)state;
    struct pki pki;
    char error[CAD_ERROR] = "", former[64];
    uint8_t old[32];
    ask(request_for("gw-1", 1));
    memcpy(old, answer.issued.issuer, sizeof old);
    close_all();
    assert_true(pki_open(&pki, test_pki, error));
    assert_true(pki_roll(&pki, PKI_GATEWAY, former, sizeof former, error));
    pki_close(&pki);
    open_all();
    ask(request_for("gw-1", 2));
    assert_int_equal(answer.type, AMM_CAD_ISSUED);
    assert_memory_not_equal(answer.issued.issuer, old, sizeof old);
    ask((struct amm_cad_message){.type = AMM_CAD_AUTHORITIES, .which = AMM_CAD_GATEWAY_CAS});
    const char *second = strstr(answer.text + 1, "-----BEGIN");
    assert_non_null(second);
    assert_string_equal(second, material->of[AMM_CAD_GATEWAY].at[1].certificate);
    char *lists = cad_service_lists(service, now, error);
    int n = 0;
    for (const char *at = lists; (at = strstr(at, "-----BEGIN")) != NULL; at++) {
        n++;
    }
    assert_int_equal(n, 3);
    free(lists);
}

static void a_folder_that_is_not_whole_is_named(void **state)
{
    (void)state;
    char error[CAD_ERROR], from[160], to[180];
    static const struct {
        const char *file, *words;
    } cases[] = {{"gateway-ca.key", "gateway-ca.key"},
                 {"time.key", "ammctl pki upgrade"},
                 {"server-ca.crt", "server-ca.crt"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(from, sizeof from, "%s/%s", test_pki, cases[i].file);
        snprintf(to, sizeof to, "%s.aside", from);
        assert_int_equal(rename(from, to), 0);
        assert_null(cad_material_load(test_pki, error));
        assert_non_null(strstr(error, cases[i].words));
        assert_int_equal(rename(to, from), 0);
    }
    /* A key that belongs to another CA. */
    snprintf(from, sizeof from, "%s/profile-ca.key", test_pki);
    snprintf(to, sizeof to, "%s/gateway-ca.key", test_pki);
    char aside[200];
    snprintf(aside, sizeof aside, "%s.aside", to);
    assert_int_equal(rename(to, aside), 0);
    assert_int_equal(rename(from, to), 0);
    assert_null(cad_material_load(test_pki, error));
    assert_non_null(strstr(error, "does not belong"));
    assert_int_equal(rename(to, from), 0);
    assert_int_equal(rename(aside, to), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_certificate_is_a_gateways_for_its_time_and_key),
        TEST(a_connection_files_certificate_is_of_the_other_ca),
        TEST(names_that_no_gateway_may_have_are_refused),
        TEST(nothing_lasts_longer_than_its_kind),
        TEST(other_keys_are_refused),
        TEST(one_approval_is_one_certificate),
        TEST(what_is_revoked_is_neither_given_again_nor_renewed),
        TEST(a_renewal_keeps_the_name),
        TEST(more_than_the_rate_has_to_wait),
        TEST(a_clock_before_or_behind_the_ca_signs_nothing),
        TEST(lists_name_what_is_revoked),
        TEST(the_state_tells_when_lists_are_new),
        TEST(time_is_its_own_and_verifies),
        TEST(wraps_are_given_and_a_v2_key_is_new_each_time),
        TEST(a_new_ca_issues_and_the_old_one_is_still_listed),
        TEST(a_folder_that_is_not_whole_is_named),
    };
    return cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
}
