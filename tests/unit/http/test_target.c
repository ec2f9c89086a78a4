/* Decoding, canonical paths, queries, lists of tokens, ranges. */
#include "http/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void text_is_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *in, *path, *query; /* NULL: refused */
    } cases[] = {
        {"", "", ""},
        {"abc", "abc", "abc"},
        {"a+b", "a+b", "a b"},
        {"a%2Bb", "a+b", "a+b"},
        {"a%20b%2fc", "a b/c", "a b/c"},
        {"%c3%bc", "\xc3\xbc", "\xc3\xbc"},
        {"%E2%82%AC", "\xe2\x82\xac", "\xe2\x82\xac"},
        {"%F0%9F%98%80", "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"%F4%8F%BF%BF", "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
        {"%", NULL, NULL},
        {"%4", NULL, NULL},
        {"a%4g", NULL, NULL},
        {"%g4", NULL, NULL},
        {"%00", NULL, NULL},
        {"a%0Ab", NULL, NULL},
        {"%0d%0aX: y", NULL, NULL},
        {"%7F", NULL, NULL},
        {"%1b", NULL, NULL},
        {"%fc", NULL, NULL},          /* Latin-1 */
        {"%c3", NULL, NULL},          /* cut short */
        {"%c3a", NULL, NULL},         /* not continued */
        {"%bc", NULL, NULL},          /* continues nothing */
        {"%C0%AF", NULL, NULL},       /* '/', too long */
        {"%C1%81", NULL, NULL},       /* 'A', too long */
        {"%E0%80%AF", NULL, NULL},    /* '/', too long */
        {"%F0%80%80%AF", NULL, NULL}, /* '/', too long */
        {"%ED%A0%80", NULL, NULL},    /* surrogate */
        {"%F4%90%80%80", NULL, NULL}, /* beyond U+10FFFF */
        {"%F5%80%80%80", NULL, NULL},
        {"%FF", NULL, NULL},
    };
    char out[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int in_query = 0; in_query < 2; in_query++) {
            const char *want = in_query ? cases[i].query : cases[i].path;
            memset(out, 'x', sizeof out);
            assert_int_equal(amm_http_decode(amm_view_str(cases[i].in), in_query, out, sizeof out),
                             want != NULL);
            assert_string_equal(out, want ? want : "");
        }
    }
}

static void decoded_text_fits_or_is_refused(void **state)
{
    (void)state;
    char out[4] = "xxx";
    assert_true(amm_http_decode(amm_view_str("%41%42C"), false, out, 4));
    assert_string_equal(out, "ABC");
    assert_false(amm_http_decode(amm_view_str("ABCD"), false, out, 4));
    assert_string_equal(out, "");
    assert_false(amm_http_decode(amm_view_str(""), false, out, 0));
    assert_true(amm_http_decode(amm_view(NULL, 0), false, out, 1));
}

static void queries_are_looked_up(void **state)
{
    (void)state;
    struct amm_view query = amm_view_str("a=1&bc=x%20y+z&&d&=e&a=2&%66=g&h=%zz&i==j&k=l=m");
    char out[16];
    static const struct {
        const char *name, *value;
    } cases[] = {
        {"a", "1"},  {"bc", "x y z"}, {"d", ""},   {"f", "g"},  {"h", NULL},
        {"b", NULL}, {"bcd", NULL},   {"z", NULL}, {"i", "=j"}, {"k", "l=m"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(out, 'x', sizeof out);
        assert_int_equal(amm_http_query(query, cases[i].name, out, sizeof out),
                         cases[i].value != NULL);
        assert_string_equal(out, cases[i].value ? cases[i].value : "");
    }
    assert_false(amm_http_query(amm_view(NULL, 0), "a", out, sizeof out));
    assert_false(amm_http_query(amm_view_str("%61%00=1"), "a", out, sizeof out));
    assert_false(amm_http_query(amm_view_str("a=12345678901234567890"), "a", out, sizeof out));
    assert_true(amm_http_query(amm_view_str("a"), "a", out, sizeof out));
}

static void only_one_name_is_canonical(void **state)
{
    (void)state;
    static const char *const good[] = {
        "/",
        "/a",
        "/api/v1/gateways/12",
        "/a.b",
        "/...",
        "/.a",
        "/a..",
        "/a%20b",
        "/%C3%BC",
        "/a:b@c",
        "/a%40b",
        "/a+b",
        "/~a",
        "/a;b=c",
        "/a%2Bb",
        "/%5C",
        "/.well-known/est",
    };
    static const char *const bad[] = {
        "",     "a",         "*",      "//",      "//a",   "/a/",     "/a//b",
        "/.",   "/..",       "/a/.",   "/a/../b", "/./a",  "/%2e",    "/%2E%2E/a",
        "/%61", "/a%2fb",    "/a%2Fb", "/%c3%bc", "/%7E",  "/%5c",    "/a%",
        "/a%2", "/a%gg",     "/%00",   "/%0A",    "/%7F",  "/%C0%AF", "/%ED%A0%80",
        "/%FC", "/a b",      "/a|b",   "/a[b]",   "/a\\b", "/a^b",    "/a{b}",
        "/a?b", "/\xc3\xbc", "/a\"",   "/a#",     "/%2D",  "/a`",     "/%C3/%BC",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(amm_http_path_is_canonical(amm_view_str(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(amm_http_path_is_canonical(amm_view_str(bad[i])));
    }
    assert_false(amm_http_path_is_canonical(amm_view(NULL, 0)));
    assert_false(amm_http_path_is_canonical(amm_view("/a\0b", 4)));
}

static void names_are_compared_without_case(void **state)
{
    (void)state;
    assert_true(amm_http_is(amm_view_str("Content-LENGTH"), "content-length"));
    assert_true(amm_http_is(amm_view(NULL, 0), ""));
    assert_false(amm_http_is(amm_view_str("content-lengt"), "content-length"));
    assert_false(amm_http_is(amm_view_str("content-length2"), "content-length"));
    assert_false(amm_http_is(amm_view("ab\0c", 4), "ab"));
    assert_false(amm_http_is(amm_view("\x4d", 1), "\x2d")); /* only letters lose their case */
    assert_false(amm_http_is(amm_view("[", 1), "{"));
}

static void lists_are_searched(void **state)
{
    (void)state;
    struct amm_http_fields fields = {
        .n = 3,
        .at = {{amm_view_str("Accept"), amm_view_str("text/html;q=0.8 , Application/JSON")},
               {amm_view_str("X-Empty"), amm_view_str("")},
               {amm_view_str("accept"), amm_view_str("image/png")}}};
    assert_true(amm_http_field_has(&fields, "accept", "text/html"));
    assert_true(amm_http_field_has(&fields, "accept", "application/json"));
    assert_true(amm_http_field_has(&fields, "accept", "image/png"));
    assert_false(amm_http_field_has(&fields, "accept", "text"));
    assert_false(amm_http_field_has(&fields, "x-empty", "x"));
    assert_int_equal(amm_http_field_count(&fields, "accept"), 2);
    assert_int_equal(amm_http_field_count(&fields, "x-none"), 0);
    assert_null(amm_http_field(&fields, "x-none").data);
    assert_non_null(amm_http_field(&fields, "x-empty").data);
}

static void ranges_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t size;
        enum amm_http_range result;
        uint64_t first, last;
    } cases[] = {
        {"bytes=0-0", 10, AMM_HTTP_RANGE_OK, 0, 0},
        {"bytes=0-9", 10, AMM_HTTP_RANGE_OK, 0, 9},
        {"bytes=2-4", 10, AMM_HTTP_RANGE_OK, 2, 4},
        {"Bytes= 2-4 ", 10, AMM_HTTP_RANGE_OK, 2, 4},
        {"bytes=2-", 10, AMM_HTTP_RANGE_OK, 2, 9},
        {"bytes=9-", 10, AMM_HTTP_RANGE_OK, 9, 9},
        {"bytes=2-10", 10, AMM_HTTP_RANGE_OK, 2, 9},
        {"bytes=2-99", 10, AMM_HTTP_RANGE_OK, 2, 9},
        {"bytes=2-99999999999999999999999", 10, AMM_HTTP_RANGE_OK, 2, 9},
        {"bytes=-3", 10, AMM_HTTP_RANGE_OK, 7, 9},
        {"bytes=-10", 10, AMM_HTTP_RANGE_OK, 0, 9},
        {"bytes=-11", 10, AMM_HTTP_RANGE_OK, 0, 9},
        {"bytes=-18446744073709551616", 10, AMM_HTTP_RANGE_OK, 0, 9},
        {"bytes=10-", 10, AMM_HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=10-11", 10, AMM_HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=99999999999999999999-", 10, AMM_HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", 10, AMM_HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-", 0, AMM_HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-1", 0, AMM_HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-18446744073709551614", UINT64_MAX, AMM_HTTP_RANGE_OK, 0, UINT64_MAX - 1},
        {"", 10, AMM_HTTP_RANGE_NONE, 0, 0},
        {"bytes", 10, AMM_HTTP_RANGE_NONE, 0, 0},
        {"bytes=", 10, AMM_HTTP_RANGE_NONE, 0, 0},
        {"bytes=-", 10, AMM_HTTP_RANGE_NONE, 0, 0},
        {"bytes=5", 10, AMM_HTTP_RANGE_NONE, 0, 0},
        {"bytes=5-3", 10, AMM_HTTP_RANGE_NONE, 0, 0},
        {"bytes=a-b", 10, AMM_HTTP_RANGE_NONE, 0, 0},
        {"bytes=0-1,4-5", 10, AMM_HTTP_RANGE_NONE, 0, 0},
        {"bytes=+1-2", 10, AMM_HTTP_RANGE_NONE, 0, 0},
        {"bytes=1--2", 10, AMM_HTTP_RANGE_NONE, 0, 0},
        {"bytes=1 - 2", 10, AMM_HTTP_RANGE_NONE, 0, 0},
        {"lines=0-1", 10, AMM_HTTP_RANGE_NONE, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t first = 7, last = 7;
        assert_int_equal(amm_http_range(amm_view_str(cases[i].value), cases[i].size, &first, &last),
                         cases[i].result);
        assert_true(first == cases[i].first && last == cases[i].last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_decoded),
        cmocka_unit_test(decoded_text_fits_or_is_refused),
        cmocka_unit_test(queries_are_looked_up),
        cmocka_unit_test(only_one_name_is_canonical),
        cmocka_unit_test(names_are_compared_without_case),
        cmocka_unit_test(lists_are_searched),
        cmocka_unit_test(ranges_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
