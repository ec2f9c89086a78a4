/* web_guard.h, web_limit.h, web_session.h, web_format.h: what needs no page. */
#include "web_format.h"
#include "web_guard.h"
#include "web_limit.h"
#include "web_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- who may ask ---- */

static void names_are_refused_and_addresses_taken(void **state)
{
    (void)state;
    static const char *const good[] = {
        "192.168.13.31:9443", "192.168.13.31", "[fd00::1]:9443",      "[::1]",         "localhost",
        "localhost:9443",     "LOCALHOST:1",   "a1b2.localhost:8081", "10.4.32.6:9443"};
    static const char *const bad[] = {"",
                                      "evil.example",
                                      "evil.example:9443",
                                      "192.168.13.31.evil.example",
                                      "192.168.13.31.",
                                      "192.168.13",
                                      "3232238879",
                                      "0x7f.1",
                                      "[fd00::1",
                                      "fd00::1",
                                      "[192.168.13.31]",
                                      "192.168.13.31:",
                                      "192.168.13.31:x",
                                      "192.168.13.31:123456",
                                      "[::1]x",
                                      "localhost.evil.example",
                                      "notlocalhost",
                                      "localhost.",
                                      "[]",
                                      "192.168.13.31:9443:1",
                                      "user@192.168.13.31",
                                      "acemanager"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(web_host_ok(amm_view_str(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (web_host_ok(amm_view_str(bad[i]))) {
            fail_msg("%s was taken", bad[i]);
        }
    }
}

static struct amm_http_request request_of(const char *text)
{
    static struct amm_http_request request;
    struct amm_http_error error;
    size_t used;
    assert_int_equal(amm_http_request_parse(&request, amm_view_str(text), &used, &error),
                     AMM_HTTP_OK);
    return request;
}

static bool may_change(const char *fields)
{
    char text[512];
    snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: 192.168.13.31:9443\r\n%s\r\n", fields);
    struct amm_http_request request = request_of(text);
    return web_may_change(&request);
}

static bool may_read(const char *fields)
{
    char text[512];
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: 192.168.13.31:9443\r\n%s\r\n", fields);
    struct amm_http_request request = request_of(text);
    return web_may_read(&request);
}

static void changes_come_from_our_own_pages(void **state)
{
    (void)state;
    assert_true(may_change("Origin: https://192.168.13.31:9443\r\n"));
    assert_true(
        may_change("Origin: https://192.168.13.31:9443\r\nSec-Fetch-Site: same-origin\r\n"));
    static const char *const bad[] = {
        "",
        "Origin: null\r\n",
        "Origin:\r\n",
        "Origin: http://192.168.13.31:9443\r\n",
        "Origin: https://192.168.13.31\r\n",
        "Origin: https://192.168.13.31:94430\r\n",
        "Origin: https://192.168.13.31:9443/\r\n",
        "Origin: https://evil.example\r\n",
        "Origin: xttps://192.168.13.31:9443\r\n",
        "Origin: https://192.168.13.32:9443\r\n",
        "Origin: https://192.168.13.31:9443.evil.example\r\n",
        "Origin: https://192.168.13.31:9443\r\nSec-Fetch-Site: cross-site\r\n",
        "Origin: https://192.168.13.31:9443\r\nSec-Fetch-Site: same-site\r\n",
        "Origin: https://192.168.13.31:9443\r\nSec-Fetch-Site: none\r\n",
        "Referer: https://192.168.13.31:9443/\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (may_change(bad[i])) {
            fail_msg("%s was taken", bad[i]);
        }
    }
}

static void other_sites_may_link_but_not_read(void **state)
{
    (void)state;
    assert_true(may_read(""));
    assert_true(may_read("Sec-Fetch-Site: none\r\n"));
    assert_true(may_read("Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n"));
    assert_true(may_read(
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"));
    assert_false(may_read(
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n"));
    assert_false(may_read(
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n"));
    assert_false(may_read("Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\n"));
}

static void cookies_are_found_by_their_whole_name(void **state)
{
    (void)state;
    struct amm_http_request request =
        request_of("GET / HTTP/1.1\r\nHost: a\r\nCookie: x=1;  __Host-ace-login=l; __Host-ace=\r\n"
                   "Cookie: __Host-ace=abc; __Host-ace=def\r\n\r\n");
    assert_true(amm_view_equal(web_cookie(&request.fields, "__Host-ace-login"), amm_view_str("l")));
    assert_int_equal(web_cookie(&request.fields, "__Host-ace").len, 0);
    assert_true(amm_view_equal(web_cookie(&request.fields, "x"), amm_view_str("1")));
    assert_null(web_cookie(&request.fields, "y").data);
    assert_null(web_cookie(&request.fields, "Host-ace").data);
}

/* ---- wrong passwords ---- */

static struct amm_address address(uint8_t last)
{
    return (struct amm_address){.ip = {192, 168, 13, last}, .family = AMM_FAMILY_IPV4};
}

static void wrong_passwords_wait_longer_and_longer(void **state)
{
    (void)state;
    static struct web_limit limit;
    struct amm_address from = address(100), other = address(101);
    amm_time now = 1000 * AMM_SECOND;
    uint32_t last = 0;
    limit = (struct web_limit){0};
    for (int i = 0; i < WEB_LIMIT_FREE; i++) {
        assert_int_equal(web_limit_wait(&limit, &from, now), 0);
        web_limit_try(&limit, &from, now);
    }
    for (int i = 0; i < 15; i++) {
        uint32_t wait = web_limit_wait(&limit, &from, now);
        assert_true(wait >= 1 && wait >= last && wait <= WEB_LIMIT_WAIT);
        assert_int_equal(web_limit_wait(&limit, &other, now), 0);
        last = wait;
        now += wait * AMM_SECOND;
        assert_int_equal(web_limit_wait(&limit, &from, now), 0);
        web_limit_try(&limit, &from, now);
    }
    assert_int_equal(last, WEB_LIMIT_WAIT);
    web_limit_right(&limit, &from);
    assert_int_equal(web_limit_wait(&limit, &from, now), 0);
}

static void an_address_is_forgotten_in_time(void **state)
{
    (void)state;
    static struct web_limit limit;
    struct amm_address from = address(100);
    limit = (struct web_limit){0};
    for (int i = 0; i < 20; i++) {
        web_limit_try(&limit, &from, AMM_SECOND);
    }
    assert_true(web_limit_wait(&limit, &from, 2 * AMM_SECOND) > 0);
    assert_int_equal(web_limit_wait(&limit, &from, (WEB_LIMIT_FORGET + 2) * AMM_SECOND), 0);
}

static void many_addresses_do_not_help(void **state)
{
    (void)state;
    static struct web_limit limit;
    unsigned tries = 0;
    limit = (struct web_limit){0};
    for (unsigned i = 0; i < 100000; i++) { /* a new address each time, within one minute */
        struct amm_address from = {.ip = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i},
                                   .family = AMM_FAMILY_IPV4};
        amm_time now = AMM_SECOND + i * (60 * AMM_SECOND / 100000);
        if (web_limit_wait(&limit, &from, now) == 0) {
            web_limit_try(&limit, &from, now);
            tries++;
        }
    }
    assert_in_range(tries, WEB_LIMIT_TOGETHER, WEB_LIMIT_TOGETHER + 60 / WEB_LIMIT_REFILL + 1);
}

/* ---- sessions ---- */

static struct web_sessions sessions;
static struct amm_seeded_random seeded;
static const struct amm_address from = {.ip = {192, 168, 13, 100}, .family = AMM_FAMILY_IPV4};

static void begin_sessions(void)
{
    amm_seeded_random_init(&seeded, 1);
    web_sessions_init(&sessions, amm_seeded_random(&seeded));
}

static struct web_session *open_at(enum web_role role, int64_t second, char token[WEB_TOKEN_TEXT])
{
    struct amm_now now = {second * AMM_SECOND, 1795516800 + second};
    return web_session_open(&sessions, role, &from, false, now, token);
}

static bool is_there(const char *token, int64_t second, bool by_person)
{
    return web_session_find(&sessions, amm_view_str(token), second * AMM_SECOND, by_person) != NULL;
}

static void a_session_ends_when_nobody_uses_it(void **state)
{
    (void)state;
    char token[WEB_TOKEN_TEXT];
    begin_sessions();
    open_at(WEB_USER, 10, token);
    assert_true(is_there(token, 10 + 900, true));
    assert_true(is_there(token, 10 + 1800, true));
    assert_true(is_there(token, 10 + 2400, false)); /* a page that refreshes itself */
    assert_false(is_there(token, 10 + 1800 + 901, false));
    assert_false(is_there(token, 10 + 1800 + 900, true));
}

static void no_session_is_for_ever(void **state)
{
    (void)state;
    char token[WEB_TOKEN_TEXT];
    begin_sessions();
    open_at(WEB_USER, 10, token);
    int64_t second = 10;
    while (is_there(token, second, true)) {
        second += 800;
        assert_true(second < 200000);
    }
    assert_in_range(second, WEB_SESSION_HOURS * 3600, WEB_SESSION_HOURS * 3600 + 900);
}

static void tokens_are_whole_secret_and_new(void **state)
{
    (void)state;
    char token[WEB_TOKEN_TEXT], second[WEB_TOKEN_TEXT];
    begin_sessions();
    struct web_session *session = open_at(WEB_USER, 10, token);
    assert_null(memmem(&sessions.at, sizeof sessions.at, token, 16)); /* only its hash is kept */
    assert_true(web_session_csrf_ok(session, session->csrf));
    assert_false(web_session_csrf_ok(session, ""));
    assert_false(web_session_csrf_ok(session, token));
    open_at(WEB_USER, 10, second);
    assert_string_not_equal(token, second);
    assert_false(is_there("", 10, true));
    token[5] ^= 1;
    assert_false(is_there(token, 10, true));
    token[5] ^= 1;
    token[42] = '\0';
    assert_false(is_there(token, 10, true));
}

static void the_idlest_makes_room(void **state)
{
    (void)state;
    char tokens[WEB_SESSIONS + 1][WEB_TOKEN_TEXT];
    begin_sessions();
    for (int i = 0; i < WEB_SESSIONS; i++) {
        open_at(WEB_USER, 10 + i, tokens[i]);
    }
    assert_true(is_there(tokens[0], 30, true));
    open_at(WEB_VIEWER, 40, tokens[WEB_SESSIONS]);
    assert_true(is_there(tokens[0], 41, true));
    assert_false(is_there(tokens[1], 41, true));
    assert_true(is_there(tokens[WEB_SESSIONS], 41, true));
}

static void sessions_are_closed_by_role_and_number(void **state)
{
    (void)state;
    char tokens[4][WEB_TOKEN_TEXT];
    begin_sessions();
    struct web_session *own = open_at(WEB_USER, 10, tokens[0]);
    open_at(WEB_USER, 10, tokens[1]);
    open_at(WEB_VIEWER, 10, tokens[2]);
    uint32_t number = open_at(WEB_VIEWER, 10, tokens[3])->number;
    web_sessions_close_role(&sessions, WEB_USER, own);
    assert_true(is_there(tokens[0], 10, true));
    assert_false(is_there(tokens[1], 10, true));
    assert_true(is_there(tokens[2], 10, true));
    assert_true(web_session_close_number(&sessions, number));
    assert_false(web_session_close_number(&sessions, number));
    assert_false(is_there(tokens[3], 10, true));
}

/* ---- words ---- */

static void numbers_as_people_read_them(void **state)
{
    (void)state;
    char out[WEB_WORDS];
#define N WEB_NARROW
    assert_string_equal(web_bytes(0, out), "0" N "B");
    assert_string_equal(web_bytes(999, out), "999" N "B");
    assert_string_equal(web_bytes(1000, out), "1.0" N "kB");
    assert_string_equal(web_bytes(999949, out), "999.9" N "kB");
    assert_string_equal(web_bytes(999950, out), "1.0" N "MB");
    assert_string_equal(web_bytes(31200345, out), "31.2" N "MB");
    assert_string_equal(web_bytes(UINT64_MAX, out), "18.4" N "EB");
    assert_string_equal(web_duration(-5, out), "0" N "s");
    assert_string_equal(web_duration(59, out), "59" N "s");
    assert_string_equal(web_duration(254, out), "4" N "min");
    assert_string_equal(web_duration(3 * 86400 + 4 * 3600 + 59, out), "3" N "d 04" N "h");
    assert_string_equal(web_duration(7500, out), "2" N "h 05" N "min");
    assert_string_equal(web_ago(1, out), "just now");
    assert_string_equal(web_ago(-100, out), "just now");
    assert_string_equal(web_ago(254, out), "4" N "min ago");
#undef N
}

static void expect_time(int64_t wall, const char *iso, const char *words)
{
    json_t *time = web_time(wall, 1795530067); /* 2026-11-24 14:21:07 */
    assert_non_null(time);
    assert_string_equal(json_string_value(json_object_get(time, "iso")), iso);
    assert_string_equal(json_string_value(json_object_get(time, "words")), words);
    json_decref(time);
}

static void times_say_the_day_when_it_is_another(void **state)
{
    (void)state;
    expect_time(1795530067, "2026-11-24T14:21:07Z", "14:21");
    expect_time(1795530067 - 2 * 86400, "2026-11-22T14:21:07Z", "22" WEB_NARROW "Nov 14:21");
    expect_time(1742301900, "2025-03-18T12:45:00Z", "2025-03-18");
    assert_null(web_time(0, 1795530067));
    assert_null(web_time(INT64_MAX, 1795530067));
    assert_null(web_time(INT64_MIN, 1795530067));
    json_t *text = web_string("a\xff"
                              "b");
    assert_string_equal(json_string_value(text), "a_b");
    json_decref(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_refused_and_addresses_taken),
        cmocka_unit_test(changes_come_from_our_own_pages),
        cmocka_unit_test(other_sites_may_link_but_not_read),
        cmocka_unit_test(cookies_are_found_by_their_whole_name),
        cmocka_unit_test(wrong_passwords_wait_longer_and_longer),
        cmocka_unit_test(an_address_is_forgotten_in_time),
        cmocka_unit_test(many_addresses_do_not_help),
        cmocka_unit_test(a_session_ends_when_nobody_uses_it),
        cmocka_unit_test(no_session_is_for_ever),
        cmocka_unit_test(tokens_are_whole_secret_and_new),
        cmocka_unit_test(the_idlest_makes_room),
        cmocka_unit_test(sessions_are_closed_by_role_and_number),
        cmocka_unit_test(numbers_as_people_read_them),
        cmocka_unit_test(times_say_the_day_when_it_is_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
