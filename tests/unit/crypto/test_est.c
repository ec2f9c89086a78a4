#include "base/base64.h"
#include "crypto/est.h"
#include "enrol_files.h"
#include "tls_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct world world;

static int set_up(void **state)
{
    make_world(&world);
    return files_set_up(state);
}

static char *body_of(const char *certificates)
{
    char *body = NULL, error[256] = "";
    size_t len = 0;
    if (!amm_est_certificates_write(certificates, &body, &len, error, sizeof error)) {
        fail_msg("%s", error);
    }
    assert_int_equal(strlen(body), len);
    return body;
}

static const char *verdict(struct amm_view body)
{
    static char error[256];
    char *out = NULL;
    bool ok = amm_est_certificates_read(body, &out, error, sizeof error);
    assert_true(ok == (out != NULL));
    free(out);
    return ok ? "" : error;
}

static void certificates_come_back_in_their_order(void **state)
{
    (void)state;
    char both[2 * AMM_PEM_MAX], *out = NULL, error[256] = "";
    snprintf(both, sizeof both, "%s%s", world.server_ca.certificate, world.gateway_ca.certificate);
    char *body = body_of(both);
    assert_true(amm_est_certificates_read(amm_view_str(body), &out, error, sizeof error));
    assert_string_equal(out, both);
    free(out);
    free(body);
}

static void openssl_reads_our_answer(void **state)
{
    (void)state;
    char *body = body_of(world.gateway.certificate), armoured[AMM_PEM_MAX];
    snprintf(armoured, sizeof armoured, "-----BEGIN PKCS7-----\n%s-----END PKCS7-----\n", body);
    file_write("answer.pem", amm_view_str(armoured));
    assert_true(OPENSSL("pkcs7", "-in", file_path("answer.pem"), "-print_certs", "-out",
                        file_path("printed.pem")));
    struct amm_span printed = file_read("printed.pem");
    assert_non_null(strstr((char *)printed.data, "subject=CN = gw-1\n"));
    assert_non_null(strstr((char *)printed.data, world.gateway.certificate));
    free(printed.data);
    free(body);
}

static void we_read_what_openssl_writes(void **state)
{
    (void)state;
    char both[2 * AMM_PEM_MAX], *out = NULL, error[256] = "";
    snprintf(both, sizeof both, "%s%s", world.server_ca.certificate, world.gateway_ca.certificate);
    file_write("both.pem", amm_view_str(both));
    assert_true(OPENSSL("crl2pkcs7", "-nocrl", "-certfile", file_path("both.pem"), "-outform",
                        "DER", "-out", file_path("both.der")));
    struct amm_span der = file_read("both.der");
    char body[AMM_PEM_MAX];
    /* One long line is as good as many short ones (RFC 8951). */
    assert_true(amm_base64_encode(body, sizeof body, amm_view_of(der), AMM_BASE64) > 0);
    assert_true(amm_est_certificates_read(amm_view_str(body), &out, error, sizeof error));
    assert_string_equal(out, both);
    free(out);
    free(der.data);
}

static void what_is_signed_or_has_content_is_refused(void **state)
{
    (void)state;
    file_write("gw.pem", amm_view_str(world.gateway.certificate));
    file_write("gw.key", amm_view_str(world.gateway.key));
    file_write("words", amm_view_str("hello"));
    static const char *const kinds[] = {"-nodetach",
                                        "-binary"}; /* the other one: without content */
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_true(OPENSSL("smime", "-sign", kinds[i], "-md", "sha256", "-in", file_path("words"),
                            "-signer", file_path("gw.pem"), "-inkey", file_path("gw.key"),
                            "-outform", "DER", "-out", file_path("signed.der")));
        struct amm_span der = file_read("signed.der");
        char body[AMM_PEM_MAX];
        amm_base64_encode(body, sizeof body, amm_view_of(der), AMM_BASE64);
        assert_non_null(strstr(verdict(amm_view_str(body)), "certificates alone"));
        free(der.data);
    }
}

static void armour_cuts_and_additions_are_refused(void **state)
{
    (void)state;
    char *body = body_of(world.gateway.certificate), longer[AMM_PEM_MAX];
    size_t len = strlen(body);
    assert_string_equal(verdict(amm_view(body, len)), "");
    for (size_t cut = 0; cut + 1 < len; cut++) {
        assert_true(verdict(amm_view(body, cut))[0] != '\0');
    }
    snprintf(longer, sizeof longer, "-----BEGIN PKCS7-----\n%s-----END PKCS7-----\n", body);
    assert_non_null(strstr(verdict(amm_view_str(longer)), "is not base64"));
    snprintf(longer, sizeof longer, "%sAAAA", body);
    assert_true(verdict(amm_view_str(longer))[0] != '\0');
    assert_true(verdict(amm_view("", 0))[0] != '\0');
    uint8_t der[AMM_PEM_MAX];
    size_t size;
    assert_true(
        amm_base64_decode(der, sizeof der - 1, &size, amm_view(body, len), AMM_BASE64_LINES));
    der[size] = 0;
    assert_true(amm_base64_encode(longer, sizeof longer, amm_view(der, size), AMM_BASE64) > 0);
    assert_string_equal(verdict(amm_view_str(longer)), "");
    assert_true(amm_base64_encode(longer, sizeof longer, amm_view(der, size + 1), AMM_BASE64) > 0);
    assert_non_null(strstr(verdict(amm_view_str(longer)), "certificates alone"));
    free(body);
}

static void more_certificates_than_anybody_needs_are_refused(void **state)
{
    (void)state;
    char *many = calloc(AMM_EST_CERTIFICATES_MAX + 1, AMM_PEM_MAX);
    for (int i = 0; i < AMM_EST_CERTIFICATES_MAX; i++) {
        strcat(many, world.gateway.certificate);
    }
    char *body = body_of(many);
    assert_string_equal(verdict(amm_view_str(body)), "");
    free(body);
    strcat(many, world.gateway.certificate);
    body = body_of(many);
    assert_true(verdict(amm_view_str(body))[0] != '\0');
    free(body);
    free(many);
}

static void the_pinned_ca_is_found_among_others(void **state)
{
    (void)state;
    char both[2 * AMM_PEM_MAX], out[AMM_PEM_MAX], error[256];
    struct amm_identity ca;
    snprintf(both, sizeof both, "%s%s", world.gateway_ca.certificate, world.server_ca.certificate);
    assert_true(amm_pki_identity(world.server_ca.certificate, &ca, error, sizeof error));
    assert_true(amm_est_pinned(both, ca.key, out));
    assert_string_equal(out, world.server_ca.certificate);
    ca.key[31] ^= 1;
    assert_false(amm_est_pinned(both, ca.key, out));
    assert_false(amm_est_pinned("", ca.key, out));
}

static void a_request_goes_through_its_body(void **state)
{
    (void)state;
    char *body = NULL, error[256] = "";
    size_t len;
    uint8_t key[AMM_P256_KEY], wanted[AMM_P256_KEY];
    assert_true(amm_pki_public_key(world.gateway.key, wanted, error, sizeof error));
    assert_true(amm_est_request_write(world.gateway.key, "gw-1", &body, &len, error, sizeof error));
    assert_true(amm_est_request_read(amm_view(body, len), key, error, sizeof error));
    assert_memory_equal(key, wanted, sizeof key);
    body[10] = '!';
    assert_false(amm_est_request_read(amm_view(body, len), key, error, sizeof error));
    assert_non_null(strstr(error, "is not base64"));
    free(body);
    uint8_t *large = malloc(AMM_EST_BODY_MAX + 1);
    memset(large, 'A', AMM_EST_BODY_MAX + 1);
    assert_false(
        amm_est_request_read(amm_view(large, AMM_EST_BODY_MAX + 1), key, error, sizeof error));
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_come_back_in_their_order),
        cmocka_unit_test(openssl_reads_our_answer),
        cmocka_unit_test(we_read_what_openssl_writes),
        cmocka_unit_test(what_is_signed_or_has_content_is_refused),
        cmocka_unit_test(armour_cuts_and_additions_are_refused),
        cmocka_unit_test(more_certificates_than_anybody_needs_are_refused),
        cmocka_unit_test(the_pinned_ca_is_found_among_others),
        cmocka_unit_test(a_request_goes_through_its_body),
    };
    return cmocka_run_group_tests(tests, set_up, files_tear_down);
}
