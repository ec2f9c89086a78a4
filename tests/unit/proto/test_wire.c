#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void peek_refuses(const char *bytes, size_t len, enum amm_drop reason)
{
    struct amm_control control;
    enum amm_drop why = AMM_DROP_COUNT;
    assert_false(amm_control_peek(&control, amm_view(bytes, len), &why));
    assert_int_equal(why, reason);
}

static bool decodes(unsigned opcode, const char *body, size_t len, struct amm_control *out)
{
    enum amm_drop why = AMM_DROP_COUNT;
    *out = (struct amm_control){.opcode = (uint8_t)opcode};
    bool ok = amm_control_decode(out, amm_view(body, len), &why);
    assert_int_equal(why, AMM_DROP_CONTROL_MALFORMED);
    return ok;
}

static void only_living_control_opcodes_pass_the_first_look(void **state)
{
    (void)state;
    for (unsigned opcode = 0; opcode < 32; opcode++) {
        uint8_t packet[14] = {(uint8_t)(opcode << 3 | 2), 1};
        struct amm_control control;
        enum amm_drop why;
        bool is_control = opcode == 3 || opcode == 4 || opcode == 5 || opcode == 7 || opcode == 8 ||
                          opcode == 10 || opcode == 11;
        assert_int_equal(amm_control_peek(&control, amm_view(packet, sizeof packet), &why),
                         is_control);
        if (is_control) {
            assert_int_equal(control.opcode, opcode);
            assert_int_equal(control.key_id, 2);
            assert_true(control.own_sid == (uint64_t)1 << 56);
        } else {
            assert_int_equal(why, AMM_DROP_CONTROL_OPCODE);
        }
    }
}

static void runts_and_zero_session_ids_are_refused(void **state)
{
    char packet[14] = {0x38, 1};
    (void)state;
    for (size_t len = 0; len < 10; len++) {
        peek_refuses(packet, len, AMM_DROP_CONTROL_SHORT);
    }
    packet[1] = 0;
    peek_refuses(packet, sizeof packet, AMM_DROP_CONTROL_ZERO_SID);
}

static void a_body_with_acks_and_payload_comes_back_as_written(void **state)
{
    struct amm_control control = {.opcode = AMM_OP_CONTROL_V1,
                                  .own_sid = 1,
                                  .peer_sid = 0xa1a2a3a4a5a6a7a8u,
                                  .acks = {7, 6, 0xffffffff},
                                  .n_acks = 3,
                                  .message_id = 8,
                                  .payload = amm_view_str("hello")};
    uint8_t bytes[64];
    struct amm_writer w = amm_writer(bytes, sizeof bytes);
    struct amm_control out;
    (void)state;
    amm_control_encode(&w, &control);
    assert_int_equal(amm_writer_len(&w), 1 + 12 + 8 + 4 + 5);
    assert_true(decodes(AMM_OP_CONTROL_V1, (char *)bytes, amm_writer_len(&w), &out));
    assert_int_equal(out.n_acks, 3);
    assert_memory_equal(out.acks, control.acks, 12);
    assert_true(out.peer_sid == control.peer_sid);
    assert_int_equal(out.message_id, 8);
    assert_true(amm_view_equal(out.payload, control.payload));
}

static void an_ack_carries_neither_message_id_nor_payload(void **state)
{
    static const char ack[] = "\1\0\0\0\5SESSION!";
    struct amm_control out;
    (void)state;
    assert_true(decodes(AMM_OP_ACK_V1, ack, 13, &out));
    assert_int_equal(out.acks[0], 5);
    assert_int_equal(out.payload.len, 0);
    assert_false(decodes(AMM_OP_ACK_V1, ack, 14, &out)); /* a byte too many */
    assert_false(decodes(AMM_OP_ACK_V1, "\0", 1, &out)); /* acknowledges nothing */
}

static void every_cut_of_a_body_is_malformed(void **state)
{
    static const char body[] = "\2\0\0\0\1\0\0\0\2SESSION!\0\0\0\3";
    struct amm_control out;
    (void)state;
    assert_true(decodes(AMM_OP_CONTROL_V1, body, 21, &out));
    for (size_t len = 0; len < 21; len++) {
        assert_false(decodes(AMM_OP_CONTROL_V1, body, len, &out));
    }
}

static void more_than_eight_acks_and_a_zero_peer_session_are_malformed(void **state)
{
    char body[1 + 4 * 9 + 8 + 4] = {8};
    struct amm_control out;
    (void)state;
    assert_false(
        decodes(AMM_OP_CONTROL_V1, body, 1 + 4 * 8 + 8 + 4, &out)); /* session id of zero */
    body[1 + 4 * 8] = 1;
    assert_true(decodes(AMM_OP_CONTROL_V1, body, 1 + 4 * 8 + 8 + 4, &out));
    body[0] = 9;
    body[1 + 4 * 9] = 1;
    assert_false(decodes(AMM_OP_CONTROL_V1, body, sizeof body, &out));
    assert_int_equal(out.n_acks, 0);
}

static void writing_more_than_eight_acks_fails(void **state)
{
    struct amm_control control = {.opcode = AMM_OP_ACK_V1, .n_acks = 9};
    uint8_t bytes[256];
    struct amm_writer w = amm_writer(bytes, sizeof bytes);
    (void)state;
    amm_control_encode(&w, &control);
    assert_int_equal(amm_writer_len(&w), 0);
}

static void early_negotiation_skips_unknown_types_and_refuses_broken_ones(void **state)
{
    uint8_t bytes[6];
    struct amm_writer w = amm_writer(bytes, sizeof bytes);
    uint16_t flags = 9;
    (void)state;
    amm_early_encode(&w, AMM_EARLY_RESEND_WKC);
    assert_int_equal(amm_writer_len(&w), 6);
    assert_memory_equal(bytes, "\0\1\0\2\0\1", 6);
    assert_true(amm_early_decode(&flags, amm_view(bytes, 6)) && flags == AMM_EARLY_RESEND_WKC);
    assert_true(amm_early_decode(&flags, amm_view(NULL, 0)) && flags == 0);
    assert_true(amm_early_decode(&flags, amm_view("\0\7\0\3abc\0\1\0\2\0\1", 13)) && flags == 1);
    for (size_t len = 1; len < 6; len++) {
        assert_false(amm_early_decode(&flags, amm_view(bytes, len)));
    }
    assert_false(amm_early_decode(&flags, amm_view("\0\1\0\1\1", 5)));
    assert_false(amm_early_decode(&flags, amm_view("\0\1\0\0", 4)));
}

static void key_ids_run_from_seven_to_one_and_never_to_zero(void **state)
{
    (void)state;
    assert_int_equal(amm_key_id_next(0), 1);
    assert_int_equal(amm_key_id_next(6), 7);
    assert_int_equal(amm_key_id_next(7), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_living_control_opcodes_pass_the_first_look),
        cmocka_unit_test(runts_and_zero_session_ids_are_refused),
        cmocka_unit_test(a_body_with_acks_and_payload_comes_back_as_written),
        cmocka_unit_test(an_ack_carries_neither_message_id_nor_payload),
        cmocka_unit_test(every_cut_of_a_body_is_malformed),
        cmocka_unit_test(more_than_eight_acks_and_a_zero_peer_session_are_malformed),
        cmocka_unit_test(writing_more_than_eight_acks_fails),
        cmocka_unit_test(early_negotiation_skips_unknown_types_and_refuses_broken_ones),
        cmocka_unit_test(key_ids_run_from_seven_to_one_and_never_to_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
