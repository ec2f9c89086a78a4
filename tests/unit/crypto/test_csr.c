#include "crypto/csr.h"
#include "crypto/mac.h"
#include "enrol_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct made {
    char key[AMM_PEM_MAX];
    uint8_t public_key[AMM_P256_KEY], der[AMM_CSR_MAX];
    size_t len;
};

static struct made make_request(void)
{
    static struct made made;
    char error[256] = "";
    if (!amm_pki_key_new(made.key, error, sizeof error) ||
        !amm_pki_public_key(made.key, made.public_key, error, sizeof error) ||
        !amm_csr_make(made.key, "gw-1", made.der, &made.len, error, sizeof error)) {
        fail_msg("%s", error);
    }
    return made;
}

/* What is said about the bytes; "" if the key was taken. */
static const char *verdict(struct amm_view der)
{
    static char error[256];
    uint8_t key[AMM_P256_KEY];
    return amm_csr_take_key(der, key, error, sizeof error) ? "" : error;
}

static void the_key_of_our_own_request_is_taken(void **state)
{
    (void)state;
    struct made made = make_request();
    uint8_t key[AMM_P256_KEY];
    char error[256] = "";
    assert_true(amm_csr_take_key(amm_view(made.der, made.len), key, error, sizeof error));
    assert_memory_equal(key, made.public_key, sizeof key);
}

static void openssl_agrees_with_our_request(void **state)
{
    (void)state;
    struct made made = make_request();
    file_write("own.der", amm_view(made.der, made.len));
    assert_true(OPENSSL("req", "-inform", "DER", "-in", file_path("own.der"), "-verify", "-noout"));
}

static void requests_of_openssl_are_taken_whatever_they_ask_for(void **state)
{
    (void)state;
    struct made made = make_request();
    file_write("key.pem", amm_view_str(made.key));
    static const char *const asks[] = {"basicConstraints=critical,CA:TRUE",
                                       "subjectAltName=DNS:amm-manager", "keyUsage=keyCertSign"};
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        assert_true(OPENSSL("req", "-new", "-key", file_path("key.pem"), "-subj",
                            "/O=Someone/CN=amm-manager", "-addext", asks[i], "-outform", "DER",
                            "-out", file_path("asked.der")));
        struct amm_span der = file_read("asked.der");
        uint8_t key[AMM_P256_KEY];
        char error[256] = "";
        assert_true(amm_csr_take_key(amm_view_of(der), key, error, sizeof error));
        assert_memory_equal(key, made.public_key, sizeof key);
        free(der.data);
    }
}

static void other_types_of_keys_are_refused(void **state)
{
    (void)state;
    static const char *const keys[][6] = {
        {"RSA", "-pkeyopt", "rsa_keygen_bits:2048", NULL},
        {"ED25519", NULL},
        {"EC", "-pkeyopt", "ec_paramgen_curve:P-384", NULL},
        {"EC", "-pkeyopt", "ec_paramgen_curve:secp256k1", NULL},
        {"EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit", NULL},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *arguments[16] = {"genpkey", "-out", file_path("other.pem"), "-algorithm"};
        memcpy(arguments + 4, keys[i], sizeof keys[i]);
        assert_true(openssl_runs(arguments));
        assert_true(OPENSSL("req", "-new", "-key", file_path("other.pem"), "-subj", "/CN=x",
                            "-outform", "DER", "-out", file_path("other.der")));
        struct amm_span der = file_read("other.der");
        assert_string_equal(verdict(amm_view_of(der)), "the key of the request is not ECDSA P-256");
        free(der.data);
    }
}

static void compressed_points_and_other_digests_are_refused(void **state)
{
    (void)state;
    struct made made = make_request();
    file_write("key.pem", amm_view_str(made.key));
    assert_true(OPENSSL("req", "-new", "-sha512", "-key", file_path("key.pem"), "-subj", "/CN=x",
                        "-outform", "DER", "-out", file_path("sha512.der")));
    struct amm_span der = file_read("sha512.der");
    assert_string_equal(verdict(amm_view_of(der)),
                        "the request is not signed with ECDSA and SHA-256");
    free(der.data);
    assert_true(OPENSSL("ec", "-in", file_path("key.pem"), "-conv_form", "compressed", "-out",
                        file_path("compressed.pem")));
    assert_true(OPENSSL("req", "-new", "-key", file_path("compressed.pem"), "-subj", "/CN=x",
                        "-outform", "DER", "-out", file_path("compressed.der")));
    der = file_read("compressed.der");
    assert_string_equal(verdict(amm_view_of(der)), "the key of the request is not ECDSA P-256");
    free(der.data);
}

static void a_request_signed_by_another_key_is_refused(void **state)
{
    (void)state;
    struct made one = make_request(), two = make_request();
    /* The other's public key in this one's request. */
    uint8_t *at = memmem(one.der, one.len, one.public_key, AMM_P256_KEY);
    assert_non_null(at);
    memcpy(at, two.public_key, AMM_P256_KEY);
    assert_string_equal(verdict(amm_view(one.der, one.len)),
                        "the request is not signed by its own key");
    /* A point that is not on the curve. */
    memset(at + AMM_P256_KEY - 8, 0x55, 8);
    assert_non_null(strstr(verdict(amm_view(one.der, one.len)), "is not ECDSA P-256"));
}

static void every_changed_bit_but_in_the_signatures_form_is_refused(void **state)
{
    (void)state;
    struct made made = make_request();
    for (size_t bit = 0; bit < made.len * 8; bit++) {
        made.der[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (verdict(amm_view(made.der, made.len))[0] == '\0') {
            fail_msg("bit %zu of %zu bytes was turned and nobody minded", bit, made.len);
        }
        made.der[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_string_equal(verdict(amm_view(made.der, made.len)), "");
}

static void a_byte_too_few_or_too_many_is_refused(void **state)
{
    (void)state;
    struct made made = make_request();
    for (size_t len = 0; len < made.len; len++) {
        assert_true(verdict(amm_view(made.der, len))[0] != '\0');
    }
    made.der[made.len] = 0;
    assert_true(verdict(amm_view(made.der, made.len + 1))[0] != '\0');
    assert_true(verdict(amm_view(NULL, 0))[0] != '\0');
}

static void lengths_that_are_not_in_their_shortest_form_are_refused(void **state)
{
    (void)state;
    struct made made = make_request();
    uint8_t longer[AMM_CSR_MAX];
    /* 30 81 xx and 30 82 01 xx become 30 82 00 xx and 30 83 00 01 xx. */
    longer[0] = made.der[0];
    longer[1] = (uint8_t)(made.der[1] + 1);
    longer[2] = 0;
    memcpy(longer + 3, made.der + 2, made.len - 2);
    assert_true(verdict(amm_view(longer, made.len + 1))[0] != '\0');
}

static void a_name_that_cannot_be_a_gateways_makes_no_request(void **state)
{
    (void)state;
    struct made made = make_request();
    char error[256] = "";
    assert_false(amm_csr_make(made.key, "a b", made.der, &made.len, error, sizeof error));
    assert_non_null(strstr(error, "name: "));
    assert_false(amm_csr_make("nothing", "a", made.der, &made.len, error, sizeof error));
    assert_non_null(strstr(error, "no private key"));
}

static void a_certificate_is_issued_for_the_key_alone(void **state)
{
    (void)state;
    struct made made = make_request();
    char error[256] = "", ca_key[AMM_PEM_MAX], ca[AMM_PEM_MAX], certificate[AMM_PEM_MAX];
    struct amm_certificate_request request = {
        .role = AMM_CERTIFICATE_CA, .name = "CA", .not_before = 1000, .not_after = 100000};
    assert_true(amm_pki_key_new(ca_key, error, sizeof error));
    assert_true(amm_pki_issue(&request, ca_key, NULL, ca_key, ca, error, sizeof error));
    request = (struct amm_certificate_request){.role = AMM_CERTIFICATE_GATEWAY,
                                               .name = "gw-1@main",
                                               .not_before = 2000,
                                               .not_after = 3000};
    assert_true(
        amm_pki_issue_to(&request, made.public_key, ca, ca_key, certificate, error, sizeof error));
    struct amm_identity identity;
    uint8_t hash[32];
    assert_true(amm_pki_identity(certificate, &identity, error, sizeof error));
    assert_string_equal(identity.name, "gw-1@main");
    assert_int_equal(identity.not_after, 3000);
    assert_true(amm_sha256(amm_view(made.public_key, AMM_P256_KEY), hash));
    assert_memory_equal(identity.key, hash, sizeof hash);
    made.public_key[AMM_P256_KEY - 1] ^= 1;
    assert_false(
        amm_pki_issue_to(&request, made.public_key, ca, ca_key, certificate, error, sizeof error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_of_our_own_request_is_taken),
        cmocka_unit_test(openssl_agrees_with_our_request),
        cmocka_unit_test(requests_of_openssl_are_taken_whatever_they_ask_for),
        cmocka_unit_test(other_types_of_keys_are_refused),
        cmocka_unit_test(compressed_points_and_other_digests_are_refused),
        cmocka_unit_test(a_request_signed_by_another_key_is_refused),
        cmocka_unit_test(every_changed_bit_but_in_the_signatures_form_is_refused),
        cmocka_unit_test(a_byte_too_few_or_too_many_is_refused),
        cmocka_unit_test(lengths_that_are_not_in_their_shortest_form_are_refused),
        cmocka_unit_test(a_name_that_cannot_be_a_gateways_makes_no_request),
        cmocka_unit_test(a_certificate_is_issued_for_the_key_alone),
    };
    return cmocka_run_group_tests(tests, files_set_up, files_tear_down);
}
