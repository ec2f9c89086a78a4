#include "crypto/pki.h"
#include "crypto/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* One byte more than a key has. */
static const char long_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIMWqjfQ/n4N73rdELywN29uHMRwoWEItN/Qyadpr3Ajo/c=\n"
    "-----END PRIVATE KEY-----\n";

static void signs_what_it_verifies(void **state)
{
    char pem[AMM_PEM_MAX], error[200] = "";
    uint8_t key[AMM_SIGNATURE_KEY], signature[AMM_SIGNATURE];
    struct amm_view text = amm_view_str("what was agreed");
    (void)state;
    assert_true(amm_signature_key_new(pem, error, sizeof error));
    struct amm_signer *signer = amm_signer_new(pem, "test key", error, sizeof error);
    assert_non_null(signer);
    amm_signer_key(signer, key);
    assert_true(amm_sign(signer, text, signature));
    assert_true(amm_signature_verify(key, text, signature));
    for (unsigned i = 0; i < AMM_SIGNATURE; i++) {
        signature[i] ^= 1;
        assert_false(amm_signature_verify(key, text, signature));
        signature[i] ^= 1;
    }
    key[0] ^= 1;
    assert_false(amm_signature_verify(key, text, signature));
    key[0] ^= 1;
    assert_false(amm_signature_verify(key, amm_view(text.data, text.len - 1), signature));
    amm_signer_free(signer);
}

static void other_keys_are_refused(void **state)
{
    char error[200] = "";
    (void)state;
    assert_null(amm_signer_new("none", "test key", error, sizeof error));
    assert_non_null(strstr(error, "test key"));
    assert_null(amm_signer_new(long_key, "test key", error, sizeof error));
}

/* RFC 8032, section 7.1: public key, message and signature of test 2. */
static void known_answers(void **state)
{
    static const uint8_t key[] = {0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a,
                                  0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4,
                                  0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c};
    static const uint8_t signature[] = {
        0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e, 0x82, 0x0b, 0x5f,
        0x64, 0x25, 0x40, 0xa2, 0xb2, 0x7b, 0x54, 0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76,
        0x22, 0x23, 0xeb, 0xdb, 0x69, 0xda, 0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99,
        0x6e, 0x45, 0x8f, 0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c, 0x38, 0x7b, 0x2e, 0xae,
        0xb4, 0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb, 0x0c, 0x00};
    static const uint8_t message[] = {0x72};
    (void)state;
    assert_true(amm_signature_verify(key, amm_view(message, 1), signature));
    assert_false(amm_signature_verify(key, amm_view(message, 0), signature));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_what_it_verifies),
        cmocka_unit_test(other_keys_are_refused),
        cmocka_unit_test(known_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
