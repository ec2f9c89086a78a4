#include "inner.h"

#include "data/offload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { OWN = 0x0A042006, SERVER = 0x0A042001, ROOM = 128 };

static bool sums_to_zero(const uint8_t *at, size_t len)
{
    return amm_checksum(amm_view(at, len), 0) == 0xFFFF;
}

static enum inner_kind take(uint8_t *packet, size_t len, uint32_t own, uint16_t *id,
                            uint64_t *stamp)
{
    return inner_take((struct amm_span){packet, len}, own, id, stamp);
}

static void an_echo_request_becomes_its_reply_with_right_checksums(void **state)
{
    (void)state;
    uint8_t packet[ROOM];
    uint16_t id;
    uint64_t stamp;
    size_t len = inner_echo(packet, 64, SERVER, OWN, 7, 3, UINT64_C(0x1122334455667788));
    assert_int_equal(len, 64);
    assert_true(sums_to_zero(packet, 20) && sums_to_zero(packet + 20, len - 20));
    assert_int_equal(take(packet, len, OWN, &id, &stamp), INNER_ANSWERED);
    assert_true(sums_to_zero(packet, 20) && sums_to_zero(packet + 20, len - 20));
    assert_int_equal(take(packet, len, SERVER, &id, &stamp), INNER_REPLY);
    assert_int_equal(id, 7);
    assert_true(stamp == UINT64_C(0x1122334455667788));
}

static void packets_for_others_and_malformed_ones_are_left_alone(void **state)
{
    (void)state;
    uint8_t packet[ROOM], copy[ROOM];
    uint16_t id;
    uint64_t stamp;
    size_t len = inner_echo(packet, 64, SERVER, OWN, 7, 3, 1);
    assert_int_equal(take(packet, len, OWN + 4, &id, &stamp), INNER_OTHER);
    for (size_t cut = 0; cut < 64; cut++) {
        memcpy(copy, packet, len);
        assert_int_equal(take(copy, cut, OWN, &id, &stamp), INNER_OTHER);
    }
    const struct {
        size_t at;
        uint8_t value;
    } changes[] = {{0, 0x65}, {0, 0x44}, {0, 0x4F}, {3, 19},  {3, 65},
                   {6, 0x20}, {7, 1},    {9, 6},    {20, 13}, {21, 1}};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        memcpy(copy, packet, len);
        copy[changes[i].at] = changes[i].value;
        assert_int_equal(take(copy, len, OWN, &id, &stamp), INNER_OTHER);
    }
}

static void udp_echo_answers_port_7_only_and_never_another_echo(void **state)
{
    (void)state;
    uint8_t packet[ROOM];
    uint16_t id;
    uint64_t stamp;
    size_t len = inner_echo(packet, 64, SERVER, OWN, 0, 0, 0);
    packet[9] = 17;
    amm_store_u16(packet + 20, 40000);
    amm_store_u16(packet + 22, 7);
    assert_int_equal(take(packet, len, OWN, &id, &stamp), INNER_ANSWERED);
    assert_int_equal(amm_load_u32(packet + 12), OWN);
    assert_int_equal(amm_load_u16(packet + 20), 7);
    assert_int_equal(amm_load_u16(packet + 22), 40000);
    assert_int_equal(take(packet, len, SERVER, &id, &stamp), INNER_OTHER);
    amm_store_u16(packet + 22, 7);
    assert_int_equal(take(packet, len, SERVER, &id, &stamp), INNER_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_echo_request_becomes_its_reply_with_right_checksums),
        cmocka_unit_test(packets_for_others_and_malformed_ones_are_left_alone),
        cmocka_unit_test(udp_echo_answers_port_7_only_and_never_another_echo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
