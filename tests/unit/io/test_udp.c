#include "io/clock.h"
#include "io/loop.h"
#include "io/steering.h"
#include "io/udp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cmocka.h>

static char error[256];
static const struct amm_address loopback = {.ip = {127, 0, 0, 1}, .family = AMM_FAMILY_IPV4};

static uint16_t port_of(int fd)
{
    struct sockaddr_in6 name;
    socklen_t len = sizeof name;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    return ntohs(name.sin6_port);
}

/* A socket of our own on a port that the kernel picks, or on `port`. */
static int open_at(const struct amm_address *ip, uint16_t port, bool shared)
{
    struct amm_udp_settings settings = {
        .local = *ip, .reuse_port = shared, .gro = true, .buffer = 1 << 20};
    settings.local.port = port;
    int fd = amm_udp_open(&settings, error, sizeof error);
    assert_true(fd >= 0);
    return fd;
}

static struct amm_address at(const struct amm_address *ip, int fd)
{
    struct amm_address address = *ip;
    address.port = port_of(fd);
    return address;
}

/* Receives when something is there; fails if nothing comes. */
static void receive(int fd, struct amm_span buffer, struct amm_udp_batch *out)
{
    struct amm_loop *loop = amm_loop_new();
    struct amm_ready ready[AMM_LOOP_READY];
    assert_true(amm_loop_add(loop, fd, AMM_READ, 1));
    unsigned n = amm_loop_wait(loop, amm_now().mono + 5 * AMM_SECOND, ready);
    assert_true(n == 1 && ready[0].readable);
    amm_loop_free(loop);
    assert_int_equal(amm_udp_receive(fd, 77, buffer, out), AMM_UDP_OK);
}

static void a_datagram_tells_where_it_came_from_and_what_it_asked(void **state)
{
    (void)state;
    static uint8_t buffer[AMM_UDP_BUFFER];
    const struct amm_address any = {.family = AMM_FAMILY_IPV6};
    struct amm_address asked = {.ip = {127, 0, 0, 9}, .family = AMM_FAMILY_IPV4};
    int server = open_at(&any, 0, false), client = open_at(&loopback, 0, false);
    asked.port = port_of(server);
    struct amm_udp_batch got;
    assert_int_equal(amm_udp_receive(server, 77, (struct amm_span){buffer, sizeof buffer}, &got),
                     AMM_UDP_AGAIN);
    assert_int_equal(amm_udp_send(client, &asked, NULL, amm_view("hello", 5), 0), AMM_UDP_OK);
    receive(server, (struct amm_span){buffer, sizeof buffer}, &got);
    assert_int_equal(got.len, 5);
    assert_int_equal(got.segment, 5);
    assert_int_equal(got.local.port, 77);
    assert_memory_equal(got.local.ip, asked.ip, 16);
    struct amm_address sender = at(&loopback, client);
    assert_true(amm_address_equal(&got.remote, &sender));

    /* The answer leaves from the address that was asked. */
    assert_int_equal(amm_udp_send(server, &got.remote, &got.local, amm_view("yes", 3), 0),
                     AMM_UDP_OK);
    receive(client, (struct amm_span){buffer, sizeof buffer}, &got);
    assert_true(amm_address_equal(&got.remote, &asked));
    close(server);
    close(client);
}

/* Receives until `total` bytes are there and checks that they are `want`, whatever batches they
 * came in. */
static void receive_all(int fd, const uint8_t *want, size_t total, size_t segment)
{
    static uint8_t buffer[AMM_UDP_BUFFER];
    for (size_t have = 0; have < total;) {
        struct amm_udp_batch got;
        receive(fd, (struct amm_span){buffer, sizeof buffer}, &got);
        assert_true(got.segment == segment || (have + got.len == total && got.len < segment));
        assert_true(have + got.len <= total);
        assert_memory_equal(buffer, want + have, got.len);
        have += got.len;
    }
}

static void batches_arrive_in_order_whatever_their_length(void **state)
{
    (void)state;
    static uint8_t bytes[150000];
    int server = open_at(&loopback, 0, false), client = open_at(&loopback, 0, false);
    struct amm_address to = at(&loopback, server);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 31 / 7);
    }
    static const struct {
        size_t len, segment;
    } rows[] = {{3000, 1400},   {2800, 1400},   {1400, 1400}, {10, 1400},
                {100000, 1000}, {150000, 1424}, {6500, 100}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(
            amm_udp_send(client, &to, NULL, amm_view(bytes, rows[i].len), rows[i].segment),
            AMM_UDP_OK);
        receive_all(server, bytes, rows[i].len,
                    rows[i].len < rows[i].segment ? rows[i].len : rows[i].segment);
    }
    close(server);
    close(client);
}

static void many_packets_go_to_many_peers_and_the_bad_one_is_named(void **state)
{
    (void)state;
    enum { N = 70, BAD = 13 };
    static uint8_t buffers[AMM_UDP_MANY][2048];
    int servers[2] = {open_at(&loopback, 0, false), open_at(&loopback, 0, false)};
    int client = open_at(&loopback, 0, false);
    struct amm_udp_packet packets[N] = {0};
    uint8_t numbers[N];
    for (int i = 0; i < N; i++) {
        numbers[i] = (uint8_t)i;
        packets[i].remote = at(&loopback, servers[i % 2]);
        packets[i].bytes = amm_view(&numbers[i], 1);
    }
    packets[BAD].remote.family = AMM_FAMILY_NONE;
    amm_udp_send_many(client, packets, N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(packets[i].result, i == BAD ? AMM_UDP_FAILED : AMM_UDP_OK);
    }
    struct amm_udp_slot slots[AMM_UDP_MANY];
    for (int i = 0; i < AMM_UDP_MANY; i++) {
        slots[i].buffer = (struct amm_span){buffers[i], sizeof buffers[i]};
    }
    assert_int_equal(amm_udp_receive_many(servers[0], 1, slots, AMM_UDP_MANY), N / 2);
    for (int i = 0; i < N / 2; i++) {
        assert_int_equal(slots[i].got.len, 1);
        assert_int_equal(slots[i].buffer.data[0], i * 2);
    }
    assert_int_equal(amm_udp_receive_many(servers[1], 1, slots, AMM_UDP_MANY), N / 2 - 1);
    close(servers[0]);
    close(servers[1]);
    close(client);
}

static void a_taken_port_is_an_error_with_words(void **state)
{
    (void)state;
    int fd = open_at(&loopback, 0, false);
    struct amm_udp_settings settings = {.local = at(&loopback, fd)};
    assert_int_equal(amm_udp_open(&settings, error, sizeof error), -1);
    assert_non_null(strstr(error, "Address already in use"));
    close(fd);
}

/* ---- steering ---- */

enum { HANDSHAKES = 2, WORKERS = 3, GROUP = HANDSHAKES + WORKERS };

/* Sends a packet to the group and says which socket got it. */
static int who_gets(const int *group, const struct amm_address *ip, const void *packet, size_t len)
{
    const struct amm_address from = {.ip = {127, 0, 0, 1}, .family = AMM_FAMILY_IPV4};
    const struct amm_address from6 = {.ip = {[15] = 1}, .family = AMM_FAMILY_IPV6};
    int client = open_at(ip->family == AMM_FAMILY_IPV4 ? &from : &from6, 0, false);
    struct amm_address to = at(ip, group[0]);
    assert_int_equal(amm_udp_send(client, &to, NULL, amm_view(packet, len), 0), AMM_UDP_OK);
    close(client);
    int winner = -1;
    for (int i = 0; i < GROUP; i++) {
        uint8_t buffer[64];
        struct amm_udp_batch got;
        if (amm_udp_receive(group[i], 1, (struct amm_span){buffer, sizeof buffer}, &got) ==
            AMM_UDP_OK) {
            assert_int_equal(winner, -1);
            winner = i;
        }
    }
    return winner;
}

static void open_group(int group[GROUP])
{
    const struct amm_address any = {.family = AMM_FAMILY_IPV6};
    group[0] = open_at(&any, 0, true);
    for (int i = 1; i < GROUP; i++) {
        group[i] = open_at(&any, port_of(group[0]), true);
    }
    assert_true(amm_steer_udp(group[0], HANDSHAKES, WORKERS, error, sizeof error));
}

static void check_steering(const struct amm_address *ip)
{
    int group[GROUP];
    open_group(group);
    for (uint32_t slot = 1; slot < 40; slot++) {
        uint8_t data[24] = {0};
        amm_store_u32(data, 9u << 27 | 3u << 24 | (slot * 5 % 2047) << 13 | slot);
        assert_int_equal(who_gets(group, ip, data, sizeof data),
                         HANDSHAKES + (int)(slot % WORKERS));
        uint8_t control[14] = {7 << 3};
        amm_store_u32(control + 1, slot * 0x01010101u);
        assert_int_equal(who_gets(group, ip, control, sizeof control),
                         (int)(slot * 0x01010101u % HANDSHAKES));
    }
    for (size_t runt = 0; runt < 4; runt++) {
        assert_int_equal(who_gets(group, ip, "\x4f\xff\xff", runt),
                         0); /* data, too short for a peer id */
        assert_int_equal(who_gets(group, ip, "\x38\xff\xff", runt),
                         0); /* control, too short for a session id */
    }
    for (int i = 0; i < GROUP; i++) {
        close(group[i]);
    }
}

static void data_goes_to_its_worker_and_control_to_its_thread(void **state)
{
    (void)state;
    check_steering(&loopback);
}

static void steering_is_the_same_over_ipv6(void **state)
{
    (void)state;
    const struct amm_address ip = {.ip = {[15] = 1}, .family = AMM_FAMILY_IPV6};
    struct amm_udp_settings settings = {.local = ip};
    int fd = amm_udp_open(&settings, error, sizeof error);
    if (fd < 0) {
        skip(); /* no IPv6 loopback here */
    }
    close(fd);
    check_steering(&ip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_datagram_tells_where_it_came_from_and_what_it_asked),
        cmocka_unit_test(batches_arrive_in_order_whatever_their_length),
        cmocka_unit_test(many_packets_go_to_many_peers_and_the_bad_one_is_named),
        cmocka_unit_test(a_taken_port_is_an_error_with_words),
        cmocka_unit_test(data_goes_to_its_worker_and_control_to_its_thread),
        cmocka_unit_test(steering_is_the_same_over_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
