#include "manager/places.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1800000000 };

static struct places *usual(uint32_t limit)
{
    static const char *const pools[] = {"10.4.32.0/19", "10.4.96.0/19", "10.4.160.0/19",
                                        "10.4.224.0/19"};
    struct places_port ports[4];
    for (unsigned i = 0; i < 4; i++) {
        ports[i] = (struct places_port){.port = (uint16_t)(1190 + i), .limit = limit};
        assert_true(amm_pool_parse(&ports[i].pool, pools[i], AMM_NET30));
    }
    struct places *places = places_new(ports, 4);
    assert_non_null(places);
    return places;
}

static uint32_t give(struct places *places, uint16_t port, int64_t gateway)
{
    uint32_t slot = places_choose(places, port, NOW);
    assert_true(slot != 0 && places_take(places, port, slot, gateway));
    return slot;
}

static void addresses_are_those_of_net30(void **state)
{
    (void)state;
    struct places *places = usual(2047);
    assert_int_equal(places_address(places, 1190, 1), 0x0a042006);    /* 10.4.32.6 */
    assert_int_equal(places_address(places, 1193, 2047), 0x0a04fffe); /* 10.4.255.254 */
    assert_int_equal(places_address(places, 1190, 2048), 0);
    assert_int_equal(places_address(places, 1190, 0), 0);
    assert_int_equal(places_address(places, 1194, 1), 0);
    places_free(places);
}

/* The four ports are never further apart than one gateway, whatever the order, and all 8188 fit. */
static void gateways_that_nobody_placed_fill_the_ports_evenly(void **state)
{
    (void)state;
    struct places *places = usual(2047);
    for (int64_t gateway = 1; gateway <= 4 * 2047; gateway++) {
        uint16_t port = places_balance(places, 0);
        give(places, port, gateway);
        uint32_t least = UINT32_MAX, most = 0;
        for (uint16_t p = 1190; p <= 1193; p++) {
            uint32_t taken = places_taken(places, p);
            least = taken < least ? taken : least;
            most = taken > most ? taken : most;
        }
        assert_true(most - least <= 1);
    }
    assert_int_equal(places_balance(places, 0), 0);
    assert_int_equal(places_choose(places, 1192, NOW), 0);
    places_free(places);
}

static void ports_of_different_size_fill_to_the_same_share(void **state)
{
    (void)state;
    struct places_port ports[2] = {{.port = 1190, .limit = 100}, {.port = 1191, .limit = 300}};
    amm_pool_parse(&ports[0].pool, "10.4.32.0/22", AMM_NET30);
    amm_pool_parse(&ports[1].pool, "10.4.96.0/19", AMM_SUBNET);
    struct places *places = places_new(ports, 2);
    for (int64_t gateway = 1; gateway <= 200; gateway++) {
        give(places, places_balance(places, 0), gateway);
    }
    assert_int_equal(places_taken(places, 1190), 50);
    assert_int_equal(places_taken(places, 1191), 150);
    places_free(places);
}

/* Random taking, giving back and balancing against a plain table of who has what. */
static void no_slot_ever_has_two_gateways(void **state)
{
    (void)state;
    enum { GATEWAYS = 400, LIMIT = 60 };
    struct places *places = usual(LIMIT);
    struct {
        uint16_t port;
        uint32_t slot;
    } has[GATEWAYS + 1] = {0};
    srand(7);
    for (int64_t step = 0; step < 50000; step++) {
        int64_t gateway = 1 + rand() % GATEWAYS;
        if (has[gateway].port != 0) {
            assert_int_equal(places_owner(places, has[gateway].port, has[gateway].slot), gateway);
            places_release(places, has[gateway].port, has[gateway].slot, NOW + step);
            has[gateway].port = 0;
            continue;
        }
        uint16_t port = places_balance(places, 0);
        if (port == 0) {
            continue;
        }
        uint32_t slot = places_choose(places, port, NOW + step);
        for (unsigned i = 1; i <= GATEWAYS; i++) {
            assert_false(has[i].port == port && has[i].slot == slot);
        }
        assert_true(places_take(places, port, slot, gateway));
        has[gateway].port = port;
        has[gateway].slot = slot;
        assert_true(places_taken(places, port) <= LIMIT);
    }
    places_free(places);
}

static void a_slot_that_was_given_back_cools(void **state)
{
    (void)state;
    struct places *places = usual(3);
    assert_int_equal(give(places, 1190, 1), 1);
    assert_int_equal(give(places, 1190, 2), 2);
    places_release(places, 1190, 1, NOW);
    assert_int_equal(places_choose(places, 1190, NOW + 1), 3);
    assert_int_equal(places_choose(places, 1190, NOW + PLACES_COOL), 1);
    places_free(places);
}

static void when_all_are_warm_the_coolest_goes(void **state)
{
    (void)state;
    struct places_port port = {.port = 1190, .limit = 3};
    amm_pool_parse(&port.pool, "10.4.32.0/28", AMM_NET30);
    struct places *places = places_new(&port, 1);
    for (int64_t gateway = 1; gateway <= 3; gateway++) {
        give(places, 1190, gateway);
    }
    places_release(places, 1190, 1, NOW + 5);
    places_release(places, 1190, 3, NOW + 2);
    assert_int_equal(places_choose(places, 1190, NOW + 6), 3);
    places_free(places);
}

static void what_is_taken_cannot_be_taken(void **state)
{
    (void)state;
    struct places *places = usual(2047);
    assert_true(places_take(places, 1191, 7, 1));
    assert_true(places_take(places, 1191, 7, 1));
    assert_false(places_take(places, 1191, 7, 2));
    assert_false(places_take(places, 1191, 0, 2));
    assert_false(places_take(places, 1191, 2048, 2));
    assert_false(places_take(places, 1200, 7, 2));
    assert_int_equal(places_taken(places, 1191), 1);
    places_free(places);
}

static void a_draining_port_is_chosen_last(void **state)
{
    (void)state;
    struct places *places = usual(1);
    assert_int_equal(places_balance(places, 1), 1191);
    for (uint16_t port = 1191; port <= 1193; port++) {
        give(places, port, port);
    }
    assert_int_equal(places_balance(places, 1), 1190);
    places_free(places);
}

static void a_full_port_says_so_with_the_numbers(void **state)
{
    (void)state;
    struct places *places = usual(2);
    char text[160];
    give(places, 1190, 1);
    give(places, 1190, 2);
    give(places, 1192, 3);
    places_say_full(places, 1190, text, sizeof text);
    assert_string_equal(
        text, "port 1190 is full: 2 of 2 places are taken; free: 2 on 1191, 1 on 1192, 2 on 1193");
    places_free(places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_those_of_net30),
        cmocka_unit_test(gateways_that_nobody_placed_fill_the_ports_evenly),
        cmocka_unit_test(ports_of_different_size_fill_to_the_same_share),
        cmocka_unit_test(no_slot_ever_has_two_gateways),
        cmocka_unit_test(a_slot_that_was_given_back_cools),
        cmocka_unit_test(when_all_are_warm_the_coolest_goes),
        cmocka_unit_test(what_is_taken_cannot_be_taken),
        cmocka_unit_test(a_draining_port_is_chosen_last),
        cmocka_unit_test(a_full_port_says_so_with_the_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
