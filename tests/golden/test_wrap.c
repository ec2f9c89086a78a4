/* The wraps of the control channel give the bytes that real peers put on the wire (TC, TA, V2
 * vectors), and open the keys that real programs read. */
#include "support/vectors.h"
#include "wrap_context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define CLIENT_SID 0x0102030405060708u
#define SERVER_SID 0xa1a2a3a4a5a6a7a8u

enum { TIME = 0x65000000 };

static const struct amm_control client_reset = {.own_sid = CLIENT_SID,
                                                .opcode = AMM_OP_CONTROL_HARD_RESET_CLIENT_V2};
static const struct amm_control server_reset = {.own_sid = SERVER_SID,
                                                .peer_sid = CLIENT_SID,
                                                .n_acks = 1,
                                                .opcode = AMM_OP_CONTROL_HARD_RESET_SERVER_V2};
static const struct amm_control server_reset_tlv = {
    .own_sid = SERVER_SID,
    .peer_sid = CLIENT_SID,
    .n_acks = 1,
    .opcode = AMM_OP_CONTROL_HARD_RESET_SERVER_V2,
    .payload = {(const uint8_t *)"\0\1\0\2\0\1", 6}};
static const struct amm_control client_ack = {
    .own_sid = CLIENT_SID, .peer_sid = SERVER_SID, .n_acks = 1, .opcode = AMM_OP_ACK_V1};

struct golden {
    const char *id;
    enum amm_wrap_mode mode;
    enum amm_digest digest;
    enum amm_key_direction direction; /* of the client; the server has the other one */
    enum amm_role sender;
    const struct amm_control *control;
    uint32_t replay_id;
};

static const struct golden cases[] = {
    {"TC1", AMM_WRAP_CRYPT, 0, 0, AMM_CLIENT, &client_reset, 1},
    {"TC2", AMM_WRAP_CRYPT, 0, 0, AMM_SERVER, &server_reset, 1},
    {"TC3", AMM_WRAP_CRYPT, 0, 0, AMM_SERVER, &server_reset_tlv, 1},
    {"TC4", AMM_WRAP_CRYPT, 0, 0, AMM_CLIENT, &client_ack, 2},
    {"TA1", AMM_WRAP_AUTH, AMM_SHA1, AMM_DIRECTION_1, AMM_CLIENT, &client_reset, 1},
    {"TA2", AMM_WRAP_AUTH, AMM_SHA1, AMM_DIRECTION_BOTH, AMM_CLIENT, &client_reset, 1},
    {"TA3", AMM_WRAP_AUTH, AMM_SHA256, AMM_DIRECTION_1, AMM_CLIENT, &client_reset, 1},
};

static struct amm_wrap_context context_of(const struct golden *g, enum amm_role role)
{
    struct amm_wrap_config config = {
        .mode = g->mode, .auth_digest = g->digest, .direction = g->direction};
    struct amm_wrap_context context;
    if (role == AMM_SERVER && g->direction == AMM_DIRECTION_1) {
        config.direction = AMM_DIRECTION_0;
    }
    vector_static_key(config.static_key);
    amm_wrap_init(&context, &config, role);
    return context;
}

static void sealing_gives_the_bytes_of_the_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t wire[256], out[256];
        size_t len = vector_bytes(cases[i].id, wire, sizeof wire);
        struct amm_wrap_context context = context_of(&cases[i], cases[i].sender);
        context.tx_id = cases[i].replay_id - 1;
        struct amm_span room = {out, sizeof out};
        assert_int_equal(amm_wrap_seal(&context, TIME, cases[i].control, room), len);
        assert_memory_equal(out, wire, len);
    }
}

static void the_other_side_opens_the_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t wire[256], scratch[256];
        size_t len = vector_bytes(cases[i].id, wire, sizeof wire);
        enum amm_role receiver = cases[i].sender == AMM_CLIENT ? AMM_SERVER : AMM_CLIENT;
        struct amm_wrap_context context = context_of(&cases[i], receiver);
        struct amm_span room = {scratch, sizeof scratch};
        struct amm_unwrapped out;
        enum amm_drop why;
        assert_true(amm_wrap_open(&context, amm_view(wire, len), room, &out, &why));
        assert_int_equal(out.replay_id, cases[i].replay_id);
        assert_int_equal(out.time, TIME);
        assert_int_equal(out.control.opcode, cases[i].control->opcode);
        assert_true(out.control.own_sid == cases[i].control->own_sid);
        assert_true(out.control.peer_sid == cases[i].control->peer_sid);
        assert_true(amm_view_equal(out.control.payload, cases[i].control->payload));
    }
}

/* ---- tls-crypt-v2 ---- */

static void server_key(uint8_t key[AMM_V2_SERVER_KEY])
{
    for (unsigned i = 0; i < AMM_V2_SERVER_KEY; i++) {
        key[i] = (uint8_t)(0x80 + i);
    }
}

static size_t make_wkc(uint8_t wkc[AMM_WKC_MAX])
{
    uint8_t s[AMM_V2_SERVER_KEY], kc[AMM_STATIC_KEY];
    size_t len;
    server_key(s);
    vector_static_key(kc);
    assert_true(amm_wkc_make(s, kc, TIME, wkc, &len));
    return len;
}

static void assert_hash(struct amm_view data, const char *hex)
{
    uint8_t hash[AMM_SHA256_LEN];
    char text[2 * AMM_SHA256_LEN + 1];
    assert_true(amm_sha256(data, hash));
    amm_hex(text, amm_view(hash, sizeof hash));
    assert_memory_equal(text, hex, 2 * AMM_SHA256_LEN);
}

static void a_wrapped_client_key_is_that_of_the_vectors(void **state)
{
    uint8_t wkc[AMM_WKC_MAX], tag[AMM_SHA256_LEN];
    (void)state;
    size_t len = make_wkc(wkc);
    assert_int_equal(len, 299);
    assert_string_equal(vector_text("V2a"), "299");
    assert_int_equal(vector_bytes("V2b", tag, sizeof tag), sizeof tag);
    assert_memory_equal(wkc, tag, sizeof tag);
    assert_hash(amm_view(wkc, len), vector_text("V2c"));
}

static void the_first_packet_of_a_v2_client_is_that_of_the_vectors(void **state)
{
    struct amm_wrap_config config = {.mode = AMM_WRAP_CRYPT_V2};
    struct amm_control control = client_reset;
    struct amm_wrap_context context;
    uint8_t out[512], wkc[AMM_WKC_MAX];
    char front[109];
    (void)state;
    vector_static_key(config.static_key);
    amm_wrap_init(&context, &config, AMM_CLIENT);
    control.opcode = AMM_OP_CONTROL_HARD_RESET_CLIENT_V3;
    control.wkc = amm_view(wkc, make_wkc(wkc));
    size_t len = amm_wrap_seal(&context, TIME, &control, (struct amm_span){out, sizeof out});
    assert_int_equal(len, 353);
    const char *expected = vector_text("V2e"); /* "353 SHA256 FIRST54" */
    assert_hash(amm_view(out, len), expected + 4);
    amm_hex(front, amm_view(out, 54));
    assert_string_equal(front, expected + 4 + 65);
}

/* ---- key files of a real program ---- */

static void read_text(const char *name, char *out, size_t room)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", AMM_GOLDEN, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(out, 1, room - 1, file);
    out[n] = '\0';
    fclose(file);
}

static void real_key_files_unwrap(void **state)
{
    char text[AMM_PEM_MAX];
    uint8_t s[AMM_V2_SERVER_KEY], kc[AMM_STATIC_KEY], unwrapped[AMM_STATIC_KEY], wkc[AMM_WKC_MAX];
    size_t wkc_len;
    struct amm_wkc_info info;
    enum amm_drop why;
    (void)state;
    read_text("v2srv.pem", text, sizeof text);
    assert_true(amm_v2_server_key_parse(text, s));
    read_text("v2cli.pem", text, sizeof text);
    assert_true(amm_v2_client_key_parse(text, kc, wkc, &wkc_len));
    assert_true(amm_wkc_open(s, amm_view(wkc, wkc_len), unwrapped, &info, &why));
    assert_memory_equal(unwrapped, kc, sizeof kc);
    assert_true(info.has_time);
    assert_int_equal(info.made, TIME);
}

static void a_real_static_key_file_is_k(void **state)
{
    char text[AMM_PEM_MAX];
    uint8_t key[AMM_STATIC_KEY], k[AMM_STATIC_KEY];
    (void)state;
    read_text("static.key", text, sizeof text);
    assert_true(amm_static_key_parse(text, key));
    vector_static_key(k);
    assert_memory_equal(key, k, sizeof k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealing_gives_the_bytes_of_the_vectors),
        cmocka_unit_test(the_other_side_opens_the_vectors),
        cmocka_unit_test(a_wrapped_client_key_is_that_of_the_vectors),
        cmocka_unit_test(the_first_packet_of_a_v2_client_is_that_of_the_vectors),
        cmocka_unit_test(real_key_files_unwrap),
        cmocka_unit_test(a_real_static_key_file_is_k),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
