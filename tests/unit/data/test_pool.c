/* data/pool: the addresses of both topologies, by hand-made examples. */
#include "data/pool.h"

#include "base/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct amm_pool pool_of(const char *text, enum amm_topology topology)
{
    struct amm_pool pool;
    assert_true(amm_pool_parse(&pool, text, topology));
    return pool;
}

static void check_address(const struct amm_pool *pool, uint32_t slot, const char *text)
{
    uint32_t ip;
    assert_true(amm_ipv4_parse(&ip, text));
    assert_int_equal(amm_pool_address(pool, slot), ip);
    assert_int_equal(amm_pool_slot(pool, ip), slot);
}

static void net30_addresses_are_those_of_the_vectors(void **state)
{
    (void)state;
    struct amm_pool pool = pool_of("10.128.0.0/19", AMM_NET30);
    check_address(&pool, 1, "10.128.0.6"); /* N1: client index 0 is slot 1 */
    check_address(&pool, 2, "10.128.0.10");
    check_address(&pool, 63, "10.128.0.254"); /* N2 */
    check_address(&pool, 64, "10.128.1.2");
    check_address(&pool, 2046, "10.128.31.250"); /* N3 */
    check_address(&pool, 2047, "10.128.31.254");
    assert_int_equal(amm_pool_address(&pool, 0), 0);
    assert_int_equal(amm_pool_address(&pool, 2048), 0);
}

static void subnet_addresses_follow_the_server(void **state)
{
    (void)state;
    struct amm_pool pool = pool_of("10.128.0.0/24", AMM_SUBNET);
    check_address(&pool, 1, "10.128.0.2");
    check_address(&pool, 253, "10.128.0.254");
    assert_int_equal(amm_pool_address(&pool, 254), 0);
    assert_int_equal(amm_pool_server(&pool), 0x0a800001);
}

static void pools_hold_as_many_as_they_should(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum amm_topology topology;
        uint32_t slots;
    } cases[] = {
        {"10.128.0.0/19", AMM_NET30, 2047},  {"10.128.0.0/24", AMM_NET30, 63}, /* N4 */
        {"10.128.0.0/19", AMM_SUBNET, 8189}, {"10.128.0.0/24", AMM_SUBNET, 253},
        {"10.128.0.0/29", AMM_NET30, 1},     {"10.128.0.0/29", AMM_SUBNET, 5},
        {"10.128.0.0/16", AMM_NET30, 8191},  {"10.128.0.0/16", AMM_SUBNET, 8191},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct amm_pool pool = pool_of(cases[i].text, cases[i].topology);
        assert_int_equal(amm_pool_slots(&pool), cases[i].slots);
    }
}

/* Every address in and around the pool: it belongs to a slot exactly if that slot has it. */
static void check_all_addresses(const char *text, enum amm_topology topology)
{
    struct amm_pool pool = pool_of(text, topology);
    uint32_t size = ~amm_pool_mask(&pool) + 1;
    uint32_t found = 0;
    for (uint32_t ip = pool.network - 8; ip != pool.network + size + 8; ip++) {
        uint32_t slot = amm_pool_slot(&pool, ip);
        if (slot != 0) {
            found++;
            assert_int_equal(amm_pool_address(&pool, slot), ip);
            assert_true(ip > amm_pool_server(&pool));
            assert_true(ip < pool.network + size - 1); /* not the broadcast address */
        }
    }
    assert_int_equal(found, amm_pool_slots(&pool));
}

static void slots_and_addresses_are_inverse(void **state)
{
    (void)state;
    check_all_addresses("10.128.0.0/19", AMM_NET30);
    check_all_addresses("10.128.32.0/19", AMM_SUBNET);
    check_all_addresses("10.1.2.8/29", AMM_NET30);
    check_all_addresses("0.0.0.0/29", AMM_SUBNET);
    check_all_addresses("255.255.255.248/29", AMM_NET30);
    check_all_addresses("10.64.0.0/16", AMM_NET30);
}

static void impossible_pools_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "10.128.0.0",     "10.128.0.0/15",          "10.128.0.0/30",
        "10.128.0.1/19",  "10.128.16.0/19",         "10.128.0/19",
        "10.128.0.0/",    "10.128.0.0/1",           "10.128.0.0/190",
        "10.128.0.0/19x", "10.128.0.0/ 9",          "/19",
        "x/19",           "10.128.0.0000000000/19",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct amm_pool pool = {.prefix = 99};
        if (amm_pool_parse(&pool, cases[i], AMM_NET30)) {
            fail_msg("\"%s\" was taken", cases[i]);
        }
        assert_int_equal(pool.prefix, 99);
    }
}

static void overlap_is_seen_from_both_sides(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        uint8_t prefix_a, prefix_b;
        bool overlap;
    } cases[] = {
        {"10.128.0.0", "10.128.32.0", 19, 19, false}, {"10.128.0.0", "10.128.0.0", 19, 19, true},
        {"10.128.0.0", "10.128.31.0", 19, 24, true},  {"10.0.0.0", "10.128.0.0", 8, 19, true},
        {"0.0.0.0", "10.128.0.0", 0, 19, true},       {"10.128.31.254", "10.128.0.0", 32, 19, true},
        {"10.128.32.0", "10.128.0.0", 32, 19, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t a, b;
        assert_true(amm_ipv4_parse(&a, cases[i].a) && amm_ipv4_parse(&b, cases[i].b));
        assert_int_equal(amm_pool_overlap(a, cases[i].prefix_a, b, cases[i].prefix_b),
                         cases[i].overlap);
        assert_int_equal(amm_pool_overlap(b, cases[i].prefix_b, a, cases[i].prefix_a),
                         cases[i].overlap);
    }
}

static void peer_ids_carry_slot_and_generation(void **state)
{
    (void)state;
    uint32_t id = amm_peer_id(5, 2047);
    assert_int_equal(amm_peer_id_slot(id), 2047);
    assert_int_equal(amm_peer_id_generation(id), 5);
    assert_int_equal(amm_peer_id(AMM_GENERATIONS, 1), amm_peer_id(0, 1));
    /* "no peer id" never is one of ours */
    assert_true(amm_peer_id(AMM_GENERATIONS - 1, AMM_SLOT_MAX) < 0xffffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(net30_addresses_are_those_of_the_vectors),
        cmocka_unit_test(subnet_addresses_follow_the_server),
        cmocka_unit_test(pools_hold_as_many_as_they_should),
        cmocka_unit_test(slots_and_addresses_are_inverse),
        cmocka_unit_test(impossible_pools_are_refused),
        cmocka_unit_test(overlap_is_seen_from_both_sides),
        cmocka_unit_test(peer_ids_carry_slot_and_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
