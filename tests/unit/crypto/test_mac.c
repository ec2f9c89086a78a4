#include "crypto/mac.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void assert_hex(const uint8_t *got, size_t len, const char *hex)
{
    uint8_t expected[AMM_DIGEST_MAX];
    assert_int_equal(strlen(hex), 2 * len);
    assert_true(amm_unhex(expected, len, hex));
    assert_memory_equal(got, expected, len);
}

static void sha256_of_abc(void **state)
{
    (void)state;
    uint8_t out[AMM_SHA256_LEN];
    for (int i = 0; i < 2; i++) {
        assert_true(amm_sha256(amm_view_str("abc"), out));
        assert_hex(out, sizeof out,
                   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
    assert_true(amm_sha256(amm_view(NULL, 0), out));
    assert_hex(out, sizeof out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 2202 and RFC 4231, test case 2, given in two parts. */
static void hmac_matches_the_rfcs_and_can_change_its_key(void **state)
{
    (void)state;
    const struct amm_view parts[] = {amm_view_str("what do ya want "),
                                     amm_view_str("for nothing?")};
    uint8_t out[AMM_DIGEST_MAX];
    for (int i = 0; i < 2; i++) {
        assert_true(amm_hmac(AMM_SHA1, amm_view_str("another"), parts, 1, out));
        assert_true(amm_hmac(AMM_SHA1, amm_view_str("Jefe"), parts, 2, out));
        assert_hex(out, 20, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_true(amm_hmac(AMM_SHA256, amm_view_str("Jefe"), parts, 2, out));
        assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_true(amm_hmac(AMM_SHA512, amm_view_str("Jefe"), parts, 2, out));
        assert_hex(out, 64,
                   "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                   "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
    }
}

static void an_empty_key_is_not_the_last_one(void **state)
{
    (void)state;
    const struct amm_view nothing = {NULL, 0};
    uint8_t out[AMM_DIGEST_MAX];
    assert_true(amm_hmac(AMM_SHA256, amm_view_str("Jefe"), &nothing, 1, out));
    assert_true(amm_hmac(AMM_SHA256, nothing, &nothing, 1, out));
    assert_hex(out, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* NIST SP 800-38A, F.5.5, first two blocks. */
static void aes_ctr_matches_nist_and_undoes_itself(void **state)
{
    (void)state;
    uint8_t key[32], iv[16], text[32];
    const char *plain = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
    amm_unhex(key, 32, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    amm_unhex(iv, 16, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    amm_unhex(text, 32, plain);
    assert_true(amm_aes256_ctr(key, iv, text, sizeof text));
    assert_hex(text, 32, "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5");
    assert_true(amm_aes256_ctr(key, iv, text, sizeof text));
    assert_hex(text, 32, plain);
}

static void aes_ctr_starts_anew_after_a_partial_block(void **state)
{
    (void)state;
    uint8_t key[32] = {1}, iv[16] = {2}, a[5] = {0}, b[5] = {0};
    assert_true(amm_aes256_ctr(key, iv, a, sizeof a));
    assert_true(amm_aes256_ctr(key, iv, b, sizeof b));
    assert_memory_equal(a, b, sizeof a);
}

static void digests_have_names(void **state)
{
    (void)state;
    enum amm_digest digest;
    assert_true(amm_digest_find(amm_view_str("sha1"), &digest));
    assert_int_equal(digest, AMM_SHA1);
    assert_int_equal(amm_digest_len(digest), 20);
    assert_true(amm_digest_find(amm_view_str("SHA512"), &digest));
    assert_int_equal(amm_digest_len(digest), 64);
    assert_false(amm_digest_find(amm_view_str("MD5"), &digest));
    assert_false(amm_digest_find(amm_view_str("SHA25"), &digest));
    assert_false(amm_digest_find(amm_view(NULL, 0), &digest));
}

static void *use_everything(void *result)
{
    uint8_t out[AMM_DIGEST_MAX] = {0}, key[32] = {0};
    const struct amm_view part = amm_view_str("x");
    *(bool *)result = amm_hmac(AMM_SHA256, amm_view_str("k"), &part, 1, out) &&
                      amm_sha256(part, out) && amm_aes256_ctr(key, key, out, sizeof out);
    return NULL;
}

/* The leak checker sees what a thread leaves behind. */
static void a_thread_takes_its_contexts_with_it(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        bool ok = false;
        assert_int_equal(pthread_create(&thread, NULL, use_everything, &ok), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(ok);
    }
}

static void the_system_generator_fills_everything(void **state)
{
    (void)state;
    struct amm_random random = amm_system_random();
    uint8_t a[64] = {0}, b[64] = {0};
    amm_random_fill(&random, a, sizeof a);
    amm_random_fill(&random, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a + 32, (uint8_t[32]){0}, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_of_abc),
        cmocka_unit_test(hmac_matches_the_rfcs_and_can_change_its_key),
        cmocka_unit_test(an_empty_key_is_not_the_last_one),
        cmocka_unit_test(aes_ctr_matches_nist_and_undoes_itself),
        cmocka_unit_test(aes_ctr_starts_anew_after_a_partial_block),
        cmocka_unit_test(digests_have_names),
        cmocka_unit_test(a_thread_takes_its_contexts_with_it),
        cmocka_unit_test(the_system_generator_fills_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
