/* The door, with the table, the link to ammd and the server behind and before it. */
#include "rig.h"

#include "io/unix.h"
#include "proxyd/gate.h"
#include "proxyd/link.h"
#include "proxyd/loop.h"
#include "proxyd/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct rig rig;
static struct got got;
static char cookie[256];

static int open_rig(void **state)
{
    (void)state;
    rig_open(&rig);
    struct amm_proxy_session session = rig_session();
    rig_connect(&rig, &session, 1);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static int ask(const char *line, const char *fields)
{
    rig_ask(&rig, line, HOST, fields, NULL, &got);
    return got.status;
}

static int ask_with(const char *line, const char *more)
{
    char fields[1024];
    snprintf(fields, sizeof fields, "%s%s%s", cookie, more[0] != '\0' ? "\r\n" : "", more);
    return ask(line, fields);
}

/* ---- the way in ---- */

static void test_click_to_page(void **state)
{
    (void)state;
    rig_enter(&rig, cookie);
    rig_hear(&rig, AMM_PROXY_ENTERED);
    assert_string_equal(rig.last.entered.label, LABEL);
    assert_int_equal(ask_with("GET /", ""), 200);
    assert_non_null(strstr(got.all, "page of bus-1"));
}

static void test_ticket_refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "ticket=",    "ticket=AAAA",
                                      "tickets=x", "ticket=%00", "x=y&ticket=dHR0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rig_ask(&rig, "POST /.amm/enter", HOST, "", bad[i], &got);
        assert_int_equal(got.status, 403);
        assert_null(strstr(got.all, "Set-Cookie"));
    }
    assert_int_equal(ask("GET /.amm/enter", ""), 400);
    char in_query[128];
    snprintf(in_query, sizeof in_query, "POST /.amm/enter?%s", rig_ticket());
    rig_ask(&rig, in_query, HOST, "", "", &got);
    assert_int_equal(got.status, 403);
    rig_enter(&rig, cookie);
    rig_ask(&rig, "POST /.amm/enter", HOST, "", rig_ticket(), &got); /* replayed */
    assert_int_equal(got.status, 403);
    assert_non_null(strstr(got.all, "Bus &lt;1&gt;"));
}

static void test_another_ticket_ends_the_first_browser(void **state)
{
    (void)state;
    char first[256];
    rig_enter(&rig, first);
    struct amm_proxy_session session = rig_session();
    struct amm_proxy_message message = {.type = AMM_PROXY_TICKET,
                                        .ticket = {.label = LABEL, .until = session.ticket_until}};
    memcpy(message.ticket.hash, session.ticket, sizeof message.ticket.hash);
    rig_tell(&rig, &message);
    while (!sessions_find(rig.proxyd.sessions, LABEL)->about.has_ticket) {
        proxyd_turn(&rig.proxyd);
    }
    rig_enter(&rig, cookie);
    assert_int_equal(ask_with("GET /", ""), 200);
    assert_int_equal(ask("GET /", first), 403);
    assert_true(rig.cut >= 2);
}

/* ---- without the cookie, from elsewhere ---- */

static void test_no_cookie(void **state)
{
    (void)state;
    rig_enter(&rig, cookie);
    assert_int_equal(ask("GET /", ""), 403);
    assert_int_equal(ask("GET /", "Cookie: __Host-amm-remote=AAAA"), 403);
    assert_int_equal(ask("POST /.amm/leave", ""), 403);
    assert_int_equal(ask("GET /.amm/status", ""), 403);
    assert_int_equal(ask("GET /.amm/forward", ""), 403);
    rig_ask(&rig, "GET /", "bbcdefghijklmnopqrstuvwxyz.gw.example.net", cookie, NULL, &got);
    assert_int_equal(got.status, 404);
    rig_ask(&rig, "GET /", "10.4.32.7:9443", cookie, NULL, &got);
    assert_int_equal(got.status, 404);
}

static void test_pages_are_safe(void **state)
{
    (void)state;
    ask("GET /", "");
    assert_non_null(strstr(got.all, "Content-Security-Policy: default-src 'none'; style-src "
                                    "'sha256-"));
    assert_non_null(strstr(got.all, "X-Frame-Options: DENY\r\n"));
    assert_non_null(strstr(got.all, "Cache-Control: no-store\r\n"));
    assert_null(strstr(got.all, "<script"));
    assert_non_null(strstr(got.all, "<style>"));
    assert_non_null(strstr(got.all, "</html>"));
}

static void test_neighbours(void **state)
{
    (void)state;
    static const struct {
        const char *line, *fields;
        int status;
    } cases[] = {
        {"GET /", "Sec-Fetch-Site: same-origin", 200},
        {"GET /", "Sec-Fetch-Site: none", 200},
        {"POST /x", "Sec-Fetch-Site: same-origin\r\nOrigin: https://" HOST, 200},
        {"POST /x", "Origin: https://" HOST, 200},
        {"POST /x", "Sec-Fetch-Site: same-origin\r\nOrigin: null", 200},
        /* a link */
        {"GET /",
         "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document", 200},
        {"GET /",
         "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document", 200},
        /* a frame, a picture, a fetch, a form, a WebSocket of another page */
        {"GET /", "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe",
         403},
        {"GET /x", "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image",
         403},
        {"GET /x", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty",
         403},
        {"POST /x",
         "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
         "Origin: https://bbcdefghijklmnopqrstuvwxyz.gw.example.net",
         403},
        {"POST /x", "Origin: https://bbcdefghijklmnopqrstuvwxyz.gw.example.net", 403},
        {"POST /x", "Sec-Fetch-Site: cross-site\r\nOrigin: null", 403},
        {"GET /ws",
         "Origin: https://evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: websocket",
         403},
        {"POST /.amm/leave", "Origin: https://evil.example", 403},
        {"POST /x", "Origin: https://" HOST ".evil.example", 403},
        {"POST /x", "Origin: http://" HOST, 403},
    };
    rig_enter(&rig, cookie);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char fields[1024];
        bool has_body = cases[i].line[0] == 'P';
        snprintf(fields, sizeof fields, "%s\r\n%s", cookie, cases[i].fields);
        rig_ask(&rig, cases[i].line, HOST, fields, has_body ? "" : NULL, &got);
        if (got.status != cases[i].status) {
            fail_msg("%s: %s: %d", cases[i].line, cases[i].fields, got.status);
        }
    }
}

/* ---- ends ---- */

static void test_leave(void **state)
{
    (void)state;
    rig_enter(&rig, cookie);
    assert_int_equal(ask_with("GET /.amm/leave", ""), 400);
    assert_int_equal(ask_with("GET /.amm/status", ""), 200);
    assert_non_null(strstr(got.all, "anna"));
    rig_ask(&rig, "POST /.amm/leave", HOST, cookie, "", &got);
    assert_int_equal(got.status, 200);
    assert_non_null(strstr(got.all, "Max-Age=0"));
    assert_non_null(strstr(got.all, "Clear-Site-Data: \"cache\", \"storage\"\r\n"));
    rig_hear(&rig, AMM_PROXY_ENDED);
    assert_int_equal(rig.last.ending.reason, AMM_PROXY_END_LEFT);
    assert_int_equal(ask_with("GET /", ""), 404);
}

static void test_close(void **state)
{
    (void)state;
    rig_enter(&rig, cookie);
    unsigned cut = rig.cut;
    rig_tell(&rig, &(struct amm_proxy_message){
                       .type = AMM_PROXY_CLOSE,
                       .ending = {.label = LABEL, .reason = AMM_PROXY_END_LOGOUT}});
    rig_hear(&rig, AMM_PROXY_ENDED);
    assert_int_equal(rig.last.ending.reason, AMM_PROXY_END_LOGOUT);
    assert_int_equal(rig.cut, cut + 1);
    assert_int_equal(ask_with("GET /", ""), 404);
    /* unknown: answered, too */
    rig_tell(&rig, &(struct amm_proxy_message){
                       .type = AMM_PROXY_CLOSE,
                       .ending = {.label = LABEL, .reason = AMM_PROXY_END_LOGOUT}});
    rig_hear(&rig, AMM_PROXY_ENDED);
    assert_int_equal(rig.last.ending.reason, AMM_PROXY_END_UNKNOWN);
}

static void test_new_epoch_ends_it(void **state)
{
    (void)state;
    rig_enter(&rig, cookie);
    struct amm_proxy_session session = rig_session();
    session.epoch++;
    rig_tell(&rig, &(struct amm_proxy_message){.type = AMM_PROXY_SESSION, .session = session});
    rig_hear(&rig, AMM_PROXY_ENDED);
    assert_int_equal(rig.last.ending.reason, AMM_PROXY_END_EPOCH);
    assert_int_equal(ask_with("GET /", ""), 404);
}

static void test_life_ends(void **state)
{
    (void)state;
    struct amm_proxy_session session = rig_session();
    session.until = session.last_at - 1;
    rig_tell(&rig, &(struct amm_proxy_message){.type = AMM_PROXY_SESSION, .session = session});
    rig_hear(&rig, AMM_PROXY_ENDED);
    assert_int_equal(rig.last.ending.reason, AMM_PROXY_END_LIFE);
}

/* ---- without ammd ---- */

static void test_lost_ammd(void **state)
{
    (void)state;
    struct amm_proxy_session session = rig_session();
    rig_enter(&rig, cookie);
    rig_disconnect(&rig);
    assert_int_equal(ask_with("GET /", ""), 200); /* for a while */
    rig_connect(&rig, &session, 1);               /* a list from before the click */
    rig_hear(&rig, AMM_PROXY_ENTERED);            /* is told again */
    assert_int_equal(ask_with("GET /", ""), 200);
    rig_ask(&rig, "POST /.amm/enter", HOST, "", rig_ticket(), &got);
    assert_int_equal(got.status, 403); /* the list has not made the ticket new */
    rig_disconnect(&rig);
    rig_ask(&rig, "POST /.amm/leave", HOST, cookie, "", &got);
    rig_ask(&rig, "GET /", HOST, cookie, NULL, &got);
    assert_int_equal(got.status, 404);
    /* what ended meanwhile does not come back */
    while (rig.ammd < 0) {
        link_step(rig.proxyd.link);
        proxyd_turn(&rig.proxyd);
        rig.ammd = amm_unix_accept(rig.listener);
    }
    rig_hear(&rig, AMM_PROXY_HELLO);
    rig_tell(&rig, &(struct amm_proxy_message){.type = AMM_PROXY_WELCOME});
    rig_tell(&rig, &(struct amm_proxy_message){.type = AMM_PROXY_SESSION, .session = session});
    rig_hear(&rig, AMM_PROXY_ENDED);
    assert_int_equal(rig.last.ending.reason, AMM_PROXY_END_LEFT);
    assert_int_equal(sessions_count(rig.proxyd.sessions), 0);
}

static void test_what_is_not_named_ends(void **state)
{
    (void)state;
    rig_enter(&rig, cookie);
    rig_disconnect(&rig);
    rig_connect(&rig, NULL, 0);
    assert_int_equal(ask_with("GET /", ""), 404);
}

/* Nothing is known yet: not that there is no such session, but that it cannot be said. */
static void test_before_ammd(void **state)
{
    (void)state;
    rig_open(&rig);
    assert_int_equal(ask("GET /", ""), 503);
    assert_non_null(strstr(got.all, "Retry-After: "));
    rig_ask(&rig, "POST /.amm/enter", HOST, "", rig_ticket(), &got);
    assert_int_equal(got.status, 503);
    rig_close(&rig);
}

static void test_long_lost_ammd(void **state)
{
    (void)state;
    rig_enter(&rig, cookie);
    rig_disconnect(&rig);
    while (ask_with("GET /", "") != 200) {
    }
    rig.proxyd.now.mono += (LINK_GRACE + 1) * AMM_SECOND;
    assert_false(link_may_serve(rig.proxyd.link));
}

static void test_malformed_message_ends_the_connection(void **state)
{
    (void)state;
    rig_tell(&rig,
             &(struct amm_proxy_message){.type = AMM_PROXY_ACTIVE, .active = {.label = LABEL}});
    rig.ammd = -1;
    struct amm_proxy_session session = rig_session();
    rig_connect(&rig, &session, 1);
}

/* ---- the record ---- */

static void test_record(void **state)
{
    (void)state;
    rig_enter(&rig, cookie);
    rig_hear(&rig, AMM_PROXY_REQUESTS_ARE);
    const struct amm_proxy_request *row = &rig.last.requests.list[0];
    assert_int_equal(row->kind, AMM_PROXY_REQUEST_OWN);
    assert_string_equal(row->path, "/.amm/enter");
    ask("GET /secret?password=1", "");
    rig_hear(&rig, AMM_PROXY_REQUESTS_ARE);
    assert_int_equal(row->kind, AMM_PROXY_REQUEST_REFUSED);
    assert_int_equal(row->status, 403);
    assert_string_equal(row->path, "/secret");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_click_to_page, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(test_ticket_refusals, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(test_another_ticket_ends_the_first_browser, open_rig,
                                        close_rig),
        cmocka_unit_test_setup_teardown(test_no_cookie, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(test_pages_are_safe, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(test_neighbours, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(test_leave, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(test_close, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(test_new_epoch_ends_it, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(test_life_ends, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(test_lost_ammd, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(test_what_is_not_named_ends, open_rig, close_rig),
        cmocka_unit_test(test_before_ammd),
        cmocka_unit_test_setup_teardown(test_long_lost_ammd, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(test_malformed_message_ends_the_connection, open_rig,
                                        close_rig),
        cmocka_unit_test_setup_teardown(test_record, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
