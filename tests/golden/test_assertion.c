/* Assertions that were signed by another program are taken, and ours are the same bytes. */
#include "domain/assertion.h"
#include "support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const char key_text[] = "-----BEGIN PRIVATE KEY-----\n"
                               "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
                               "-----END PRIVATE KEY-----\n";

static struct amm_assertion sign_in(void)
{
    struct amm_assertion a = {
        .kind = AMM_ASSERTION_SIGN_IN,
        .role = AMM_ASSERTION_USER,
        .serial = "TEST-0001",
        .epoch = UINT64_C(0xa1b2c3d4e5f60718),
        .operator_name = "Zoë Schmidt",
        .label = "abcdefghijklmnopqrstuvwxyz",
        .issued = 1793500000,
        .expires = 1793500030,
        .nonce = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    };
    assert_true(amm_address_parse(&a.operator_address, "198.51.100.7", 1));
    a.operator_address.port = 0;
    return a;
}

static struct amm_assertion relay(void)
{
    struct amm_assertion a = sign_in();
    a.kind = AMM_ASSERTION_RELAY;
    a.role = AMM_ASSERTION_VIEWER;
    assert_true(amm_address_parse(&a.operator_address, "2001:db8::7", 1));
    assert_true(amm_address_parse(&a.target, "192.168.13.100:22", 0));
    a.operator_address.port = 0;
    return a;
}

static void check(const char *id, const struct amm_assertion *expected)
{
    static struct amm_assertion_seen seen;
    struct amm_assertion got;
    char wire[AMM_ASSERTION_MAX], error[128];
    uint8_t key[AMM_SIGNATURE_KEY];
    assert_int_equal(vector_bytes("AS0", key, sizeof key), sizeof key);
    struct amm_assertion_rules rules = {.kind = expected->kind,
                                        .key = key,
                                        .serial = "TEST-0001",
                                        .epoch = UINT64_C(0xa1b2c3d4e5f60718),
                                        .now = 1793500010};
    memset(&seen, 0, sizeof seen);
    assert_int_equal(amm_assertion_verify(&got, amm_view_str(vector_text(id)), &rules, &seen),
                     AMM_ASSERTION_OK);
    assert_memory_equal(&got, expected, sizeof got);

    struct amm_signer *signer = amm_signer_new(key_text, "key", error, sizeof error);
    assert_non_null(signer);
    assert_true(amm_assertion_write(expected, signer, wire, sizeof wire) > 0);
    assert_string_equal(wire, vector_text(id));
    amm_signer_free(signer);
}

static void an_operator_is_signed_in(void **state)
{
    (void)state;
    struct amm_assertion a = sign_in();
    check("AS1", &a);
}

static void a_connection_is_relayed(void **state)
{
    (void)state;
    struct amm_assertion a = relay();
    check("AS2", &a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operator_is_signed_in),
        cmocka_unit_test(a_connection_is_relayed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
