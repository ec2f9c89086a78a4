/* The table of remote sessions: lookups, secrets, ends. */
#include "proxyd/session.h"

#include "base/base64.h"
#include "crypto/mac.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LABEL "abcdefghijklmnopqrstuvwxyz"
#define OTHER "bbcdefghijklmnopqrstuvwxyz"

enum { WALL = 1800000000 };

static struct amm_now now;
static struct sessions *table;

static int setup(void **state)
{
    struct amm_seeded_random seeded;
    (void)state;
    amm_seeded_random_init(&seeded, 1);
    struct amm_random random = amm_seeded_random(&seeded);
    now = (struct amm_now){1000 * AMM_SECOND, WALL};
    table = sessions_new("gw.example.net", 443, true, &random);
    return table == NULL;
}

static int teardown(void **state)
{
    (void)state;
    table = sessions_free(table);
    return 0;
}

static struct amm_proxy_session about(const char *label)
{
    struct amm_proxy_session session = {.kind = AMM_PROXY_PAGE,
                                        .role = AMM_PROXY_USER,
                                        .scheme = AMM_PROXY_HTTPS,
                                        .gateway = 7,
                                        .epoch = 9,
                                        .idle = 900,
                                        .last_at = WALL,
                                        .until = WALL + 28800};
    memcpy(session.label, label, sizeof session.label);
    assert_true(amm_address_parse(&session.address, "10.4.32.7:9443", 0));
    return session;
}

static struct session *put(const struct amm_proxy_session *session)
{
    bool other_target;
    return sessions_put(table, session, now, &other_target);
}

static void test_by_host(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool found;
    } cases[] = {
        {LABEL ".gw.example.net", true},
        {LABEL ".gw.example.net:8444", true},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ.GW.example.net", true},
        {OTHER ".gw.example.net", false},
        {LABEL ".gw.example.net.evil.example", false},
        {LABEL ".gw.example.netx", false},
        {LABEL ".gw.example.ne", false},
        {LABEL "", false},
        {LABEL ".", false},
        {"x." LABEL ".gw.example.net", false},
        {"gw.example.net", false},
        {"10.4.32.7:9443", false},
        {"", false},
    };
    struct amm_proxy_session session = about(LABEL);
    assert_non_null(put(&session));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(sessions_of_host(table, amm_view_str(cases[i].host)) != NULL,
                         cases[i].found);
    }
    assert_null(sessions_of_host(table, (struct amm_view){0}));
}

/* Another target is another session: whoever has the first one's cookie must not reach it. */
static void test_target_never_changes(void **state)
{
    (void)state;
    struct amm_proxy_session session = about(LABEL);
    bool other;
    assert_non_null(put(&session));
    session.role = AMM_PROXY_VIEWER;
    assert_non_null(sessions_put(table, &session, now, &other));
    assert_int_equal(sessions_find(table, LABEL)->about.role, AMM_PROXY_VIEWER);
    struct amm_proxy_session bad[6];
    for (unsigned i = 0; i < 6; i++) {
        bad[i] = session;
    }
    bad[0].gateway++;
    bad[1].epoch++;
    bad[2].address.port++;
    bad[3].address.ip[3]++;
    bad[4].scheme = AMM_PROXY_HTTP;
    assert_true(amm_address_parse(&bad[5].relay, "192.168.13.40:80", 0));
    for (unsigned i = 0; i < 6; i++) {
        assert_null(sessions_put(table, &bad[i], now, &other));
        assert_true(other);
    }
}

static void test_full(void **state)
{
    (void)state;
    char label[AMM_PROXY_LABEL + 1];
    uint8_t random[16] = {0};
    struct amm_proxy_session session;
    for (unsigned i = 0; i < AMM_PROXY_SESSIONS; i++) {
        random[0] = (uint8_t)i, random[1] = (uint8_t)(i >> 8);
        amm_proxy_label(random, label);
        session = about(label);
        assert_non_null(put(&session));
    }
    session = about(LABEL);
    assert_null(put(&session));
    sessions_remove(table, sessions_find(table, label));
    assert_non_null(put(&session));
    assert_int_equal(sessions_count(table), AMM_PROXY_SESSIONS);
}

/* ---- secrets ---- */

static const uint8_t secret[32] = {1, 2, 3};

static const char *secret_text(void)
{
    static char text[64];
    amm_base64_encode(text, sizeof text, amm_view(secret, sizeof secret), AMM_BASE64_URL);
    return text;
}

static void test_ticket_once(void **state)
{
    (void)state;
    struct amm_proxy_session session = about(LABEL);
    session.has_ticket = 1;
    session.ticket_until = WALL + 30;
    assert_true(amm_sha256(amm_view(secret, sizeof secret), session.ticket));
    struct session *s = put(&session);
    struct amm_view right = amm_view_str(secret_text());
    assert_false(session_use_ticket(s, amm_view_str("AAAA"), WALL));
    assert_false(session_use_ticket(s, (struct amm_view){0}, WALL));
    assert_false(session_use_ticket(s, amm_view(right.data, right.len - 1), WALL));
    assert_true(session_use_ticket(s, right, WALL + 30));
    assert_false(session_use_ticket(s, right, WALL));
    put(&session);
    assert_false(session_use_ticket(s, right, WALL + 31));
    assert_false(session_use_ticket(s, right, WALL)); /* late: gone */
}

static bool has_cookie(const struct session *s, const char *format, ...)
{
    static char head[4096];
    static struct amm_http_request request;
    char cookies[2048];
    struct amm_http_error error;
    size_t used;
    va_list list;
    va_start(list, format);
    vsnprintf(cookies, sizeof cookies, format, list);
    va_end(list);
    int len = snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", cookies);
    assert_int_equal(amm_http_request_parse(&request, amm_view(head, (size_t)len), &used, &error),
                     AMM_HTTP_OK);
    return session_has_cookie(s, &request);
}

static void test_cookie(void **state)
{
    (void)state;
    struct amm_proxy_session session = about(LABEL);
    const char *text = secret_text();
    struct session *s = put(&session);
    assert_false(has_cookie(s, "Cookie: __Host-amm-remote=%s", text));
    session.has_cookie = 1;
    assert_true(amm_sha256(amm_view(secret, sizeof secret), session.cookie));
    put(&session);
    assert_true(has_cookie(s, "Cookie: __Host-amm-remote=%s", text));
    assert_true(has_cookie(s, "Cookie: a=b; __Host-amm-remote=%s; c=d", text));
    assert_true(has_cookie(s, "Cookie: a=b\r\nCookie: __Host-amm-remote=%s", text));
    /* a page can put another one before it, and gains nothing */
    assert_true(has_cookie(s, "Cookie: __Host-amm-remote=x; __Host-amm-remote=%s", text));
    assert_false(has_cookie(s, "X: y"));
    assert_false(has_cookie(s, "Cookie: amm-remote=%s", text));
    assert_false(has_cookie(s, "Cookie: x__Host-amm-remote=%s", text));
    assert_false(has_cookie(s, "Cookie: __Host-amm-remote=%s%s", text, "A"));
    assert_false(has_cookie(s, "Cookie: __Host-amm-remote="));
    assert_false(has_cookie(s, "X-Cookie: __Host-amm-remote=%s", text));
}

/* A cookie that ammd has not heard of yet outlives its list. */
static void test_entered_outlives_a_list(void **state)
{
    (void)state;
    struct amm_proxy_session session = about(LABEL);
    session.has_ticket = 1;
    session.ticket_until = WALL + 30;
    struct session *s = put(&session);
    s->entered = true;
    s->about.has_cookie = 1;
    s->about.cookie[0] = 77;
    sessions_unname(table);
    assert_ptr_equal(sessions_unnamed(table), s);
    put(&session);
    assert_null(sessions_unnamed(table));
    assert_true(s->about.has_cookie && s->about.cookie[0] == 77 && !s->about.has_ticket);
}

/* ammd has not heard yet that its ticket was used, and tells something else about the session. */
static void test_a_used_ticket_does_not_come_back(void **state)
{
    (void)state;
    struct amm_proxy_session session = about(LABEL);
    session.has_cookie = 1; /* of a first browser */
    session.cookie[0] = 1;
    session.has_ticket = 1;
    session.ticket_until = WALL + 30;
    assert_true(amm_sha256(amm_view(secret, sizeof secret), session.ticket));
    struct session *s = put(&session);
    assert_true(session_use_ticket(s, amm_view_str(secret_text()), WALL));
    s->about.cookie[0] = 2; /* of the second one */
    session.role = AMM_PROXY_VIEWER;
    put(&session);
    assert_int_equal(s->about.role, AMM_PROXY_VIEWER);
    assert_int_equal(s->about.cookie[0], 2);
    assert_false(session_use_ticket(s, amm_view_str(secret_text()), WALL));
}

/* ---- ends ---- */

static void assert_due(struct session *s, enum amm_proxy_end expected)
{
    enum amm_proxy_end reason;
    assert_ptr_equal(sessions_due(table, now, &reason), s);
    assert_int_equal(reason, expected);
}

static void test_ends(void **state)
{
    (void)state;
    enum amm_proxy_end reason;
    struct amm_proxy_session session = about(LABEL);
    session.has_cookie = 1;
    struct session *s = put(&session);
    assert_null(sessions_due(table, now, &reason));
    now.mono += 899 * AMM_SECOND;
    assert_null(sessions_due(table, now, &reason));
    now.mono += AMM_SECOND;
    assert_due(s, AMM_PROXY_END_IDLE);
    assert_true(session_touch(s, now));
    assert_false(session_touch(s, now)); /* ammd knows */
    assert_null(sessions_due(table, now, &reason));
    now.wall = session.until;
    assert_due(s, AMM_PROXY_END_LIFE);
    now.wall = WALL;
    s->page_ended = true;
    assert_due(s, AMM_PROXY_END_GATEWAY);
}

static void test_idle_counts_from_what_ammd_knows(void **state)
{
    (void)state;
    struct amm_proxy_session session = about(LABEL);
    session.last_at = WALL - 901;
    struct session *s = put(&session);
    assert_due(s, AMM_PROXY_END_UNUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_by_host, setup, teardown),
        cmocka_unit_test_setup_teardown(test_target_never_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ticket_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cookie, setup, teardown),
        cmocka_unit_test_setup_teardown(test_entered_outlives_a_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_used_ticket_does_not_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_counts_from_what_ammd_knows, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
