#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* RFC 4648, section 10, and one that needs the last two letters of the alphabet. */
static const struct {
    const char *bytes, *standard, *url;
} vectors[] = {
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/", "-_-_"},
};

static void the_vectors_of_the_standard_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct amm_view bytes = amm_view_str(vectors[i].bytes);
        char text[32];
        uint8_t back[32];
        size_t len;
        assert_int_equal(amm_base64_encode(text, sizeof text, bytes, AMM_BASE64),
                         strlen(vectors[i].standard));
        assert_string_equal(text, vectors[i].standard);
        assert_true(amm_base64_decode(back, sizeof back, &len, amm_view_str(text), AMM_BASE64));
        assert_true(amm_view_equal(amm_view(back, len), bytes));
        assert_int_equal(amm_base64_encode(text, sizeof text, bytes, AMM_BASE64_URL),
                         strlen(vectors[i].url));
        assert_string_equal(text, vectors[i].url);
        assert_true(amm_base64_decode(back, sizeof back, &len, amm_view_str(text), AMM_BASE64_URL));
        assert_true(amm_view_equal(amm_view(back, len), bytes));
    }
}

static void every_length_comes_back(void **state)
{
    (void)state;
    static const enum amm_base64_form forms[] = {AMM_BASE64, AMM_BASE64_URL, AMM_BASE64_LINES};
    for (size_t n = 0; n <= 200; n++) {
        uint8_t *bytes = malloc(n + 1), *back = malloc(n + 1);
        for (size_t i = 0; i < n; i++) {
            bytes[i] = (uint8_t)(i * 37 + n);
        }
        for (size_t f = 0; f < 3; f++) {
            size_t room = AMM_BASE64_ROOM(n), len;
            char *text = malloc(room);
            size_t written = amm_base64_encode(text, room, amm_view(bytes, n), forms[f]);
            assert_int_equal(written, strlen(text));
            assert_true(amm_base64_decode(back, n, &len, amm_view(text, written), forms[f]));
            assert_true(amm_view_equal(amm_view(back, len), amm_view(bytes, n)));
            if (n > 0) {
                assert_false(
                    amm_base64_decode(back, n - 1, &len, amm_view(text, written), forms[f]));
                assert_int_equal(amm_base64_encode(text, written, amm_view(bytes, n), forms[f]), 0);
            }
            free(text);
        }
        free(bytes);
        free(back);
    }
}

static void other_texts_for_the_same_bytes_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"Zg",    "Zg=",  "Zg===", "Zh==",     "Zm9=",   "Zm8",
                                      "Z===",  "=Zg=", "Zg=a",  "Zg==Zg==", "Zm9v\n", " Zm9v",
                                      "Zm 9v", "-_-_", "Zm9v=", "====",     "Z",      "Zm9v\xc3"};
    static const char *const bad_url[] = {"Zg==", "Zh", "Zm9", "Z", "+/+/", "Zm9v\n"};
    uint8_t out[32];
    size_t len;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (amm_base64_decode(out, sizeof out, &len, amm_view_str(bad[i]), AMM_BASE64)) {
            fail_msg("%s was taken", bad[i]);
        }
    }
    for (size_t i = 0; i < sizeof bad_url / sizeof bad_url[0]; i++) {
        if (amm_base64_decode(out, sizeof out, &len, amm_view_str(bad_url[i]), AMM_BASE64_URL)) {
            fail_msg("%s was taken as base64url", bad_url[i]);
        }
    }
    assert_false(amm_base64_decode(out, sizeof out, &len, amm_view("Zm\0v", 4), AMM_BASE64));
}

static void lines_are_written_and_any_line_ends_are_read(void **state)
{
    (void)state;
    uint8_t bytes[96] = {0}, back[96];
    char text[AMM_BASE64_ROOM(sizeof bytes)];
    size_t len;
    assert_int_equal(amm_base64_encode(text, sizeof text, amm_view(bytes, 50), AMM_BASE64_LINES),
                     68 + 2);
    assert_int_equal(text[64], '\n');
    assert_int_equal(text[69], '\n');
    assert_int_equal(amm_base64_encode(text, sizeof text, amm_view(bytes, 96), AMM_BASE64_LINES),
                     128 + 2);
    assert_true(amm_base64_decode(back, sizeof back, &len, amm_view_str("\r\nZm\r\n9v \tZg=\n=\n"),
                                  AMM_BASE64_LINES));
    assert_int_equal(len, 4);
    assert_memory_equal(back, "foof", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_standard_hold),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(other_texts_for_the_same_bytes_are_refused),
        cmocka_unit_test(lines_are_written_and_any_line_ends_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
