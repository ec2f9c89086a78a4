/* domain/assertion.h: each refusal, and that nothing else is refused. */
#include "base/base64.h"
#include "domain/assertion.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1793500000 };

static struct amm_signer *signer;
static uint8_t key[AMM_SIGNATURE_KEY];
static struct amm_assertion_seen seen;

static int set_up(void **state)
{
    static char pem[4096];
    char error[128];
    (void)state;
    assert_true(amm_signature_key_new(pem, error, sizeof error));
    signer = amm_signer_new(pem, "key", error, sizeof error);
    assert_non_null(signer);
    amm_signer_key(signer, key);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    signer = amm_signer_free(signer);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    return 0;
}

static struct amm_assertion good(void)
{
    struct amm_assertion a = {
        .kind = AMM_ASSERTION_SIGN_IN,
        .role = AMM_ASSERTION_VIEWER,
        .serial = "GW-1",
        .epoch = 7,
        .operator_name = "Maria",
        .label = "abcdefghijklmnopqrstuvwx27",
        .issued = NOW,
        .expires = NOW + 30,
        .nonce = {1},
    };
    assert_true(amm_address_parse(&a.operator_address, "2001:db8::7", 1));
    a.operator_address.port = 0;
    return a;
}

static struct amm_assertion_rules rules(void)
{
    return (struct amm_assertion_rules){
        .kind = AMM_ASSERTION_SIGN_IN, .key = key, .serial = "GW-1", .epoch = 7, .now = NOW + 1};
}

static enum amm_assertion_verdict try(const struct amm_assertion *a,
                                      const struct amm_assertion_rules *r)
{
    char wire[AMM_ASSERTION_MAX];
    struct amm_assertion out;
    size_t len = amm_assertion_write(a, signer, wire, sizeof wire);
    assert_true(len > 0 && len == strlen(wire));
    return amm_assertion_verify(&out, amm_view(wire, len), r, &seen);
}

/* Signs any text. */
static enum amm_assertion_verdict try_text(const char *text, const struct amm_assertion_rules *r)
{
    char wire[2048];
    uint8_t signature[AMM_SIGNATURE];
    struct amm_assertion out;
    assert_true(amm_sign(signer, amm_view_str(text), signature));
    size_t at = amm_base64_encode(wire, sizeof wire, amm_view_str(text), AMM_BASE64_URL);
    wire[at++] = '.';
    at += amm_base64_encode(wire + at, sizeof wire - at, amm_view(signature, sizeof signature),
                            AMM_BASE64_URL);
    return amm_assertion_verify(&out, amm_view(wire, at), r, &seen);
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    char wire[AMM_ASSERTION_MAX];
    struct amm_assertion a = good(), out;
    struct amm_assertion_rules r = rules();
    assert_true(amm_assertion_write(&a, signer, wire, sizeof wire) > 0);
    assert_int_equal(amm_assertion_verify(&out, amm_view_str(wire), &r, &seen), AMM_ASSERTION_OK);
    assert_memory_equal(&a, &out, sizeof a);
}

static void the_largest_one_fits(void **state)
{
    (void)state;
    struct amm_assertion a = good();
    struct amm_assertion_rules r = rules();
    a.kind = r.kind = AMM_ASSERTION_RELAY;
    memset(a.serial, 'S', AMM_NAME_MAX);
    memset(a.operator_name, 'o', sizeof a.operator_name - 1);
    assert_true(amm_address_parse(&a.target, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535", 0));
    r.serial = a.serial;
    assert_int_equal(try(&a, &r), AMM_ASSERTION_OK);
}

static void without_a_key_nobody_comes_in(void **state)
{
    (void)state;
    struct amm_assertion a = good();
    struct amm_assertion_rules r = rules();
    r.key = NULL;
    assert_int_equal(try(&a, &r), AMM_ASSERTION_NO_KEY);
}

static void another_key_or_a_changed_byte_is_a_bad_signature(void **state)
{
    (void)state;
    char wire[AMM_ASSERTION_MAX];
    uint8_t other[AMM_SIGNATURE_KEY];
    struct amm_assertion a = good(), out;
    struct amm_assertion_rules r = rules();
    memcpy(other, key, sizeof other);
    other[0] ^= 1;
    r.key = other;
    assert_int_equal(try(&a, &r), AMM_ASSERTION_BAD_SIGNATURE);
    r.key = key;
    size_t len = amm_assertion_write(&a, signer, wire, sizeof wire);
    for (size_t i = 0; i < len; i++) {
        char was = wire[i];
        wire[i] = was == 'A' ? 'B' : 'A';
        enum amm_assertion_verdict v = amm_assertion_verify(&out, amm_view(wire, len), &r, &seen);
        assert_true(v == AMM_ASSERTION_BAD_SIGNATURE || v == AMM_ASSERTION_MALFORMED);
        assert_int_equal(out.epoch, 0);
        wire[i] = was;
    }
    assert_int_equal(amm_assertion_verify(&out, amm_view(wire, len), &r, &seen), AMM_ASSERTION_OK);
}

static void one_for_another_gateway_is_refused(void **state)
{
    (void)state;
    struct amm_assertion a = good();
    struct amm_assertion_rules r = rules();
    r.serial = "GW-12";
    assert_int_equal(try(&a, &r), AMM_ASSERTION_OTHER_SERIAL);
    r.serial = "GW";
    assert_int_equal(try(&a, &r), AMM_ASSERTION_OTHER_SERIAL);
}

static void one_for_another_tunnel_is_refused(void **state)
{
    (void)state;
    struct amm_assertion a = good();
    struct amm_assertion_rules r = rules();
    r.epoch = 8;
    assert_int_equal(try(&a, &r), AMM_ASSERTION_OLD_EPOCH);
    r.epoch = 0;
    assert_int_equal(try(&a, &r), AMM_ASSERTION_OLD_EPOCH);
}

static void only_its_time_is_its_time(void **state)
{
    (void)state;
    struct amm_assertion a = good();
    struct amm_assertion_rules r = rules();
    r.now = NOW - 6;
    assert_int_equal(try(&a, &r), AMM_ASSERTION_NOT_YET);
    r.now = NOW + 36;
    assert_int_equal(try(&a, &r), AMM_ASSERTION_EXPIRED);
    r.now = NOW - 5;
    assert_int_equal(try(&a, &r), AMM_ASSERTION_OK);
    a.nonce[0]++;
    r.now = NOW + 35;
    assert_int_equal(try(&a, &r), AMM_ASSERTION_OK);
}

static void it_is_taken_once(void **state)
{
    (void)state;
    struct amm_assertion a = good();
    struct amm_assertion_rules r = rules();
    assert_int_equal(try(&a, &r), AMM_ASSERTION_OK);
    assert_int_equal(try(&a, &r), AMM_ASSERTION_REPLAYED);
    r.now = NOW + 35; /* the last second in which it could be taken */
    assert_int_equal(try(&a, &r), AMM_ASSERTION_REPLAYED);
}

static void a_refused_one_uses_nothing_up(void **state)
{
    (void)state;
    struct amm_assertion a = good();
    struct amm_assertion_rules r = rules();
    r.epoch = 8;
    assert_int_equal(try(&a, &r), AMM_ASSERTION_OLD_EPOCH);
    r.epoch = 7;
    assert_int_equal(try(&a, &r), AMM_ASSERTION_OK);
}

static void what_can_be_remembered_is_bounded(void **state)
{
    (void)state;
    struct amm_assertion a = good();
    struct amm_assertion_rules r = rules();
    for (unsigned i = 0; i < AMM_ASSERTION_SEEN; i++) {
        amm_store_u32(a.nonce, i);
        assert_int_equal(try(&a, &r), AMM_ASSERTION_OK);
    }
    amm_store_u32(a.nonce, AMM_ASSERTION_SEEN);
    assert_int_equal(try(&a, &r), AMM_ASSERTION_BUSY);
    amm_store_u32(a.nonce, 0);
    assert_int_equal(try(&a, &r), AMM_ASSERTION_REPLAYED);
    r.now = NOW + 36; /* all of them have expired */
    a.issued = NOW + 36;
    a.expires = NOW + 60;
    amm_store_u32(a.nonce, AMM_ASSERTION_SEEN);
    assert_int_equal(try(&a, &r), AMM_ASSERTION_OK);
}

static void one_kind_is_not_the_other(void **state)
{
    (void)state;
    struct amm_assertion a = good();
    struct amm_assertion_rules r = rules();
    r.kind = AMM_ASSERTION_RELAY;
    assert_int_equal(try(&a, &r), AMM_ASSERTION_MALFORMED);
    a.kind = AMM_ASSERTION_RELAY;
    a.target.port = 22; /* the gateway's own */
    assert_int_equal(try(&a, &r), AMM_ASSERTION_OK);
    r.kind = AMM_ASSERTION_SIGN_IN;
    a.nonce[0]++;
    assert_int_equal(try(&a, &r), AMM_ASSERTION_MALFORMED);
}

#define HEAD "amm-assertion-1\nGW-1\n0000000000000007\nMaria\nuser\n"
#define LABEL "\nabcdefghijklmnopqrstuvwx27\n"
#define NONCE "\n000102030405060708090a0b0c0d0e0f"
#define TIMES "1793500000\n1793500030"

static void other_texts_are_refused_though_signed(void **state)
{
    (void)state;
    struct amm_assertion_rules r = rules();
    assert_int_equal(try_text(HEAD "192.0.2.1" LABEL TIMES NONCE, &r), AMM_ASSERTION_OK);
    static const char *const bad[] = {
        HEAD "192.0.2.1" LABEL TIMES NONCE "\n",
        HEAD "192.0.2.1" LABEL TIMES NONCE "\nmore",
        HEAD "192.0.2.1" LABEL TIMES,
        HEAD "192.0.2.1:80" LABEL TIMES NONCE,
        HEAD "localhost" LABEL TIMES NONCE,
        HEAD LABEL "1793500000\n1793500031" NONCE,
        HEAD LABEL "1793500000\n1793500000" NONCE,
        HEAD LABEL "01793500000\n1793500030" NONCE,
        HEAD LABEL "-5\n1" NONCE,
        HEAD LABEL TIMES "\n000102030405060708090A0b0c0d0e0f",
        HEAD LABEL TIMES "\n000102030405060708090a0b0c0d0e",
        HEAD "\nabcdefghijklmnopqrstuvwx2\n" TIMES NONCE,
        HEAD "\nabcdefghijklmnopqrstuvwx28\n" TIMES NONCE,
        "amm-assertion-2\nGW-1\n0000000000000007\nMaria\nuser\n" LABEL TIMES NONCE,
        "amm-assertion-1\nGW-1\n0000000000000000\nMaria\nuser\n" LABEL TIMES NONCE,
        "amm-assertion-1\nGW-1\n000000000000007\nMaria\nuser\n" LABEL TIMES NONCE,
        "amm-assertion-1\n\n0000000000000007\nMaria\nuser\n" LABEL TIMES NONCE,
        "amm-assertion-1\nGW 1\n0000000000000007\nMaria\nuser\n" LABEL TIMES NONCE,
        "amm-assertion-1\nGW-1\n0000000000000007\n\nuser\n" LABEL TIMES NONCE,
        "amm-assertion-1\nGW-1\n0000000000000007\nMa\xc3\nuser\n" LABEL TIMES NONCE,
        "amm-assertion-1\nGW-1\n0000000000000007\nMa\xe2\x80\xaeria\nuser\n" LABEL TIMES NONCE,
        "amm-assertion-1\nGW-1\n0000000000000007\nMaria\nadmin\n" LABEL TIMES NONCE,
        "x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(try_text(bad[i], &r), AMM_ASSERTION_MALFORMED);
    }
}

static void no_text_is_no_assertion(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".", "a.b", "YQ.", "YQ", "=.="};
    char long_text[2 * AMM_ASSERTION_MAX];
    struct amm_assertion out;
    struct amm_assertion_rules r = rules();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(amm_assertion_verify(&out, amm_view_str(bad[i]), &r, &seen),
                         AMM_ASSERTION_MALFORMED);
    }
    memset(long_text, 'A', sizeof long_text);
    long_text[900] = '.';
    assert_int_equal(amm_assertion_verify(&out, amm_view(long_text, sizeof long_text), &r, &seen),
                     AMM_ASSERTION_MALFORMED);
}

static void what_no_gateway_would_take_is_not_written(void **state)
{
    (void)state;
    char wire[AMM_ASSERTION_MAX];
    struct amm_assertion a;
#define REFUSED(change)                                                                            \
    a = good();                                                                                    \
    change;                                                                                        \
    assert_int_equal(amm_assertion_write(&a, signer, wire, sizeof wire), 0)
    REFUSED(a.epoch = 0);
    REFUSED(a.serial[0] = '\0');
    REFUSED(a.operator_name[0] = '\n');
    REFUSED(a.operator_name[0] = '\0');
    REFUSED(a.label[25] = '\0');
    REFUSED(a.expires = a.issued + 31);
    REFUSED(a.role = (enum amm_assertion_role)0);
    REFUSED(a.kind = AMM_ASSERTION_RELAY); /* no target */
    a = good();
    assert_int_equal(amm_assertion_write(&a, signer, wire, 100), 0);
    size_t len = amm_assertion_write(&a, signer, wire, sizeof wire);
    assert_int_equal(amm_assertion_write(&a, signer, wire, len), 0);
    assert_int_equal(amm_assertion_write(&a, signer, wire, len + 1), len);
}

static void each_verdict_has_its_name(void **state)
{
    (void)state;
    for (int i = AMM_ASSERTION_OK; i <= AMM_ASSERTION_BUSY; i++) {
        assert_true(strlen(amm_assertion_words((enum amm_assertion_verdict)i)) > 5);
        for (int k = AMM_ASSERTION_OK; k < i; k++) {
            assert_string_not_equal(amm_assertion_name((enum amm_assertion_verdict)i),
                                    amm_assertion_name((enum amm_assertion_verdict)k));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_was_written_is_read, forget),
        cmocka_unit_test_setup(the_largest_one_fits, forget),
        cmocka_unit_test_setup(without_a_key_nobody_comes_in, forget),
        cmocka_unit_test_setup(another_key_or_a_changed_byte_is_a_bad_signature, forget),
        cmocka_unit_test_setup(one_for_another_gateway_is_refused, forget),
        cmocka_unit_test_setup(one_for_another_tunnel_is_refused, forget),
        cmocka_unit_test_setup(only_its_time_is_its_time, forget),
        cmocka_unit_test_setup(it_is_taken_once, forget),
        cmocka_unit_test_setup(a_refused_one_uses_nothing_up, forget),
        cmocka_unit_test_setup(what_can_be_remembered_is_bounded, forget),
        cmocka_unit_test_setup(one_kind_is_not_the_other, forget),
        cmocka_unit_test_setup(other_texts_are_refused_though_signed, forget),
        cmocka_unit_test_setup(no_text_is_no_assertion, forget),
        cmocka_unit_test_setup(what_no_gateway_would_take_is_not_written, forget),
        cmocka_unit_test(each_verdict_has_its_name),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
