/* Where a request goes is decided by its session alone: 500 addresses of other places, each in the
 * target, in the Host field and in every field that other proxies listen to. */
#include "proxyd/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LABEL "abcdefghijklmnopqrstuvwxyz"
#define HOST LABEL ".gw.example.net"

static const char *const hosts[] = {
    "127.0.0.1",
    "127.1",
    "0",
    "0.0.0.0",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "localhost",
    "LOCALHOST",
    "localhost.localdomain",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[fe80::1%25eth0]",
    "169.254.169.254",
    "[fd00:ec2::254]",
    "2852039166",
    "0xa9fea9fe",
    "metadata.google.internal",
    "10.4.32.1",
    "10.4.32.5",
    "10.4.96.7",
    "10.4.32.7.",
    "10.4.32.8",
    "192.168.13.31",
    "192.168.13.1",
    "bbcdefghijklmnopqrstuvwxyz.gw.example.net",
    "gw.example.net",
    "console.example.net",
    HOST ".evil.example",
    "evil.example",
    "evil.example#" HOST,
    "evil.example%2f" HOST,
    HOST "@evil.example",
    "evil.example@" HOST,
    "user:pw@127.0.0.1",
    "127.0.0.1%00." HOST,
    "127.0.0.1\t." HOST,
    "xn--localhost",
    "spoofed.burpcollaborator.net",
    "1.1.1.1 &@" HOST,
    "unix:/run/amm/ammd.sock",
    "/run/amm/ammd.sock",
    "-",
    "",
    ".",
    "..",
};

static const char *const forms[] = {
    "http://%s/",    "https://%s/",     "//%s/",         "http://%s:8443/",
    "%s:443",        "gopher://%s:22/", "file://%s/etc", "ws://%s/",
    "http:\\\\%s\\", "/%s/../",         "/.amm/../%s",   "/?url=http://%s/x",
};

static const char *const fields[] = {
    "Host",
    "X-Forwarded-Host",
    "X-Host",
    "X-Original-URL",
    "X-Rewrite-URL",
    "Forwarded",
    "X-Forwarded-Server",
    "Origin",
    "Referer",
    "X-Forwarded-For",
    "Destination",
    "Proxy-Host",
    "Location",
    "X-HTTP-Host-Override",
    "Via",
};

enum { N_HOSTS = sizeof hosts / sizeof hosts[0], N_FORMS = sizeof forms / sizeof forms[0] };

static struct sessions *table;
static struct amm_proxy_session about;
static unsigned tried, reached;

static int setup(void **state)
{
    struct amm_seeded_random seeded;
    (void)state;
    amm_seeded_random_init(&seeded, 1);
    struct amm_random random = amm_seeded_random(&seeded);
    bool other;
    table = sessions_new("gw.example.net", 443, true, &random);
    about = (struct amm_proxy_session){.label = LABEL,
                                       .kind = AMM_PROXY_PAGE,
                                       .role = AMM_PROXY_USER,
                                       .scheme = AMM_PROXY_HTTPS,
                                       .epoch = 9,
                                       .idle = 900,
                                       .until = 2000000000,
                                       .host = "192.168.13.31:9443"};
    assert_true(amm_address_parse(&about.address, "10.4.32.7:9443", 0));
    return sessions_put(table, &about, (struct amm_now){1, 1}, &other) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    table = sessions_free(table);
    return 0;
}

/* Refused, or it leads where the session leads and says so. */
static void check(const char *head, size_t len)
{
    static struct amm_http_request request;
    static char out[65536];
    struct amm_http_error error;
    size_t used;
    bool upgrade;
    tried++;
    if (amm_http_request_parse(&request, amm_view(head, len), &used, &error) != AMM_HTTP_OK) {
        return;
    }
    struct session *session = sessions_of_host(table, request.host);
    if (session == NULL) {
        return;
    }
    reached++;
    assert_string_equal(session->about.label, LABEL);
    assert_true(amm_address_equal(&session->about.address, &about.address));
    assert_true(request.target.data[0] == '/' || request.target.data[0] == '*');
    struct amm_writer w = amm_writer(out, sizeof out - 1);
    assert_int_equal(translate_request(&session->names, &request, &upgrade, &w), TRANSLATE_OK);
    out[amm_writer_len(&w)] = '\0';
    assert_memory_equal(out, "Host: 192.168.13.31:9443\r\n", 26);
    assert_null(strstr(out + 1, "\r\nHost:"));
    static const char *const gone[] = {"X-Forwarded", "Forwarded:", "X-Original",
                                       "X-Rewrite",   "Proxy-",     "Via:"};
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        assert_null(strstr(out, gone[i]));
    }
}

static void each(void (*with)(const char *address))
{
    for (size_t host = 0; host < N_HOSTS; host++) {
        for (size_t form = 0; form < N_FORMS; form++) {
            char address[512];
            const char *at = strstr(forms[form], "%s");
            snprintf(address, sizeof address, "%.*s%s%s", (int)(at - forms[form]), forms[form],
                     hosts[host], at + 2);
            with(address);
        }
    }
}

static void in_target(const char *address)
{
    static const char *const methods[] = {"GET", "CONNECT", "OPTIONS"};
    char head[2048];
    for (size_t i = 0; i < 3; i++) {
        int len = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: " HOST "\r\n\r\n",
                           methods[i], address);
        check(head, (size_t)len);
    }
}

static void in_host(const char *address)
{
    char head[2048];
    int len = snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", address);
    check(head, (size_t)len);
    len = snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: " HOST "\r\nHost: %s\r\n\r\n",
                   address);
    check(head, (size_t)len);
}

static void in_fields(const char *address)
{
    char head[2048];
    for (size_t i = 1; i < sizeof fields / sizeof fields[0]; i++) {
        int len = snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: " HOST "\r\n%s: %s\r\n\r\n",
                           fields[i], address);
        check(head, (size_t)len);
    }
}

static void test_target(void **state)
{
    (void)state;
    assert_true(N_HOSTS * N_FORMS >= 500);
    tried = reached = 0;
    each(in_target);
    assert_true(tried >= 1500 && reached > 0);
}

static void test_host(void **state)
{
    (void)state;
    each(in_host);
}

static void test_fields(void **state)
{
    (void)state;
    reached = 0;
    each(in_fields);
    assert_true(reached > 500); /* the fields did not matter */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_target, setup, teardown),
        cmocka_unit_test_setup_teardown(test_host, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
