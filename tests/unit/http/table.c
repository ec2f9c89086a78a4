#include "table.h"

#include "cases.h"
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LONG = 2048 };

static struct transcript *new_transcript(const struct http_case *one, bool is_response)
{
    const char *method = one->head ? "HEAD" : one->connect ? "CONNECT" : "GET";
    return transcript_new(is_response, amm_view_str(method));
}

/* The first `len` bytes are in memory of exactly that size, so that reading past them is seen. */
static void feed(struct transcript *t, const struct http_case *one, size_t len)
{
    uint8_t *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    memcpy(exact, one->bytes, len);
    transcript_feed(t, exact, len);
    free(exact);
}

/* True if it ends as the table says. */
static bool check(struct transcript *t, const struct http_case *one, const char *how, size_t at)
{
    transcript_end(t, one->len);
    bool good = strcmp(t->text, one->expected) == 0;
    if (!good) {
        fprintf(stderr, "line %d: %s (%s %zu)\nexpected:\n%sgot:\n%s\n", one->line, one->name, how,
                at, one->expected, t->text);
    }
    free(t);
    return good;
}

void table_expect(const char *path, bool is_response, unsigned at_least)
{
    struct http_cases cases = http_cases_read(path);
    unsigned bad = 0;
    for (size_t i = 0; i < cases.n; i++) {
        struct transcript *t = new_transcript(&cases.at[i], is_response);
        feed(t, &cases.at[i], cases.at[i].len);
        bad += !check(t, &cases.at[i], "whole", cases.at[i].len);
    }
    print_message("%zu cases\n", cases.n);
    assert_true(cases.n >= at_least);
    http_cases_free(&cases);
    assert_int_equal(bad, 0);
}

/* In two pieces. Long cases are cut in steps, but at every byte near their ends. */
static bool cut_everywhere(const struct http_case *one, bool is_response)
{
    size_t step = one->len > LONG ? 1 + one->len / 200 : 1;
    for (size_t cut = 0; cut <= one->len;) {
        struct transcript *t = new_transcript(one, is_response);
        feed(t, one, cut);
        feed(t, one, one->len);
        if (!check(t, one, "cut at", cut)) {
            return false;
        }
        cut += cut < 100 || cut + 100 > one->len ? 1 : step;
    }
    return true;
}

void table_cut(const char *path, bool is_response)
{
    struct http_cases cases = http_cases_read(path);
    unsigned bad = 0;
    for (size_t i = 0; i < cases.n; i++) {
        bad += !cut_everywhere(&cases.at[i], is_response);
    }
    http_cases_free(&cases);
    assert_int_equal(bad, 0);
}

static bool drip(const struct http_case *one, bool is_response, bool lazy)
{
    struct transcript *t = new_transcript(one, is_response);
    t->lazy = lazy;
    for (size_t len = 0; len <= one->len; len++) {
        feed(t, one, len);
    }
    return check(t, one, lazy ? "byte by byte, parsed at line ends" : "byte by byte", 0);
}

void table_drip(const char *path, bool is_response)
{
    struct http_cases cases = http_cases_read(path);
    unsigned bad = 0;
    for (size_t i = 0; i < cases.n; i++) {
        bad += !drip(&cases.at[i], is_response, true);
        bad += cases.at[i].len <= LONG && !drip(&cases.at[i], is_response, false);
    }
    http_cases_free(&cases);
    assert_int_equal(bad, 0);
}
