#include "text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define RECORD(text) amm_view(text, sizeof(text))

static struct amm_text one(struct amm_view record)
{
    struct amm_text text;
    assert_int_equal(amm_text_next(&record, &text), AMM_TEXT_TAKEN);
    return text;
}

static void assert_view(struct amm_view view, const char *expected)
{
    assert_true(amm_view_equal(view, amm_view_str(expected)));
}

static void every_known_command_is_told_by_its_first_word(void **state)
{
    (void)state;
    assert_int_equal(one(RECORD("PUSH_REQUEST")).kind, AMM_TEXT_PUSH_REQUEST);
    assert_int_equal(one(RECORD("PUSH_REPLY,ping 1")).kind, AMM_TEXT_PUSH_REPLY);
    assert_view(one(RECORD("PUSH_REPLY,ping 1")).message, "PUSH_REPLY,ping 1");
    assert_int_equal(one(RECORD("EXIT")).kind, AMM_TEXT_EXIT);
    assert_int_equal(one(RECORD("HALT,go away")).kind, AMM_TEXT_HALT);
    assert_view(one(RECORD("HALT,go away")).reason, "go away");
    assert_int_equal(one(RECORD("INFO_PRE,WEB_AUTH::u")).kind, AMM_TEXT_INFO);
    assert_int_equal(one(RECORD("PUSH_REQUESTS")).kind, AMM_TEXT_UNKNOWN);
    assert_int_equal(one(RECORD("exit")).kind, AMM_TEXT_UNKNOWN);
    struct amm_text pending = one(RECORD("AUTH_PENDING,timeout 60"));
    assert_int_equal(pending.kind, AMM_TEXT_AUTH_PENDING);
    assert_int_equal(pending.timeout, 60);
}

static void several_commands_in_one_record_are_split(void **state)
{
    struct amm_view rest = RECORD("INFO,a\r\n\0\0PUSH_REQUEST");
    struct amm_text text;
    (void)state;
    assert_int_equal(amm_text_next(&rest, &text), AMM_TEXT_TAKEN);
    assert_int_equal(text.kind, AMM_TEXT_INFO);
    assert_view(text.reason, "a");
    assert_int_equal(amm_text_next(&rest, &text), AMM_TEXT_TAKEN);
    assert_int_equal(text.kind, AMM_TEXT_PUSH_REQUEST);
    assert_int_equal(amm_text_next(&rest, &text), AMM_TEXT_END);
}

static void assert_bad(struct amm_view record)
{
    struct amm_text text;
    assert_int_equal(amm_text_next(&record, &text), AMM_TEXT_BAD);
}

static void a_record_with_anything_unprintable_is_bad_as_a_whole(void **state)
{
    (void)state;
    assert_bad(amm_view("EXIT", 4)); /* not terminated */
    assert_bad(RECORD("EX\tIT"));
    assert_bad(RECORD("INFO,\x1b[2J"));
    assert_bad(RECORD("INFO,\xc3\xa4"));
    assert_bad(RECORD("INFO,a\nb"));
    assert_bad(RECORD("EXIT\0INFO,\x7f")); /* the first command must not be obeyed either */
    assert_bad(amm_view("EXIT\0INFO", 9));
}

static void a_record_of_too_many_commands_is_bad_as_a_whole(void **state)
{
    (void)state;
    uint8_t record[2 * 65];
    struct amm_text text;
    for (size_t i = 0; i < sizeof record; i++) {
        record[i] = i % 2 == 0 ? 'A' : 0;
    }
    struct amm_view rest = amm_view(record, sizeof record);
    assert_int_equal(amm_text_next(&rest, &text), AMM_TEXT_BAD);
    rest = amm_view(record, 2 * 64);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(amm_text_next(&rest, &text), AMM_TEXT_TAKEN);
    }
    assert_int_equal(amm_text_next(&rest, &text), AMM_TEXT_END);
}

static void a_temporary_refusal_is_read_with_its_flags(void **state)
{
    struct amm_text text =
        one(RECORD("AUTH_FAILED,TEMP[backoff 42,advance remote]:server is full"));
    (void)state;
    assert_true(text.is_temporary && text.next_remote);
    assert_int_equal(text.backoff, 42);
    assert_view(text.reason, "server is full");
    text = one(RECORD("AUTH_FAILED,TEMP:later"));
    assert_true(text.is_temporary && !text.next_remote && text.backoff == 0);
    assert_view(text.reason, "later");
    text = one(RECORD("AUTH_FAILED,TEMP[advance no,unheard of,backoff x]"));
    assert_true(text.is_temporary && !text.next_remote && text.backoff == 0);
    text = one(RECORD("AUTH_FAILED,TEMP[backoff 99999]"));
    assert_int_equal(text.backoff, 0);
    text = one(RECORD("AUTH_FAILED,TEMP[backoff 5"));
    assert_true(text.is_temporary && text.backoff == 0);
}

static void a_plain_refusal_is_final(void **state)
{
    struct amm_text text = one(RECORD("AUTH_FAILED,TEMPORARILY CLOSED"));
    (void)state;
    assert_false(text.is_temporary);
    assert_view(text.reason, "TEMPORARILY CLOSED");
    text = one(RECORD("AUTH_FAILED"));
    assert_true(text.kind == AMM_TEXT_AUTH_FAILED && !text.is_temporary && text.reason.len == 0);
}

static void a_restart_may_name_the_next_remote(void **state)
{
    (void)state;
    assert_true(one(RECORD("RESTART,[N]moved")).next_remote);
    assert_view(one(RECORD("RESTART,[N]moved")).reason, "moved");
    assert_false(one(RECORD("RESTART,[P]Now")).next_remote);
    assert_false(one(RECORD("RESTART,N")).next_remote);
    assert_false(one(RECORD("RESTART")).next_remote);
    assert_false(one(RECORD("RESTART,[")).next_remote);
}

static void assert_refusal(enum amm_refusal refusal, uint32_t iv_proto, const char *reason,
                           const char *expected)
{
    uint8_t out[256];
    struct amm_writer w = amm_writer(out, sizeof out);
    amm_text_refuse(&w, refusal, 30, iv_proto, reason);
    assert_int_equal(amm_writer_len(&w), strlen(expected) + 1);
    assert_string_equal((char *)out, expected);
}

static void a_refusal_is_said_in_words_the_client_understands(void **state)
{
    (void)state;
    assert_refusal(AMM_REFUSE_RETRY, 990, "full", "AUTH_FAILED,TEMP[backoff 30,advance no]:full");
    assert_refusal(AMM_REFUSE_NEXT_REMOTE, 990, "full",
                   "AUTH_FAILED,TEMP[backoff 30,advance remote]:full");
    assert_refusal(AMM_REFUSE_RETRY, 6, "full", "RESTART,full");
    assert_refusal(AMM_REFUSE_RETRY, 6, "", "RESTART");
    assert_refusal(AMM_REFUSE_NEXT_REMOTE, 6, "", "RESTART,[N]");
    assert_refusal(AMM_REFUSE_FOR_GOOD, 990, "revoked", "AUTH_FAILED,revoked");
    assert_refusal(AMM_REFUSE_FOR_GOOD, 0, "", "AUTH_FAILED");
}

static void a_reason_cannot_change_the_meaning_of_a_refusal(void **state)
{
    (void)state;
    assert_refusal(AMM_REFUSE_FOR_GOOD, 990, "TEMP[backoff 1]:x", "AUTH_FAILED, TEMP[backoff 1]:x");
    assert_refusal(AMM_REFUSE_FOR_GOOD, 990, "SESSION:x", "AUTH_FAILED, SESSION:x");
    assert_refusal(AMM_REFUSE_RETRY, 6, "[N]x", "RESTART, [N]x");
    assert_refusal(AMM_REFUSE_FOR_GOOD, 990, "a\nb\xff", "AUTH_FAILED,a_b_");
}

static void our_client_understands_our_refusals(void **state)
{
    uint8_t out[256];
    (void)state;
    for (uint32_t iv_proto = 0; iv_proto <= 990; iv_proto += 990) {
        struct amm_writer w = amm_writer(out, sizeof out);
        amm_text_refuse(&w, AMM_REFUSE_NEXT_REMOTE, 30, iv_proto, "moved");
        struct amm_text text = one(amm_view(out, amm_writer_len(&w)));
        assert_true(text.next_remote);
        assert_view(text.reason, "moved");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_known_command_is_told_by_its_first_word),
        cmocka_unit_test(several_commands_in_one_record_are_split),
        cmocka_unit_test(a_record_with_anything_unprintable_is_bad_as_a_whole),
        cmocka_unit_test(a_record_of_too_many_commands_is_bad_as_a_whole),
        cmocka_unit_test(a_temporary_refusal_is_read_with_its_flags),
        cmocka_unit_test(a_plain_refusal_is_final),
        cmocka_unit_test(a_restart_may_name_the_next_remote),
        cmocka_unit_test(a_refusal_is_said_in_words_the_client_understands),
        cmocka_unit_test(a_reason_cannot_change_the_meaning_of_a_refusal),
        cmocka_unit_test(our_client_understands_our_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
