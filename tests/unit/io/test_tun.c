/* Tun devices, links and queue steering, in a network namespace of the test's own. Needs root;
 * skipped without. */
#include "io/netlink.h"
#include "io/steering.h"
#include "io/tun.h"

#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { QUEUES = 3, OWNER = 61234 };

static char error[512];
static int queues[QUEUES];
static bool possible;

static int enter_own_namespace(void **state)
{
    (void)state;
    struct amm_tun_settings settings = {
        .name = "tunu0", .queues = QUEUES, .owner = OWNER, .offload = true};
    possible = geteuid() == 0 && access("/dev/net/tun", F_OK) == 0 && unshare(CLONE_NEWNET) == 0;
    return possible && !amm_tun_open(&settings, queues, error, sizeof error);
}

static void need_root(void)
{
    if (!possible) {
        skip();
    }
}

/* Whether a process of `uid` can attach a queue to the device. */
static bool can_attach(uid_t uid)
{
    int fd = open("/dev/net/tun",
                  O_RDWR | O_CLOEXEC); /* opened here: the node itself may be closed to others */
    pid_t child = fork();
    if (child == 0) {
        struct ifreq request = {.ifr_flags =
                                    (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE)};
        memcpy(request.ifr_name, "tunu0", 6);
        bool ok = setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0 &&
                  ioctl(fd, TUNSETIFF, &request) == 0;
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    close(fd);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void only_the_owner_attaches_a_queue(void **state)
{
    (void)state;
    need_root();
    assert_false(can_attach(65534));
    assert_false(can_attach(OWNER + 1));
    assert_true(can_attach(OWNER));
}

static void links_get_addresses_and_routes_that_are_listed(void **state)
{
    (void)state;
    need_root();
    struct amm_prefix list[16];
    struct amm_link_settings up = {.mtu = 1400, .tx_queue = 1000, .up = true};
    assert_int_equal(amm_prefixes_list(list, 16, error, sizeof error), 0);
    assert_true(amm_link_disable_ipv6("tunu0", error, sizeof error));
    assert_true(amm_link_add_address("tunu0", 0x0a042001, 19, 0, error, sizeof error));
    assert_true(amm_link_add_address("tunu0", 0x0a042001, 19, 0, error, sizeof error));
    assert_true(amm_link_set("tunu0", &up, error, sizeof error));
    assert_true(amm_route_add("tunu0", 0xc0a80d00, 24, 0, error, sizeof error));
    assert_int_equal(amm_prefixes_list(list, 16, error, sizeof error), 3);
    assert_true(list[0].is_address && list[0].network == 0x0a042001 && list[0].prefix == 32);
    assert_string_equal(list[0].link, "tunu0");
    assert_true(!list[1].is_address && list[1].network == 0x0a042000 && list[1].prefix == 19);
    assert_true(!list[2].is_address && list[2].network == 0xc0a80d00 && list[2].prefix == 24);
    assert_true(amm_route_add("tunu0", 0xc0a80e00, 24, 0x0a042006, error, sizeof error));
    assert_int_equal(amm_prefixes_list(list, 16, error, sizeof error),
                     3); /* through a gateway: not connected */
    assert_true(amm_route_delete("tunu0", 0xc0a80d00, 24, error, sizeof error));
    assert_true(amm_route_delete("tunu0", 0xc0a80d00, 24, error, sizeof error));
    assert_int_equal(amm_prefixes_list(list, 16, error, sizeof error), 2);
}

static void links_that_do_not_exist_are_named(void **state)
{
    (void)state;
    need_root();
    struct amm_link_settings up = {.up = true};
    assert_false(amm_link_set("nolink", &up, error, sizeof error));
    assert_non_null(strstr(error, "nolink"));
    assert_false(amm_link_add_address("nolink", 1, 24, 0, error, sizeof error));
    assert_false(amm_route_add("nolink", 0xc0a80d00, 24, 0, error, sizeof error));
}

/* Sends one datagram to `ip` through the device; the queue that it came out of, and its length. */
static int queue_of(uint32_t ip, size_t *len)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(ip)};
    assert_int_equal(sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, sizeof to), 5);
    close(fd);
    struct pollfd wait[QUEUES];
    for (int i = 0; i < QUEUES; i++) {
        wait[i] = (struct pollfd){.fd = queues[i], .events = POLLIN};
    }
    assert_int_equal(poll(wait, QUEUES, 5000), 1);
    int winner = wait[0].revents ? 0 : wait[1].revents ? 1 : 2;
    uint8_t buffer[2048];
    struct amm_vnet vnet;
    ssize_t got = amm_tun_read(queues[winner], &vnet, (struct amm_span){buffer, sizeof buffer});
    assert_true(got > 20 && buffer[0] >> 4 == 4);
    assert_int_equal(amm_load_u32(buffer + 16), ip);
    *len = (size_t)got;
    assert_int_equal(amm_tun_read(queues[winner], &vnet, (struct amm_span){buffer, sizeof buffer}),
                     0);
    return winner;
}

static void check_queues(enum amm_topology topology)
{
    struct amm_pool pool;
    size_t len;
    assert_true(amm_pool_parse(&pool, "10.4.32.0/19", topology));
    if (!amm_steer_tun(queues[0], &pool, QUEUES, error, sizeof error)) {
        print_message("not steered here: %s\n", error);
        skip();
    }
    for (uint32_t slot = 1; slot < amm_pool_slots(&pool); slot += 61) {
        assert_int_equal(queue_of(amm_pool_address(&pool, slot), &len), slot % QUEUES);
        assert_int_equal(len, 20 + 8 + 5);
    }
}

static void packets_for_a_slot_come_out_of_its_workers_queue(void **state)
{
    (void)state;
    need_root();
    check_queues(AMM_NET30);
    check_queues(AMM_SUBNET);
}

static void a_packet_that_is_written_arrives(void **state)
{
    (void)state;
    need_root();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in local = {
        .sin_family = AF_INET, .sin_port = htons(5000), .sin_addr.s_addr = htonl(0x0a042001)};
    assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof local), 0);
    /* 10.4.32.6:1 -> 10.4.32.1:5000, UDP without checksum, "hi" */
    uint8_t packet[30] = {0x45, 0, 0,         30,          0,  0,  0,  0, 64,  17,
                          0,    0, 10,        4,           32, 6,  10, 4, 32,  1,
                          0,    1, 5000 >> 8, 5000 & 0xff, 0,  10, 0,  0, 'h', 'i'};
    amm_store_u16(packet + 10, (uint16_t)~amm_checksum(amm_view(packet, 20), 0));
    assert_true(amm_tun_write(queues[1], amm_view(packet, sizeof packet)));
    uint8_t framed[AMM_VNET_LEN + sizeof packet] = {0};
    memcpy(framed + AMM_VNET_LEN, packet, sizeof packet);
    assert_true(amm_tun_write_framed(queues[2], amm_view(framed, sizeof framed)));
    for (int i = 0; i < 2; i++) {
        char text[8];
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 5000), 1);
        assert_int_equal(recv(fd, text, sizeof text, 0), 2);
        assert_memory_equal(text, "hi", 2);
    }
    assert_false(amm_tun_write(queues[1], amm_view(packet, 0)));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_owner_attaches_a_queue),
        cmocka_unit_test(links_get_addresses_and_routes_that_are_listed),
        cmocka_unit_test(links_that_do_not_exist_are_named),
        cmocka_unit_test(packets_for_a_slot_come_out_of_its_workers_queue),
        cmocka_unit_test(a_packet_that_is_written_arrives),
    };
    return cmocka_run_group_tests(tests, enter_own_namespace, NULL);
}
