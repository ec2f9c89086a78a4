/* What is written, and that nothing which is written can end its line; dates; status texts. */
#include "http/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint8_t room[4096];

static void expect(const struct amm_writer *w, const char *text)
{
    assert_false(w->failed);
    assert_int_equal(amm_writer_len(w), strlen(text));
    assert_memory_equal(room, text, strlen(text));
}

static void a_request_is_what_the_parser_reads(void **state)
{
    (void)state;
    struct amm_writer w = amm_writer(room, sizeof room);
    amm_http_write_request_line(&w, amm_view_str("POST"), amm_view_str("/a?b"));
    amm_http_write_field(&w, "Host", amm_view_str("h"));
    amm_http_write_field_view(&w, amm_view_str("X-A"), amm_view_str("b\tc \xfc"));
    amm_http_write_field(&w, "X-Empty", amm_view(NULL, 0));
    amm_http_write_number(&w, "Content-Length", 0);
    amm_http_write_end(&w);
    expect(&w, "POST /a?b HTTP/1.1\r\nHost: h\r\nX-A: b\tc \xfc\r\nX-Empty: \r\nContent-Length: "
               "0\r\n\r\n");
    struct amm_http_request request;
    struct amm_http_error error;
    size_t used;
    assert_int_equal(
        amm_http_request_parse(&request, amm_view(room, amm_writer_len(&w)), &used, &error),
        AMM_HTTP_OK);
    assert_int_equal(used, amm_writer_len(&w));
    assert_int_equal(request.fields.n, 4);
    assert_true(amm_view_equal(request.query, amm_view_str("b")));
    assert_true(amm_view_equal(amm_http_field(&request.fields, "x-a"), amm_view_str("b\tc \xfc")));
}

static void a_response_is_what_the_parser_reads(void **state)
{
    (void)state;
    struct amm_writer w = amm_writer(room, sizeof room);
    amm_http_write_status(&w, 404);
    amm_http_write_number(&w, "Content-Length", UINT64_MAX);
    amm_http_write_end(&w);
    expect(&w, "HTTP/1.1 404 Not Found\r\nContent-Length: 18446744073709551615\r\n\r\n");
    w = amm_writer(room, sizeof room);
    amm_http_write_status(&w, 299);
    expect(&w, "HTTP/1.1 299 \r\n");
}

static void a_chunk_is_what_the_decoder_reads(void **state)
{
    (void)state;
    struct amm_writer w = amm_writer(room, sizeof room);
    amm_http_write_chunk(&w, 26);
    amm_write_str(&w, "abcdefghijklmnopqrstuvwxyz\r\n");
    amm_write_str(&w, AMM_HTTP_LAST_CHUNK);
    expect(&w, "1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n");
    struct amm_http_body body;
    struct amm_http_error error;
    struct amm_view in = amm_view(room, amm_writer_len(&w)), content;
    amm_http_body_begin(&body, AMM_HTTP_CHUNKED, 0, false);
    assert_int_equal(amm_http_body_next(&body, &in, &content, &error), AMM_HTTP_OK);
    assert_int_equal(content.len, 26);
    assert_false(amm_http_body_may_end(&body));
    assert_int_equal(amm_http_body_next(&body, &in, &content, &error), AMM_HTTP_END);
    assert_int_equal(amm_http_body_next(&body, &in, &content, &error), AMM_HTTP_END);
    assert_true(amm_http_body_may_end(&body));
    w = amm_writer(room, sizeof room);
    amm_http_write_chunk(&w, 0);
    assert_true(w.failed);
}

static void a_broken_body_stays_broken(void **state)
{
    (void)state;
    struct amm_http_body body;
    struct amm_http_error error = {0};
    struct amm_view in = amm_view_str("x"), content;
    amm_http_body_begin(&body, AMM_HTTP_CHUNKED, 0, false);
    assert_int_equal(amm_http_body_next(&body, &in, &content, &error), AMM_HTTP_BAD);
    assert_string_equal(error.reason, "chunk-size");
    assert_int_equal(error.status, 400);
    in = amm_view_str("5\r\nhello\r\n");
    error = (struct amm_http_error){0};
    assert_int_equal(amm_http_body_next(&body, &in, &content, &error), AMM_HTTP_BAD);
    assert_string_equal(error.reason, "chunk-size");
    assert_false(amm_http_body_may_end(&body));
}

/* Each byte in each place: written only if the parser would take it. */
static void no_byte_ends_a_line(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        uint8_t text[3] = {'A', (uint8_t)byte, 'B'};
        bool control = byte < ' ' || byte == 0x7f;
        bool token = byte < 128 && byte > ' ' && strchr("\"(),/:;<=>?@[\\]{}\x7f", byte) == NULL;
        struct amm_writer w = amm_writer(room, sizeof room);
        amm_http_write_field(&w, "X", amm_view(text, 3));
        assert_int_equal(w.failed, control && byte != '\t');
        w = amm_writer(room, sizeof room);
        amm_http_write_field_view(&w, amm_view(text, 3), amm_view_str("x"));
        assert_int_equal(w.failed, !token);
        w = amm_writer(room, sizeof room);
        amm_http_write_request_line(&w, amm_view(text, 3), amm_view_str("/"));
        assert_int_equal(w.failed, !((byte >= 'A' && byte <= 'Z') || byte == '-'));
        text[0] = '/';
        w = amm_writer(room, sizeof room);
        amm_http_write_request_line(&w, amm_view_str("GET"), amm_view(text, 3));
        assert_int_equal(w.failed, byte <= ' ' || byte >= 0x7f || strchr("\"#<>", byte) != NULL);
    }
}

static void what_is_missing_is_not_written(void **state)
{
    (void)state;
    struct amm_writer w = amm_writer(room, sizeof room);
    amm_http_write_field(&w, "", amm_view_str("x"));
    assert_true(w.failed);
    w = amm_writer(room, sizeof room);
    amm_http_write_request_line(&w, amm_view_str(""), amm_view_str("/"));
    assert_true(w.failed);
    w = amm_writer(room, sizeof room);
    amm_http_write_request_line(&w, amm_view_str("GET"), amm_view_str(""));
    assert_true(w.failed);
    static const int statuses[] = {0, 99, 1000, -200};
    for (size_t i = 0; i < 4; i++) {
        w = amm_writer(room, sizeof room);
        amm_http_write_status(&w, statuses[i]);
        assert_true(w.failed);
    }
    w = amm_writer(room, 4);
    amm_http_write_status(&w, 200);
    assert_int_equal(amm_writer_len(&w), 0);
}

static void dates_are_written_and_read(void **state)
{
    (void)state;
    static const struct {
        int64_t wall;
        const char *text;
    } dates[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {4107542399, "Sun, 28 Feb 2100 23:59:59 GMT"},
        {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
        {2147483648, "Tue, 19 Jan 2038 03:14:08 GMT"},
        {-62167219200, "Sat, 01 Jan 0000 00:00:00 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
    };
    char text[AMM_HTTP_DATE];
    int64_t wall;
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        amm_http_date(dates[i].wall, text);
        assert_string_equal(text, dates[i].text);
        assert_true(amm_http_date_parse(amm_view_str(text), &wall));
        assert_true(wall == dates[i].wall);
    }
    amm_http_date(INT64_MIN, text);
    assert_string_equal(text, "Sat, 01 Jan 0000 00:00:00 GMT");
    amm_http_date(INT64_MAX, text);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    for (int64_t day = -719528; day < 2900000; day += 37) {
        amm_http_date(day * 86400 + 86399, text);
        assert_true(amm_http_date_parse(amm_view_str(text), &wall));
        assert_true(wall == day * 86400 + 86399);
    }
}

static void what_is_no_date_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT ",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Thu, 31 Nov 1994 08:49:37 GMT",
        "Tue, 29 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sun. 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    };
    int64_t wall;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(amm_http_date_parse(amm_view_str(bad[i]), &wall));
    }
    assert_true(amm_http_date_parse(amm_view_str("Sat, 31 Dec 2016 23:59:60 GMT"), &wall));
    assert_true(wall == 1483228799);
}

static void statuses_have_texts(void **state)
{
    (void)state;
    assert_string_equal(amm_http_status_text(200), "OK");
    assert_string_equal(amm_http_status_text(431), "Request Header Fields Too Large");
    assert_string_equal(amm_http_status_text(299), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_what_the_parser_reads),
        cmocka_unit_test(a_response_is_what_the_parser_reads),
        cmocka_unit_test(a_chunk_is_what_the_decoder_reads),
        cmocka_unit_test(a_broken_body_stays_broken),
        cmocka_unit_test(no_byte_ends_a_line),
        cmocka_unit_test(what_is_missing_is_not_written),
        cmocka_unit_test(dates_are_written_and_read),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(statuses_have_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
