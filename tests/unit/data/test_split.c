/* data/offload: cutting super-packets gives the packets that a sender without offload would have
 * sent. */
#include "data/offload.h"

#include "support/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { ROOM = 70000, TCPV4 = 1, UDP_L4 = 5, ECN = 0x80, NEEDS_CSUM = 1 };
enum { FIN = 1, PSH = 8, ACK = 16, CWR = 128 };

static uint8_t whole[ROOM], out[ROOM];

static struct packet tcp_packet(size_t payload)
{
    return (struct packet){.source = 0x0a800001,
                           .destination = 0x0a800006,
                           .protocol = 6,
                           .flags = ACK | PSH,
                           .source_port = 1000,
                           .destination_port = 2000,
                           .id = 0xfffe,
                           .fragment = 0x4000,
                           .sequence = 0xfffffc00,
                           .acknowledged = 77,
                           .window = 500,
                           .options =
                               (const uint8_t *)"\x01\x01\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x02",
                           .n_options = 12,
                           .payload = payload};
}

/* What a split must give as packet `index`, made from scratch. */
static size_t expected_packet(struct packet packet, size_t segment, size_t index, uint8_t *expected)
{
    size_t offset = segment * index;
    bool last = packet.payload - offset <= segment;
    packet.payload = last ? packet.payload - offset : segment;
    packet.fill = (uint8_t)(packet.fill + offset);
    packet.id = (uint16_t)(packet.id + index);
    packet.sequence += (uint32_t)offset;
    if (packet.protocol == 6 && !last) {
        packet.flags &= (uint8_t) ~(PSH | FIN);
    }
    if (index > 0) {
        packet.flags &= (uint8_t)~CWR;
    }
    return packet_build(&packet, expected, ROOM);
}

static void check_split(struct packet packet, uint8_t gso_type, uint16_t segment)
{
    static uint8_t expected[ROOM];
    struct amm_split split;
    size_t len = packet_build(&packet, whole, sizeof whole);
    struct amm_vnet vnet = {.flags = NEEDS_CSUM, .gso_type = gso_type, .gso_size = segment};
    assert_true(amm_split_init(&split, &vnet, amm_view(whole, len)));
    size_t n = packet.payload == 0 ? 1 : (packet.payload + segment - 1) / segment;
    for (size_t i = 0; i < n; i++) {
        size_t got = amm_split_next(&split, out, sizeof out);
        assert_int_equal(got, expected_packet(packet, segment, i, expected));
        assert_memory_equal(out, expected, got);
        assert_true(packet_is_sound(amm_view(out, got)));
    }
    assert_int_equal(amm_split_next(&split, out, sizeof out), 0);
    assert_int_equal(amm_split_next(&split, out, sizeof out), 0);
}

static void tcp_is_cut_as_a_sender_would(void **state)
{
    (void)state;
    static const size_t payloads[] = {0, 1, 99, 100, 101, 200, 201, 1999, 60000};
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        check_split(tcp_packet(payloads[i]), TCPV4, 100);
    }
    check_split(tcp_packet(65000), TCPV4, 1348);
}

static void fin_and_psh_are_on_the_last_and_cwr_on_the_first(void **state)
{
    (void)state;
    struct packet packet = tcp_packet(1000);
    packet.flags = ACK | FIN | PSH | CWR;
    check_split(packet, TCPV4 | ECN, 300);
}

static void udp_is_cut_with_its_lengths(void **state)
{
    (void)state;
    struct packet packet = {.source = 1,
                            .destination = 2,
                            .protocol = 17,
                            .source_port = 5,
                            .destination_port = 6,
                            .id = 9,
                            .payload = 2500,
                            .fill = 3};
    check_split(packet, UDP_L4, 1000);
    check_split(packet, UDP_L4, 2500);
    packet.payload = 1;
    check_split(packet, UDP_L4, 1000);
}

static void a_udp_checksum_of_zero_is_sent_as_ones(void **state)
{
    (void)state;
    /* Search the payload that sums up to zero; the checksum then must not look absent. */
    struct packet packet = {.source = 1, .destination = 2, .protocol = 17, .payload = 4};
    for (uint32_t fill = 0; fill < 256; fill++) {
        for (uint32_t port = 0; port < 65536; port += 1) {
            packet.fill = (uint8_t)fill;
            packet.source_port = (uint16_t)port;
            size_t len = packet_build(&packet, whole, sizeof whole);
            if (amm_load_u16(whole + 26) == 0xffff) {
                struct amm_split split;
                struct amm_vnet vnet = {.gso_type = UDP_L4, .gso_size = 100};
                assert_true(amm_split_init(&split, &vnet, amm_view(whole, len)));
                assert_int_equal(amm_split_next(&split, out, sizeof out), len);
                assert_int_equal(amm_load_u16(out + 26), 0xffff);
                return;
            }
        }
    }
    fail();
}

static void single_packets_pass_as_they_are(void **state)
{
    (void)state;
    struct amm_split split;
    struct amm_vnet vnet = {0};
    struct packet packet = tcp_packet(50);
    size_t len = packet_build(&packet, whole, sizeof whole);
    whole[36] ^= 1; /* a wrong checksum is not ours to mend */
    assert_true(amm_split_init(&split, &vnet, amm_view(whole, len)));
    assert_int_equal(amm_split_next(&split, out, sizeof out), len);
    assert_memory_equal(out, whole, len);
    assert_int_equal(amm_split_next(&split, out, sizeof out), 0);
    uint8_t ipv6[41] = {0x60, 1, 2, 3};
    assert_true(amm_split_init(&split, &vnet, amm_view(ipv6, sizeof ipv6)));
    assert_int_equal(amm_split_next(&split, out, sizeof out), sizeof ipv6);
}

static void checksums_left_open_are_completed(void **state)
{
    (void)state;
    struct packet packet = tcp_packet(51);
    struct amm_split split;
    struct amm_vnet vnet = {.flags = NEEDS_CSUM, .csum_start = 20, .csum_offset = 16};
    uint8_t right[256];
    size_t len = packet_build(&packet, whole, sizeof whole);
    memcpy(right, whole, len);
    amm_store_u16(whole + 36, packet_sum(whole + 12, 8, 6 + (uint32_t)len - 20));
    assert_true(amm_split_init(&split, &vnet, amm_view(whole, len)));
    assert_int_equal(amm_split_next(&split, out, sizeof out), len);
    assert_memory_equal(out, right, len);
}

static void impossible_headers_are_refused(void **state)
{
    (void)state;
    struct amm_split split;
    struct packet packet = tcp_packet(1000);
    size_t len = packet_build(&packet, whole, sizeof whole);
    const struct amm_vnet bad[] = {
        {.gso_type = TCPV4, .gso_size = 0},
        {.gso_type = UDP_L4, .gso_size = 100}, /* the packet is TCP */
        {.gso_type = 3, .gso_size = 100},      /* UFO */
        {.gso_type = 4, .gso_size = 100},      /* TCPv6 */
        {.gso_type = 2, .gso_size = 100},
        {.flags = NEEDS_CSUM, .csum_start = (uint16_t)(len - 17), .csum_offset = 16},
        {.flags = NEEDS_CSUM, .csum_start = 65535, .csum_offset = 65535},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(amm_split_init(&split, &bad[i], amm_view(whole, len)));
    }
    const struct amm_vnet good = {.gso_type = TCPV4, .gso_size = 100};
    assert_true(amm_split_init(&split, &good, amm_view(whole, len)));
    for (size_t n = 0; n < 52; n++) {
        assert_false(amm_split_init(&split, &good, amm_view(whole, n)));
    }
    assert_true(amm_split_init(&split, &good, amm_view(whole, 52)));
    whole[0] = 0x44;
    assert_false(amm_split_init(&split, &good, amm_view(whole, len)));
    whole[0] = 0x65;
    assert_false(amm_split_init(&split, &good, amm_view(whole, len)));
    whole[0] = 0x45;
    whole[32] = 0x40; /* TCP header of 16 bytes */
    assert_false(amm_split_init(&split, &good, amm_view(whole, len)));
    const struct amm_vnet none = {0};
    assert_false(amm_split_init(&split, &none, amm_view(whole, 0)));
}

static void too_little_room_ends_the_walk(void **state)
{
    (void)state;
    struct amm_split split;
    struct packet packet = tcp_packet(1000);
    size_t len = packet_build(&packet, whole, sizeof whole);
    const struct amm_vnet vnet = {.gso_type = TCPV4, .gso_size = 100};
    assert_true(amm_split_init(&split, &vnet, amm_view(whole, len)));
    assert_int_equal(amm_split_next(&split, out, 151), 0);
    const struct amm_vnet none = {0};
    assert_true(amm_split_init(&split, &none, amm_view(whole, len)));
    assert_int_equal(amm_split_next(&split, out, len - 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_is_cut_as_a_sender_would),
        cmocka_unit_test(fin_and_psh_are_on_the_last_and_cwr_on_the_first),
        cmocka_unit_test(udp_is_cut_with_its_lengths),
        cmocka_unit_test(a_udp_checksum_of_zero_is_sent_as_ones),
        cmocka_unit_test(single_packets_pass_as_they_are),
        cmocka_unit_test(checksums_left_open_are_completed),
        cmocka_unit_test(impossible_headers_are_refused),
        cmocka_unit_test(too_little_room_ends_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
