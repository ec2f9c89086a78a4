/* data/offload: the MSS option of a SYN is lowered, the checksum stays right, and bad options harm
 * nobody (CVE-2017-7508). */
#include "data/offload.h"

#include "base/random.h"
#include "support/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { SYN = 2, ACK = 16 };

static size_t syn(uint8_t *out, const void *options, size_t n, uint8_t flags)
{
    struct packet packet = {.source = 0x0a800006,
                            .destination = 0x0a800001,
                            .protocol = 6,
                            .flags = flags,
                            .source_port = 1,
                            .destination_port = 80,
                            .options = options,
                            .n_options = n};
    return packet_build(&packet, out, 256);
}

static void check(const char *options, size_t n, size_t at, uint16_t expected)
{
    uint8_t packet[256];
    size_t len = syn(packet, options, n, SYN);
    amm_mss_clamp((struct amm_span){packet, len}, 1360);
    assert_int_equal(amm_load_u16(packet + 40 + at), expected);
    assert_true(packet_is_sound(amm_view(packet, len)));
}

static void a_large_mss_is_lowered_and_a_small_one_kept(void **state)
{
    (void)state;
    check("\x02\x04\x05\xb4", 4, 2, 1360); /* 1460 */
    check("\x02\x04\x05\x51", 4, 2, 1360); /* 1361 */
    check("\x02\x04\x05\x50", 4, 2, 1360); /* 1360 */
    check("\x02\x04\x02\x18", 4, 2, 536);
    check("\x02\x04\xff\xff", 4, 2, 1360);
    check("\x01\x01\x01\x02\x04\x05\xb4\x00", 8, 5, 1360); /* at an odd offset */
    check("\x04\x02\x08\x0a________\x02\x04\x05\xb4", 16, 14, 1360);
}

static void a_syn_ack_is_clamped_and_other_packets_are_not(void **state)
{
    (void)state;
    uint8_t packet[256];
    size_t len = syn(packet, "\x02\x04\x05\xb4", 4, SYN | ACK);
    amm_mss_clamp((struct amm_span){packet, len}, 1360);
    assert_int_equal(amm_load_u16(packet + 42), 1360);
    len = syn(packet, "\x02\x04\x05\xb4", 4, ACK);
    amm_mss_clamp((struct amm_span){packet, len}, 1360);
    assert_int_equal(amm_load_u16(packet + 42), 1460);
    len = syn(packet, "\x02\x04\x05\xb4", 4, SYN);
    packet[9] = 17;
    amm_mss_clamp((struct amm_span){packet, len}, 1360);
    assert_int_equal(amm_load_u16(packet + 42), 1460);
    packet[9] = 6;
    packet[7] = 1; /* a later fragment */
    amm_mss_clamp((struct amm_span){packet, len}, 1360);
    assert_int_equal(amm_load_u16(packet + 42), 1460);
}

static void malformed_options_are_left_as_they_are(void **state)
{
    (void)state;
    static const char *const options[] = {
        "\x08\x00\x02\x04\x05\xb4\x00\x00", /* length 0 would never end */
        "\x08\x01\x02\x04\x05\xb4\x00\x00",
        "\x08\x7f\x02\x04\x05\xb4\x00\x00", /* beyond the header */
        "\x02\x03\x05\xb4\x02\x04\x05\xb4", /* MSS of a wrong length */
        "\x02\x06\x05\xb4\x05\xb4\x00\x00",
        "\x00\x02\x04\x05\xb4\x00\x00\x00", /* behind the end */
        "\x01\x01\x01\x01\x01\x02\x04\x05", /* cut by the end of the header */
        "\x01\x01\x01\x01\x01\x01\x01\x02",
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        uint8_t packet[256], before[256];
        size_t len = syn(packet, options[i], 8, SYN);
        packet[len] = 0xb4; /* what stands behind the header is none of its business */
        memcpy(before, packet, sizeof before);
        amm_mss_clamp((struct amm_span){packet, len + 1}, 1360);
        assert_memory_equal(packet, before, len + 1);
    }
}

static void cut_and_random_packets_are_survived(void **state)
{
    (void)state;
    struct amm_seeded_random seeded;
    amm_seeded_random_init(&seeded, 1);
    struct amm_random random = amm_seeded_random(&seeded);
    uint8_t packet[256];
    size_t len = syn(packet, "\x01\x01\x01\x01\x02\x04\x05\xb4", 8, SYN);
    for (size_t n = 0; n < len; n++) {
        uint8_t cut[256];
        memcpy(cut, packet, n);
        amm_mss_clamp((struct amm_span){cut, n}, 1360);
        assert_memory_equal(cut, packet, n);
    }
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[80];
        size_t n = amm_random_below(&random, sizeof bytes);
        amm_random_fill(&random, bytes, n);
        if (n > 33) {
            bytes[0] = (uint8_t)(0x40 | bytes[0] % 9);
            bytes[9] = 6;
            bytes[33] |= SYN;
            bytes[6] = bytes[7] = 0;
        }
        amm_mss_clamp((struct amm_span){bytes, n}, 100);
    }
}

static void every_change_keeps_the_checksum_right(void **state)
{
    (void)state;
    for (uint32_t mss = 0; mss < 65536; mss += 13) {
        uint8_t options[8] = {1, 2, 4, (uint8_t)(mss >> 8), (uint8_t)mss};
        uint8_t packet[256];
        size_t len = syn(packet, options, sizeof options, SYN);
        amm_mss_clamp((struct amm_span){packet, len}, (uint16_t)(mss % 1400));
        assert_true(packet_is_sound(amm_view(packet, len)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_mss_is_lowered_and_a_small_one_kept),
        cmocka_unit_test(a_syn_ack_is_clamped_and_other_packets_are_not),
        cmocka_unit_test(malformed_options_are_left_as_they_are),
        cmocka_unit_test(cut_and_random_packets_are_survived),
        cmocka_unit_test(every_change_keeps_the_checksum_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
