#include "io/log.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char line[1024];

static const char *format(struct amm_field field)
{
    amm_log_format(line, sizeof line, AMM_LOG_WARNING, "e", &field, 1);
    return line;
}

static void values_of_every_kind_are_written(void **state)
{
    (void)state;
    struct amm_address address = {.ip = {192, 0, 2, 1}, .port = 7, .family = AMM_FAMILY_IPV4};
    const struct amm_field fields[] = {amm_field_text("a", "b-1"), amm_field_number("n", -5),
                                       amm_field_address("from", &address),
                                       amm_field_ipv4("ip", 0x0a000001)};
    amm_log_format(line, sizeof line, AMM_LOG_INFO, "joined", fields, 4);
    assert_string_equal(line, "level=info event=joined a=b-1 n=-5 from=192.0.2.1:7 ip=10.0.0.1");
}

static void a_peer_cannot_forge_a_line_or_a_field(void **state)
{
    (void)state;
    assert_string_equal(format(amm_field_text("k", "x\nlevel=error")),
                        "level=warning event=e k=\"x\\x0alevel=error\"");
    assert_string_equal(format(amm_field_text("k", "a b=\"c\\")),
                        "level=warning event=e k=\"a b=\\\"c\\\\\"");
    assert_string_equal(format(amm_field_text("k", "\x1b[2J\xc3\xa4")),
                        "level=warning event=e k=\"\\x1b[2J\\xc3\\xa4\"");
    assert_string_equal(format(amm_field_text("k", "")), "level=warning event=e k=\"\"");
    assert_string_equal(format(amm_field_text("k", "a=b")), "level=warning event=e k=\"a=b\"");
}

static void a_field_that_does_not_fit_is_left_out_whole(void **state)
{
    (void)state;
    const struct amm_field fields[] = {amm_field_text("a", "bb"),
                                       amm_field_text("c", "dddddddddd")};
    char small[40];
    size_t len = amm_log_format(small, sizeof small, AMM_LOG_INFO, "e", fields, 2);
    assert_string_equal(small, "level=info event=e a=bb c=dddddddddd");
    assert_int_equal(len, strlen(small));
    amm_log_format(small, 30, AMM_LOG_INFO, "e", fields, 2);
    assert_string_equal(small, "level=info event=e a=bb");
}

/* Writes 1000 lines into a pipe and counts those that left. */
static void one_event_cannot_flood_the_log(void **state)
{
    (void)state;
    int ends[2], saved = dup(STDERR_FILENO);
    static char text[65536];
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    for (int i = 0; i < 1000; i++) {
        amm_log(AMM_LOG_INFO, "flood", amm_field_number("i", i));
    }
    amm_log(AMM_LOG_INFO, "other", amm_field_number("i", 0));
    amm_log(AMM_LOG_DEBUG, "quiet", amm_field_number("i", 0));
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    ssize_t len = read(ends[0], text, sizeof text - 1);
    assert_true(len > 0);
    text[len] = '\0';
    unsigned lines = 0;
    for (char *at = text; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    assert_int_equal(lines, AMM_LOG_BURST + 1);
    assert_non_null(strstr(text, "event=other"));
    assert_null(strstr(text, "event=quiet"));
    close(ends[0]);
    close(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_kind_are_written),
        cmocka_unit_test(a_peer_cannot_forge_a_line_or_a_field),
        cmocka_unit_test(a_field_that_does_not_fit_is_left_out_whole),
        cmocka_unit_test(one_event_cannot_flood_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
