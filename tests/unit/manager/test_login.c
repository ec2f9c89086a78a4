/* Logging in, cookies, tokens, and who may manage whom. */
#include "api_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SAME_ORIGIN                                                                                \
    "X-AMM-Request: 1\r\nOrigin: https://console.example\r\nSec-Fetch-Site: same-origin\r\n"

static int open_world(void **state)
{
    *state = api_world_new();
    return 0;
}

static int close_world(void **state)
{
    api_world_free(*state);
    return 0;
}

static struct caller with_cookie(const char *cookie)
{
    return (struct caller){.cookie = cookie};
}

static void a_login_is_a_cookie_that_scripts_and_other_sites_cannot_use(void **state)
{
    struct api_world *w = *state;
    make_user(w, "anna", 1, ROLE_VIEWER, 1, 0);
    struct caller anna = with_cookie(log_in(w, "anna"));
    const char *cookie = strstr(w->answer.headers, "Set-Cookie: __Host-amm=");
    assert_non_null(cookie);
    assert_non_null(strstr(cookie, "; Path=/"));
    assert_non_null(strstr(cookie, "; HttpOnly"));
    assert_non_null(strstr(cookie, "; SameSite=Strict"));
    assert_non_null(strstr(cookie, "; Secure"));
    assert_null(strstr(cookie, "Domain"));
    assert_int_equal(call(w, &anna, "GET", "/api/v1/me", NULL), 200);
    assert_string_equal(member(w, "name"), "anna");
    assert_int_equal(call(w, &anna, "POST", "/api/v1/logout", NULL), 204);
    assert_non_null(strstr(w->answer.headers, "Max-Age=0"));
    assert_int_equal(call(w, &anna, "GET", "/api/v1/me", NULL), 401);
}

static void each_login_is_a_new_secret(void **state)
{
    struct api_world *w = *state;
    make_user(w, "anna", 1, ROLE_VIEWER, 1, 0);
    const char *first = log_in(w, "anna");
    /* A secret that was planted before is not taken over. */
    struct caller planted = {.cookie = "planted", .headers = "X-AMM-Request: 1\r\n"};
    assert_int_equal(call(w, &planted, "POST", "/api/v1/login",
                          "{\"user\":\"anna\",\"password\":\"" PASSWORD "\"}"),
                     200);
    assert_null(strstr(w->answer.headers, "planted"));
    assert_null(strstr(w->answer.headers, first));
}

static void wrong_names_and_passwords_look_alike(void **state)
{
    struct api_world *w = *state;
    char right[512], wrong[512];
    int64_t id = make_user(w, "anna", 1, ROLE_VIEWER, 1, 0);
    assert_int_equal(call(w, &nobody, "POST", "/api/v1/login",
                          "{\"user\":\"anna\",\"password\":\"wrong password\"}"),
                     401);
    char *text = json_dumps(w->answer.body, JSON_SORT_KEYS);
    snprintf(right, sizeof right, "%s", text);
    free(text);
    static const char *const others[] = {"nobody", "anna@nowhere", "anna@main@main",
                                         "@",      "Anna",         "anna' OR 1=1 --"};
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
        char body[128];
        struct caller from = {.network = (uint8_t)(10 + i)};
        snprintf(body, sizeof body, "{\"user\":\"%s\",\"password\":\"" PASSWORD "\"}", others[i]);
        assert_int_equal(call(w, &from, "POST", "/api/v1/login", body), 401);
        text = json_dumps(w->answer.body, JSON_SORT_KEYS);
        snprintf(wrong, sizeof wrong, "%s", text);
        free(text);
        assert_string_equal(right, wrong);
    }
    char path[64];
    snprintf(path, sizeof path, "/api/v1/users/%lld", (long long)id);
    assert_int_equal(call(w, &root, "PATCH", path, "{\"disabled\":true}"), 200);
    struct caller elsewhere = {.network = 30};
    assert_int_equal(call(w, &elsewhere, "POST", "/api/v1/login",
                          "{\"user\":\"anna\",\"password\":\"" PASSWORD "\"}"),
                     401);
}

static void guessing_is_slowed_down_but_does_not_lock_out_who_is_known(void **state)
{
    static const char guess[] = "{\"user\":\"anna\",\"password\":\"wrong password\"}";
    struct api_world *w = *state;
    make_user(w, "anna", 1, ROLE_VIEWER, 1, 0);
    log_in(w, "anna"); /* from network 0 */
    struct caller guesser = {.network = 9};
    int status = 0;
    for (unsigned i = 0; i < 6 && status != 429; i++) {
        status = call(w, &guesser, "POST", "/api/v1/login", guess);
    }
    assert_int_equal(status, 429);
    assert_non_null(strstr(w->answer.headers, "Retry-After: "));
    /* An address that a header claims changes nothing. */
    guesser.headers = "X-Forwarded-For: 10.1.1.1\r\nForwarded: for=10.1.1.2\r\n";
    assert_int_equal(call(w, &guesser, "POST", "/api/v1/login", guess), 429);
    /* From everywhere together: the account closes for networks that it is not known from. */
    for (unsigned i = 0; i < 60; i++) {
        struct caller from = {.network = (uint8_t)(100 + i)};
        status = call(w, &from, "POST", "/api/v1/login", guess);
        if (status == 429) {
            break;
        }
    }
    assert_int_equal(status, 429);
    log_in(w, "anna");
}

static void a_network_that_tries_many_names_is_slowed_down(void **state)
{
    struct api_world *w = *state;
    w->config.login_rate = 5;
    int status = 0;
    for (unsigned i = 0; i < 7 && status != 429; i++) {
        char body[64];
        snprintf(body, sizeof body, "{\"user\":\"user-%u\",\"password\":\"x\"}", i);
        status = call(w, &nobody, "POST", "/api/v1/login", body);
    }
    assert_int_equal(status, 429);
}

static void other_sites_are_refused(void **state)
{
    static const char *const foreign[] = {
        "",
        "X-AMM-Request: 1\r\nOrigin: https://evil.example\r\n",
        "X-AMM-Request: 1\r\nOrigin: null\r\n",
        "X-AMM-Request: 1\r\nOrigin: https://console.example.evil.example\r\n",
        "X-AMM-Request: 1\r\nOrigin: https://console.example:444\r\n",
        "X-AMM-Request: 1\r\nSec-Fetch-Site: cross-site\r\n",
        "X-AMM-Request: 1\r\nSec-Fetch-Site: same-site\r\n",
        "X-AMM-Request: 1\r\nSec-Fetch-Site: none\r\n",
        "Origin: https://console.example\r\nSec-Fetch-Site: same-origin\r\n",
    };
    struct api_world *w = *state;
    make_user(w, "anna", 1, ROLE_SYSTEM_ADMIN, 0, 0);
    struct caller anna = with_cookie(log_in(w, "anna"));
    for (unsigned i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        anna.headers = foreign[i];
        assert_int_equal(call(w, &anna, "POST", "/api/v1/tenants", "{\"slug\":\"evil\"}"), 403);
        assert_int_equal(call(w, &anna, "POST", "/api/v1/logout", NULL), 403);
    }
    /* Reading, too, from a page of a gateway on the same site. */
    anna.headers = "Sec-Fetch-Site: same-site\r\n";
    assert_int_equal(call(w, &anna, "GET", "/api/v1/users", NULL), 403);
    anna.headers = SAME_ORIGIN;
    assert_int_equal(call(w, &anna, "POST", "/api/v1/tenants", "{\"slug\":\"good\"}"), 201);
    /* Logging somebody in from elsewhere is refused as well. */
    struct caller evil = {.headers = "Origin: https://evil.example\r\n"};
    assert_int_equal(call(w, &evil, "POST", "/api/v1/login",
                          "{\"user\":\"anna\",\"password\":\"" PASSWORD "\"}"),
                     403);
}

static void bodies_are_json_or_refused(void **state)
{
    struct api_world *w = *state;
    assert_int_equal(call(w, &root, "POST", "/api/v1/tenants", "slug=evil"), 400);
    assert_int_equal(call(w, &root, "POST", "/api/v1/tenants", "[]"), 400);
    assert_int_equal(call(w, &root, "POST", "/api/v1/tenants", "{\"slug\":\"a\",\"slug\":\"b\"}"),
                     400);
    assert_int_equal(call(w, &root, "POST", "/api/v1/tenants", "{\"slug\":\"a\",\"more\":1}"), 400);
    assert_string_equal(member(w, "field"), "more");
    assert_int_equal(call(w, &root, "POST", "/api/v1/tenants", "{}"), 400);
    assert_string_equal(member(w, "field"), "slug");
    assert_int_equal(call(w, &root, "POST", "/api/v1/tenants", "{\"slug\":7}"), 400);
    assert_int_equal(call(w, &root, "POST", "/api/v1/tenants", "{\"slug\":\"a\\u0000b\"}"), 400);
    assert_int_equal(
        call(w, &root, "POST", "/api/v1/tenants", "{\"slug\":\"a\",\"title\":\"\\u001b[31m\"}"),
        400);
    assert_int_equal(call(w, &root, "GET", "/api/v1/users?limit=0", NULL), 400);
    assert_string_equal(member(w, "field"), "limit");
    assert_int_equal(call(w, &root, "GET", "/api/v1/users?limit=x", NULL), 400);
    assert_int_equal(call(w, &root, "GET", "/api/v1/users?strange=1", NULL), 400);
    assert_int_equal(call(w, &root, "GET", "/api/v1/users?after=%00", NULL), 400);
    assert_int_equal(call(w, &root, "GET", "/api/v1/users?tenant=-1", NULL), 400);
    assert_int_equal(call(w, &root, "GET", "/api/v1/users/00", NULL), 404);
    assert_int_equal(call(w, &root, "GET", "/api/v1/users/1x", NULL), 404);
    assert_int_equal(call(w, &root, "GET", "/api/v1/users/99999999999999999999", NULL), 404);
}

static void a_one_time_password_must_be_changed_first(void **state)
{
    struct api_world *w = *state;
    char body[256], once[64], path[64];
    assert_int_equal(call(w, &root, "POST", "/api/v1/users", "{\"name\":\"bert\"}"), 201);
    snprintf(once, sizeof once, "%s", member(w, "password"));
    snprintf(path, sizeof path, "/api/v1/users/%s/roles", member(w, "id"));
    assert_true(strlen(once) >= 16);
    assert_int_equal(call(w, &root, "POST", path, "{\"role\":\"system-admin\"}"), 201);
    assert_string_equal(member(w, "password"), ""); /* shown once */
    snprintf(body, sizeof body, "{\"user\":\"bert\",\"password\":\"%s\"}", once);
    assert_int_equal(call(w, &nobody, "POST", "/api/v1/login", body), 200);
    char secret[64];
    const char *at = strstr(w->answer.headers, "amm=") + 4;
    snprintf(secret, sizeof secret, "%.*s", (int)strcspn(at, ";"), at);
    struct caller bert = with_cookie(secret);
    assert_int_equal(call(w, &bert, "GET", "/api/v1/users", NULL), 403);
    assert_string_equal(member(w, "error"), "password-change-needed");
    assert_int_equal(call(w, &bert, "GET", "/api/v1/me", NULL), 200);
    snprintf(body, sizeof body, "{\"old\":\"wrong\",\"new\":\"another password\"}");
    assert_int_equal(call(w, &bert, "POST", "/api/v1/me/password", body), 403);
    snprintf(body, sizeof body, "{\"old\":\"%s\",\"new\":\"%s\"}", once, once);
    assert_int_equal(call(w, &bert, "POST", "/api/v1/me/password", body), 400);
    snprintf(body, sizeof body, "{\"old\":\"%s\",\"new\":\"aaaaaaaaaaaa\"}", once);
    assert_int_equal(call(w, &bert, "POST", "/api/v1/me/password", body), 400);
    snprintf(body, sizeof body, "{\"old\":\"%s\",\"new\":\"another password\"}", once);
    assert_int_equal(call(w, &bert, "POST", "/api/v1/me/password", body), 204);
    assert_int_equal(call(w, &bert, "GET", "/api/v1/users", NULL), 200);
    snprintf(body, sizeof body, "{\"user\":\"bert\",\"password\":\"%s\"}", once);
    assert_int_equal(call(w, &nobody, "POST", "/api/v1/login", body), 401);
}

static void logins_end(void **state)
{
    struct api_world *w = *state;
    char path[64];
    int64_t id = make_user(w, "anna", 1, ROLE_SYSTEM_ADMIN, 0, 0);
    make_user(w, "other", 1, ROLE_SYSTEM_ADMIN, 0, 0);
    struct caller first = with_cookie(log_in(w, "anna"));
    struct caller second = with_cookie(log_in(w, "anna"));
    /* one's own password: the others go */
    assert_int_equal(call(w, &second, "POST", "/api/v1/me/password",
                          "{\"old\":\"" PASSWORD "\",\"new\":\"another password\"}"),
                     204);
    assert_int_equal(call(w, &first, "GET", "/api/v1/me", NULL), 401);
    assert_int_equal(call(w, &second, "GET", "/api/v1/me", NULL), 200);
    /* disabled: all go, and come back as nobody */
    snprintf(path, sizeof path, "/api/v1/users/%lld", (long long)id);
    assert_int_equal(call(w, &root, "PATCH", path, "{\"disabled\":true}"), 200);
    assert_int_equal(call(w, &second, "GET", "/api/v1/me", NULL), 401);
    assert_int_equal(call(w, &root, "PATCH", path, "{\"disabled\":false}"), 200);
    assert_int_equal(call(w, &second, "GET", "/api/v1/me", NULL), 401);
    /* idle, and too old */
    struct caller third = with_cookie(log_in(w, "other"));
    assert_int_equal(call(w, &third, "GET", "/api/v1/me", NULL), 200);
    w->config.login_idle = 0;
    assert_int_equal(call(w, &third, "GET", "/api/v1/me", NULL), 401);
    w->config.login_idle = 1800;
    w->config.login_life = 0;
    struct caller fourth = with_cookie(log_in(w, "other"));
    assert_int_equal(call(w, &fourth, "GET", "/api/v1/me", NULL), 401);
}

static void disable(struct manager *m, void *context)
{
    struct user *user = directory_user(m->directory, *(int64_t *)context);
    assert_int_equal(directory_user_change(m, user, "", true), AMM_STORE_OK);
}

static void rights_that_go_while_a_request_waits_are_gone(void **state)
{
    struct api_world *w = *state;
    int64_t id = make_user(w, "anna", 1, ROLE_VIEWER, 1, 0);
    struct caller anna = with_cookie(log_in(w, "anna"));
    call_begin(w, &anna, "POST", "/api/v1/me/password",
               "{\"old\":\"" PASSWORD "\",\"new\":\"another password\"}");
    core_step(&w->m, true); /* the passwords are with a worker now */
    assert_false(w->answer.is_there);
    assert_true(core_unit(&w->m, disable, &id));
    assert_int_equal(call_end(w), 401);
}

static void one_ends_one_s_own_logins_only(void **state)
{
    struct api_world *w = *state;
    char path[64];
    make_user(w, "anna", 1, ROLE_SYSTEM_ADMIN, 0, 0);
    make_user(w, "bert", 1, ROLE_VIEWER, 1, 0);
    struct caller anna = with_cookie(log_in(w, "anna"));
    struct caller bert = with_cookie(log_in(w, "bert"));
    int64_t of_bert = directory_login_by_secret(w->m.directory, bert.cookie)->id;
    snprintf(path, sizeof path, "/api/v1/logins/%lld", (long long)of_bert);
    assert_int_equal(call(w, &anna, "DELETE", path, NULL), 404);
    assert_int_equal(call(w, &bert, "GET", "/api/v1/logins", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(w->answer.body, "items")), 1);
    assert_int_equal(call(w, &bert, "DELETE", path, NULL), 204);
    assert_int_equal(call(w, &bert, "GET", "/api/v1/me", NULL), 401);
}

static void the_oldest_of_too_many_logins_ends(void **state)
{
    struct api_world *w = *state;
    make_user(w, "anna", 1, ROLE_VIEWER, 1, 0);
    char first[SECRET_TEXT];
    snprintf(first, sizeof first, "%s", log_in(w, "anna"));
    for (unsigned i = 0; i < LOGINS_OF_USER; i++) {
        log_in(w, "anna");
    }
    struct caller oldest = with_cookie(first);
    assert_int_equal(call(w, &oldest, "GET", "/api/v1/me", NULL), 401);
    assert_int_equal(directory_logins(w->m.directory), LOGINS_OF_USER);
}

static void a_role_taken_away_is_gone_at_once(void **state)
{
    struct api_world *w = *state;
    char path[96];
    int64_t id = make_user(w, "anna", 1, ROLE_TENANT_ADMIN, 1, 0);
    struct caller anna = with_cookie(log_in(w, "anna"));
    assert_int_equal(call(w, &anna, "GET", "/api/v1/users", NULL), 200);
    snprintf(path, sizeof path, "/api/v1/users/%lld/roles/1", (long long)id);
    assert_int_equal(call(w, &root, "DELETE", path, NULL), 204);
    assert_int_equal(call(w, &anna, "GET", "/api/v1/users", NULL), 403);
}

/* ---- tokens ---- */

static const char *make_token(struct api_world *w, const struct caller *caller, const char *body)
{
    static char tokens[4][SECRET_TEXT];
    static unsigned turn;
    char *token = tokens[turn++ % 4];
    assert_int_equal(call(w, caller, "POST", "/api/v1/tokens", body), 201);
    snprintf(token, SECRET_TEXT, "%s", member(w, "token"));
    return token;
}

static void a_token_does_what_user_and_scope_allow(void **state)
{
    struct api_world *w = *state;
    char path[64];
    int64_t other = make_tenant(w, "other");
    make_user(w, "anna", 1, ROLE_SYSTEM_ADMIN, 0, 0);
    struct caller anna = with_cookie(log_in(w, "anna"));
    struct caller viewer = {
        .bearer = make_token(w, &anna, "{\"name\":\"v\",\"role\":\"viewer\",\"tenant\":\"1\"}")};
    snprintf(path, sizeof path, "/api/v1/tenants/%lld", (long long)other);
    assert_int_equal(call(w, &anna, "GET", path, NULL), 200);
    assert_int_equal(call(w, &viewer, "GET", path, NULL), 404);
    assert_int_equal(call(w, &viewer, "GET", "/api/v1/tenants/1", NULL), 200);
    assert_int_equal(call(w, &viewer, "POST", "/api/v1/groups", "{\"name\":\"x\"}"), 403);
    assert_int_equal(call(w, &viewer, "GET", "/api/v1/users", NULL), 403);
    /* neither header nor origin is asked of a token, and it makes no others */
    struct caller all = {
        .bearer = make_token(w, &anna, "{\"name\":\"a\",\"role\":\"system-admin\",\"days\":0}")};
    assert_int_equal(call(w, &all, "POST", "/api/v1/groups", "{\"name\":\"x\"}"), 201);
    assert_int_equal(
        call(w, &all, "POST", "/api/v1/tokens", "{\"name\":\"b\",\"role\":\"viewer\"}"), 403);
    assert_int_equal(call(w, &all, "POST", "/api/v1/me/password",
                          "{\"old\":\"" PASSWORD "\",\"new\":\"another password\"}"),
                     403);
    /* a group without its tenant must not become the whole server */
    assert_int_equal(call(w, &anna, "POST", "/api/v1/tokens",
                          "{\"name\":\"c\",\"role\":\"viewer\",\"group\":\"1\"}"),
                     400);
    assert_string_equal(member(w, "field"), "group");
    /* the name is its own once only */
    assert_int_equal(
        call(w, &anna, "POST", "/api/v1/tokens", "{\"name\":\"a\",\"role\":\"viewer\"}"), 409);
}

static void tokens_end(void **state)
{
    struct api_world *w = *state;
    char path[64];
    int64_t id = make_user(w, "anna", 1, ROLE_OPERATOR, 1, 0);
    make_user(w, "chief", 1, ROLE_SYSTEM_ADMIN, 0, 0);
    struct caller anna = with_cookie(log_in(w, "anna"));
    struct caller program = {.bearer =
                                 make_token(w, &anna, "{\"name\":\"t\",\"role\":\"viewer\"}")};
    struct token *token = directory_token_by_secret(w->m.directory, program.bearer);
    assert_int_equal(call(w, &program, "GET", "/api/v1/me", NULL), 200);
    token->expires_at = w->m.now.wall - 30; /* clocks may differ by a minute */
    assert_int_equal(call(w, &program, "GET", "/api/v1/me", NULL), 200);
    token->expires_at = w->m.now.wall - 90;
    assert_int_equal(call(w, &program, "GET", "/api/v1/me", NULL), 401);
    token->expires_at = 0;
    snprintf(path, sizeof path, "/api/v1/users/%lld", (long long)id);
    assert_int_equal(call(w, &root, "PATCH", path, "{\"disabled\":true}"), 200);
    assert_int_equal(call(w, &program, "GET", "/api/v1/me", NULL), 401);
    assert_int_equal(call(w, &root, "PATCH", path, "{\"disabled\":false}"), 200);
    assert_int_equal(call(w, &program, "GET", "/api/v1/me", NULL), 200);
    snprintf(path, sizeof path, "/api/v1/tokens/%lld", (long long)token->id);
    struct caller stranger = with_cookie(log_in(w, "anna"));
    assert_int_equal(call(w, &stranger, "DELETE", path, NULL), 204);
    assert_int_equal(call(w, &program, "GET", "/api/v1/me", NULL), 401);
}

static void tokens_of_others_are_not_there(void **state)
{
    struct api_world *w = *state;
    char path[64];
    make_user(w, "anna", 1, ROLE_OPERATOR, 1, 0);
    make_user(w, "bert", 1, ROLE_OPERATOR, 1, 0);
    make_user(w, "chief", 1, ROLE_TENANT_ADMIN, 1, 0);
    struct caller anna = with_cookie(log_in(w, "anna"));
    struct caller bert = with_cookie(log_in(w, "bert"));
    struct caller chief = with_cookie(log_in(w, "chief"));
    make_token(w, &anna, "{\"name\":\"t\",\"role\":\"viewer\"}");
    snprintf(path, sizeof path, "/api/v1/tokens/%s", member(w, "id"));
    assert_int_equal(call(w, &bert, "GET", "/api/v1/tokens", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(w->answer.body, "items")), 0);
    assert_int_equal(call(w, &bert, "DELETE", path, NULL), 404);
    assert_int_equal(call(w, &chief, "GET", "/api/v1/tokens", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(w->answer.body, "items")), 1);
    assert_string_equal(member(w, "token"), "");
    assert_int_equal(call(w, &chief, "DELETE", path, NULL), 204);
}

/* A system administrator may have his home in a tenant: its administrators have no hand in that. */
static void tokens_of_who_has_more_rights_are_not_there(void **state)
{
    struct api_world *w = *state;
    char path[64];
    make_user(w, "anna", 1, ROLE_SYSTEM_ADMIN, 0, 0);
    make_user(w, "chief", 1, ROLE_TENANT_ADMIN, 1, 0);
    struct caller anna = with_cookie(log_in(w, "anna"));
    struct caller chief = with_cookie(log_in(w, "chief"));
    make_token(w, &anna, "{\"name\":\"t\",\"role\":\"viewer\"}");
    snprintf(path, sizeof path, "/api/v1/tokens/%s", member(w, "id"));
    assert_int_equal(call(w, &chief, "GET", "/api/v1/tokens", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(w->answer.body, "items")), 0);
    assert_int_equal(call(w, &chief, "DELETE", path, NULL), 404);
    assert_int_equal(call(w, &anna, "DELETE", path, NULL), 204);
}

static void wrong_tokens_are_slowed_down(void **state)
{
    struct api_world *w = *state;
    struct caller wrong = {.bearer = "amm_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    int status = 0;
    for (unsigned i = 0; i < 40 && status != 429; i++) {
        status = call(w, &wrong, "GET", "/api/v1/me", NULL);
        assert_true(status == 401 || status == 429);
    }
    assert_int_equal(status, 429);
}

/* ---- nobody gets above himself ---- */

static void nobody_manages_who_has_more_rights(void **state)
{
    struct api_world *w = *state;
    char path[96];
    int64_t chief = make_user(w, "chief", 1, ROLE_SYSTEM_ADMIN, 0, 0);
    int64_t anna = make_user(w, "anna", 1, ROLE_TENANT_ADMIN, 1, 0);
    struct caller as_anna = with_cookie(log_in(w, "anna"));
    snprintf(path, sizeof path, "/api/v1/users/%lld/password", (long long)chief);
    assert_int_equal(call(w, &as_anna, "POST", path, "{}"), 403);
    snprintf(path, sizeof path, "/api/v1/users/%lld", (long long)chief);
    assert_int_equal(call(w, &as_anna, "DELETE", path, NULL), 403);
    assert_int_equal(call(w, &as_anna, "PATCH", path, "{\"disabled\":true}"), 403);
    snprintf(path, sizeof path, "/api/v1/users/%lld/roles", (long long)anna);
    assert_int_equal(call(w, &as_anna, "POST", path, "{\"role\":\"system-admin\"}"), 403);
    assert_int_equal(call(w, &as_anna, "POST", path, "{\"role\":\"viewer\"}"), 403); /* of all */
    assert_int_equal(call(w, &as_anna, "POST", path, "{\"role\":\"viewer\",\"tenant\":\"1\"}"),
                     201);
    assert_int_equal(call(w, &as_anna, "POST", path, "{\"role\":\"viewer\",\"tenant\":\"77\"}"),
                     404);
    assert_int_equal(call(w, &root, "POST", path, "{\"role\":\"system-admin\",\"tenant\":\"1\"}"),
                     400);
    snprintf(path, sizeof path, "/api/v1/users/%lld", (long long)anna);
    assert_int_equal(call(w, &as_anna, "DELETE", path, NULL), 409); /* oneself */
    snprintf(path, sizeof path, "/api/v1/users/%lld", (long long)chief);
    assert_int_equal(call(w, &root, "DELETE", path, NULL), 409); /* the last one */
    assert_non_null(directory_user(w->m.directory, chief));      /* rolled back in memory, too */
    assert_int_equal(call(w, &root, "PATCH", path, "{\"disabled\":true}"), 409);
    assert_false(directory_user(w->m.directory, chief)->disabled);
}

static void other_tenants_are_not_there(void **state)
{
    struct api_world *w = *state;
    char path[96], body[128];
    int64_t a = make_tenant(w, "a"), b = make_tenant(w, "b");
    int64_t group_b = make_group(w, b, 0, "secret-b");
    int64_t user_b = make_user(w, "bert", b, ROLE_TENANT_ADMIN, b, 0);
    make_user(w, "anna", a, ROLE_TENANT_ADMIN, a, 0);
    struct caller anna = with_cookie(log_in(w, "anna@a"));
    snprintf(path, sizeof path, "/api/v1/users/%lld", (long long)user_b);
    assert_int_equal(call(w, &anna, "GET", path, NULL), 404);
    assert_int_equal(call(w, &anna, "DELETE", path, NULL), 404);
    snprintf(path, sizeof path, "/api/v1/groups/%lld", (long long)group_b);
    assert_int_equal(call(w, &anna, "GET", path, NULL), 404);
    snprintf(body, sizeof body, "{\"name\":\"x\",\"parent\":\"%lld\"}", (long long)group_b);
    assert_int_equal(call(w, &anna, "POST", "/api/v1/groups", body), 404);
    snprintf(body, sizeof body, "{\"name\":\"x\",\"tenant\":\"%lld\"}", (long long)b);
    assert_int_equal(call(w, &anna, "POST", "/api/v1/groups", body), 404);
    assert_int_equal(call(w, &anna, "POST", "/api/v1/users", body), 404);
    int64_t own = directory_user_by_login_name(&w->m, "anna@a")->id;
    snprintf(path, sizeof path, "/api/v1/users/%lld/roles", (long long)own);
    snprintf(body, sizeof body, "{\"role\":\"viewer\",\"tenant\":\"%lld\"}", (long long)b);
    assert_int_equal(call(w, &anna, "POST", path, body), 404);
    snprintf(path, sizeof path, "/api/v1/audit?tenant=%lld", (long long)b);
    assert_int_equal(call(w, &anna, "GET", path, NULL), 404);
    static const char *const lists[] = {"/api/v1/users", "/api/v1/groups", "/api/v1/tenants",
                                        "/api/v1/audit", "/api/v1/tokens"};
    for (unsigned i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        assert_int_equal(call(w, &anna, "GET", lists[i], NULL), 200);
        char *text = json_dumps(w->answer.body, 0);
        assert_null(strstr(text, "bert"));
        assert_null(strstr(text, "secret-b"));
        assert_null(strstr(text, "\"b\""));
        free(text);
    }
    /* The same name in both is no conflict that tells. */
    assert_int_equal(call(w, &anna, "POST", "/api/v1/users", "{\"name\":\"bert\"}"), 201);
    assert_string_equal(member(w, "login_name"), "bert@a");
}

static void lists_have_pages(void **state)
{
    struct api_world *w = *state;
    char name[16], target[96] = "/api/v1/users?limit=7";
    unsigned n = 0;
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "user-%02u", i);
        make_user(w, name, 1, ROLE_NONE, 0, 0);
    }
    for (unsigned pages = 0; pages < 10; pages++) {
        assert_int_equal(call(w, &root, "GET", target, NULL), 200);
        size_t items = json_array_size(json_object_get(w->answer.body, "items"));
        assert_true(items <= 7);
        n += (unsigned)items;
        if (*member(w, "next") == '\0') {
            break;
        }
        snprintf(target, sizeof target, "/api/v1/users?limit=7&after=%s", member(w, "next"));
    }
    assert_int_equal(n, 20);
}

static void only_root_is_root_on_the_unix_socket(void **state)
{
    struct api_world *w = *state;
    assert_int_equal(call(w, &root, "GET", "/api/v1/me", NULL), 200);
    assert_string_equal(member(w, "name"), "root@local");
    struct caller daemon = {.uid = 1000};
    assert_int_equal(call(w, &daemon, "GET", "/api/v1/me", NULL), 401);
    assert_int_equal(call(w, &nobody, "GET", "/api/v1/me", NULL), 401);
    assert_non_null(strstr(w->answer.headers, "WWW-Authenticate: Bearer"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(a_login_is_a_cookie_that_scripts_and_other_sites_cannot_use),
        TEST(each_login_is_a_new_secret),
        TEST(wrong_names_and_passwords_look_alike),
        TEST(guessing_is_slowed_down_but_does_not_lock_out_who_is_known),
        TEST(a_network_that_tries_many_names_is_slowed_down),
        TEST(other_sites_are_refused),
        TEST(bodies_are_json_or_refused),
        TEST(a_one_time_password_must_be_changed_first),
        TEST(logins_end),
        TEST(rights_that_go_while_a_request_waits_are_gone),
        TEST(one_ends_one_s_own_logins_only),
        TEST(the_oldest_of_too_many_logins_ends),
        TEST(a_role_taken_away_is_gone_at_once),
        TEST(a_token_does_what_user_and_scope_allow),
        TEST(tokens_end),
        TEST(tokens_of_others_are_not_there),
        TEST(tokens_of_who_has_more_rights_are_not_there),
        TEST(wrong_tokens_are_slowed_down),
        TEST(nobody_manages_who_has_more_rights),
        TEST(other_tenants_are_not_there),
        TEST(lists_have_pages),
        TEST(only_root_is_root_on_the_unix_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
