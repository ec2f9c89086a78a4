/* COOKIE-2, COOKIE-3: every way in which a cookie can be wrong is refused. */
#include "cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SLOT (30 * AMM_SECOND)
#define START (1000 * SLOT + 5 * AMM_SECOND)

static const struct amm_cookie_key key = {{0x0123456789abcdefu, 0xfedcba9876543210u}, SLOT};
static struct amm_path path;
static struct amm_cookie_claim claim;

static int setup(void **state)
{
    (void)state;
    path = (struct amm_path){.link = 3, .transport = AMM_UDP, .port_index = 1};
    assert_true(amm_address_parse(&path.remote, "192.0.2.7:40001", 0));
    assert_true(amm_address_parse(&path.local, "198.51.100.1:1190", 0));
    claim = (struct amm_cookie_claim){&path, 0x0102030405060708u, 0};
    return 0;
}

static void a_cookie_is_good_in_its_slot_and_the_two_after(void **state)
{
    uint64_t cookie = amm_cookie_make(&key, &claim, START);
    (void)state;
    assert_true(amm_cookie_check(&key, &claim, START, cookie));
    assert_true(amm_cookie_check(&key, &claim, START + SLOT, cookie));
    assert_true(amm_cookie_check(&key, &claim, START + 2 * SLOT, cookie));
}

static void a_cookie_of_three_slots_ago_is_refused(void **state)
{
    uint64_t cookie = amm_cookie_make(&key, &claim, START);
    (void)state;
    assert_false(amm_cookie_check(&key, &claim, START + 3 * SLOT, cookie));
}

static void a_cookie_of_the_next_slot_is_refused(void **state)
{
    uint64_t cookie = amm_cookie_make(&key, &claim, START + SLOT);
    (void)state;
    assert_false(amm_cookie_check(&key, &claim, START, cookie));
}

static void every_flipped_bit_is_refused(void **state)
{
    uint64_t cookie = amm_cookie_make(&key, &claim, START);
    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        assert_false(amm_cookie_check(&key, &claim, START, cookie ^ (uint64_t)1 << bit));
    }
    assert_false(amm_cookie_check(&key, &claim, START, 0));
}

static void assert_bound(uint64_t cookie)
{
    assert_false(amm_cookie_check(&key, &claim, START, cookie));
    setup(NULL);
    assert_true(amm_cookie_check(&key, &claim, START, cookie));
}

static void a_cookie_is_bound_to_both_ends_of_the_path(void **state)
{
    uint64_t cookie = amm_cookie_make(&key, &claim, START);
    (void)state;
    path.remote.port++;
    assert_bound(cookie);
    path.remote.ip[3]++;
    assert_bound(cookie);
    path.remote.ip[15]++;
    assert_bound(cookie);
    path.remote.family = AMM_FAMILY_IPV6;
    assert_bound(cookie);
    path.local.port++;
    assert_bound(cookie);
    path.local.ip[0]++;
    assert_bound(cookie);
    path.transport = AMM_TCP;
    assert_bound(cookie);
    path.port_index++;
    assert_bound(cookie);
}

static void a_cookie_is_bound_to_session_and_client_key(void **state)
{
    uint64_t cookie = amm_cookie_make(&key, &claim, START);
    (void)state;
    claim.client_sid++;
    assert_bound(cookie);
    claim.wkc = amm_cookie_wkc(&key, amm_view_str("one wrapped key"));
    assert_bound(cookie);
    uint64_t one = amm_cookie_wkc(&key, amm_view_str("one wrapped key"));
    uint64_t other = amm_cookie_wkc(&key, amm_view_str("another wrapped key"));
    assert_true(one != other && one != 0);
}

static void a_cookie_of_another_secret_is_refused(void **state)
{
    struct amm_cookie_key other = key;
    uint64_t cookie = amm_cookie_make(&key, &claim, START);
    (void)state;
    other.key.k1 ^= 1;
    assert_false(amm_cookie_check(&other, &claim, START, cookie));
}

static void the_cookie_is_constant_within_a_slot_and_never_zero(void **state)
{
    uint64_t cookie = amm_cookie_make(&key, &claim, START);
    (void)state;
    assert_true(amm_cookie_make(&key, &claim, START + 24 * AMM_SECOND) == cookie);
    assert_true(amm_cookie_make(&key, &claim, START + 25 * AMM_SECOND) != cookie);
    for (claim.client_sid = 1; claim.client_sid < 1000; claim.client_sid++) {
        assert_true(amm_cookie_make(&key, &claim, START) != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_cookie_is_good_in_its_slot_and_the_two_after, setup),
        cmocka_unit_test_setup(a_cookie_of_three_slots_ago_is_refused, setup),
        cmocka_unit_test_setup(a_cookie_of_the_next_slot_is_refused, setup),
        cmocka_unit_test_setup(every_flipped_bit_is_refused, setup),
        cmocka_unit_test_setup(a_cookie_is_bound_to_both_ends_of_the_path, setup),
        cmocka_unit_test_setup(a_cookie_is_bound_to_session_and_client_key, setup),
        cmocka_unit_test_setup(a_cookie_of_another_secret_is_refused, setup),
        cmocka_unit_test_setup(the_cookie_is_constant_within_a_slot_and_never_zero, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
