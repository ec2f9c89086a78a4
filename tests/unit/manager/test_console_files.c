/* The console's files: what is served, how, and what cannot be asked for. */
#include "manager/console_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static void put(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static struct console_files *load(char *error, size_t room)
{
    return console_files_load(folder, "https://*.gw.example:8444", error, room);
}

static int set_up(void **state)
{
    char path[128], error[300];
    snprintf(folder, sizeof folder, "/tmp/amm-console-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/assets", folder);
    assert_int_equal(mkdir(path, 0755), 0);
    put("index.html", "<!doctype html>");
    put("favicon.svg", "<svg/>");
    put("assets/main-1f.js", "plain");
    put("assets/main-1f.js.gz", "zipped");
    put(".secret", "hidden");
    put("odd name", "odd");
    snprintf(path, sizeof path, "%s/assets/passwd", folder);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    *state = load(error, sizeof error);
    return *state == NULL;
}

static int tear_down(void **state)
{
    char command[128];
    static const char *const names[] = {"index.html",           "favicon.svg", "assets/main-1f.js",
                                        "assets/main-1f.js.gz", ".secret",     "odd name",
                                        "assets/passwd"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(command, sizeof command, "%s/%s", folder, names[i]);
        unlink(command);
    }
    snprintf(command, sizeof command, "%s/assets", folder);
    rmdir(command);
    rmdir(folder);
    console_files_free(*state);
    return 0;
}

struct got {
    struct amm_http_reply reply;
    uint8_t fields[CONSOLE_FIELDS_MAX + 1];
};

static const struct got *get(const struct console_files *files, const char *path,
                             const char *headers, bool is_tls)
{
    static struct got got;
    static char head[1024];
    struct amm_http_request request;
    struct amm_http_error error;
    size_t used;
    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: console\r\n%s\r\n", path, headers);
    assert_int_equal(amm_http_request_parse(&request, amm_view_str(head), &used, &error),
                     AMM_HTTP_OK);
    memset(&got, 0, sizeof got);
    console_files_answer(files, &request, is_tls, &got.reply, got.fields);
    return &got;
}

static bool has(const struct got *got, const char *line)
{
    return strstr((const char *)got->fields, line) != NULL;
}

static bool is(const struct got *got, const char *body)
{
    return amm_view_equal(got->reply.body, amm_view_str(body));
}

static void files_are_served_as_what_they_are(void **state)
{
    const struct got *got = get(*state, "/assets/main-1f.js", "", true);
    assert_int_equal(got->reply.status, 200);
    assert_string_equal(got->reply.content_type, "text/javascript; charset=utf-8");
    assert_true(is(got, "plain"));
    assert_true(has(got, "Cache-Control: public, max-age=31536000, immutable\r\n"));
    assert_true(has(got, "Vary: Accept-Encoding\r\n"));
    assert_false(has(got, "Content-Encoding"));
    got = get(*state, "/assets/main-1f.js", "Accept-Encoding: br, gzip\r\n", true);
    assert_true(is(got, "zipped"));
    assert_true(has(got, "Content-Encoding: gzip\r\n"));
    assert_true(
        is(get(*state, "/assets/main-1f.js", "Accept-Encoding: gzip;q=0\r\n", true), "plain"));
    assert_true(
        is(get(*state, "/assets/main-1f.js", "Accept-Encoding: gzip;q=0.5\r\n", true), "zipped"));
    got = get(*state, "/favicon.svg", "", true);
    assert_string_equal(got->reply.content_type, "image/svg+xml");
    assert_true(has(got, "Cache-Control: no-cache\r\n"));
}

static void what_a_browser_has_is_not_sent_again(void **state)
{
    const struct got *got = get(*state, "/favicon.svg", "", true);
    char line[128], *at = strstr((char *)(uintptr_t)got->fields, "ETag: ");
    assert_non_null(at);
    snprintf(line, sizeof line, "If-None-Match: \"x\", %.*s\r\n", (int)strcspn(at + 6, "\r"),
             at + 6);
    assert_int_equal(get(*state, "/favicon.svg", line, true)->reply.status, 304);
    assert_int_equal(get(*state, "/assets/main-1f.js", line, true)->reply.status, 200);
}

static void every_page_of_the_console_is_index_html(void **state)
{
    static const char *const pages[] = {"/",           "/gateways/7", "/index.html", "/.secret",
                                        "/odd%20name", "/apiary",     "/assets"};
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        const struct got *got = get(*state, pages[i], "", false);
        assert_int_equal(got->reply.status, 200);
        assert_true(is(got, "<!doctype html>"));
        assert_true(has(got, "Cache-Control: no-store\r\n"));
    }
    /* But no file of another build, nor what a link points to. */
    assert_int_equal(get(*state, "/assets/main-0a.js", "", true)->reply.status, 404);
    assert_int_equal(get(*state, "/assets/passwd", "", true)->reply.status, 404);
    assert_false(console_files_has(amm_view_str("/api/v1/gateways")));
    assert_false(console_files_has(amm_view_str("/api")));
    assert_false(console_files_has(amm_view_str("/metrics")));
    assert_true(console_files_has(amm_view_str("/apiary")));
}

static void a_page_may_do_little(void **state)
{
    const struct got *got = get(*state, "/", "", true);
    static const char *const lines[] = {
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;",
        "form-action 'self' https://*.gw.example:8444; frame-ancestors 'none'; base-uri 'none'; "
        "require-trusted-types-for 'script'; trusted-types",
        "Cross-Origin-Opener-Policy: same-origin\r\n",
        "Cross-Origin-Resource-Policy: same-origin\r\n",
        "X-Content-Type-Options: nosniff\r\n",
        "Referrer-Policy: no-referrer\r\n",
        "Permissions-Policy: ",
        "Strict-Transport-Security: ",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (!has(got, lines[i])) {
            fail_msg("%s\n%s", lines[i], (const char *)got->fields);
        }
    }
    assert_false(has(got, "unsafe"));
    assert_false(has(get(*state, "/", "", false), "Strict-Transport-Security"));
}

static void without_files_a_page_says_how_they_are_made(void **state)
{
    char error[300] = "";
    (void)state;
    assert_null(console_files_load("/nonexistent", "", error, sizeof error));
    assert_non_null(strstr(error, "/nonexistent"));
    const struct got *got = get(NULL, "/", "", false);
    assert_int_equal(got->reply.status, 503);
    assert_non_null(strstr((const char *)got->reply.body.data, "./amm build"));
    assert_true(has(got, "default-src 'none'"));
    char path[128];
    snprintf(path, sizeof path, "%s/index.html", folder);
    unlink(path);
    assert_null(load(error, sizeof error));
    assert_non_null(strstr(error, "index.html"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_served_as_what_they_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_browser_has_is_not_sent_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_page_of_the_console_is_index_html, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_page_may_do_little, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_files_a_page_says_how_they_are_made, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
