/* What old, wrong and hostile gateways send, and what the browser gets: tolerated where nothing
 * depends on it, refused in words before a byte of it is passed on, or cut when it is too late for
 * words. And TLS that is none, or of another key. */
#include "flow_lab.h"

#include "crypto/pki.h"
#include "io/clock.h"
#include "proxyd/flow.h"
#include "proxyd/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum outcome { TOLERATED, REFUSED, CUT };

#define OK "HTTP/1.1 200 OK\r\n"

/* `text`: a part of the body that the browser gets, or of the page that says why not. */
static const struct {
    const char *name, *answer;
    bool ends; /* and then the gateway closes the connection */
    enum outcome outcome;
    const char *text;
} cases[] = {
    /* tolerated */
    {"HTTP/1.0 without a length", "HTTP/1.0 200 OK\r\n\r\nhello", true, TOLERATED, "hello"},
    {"HTTP/1.1 without a length", OK "Content-Type: text/html\r\n\r\nhello", true, TOLERATED,
     "hello"},
    {"a length, then a close", OK "Content-Length: 5\r\n\r\nhello", true, TOLERATED, "hello"},
    {"lines that end with LF", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", false, TOLERATED,
     "hello"},
    {"no phrase", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", false, TOLERATED, "hello"},
    {"no phrase, a blank", "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", false, TOLERATED,
     "hello"},
    {"a phrase in Latin-1",
     "HTTP/1.1 200 \xdc"
     "bertragen\r\nContent-Length: 5\r\n\r\nhello",
     false, TOLERATED, "hello"},
    {"a value in Latin-1", OK "X-Name: M\xfcller\r\nContent-Length: 5\r\n\r\nhello", false,
     TOLERATED, "hello"},
    {"a status that nobody knows", "HTTP/1.1 999 Odd\r\nContent-Length: 5\r\n\r\nhello", false,
     TOLERATED, "hello"},
    {"the same length twice", OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", false,
     TOLERATED, "hello"},
    {"204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", false, TOLERATED,
     "HTTP/1.1 204"},
    {"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", false,
     TOLERATED, "HTTP/1.1 304"},
    {"a blank before the colon", OK "Content-Length : 5\r\n\r\nhello", false, TOLERATED, "hello"},
    {"empty values", OK "X-Empty:\r\nContent-Length: 5\r\n\r\nhello", false, TOLERATED, "hello"},
    {"blanks behind a chunk's size",
     OK "Transfer-Encoding: chunked\r\n\r\n5  \r\nhello\r\n0\r\n\r\n", false, TOLERATED, "hello"},
    {"capital letters and leading zeros",
     OK "transfer-encoding: Chunked\r\n\r\n00005\r\nhello\r\n000\r\n\r\n", false, TOLERATED,
     "hello"},
    {"extensions and trailers",
     OK "Transfer-Encoding: chunked\r\n\r\n5;q=\"a\"\r\nhello\r\n0\r\nMD5: x\r\n\r\n", false,
     TOLERATED, "hello"},
    {"an unasked 100", "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 5\r\n\r\nhello", false,
     TOLERATED, "hello"},
    {"more than was said", OK "Content-Length: 5\r\n\r\nhello and more", false, TOLERATED, "hello"},
    {"an answer too many", OK "Content-Length: 5\r\n\r\nhello" OK "Content-Length: 4\r\n\r\nevil",
     false, TOLERATED, "hello"},

    /* refused */
    {"nothing", "", true, REFUSED, "closed the connection without an answer"},
    {"half a head", "HTTP/1.1 200 OK\r\nContent-Le", true, REFUSED,
     "closed the connection without an answer"},
    {"HTTP/0.9", "<html>hello</html>", true, REFUSED, "does not begin with HTTP/1.1"},
    {"HTTP/2", "HTTP/2 200\r\n\r\n", true, REFUSED, "does not begin with HTTP/1.1"},
    {"a radio", "ICY 200 OK\r\n\r\n", true, REFUSED, "does not begin with HTTP/1.1"},
    {"not HTTP", "SSH-2.0-dropbear\r\n", true, REFUSED, "does not begin with HTTP/1.1"},
    {"a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", true, REFUSED, "a status of three digits"},
    {"two lengths", OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", false, REFUSED,
     "two Content-Lengths"},
    {"a length that is none", OK "Content-Length: -5\r\n\r\nhello", false, REFUSED,
     "Content-Length is not a number"},
    {"a length with a sign", OK "Content-Length: +5\r\n\r\nhello", false, REFUSED,
     "Content-Length is not a number"},
    {"a length beyond all", OK "Content-Length: 99999999999999999999\r\n\r\n", false, REFUSED,
     "Content-Length is not a number"},
    {"length and chunks", OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     false, REFUSED, "both a Content-Length and a Transfer-Encoding"},
    {"an unknown coding", OK "Transfer-Encoding: gzip, chunked\r\n\r\n", false, REFUSED,
     "the only transfer coding is chunked"},
    {"a line without a colon", OK "Nonsense\r\n\r\n", false, REFUSED, "no colon"},
    {"no name", OK ": value\r\n\r\n", false, REFUSED, "no name"},
    {"a folded line", OK "X-A: b\r\n c\r\n\r\n", false, REFUSED, "begins with a blank"},
    {"a control byte", OK "X-A: b\x01\r\n\r\n", false, REFUSED, "control byte"},
    {"a CR in a value", OK "X-A: b\rSet-Cookie: c\r\n\r\n", false, REFUSED, "CR"},
    {"1xx without end",
     "HTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\n"
     "HTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\n"
     "HTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\n"
     "HTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 102 P\r\n\r\n"
     "HTTP/1.1 102 P\r\n\r\n",
     false, REFUSED, "1xx without end"},
    {"101 that nobody asked for",
     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", false,
     REFUSED, "wants to change the protocol"},
    {"a proxy's password",
     "HTTP/1.1 407 Proxy\r\nProxy-Authenticate: Basic\r\n"
     "Content-Length: 0\r\n\r\n",
     false, REFUSED, "407"},

    /* cut */
    {"a short body", OK "Content-Length: 50\r\n\r\nhello", true, CUT, "hello"},
    {"chunks cut short", OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true, CUT, "hello"},
    {"a chunk cut short", OK "Transfer-Encoding: chunked\r\n\r\nff\r\nhello", true, CUT, "hello"},
    {"a chunk's size that is none",
     OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0x5\r\nhello\r\n0\r\n\r\n", false, CUT,
     "hello"},
    {"a chunk longer than it says",
     OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello and\r\n0\r\n\r\n", false, CUT, "hello"},
    {"a chunk's line that ends with LF",
     OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\nhello\r\n0\r\n\r\n", false, CUT,
     "hello"},
    {"a chunk beyond 63 bits",
     OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nffffffffffffffff\r\n", false, CUT,
     "hello"},
};

static int open_lab(void **state)
{
    (void)state;
    flow_lab_open(AMM_PROXY_PAGE, AMM_PROXY_HTTP, NULL);
    return 0;
}

static int close_lab(void **state)
{
    (void)state;
    flow_lab_close();
    return 0;
}

/* What the browser got, read as a browser does: the status and the whole of it without frames in
 * `text`. False: it is cut short. */
static bool read_answer(int *status, char text[FLOW_TEXT])
{
    static struct amm_http_response response;
    struct amm_view in, content;
    struct amm_http_error error;
    struct amm_http_body body;
    size_t used = 0, len;
    enum amm_http_result result;
    const char *head = lab_heard;
    do { /* behind 1xx */
        head += used;
        in = amm_view_str(head);
        assert_int_equal(amm_http_response_parse(&response, amm_view_str("GET"), in, &used, &error),
                         AMM_HTTP_OK);
    } while (response.status < 200);
    *status = response.status;
    memcpy(text, head, used);
    len = used;
    in = amm_view(in.data + used, in.len - used);
    amm_http_body_begin(&body, response.framing, response.length, false);
    while ((result = amm_http_body_next(&body, &in, &content, &error)) == AMM_HTTP_OK) {
        memcpy(text + len, content.data, content.len);
        len += content.len;
    }
    text[len] = '\0';
    assert_int_equal(in.len, 0);
    return result == AMM_HTTP_END;
}

static void check(size_t i)
{
    static char text[FLOW_TEXT];
    int status;
    bool is_whole = read_answer(&status, text);
    bool good =
        is_whole == (cases[i].outcome != CUT) && (status == 502) == (cases[i].outcome == REFUSED);
    if (!good || !strstr(text, cases[i].text) || strstr(text, "evil")) {
        fail_msg("%s: '%s'", cases[i].name, lab_heard);
    }
}

/* Each in one piece, and byte by byte. */
static void odd_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        size_t n = i / 2;
        int browser = lab_browser();
        lab_ask(browser, 0, "GET /", "Connection: close\r\n");
        int gateway = lab_gateway();
        lab_expect(gateway, "\r\n\r\n");
        if (i % 2 == 0) {
            lab_say(gateway, cases[n].answer);
        }
        for (const char *p = cases[n].answer; i % 2 == 1 && *p; p++) {
            send(gateway, p, 1, MSG_NOSIGNAL); /* the proxy may have had enough */
            if (p[1] == '\0' || *p == '\n') {
                lab_turn();
            }
        }
        if (cases[n].ends) {
            close(gateway);
        }
        lab_expect_end(browser);
        check(n);
        close(browser);
        flows_cut(flow_lab.proxyd.flows, flow_lab.sessions[0]);
        if (!cases[n].ends) {
            close(gateway);
        }
    }
}

static void a_head_without_end_is_refused(void **state)
{
    (void)state;
    static char line[1024];
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /", "Connection: close\r\n");
    int gateway = lab_gateway();
    lab_expect(gateway, "\r\n\r\n");
    lab_say(gateway, OK);
    snprintf(line, sizeof line, "X-Long: %01000d\r\n", 0);
    for (int i = 0; i < 150; i++) {
        send(gateway, line, strlen(line), MSG_NOSIGNAL);
        lab_turn();
    }
    lab_expect_end(browser);
    assert_memory_equal(lab_heard, "HTTP/1.1 502 ", 13);
    assert_non_null(strstr(lab_heard, "longer than 16384 bytes"));
    close(browser), close(gateway);
}

static void a_nul_is_refused(void **state)
{
    (void)state;
    static const char answer[] = OK "X-A: a\0b\r\nContent-Length: 0\r\n\r\n";
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /", "Connection: close\r\n");
    int gateway = lab_gateway();
    lab_expect(gateway, "\r\n\r\n");
    lab_say_bytes(gateway, answer, sizeof answer - 1);
    lab_expect_end(browser);
    assert_memory_equal(lab_heard, "HTTP/1.1 502 ", 13);
    close(browser), close(gateway);
}

static void a_closed_port_is_said(void **state)
{
    (void)state;
    int browser = lab_browser();
    close(flow_lab.listener);
    lab_ask(browser, 0, "GET /", "");
    lab_expect(browser, "Connection refused");
    assert_memory_equal(lab_heard, "HTTP/1.1 502 ", 13);
    flow_lab.listener = dup(browser); /* something to close */
    close(browser);
}

/* ---- TLS: the gateway is a server of src/http ---- */

static char certificate[2][AMM_PEM_MAX], key[2][AMM_PEM_MAX];
static struct amm_http_server *page;
static unsigned asked;

static void handle_page(void *context, const struct amm_http_call *call)
{
    (void)context;
    asked++;
    amm_http_answer(call->server, call->ref,
                    &(struct amm_http_reply){.status = 200, .body = amm_view_str("secure")});
}

static void make_certificates(void)
{
    char error[256] = "";
    int64_t now = amm_now().wall;
    for (int i = 0; i < 2 && certificate[i][0] == '\0'; i++) {
        const struct amm_certificate_request request = {
            AMM_CERTIFICATE_CA, "router", NULL, now - 86400, now - 3600}; /* expired, as usual */
        assert_true(amm_pki_key_new(key[i], error, sizeof error));
        assert_true(
            amm_pki_issue(&request, key[i], NULL, key[i], certificate[i], error, sizeof error));
    }
}

static void serve_page(int which)
{
    char error[256] = "";
    struct amm_http_settings settings;
    amm_http_settings_init(&settings);
    settings.handle = handle_page;
    settings.connections = 8;
    page = amm_http_server_new(&settings);
    struct amm_http_tls *tls = amm_http_tls_new(
        &(struct amm_http_tls_settings){.certificate = certificate[which], .key = key[which]},
        error, sizeof error);
    if (!page || !tls) {
        fail_msg("%s", error);
    }
    assert_true(amm_http_server_listen(page, dup(flow_lab.listener), tls, 1));
    amm_http_tls_unref(tls);
    asked = 0;
}

static int open_secure(void **state)
{
    (void)state;
    make_certificates();
    flow_lab_open(AMM_PROXY_PAGE, AMM_PROXY_HTTPS, NULL);
    serve_page(0);
    return 0;
}

static int close_secure(void **state)
{
    page = amm_http_server_free(page);
    return close_lab(state);
}

static void expect_through_tls(int browser, const char *text)
{
    size_t len = 0;
    lab_heard[0] = '\0';
    for (int i = 0; i < 5000 && !strstr(lab_heard, text); i++) {
        amm_http_server_step(page);
        lab_turn();
        ssize_t n = recv(browser, lab_heard + len, FLOW_TEXT - 1 - len, 0);
        len += n > 0 ? (size_t)n : 0;
        lab_heard[len] = '\0';
    }
    assert_non_null(strstr(lab_heard, text));
}

static void the_first_key_is_remembered(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /", "");
    expect_through_tls(browser, "secure");
    assert_int_equal(flow_lab.first_keys, 1);
    assert_int_equal(flow_lab.changed_keys, 0);
    assert_int_equal(flow_lab.sessions[0]->about.has_pin, 1);
    lab_ask(browser, 0, "GET /", "");
    expect_through_tls(browser, "secure");
    assert_int_equal(flow_lab.first_keys, 1);
    flows_cut(flow_lab.proxyd.flows, flow_lab.sessions[0]);
    close(browser);
}

static void another_key_gets_no_request(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /", "");
    expect_through_tls(browser, "secure");
    uint8_t first[32];
    memcpy(first, flow_lab.key, sizeof first);
    flows_cut(flow_lab.proxyd.flows, flow_lab.sessions[0]);
    close(browser);
    page = amm_http_server_free(page);
    serve_page(1);
    browser = lab_browser();
    lab_ask(browser, 0, "POST /login", "Content-Length: 6\r\n");
    lab_say(browser, "secret");
    expect_through_tls(browser, "HTTP/1.1 502 ");
    assert_int_equal(asked, 0);
    assert_int_equal(flow_lab.changed_keys, 1);
    assert_memory_not_equal(flow_lab.key, first, sizeof first); /* a person is shown which */
    assert_memory_equal(flow_lab.sessions[0]->about.pin, first, sizeof first);
    close(browser);
}

static void two_first_keys_that_differ_are_no_first_use(void **state)
{
    (void)state;
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /", "");
    lab_turns(2);
    memset(flow_lab.sessions[0]->about.pin, 1, 32); /* another connection was faster */
    flow_lab.sessions[0]->about.has_pin = 1;
    expect_through_tls(browser, "HTTP/1.1 502 ");
    assert_int_equal(asked, 0);
    assert_int_equal(flow_lab.changed_keys, 1);
    close(browser);
}

static void tls_that_is_none_is_said(void **state)
{
    (void)state;
    page = amm_http_server_free(page);
    int browser = lab_browser();
    lab_ask(browser, 0, "GET /", "Connection: close\r\n");
    int gateway = lab_gateway();
    lab_turns(2);
    lab_say(gateway, "HTTP/1.1 400 Bad Request\r\n\r\nthis is not TLS");
    lab_expect_end(browser);
    assert_memory_equal(lab_heard, "HTTP/1.1 502 ", 13);
    assert_non_null(strstr(lab_heard, "TLS"));
    close(browser), close(gateway);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_lab, close_lab)
#define SECURE(name) cmocka_unit_test_setup_teardown(name, open_secure, close_secure)
    const struct CMUnitTest tests[] = {
        TEST(odd_answers),
        TEST(a_head_without_end_is_refused),
        TEST(a_nul_is_refused),
        TEST(a_closed_port_is_said),
        SECURE(the_first_key_is_remembered),
        SECURE(another_key_gets_no_request),
        SECURE(two_first_keys_that_differ_are_no_first_use),
        SECURE(tls_that_is_none_is_said),
    };
    return cmocka_run_group_tests_name("proxyd odd gateways", tests, NULL, NULL);
}
