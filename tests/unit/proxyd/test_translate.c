/* The heads: one case for each row of the tables in translate_rules.c, and what hostile gateways
 * and odd pages send. */
#include "proxyd/translate_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LABEL "abcdefghijklmnopqrstuvwxyz"

static struct amm_proxy_session about(void)
{
    struct amm_proxy_session session = {.label = LABEL,
                                        .kind = AMM_PROXY_PAGE,
                                        .role = AMM_PROXY_USER,
                                        .scheme = AMM_PROXY_HTTPS,
                                        .host = "192.168.13.31:9443"};
    assert_true(amm_address_parse(&session.address, "10.4.32.7:9443", 0));
    return session;
}

static struct translate_names names_of(const struct amm_proxy_session *session, bool secure)
{
    struct translate_names names;
    assert_true(
        translate_names_init(&names, session, "gw.example.net", secure ? 443 : 8081, secure));
    return names;
}

static struct translate_names usual(void)
{
    struct amm_proxy_session session = about();
    return names_of(&session, true);
}

/* ---- requests ---- */

static struct amm_http_request request;
static struct amm_http_response response;
static char head_in[65536], head_out[65536];

static void parse_request(const char *line, const char *fields)
{
    struct amm_http_error error;
    size_t used;
    int len = snprintf(head_in, sizeof head_in,
                       "%s HTTP/1.1\r\nHost: " LABEL ".gw.example.net\r\n%s%s\r\n", line, fields,
                       fields[0] != '\0' ? "\r\n" : "");
    if (amm_http_request_parse(&request, amm_view(head_in, (size_t)len), &used, &error) !=
        AMM_HTTP_OK) {
        fail_msg("%s: %s", fields, error.text);
    }
}

static enum translate_verdict send_request(const struct translate_names *names, const char *line,
                                           const char *fields)
{
    bool upgrade;
    parse_request(line, fields);
    struct amm_writer w = amm_writer(head_out, sizeof head_out - 1);
    enum translate_verdict verdict = translate_request(names, &request, &upgrade, &w);
    head_out[amm_writer_len(&w)] = '\0';
    return verdict;
}

#define OURS "https://" LABEL ".gw.example.net"
#define PAGES "https://192.168.13.31:9443"

static const struct {
    const char *rule;     /* the row that this is a case of; NULL: none */
    const char *in, *out; /* field lines, without Host */
} request_cases[] = {
    {NULL, "X-Whatever:  A b\r\nAccept: */*", "X-Whatever: A b\r\nAccept: */*\r\n"},
    {NULL, "Accept-Encoding: gzip, br", "Accept-Encoding: gzip, br\r\n"},
    {NULL, "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors",
     "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n"},
    {NULL, "X-CSRF-Token: 1234", "X-CSRF-Token: 1234\r\n"},
    {"host", "", ""},
    {"origin", "Origin: " OURS, "Origin: " PAGES "\r\n"},
    {"origin", "Origin: null", "Origin: null\r\n"},
    {"origin", "Origin: https://evil.example", ""},
    {"origin", "Origin: " OURS ".evil.example", ""},
    {"origin", "Origin: " OURS "/x", ""},
    {"referer", "Referer: " OURS "/a?b=c", "Referer: " PAGES "/a?b=c\r\n"},
    {"referer", "Referer: " OURS, "Referer: " PAGES "\r\n"},
    {"referer", "Referer: " OURS "/.amm/enter", "Referer: " PAGES "/\r\n"},
    {"referer", "Referer: https://console.example.net/gateways/7", ""},
    {"referer", "Referer: " OURS ".evil.example/", ""},
    {"destination", "Destination: " OURS "/file", "Destination: " PAGES "/file\r\n"},
    {"destination", "Destination: http://10.0.0.1/", ""},
    {"cookie", "Cookie: a=1; __Host-amm-remote=secret; b=2", "Cookie: a=1; b=2\r\n"},
    {"cookie", "Cookie: amm-remote=x;__host-AMM-remote=y", ""},
    {"cookie", "Cookie: a=1", "Cookie: a=1\r\n"},
    {"cookie", "Cookie: x__Host-amm-remote=1; amm-remote2=2",
     "Cookie: x__Host-amm-remote=1; amm-remote2=2\r\n"},
    {"cookie", "Cookie:  __Host-amm-remote =z; lone", "Cookie: lone\r\n"},
    {"authorization", "Authorization: Bearer x", "Authorization: Bearer x\r\n"},
    {"upgrade", "Upgrade: websocket\r\nConnection: Upgrade", "Upgrade: websocket\r\n"},
    {"upgrade", "Upgrade: h2c\r\nConnection: Upgrade", ""},
    {"upgrade", "Upgrade: websocket, TLS/1.0\r\nConnection: Upgrade", ""},
    {"upgrade", "Upgrade: websocket", ""},
    {"upgrade-insecure-requests", "Upgrade-Insecure-Requests: 1",
     "Upgrade-Insecure-Requests: 1\r\n"},
    {"x-http-method-override", "X-HTTP-Method-Override: PUT", "X-HTTP-Method-Override: PUT\r\n"},
    {"x-http-method", "X-HTTP-Method: PUT", "X-HTTP-Method: PUT\r\n"},
    {"x-method-override", "X-Method-Override: PUT", "X-Method-Override: PUT\r\n"},
    {"forwarded", "Forwarded: for=1.2.3.4", ""},
    {"x-forwarded*", "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: a\r\nX-FORWARDED: x", ""},
    {"x-real-ip", "X-Real-IP: 127.0.0.1", ""},
    {"x-client-ip", "X-Client-IP: 127.0.0.1", ""},
    {"x-cluster-client-ip", "X-Cluster-Client-IP: 127.0.0.1", ""},
    {"x-original-*", "X-Original-URL: /admin", ""},
    {"x-rewrite-url", "X-Rewrite-URL: /admin", ""},
    {"x-remote-*", "X-Remote-User: admin", ""},
    {"remote-*", "Remote-User: admin", ""},
    {"true-client-ip", "True-Client-IP: 127.0.0.1", ""},
    {"cf-*", "CF-Connecting-IP: 127.0.0.1", ""},
    {"via", "Via: 1.1 x", ""},
    {"amm-*", "AMM-Assertion: forged", ""},
    {"alt-used", "Alt-Used: x", ""},
    {"early-data", "Early-Data: 1", ""},
    {"access-control-request-private-network", "Access-Control-Request-Private-Network: true", ""},
    {"proxy-*", "Proxy-Authorization: Basic x\r\nProxy-Connection: close", ""},
    {"connection", "Connection: close, X-Hop\r\nX-Hop: 1\r\nX-Stays: 2", "X-Stays: 2\r\n"},
    {"connection", "Connection: close, Cookie\r\nCookie: a=1", "Cookie: a=1\r\n"},
    {"keep-alive", "Keep-Alive: timeout=5", ""},
    {"te", "TE: trailers", ""},
    {"trailer", "Trailer: X", ""},
    {"http2-settings", "HTTP2-Settings: x", ""},
    {"expect", "Expect: 100-continue\r\nContent-Length: 3", ""},
    {"transfer-encoding", "Transfer-Encoding: chunked", ""},
    {"content-length", "Content-Length: 3", ""},
};

static void test_requests(void **state)
{
    (void)state;
    struct translate_names names = usual();
    for (size_t i = 0; i < sizeof request_cases / sizeof request_cases[0]; i++) {
        char expected[1024];
        snprintf(expected, sizeof expected, "Host: 192.168.13.31:9443\r\n%s", request_cases[i].out);
        assert_int_equal(send_request(&names, "POST /", request_cases[i].in), TRANSLATE_OK);
        assert_string_equal(head_out, expected);
    }
}

static void test_service_worker(void **state)
{
    (void)state;
    struct translate_names names = usual();
    assert_int_equal(send_request(&names, "GET /sw.js", "Service-Worker: script"),
                     TRANSLATE_REFUSED);
}

static void test_every_request_rule_has_a_case(void **state)
{
    (void)state;
    for (const struct translate_rule *rule = translate_request_rules; rule->name; rule++) {
        bool found = strcmp(rule->name, "service-worker") == 0; /* test_service_worker */
        for (size_t i = 0; i < sizeof request_cases / sizeof request_cases[0]; i++) {
            found |= request_cases[i].rule && strcmp(request_cases[i].rule, rule->name) == 0;
        }
        if (!found) {
            fail_msg("no case for %s", rule->name);
        }
    }
}

static void test_view_only(void **state)
{
    (void)state;
    struct amm_proxy_session session = about();
    session.view_only = 1;
    struct translate_names names = names_of(&session, true);
    assert_int_equal(send_request(&names, "POST /", ""), TRANSLATE_VIEW_ONLY);
    assert_int_equal(send_request(&names, "DELETE /x", ""), TRANSLATE_VIEW_ONLY);
    assert_int_equal(send_request(&names, "GET /",
                                  "X-HTTP-Method-Override: PUT\r\n"
                                  "X-HTTP-Method: PUT\r\nX-Method-Override: PUT"),
                     TRANSLATE_OK);
    assert_string_equal(head_out, "Host: 192.168.13.31:9443\r\n");
    assert_int_equal(send_request(&names, "HEAD /", ""), TRANSLATE_OK);
}

static void test_plain_page(void **state)
{
    (void)state;
    struct amm_proxy_session session = about();
    session.scheme = AMM_PROXY_HTTP;
    session.host[0] = '\0';
    session.address.port = 80;
    struct translate_names names = names_of(&session, true);
    assert_int_equal(send_request(&names, "GET /", "Upgrade-Insecure-Requests: 1\r\nOrigin: " OURS),
                     TRANSLATE_OK);
    assert_string_equal(head_out, "Host: 10.4.32.7\r\nOrigin: http://10.4.32.7\r\n");
}

static void test_credentials(void **state)
{
    (void)state;
    struct amm_proxy_session session = about();
    session.credentials = AMM_PROXY_BASIC;
    strcpy(session.user, "Aladdin");
    strcpy(session.secret, "open sesame");
    struct translate_names names = names_of(&session, true);
    send_request(&names, "GET /", "");
    assert_string_equal(head_out, "Host: 192.168.13.31:9443\r\n"
                                  "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
    send_request(&names, "GET /", "Authorization: Basic eDp5");
    assert_string_equal(head_out, "Host: 192.168.13.31:9443\r\nAuthorization: Basic eDp5\r\n");
}

/* ---- answers ---- */

#define FIXED                                                                                      \
    "Content-Security-Policy: frame-ancestors 'self'\r\nX-Frame-Options: SAMEORIGIN\r\n"           \
    "Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Resource-Policy: same-origin\r\n"     \
    "Referrer-Policy: same-origin\r\nX-Robots-Tag: noindex, nofollow\r\n"

static enum translate_verdict send_response(const struct translate_names *names, const char *status,
                                            const char *fields)
{
    static char bytes[65536];
    struct amm_http_error error;
    size_t used;
    int len = snprintf(bytes, sizeof bytes, "HTTP/1.1 %s\r\n%s%s\r\n", status, fields,
                       fields[0] != '\0' ? "\r\n" : "");
    assert_int_equal(amm_http_response_parse(&response, request.method,
                                             amm_view(bytes, (size_t)len), &used, &error),
                     AMM_HTTP_OK);
    struct amm_writer w = amm_writer(head_out, sizeof head_out - 1);
    enum translate_verdict verdict = translate_response(names, &request, &response, &w);
    head_out[amm_writer_len(&w)] = '\0';
    return verdict;
}

static const struct {
    const char *rule, *in, *out;
} response_cases[] = {
    {NULL, "Content-Type: text/html\r\nETag: \"x\"\r\nContent-Encoding: gzip",
     "Content-Type: text/html\r\nETag: \"x\"\r\nContent-Encoding: gzip\r\n"},
    {NULL, "WWW-Authenticate: Basic realm=\"x\"", "WWW-Authenticate: Basic realm=\"x\"\r\n"},
    {"location", "Location: https://192.168.13.31:9443/a?b#c", "Location: " OURS "/a?b#c\r\n"},
    {"location", "Location: http://192.168.13.31/x", "Location: " OURS "/x\r\n"},
    {"location", "Location: https://192.168.13.31", "Location: " OURS "\r\n"},
    {"location", "Location: HTTPS://192.168.13.31:8443/x", "Location: " OURS "/x\r\n"},
    {"location", "Location: //192.168.13.31:9443/x", "Location: " OURS "/x\r\n"},
    {"location", "Location: https://10.4.32.7:9443/x", "Location: " OURS "/x\r\n"},
    {"location", "Location: /relative", "Location: /relative\r\n"},
    {"location", "Location: relative?u=https://192.168.13.31:9443/",
     "Location: relative?u=https://192.168.13.31:9443/\r\n"},
    {"location", "Location: https://www.example.net/", "Location: https://www.example.net/\r\n"},
    {"location", "Location: https://192.168.13.31.evil.example/",
     "Location: https://192.168.13.31.evil.example/\r\n"},
    {"location", "Location: https://192.168.13.31@evil.example/",
     "Location: https://192.168.13.31@evil.example/\r\n"},
    {"location", "Location: https://192.168.13.31:9443@evil.example/",
     "Location: https://192.168.13.31:9443@evil.example/\r\n"},
    {"content-location", "Content-Location: https://192.168.13.31:9443/x",
     "Content-Location: " OURS "/x\r\n"},
    {"refresh", "Refresh: 5; url=http://192.168.13.31:9443/x", "Refresh: 5; url=" OURS "/x\r\n"},
    {"refresh", "Refresh: 5;URL = 'https://192.168.13.31'", "Refresh: 5;URL = '" OURS "'\r\n"},
    {"refresh", "Refresh: 5", "Refresh: 5\r\n"},
    {"refresh", "Refresh: 0; url=/x", "Refresh: 0; url=/x\r\n"},
    {"link", "Link: <https://192.168.13.31:9443/a,b>; rel=preload; title=\"<x>\", </c>; rel=next",
     "Link: <" OURS "/a,b>; rel=preload; title=\"<x>\", </c>; rel=next\r\n"},
    {"link", "Link: <https://192.168.13.31:9443/a", "Link: <" OURS "/a\r\n"},
    {"sourcemap", "SourceMap: https://192.168.13.31:9443/a.map", "SourceMap: " OURS "/a.map\r\n"},
    {"set-cookie", "Set-Cookie: sid=1; Path=/; HttpOnly",
     "Set-Cookie: sid=1; Path=/; HttpOnly; Secure\r\n"},
    {"set-cookie", "Set-Cookie: sid=1; Domain=.example.net; secure; SameSite=None",
     "Set-Cookie: sid=1; SameSite=None; Secure\r\n"},
    {"set-cookie", "Set-Cookie: sid=1; DOMAIN =192.168.13.31; SameSite=Lax; Max-Age=5",
     "Set-Cookie: sid=1; SameSite=Lax; Max-Age=5; Secure\r\n"},
    {"set-cookie", "Set-Cookie: __Host-amm-remote=x; Secure; Path=/", ""},
    {"set-cookie", "Set-Cookie:  __HOST-amm-remote =x", ""},
    {"set-cookie", "Set-Cookie: amm-remote=x", ""},
    {"set-cookie", "Set-Cookie: =__Host-amm-remote=x", ""},
    {"set-cookie", "Set-Cookie: lone", ""},
    {"set-cookie", "Set-Cookie: a=b=c; Expires=Wed, 09 Jun 2027 10:18:14 GMT",
     "Set-Cookie: a=b=c; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Secure\r\n"},
    {"set-cookie2", "Set-Cookie2: a=b", ""},
    {"content-security-policy",
     "Content-Security-Policy: default-src 'self' https://192.168.13.31:9443 "
     "wss://192.168.13.31:9443; img-src data: 192.168.13.31:* *.tile.example; "
     "report-uri https://r.example/; frame-ancestors 'none'",
     "Content-Security-Policy: default-src 'self'; img-src data: 'self' *.tile.example; "
     "frame-ancestors 'none'\r\n"},
    {"content-security-policy",
     "Content-Security-Policy: script-src 'nonce-abc' 192.168.13.31/js/, report-to x,, "
     "sandbox allow-scripts;",
     "Content-Security-Policy: script-src 'nonce-abc' 'self', sandbox allow-scripts\r\n"},
    {"content-security-policy", "Content-Security-Policy: report-uri /x", ""},
    {"content-security-policy-report-only",
     "Content-Security-Policy-Report-Only: default-src 'self'", ""},
    {"x-frame-options", "X-Frame-Options: ALLOW-FROM https://a.example", ""},
    {"cross-origin-opener-policy", "Cross-Origin-Opener-Policy: unsafe-none", ""},
    {"cross-origin-resource-policy", "Cross-Origin-Resource-Policy: cross-origin", ""},
    {"referrer-policy", "Referrer-Policy: unsafe-url", ""},
    {"x-robots-tag", "X-Robots-Tag: all", ""},
    {"strict-transport-security",
     "Strict-Transport-Security: max-age=31536000; includeSubDomains; preload", ""},
    {"public-key-pins*", "Public-Key-Pins: x\r\nPublic-Key-Pins-Report-Only: x", ""},
    {"expect-ct", "Expect-CT: x", ""},
    {"alt-svc", "Alt-Svc: h3=\":443\"", ""},
    {"clear-site-data", "Clear-Site-Data: \"*\"", ""},
    {"service-worker-allowed", "Service-Worker-Allowed: /", ""},
    {"report-to", "Report-To: {}", ""},
    {"reporting-endpoints", "Reporting-Endpoints: a=\"https://x\"", ""},
    {"nel", "NEL: {}", ""},
    {"cross-origin-opener-policy-report-only", "Cross-Origin-Opener-Policy-Report-Only: x", ""},
    {"cross-origin-embedder-policy-report-only", "Cross-Origin-Embedder-Policy-Report-Only: x", ""},
    {"access-control-*",
     "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n"
     "Access-Control-Allow-Private-Network: true",
     ""},
    {"timing-allow-origin", "Timing-Allow-Origin: *", ""},
    {"server-timing", "Server-Timing: db;dur=53", ""},
    {"speculation-rules", "Speculation-Rules: \"/rules.json\"", ""},
    {"supports-loading-mode", "Supports-Loading-Mode: credentialed-prerender", ""},
    {"set-login", "Set-Login: logged-in", ""},
    {"attribution-reporting-*", "Attribution-Reporting-Register-Source: {}", ""},
    {"amm-*", "AMM-Anything: x", ""},
    {"proxy-*", "Proxy-Authenticate: Basic realm=x", ""},
    {"upgrade", "Upgrade: h2,h2c\r\nConnection: Upgrade", ""},
    {"connection", "Connection: close, X-Hop\r\nX-Hop: 1\r\nX-Stays: 1", "X-Stays: 1\r\n"},
    {"connection",
     "Connection: Set-Cookie, Content-Type\r\nContent-Type: text/html\r\n"
     "Set-Cookie: a=1",
     "Content-Type: text/html\r\nSet-Cookie: a=1; Secure\r\n"},
    {"keep-alive", "Keep-Alive: timeout=5", ""},
    {"te", "TE: x", ""},
    {"trailer", "Trailer: X", ""},
    {"transfer-encoding", "Transfer-Encoding: chunked", ""},
    {"content-length", "Content-Length: 3", ""},
};

static void test_responses(void **state)
{
    (void)state;
    struct translate_names names = usual();
    parse_request("GET /", "");
    for (size_t i = 0; i < sizeof response_cases / sizeof response_cases[0]; i++) {
        char expected[2048];
        snprintf(expected, sizeof expected, "%s" FIXED, response_cases[i].out);
        assert_int_equal(send_response(&names, "200 OK", response_cases[i].in), TRANSLATE_OK);
        assert_string_equal(head_out, expected);
    }
}

static void test_every_response_rule_has_a_case(void **state)
{
    (void)state;
    for (const struct translate_rule *rule = translate_response_rules; rule->name; rule++) {
        bool found = false;
        for (size_t i = 0; i < sizeof response_cases / sizeof response_cases[0]; i++) {
            found |= response_cases[i].rule && strcmp(response_cases[i].rule, rule->name) == 0;
        }
        if (!found) {
            fail_msg("no case for %s", rule->name);
        }
    }
}

static void test_frame_options(void **state)
{
    (void)state;
    struct translate_names names = usual();
    parse_request("GET /", "");
    send_response(&names, "200 OK", "X-Frame-Options: deny");
    assert_non_null(strstr(head_out, "X-Frame-Options: DENY\r\n"));
    assert_null(strstr(head_out, "SAMEORIGIN"));
}

/* On loopback without TLS a cookie must not say Secure, but for names that need it. */
static void test_plain_browser(void **state)
{
    (void)state;
    struct amm_proxy_session session = about();
    struct translate_names names = names_of(&session, false);
    parse_request("GET /", "");
    send_response(&names, "200 OK",
                  "Set-Cookie: a=1; Secure; SameSite=None\r\nSet-Cookie: __Host-b=1; Secure; "
                  "Path=/\r\nContent-Security-Policy: upgrade-insecure-requests; img-src x");
    assert_string_equal(head_out, "Set-Cookie: a=1\r\nSet-Cookie: __Host-b=1; Path=/; Secure\r\n"
                                  "Content-Security-Policy: img-src x\r\n" FIXED);
    send_response(&names, "302 Found", "Location: https://192.168.13.31:9443/x");
    assert_string_equal(head_out, "Location: http://" LABEL ".gw.example.net:8081/x\r\n" FIXED);
    send_response(&names, "302 Found", "Location: wss://192.168.13.31:9443/x");
    assert_string_equal(head_out, "Location: ws://" LABEL ".gw.example.net:8081/x\r\n" FIXED);
}

static void test_too_many_cookies(void **state)
{
    (void)state;
    static char fields[32768];
    struct translate_names names = usual();
    size_t at = 0, n = 0;
    parse_request("GET /", "");
    for (int i = 0; i < 60; i++) {
        at += (size_t)snprintf(fields + at, sizeof fields - at, "%sSet-Cookie: c%d=1",
                               i ? "\r\n" : "", i);
    }
    assert_int_equal(send_response(&names, "200 OK", fields), TRANSLATE_OK);
    for (const char *c = head_out; (c = strstr(c, "Set-Cookie")) != NULL; c++) {
        n++;
    }
    assert_int_equal(n, TRANSLATE_COOKIES);
    at = (size_t)snprintf(fields, sizeof fields, "Set-Cookie: big=");
    memset(fields + at, 'x', TRANSLATE_COOKIE);
    fields[at + TRANSLATE_COOKIE] = '\0';
    assert_int_equal(send_response(&names, "200 OK", fields), TRANSLATE_OK);
    assert_null(strstr(head_out, "Set-Cookie"));
}

static void test_early_hints_have_no_additions(void **state)
{
    (void)state;
    struct translate_names names = usual();
    parse_request("GET /", "");
    assert_int_equal(send_response(&names, "103 Early Hints", "Link: </a.css>; rel=preload"),
                     TRANSLATE_OK);
    assert_string_equal(head_out, "Link: </a.css>; rel=preload\r\n");
}

static void test_upgrades(void **state)
{
    (void)state;
    struct translate_names names = usual();
    const char *agree = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x";
    parse_request("GET /ws", "Upgrade: WebSocket\r\nConnection: Upgrade");
    assert_int_equal(send_response(&names, "101 Switching Protocols", agree), TRANSLATE_OK);
    assert_string_equal(head_out, "Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n");
    assert_int_equal(
        send_response(&names, "101 Switching Protocols", "Upgrade: h2c\r\nConnection: Upgrade"),
        TRANSLATE_BAD_UPGRADE);
    parse_request("GET /ws", "");
    assert_int_equal(send_response(&names, "101 Switching Protocols", agree),
                     TRANSLATE_BAD_UPGRADE);
    parse_request("GET /ws", "Upgrade: websocket"); /* named, not asked for */
    assert_int_equal(send_response(&names, "101 Switching Protocols", agree),
                     TRANSLATE_BAD_UPGRADE);
    assert_int_equal(send_response(&names, "407 Proxy Authentication Required", ""),
                     TRANSLATE_NO_PROXY);
}

/* Both schemes of the page are one through the proxy: what sends the browser to the other one would
 * do so for ever. */
static void test_other_scheme(void **state)
{
    (void)state;
    static const struct {
        const char *target, *to;
        bool loops;
    } cases[] = {
        {"GET /", "http://192.168.13.31/", true},
        {"GET /", "http://192.168.13.31", true},
        {"GET /a?b=c", "HTTP://192.168.13.31:8080/a?b=c", true},
        {"GET /a?b=c", "http://192.168.13.31/a", false},
        {"GET /a", "http://192.168.13.31/login", false},
        {"GET /", "https://192.168.13.31:9443/", false},
        {"GET /", "//192.168.13.31/", false},
        {"GET /", "http://www.example.net/", false},
        {"GET /", "/", false},
    };
    struct translate_names names = usual();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char field[128];
        snprintf(field, sizeof field, "Location: %s", cases[i].to);
        parse_request(cases[i].target, "");
        assert_int_equal(send_response(&names, "301 Moved", field),
                         cases[i].loops ? TRANSLATE_OTHER_SCHEME : TRANSLATE_OK);
        assert_int_equal(send_response(&names, "201 Created", field), TRANSLATE_OK);
    }
}

/* ---- links in HTML ---- */

static void test_which_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *line, *status, *fields;
        bool wanted;
    } cases[] = {
        {"GET /", "200 OK", "Content-Type: text/html", true},
        {"GET /", "404 Not Found", "Content-Type: text/html; charset=utf-8", true},
        {"GET /", "200 OK", "Content-Type: TEXT/HTML\r\nContent-Encoding: identity", true},
        {"GET /", "200 OK", "Content-Type: text/html\r\nContent-Encoding: gzip", false},
        {"GET /", "200 OK", "Content-Type: text/html5", false},
        {"GET /", "200 OK", "Content-Type: application/json", false},
        {"GET /", "200 OK", "X: text/html", false},
        {"GET /", "206 Partial", "Content-Type: text/html", false},
        {"GET /", "304 Not Modified", "Content-Type: text/html", false},
        {"HEAD /", "200 OK", "Content-Type: text/html", false},
        {"GET /", "200 OK", "Content-Type: text/html\r\nCache-Control: no-transform", false},
        {"GET /", "200 OK",
         "Content-Type: text/html\r\nContent-Security-Policy: script-src 'sha256-x'", false},
    };
    struct translate_names names = usual();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        parse_request(cases[i].line, "");
        send_response(&names, cases[i].status, cases[i].fields);
        assert_int_equal(translate_body_wanted(&request, &response), cases[i].wanted);
    }
}

static const char *body_of(const struct translate_names *names, const char *in, size_t cut)
{
    static struct translate_body body;
    static char out[8192];
    struct amm_writer w = amm_writer(out, sizeof out - 1);
    size_t len = strlen(in);
    translate_body_begin(&body, names);
    for (size_t at = 0; at < len; at += cut) {
        struct amm_view part = amm_view(in + at, len - at < cut ? len - at : cut);
        assert_true(translate_body(&body, &part, false, &w));
        assert_int_equal(part.len, 0);
    }
    struct amm_view rest = {0};
    assert_true(translate_body(&body, &rest, true, &w));
    out[amm_writer_len(&w)] = '\0';
    return out;
}

static void test_links_at_every_cut(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"<a href=\"" PAGES "/x\">", "<a href=\"" OURS "/x\">"},
        {PAGES, OURS},
        {PAGES PAGES, PAGES PAGES}, /* a port, and then more: no such address */
        {PAGES " " PAGES "?", OURS " " OURS "?"},
        {"wss://192.168.13.31:9443/ws", "wss://" LABEL ".gw.example.net/ws"},
        {"\"https:\\/\\/192.168.13.31:9443\\/x\"", "\"https:\\/\\/" LABEL ".gw.example.net\\/x\""},
        {"https://192.168.13.31:94431/", "https://192.168.13.31:94431/"},
        {"https://192.168.13.31:9443.evil.example/", "https://192.168.13.31:9443.evil.example/"},
        {"https://192.168.13.31:9443@evil.example/", "https://192.168.13.31:9443@evil.example/"},
        {"xhttps://192.168.13.31:9443/", "xhttps://192.168.13.31:9443/"},
        {"https://192.168.13.31/", "https://192.168.13.31/"},
        {"http://192.168.13.31:9443/", "http://192.168.13.31:9443/"},
        {"hhhttps://192.168.13.31:944", "hhhttps://192.168.13.31:944"},
        {"h ht htt https https:// " PAGES "/ w ws wss",
         "h ht htt https https:// " OURS "/ w ws wss"},
    };
    struct translate_names names = usual();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t cut = 1; cut < 80; cut++) {
            assert_string_equal(body_of(&names, cases[i].in, cut), cases[i].out);
        }
    }
}

static void test_bad_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"a b", "a\r\nX: y", "a/b", ":80", "a:b", "a:99999"};
    struct translate_names names;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct amm_proxy_session session = about();
        strcpy(session.host, bad[i]);
        assert_false(translate_names_init(&names, &session, "gw.example.net", 443, true));
    }
}

/* The document says what the program does. */
static void test_document(void **state)
{
    (void)state;
    static char text[65536], file[65536];
    assert_true(translate_document(text, sizeof text));
    assert_false(translate_document(text, 1000));
    assert_true(translate_document(text, sizeof text));
    FILE *in = fopen(HEADERS_DOC, "r");
    assert_non_null(in);
    size_t len = fread(file, 1, sizeof file - 1, in);
    fclose(in);
    file[len] = '\0';
    assert_string_equal(file, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_service_worker),
        cmocka_unit_test(test_every_request_rule_has_a_case),
        cmocka_unit_test(test_view_only),
        cmocka_unit_test(test_plain_page),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_every_response_rule_has_a_case),
        cmocka_unit_test(test_frame_options),
        cmocka_unit_test(test_plain_browser),
        cmocka_unit_test(test_too_many_cookies),
        cmocka_unit_test(test_early_hints_have_no_additions),
        cmocka_unit_test(test_upgrades),
        cmocka_unit_test(test_other_scheme),
        cmocka_unit_test(test_which_bodies),
        cmocka_unit_test(test_links_at_every_cut),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
