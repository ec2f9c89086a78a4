/* data/peer: what another thread reads of a record is whole, and holds no keys. */
#include "data/peer.h"

#include "data/plane.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct amm_peer live_peer(void)
{
    struct amm_peer peer = {.sequence = 4,
                            .state = AMM_PEER_LIVE,
                            .peer_id = 77,
                            .inner_ip = 0x0a800006,
                            .rx_packets = 5,
                            .last_drop = AMM_DROP_COUNT,
                            .name = "gateway-1"};
    memset(peer.keys[1].tx.bytes, 0x5a, sizeof peer.keys[1].tx.bytes);
    memset(peer.keys[1].rx.bytes, 0x5a, sizeof peer.keys[1].rx.bytes);
    memset(peer.keys[1].tx_iv, 0x5a, sizeof peer.keys[1].tx_iv);
    peer.keys[1].tx.cipher = AMM_CIPHER_AES_128_GCM;
    peer.keys[1].state = AMM_KEY_SEND;
    peer.keys[1].key_id = 3;
    peer.keys[1].replay.highest = 9;
    return peer;
}

static void a_settled_record_is_read(void **state)
{
    (void)state;
    struct amm_peer peer = live_peer();
    struct amm_peer copy;
    assert_true(amm_peer_read(&peer, &copy));
    assert_string_equal(copy.name, "gateway-1");
    assert_int_equal(copy.peer_id, 77);
    assert_int_equal(copy.rx_packets, 5);
    assert_int_equal(copy.last_drop, AMM_DROP_COUNT);
    assert_int_equal(copy.keys[1].tx.cipher, AMM_CIPHER_AES_128_GCM);
    assert_int_equal(copy.keys[1].state, AMM_KEY_SEND);
    assert_int_equal(copy.keys[1].key_id, 3);
    assert_int_equal(copy.keys[1].replay.highest, 9);
}

static void key_bytes_are_not_copied(void **state)
{
    (void)state;
    struct amm_peer peer = live_peer();
    struct amm_peer copy;
    assert_true(amm_peer_read(&peer, &copy));
    const uint8_t *bytes = (const uint8_t *)&copy;
    for (size_t i = 0; i + 1 < sizeof copy; i++) {
        assert_false(bytes[i] == 0x5a && bytes[i + 1] == 0x5a);
    }
}

static void a_record_in_the_middle_of_a_change_is_not_read(void **state)
{
    (void)state;
    struct amm_peer peer = live_peer();
    struct amm_peer copy;
    peer.sequence = 5;
    assert_false(amm_peer_read(&peer, &copy));
}

static void a_free_record_is_not_read(void **state)
{
    (void)state;
    struct amm_peer peer = {0};
    struct amm_peer copy;
    assert_false(amm_peer_read(&peer, &copy));
}

static void a_table_has_two_places_for_each_slot(void **state)
{
    (void)state;
    static struct amm_peer table[8];
    assert_int_equal(amm_peer_table_size(3), sizeof table);
    assert_null(amm_peer_table_at(table, 3, amm_peer_id(0, 0)));
    assert_null(amm_peer_table_at(table, 3, amm_peer_id(0, 4)));
    assert_null(amm_peer_table_at(table, 3, 0xffffff));
    assert_null(amm_peer_table_at(table, 3, 0x1000001));
    for (uint32_t slot = 1; slot <= 3; slot++) {
        struct amm_peer *even = amm_peer_table_at(table, 3, amm_peer_id(4, slot));
        struct amm_peer *odd = amm_peer_table_at(table, 3, amm_peer_id(7, slot));
        assert_true(even >= table && odd < table + 8);
        assert_ptr_equal(odd, even + 1);
        assert_ptr_equal(even, amm_peer_table_at(table, 3, amm_peer_id(0, slot)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_settled_record_is_read),
        cmocka_unit_test(key_bytes_are_not_copied),
        cmocka_unit_test(a_record_in_the_middle_of_a_change_is_not_read),
        cmocka_unit_test(a_free_record_is_not_read),
        cmocka_unit_test(a_table_has_two_places_for_each_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
