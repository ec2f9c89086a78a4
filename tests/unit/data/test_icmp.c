/* data/offload: "fragmentation needed" (RFC 1191), and to whom it is never sent (RFC 1122, 3.2.2).
 */
#include "data/offload.h"

#include "support/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static uint8_t packet[2048], out[600];

static size_t build(uint8_t protocol, uint8_t flags, size_t payload)
{
    struct packet p = {.source = 0x0a800006,
                       .destination = 0x0a800001,
                       .protocol = protocol,
                       .flags = flags,
                       .payload = payload};
    return packet_build(&p, packet, sizeof packet);
}

static void a_large_packet_is_answered_with_its_head(void **state)
{
    (void)state;
    size_t len = build(17, 0, 1472);
    size_t answer = amm_icmp_too_big(amm_view(packet, len), 0x0a800001, 1400, out, sizeof out);
    assert_int_equal(answer, 576);
    assert_true(packet_is_sound(amm_view(out, answer)));
    assert_int_equal(out[9], 1);
    assert_int_equal(amm_load_u32(out + 12), 0x0a800001);
    assert_int_equal(amm_load_u32(out + 16), 0x0a800006);
    assert_int_equal(out[20], 3);
    assert_int_equal(out[21], 4);
    assert_int_equal(amm_load_u16(out + 26), 1400);
    assert_memory_equal(out + 28, packet, 548);
}

static void a_small_packet_is_quoted_whole(void **state)
{
    (void)state;
    size_t len = build(6, 16, 1);
    size_t answer = amm_icmp_too_big(amm_view(packet, len), 1, 1400, out, sizeof out);
    assert_int_equal(answer, 28 + len);
    assert_true(packet_is_sound(amm_view(out, answer)));
    assert_int_equal(amm_icmp_too_big(amm_view(packet, len), 1, 1400, out, 28 + len - 1), 0);
}

static void errors_fragments_and_strange_sources_are_not_answered(void **state)
{
    (void)state;
    size_t len = build(1, 3, 100); /* unreachable */
    assert_int_equal(amm_icmp_too_big(amm_view(packet, len), 1, 1400, out, sizeof out), 0);
    len = build(1, 8, 100); /* echo request: a question */
    assert_int_not_equal(amm_icmp_too_big(amm_view(packet, len), 1, 1400, out, sizeof out), 0);
    packet[7] = 1;
    assert_int_equal(amm_icmp_too_big(amm_view(packet, len), 1, 1400, out, sizeof out), 0);
    packet[7] = 0;
    packet[12] = 224;
    assert_int_equal(amm_icmp_too_big(amm_view(packet, len), 1, 1400, out, sizeof out), 0);
    packet[12] = 0;
    assert_int_equal(amm_icmp_too_big(amm_view(packet, len), 1, 1400, out, sizeof out), 0);
    packet[12] = 10;
    for (size_t n = 0; n < 28; n++) {
        assert_int_equal(amm_icmp_too_big(amm_view(packet, n), 1, 1400, out, sizeof out), 0);
    }
    packet[0] = 0x44;
    assert_int_equal(amm_icmp_too_big(amm_view(packet, len), 1, 1400, out, sizeof out), 0);
    packet[0] = 0x60;
    assert_int_equal(amm_icmp_too_big(amm_view(packet, len), 1, 1400, out, sizeof out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_packet_is_answered_with_its_head),
        cmocka_unit_test(a_small_packet_is_quoted_whole),
        cmocka_unit_test(errors_fragments_and_strange_sources_are_not_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
