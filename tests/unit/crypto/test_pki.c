#include "tls_pair.h"
#include "base/bytes.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void read_golden(const char *name, char out[AMM_PEM_MAX])
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", AMM_GOLDEN, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(out, 1, AMM_PEM_MAX - 1, file);
    out[n] = '\0';
    fclose(file);
}

static void a_static_key_file_is_read_and_written(void **state)
{
    (void)state;
    char text[AMM_PEM_MAX], again[AMM_PEM_MAX];
    uint8_t key[AMM_STATIC_KEY];
    read_golden("static.key", text);
    assert_true(amm_static_key_parse(text, key));
    for (int i = 0; i < AMM_STATIC_KEY; i++) {
        assert_int_equal(key[i], i);
    }
    amm_static_key_text(key, again);
    assert_string_equal(again, text);
}

static void a_static_key_may_have_comments_around_and_spaces_inside(void **state)
{
    (void)state;
    char plain[AMM_PEM_MAX], text[AMM_PEM_MAX];
    uint8_t key[AMM_STATIC_KEY], again[AMM_STATIC_KEY];
    memset(key, 0x5a, sizeof key);
    amm_static_key_text(key, plain);
    char *body = strchr(plain, '\n');
    snprintf(text, sizeof text, "# comment 00 11\n%.*s\r\n \t%s# more\n", (int)(body - plain),
             plain, body);
    assert_true(amm_static_key_parse(text, again));
    assert_memory_equal(key, again, sizeof key);
}

static void damaged_static_keys_are_refused(void **state)
{
    (void)state;
    char text[AMM_PEM_MAX], bad[AMM_PEM_MAX];
    uint8_t key[AMM_STATIC_KEY] = {0};
    amm_static_key_text(key, text);
    size_t len = strlen(text) - 1;
    for (size_t i = 0; i < len; i++) {
        memcpy(bad, text, len + 1);
        bad[i] = '\0';
        assert_false(amm_static_key_parse(bad, key));
    }
    char *digit = strchr(text, '\n') + 1;
    *digit = 'g';
    assert_false(amm_static_key_parse(text, key));
    *digit = ' ';
    assert_false(amm_static_key_parse(text, key));
    snprintf(bad, sizeof bad, "-----BEGIN OpenVPN Static key V1-----\n00%s", digit);
    *digit = '0';
    snprintf(bad, sizeof bad, "-----BEGIN OpenVPN Static key V1-----\n00%s", digit);
    assert_false(amm_static_key_parse(bad, key));
}

static void tls_crypt_v2_keys_are_read_and_written(void **state)
{
    (void)state;
    char text[AMM_PEM_MAX], again[AMM_PEM_MAX];
    uint8_t server[AMM_V2_SERVER_KEY], kc[AMM_STATIC_KEY], wkc[AMM_WKC_MAX];
    size_t wkc_len = 0;
    read_golden("v2srv.pem", text);
    assert_true(amm_v2_server_key_parse(text, server));
    assert_int_equal(server[0], 0x80);
    assert_int_equal(server[127], 0xff);
    amm_v2_server_key_text(server, again);
    assert_string_equal(again, text);
    assert_false(amm_v2_client_key_parse(text, kc, wkc, &wkc_len));

    read_golden("v2cli.pem", text);
    assert_true(amm_v2_client_key_parse(text, kc, wkc, &wkc_len));
    assert_int_equal(wkc_len, 299);
    assert_int_equal(kc[255], 0xff);
    amm_v2_client_key_text(kc, wkc, wkc_len, again);
    assert_string_equal(again, text);
    assert_false(amm_v2_server_key_parse(text, server));
    assert_false(amm_v2_server_key_parse("", server));
}

static void client_keys_of_wrong_length_are_refused(void **state)
{
    (void)state;
    char text[AMM_PEM_MAX];
    uint8_t kc[AMM_STATIC_KEY] = {0}, wkc[AMM_WKC_MAX] = {0}, out[AMM_WKC_MAX];
    size_t len;
    amm_store_u16(wkc + AMM_WKC_MIN - 2, AMM_WKC_MIN);
    amm_v2_client_key_text(kc, wkc, AMM_WKC_MIN, text);
    assert_true(amm_v2_client_key_parse(text, kc, out, &len));
    amm_v2_client_key_text(kc, wkc, AMM_WKC_MIN - 1, text);
    assert_false(amm_v2_client_key_parse(text, kc, out, &len));
    amm_store_u16(wkc + AMM_WKC_MIN - 2, AMM_WKC_MIN + 1);
    amm_v2_client_key_text(kc, wkc, AMM_WKC_MIN, text);
    assert_false(amm_v2_client_key_parse(text, kc, out, &len));
}

static X509 *parse(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(certificate);
    return certificate;
}

static void certificates_say_what_they_are_for(void **state)
{
    (void)state;
    struct world world;
    make_world(&world);
    X509 *ca = parse(world.gateway_ca.certificate);
    X509 *gateway = parse(world.gateway.certificate);
    X509 *server = parse(world.server.certificate);
    assert_int_equal(X509_check_ca(ca), 1);
    assert_int_equal(X509_get_key_usage(ca), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    assert_int_equal(X509_get_extended_key_usage(gateway), XKU_SSL_CLIENT);
    assert_int_equal(X509_get_extended_key_usage(server), XKU_SSL_SERVER);
    assert_int_equal(X509_get_key_usage(gateway), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_check_ca(gateway), 0);
    assert_int_equal(X509_verify(gateway, X509_get0_pubkey(ca)), 1);
    assert_int_equal(X509_check_issued(ca, gateway), X509_V_OK);
    X509_free(ca);
    X509_free(gateway);
    X509_free(server);
}

static void a_server_certificate_can_carry_a_host_name(void **state)
{
    (void)state;
    struct world world;
    make_world(&world);
    char certificate[AMM_PEM_MAX], error[ERROR_MAX] = "";
    struct amm_certificate_request request = {.role = AMM_CERTIFICATE_SERVER,
                                              .name = "tunnel",
                                              .dns_name = "vpn.example.org",
                                              .not_before = NOW,
                                              .not_after = NOW + DAY};
    assert_true(amm_pki_issue(&request, world.server.key, world.server_ca.certificate,
                              world.server_ca.key, certificate, error, sizeof error));
    X509 *server = parse(certificate);
    assert_int_equal(X509_check_host(server, "vpn.example.org", 0, 0, NULL), 1);
    X509_free(server);
    request.dns_name = "vpn.example.org,DNS:evil";
    assert_false(amm_pki_issue(&request, world.server.key, world.server_ca.certificate,
                               world.server_ca.key, certificate, error, sizeof error));
    assert_non_null(strstr(error, "host name"));
}

static void serial_numbers_differ(void **state)
{
    (void)state;
    struct world world;
    make_world(&world);
    struct credential second;
    issue(&second, AMM_CERTIFICATE_GATEWAY, "gw-1", &world.gateway_ca, NOW, NOW + DAY);
    struct amm_identity a, b;
    char error[ERROR_MAX];
    assert_true(amm_pki_identity(world.gateway.certificate, &a, error, sizeof error));
    assert_true(amm_pki_identity(second.certificate, &b, error, sizeof error));
    assert_memory_not_equal(a.serial, b.serial, sizeof a.serial);
    assert_memory_equal(a.serial, (uint8_t[4]){0}, 4);
    assert_memory_equal(a.issuer, (uint8_t[32]){0}, 32);
}

static void certificates_that_make_no_sense_are_not_issued(void **state)
{
    (void)state;
    struct world world;
    make_world(&world);
    const struct amm_certificate_request good = {
        .role = AMM_CERTIFICATE_GATEWAY, .name = "gw-9", .not_before = NOW, .not_after = NOW + DAY};
    const char *ca = world.gateway_ca.certificate, *key = world.gateway_ca.key;
    const struct {
        const char *name, *issuer, *issuer_key, *subject_key;
        int64_t until;
        const char *error;
    } cases[] = {
        {"", ca, key, key, NOW + DAY, "name: "},
        {"gw 9", ca, key, key, NOW + DAY, "name: "},
        {"gw/9", ca, key, key, NOW + DAY, "name: "},
        {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefX", ca, key, key,
         NOW + DAY, "name: "},
        {"gw-9", ca, key, key, NOW, "end before it begins"},
        {"gw-9", ca, key, key, NOW + 2000 * DAY, "outlive its CA"},
        {"gw-9", ca, world.server_ca.key, key, NOW + DAY, "does not belong to its certificate"},
        {"gw-9", world.gateway.certificate, world.gateway.key, key, NOW + DAY, "is not a CA's"},
        {"gw-9", "nothing", key, key, NOW + DAY, "issuer: no certificate found"},
        {"gw-9", ca, "nothing", key, NOW + DAY, "issuer's key: no private key found"},
        {"gw-9", ca, key, "nothing", NOW + DAY, "key: no private key found"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct amm_certificate_request request = good;
        request.name = cases[i].name;
        request.not_after = cases[i].until;
        char certificate[AMM_PEM_MAX], error[ERROR_MAX] = "";
        assert_false(amm_pki_issue(&request, cases[i].subject_key, cases[i].issuer,
                                   cases[i].issuer_key, certificate, error, sizeof error));
        if (!strstr(error, cases[i].error)) {
            fail_msg("case %zu: %s", i, error);
        }
    }
}

static void a_list_of_many_entries_is_sorted_and_signed(void **state)
{
    (void)state;
    struct world world;
    make_world(&world);
    enum { ENTRIES = 1000 };
    static struct amm_revocation revoked[ENTRIES];
    for (size_t i = 0; i < ENTRIES; i++) {
        amm_store_u32(revoked[i].serial + 4, (uint32_t)(ENTRIES - i));
        revoked[i].at = NOW;
    }
    char *text = NULL, error[ERROR_MAX] = "";
    assert_true(amm_pki_crl(world.gateway_ca.certificate, world.gateway_ca.key, revoked, ENTRIES, 7,
                            NOW, NOW + DAY, &text, error, sizeof error));
    struct amm_tls_settings settings = server_settings(&world);
    settings.crl = text;
    struct amm_tls_context *context = amm_tls_context_new(&settings, error, sizeof error);
    assert_non_null(context);
    struct amm_identity ca, someone = {.name = "x"};
    assert_true(amm_pki_identity(world.gateway_ca.certificate, &ca, error, sizeof error));
    memcpy(someone.issuer, ca.key, sizeof someone.issuer);
    amm_store_u32(someone.serial + 4, 500);
    assert_true(amm_tls_context_revokes(context, &someone));
    amm_store_u32(someone.serial + 4, ENTRIES + 1);
    assert_false(amm_tls_context_revokes(context, &someone));
    amm_store_u32(someone.serial + 4, 500);
    someone.issuer[0] ^= 1;
    assert_false(amm_tls_context_revokes(context, &someone));
    amm_tls_context_free(context);
    free(text);
    assert_false(amm_pki_crl(world.gateway_ca.certificate, world.gateway_ca.key, NULL, 0, 1, NOW,
                             NOW, &text, error, sizeof error));
    assert_false(amm_pki_crl(world.gateway.certificate, world.gateway.key, NULL, 0, 1, NOW,
                             NOW + DAY, &text, error, sizeof error));
    assert_null(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_static_key_file_is_read_and_written),
        cmocka_unit_test(a_static_key_may_have_comments_around_and_spaces_inside),
        cmocka_unit_test(damaged_static_keys_are_refused),
        cmocka_unit_test(tls_crypt_v2_keys_are_read_and_written),
        cmocka_unit_test(client_keys_of_wrong_length_are_refused),
        cmocka_unit_test(certificates_say_what_they_are_for),
        cmocka_unit_test(a_server_certificate_can_carry_a_host_name),
        cmocka_unit_test(serial_numbers_differ),
        cmocka_unit_test(certificates_that_make_no_sense_are_not_issued),
        cmocka_unit_test(a_list_of_many_entries_is_sorted_and_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
