#include "ipc/tunnel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct amm_address remote = {
    .ip = {192, 0, 2, 7}, .port = 40000, .family = AMM_FAMILY_IPV4};
static const struct amm_address local = {
    .ip = {0x20, 1, 0xd, 0xb8}, .port = 1190, .family = AMM_FAMILY_IPV6};

static struct amm_ipc_message sample(uint8_t type)
{
    struct amm_ipc_message m = {.type = type};
    switch (type) {
    case AMM_IPC_KICK:
    case AMM_IPC_DRAIN:
        m.ask = (struct amm_ipc_ask){.port = 1191, .hold = 60, .name = "gw-1"};
        break;
    case AMM_IPC_SERVER:
        m.server =
            (struct amm_ipc_server){"0.1.0", "ipsec-mb", 2, 1, 1700000000, AMM_ALARM_CRL, 3, "amm"};
        break;
    case AMM_IPC_PORT:
        m.port = (struct amm_ipc_port){1190, 1, 19, 0x0a042000, 5, 2047, 8189, 2, 60, 240, 1};
        break;
    case AMM_IPC_PEER:
        m.peer = (struct amm_ipc_peer){.name = "gw-1",
                                       .port = 1190,
                                       .cipher = 2,
                                       .key_id = 3,
                                       .inner_ip = 0x0a042006,
                                       .peer_id = 8193,
                                       .epoch = UINT64_C(0x8123456789abcdef),
                                       .path = {remote, local, 9, AMM_TCP, 2, {0}},
                                       .since = 1700000001,
                                       .idle_ms = 12,
                                       .rx_packets = 1,
                                       .rx_bytes = UINT64_MAX,
                                       .tx_packets = 3,
                                       .tx_bytes = 4,
                                       .dropped = 5,
                                       .last_error = "seen before",
                                       .client = "2.6.14 linux",
                                       .login = {{1, [31] = 2}, {[19] = 3}}};
        break;
    case AMM_IPC_COUNTER:
        m.counter = (struct amm_ipc_counter){"data-replay", "data packet seen before", 77};
        break;
    case AMM_IPC_EVENT:
        m.event = (struct amm_ipc_event){.kind = AMM_IPC_REFUSED,
                                         .at = -1,
                                         .port = 1193,
                                         .name = "gw-2",
                                         .remote = local,
                                         .transport = AMM_TCP,
                                         .inner_ip = 0x0a042006,
                                         .peer_id = 16385,
                                         .epoch = 77,
                                         .login = {{[31] = 7}, {[19] = 9}},
                                         .client = "c",
                                         .reason = "expired",
                                         .text = "renew"};
        break;
    case AMM_IPC_LISTENER:
        m.listener = (struct amm_ipc_listener){1191, 8443, 0x0a046001};
        break;
    case AMM_IPC_DONE:
    case AMM_IPC_FAILED:
        memcpy(m.text, "no such gateway", 16);
        break;
    default:
        break;
    }
    return m;
}

static const uint8_t types[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 32, 33, 34, 35, 36, 37, 38, 39};

static void every_message_comes_back_as_it_was(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof types; i++) {
        struct amm_ipc_message m = sample(types[i]), back;
        uint8_t packet[AMM_IPC_MAX];
        size_t len = amm_ipc_encode(&m, packet, sizeof packet);
        assert_true(len >= 4);
        memset(&back, 0xff, sizeof back);
        assert_true(amm_ipc_decode(&back, amm_view(packet, len)));
        uint8_t again[AMM_IPC_MAX];
        assert_int_equal(amm_ipc_encode(&back, again, sizeof again), len);
        assert_memory_equal(packet, again, len);
    }
}

static void fields_land_where_they_belong(void **state)
{
    (void)state;
    struct amm_ipc_message m = sample(AMM_IPC_PEER), back;
    uint8_t packet[AMM_IPC_MAX];
    size_t len = amm_ipc_encode(&m, packet, sizeof packet);
    assert_true(amm_ipc_decode(&back, amm_view(packet, len)));
    assert_string_equal(back.peer.name, "gw-1");
    assert_true(amm_path_equal(&back.peer.path, &m.peer.path));
    assert_true(back.peer.rx_bytes == UINT64_MAX);
    assert_int_equal(back.peer.peer_id, 8193);
    assert_true(back.peer.epoch == UINT64_C(0x8123456789abcdef));
    assert_string_equal(back.peer.last_error, "seen before");
    m = sample(AMM_IPC_EVENT);
    len = amm_ipc_encode(&m, packet, sizeof packet);
    assert_true(amm_ipc_decode(&back, amm_view(packet, len)));
    assert_true(back.event.at == -1);
    assert_true(amm_address_equal(&back.event.remote, &local));
    assert_string_equal(back.event.text, "renew");
    assert_int_equal(back.event.peer_id, 16385);
    assert_true(back.event.epoch == 77);
    assert_int_equal(back.event.login.key[31], 7);
    assert_int_equal(back.event.login.serial[19], 9);
}

static void a_byte_too_few_or_too_many_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof types; i++) {
        struct amm_ipc_message m = sample(types[i]), back;
        uint8_t packet[AMM_IPC_MAX + 1];
        size_t len = amm_ipc_encode(&m, packet, AMM_IPC_MAX);
        for (size_t cut = 0; cut < len; cut++) {
            assert_false(amm_ipc_decode(&back, amm_view(packet, cut)));
            if (cut >= 4) {
                amm_store_u16(packet + 2, (uint16_t)(cut - 4));
                assert_false(amm_ipc_decode(&back, amm_view(packet, cut)));
            }
        }
        packet[len] = 0;
        amm_store_u16(packet + 2, (uint16_t)(len - 3));
        assert_false(amm_ipc_decode(&back, amm_view(packet, len + 1)));
    }
}

static void strings_that_are_long_or_not_printable_are_refused(void **state)
{
    (void)state;
    struct amm_ipc_message m = sample(AMM_IPC_KICK), back;
    uint8_t packet[AMM_IPC_MAX];
    size_t len = amm_ipc_encode(&m, packet, sizeof packet);
    packet[len - 1] = '\n';
    assert_false(amm_ipc_decode(&back, amm_view(packet, len)));
    packet[len - 1] = 0;
    assert_false(amm_ipc_decode(&back, amm_view(packet, len)));

    struct amm_writer w = amm_writer(packet, sizeof packet);
    enum { LONG = AMM_NAME_MAX + 1 };
    amm_write_u8(&w, AMM_IPC_VERSION);
    amm_write_u8(&w, AMM_IPC_KICK);
    amm_write_u16(&w, 6 + 2 + LONG);
    amm_write_u16(&w, 0);
    amm_write_u32(&w, 0);
    amm_write_u16(&w, LONG);
    for (int i = 0; i < LONG; i++) {
        amm_write_u8(&w, 'a');
    }
    assert_false(amm_ipc_decode(&back, amm_view(packet, amm_writer_len(&w))));
}

static void unknown_versions_types_and_kinds_are_refused(void **state)
{
    (void)state;
    struct amm_ipc_message back;
    assert_true(amm_ipc_decode(&back, amm_view("\x03\x01\0\0", 4)));
    assert_false(amm_ipc_decode(&back, amm_view("\x02\x01\0\0", 4)));
    assert_false(amm_ipc_decode(&back, amm_view("\x04\x01\0\0", 4)));
    assert_false(amm_ipc_decode(&back, amm_view("\x03\x0a\0\0", 4)));
    assert_false(amm_ipc_decode(&back, amm_view("\x03\xff\0\0", 4)));
    struct amm_ipc_message m = sample(AMM_IPC_EVENT);
    uint8_t packet[AMM_IPC_MAX];
    size_t len = amm_ipc_encode(&m, packet, sizeof packet);
    packet[4] = 0;
    assert_false(amm_ipc_decode(&back, amm_view(packet, len)));
    packet[4] = 8;
    assert_false(amm_ipc_decode(&back, amm_view(packet, len)));
    m.type = 99;
    assert_int_equal(amm_ipc_encode(&m, packet, sizeof packet), 0);
}

static void a_message_that_does_not_fit_is_not_written(void **state)
{
    (void)state;
    struct amm_ipc_message m = sample(AMM_IPC_COUNTER);
    uint8_t packet[AMM_IPC_MAX];
    size_t len = amm_ipc_encode(&m, packet, sizeof packet);
    for (size_t room = 0; room < len; room++) {
        assert_int_equal(amm_ipc_encode(&m, packet, room), 0);
    }
    assert_int_equal(amm_ipc_encode(&m, packet, len), len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_comes_back_as_it_was),
        cmocka_unit_test(fields_land_where_they_belong),
        cmocka_unit_test(a_byte_too_few_or_too_many_is_refused),
        cmocka_unit_test(strings_that_are_long_or_not_printable_are_refused),
        cmocka_unit_test(unknown_versions_types_and_kinds_are_refused),
        cmocka_unit_test(a_message_that_does_not_fit_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
