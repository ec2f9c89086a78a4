/* Regular expressions: what they find, what is refused, and that none takes long. */
#include "manager/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void matches_as_expected(void **state)
{
    static const struct {
        const char *pattern, *text, *found; /* NULL: nothing */
    } cases[] = {
        {"LTE", "4G LTE-A", "LTE"},
        {"^LTE", "4G LTE", NULL},
        {"LTE$", "4G LTE", "LTE"},
        {"[0-9]+", "10.4.165.90", "10"},
        {"\\d+\\.\\d+$", "10.4.165.90", "165.90"},
        {"(a|b)*c", "ababc", "ababc"},
        {"a|ab|abc", "abc", "a"}, /* the first that fits, as people write them */
        {"(abc|ab)c?", "abc", "abc"},
        {"(a*)*b", "aaab", "aaab"},
        {"(a+)*", "aab", "aa"},
        {"(a+|b)*c", "abac", "abac"},
        {"x*", "abc", ""},
        {"", "abc", ""},
        {"a?b?c", "ac", "ac"},
        {"[^ -]+$", "Carrier B", "B"},
        {"[]a]+", "x]a]y", "]a]"},
        {"[a-]+", "x-a-", "-a-"},
        {"[\\d.]+", "v4.17.0", "4.17.0"},
        {"\\W", "ab c", " "},
        {"\\S+", "  up ", "up"},
        {".", "äb", "ä"},
        {"[ä-ö]", "xö", "ö"},
        {"a.c", "abc", "abc"},
        {"\\(x\\)", "f(x)", "(x)"},
        {"((((((a))))))", "ba", "a"},
        {"a||b", "b", ""},
    };
    struct pattern pattern;
    char error[300];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t from = 0, to = 0;
        if (!pattern_compile(&pattern, cases[i].pattern, error, sizeof error)) {
            fail_msg("%s: %s", cases[i].pattern, error);
        }
        bool is_found = pattern_find(&pattern, amm_view_str(cases[i].text), &from, &to);
        if (is_found != (cases[i].found != NULL) ||
            (is_found && (to - from != strlen(cases[i].found) ||
                          memcmp(cases[i].text + from, cases[i].found, to - from) != 0))) {
            fail_msg("%s in %s: %.*s", cases[i].pattern, cases[i].text, (int)(to - from),
                     cases[i].text + from);
        }
    }
}

static void what_is_wrong_is_said(void **state)
{
    static const char *const bad[] = {
        "(",
        ")",
        "a)",
        "(a",
        "[",
        "[a",
        "[b-a]",
        "*",
        "a**",
        "a+?",
        "|*",
        "\\",
        "\\1",
        "\\q",
        "a{3}",
        "[\\1]",
        "[\\",
        "((((((((((((((((((a))))))))))))))))))",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    struct pattern pattern;
    char error[300];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error[0] = '\0';
        if (pattern_compile(&pattern, bad[i], error, sizeof error)) {
            fail_msg("%s was taken", bad[i]);
        }
        assert_true(strlen(error) > 40);
    }
}

/* What takes a backtracking matcher longer than anyone lives; here it ends. */
static void none_takes_long(void **state)
{
    static const char *const slow[] = {
        "(a*)*(a*)*(a*)*(a*)*(a*)*b",
        "(a|a|a|a|a|a|a|a|a|a|a)*b",
        "((a?)*(a?)*)*b",
        "a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?aaaaaaaaaaaaaaaaaaaaab",
        "(.*)*(.*)*x",
    };
    struct pattern pattern;
    char error[300], text[5000];
    size_t from, to;
    (void)state;
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
        assert_true(pattern_compile(&pattern, slow[i], error, sizeof error));
        assert_false(pattern_find(&pattern, amm_view(text, sizeof text), &from, &to));
    }
    /* Behind PATTERN_TEXT characters nothing is looked at. */
    text[PATTERN_TEXT] = 'b';
    assert_true(pattern_compile(&pattern, "b", error, sizeof error));
    assert_false(pattern_find(&pattern, amm_view(text, sizeof text), &from, &to));
    text[PATTERN_TEXT - 1] = 'b';
    assert_true(pattern_find(&pattern, amm_view(text, sizeof text), &from, &to));
}

static void bytes_that_are_no_text_do_no_harm(void **state)
{
    static const uint8_t bytes[] = {0xff, 0xc3, 0xe2, 0x82, 0xf0, 0x9f, 0x80, 0xc3};
    struct pattern pattern;
    char error[300];
    size_t from, to;
    (void)state;
    assert_true(pattern_compile(&pattern, ".+$", error, sizeof error));
    for (size_t len = 1; len <= sizeof bytes; len++) {
        assert_true(pattern_find(&pattern, amm_view(bytes, len), &from, &to));
        assert_int_equal(from, 0);
        assert_int_equal(to, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_as_expected),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(none_takes_long),
        cmocka_unit_test(bytes_that_are_no_text_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
