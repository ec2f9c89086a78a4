/* data/offload: what is joined, split again, gives the very packets that came, flow by flow in
 * order. */
#include "data/offload.h"

#include "base/random.h"
#include "support/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SYN = 2, PSH = 8, ACK = 16, TCPV4 = 1, NEEDS_CSUM = 1 };

static struct packet data_packet(uint32_t index)
{
    return (struct packet){.source = 0x0a800006,
                           .destination = 0x0a800001,
                           .protocol = 6,
                           .flags = ACK,
                           .source_port = 9443,
                           .destination_port = 40000,
                           .fragment = 0x4000,
                           .id = (uint16_t)(7 + index),
                           .sequence = 1000 + 500 * index,
                           .acknowledged = 5,
                           .window = 9,
                           .payload = 500,
                           .fill = (uint8_t)index};
}

static void add(struct amm_coalesce *coalesce, struct packet packet)
{
    uint8_t bytes[2048];
    assert_true(
        amm_coalesce_add(coalesce, amm_view(bytes, packet_build(&packet, bytes, sizeof bytes))));
}

/* Takes the next item; it must consist of `n` packets. */
static void expect_item(struct amm_coalesce *coalesce, size_t n)
{
    struct amm_view item = amm_coalesce_take(coalesce);
    struct amm_vnet vnet;
    struct amm_split split;
    uint8_t out[2048];
    size_t got = 0;
    assert_true(item.len > AMM_VNET_LEN);
    memcpy(&vnet, item.data, AMM_VNET_LEN);
    assert_int_equal(vnet.gso_type, n > 1 ? TCPV4 : 0);
    assert_true(
        amm_split_init(&split, &vnet, amm_view(item.data + AMM_VNET_LEN, item.len - AMM_VNET_LEN)));
    while (amm_split_next(&split, out, sizeof out) > 0) {
        got++;
    }
    assert_int_equal(got, n);
}

static void expect_end(struct amm_coalesce *coalesce)
{
    assert_null(amm_coalesce_take(coalesce).data);
}

static void consecutive_packets_become_one(void **state)
{
    struct amm_coalesce *c = *state;
    for (uint32_t i = 0; i < 5; i++) {
        add(c, data_packet(i));
    }
    struct amm_view item = amm_coalesce_take(c);
    struct amm_vnet vnet;
    memcpy(&vnet, item.data, AMM_VNET_LEN);
    const uint8_t *ip = item.data + AMM_VNET_LEN;
    size_t len = item.len - AMM_VNET_LEN;
    assert_int_equal(vnet.flags, NEEDS_CSUM);
    assert_int_equal(vnet.gso_type, TCPV4);
    assert_int_equal(vnet.gso_size, 500);
    assert_int_equal(vnet.hdr_len, 40);
    assert_int_equal(vnet.csum_start, 20);
    assert_int_equal(vnet.csum_offset, 16);
    assert_int_equal(len, 40 + 2500);
    assert_int_equal(amm_load_u16(ip + 2), len);
    assert_int_equal(packet_sum(ip, 20, 0), 0xffff);
    /* The pseudo header's sum, as the kernel wants it. */
    assert_int_equal(amm_load_u16(ip + 36), packet_sum(ip + 12, 8, 6 + (uint32_t)len - 20));
    expect_end(c);
}

static void a_single_packet_passes_untouched(void **state)
{
    struct amm_coalesce *c = *state;
    uint8_t bytes[2048];
    static const uint8_t no_header[AMM_VNET_LEN];
    struct packet packet = data_packet(0);
    size_t len = packet_build(&packet, bytes, sizeof bytes);
    assert_true(amm_coalesce_add(c, amm_view(bytes, len)));
    struct amm_view item = amm_coalesce_take(c);
    assert_int_equal(item.len, len + AMM_VNET_LEN);
    assert_memory_equal(item.data, no_header, AMM_VNET_LEN);
    assert_memory_equal(item.data + AMM_VNET_LEN, bytes, len);
    expect_end(c);
}

/* Two packets of which the second differs in one respect: they must stay apart. */
static void apart(struct amm_coalesce *c, struct packet second, const char *what)
{
    struct amm_view item;
    int n = 0;
    add(c, data_packet(0));
    add(c, second);
    while ((item = amm_coalesce_take(c)).data != NULL) {
        n++;
    }
    if (n != 2) {
        fail_msg("joined in spite of %s", what);
    }
}

static void packets_that_differ_stay_apart(void **state)
{
    struct amm_coalesce *c = *state;
    static const uint8_t options[] = {1, 1, 1, 1};
    struct packet p;
#define APART(field, value)                                                                        \
    p = data_packet(1);                                                                            \
    p.field = value;                                                                               \
    apart(c, p, #field)
    APART(sequence, 1501);
    APART(sequence, 1000); /* a copy of the first */
    APART(sequence, 1499);
    APART(acknowledged, 6);
    APART(window, 10);
    APART(urgent, 1); /* without its flag: means nothing, but a split must give it back */
    APART(tos, 4);
    APART(ttl, 63);
    APART(id, 9);
    APART(fragment, 0);
    APART(source, 0x0a80000a);
    APART(destination, 0x0a800002);
    APART(source_port, 9444);
    APART(destination_port, 40001);
    APART(payload, 501); /* larger than the first */
    APART(payload, 0);
    APART(flags, ACK | SYN);
    APART(flags, ACK | 1);
    APART(flags, ACK | 4);
    APART(flags, ACK | 32);
    APART(flags, ACK | 64);
    APART(flags, ACK | 128);
    APART(flags, 0);
    p = data_packet(1);
    p.options = options;
    p.n_options = sizeof options;
    apart(c, p, "options");
}

static void equal_options_join_and_different_ones_do_not(void **state)
{
    struct amm_coalesce *c = *state;
    static const uint8_t one[] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
    static const uint8_t two[] = {1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 2};
    for (uint32_t i = 0; i < 3; i++) {
        struct packet p = data_packet(i);
        p.options = i < 2 ? one : two;
        p.n_options = sizeof one;
        add(c, p);
    }
    expect_item(c, 2);
    expect_item(c, 1);
    expect_end(c);
}

static void a_corrupted_packet_is_not_laundered(void **state)
{
    struct amm_coalesce *c = *state;
    for (size_t flip = 0; flip < 540; flip += flip < 60 ? 1 : 7) {
        uint8_t bytes[2048];
        struct packet second = data_packet(1);
        add(c, data_packet(0));
        size_t len = packet_build(&second, bytes, sizeof bytes);
        bytes[flip] ^= 4;
        assert_true(amm_coalesce_add(c, amm_view(bytes, len)));
        add(c, data_packet(2));
        bool seen = false;
        struct amm_view item;
        while ((item = amm_coalesce_take(c)).data != NULL) {
            assert_int_equal(item.data[1], 0); /* nothing was joined */
            seen |=
                item.len == len + AMM_VNET_LEN && memcmp(item.data + AMM_VNET_LEN, bytes, len) == 0;
        }
        assert_true(seen);
    }
}

static void a_short_packet_and_psh_end_the_run(void **state)
{
    struct amm_coalesce *c = *state;
    add(c, data_packet(0));
    struct packet p = data_packet(1);
    p.payload = 200;
    add(c, p);
    p = data_packet(2);
    p.sequence = 1700;
    add(c, p);
    p = data_packet(3);
    p.sequence = 2200;
    p.flags = ACK | PSH;
    add(c, p);
    p = data_packet(4);
    p.sequence = 2700;
    add(c, p);
    expect_item(c, 2);
    struct amm_view item = amm_coalesce_take(c);
    assert_int_equal(item.data[AMM_VNET_LEN + 33], ACK | PSH); /* the push is kept */
    expect_item(c, 1);
    expect_end(c);
}

static void a_bare_ack_keeps_its_place(void **state)
{
    struct amm_coalesce *c = *state;
    add(c, data_packet(0));
    add(c, data_packet(1));
    struct packet ack = data_packet(2);
    ack.payload = 0;
    add(c, ack);
    ack = data_packet(2);
    add(c, ack);
    add(c, data_packet(3));
    expect_item(c, 2);
    struct amm_view item = amm_coalesce_take(c);
    assert_int_equal(item.len, AMM_VNET_LEN + 40);
    expect_item(c, 2);
    expect_end(c);
}

static void several_flows_are_joined_at_once(void **state)
{
    struct amm_coalesce *c = *state;
    for (uint32_t i = 0; i < 10; i++) {
        for (uint16_t flow = 0; flow < 8; flow++) {
            struct packet p = data_packet(i);
            p.source += 4u * flow;
            add(c, p);
        }
    }
    for (int flow = 0; flow < 8; flow++) {
        expect_item(c, 10);
    }
    expect_end(c);
}

static void a_full_coalescer_says_so_and_goes_on_when_emptied(void **state)
{
    struct amm_coalesce *c = *state;
    uint8_t bytes[2048];
    uint16_t flow = 0;
    for (;; flow++) {
        struct packet p = data_packet(0);
        p.source_port = flow;
        if (!amm_coalesce_add(c, amm_view(bytes, packet_build(&p, bytes, sizeof bytes)))) {
            break;
        }
        assert_true(flow < 10000);
    }
    for (uint16_t i = 0; i < flow; i++) {
        expect_item(c, 1);
    }
    expect_end(c);
    add(c, data_packet(0));
    add(c, data_packet(1));
    expect_item(c, 2);
    /* The same with packets that cannot be joined. */
    struct packet udp = {.protocol = 17, .payload = 1372};
    size_t len = packet_build(&udp, bytes, sizeof bytes);
    int n = 0;
    while (amm_coalesce_add(c, amm_view(bytes, len))) {
        assert_true(++n < 10000);
    }
    while (n-- > 0) {
        expect_item(c, 1);
    }
    expect_end(c);
}

static void no_super_packet_outgrows_ip(void **state)
{
    struct amm_coalesce *c = *state;
    for (uint32_t i = 0; i < 132; i++) {
        add(c, data_packet(i));
    }
    expect_item(c, 130); /* 40 + 130 * 500 */
    expect_item(c, 2);
    expect_end(c);
}

static void nonsense_passes_through(void **state)
{
    struct amm_coalesce *c = *state;
    static const uint8_t junk[] = {0x45, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0};
    for (size_t len = 1; len <= sizeof junk; len++) {
        assert_true(amm_coalesce_add(c, amm_view(junk, len)));
        struct amm_view item = amm_coalesce_take(c);
        assert_int_equal(item.len, len + AMM_VNET_LEN);
        assert_memory_equal(item.data + AMM_VNET_LEN, junk, len);
    }
    assert_true(amm_coalesce_add(c, amm_view(NULL, 0)));
    expect_end(c);
}

/* ---- random flows against the packets themselves ---- */

enum { FLOWS = 5, PACKETS = 300, LONGEST = 700 };

struct sent {
    uint8_t bytes[PACKETS][LONGEST];
    size_t len[PACKETS];
    size_t n, got;
};

static struct packet random_packet(const struct amm_random *random, uint16_t flow,
                                   struct packet *last)
{
    struct packet p = *last;
    p.source_port = flow;
    p.sequence += (uint32_t)last->payload;
    p.id++;
    p.fill = (uint8_t)amm_random_u64(random);
    p.flags = ACK;
    p.payload = amm_random_below(random, 8) ? 100 : amm_random_below(random, 600);
    switch (amm_random_below(random, 20)) {
    case 0:
        p.flags |= PSH;
        break;
    case 1:
        p.acknowledged++;
        break;
    case 2:
        p.sequence += 50;
        break;
    case 3:
        p.id += 3;
        break;
    case 4:
        p.flags |= (uint8_t)amm_random_u64(random);
        break;
    default:
        break;
    }
    *last = p;
    return p;
}

static void take_all(struct amm_coalesce *c, struct sent *sent)
{
    struct amm_view item;
    while ((item = amm_coalesce_take(c)).data != NULL) {
        struct amm_vnet vnet;
        struct amm_split split;
        uint8_t out[LONGEST];
        size_t len;
        memcpy(&vnet, item.data, AMM_VNET_LEN);
        assert_true(amm_split_init(&split, &vnet,
                                   amm_view(item.data + AMM_VNET_LEN, item.len - AMM_VNET_LEN)));
        while ((len = amm_split_next(&split, out, sizeof out)) > 0) {
            struct sent *flow = &sent[amm_load_u16(out + 20)];
            assert_true(flow->got < flow->n);
            assert_int_equal(len, flow->len[flow->got]);
            assert_memory_equal(out, flow->bytes[flow->got], len);
            flow->got++;
        }
    }
}

static void random_flows_come_back_bit_for_bit(void **state)
{
    struct amm_coalesce *c = *state;
    struct sent *sent = malloc(FLOWS * sizeof *sent);
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct amm_seeded_random seeded;
        amm_seeded_random_init(&seeded, seed);
        struct amm_random random = amm_seeded_random(&seeded);
        struct packet last[FLOWS];
        for (int i = 0; i < FLOWS; i++) {
            last[i] = data_packet(0);
            sent[i].n = sent[i].got = 0;
        }
        for (int i = 0; i < PACKETS; i++) {
            uint16_t flow = (uint16_t)amm_random_below(&random, FLOWS);
            struct packet p = random_packet(&random, flow, &last[flow]);
            struct sent *s = &sent[flow];
            s->len[s->n] = packet_build(&p, s->bytes[s->n], LONGEST);
            if (amm_random_below(&random, 15) == 0) {
                s->bytes[s->n][40 + amm_random_below(&random, s->len[s->n] - 39)] ^= 1;
            }
            s->n++;
            if (!amm_coalesce_add(c, amm_view(s->bytes[s->n - 1], s->len[s->n - 1]))) {
                s->n--;
                take_all(c, sent);
                s->n++;
                assert_true(amm_coalesce_add(c, amm_view(s->bytes[s->n - 1], s->len[s->n - 1])));
            }
        }
        take_all(c, sent);
        for (int i = 0; i < FLOWS; i++) {
            assert_int_equal(sent[i].got, sent[i].n);
        }
    }
    free(sent);
}

static int set_up(void **state)
{
    *state = amm_coalesce_new();
    return *state == NULL;
}

static int tear_down(void **state)
{
    return amm_coalesce_free(*state) != NULL;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(consecutive_packets_become_one),
        TEST(a_single_packet_passes_untouched),
        TEST(packets_that_differ_stay_apart),
        TEST(equal_options_join_and_different_ones_do_not),
        TEST(a_corrupted_packet_is_not_laundered),
        TEST(a_short_packet_and_psh_end_the_run),
        TEST(a_bare_ack_keeps_its_place),
        TEST(several_flows_are_joined_at_once),
        TEST(a_full_coalescer_says_so_and_goes_on_when_emptied),
        TEST(no_super_packet_outgrows_ip),
        TEST(nonsense_passes_through),
        TEST(random_flows_come_back_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
