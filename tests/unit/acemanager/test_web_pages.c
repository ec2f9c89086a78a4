/* The pages over a fake core, without sockets: requests go into web_serve, answers come out of
 * `send`. */
#include "web.h"

#include "io/clock.h"
#include "support/fake_core.h"

#include <openssl/evp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct ace_core core;
static struct ace_pages pages;

/* ---- the answer that came last ---- */

static struct {
    unsigned n;
    int status;
    char fields[WEB_FIELDS + 1], type[64];
    char *body;
} answer;

static void take_answer(struct ace_pages *of, struct amm_http_ref ref,
                        const struct amm_http_reply *reply)
{
    (void)of;
    (void)ref;
    answer.n++;
    answer.status = reply->status;
    snprintf(answer.fields, sizeof answer.fields, "%.*s", (int)reply->fields.len,
             reply->fields.len ? (const char *)reply->fields.data : "");
    snprintf(answer.type, sizeof answer.type, "%s", reply->content_type ? reply->content_type : "");
    free(answer.body);
    answer.body = strndup(reply->body.len ? (const char *)reply->body.data : "", reply->body.len);
}

static bool answer_has(const char *text)
{
    return strstr(answer.body, text) != NULL;
}

static bool answer_leads_to(const char *path)
{
    char field[128];
    snprintf(field, sizeof field, "Location: %s\r\n", path);
    return answer.status == 303 && strstr(answer.fields, field) != NULL;
}

/* ---- set-up ---- */

static const char user_password[] = "correct horse", viewer_password[] = "only looking";
static const char hash_form[] = "scrypt$1$1$1$AAAAAAAAAAAAAAAAAAAAAA$%s";

/* Cheap on purpose: the real one takes a quarter of a second. */
static void set_password(enum web_role role, const char *password)
{
    uint8_t key[32], salt[16] = {0};
    char text[64];
    assert_int_equal(EVP_PBE_scrypt(password, strlen(password), salt, 16, 2, 1, 1, 0, key, 32), 1);
    EVP_EncodeBlock((uint8_t *)text, key, 32);
    text[43] = '\0';
    for (char *at = text; *at; at++) {
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
    }
    snprintf(pages.accounts.at[role].hash, WEB_HASH, hash_form, text);
}

static int begin(void **state)
{
    (void)state;
    fake_core_init(&core, "/nonexistent");
    core.now = (struct amm_now){5000 * AMM_SECOND, 1795530067};
    fake_core_busy(&core, core.now.wall);
    core.n_listens = 2;
    core.listens[0] = (struct ace_listen){
        .address = {.ip = {192, 168, 13, 31}, .family = AMM_FAMILY_IPV4}, .link = "lan0"};
    core.listens[1] =
        (struct ace_listen){.address = {.ip = {10, 4, 37, 122}, .family = AMM_FAMILY_IPV4},
                            .link = "tun-amm",
                            .is_tunnel = true};
    memset(&pages, 0, sizeof pages);
    pages.core = &core;
    pages.random = amm_kernel_random();
    pages.send = take_answer;
    web_sessions_init(&pages.sessions, pages.random);
    set_password(WEB_USER, user_password);
    set_password(WEB_VIEWER, viewer_password);
    snprintf(pages.accounts.path, sizeof pages.accounts.path, "/nonexistent/accounts");
    pages.hasher = web_hasher_new(pages.random);
    return pages.hasher ? 0 : 1;
}

static int end(void **state)
{
    (void)state;
    web_hasher_free(pages.hasher);
    fake_core_deinit(&core);
    free(answer.body);
    answer.body = NULL;
    return 0;
}

/* ---- requests ---- */

struct request {
    const char *method, *path, *host, *cookie, *fields, *form;
    uint8_t local[4];
};

static void serve(const struct request *r)
{
    char head[2048];
    struct amm_http_request request;
    struct amm_http_error error;
    size_t used;
    const char *host = r->host ? r->host : "192.168.13.31:9443";
    snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s%sContent-Length: %zu\r\n\r\n",
             r->method, r->path, host, r->cookie ? "Cookie: " : "", r->cookie ? r->cookie : "",
             r->cookie ? "\r\n" : "", r->fields ? r->fields : "", r->form ? strlen(r->form) : 0);
    if (amm_http_request_parse(&request, amm_view_str(head), &used, &error) != AMM_HTTP_OK) {
        fail_msg("%s: %s", head, error.text);
    }
    struct amm_http_call call = {
        .request = &request,
        .body = amm_view_str(r->form ? r->form : ""),
        .remote = {.ip = {192, 168, 13, 100}, .port = 40000, .family = AMM_FAMILY_IPV4},
        .local = {.ip = {192, 168, 13, 31}, .port = 9443, .family = AMM_FAMILY_IPV4},
        .is_tls = true,
    };
    if (r->local[0]) {
        memcpy(call.local.ip, r->local, 4);
    }
    unsigned before = answer.n;
    web_serve(&pages, &call);
    while (answer.n == before) { /* a password is being hashed */
        struct pollfd ready = {.fd = web_hasher_fd(pages.hasher), .events = POLLIN};
        assert_int_equal(poll(&ready, 1, 60000), 1);
        web_serve_hashed(&pages);
    }
    assert_int_equal(answer.n, before + 1);
}

#define FORM                                                                                       \
    "Origin: https://192.168.13.31:9443\r\nContent-Type: application/x-www-form-urlencoded\r\n"

static void get(const char *path, const char *cookie)
{
    serve(&(struct request){.method = "GET", .path = path, .cookie = cookie});
}

static void post(const char *path, const char *cookie, const char *form)
{
    serve(&(struct request){
        .method = "POST", .path = path, .cookie = cookie, .fields = FORM, .form = form});
}

/* The value of a cookie that the last answer set; "" if it set none. */
static void cookie_set(const char *name, char *out, size_t room)
{
    char start[64];
    snprintf(start, sizeof start, "Set-Cookie: %s=", name);
    const char *at = strstr(answer.fields, start);
    at = at ? at + strlen(start) : "";
    snprintf(out, room, "%s=%.*s", name, (int)strcspn(at, ";\r"), at);
}

/* The token in the last page's forms. */
static void csrf_of_page(char out[WEB_TOKEN_TEXT])
{
    const char *at = strstr(answer.body, "name=\"csrf\" value=\"");
    assert_non_null(at);
    snprintf(out, WEB_TOKEN_TEXT, "%.43s", at + strlen("name=\"csrf\" value=\""));
}

struct login {
    char cookie[96];
    char csrf[WEB_TOKEN_TEXT];
};

static void try_login(const char *account, const char *password)
{
    char cookie[96], csrf[WEB_TOKEN_TEXT], form[512];
    get("/login", NULL);
    assert_int_equal(answer.status, 200);
    cookie_set(WEB_COOKIE_LOGIN, cookie, sizeof cookie);
    csrf_of_page(csrf);
    snprintf(form, sizeof form, "csrf=%s&account=%s&password=%s", csrf, account, password);
    post("/login", cookie, form);
}

static struct login log_in(enum web_role role)
{
    struct login login;
    try_login(web_role_name(role), role == WEB_USER ? "correct+horse" : "only%20looking");
    assert_true(answer_leads_to("/status"));
    assert_non_null(strstr(answer.fields, "; Path=/; Secure; HttpOnly; SameSite=Strict\r\n"));
    cookie_set(WEB_COOKIE, login.cookie, sizeof login.cookie);
    get("/status", login.cookie);
    assert_int_equal(answer.status, 200);
    csrf_of_page(login.csrf);
    return login;
}

static void post_as(const struct login *login, const char *path, const char *form)
{
    char text[1024];
    snprintf(text, sizeof text, "csrf=%s&%s", login->csrf, form);
    post(path, login->cookie, text);
}

/* ---- tests: who may what ---- */

static void nothing_without_a_login(void **state)
{
    (void)state;
    for (size_t i = 0; i < web_routes_count; i++) {
        const struct web_route *route = &web_routes[i];
        if (route->least == WEB_NOBODY) {
            continue;
        }
        if (route->change == WEB_READS) {
            get(route->path, NULL);
        } else {
            post(route->path, NULL, "csrf=x&typed=reset&p10034=1191");
        }
        assert_true(answer_leads_to("/login"));
        assert_string_equal(answer.body, "");
        get(route->path, WEB_COOKIE "=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        assert_int_not_equal(answer.status, 200);
    }
    assert_int_equal(core.sets + core.reboots + core.resets + core.activations + core.checkins, 0);
}

static void a_viewer_changes_nothing(void **state)
{
    (void)state;
    struct login viewer = log_in(WEB_VIEWER);
    unsigned told = core.told;
    for (size_t i = 0; i < web_routes_count; i++) {
        const struct web_route *route = &web_routes[i];
        if (route->least == WEB_USER) {
            if (route->change == WEB_READS) {
                get(route->path, viewer.cookie);
            } else {
                post_as(&viewer, route->path,
                        "typed=reset&p10034=1191&p60001=Enable&p1154=x&what=1");
            }
            assert_int_equal(answer.status, 403);
        } else if (route->change == WEB_READS && strcmp(route->path, "/login") != 0) {
            get(route->path, viewer.cookie);
            assert_true(answer.status == 200 || answer_leads_to("/status"));
            assert_false(answer_has("<input id=\"p"));
            assert_false(answer_has("<select"));
            assert_false(answer_has(">Apply<"));
            assert_false(answer_has(">Reboot<"));
        }
    }
    assert_int_equal(core.sets + core.reboots + core.resets + core.activations + core.checkins, 0);
    assert_int_equal(core.told, told);
}

static void every_page_is_there_for_the_user(void **state)
{
    (void)state;
    struct login user = log_in(WEB_USER);
    for (size_t i = 0; i < web_routes_count; i++) {
        if (web_routes[i].change != WEB_READS) {
            continue;
        }
        get(web_routes[i].path, user.cookie);
        assert_true(answer.status == 200 || answer_leads_to("/status"));
        static const char *const fields[] = {
            "Content-Security-Policy: default-src 'none'; script-src 'self'; ",
            "X-Content-Type-Options: nosniff\r\n", "X-Frame-Options: DENY\r\n",
            "Referrer-Policy: same-origin\r\n", "Cross-Origin-Resource-Policy: same-origin\r\n"};
        for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++) {
            assert_non_null(strstr(answer.fields, fields[k]));
        }
        assert_null(strstr(answer.fields, "unsafe"));
        if (strncmp(answer.type, "text/html", 9) == 0) {
            assert_non_null(strstr(answer.fields, "Cache-Control: no-store\r\n"));
            assert_false(answer_has("style=\""));
            assert_false(answer_has("{{"));
        }
    }
}

static void a_form_without_its_token_changes_nothing(void **state)
{
    (void)state;
    struct login user = log_in(WEB_USER), viewer = log_in(WEB_VIEWER);
    char form[256];
    for (size_t i = 0; i < web_routes_count; i++) {
        const struct web_route *route = &web_routes[i];
        if (route->change != WEB_CHANGES) {
            continue;
        }
        static const char fields[] = "typed=reset&p10034=1191&account=user&password=x";
        post(route->path, user.cookie, fields);
        assert_int_equal(answer.status, 403);
        snprintf(form, sizeof form, "csrf=&%s", fields);
        post(route->path, user.cookie, form);
        assert_int_equal(answer.status, 403);
        snprintf(form, sizeof form, "csrf=%s&%s", viewer.csrf, fields); /* another session's */
        post(route->path, user.cookie, form);
        assert_int_equal(answer.status, 403);
    }
    assert_int_equal(core.sets + core.reboots + core.resets + core.activations + core.checkins, 0);
    get("/status", user.cookie);
    assert_int_equal(answer.status, 200); /* not logged out either */
}

static void other_sites_change_nothing(void **state)
{
    (void)state;
    struct login user = log_in(WEB_USER);
    static const char *const bad[] = {
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Origin: null\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        "Origin: https://evil.example\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        FORM "Sec-Fetch-Site: cross-site\r\n",
    };
    char form[128];
    snprintf(form, sizeof form, "csrf=%s&typed=reset", user.csrf);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        serve(&(struct request){.method = "POST",
                                .path = "/admin/reboot",
                                .cookie = user.cookie,
                                .fields = bad[i],
                                .form = form});
        assert_int_equal(answer.status, 403);
    }
    serve(&(struct request){
        .method = "POST",
        .path = "/admin/reboot",
        .cookie = user.cookie,
        .fields = "Origin: https://192.168.13.31:9443\r\nContent-Type: text/plain\r\n",
        .form = form});
    assert_int_equal(answer.status, 415);
    serve(&(struct request){.method = "GET",
                            .path = "/status",
                            .cookie = user.cookie,
                            .fields = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"});
    assert_int_equal(answer.status, 403);
    assert_int_equal(core.reboots, 0);
}

static void names_and_methods_are_refused(void **state)
{
    (void)state;
    struct login user = log_in(WEB_USER);
    static const char *const names[] = {"evil.example:9443", "evil.example", "gw-1.lan:9443"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        serve(&(struct request){
            .method = "GET", .path = "/status", .host = names[i], .cookie = user.cookie});
        assert_int_equal(answer.status, 421);
        assert_false(answer_has("Bus 1047"));
        serve(&(struct request){.method = "GET", .path = "/login", .host = names[i]});
        assert_int_equal(answer.status, 421);
    }
    static const char *const methods[] = {"PUT", "DELETE", "OPTIONS", "PATCH"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        serve(&(struct request){.method = methods[i], .path = "/status", .cookie = user.cookie});
        assert_int_equal(answer.status, 405);
    }
    static const char *const paths[] = {"/status/",       "/Status",  "/%73tatus", "/assets/",
                                        "/assets/status", "/admin",   "/services", "/.git",
                                        "/cgi-bin/x",     "/status;x"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        get(paths[i], user.cookie);
        assert_int_equal(answer.status, 404);
    }
    get("/admin/reboot", user.cookie); /* looking does nothing */
    get("/logout", user.cookie);
    assert_int_equal(answer.status, 404);
    assert_int_equal(core.reboots, 0);
    struct amm_http_request request = {.method = amm_view_str("GET")};
    assert_int_equal(web_body_limit(&request), 0);
}

/* ---- tests: logging in ---- */

static void wrong_passwords_are_told_and_braked(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {{"user", "wrong"},
                                           {"viewer", "correct+horse"},
                                           {"root", "correct+horse"},
                                           {"User", "correct+horse"},
                                           {"user", "correct+horse+"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        try_login(wrong[i][0], wrong[i][1]);
        assert_int_equal(answer.status, 403);
        assert_true(answer_has("Account or password is wrong."));
        assert_false(answer_has("correct horse"));
        assert_null(strstr(answer.fields, WEB_COOKIE "="));
        assert_string_equal(core.last_event, "login-refused");
    }
    try_login("user", "correct+horse"); /* also the right one waits now */
    assert_int_equal(answer.status, 429);
    assert_non_null(strstr(answer.fields, "Retry-After: 1\r\n"));
    core.now.mono += 2 * AMM_SECOND;
    log_in(WEB_USER);
    assert_int_equal(pages.limit.wrong, 5);
}

static void a_login_form_of_somebody_else_is_refused(void **state)
{
    (void)state;
    char cookie[96], csrf[WEB_TOKEN_TEXT], form[256];
    get("/login", NULL);
    cookie_set(WEB_COOKIE_LOGIN, cookie, sizeof cookie);
    csrf_of_page(csrf);
    get("/login", NULL); /* another browser's cookie */
    cookie_set(WEB_COOKIE_LOGIN, cookie, sizeof cookie);
    snprintf(form, sizeof form, "csrf=%s&account=user&password=correct+horse", csrf);
    post("/login", cookie, form);
    assert_int_equal(answer.status, 403);
    post("/login", NULL, form);
    assert_int_equal(answer.status, 403);
    post("/login", WEB_COOKIE_LOGIN "=short", form);
    assert_int_equal(answer.status, 403);
    assert_int_equal(pages.limit.wrong, 0); /* no password was looked at */
}

static void a_session_is_new_with_each_login(void **state)
{
    (void)state;
    struct login first = log_in(WEB_USER), second = log_in(WEB_USER);
    assert_string_not_equal(first.cookie, second.cookie);
    assert_string_not_equal(first.csrf, second.csrf);
    post_as(&first, "/logout", "");
    assert_true(answer_leads_to("/login"));
    assert_non_null(strstr(answer.fields,
                           WEB_COOKIE "=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"));
    get("/status", first.cookie);
    assert_true(answer_leads_to("/login"));
    get("/status", second.cookie);
    assert_int_equal(answer.status, 200);
    get("/login", second.cookie);
    assert_true(answer_leads_to("/status"));
}

static void pages_that_refresh_do_not_keep_a_session(void **state)
{
    (void)state;
    struct login user = log_in(WEB_USER);
    fake_core_set(&core, AMM_MSCI_IDLE_TIME, "1");
    web_settle(&pages);
    for (int i = 0; i < 4; i++) {
        core.now.mono += 20 * AMM_SECOND;
        serve(&(struct request){.method = "GET",
                                .path = "/status",
                                .cookie = user.cookie,
                                .fields = "X-Refresh: 1\r\n"});
        assert_int_equal(answer.status, i < 3 ? 200 : 303);
    }
}

static void a_login_without_a_password_is_none(void **state)
{
    (void)state;
    pages.accounts.at[WEB_VIEWER].hash[0] = '\0';
    try_login("viewer", "");
    assert_int_equal(answer.status, 403);
    try_login("viewer", "x");
    assert_int_equal(answer.status, 403);
    snprintf(pages.accounts_error, sizeof pages.accounts_error, "page-accounts: not readable");
    get("/login", NULL);
    assert_true(answer_has("Nobody can log in: page-accounts: not readable."));
}

/* ---- tests: passwords ---- */

static void change_password(const struct login *login, const char *account, const char *current,
                            const char *new_password, const char *again)
{
    char form[512];
    snprintf(form, sizeof form, "account=%s&current=%s&new=%s&again=%s", account, current,
             new_password, again);
    post_as(login, "/admin/password", form);
}

static void passwords_are_changed_with_the_old_one(void **state)
{
    (void)state;
    struct login user = log_in(WEB_USER), other = log_in(WEB_USER), viewer = log_in(WEB_VIEWER);
    static const struct {
        const char *account, *current, *new_password, *again, *error;
    } bad[] = {
        {"user", "wrong", "new+password", "new+password", "This is not your password."},
        {"user", "correct+horse", "short", "short", "Too short"},
        {"user", "correct+horse", "new+password", "new+passwort", "Not the same"},
        {"user", "correct+horse", "password", "password", "among the first"},
        {"root", "correct+horse", "new+password", "new+password", "Something is missing"},
        {"viewer", "only+looking", "new+password", "new+password", "This is not your password."},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        change_password(&user, bad[i].account, bad[i].current, bad[i].new_password, bad[i].again);
        assert_int_equal(answer.status, 422);
        assert_true(answer_has(bad[i].error));
        assert_false(answer_has("new password\""));
    }
    change_password(&user, "user", "correct+horse", "new+password", "new+password");
    assert_int_equal(answer.status, 500); /* the disk cannot be written: the old one stays */
    assert_true(answer_has("The password was not changed"));
    char folder[] = "/tmp/amm-pages-XXXXXX";
    assert_non_null(mkdtemp(folder));
    snprintf(pages.accounts.path, sizeof pages.accounts.path, "%s/accounts", folder);
    change_password(&user, "user", "correct+horse", "new+password", "new+password");
    assert_true(answer_leads_to("/admin/password"));
    assert_string_equal(core.last_event, "password-changed");
    get("/status",
        other.cookie); /* other logins of the account end, this one and the viewer's stay */
    assert_true(answer_leads_to("/login"));
    get("/status", user.cookie);
    assert_int_equal(answer.status, 200);
    get("/status", viewer.cookie);
    assert_int_equal(answer.status, 200);
    try_login("user", "new+password");
    assert_true(answer_leads_to("/status"));
    try_login("user", "correct+horse");
    assert_int_equal(answer.status, 403);
    assert_int_equal(remove(pages.accounts.path), 0);
    assert_int_equal(remove(folder), 0);
}

/* ---- tests: settings ---- */

static void settings_are_applied_and_activated(void **state)
{
    (void)state;
    struct login user = log_in(WEB_USER);
    fake_core_set(&core, AMM_MSCI_TUNNEL, "Disable");
    post_as(&user, "/services/msci", "p60001=Enable&p10034=1192&p60003=600&p60008=0");
    assert_true(answer_leads_to("/services/msci"));
    assert_int_equal(core.sets, 1);
    assert_string_equal(core.by, "user");
    get("/services/msci", user.cookie);
    assert_true(answer_has("3 settings are saved."));
    assert_true(answer_has("AMM Management Tunnel Port: 1192 is saved, 1190 is in use."));
    assert_true(answer_has("AMM Management Tunnel: Enable is saved, Disable is in use."));
    assert_true(answer_has("<option value=\"1192\" selected>"));
    assert_true(answer_has("In use: 1190."));
    assert_true(answer_has(">Activate now<"));
    assert_string_equal(ace_parameter_text(&core, AMM_MSCI_CHECK_IN_INTERVAL), "600");
    get("/services/msci", user.cookie);
    assert_false(answer_has("settings are saved")); /* said once */
    post_as(&user, "/activate", "what=pending");
    assert_true(answer_leads_to("/services/msci"));
    assert_int_equal(core.activations, 1);
    get("/services/msci", user.cookie);
    assert_false(answer_has("is saved,"));
    post_as(&user, "/services/msci", "p60001=Enable&p10034=1192&p60003=600");
    assert_int_equal(core.sets, 1); /* nothing was changed */
}

static void refused_values_come_back_marked(void **state)
{
    (void)state;
    struct login user = log_in(WEB_USER);
    post_as(&user, "/services/msci", "p10034=1194&p60003=10&p60002=http%3A%2F%2Fx&p1154=New%00");
    assert_int_equal(answer.status, 422);
    assert_true(answer_has("1194 is no tunnel port. Allowed: 1190, 1191, 1192, 1193."));
    assert_true(answer_has("10 is no check-in interval. Allowed: 60 to 86400"));
    assert_true(answer_has("value=\"http://x\""));
    assert_true(answer_has("aria-invalid=\"true\""));
    assert_true(answer_has("Nothing was changed"));
    assert_int_equal(core.sets, 0);
    /* read-only ones and those of other pages are not taken from a form */
    post_as(&user, "/services/msci", "p60007=Enabled&p261=-10&p60005=evil.example&p1154=Bus+1047");
    assert_int_equal(core.sets, 0);
    core.objection_id = AMM_MSCI_DEVICE_NAME;
    snprintf(core.objection, sizeof core.objection, "1154: <b>taken</b>");
    post_as(&user, "/services/msci", "p1154=Other");
    assert_int_equal(answer.status, 422);
    assert_true(answer_has("&lt;b&gt;taken&lt;/b&gt;"));
    core.objection_id = 0;
    snprintf(core.objection, sizeof core.objection, "the disk is full");
    post_as(&user, "/services/msci", "p1154=Other");
    assert_int_equal(answer.status, 500);
    assert_true(answer_has("the disk is full"));
}

static void a_token_never_comes_back(void **state)
{
    (void)state;
    static const char token[] =
        "amm1.AQIDAAAAAAAAAAAAAAAAAA.BAUGAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    struct login user = log_in(WEB_USER);
    char form[256];
    snprintf(form, sizeof form, "p60009=%s&p10034=1194", token);
    post_as(&user, "/services/msci", form); /* refused because of the port */
    assert_int_equal(answer.status, 422);
    assert_false(answer_has(token));
    snprintf(form, sizeof form, "p60009=%s", token);
    post_as(&user, "/services/msci", form);
    assert_true(answer_leads_to("/services/msci"));
    assert_string_equal(ace_parameter_text(&core, AMM_MSCI_ENROLMENT_TOKEN), token);
    for (size_t i = 0; i < web_routes_count; i++) {
        if (web_routes[i].change == WEB_READS) {
            get(web_routes[i].path, user.cookie);
            assert_false(answer_has("AQIDAAAA"));
        }
    }
    get("/services/msci", user.cookie);
    assert_true(answer_has("set; it is not shown again"));
    post_as(&user, "/services/msci", "p60009=&p60003=700"); /* left empty: stays */
    assert_string_equal(ace_parameter_text(&core, AMM_MSCI_ENROLMENT_TOKEN), token);
    get("/admin/diagnostics/bundle", user.cookie);
    assert_string_equal(answer.type, "application/json");
    json_t *bundle = json_loads(answer.body, 0, NULL);
    assert_non_null(bundle);
    assert_true(json_is_true(
        json_object_get(json_object_get(json_object_get(bundle, "parameters"), "60009"), "set")));
    json_decref(bundle);
}

static void the_page_says_where_it_moves(void **state)
{
    (void)state;
    struct login user = log_in(WEB_USER);
    post_as(&user, "/services/msci", "p1172=9999");
    post_as(&user, "/activate", "");
    assert_int_equal(answer.status, 200);
    assert_true(answer_has("ACEmanager moves to port 9999."));
}

/* ---- tests: commands ---- */

static void reboot_and_reset_are_asked_for(void **state)
{
    (void)state;
    struct login user = log_in(WEB_USER);
    post_as(&user, "/admin/reboot", "");
    assert_int_equal(answer.status, 200);
    assert_true(answer_has("Rebooting"));
    assert_int_equal(core.reboots, 1);
    post_as(&user, "/admin/reset", "typed=Reset");
    assert_int_equal(answer.status, 422);
    post_as(&user, "/admin/reset", "");
    assert_int_equal(answer.status, 422);
    assert_int_equal(core.resets, 0);
    post_as(&user, "/admin/reset", "typed=reset");
    assert_int_equal(core.resets, 1);
    assert_false(core.forgot_identity);
    post_as(&user, "/admin/reset", "typed=reset&forget=yes");
    assert_int_equal(core.resets, 2);
    assert_true(core.forgot_identity);
    post_as(&user, "/checkin", "");
    assert_true(answer_leads_to("/status"));
    assert_int_equal(core.checkins, 1);
}

static void who_comes_through_the_tunnel_is_seen_and_can_be_ended(void **state)
{
    (void)state;
    struct login user = log_in(WEB_USER), viewer = log_in(WEB_VIEWER);
    char form[32];
    get("/status", user.cookie);
    assert_false(answer_has("is on this page"));
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        if (pages.sessions.at[i].role == WEB_VIEWER) {
            pages.sessions.at[i].in_tunnel = true;
            snprintf(form, sizeof form, "what=%u", pages.sessions.at[i].number);
        }
    }
    get("/wan", user.cookie);
    assert_true(answer_has("viewer is on this page from 192.168.13.100, through the tunnel"));
    assert_true(answer_has(">End remote session<"));
    post_as(&user, "/sessions/end", form);
    assert_true(answer_leads_to("/security"));
    get("/status", viewer.cookie);
    assert_true(answer_leads_to("/login"));
    post_as(&user, "/sessions/end", "what=1"); /* not one's own */
    get("/status", user.cookie);
    assert_int_equal(answer.status, 200);
    serve(&(struct request){
        .method = "GET", .path = "/status", .cookie = user.cookie, .local = {10, 4, 37, 122}});
    assert_true(answer_has("data-refresh=\"60\"")); /* through the tunnel every byte is paid for */
}

/* ---- tests: hostile values ---- */

static void what_a_network_says_is_text(void **state)
{
    (void)state;
    struct login user = log_in(WEB_USER);
    fake_core_hostile(&core);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < web_routes_count; i++) {
            if (web_routes[i].change == WEB_READS && !strstr(web_routes[i].path, "bundle")) {
                get(web_routes[i].path, user.cookie);
                assert_false(answer_has("<script>"));
                assert_false(answer_has("<img"));
                assert_false(answer_has("\"'>"));
                assert_int_not_equal(answer.status, 503);
            }
        }
        core.tunnel.state = ACE_TUNNEL_DOWN; /* other words of the same pages */
        core.checkin.state = ACE_CHECKIN_FAILING;
        core.clock.is_trusted = false;
    }
    get("/status", user.cookie);
    assert_true(answer_has("&lt;script&gt;alert(1)&lt;/script&gt;"));
    post_as(&user, "/services/msci", "p1154=%22%3E%3Cscript%3E&p60003=%3Cscript%3E");
    assert_int_equal(answer.status, 422);
    assert_false(answer_has("<script>"));
    try_login("%22%3E%3Cscript%3E", "x");
    assert_false(answer_has("<script>"));
}

static void bytes_that_are_no_text_are_shown_clean(void **state)
{
    (void)state;
    struct login user = log_in(WEB_USER);
    snprintf(core.tunnel.why, sizeof core.tunnel.why, "bad \xff\xfe bytes");
    core.tunnel.state = ACE_TUNNEL_DOWN;
    get("/status", user.cookie);
    assert_int_equal(answer.status, 200);
    assert_true(answer_has("bad __ bytes"));
}

static void files_are_served_and_kept(void **state)
{
    (void)state;
    get("/login", NULL);
    const char *at = strstr(answer.body, "/assets/acemanager-");
    assert_non_null(at);
    char path[64];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(at, "\""), at);
    get(path, NULL);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.fields, "immutable"));
    assert_non_null(strstr(answer.fields, "X-Content-Type-Options: nosniff"));
    assert_string_equal(answer.type, "text/css; charset=utf-8");
    post(path, NULL, "x=y");
    assert_int_equal(answer.status, 404);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(nothing_without_a_login),
        TEST(a_viewer_changes_nothing),
        TEST(every_page_is_there_for_the_user),
        TEST(a_form_without_its_token_changes_nothing),
        TEST(other_sites_change_nothing),
        TEST(names_and_methods_are_refused),
        TEST(wrong_passwords_are_told_and_braked),
        TEST(a_login_form_of_somebody_else_is_refused),
        TEST(a_session_is_new_with_each_login),
        TEST(pages_that_refresh_do_not_keep_a_session),
        TEST(a_login_without_a_password_is_none),
        TEST(passwords_are_changed_with_the_old_one),
        TEST(settings_are_applied_and_activated),
        TEST(refused_values_come_back_marked),
        TEST(a_token_never_comes_back),
        TEST(the_page_says_where_it_moves),
        TEST(reboot_and_reset_are_asked_for),
        TEST(who_comes_through_the_tunnel_is_seen_and_can_be_ended),
        TEST(what_a_network_says_is_text),
        TEST(bytes_that_are_no_text_are_shown_clean),
        TEST(files_are_served_and_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
