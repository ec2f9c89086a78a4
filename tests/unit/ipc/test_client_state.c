#include "ipc/client_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct amm_client_state example(void)
{
    struct amm_client_state state = {
        .phase = AMM_PHASE_UP,
        .since = 1793491200,
        .remote = "tunnel.example:1190/udp",
        .inner_ip = 0x0A042006,
        .server_ip = 0x0A042001,
        .epoch = UINT64_C(0x0123456789abcdef),
        .tun = "tun0",
        .server = "amm tunnel",
        .cipher = "AES-256-GCM",
        .tls = "TLSv1.3 TLS_AES_256_GCM_SHA384",
        .joins = 3,
        .rx_packets = 1,
        .rx_bytes = UINT64_C(1) << 40,
        .tx_packets = 2,
        .tx_bytes = 5,
        .last_error = "no answer = silence",
    };
    assert_true(amm_address_parse(&state.address, "192.0.2.1:1190", 0));
    return state;
}

static void what_is_encoded_is_decoded(void **unused)
{
    (void)unused;
    uint8_t packet[AMM_CLIENT_STATE_MAX];
    struct amm_client_state in = example(), out;
    size_t len = amm_client_state_encode(&in, packet, sizeof packet);
    assert_true(len > 0);
    assert_true(amm_client_state_decode(&out, amm_view(packet, len)));
    assert_memory_equal(&in, &out, sizeof in);
}

static void every_phase_has_a_name_of_its_own(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < AMM_PHASE_COUNT; i++) {
        uint8_t packet[AMM_CLIENT_STATE_MAX];
        struct amm_client_state in = {.phase = (enum amm_client_phase)i}, out;
        size_t len = amm_client_state_encode(&in, packet, sizeof packet);
        assert_true(amm_client_state_decode(&out, amm_view(packet, len)));
        assert_int_equal(out.phase, i);
    }
}

static void unknown_keys_are_skipped_and_broken_lines_are_not(void **unused)
{
    (void)unused;
    struct amm_client_state out;
    assert_true(amm_client_state_decode(&out, amm_view_str("state=up\nnew-key=1\n")));
    static const char *const broken[] = {
        "",
        "since=1\n",
        "state=flying\n",
        "state=up",
        "state=up\nsince\n",
        "state=up\nsince=-1\n",
        "state=up\nsince=1x\n",
        "state=up\njoins=4294967296\n",
        "state=up\nsince=99999999999999999999\n",
        "state=up\naddress=nowhere\n",
        "state=up\ninner=10.0.0\n",
        "state=up\nepoch=1\n",
        "state=up\nepoch=0123456789abcdeF\n",
        "state=up\nepoch=0123456789abcdef0\n",
        "state=up\ntun=sixteen-letters-\n",
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_false(amm_client_state_decode(&out, amm_view_str(broken[i])));
    }
}

static void a_name_from_the_peer_cannot_forge_a_line_or_json(void **unused)
{
    (void)unused;
    uint8_t packet[AMM_CLIENT_STATE_MAX];
    char json[AMM_CLIENT_STATE_MAX];
    struct amm_client_state in = {.phase = AMM_PHASE_REFUSED}, out;
    snprintf(in.last_error, sizeof in.last_error, "a\nstate=up\n\"\\\x1b");
    size_t len = amm_client_state_encode(&in, packet, sizeof packet);
    assert_true(amm_client_state_decode(&out, amm_view(packet, len)));
    assert_int_equal(out.phase, AMM_PHASE_REFUSED);
    assert_string_equal(out.last_error, "a_state=up_\"\\_");
    assert_true(amm_client_state_json(&in, json, sizeof json) > 0);
    assert_non_null(strstr((char *)json, "\"last_error\":\"a_state=up_\\\"\\\\_\"}\n"));
}

static void too_little_room_gives_nothing(void **unused)
{
    (void)unused;
    uint8_t packet[AMM_CLIENT_STATE_MAX];
    struct amm_client_state in = example();
    size_t len = amm_client_state_encode(&in, packet, sizeof packet);
    assert_int_equal(amm_client_state_encode(&in, packet, len - 1), 0);
    assert_int_equal(amm_client_state_json(&in, (char *)packet, 100), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(every_phase_has_a_name_of_its_own),
        cmocka_unit_test(unknown_keys_are_skipped_and_broken_lines_are_not),
        cmocka_unit_test(a_name_from_the_peer_cannot_forge_a_line_or_json),
        cmocka_unit_test(too_little_room_gives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
