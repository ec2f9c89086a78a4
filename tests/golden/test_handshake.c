/* Whole handshakes of stock openvpn (capture_handshake.py), read with our wire and wrap code. */
#include "proto/wrap.h"
#include "wire.h"
#include "wrap_context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { PACKETS = 64, STREAM = 16384 };

struct packet {
    bool to_server;
    size_t len;
    uint8_t data[1600];
};

struct capture {
    enum amm_wrap_mode mode;
    struct amm_wrap_config config;
    unsigned n;
    struct packet packets[PACKETS];
};

/* One direction of the control channel, as its receiver sees it. */
struct side {
    struct amm_wrap_context wrap;
    uint64_t sid;     /* of the sender */
    uint32_t next_id; /* messages up to here were seen */
    uint32_t n_acked; /* messages 0 .. n-1 were acknowledged by the other side */
    uint8_t stream[STREAM];
    size_t len;
};

static struct capture capture;

static void read_capture(const char *name, enum amm_wrap_mode mode)
{
    static char line[8192];
    char path[512];
    snprintf(path, sizeof path, AMM_GOLDEN "/handshake-%s.txt", name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    memset(&capture, 0, sizeof capture);
    capture.mode = mode;
    capture.config.mode = mode == AMM_WRAP_CRYPT_V2 ? AMM_WRAP_CRYPT : mode;
    capture.config.auth_digest = AMM_SHA1;
    capture.config.direction = AMM_DIRECTION_0;
    for (unsigned i = 0; i < AMM_STATIC_KEY; i++) {
        capture.config.static_key[i] = (uint8_t)i;
    }
    while (fgets(line, sizeof line, file)) {
        size_t hex = strcspn(line + 2, "\n");
        if (line[0] == 'k') {
            assert_int_equal(hex, 2 * AMM_V2_SERVER_KEY);
            assert_true(amm_unhex(capture.config.v2_server_key, AMM_V2_SERVER_KEY, line + 2));
        } else if (line[0] == '>' || line[0] == '<') {
            assert_true(capture.n < PACKETS);
            struct packet *packet = &capture.packets[capture.n++];
            packet->to_server = line[0] == '>';
            packet->len = hex / 2;
            assert_true(packet->len <= sizeof packet->data);
            assert_true(amm_unhex(packet->data, packet->len, line + 2));
        }
    }
    fclose(file);
}

/* The receivers' contexts. With tls-crypt-v2 the key comes out of the first packet. */
static void init_sides(struct side *server, struct side *client)
{
    memset(server, 0, sizeof *server);
    memset(client, 0, sizeof *client);
    amm_wrap_init(&server->wrap, &capture.config, AMM_SERVER);
    struct amm_wrap_config config = capture.config;
    config.direction = AMM_DIRECTION_1;
    amm_wrap_init(&client->wrap, &config, AMM_CLIENT);
    if (capture.mode == AMM_WRAP_CRYPT_V2) {
        struct amm_view front, wkc;
        struct amm_wkc_info info;
        enum amm_drop why;
        uint8_t kc[AMM_STATIC_KEY];
        const struct packet *first = &capture.packets[0];
        assert_true(amm_wkc_split(amm_view(first->data, first->len), &front, &wkc, &why));
        assert_true(amm_wkc_open(capture.config.v2_server_key, wkc, kc, &info, &why));
        assert_true(info.has_time);
        amm_wrap_init_crypt(&server->wrap, kc, AMM_SERVER);
        amm_wrap_init_crypt(&client->wrap, kc, AMM_CLIENT);
    }
}

static struct amm_view without_wkc(const struct packet *packet)
{
    struct amm_view view = amm_view(packet->data, packet->len);
    struct amm_view wkc;
    enum amm_drop why;
    if (amm_opcode_has_wkc(packet->data[0] >> 3)) {
        assert_true(amm_wkc_split(view, &view, &wkc, &why));
    }
    return view;
}

static void take_control(struct side *side, struct side *other, const struct amm_control *control)
{
    if (side->sid == 0) {
        side->sid = control->own_sid;
    }
    assert_int_equal(control->key_id, 0);
    assert_true(control->own_sid == side->sid);
    if (control->n_acks > 0) {
        assert_true(control->peer_sid == other->sid);
    }
    for (unsigned i = 0; i < control->n_acks; i++) {
        assert_true(control->acks[i] < other->next_id);
        other->n_acked =
            control->acks[i] + 1 > other->n_acked ? control->acks[i] + 1 : other->n_acked;
    }
    if (control->opcode == AMM_OP_ACK_V1 || control->message_id < side->next_id) {
        return;
    }
    assert_int_equal(control->message_id, side->next_id);
    side->next_id++;
    bool is_reset = control->message_id == 0;
    assert_int_equal(is_reset, control->opcode == AMM_OP_CONTROL_HARD_RESET_CLIENT_V2 ||
                                   control->opcode == AMM_OP_CONTROL_HARD_RESET_SERVER_V2 ||
                                   control->opcode == AMM_OP_CONTROL_HARD_RESET_CLIENT_V3);
    if (!is_reset) {
        assert_true(side->len + control->payload.len <= STREAM);
        memcpy(side->stream + side->len, control->payload.data, control->payload.len);
        side->len += control->payload.len;
    }
}

/* The stream is whole TLS records; returns how many. */
static unsigned count_records(const struct side *side)
{
    unsigned n = 0;
    struct amm_reader r = amm_reader(amm_view(side->stream, side->len));
    while (amm_reader_left(&r) > 0) {
        uint8_t type = amm_read_u8(&r);
        assert_in_range(type, 20, 23);
        assert_int_equal(amm_read_u8(&r), 3);
        amm_read_u8(&r);
        amm_read_bytes(&r, amm_read_u16(&r));
        n++;
    }
    assert_true(amm_reader_done(&r));
    return n;
}

static void walk(const char *name, enum amm_wrap_mode mode)
{
    static struct side server, client;
    unsigned data = 0;
    read_capture(name, mode);
    init_sides(&server, &client);
    for (unsigned i = 0; i < capture.n; i++) {
        const struct packet *packet = &capture.packets[i];
        struct side *side = packet->to_server ? &server : &client;
        uint8_t scratch[1600];
        struct amm_unwrapped out = {0};
        enum amm_drop why = AMM_DROP_COUNT;
        if (packet->data[0] >> 3 == AMM_OP_DATA_V2) {
            data++;
            continue;
        }
        if (!amm_wrap_open(&side->wrap, without_wkc(packet),
                           (struct amm_span){scratch, sizeof scratch}, &out, &why)) {
            fail_msg("%s: packet %u is refused: %s", name, i, amm_drop_name(why));
        }
        take_control(side, packet->to_server ? &client : &server, &out.control);
    }
    assert_true(data > 0);
    assert_true(server.sid != 0 && client.sid != 0);
    assert_true(server.next_id >= 5 && client.next_id >= 5);
    /* the server acknowledged all but, at most, the client's goodbye */
    assert_true(server.n_acked + 1 >= server.next_id);
    assert_int_equal(client.n_acked, client.next_id);
    assert_true(count_records(&server) >= 4);
    assert_true(count_records(&client) >= 5);
}

static void stock_handshake_without_wrap_is_read(void **state)
{
    (void)state;
    walk("none", AMM_WRAP_NONE);
}

static void stock_handshake_in_tls_auth_is_read(void **state)
{
    (void)state;
    walk("tls-auth", AMM_WRAP_AUTH);
}

static void stock_handshake_in_tls_crypt_is_read(void **state)
{
    (void)state;
    walk("tls-crypt", AMM_WRAP_CRYPT);
}

static void stock_handshake_in_tls_crypt_v2_is_read(void **state)
{
    (void)state;
    walk("tls-crypt-v2", AMM_WRAP_CRYPT_V2);
}

static void stock_server_asks_for_the_client_key_again(void **state)
{
    (void)state;
    static struct side server, client;
    uint8_t scratch[1600];
    struct amm_unwrapped out = {0};
    enum amm_drop why;
    uint16_t flags = 0;
    read_capture("tls-crypt-v2", AMM_WRAP_CRYPT_V2);
    init_sides(&server, &client);
    const struct packet *reset = &capture.packets[0], *answer = &capture.packets[1],
                        *third = &capture.packets[2];
    assert_true(amm_wrap_open(&server.wrap, without_wkc(reset),
                              (struct amm_span){scratch, sizeof scratch}, &out, &why));
    assert_true(amm_wrap_is_v2_signal(out.replay_id));
    assert_true(amm_wrap_open(&client.wrap, amm_view(answer->data, answer->len),
                              (struct amm_span){scratch, sizeof scratch}, &out, &why));
    assert_true(amm_early_decode(&flags, out.control.payload));
    assert_int_equal(flags, AMM_EARLY_RESEND_WKC);
    assert_int_equal(third->data[0] >> 3, AMM_OP_CONTROL_WKC_V1);
}

/* Any changed bit of an authenticated packet, and any packet that comes twice, is refused. */
static void changed_and_repeated_packets_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum amm_wrap_mode mode;
    } cases[] = {{"tls-auth", AMM_WRAP_AUTH}, {"tls-crypt", AMM_WRAP_CRYPT}};
    static struct side server, client;
    for (unsigned c = 0; c < 2; c++) {
        read_capture(cases[c].name, cases[c].mode);
        init_sides(&server, &client);
        struct packet packet = capture.packets[0];
        uint8_t scratch[1600];
        struct amm_span room = {scratch, sizeof scratch};
        struct amm_unwrapped out;
        enum amm_drop why;
        for (size_t bit = 0; bit < packet.len * 8; bit++) {
            packet.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(
                amm_wrap_open(&server.wrap, amm_view(packet.data, packet.len), room, &out, &why));
            packet.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t len = 0; len < packet.len; len++) {
            assert_false(amm_wrap_open(&server.wrap, amm_view(packet.data, len), room, &out, &why));
        }
        assert_true(
            amm_wrap_open(&server.wrap, amm_view(packet.data, packet.len), room, &out, &why));
        assert_false(
            amm_wrap_open(&server.wrap, amm_view(packet.data, packet.len), room, &out, &why));
        assert_int_equal(why, AMM_DROP_WRAP_REPLAY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stock_handshake_without_wrap_is_read),
        cmocka_unit_test(stock_handshake_in_tls_auth_is_read),
        cmocka_unit_test(stock_handshake_in_tls_crypt_is_read),
        cmocka_unit_test(stock_handshake_in_tls_crypt_v2_is_read),
        cmocka_unit_test(stock_server_asks_for_the_client_key_again),
        cmocka_unit_test(changed_and_repeated_packets_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
