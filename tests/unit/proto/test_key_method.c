#include "key_method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const char occ[] =
    "V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto UDPv4,keydir 1,cipher AES-256-GCM,"
    "auth SHA1,keysize 128,tls-auth,key-method 2,tls-client";

static struct amm_key_method sample(void)
{
    struct amm_key_method message = {.options = amm_view_str(occ),
                                     .username = amm_view_str("user"),
                                     .password = amm_view_str("secret"),
                                     .peer_info = amm_view_str("IV_VER=2.6.14\nIV_PROTO=990\n")};
    memset(message.source.pre_master, 1, sizeof message.source.pre_master);
    memset(message.source.random1, 2, AMM_RANDOM);
    memset(message.source.random2, 3, AMM_RANDOM);
    return message;
}

static uint8_t wire[AMM_KEY_METHOD_MAX + 8];
static struct amm_key_method out;

static size_t encode(enum amm_role sender)
{
    struct amm_key_method message = sample();
    size_t len = amm_key_method_encode(&message, sender, (struct amm_span){wire, sizeof wire});
    assert_true(len > 0);
    return len;
}

static enum amm_parse decode(enum amm_role sender, size_t len)
{
    /* At the end of its own memory, so that the sanitizer sees a read behind it. */
    static uint8_t *copy;
    free(copy);
    copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy + 1, wire, len);
    return amm_key_method_decode(&out, sender, amm_view(copy + 1, len));
}

static void assert_view(struct amm_view view, const char *expected)
{
    assert_true(amm_view_equal(view, amm_view_str(expected)));
}

static void a_clients_message_comes_back_as_written(void **state)
{
    struct amm_key_method message = sample();
    (void)state;
    assert_int_equal(decode(AMM_CLIENT, encode(AMM_CLIENT)), AMM_PARSE_DONE);
    assert_memory_equal(&out.source, &message.source, sizeof out.source);
    assert_view(out.options, occ);
    assert_view(out.username, "user");
    assert_view(out.password, "secret");
    assert_view(out.peer_info, "IV_VER=2.6.14\nIV_PROTO=990\n");
    assert_false(out.credentials_too_long);
    assert_int_equal(out.username.data[out.username.len], 0); /* usable as a C string */
}

static void a_servers_message_has_no_pre_master_and_ends_in_six_zeros(void **state)
{
    struct amm_key_method message = {.options = amm_view_str("V4,tls-server")};
    uint8_t secret[AMM_PRE_MASTER] = {0};
    (void)state;
    memset(message.source.pre_master, 1, sizeof message.source.pre_master);
    size_t len = amm_key_method_encode(&message, AMM_SERVER, (struct amm_span){wire, sizeof wire});
    assert_int_equal(len, 5 + 64 + 2 + 14 + 6);
    assert_memory_equal(wire + len - 6, "\0\0\0\0\0\0", 6);
    assert_int_equal(decode(AMM_SERVER, len), AMM_PARSE_DONE);
    assert_memory_equal(out.source.pre_master, secret, sizeof secret);
    assert_int_equal(out.peer_info.len, 0);
}

static void a_message_cut_anywhere_waits_for_more(void **state)
{
    size_t whole = encode(AMM_CLIENT);
    size_t options_end = 5 + 48 + 64 + 2 + sizeof occ;
    size_t username_end = options_end + 2 + 5;
    size_t password_end = username_end + 2 + 7;
    (void)state;
    for (size_t len = 0; len < whole; len++) {
        bool is_boundary = len == options_end || len == username_end || len == password_end;
        assert_int_equal(decode(AMM_CLIENT, len), is_boundary ? AMM_PARSE_DONE : AMM_PARSE_MORE);
    }
}

static void trailing_fields_may_be_missing_as_a_whole(void **state)
{
    size_t options_end = 5 + 48 + 64 + 2 + sizeof occ;
    (void)state;
    encode(AMM_CLIENT);
    assert_int_equal(decode(AMM_CLIENT, options_end), AMM_PARSE_DONE);
    assert_view(out.options, occ);
    assert_true(out.username.len == 0 && out.password.len == 0 && out.peer_info.len == 0);
}

static void another_key_method_is_bad(void **state)
{
    size_t len = encode(AMM_CLIENT);
    (void)state;
    wire[4] = 1;
    assert_int_equal(decode(AMM_CLIENT, len), AMM_PARSE_BAD);
    wire[4] = 0x12; /* only the low four bits are the method */
    assert_int_equal(decode(AMM_CLIENT, len), AMM_PARSE_DONE);
    wire[3] = 1;
    assert_int_equal(decode(AMM_CLIENT, len), AMM_PARSE_BAD);
}

/* A client message with one field replaced: `at` counts the texts. */
static size_t with_field(unsigned at, uint16_t len, uint8_t fill, bool terminated)
{
    struct amm_writer w = amm_writer(wire, sizeof wire);
    amm_write_u32(&w, 0);
    amm_write_u8(&w, 2);
    memset(amm_write_gap(&w, 48 + 64), 7, 48 + 64);
    for (unsigned i = 0; i < at; i++) {
        amm_write_u16(&w, 2);
        amm_write_str(&w, "a");
        amm_write_u8(&w, 0);
    }
    amm_write_u16(&w, len);
    uint8_t *text = amm_write_gap(&w, len);
    memset(text, fill, len);
    if (terminated) {
        text[len - 1] = 0;
    }
    return amm_writer_len(&w);
}

static void every_field_has_its_limit(void **state)
{
    static const uint16_t limits[] = {AMM_OPTIONS_MAX, AMM_CREDENTIAL_WIRE_MAX,
                                      AMM_CREDENTIAL_WIRE_MAX, AMM_PEER_INFO_MAX};
    (void)state;
    for (unsigned at = 0; at < 4; at++) {
        assert_int_equal(decode(AMM_CLIENT, with_field(at, limits[at], 'x', true)), AMM_PARSE_DONE);
        uint16_t too_long = (uint16_t)(limits[at] + 1);
        assert_int_equal(decode(AMM_CLIENT, with_field(at, too_long, 'x', true)), AMM_PARSE_BAD);
    }
}

static void a_text_without_nul_or_with_one_inside_is_bad(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 4; at++) {
        assert_int_equal(decode(AMM_CLIENT, with_field(at, 20, 'x', false)), AMM_PARSE_BAD);
        assert_int_equal(decode(AMM_CLIENT, with_field(at, 20, 0, true)), AMM_PARSE_BAD);
        assert_int_equal(decode(AMM_CLIENT, with_field(at, 1, 0, true)),
                         AMM_PARSE_DONE); /* absent */
    }
}

static void credentials_too_long_are_read_to_be_refused_in_words(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 3; at++) {
        assert_int_equal(decode(AMM_CLIENT, with_field(at, AMM_CREDENTIAL_MAX, 'x', true)),
                         AMM_PARSE_DONE);
        assert_false(out.credentials_too_long);
        assert_int_equal(decode(AMM_CLIENT, with_field(at, AMM_CREDENTIAL_MAX + 1, 'x', true)),
                         AMM_PARSE_DONE);
        assert_true(out.credentials_too_long);
    }
}

static void secrets_are_wiped_when_a_message_is_bad(void **state)
{
    static const struct amm_key_method empty;
    (void)state;
    assert_int_equal(decode(AMM_CLIENT, with_field(1, 20, 'x', false)), AMM_PARSE_BAD);
    assert_memory_equal(&out.source, &empty.source, sizeof out.source);
}

static void a_message_that_does_not_fit_is_not_written(void **state)
{
    struct amm_key_method message = sample();
    size_t whole = encode(AMM_CLIENT);
    (void)state;
    for (size_t room = 0; room < whole; room++) {
        assert_int_equal(amm_key_method_encode(&message, AMM_CLIENT, (struct amm_span){wire, room}),
                         0);
    }
}

static void assert_answer(const char *client, const char *expected)
{
    uint8_t text[AMM_OPTIONS_MAX];
    struct amm_writer w = amm_writer(text, sizeof text);
    amm_occ_answer(&w, amm_view_str(client));
    assert_view(amm_view(text, amm_writer_len(&w)), expected);
}

static void the_answer_turns_the_words_that_name_a_side(void **state)
{
    (void)state;
    assert_answer("V4,proto TCPv4_CLIENT,keydir 1,tls-client",
                  "V4,proto TCPv4_SERVER,keydir 0,tls-server");
    assert_answer("V4,proto UDPv4,keydir 0,auth SHA1", "V4,proto UDPv4,keydir 1,auth SHA1");
    assert_answer("", "");
    assert_answer("a,,b", "a,,b");
    assert_answer("xtls-client,tls-clients", "xtls-client,tls-clients");
}

static void compression_fragment_and_cipher_are_found_as_whole_words(void **state)
{
    struct amm_occ found =
        amm_occ_parse(amm_view_str("V4,comp-lzo,mtu-dynamic,cipher aes-128-gcm"));
    (void)state;
    assert_true(found.compression && found.fragment);
    assert_int_equal(found.cipher, AMM_CIPHER_AES_128_GCM);
    found = amm_occ_parse(amm_view_str("V4,xcomp-lzo,mtu-dynamic2,cipher BF-CBC"));
    assert_false(found.compression || found.fragment);
    assert_int_equal(found.cipher, AMM_CIPHER_NONE);
}

static void a_clients_own_options_look_like_a_stock_clients(void **state)
{
    struct amm_wrap_config wrap = {
        .mode = AMM_WRAP_AUTH, .auth_digest = AMM_SHA256, .direction = AMM_DIRECTION_1};
    char text[AMM_OPTIONS_MAX];
    struct amm_writer w = amm_writer(text, sizeof text);
    (void)state;
    amm_occ_client(&w, &wrap, AMM_TCP, 1500);
    assert_view(
        amm_view(text, amm_writer_len(&w)),
        "V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto TCPv4_CLIENT,keydir 1,auth SHA256,"
        "keysize 128,tls-auth,key-method 2,tls-client");
    w = amm_writer(text, sizeof text);
    wrap.mode = AMM_WRAP_CRYPT;
    amm_occ_client(&w, &wrap, AMM_UDP, 1500);
    assert_view(amm_view(text, amm_writer_len(&w)),
                "V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto UDPv4,auth SHA1,keysize 128,"
                "key-method 2,tls-client");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clients_message_comes_back_as_written),
        cmocka_unit_test(a_servers_message_has_no_pre_master_and_ends_in_six_zeros),
        cmocka_unit_test(a_message_cut_anywhere_waits_for_more),
        cmocka_unit_test(trailing_fields_may_be_missing_as_a_whole),
        cmocka_unit_test(another_key_method_is_bad),
        cmocka_unit_test(every_field_has_its_limit),
        cmocka_unit_test(a_text_without_nul_or_with_one_inside_is_bad),
        cmocka_unit_test(credentials_too_long_are_read_to_be_refused_in_words),
        cmocka_unit_test(secrets_are_wiped_when_a_message_is_bad),
        cmocka_unit_test(a_message_that_does_not_fit_is_not_written),
        cmocka_unit_test(the_answer_turns_the_words_that_name_a_side),
        cmocka_unit_test(compression_fragment_and_cipher_are_found_as_whole_words),
        cmocka_unit_test(a_clients_own_options_look_like_a_stock_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
