#include "proto/push.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct amm_push sample(void)
{
    struct amm_pool pool = {0x0a800000, 19, AMM_NET30, {0}};
    struct amm_push push = {.flags = AMM_PUSH_TLS_EKM | AMM_PUSH_DYN_TLS_CRYPT,
                            .cipher = AMM_CIPHER_AES_256_GCM,
                            .peer_id = 5,
                            .ping = 10,
                            .ping_restart = 60,
                            .tun_mtu = 1400,
                            .explicit_exit_notify = 2};
    amm_push_set_slot(&push, &pool, 1);
    return push;
}

static struct amm_peer_info info_of(const char *text)
{
    struct amm_peer_info info;
    assert_true(amm_peer_info_parse(&info, amm_view_str(text)));
    return info;
}

static void assert_pushed(const struct amm_push *push, const char *info_text, const char *expected)
{
    uint8_t out[AMM_PUSH_PART];
    struct amm_peer_info info = info_of(info_text);
    size_t len = amm_push_encode(push, &info, 0, out);
    assert_true(len > 0);
    assert_string_equal((char *)out, expected);
    assert_int_equal(len, strlen(expected) + 1);
    assert_int_equal(amm_push_encode(push, &info, 1, out), 0);
}

/* PUSH-3: only what each kind of client announced. */
static void a_client_is_pushed_what_it_announced_and_nothing_else(void **state)
{
    struct amm_push push = sample();
    (void)state;
    assert_pushed(
        &push, "IV_PROTO=990\nIV_CIPHERS=AES-256-GCM\nIV_MTU=1600\n",
        "PUSH_REPLY,topology net30,ifconfig 10.128.0.6 10.128.0.5,ping 10,ping-restart 60,"
        "peer-id 5,cipher AES-256-GCM,protocol-flags tls-ekm dyn-tls-crypt,tun-mtu 1400,"
        "explicit-exit-notify 2,route 10.128.0.1 255.255.255.255");
    assert_pushed(
        &push, "IV_PROTO=8094\nIV_NCP=2\n",
        "PUSH_REPLY,topology net30,ifconfig 10.128.0.6 10.128.0.5,ping 10,ping-restart 60,"
        "peer-id 5,cipher AES-256-GCM,protocol-flags tls-ekm dyn-tls-crypt,"
        "explicit-exit-notify 2,route 10.128.0.1 255.255.255.255");
    for (int old = 2; old <= 6; old += 4) {
        assert_pushed(
            &push, old == 2 ? "IV_PROTO=2\nIV_NCP=2" : "IV_PROTO=6\nIV_NCP=2",
            "PUSH_REPLY,topology net30,ifconfig 10.128.0.6 10.128.0.5,ping 10,ping-restart 60,"
            "peer-id 5,cipher AES-256-GCM,explicit-exit-notify 2,"
            "route 10.128.0.1 255.255.255.255");
    }
    assert_pushed(
        &push, "",
        "PUSH_REPLY,topology net30,ifconfig 10.128.0.6 10.128.0.5,ping 10,ping-restart 60,"
        "explicit-exit-notify 2,route 10.128.0.1 255.255.255.255");
}

static void the_exporter_is_told_to_a_client_without_protocol_flags_in_its_own_words(void **state)
{
    struct amm_push push = {.flags = AMM_PUSH_TLS_EKM | AMM_PUSH_DYN_TLS_CRYPT,
                            .peer_id = AMM_NO_PEER_ID};
    (void)state;
    assert_pushed(&push, "IV_PROTO=8\n",
                  "PUSH_REPLY,topology net30,ifconfig 0.0.0.0 0.0.0.0,key-derivation tls-ekm");
    /* Bit 9 without bit 7: there is no way to say dyn-tls-crypt. */
    assert_pushed(&push, "IV_PROTO=512\n", "PUSH_REPLY,topology net30,ifconfig 0.0.0.0 0.0.0.0");
    assert_pushed(
        &push, "IV_PROTO=640\n",
        "PUSH_REPLY,topology net30,ifconfig 0.0.0.0 0.0.0.0,protocol-flags dyn-tls-crypt");
    push.flags = AMM_PUSH_CC_EXIT; /* never pushed */
    assert_pushed(&push, "IV_PROTO=990\n", "PUSH_REPLY,topology net30,ifconfig 0.0.0.0 0.0.0.0");
}

static void the_flags_that_hold_are_those_that_were_told(void **state)
{
    struct amm_peer_info info = info_of("IV_PROTO=520\n"); /* exporter and dynamic key, no bit 7 */
    uint8_t all = AMM_PUSH_TLS_EKM | AMM_PUSH_DYN_TLS_CRYPT | AMM_PUSH_CC_EXIT;
    (void)state;
    assert_int_equal(amm_push_flags_allowed(all, &info), AMM_PUSH_TLS_EKM);
    info.iv_proto = 990;
    assert_int_equal(amm_push_flags_allowed(all, &info), AMM_PUSH_TLS_EKM | AMM_PUSH_DYN_TLS_CRYPT);
    assert_int_equal(amm_push_flags_allowed(AMM_PUSH_TLS_EKM, &info), AMM_PUSH_TLS_EKM);
    info.iv_proto = 2;
    assert_int_equal(amm_push_flags_allowed(all, &info), 0);
}

static void the_mtu_pushed_is_no_larger_than_the_client_takes(void **state)
{
    struct amm_push push = {.tun_mtu = 1400, .peer_id = AMM_NO_PEER_ID};
    (void)state;
    assert_pushed(&push, "IV_MTU=1300\n",
                  "PUSH_REPLY,topology net30,ifconfig 0.0.0.0 0.0.0.0,tun-mtu 1300");
    assert_pushed(&push, "IV_MTU=99\n", "PUSH_REPLY,topology net30,ifconfig 0.0.0.0 0.0.0.0");
}

static void a_subnet_is_pushed_with_mask_and_gateway(void **state)
{
    struct amm_pool pool = {0x0a800000, 19, AMM_SUBNET, {0}};
    struct amm_push push = {.peer_id = AMM_NO_PEER_ID};
    (void)state;
    amm_push_set_slot(&push, &pool, 1);
    assert_pushed(
        &push, "",
        "PUSH_REPLY,topology subnet,ifconfig 10.128.0.2 255.255.224.0,route-gateway 10.128.0.1");
}

static struct amm_push_reader reader;

static bool add(const char *message)
{
    return amm_push_reader_add(&reader, amm_view_str(message));
}

static bool read_alone(const char *message)
{
    amm_push_reader_init(&reader);
    return add(message);
}

static void what_the_server_pushes_the_client_reads(void **state)
{
    struct amm_push push = sample();
    struct amm_peer_info info = info_of("IV_PROTO=990\nIV_CIPHERS=AES-256-GCM\nIV_MTU=1600\n");
    uint8_t out[AMM_PUSH_PART];
    (void)state;
    size_t len = amm_push_encode(&push, &info, 0, out);
    amm_push_reader_init(&reader);
    assert_true(amm_push_reader_add(&reader, amm_view(out, len - 1)));
    assert_true(reader.done);
    assert_int_equal(reader.n_ignored, 0);
    assert_memory_equal(&reader.push, &push, sizeof push);
}

/* PUSH-1 towards small buffers: parts within the limit, marked 2, 2, ..., 1, and whole again
 * when read. */
static void a_reply_in_parts_is_marked_and_comes_back_whole(void **state)
{
    struct amm_push push = sample();
    struct amm_peer_info info = info_of("IV_PROTO=990\nIV_CIPHERS=AES-256-GCM\nIV_MTU=1600\n");
    uint8_t out[200];
    unsigned part;
    (void)state;
    push.n_routes = AMM_PUSH_ROUTES;
    for (unsigned i = 0; i < AMM_PUSH_ROUTES; i++) {
        push.routes[i] = (struct amm_route){0xac100000 + (i << 8), 0xffffff00};
    }
    amm_push_reader_init(&reader);
    for (part = 0; !reader.done; part++) {
        struct amm_span room = {out, sizeof out};
        size_t len = amm_push_encode_within(&push, &info, part, room);
        assert_true(len > 0 && out[len - 1] == 0);
        assert_true(amm_push_reader_add(&reader, amm_view(out, len - 1)));
        assert_non_null(
            strstr((char *)out, reader.done ? ",push-continuation 1" : ",push-continuation 2"));
    }
    assert_true(part > 3);
    assert_int_equal(amm_push_encode_within(&push, &info, part, (struct amm_span){out, sizeof out}),
                     0);
    assert_int_equal(amm_push_encode_within(&push, &info, 0, (struct amm_span){out, 127}), 0);
    assert_memory_equal(&reader.push, &push, sizeof push);
}

static void sixty_routes_from_a_foreign_server_are_counted_not_stored(void **state)
{
    (void)state;
    amm_push_reader_init(&reader);
    for (int part = 0; part < 3; part++) {
        char text[1024] = "PUSH_REPLY";
        for (int i = 0; i < 20; i++) {
            size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, ",route 172.16.%d.0 255.255.255.0",
                     part * 20 + i);
        }
        strncat(text, part < 2 ? ",push-continuation 2" : ",push-continuation 1", 30);
        assert_true(add(text));
        assert_int_equal(reader.done, part == 2);
    }
    assert_int_equal(reader.push.n_routes, AMM_PUSH_ROUTES);
    assert_int_equal(reader.n_ignored, 60 - AMM_PUSH_ROUTES);
}

static void a_real_reply_of_a_stock_server_is_read(void **state)
{
    (void)state;
    assert_true(read_alone(
        "PUSH_REPLY,route 172.16.0.0 255.255.0.0,route 10.128.0.1,topology net30,ping 10,"
        "ping-restart 60,ifconfig 10.128.0.6 10.128.0.5,peer-id 0,cipher AES-256-GCM,"
        "protocol-flags cc-exit tls-ekm dyn-tls-crypt,tun-mtu 1500"));
    assert_true(reader.done);
    assert_int_equal(reader.push.n_routes, 2);
    assert_int_equal(reader.push.routes[1].mask, UINT32_MAX);
    assert_int_equal(reader.push.peer_id, 0);
    assert_int_equal(reader.push.flags,
                     AMM_PUSH_TLS_EKM | AMM_PUSH_DYN_TLS_CRYPT | AMM_PUSH_CC_EXIT);
    assert_int_equal(reader.push.tun_mtu, 1500);
    assert_int_equal(reader.n_ignored, 0);
}

static void what_is_not_on_the_list_is_counted_and_named(void **state)
{
    (void)state;
    assert_true(read_alone(
        "PUSH_REPLY,dhcp-option DNS 192.0.2.1,up /bin/sh,redirect-gateway def1,,setenv \x01"
        "x,protocol-flags tls-ekm aead-epoch,ping 5"));
    assert_int_equal(reader.n_ignored, 5);
    assert_string_equal(reader.ignored, "dhcp-option,up,redirect-gateway,setenv,protocol-flags");
    assert_int_equal(reader.push.ping, 5);
    assert_int_equal(reader.push.flags, AMM_PUSH_TLS_EKM);
}

static void no_server_takes_over_the_default_route(void **state)
{
    (void)state;
    assert_true(read_alone("PUSH_REPLY,route 0.0.0.0 0.0.0.0,route 0.0.0.0 128.0.0.0,"
                           "route 128.0.0.0 128.0.0.0 vpn_gateway,route 10.0.0.0 254.0.0.0,"
                           "route remote_host 255.255.255.255 net_gateway,route www.example.org"));
    assert_int_equal(reader.push.n_routes, 0);
    assert_int_equal(reader.n_ignored, 6);
    assert_true(read_alone("PUSH_REPLY,route 10.1.2.3 255.0.0.0 vpn_gateway 5"));
    assert_int_equal(reader.push.n_routes, 1);
    assert_int_equal(reader.push.routes[0].network, 0x0a000000);
}

static void a_value_that_cannot_be_read_makes_the_reply_malformed(void **state)
{
    static const char *const bad[] = {
        "",
        "PUSH_REPLIES,ping 1",
        "PUSH_REQUEST",
        "PUSH_REPLY,topology ring",
        "PUSH_REPLY,ifconfig 10.0.0.1",
        "PUSH_REPLY,ifconfig 10.0.0.1 ",
        "PUSH_REPLY,ifconfig 10.0.0.256 10.0.0.1",
        "PUSH_REPLY,ifconfig 127.0.0.1 10.0.0.1",
        "PUSH_REPLY,ifconfig 0.0.0.0 10.0.0.1",
        "PUSH_REPLY,ifconfig 239.0.0.1 10.0.0.1",
        "PUSH_REPLY,ifconfig 10.0.0.2 255.0.255.0,topology subnet",
        "PUSH_REPLY,route",
        "PUSH_REPLY,route 10.0.0",
        "PUSH_REPLY,route 10.0.0.0 255.0.255.0",
        "PUSH_REPLY,route 10.0.0.0 mask",
        "PUSH_REPLY,route-gateway x",
        "PUSH_REPLY,ping",
        "PUSH_REPLY,ping -1",
        "PUSH_REPLY,ping 65536",
        "PUSH_REPLY,ping-restart 1s",
        "PUSH_REPLY,peer-id 16777216",
        "PUSH_REPLY,cipher BF-CBC",
        "PUSH_REPLY,cipher",
        "PUSH_REPLY,key-derivation magic",
        "PUSH_REPLY,tun-mtu 99",
        "PUSH_REPLY,explicit-exit-notify x",
        "PUSH_REPLY,push-continuation 3",
        "PUSH_REPLY,push-continuation",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (read_alone(bad[i])) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
}

static void endless_parts_are_refused(void **state)
{
    (void)state;
    amm_push_reader_init(&reader);
    for (int part = 0; part < AMM_PUSH_PARTS; part++) {
        assert_true(add("PUSH_REPLY,push-continuation 2"));
    }
    assert_false(add("PUSH_REPLY,push-continuation 2"));
}

static void after_the_last_part_nothing_changes(void **state)
{
    (void)state;
    assert_true(read_alone("PUSH_REPLY,ping 1"));
    assert_true(add("PUSH_REPLY,ping 2"));
    assert_int_equal(reader.push.ping, 1);
}

static void the_list_of_ignored_options_stays_in_its_bounds(void **state)
{
    char text[1024] = "PUSH_REPLY";
    (void)state;
    for (int i = 0; i < 60; i++) {
        strncat(text, ",unheard-of-x", sizeof text - strlen(text) - 1);
    }
    assert_true(read_alone(text));
    assert_int_equal(reader.n_ignored, 60);
    assert_true(strlen(reader.ignored) < sizeof reader.ignored);
}

/* ---- peer info ---- */

static void peer_info_is_read_at_line_starts_only(void **state)
{
    struct amm_peer_info info =
        info_of("IV_VER=2.6.14\r\nUV_X=IV_PROTO=7\nIV_PROTO=990\nIV_MTU=1600\nIV_NCP=2\n"
                "IV_CIPHERS=AES-256-GCM:BF-CBC:CHACHA20-POLY1305\nIV_PLAT=linux\nXIV_MTU=1");
    (void)state;
    assert_int_equal(info.iv_proto, 990);
    assert_int_equal(info.iv_mtu, 1600);
    assert_int_equal(info.ncp, 1);
    assert_int_equal(info.n_ciphers, 2);
    assert_int_equal(info.ciphers[1], AMM_CIPHER_CHACHA20_POLY1305);
    assert_string_equal(info.version, "2.6.14");
    assert_string_equal(info.platform, "linux");
}

static void an_old_client_with_ncp_alone_has_two_ciphers(void **state)
{
    struct amm_peer_info info = info_of("IV_NCP=2\n");
    (void)state;
    assert_int_equal(info.n_ciphers, 2);
    assert_int_equal(info.ciphers[0], AMM_CIPHER_AES_256_GCM);
    assert_int_equal(info.ciphers[1], AMM_CIPHER_AES_128_GCM);
    info = info_of("IV_CIPHERS=FOO\nIV_NCP=2\n");
    assert_int_equal(info.n_ciphers, 0);
    assert_int_equal(info.ncp, 1);
}

static void hostile_peer_info_stays_in_its_bounds(void **state)
{
    struct amm_peer_info info;
    char text[2000] = "IV_VER=", *end = text + strlen(text);
    (void)state;
    memset(end, 'v', 500);
    strncat(text, "\nIV_PROTO=4294967296\nIV_MTU=65536\nIV_NCP=-2\nIV_CIPHERS=", 100);
    for (int i = 0; i < 60; i++) {
        strncat(text, "AES-256-GCM:", 20);
    }
    info = info_of(text);
    assert_int_equal(strlen(info.version), sizeof info.version - 1);
    assert_true(info.iv_proto == 0 && info.iv_mtu == 0);
    assert_int_equal(info.n_ciphers, 8);
    assert_false(amm_peer_info_parse(&info, amm_view("IV_VER=a\0b", 10)));
    assert_false(amm_peer_info_parse(&info, amm_view_str("IV_VER=\x1b[31m")));
    assert_true(amm_peer_info_parse(&info, amm_view_str("UV_NAME=B\xc3\xbcro\nIV_VER=\xc3\xbc")));
    assert_string_equal(info.version, "__");
}

static void a_clients_own_peer_info_comes_back_as_written(void **state)
{
    struct amm_peer_info info = {.iv_proto = 990,
                                 .iv_mtu = 1500,
                                 .ncp = 1,
                                 .n_ciphers = 2,
                                 .ciphers = {AMM_CIPHER_AES_128_GCM, AMM_CIPHER_CHACHA20_POLY1305},
                                 .version = "amm-0.1.0",
                                 .platform = "linux"};
    struct amm_peer_info out;
    char text[512];
    struct amm_writer w = amm_writer(text, sizeof text);
    (void)state;
    amm_peer_info_write(&w, &info);
    assert_true(amm_peer_info_parse(&out, amm_view(text, amm_writer_len(&w))));
    assert_memory_equal(&out, &info, sizeof info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_is_pushed_what_it_announced_and_nothing_else),
        cmocka_unit_test(the_exporter_is_told_to_a_client_without_protocol_flags_in_its_own_words),
        cmocka_unit_test(the_flags_that_hold_are_those_that_were_told),
        cmocka_unit_test(the_mtu_pushed_is_no_larger_than_the_client_takes),
        cmocka_unit_test(a_subnet_is_pushed_with_mask_and_gateway),
        cmocka_unit_test(what_the_server_pushes_the_client_reads),
        cmocka_unit_test(a_reply_in_parts_is_marked_and_comes_back_whole),
        cmocka_unit_test(sixty_routes_from_a_foreign_server_are_counted_not_stored),
        cmocka_unit_test(a_real_reply_of_a_stock_server_is_read),
        cmocka_unit_test(what_is_not_on_the_list_is_counted_and_named),
        cmocka_unit_test(no_server_takes_over_the_default_route),
        cmocka_unit_test(a_value_that_cannot_be_read_makes_the_reply_malformed),
        cmocka_unit_test(endless_parts_are_refused),
        cmocka_unit_test(after_the_last_part_nothing_changes),
        cmocka_unit_test(the_list_of_ignored_options_stays_in_its_bounds),
        cmocka_unit_test(peer_info_is_read_at_line_starts_only),
        cmocka_unit_test(an_old_client_with_ncp_alone_has_two_ciphers),
        cmocka_unit_test(hostile_peer_info_stays_in_its_bounds),
        cmocka_unit_test(a_clients_own_peer_info_comes_back_as_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
