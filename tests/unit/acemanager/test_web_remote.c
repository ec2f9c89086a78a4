/* Operators who come through the server: web_remote.h, web_visits.h and what the pages show of
 * them, over a fake core. */
#include "web.h"

#include "io/clock.h"
#include "support/fake_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { WALL = 1795530067 };
static const uint64_t epoch = UINT64_C(0xa1b2c3d4e5f60718);

static struct ace_core core;
static struct ace_pages pages;
static struct amm_signer *signer;
static char folder[] = "/tmp/ace-remote-XXXXXX";

static struct {
    unsigned n;
    int status;
    char fields[WEB_FIELDS + 1], *body;
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
    free(answer.body);
    answer.body = strndup(reply->body.len ? (const char *)reply->body.data : "", reply->body.len);
}

/* ---- set-up ---- */

static void open_pages(void)
{
    memset(&pages, 0, sizeof pages);
    pages.core = &core;
    pages.random = amm_kernel_random();
    pages.send = take_answer;
    web_sessions_init(&pages.sessions, pages.random);
    web_remote_init(&pages);
}

static int begin(void **state)
{
    char pem[4096], error[128], path[64];
    (void)state;
    fake_core_init(&core, folder);
    core.now = (struct amm_now){5000 * AMM_SECOND, WALL};
    fake_core_busy(&core, WALL);
    core.tunnel.client.epoch = epoch;
    core.n_listens = 2;
    core.listens[0] = (struct ace_listen){
        .address = {.ip = {192, 168, 13, 31}, .family = AMM_FAMILY_IPV4}, .link = "lan0"};
    core.listens[1] =
        (struct ace_listen){.address = {.ip = {10, 4, 37, 122}, .family = AMM_FAMILY_IPV4},
                            .link = "tun-amm",
                            .is_tunnel = true};
    assert_true(amm_signature_key_new(pem, error, sizeof error));
    signer = amm_signer_new(pem, "key", error, sizeof error);
    amm_signer_key(signer, core.remote_key);
    core.has_remote_key = true;
    snprintf(path, sizeof path, "%s/page-visits", folder);
    unlink(path);
    open_pages();
    return 0;
}

static int end(void **state)
{
    (void)state;
    signer = amm_signer_free(signer);
    fake_core_deinit(&core);
    free(answer.body);
    answer.body = NULL;
    return 0;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state)
{
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "%s/page-visits", folder);
    unlink(path);
    return rmdir(folder);
}

/* ---- requests ---- */

static const uint8_t in_tunnel[4] = {10, 4, 37, 122}, on_lan[4] = {192, 168, 13, 31},
                     on_wan[4] = {203, 0, 113, 9};

static void serve(const char *method, const char *path, const uint8_t local[4], const char *fields,
                  const char *form)
{
    char head[2048];
    static struct amm_http_request request;
    struct amm_http_error error;
    size_t used;
    snprintf(head, sizeof head,
             "%s %s HTTP/1.1\r\nHost: 10.4.37.122:9443\r\n%sContent-Length: %zu\r\n\r\n", method,
             path, fields, strlen(form));
    assert_int_equal(amm_http_request_parse(&request, amm_view_str(head), &used, &error),
                     AMM_HTTP_OK);
    struct amm_http_call call = {
        .request = &request,
        .body = amm_view_str(form),
        .remote = {.ip = {10, 4, 32, 1}, .port = 40000, .family = AMM_FAMILY_IPV4},
        .local = {.port = 9443, .family = AMM_FAMILY_IPV4},
        .is_tls = true,
    };
    memcpy(call.local.ip, local, 4);
    web_serve(&pages, &call);
}

static struct amm_assertion assertion(const char *name)
{
    static uint32_t number;
    struct amm_assertion a = {
        .kind = AMM_ASSERTION_SIGN_IN,
        .role = AMM_ASSERTION_USER,
        .serial = "LA83720045061001",
        .epoch = epoch,
        .label = "abcdefghijklmnopqrstuvwx27",
        .issued = core.now.wall,
        .expires = core.now.wall + 30,
    };
    snprintf(a.operator_name, sizeof a.operator_name, "%s", name);
    assert_true(amm_address_parse(&a.operator_address, "198.51.100.7", 1));
    amm_store_u32(a.nonce, ++number);
    return a;
}

static void send_assertion(const struct amm_assertion *a, const uint8_t local[4])
{
    char wire[AMM_ASSERTION_MAX], fields[AMM_ASSERTION_MAX + 32];
    assert_true(amm_assertion_write(a, signer, wire, sizeof wire) > 0);
    snprintf(fields, sizeof fields, "AMM-Assertion: %s\r\n", wire);
    serve("POST", "/remote-session", local, fields, "");
}

static void expect_refusal(int status, const char *name)
{
    char start[64];
    snprintf(start, sizeof start, "{\"error\":\"%s\"", name);
    assert_int_equal(answer.status, status);
    if (strncmp(answer.body, start, strlen(start)) != 0) {
        fail_msg("want %s in %s", name, answer.body);
    }
    assert_null(strstr(answer.fields, "Set-Cookie"));
}

struct login {
    char cookie[128], csrf[WEB_TOKEN_TEXT];
};

static void get(const struct login *login, const char *path)
{
    serve("GET", path, in_tunnel, login->cookie, "");
}

static void post(const struct login *login, const char *path, const char *form)
{
    char fields[512], body[512];
    snprintf(fields, sizeof fields,
             "%sOrigin: https://10.4.37.122:9443\r\nContent-Type: "
             "application/x-www-form-urlencoded\r\n",
             login->cookie);
    snprintf(body, sizeof body, "csrf=%s&%s", login->csrf, form);
    serve("POST", path, in_tunnel, fields, body);
}

static struct login sign_in(struct amm_assertion a)
{
    struct login login = {0};
    send_assertion(&a, in_tunnel);
    assert_int_equal(answer.status, 204);
    const char *at = strstr(answer.fields, "Set-Cookie: " WEB_COOKIE "=");
    assert_non_null(at);
    assert_non_null(strstr(at, "; Path=/; Secure; HttpOnly; SameSite=Strict"));
    at += strlen("Set-Cookie: ");
    snprintf(login.cookie, sizeof login.cookie, "Cookie: %.*s\r\n", (int)strcspn(at, ";"), at);
    get(&login, "/status");
    assert_int_equal(answer.status, 200);
    at = strstr(answer.body, "name=\"csrf\" value=\"");
    assert_non_null(at);
    snprintf(login.csrf, sizeof login.csrf, "%.43s", at + strlen("name=\"csrf\" value=\""));
    return login;
}

static void expect_gone(const struct login *login)
{
    get(login, "/status");
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.fields, "AMM-Remote-Session: ended\r\n"));
}

static bool has(const char *text)
{
    return strstr(answer.body, text) != NULL;
}

/* ---- signing in ---- */

static void an_operator_is_signed_in(void **state)
{
    (void)state;
    struct login maria = sign_in(assertion("Zoë Schmidt"));
    get(&maria, "/services/msci");
    assert_int_equal(answer.status, 200);
    assert_true(has("Zoë Schmidt, user"));
    post(&maria, "/services/msci", "p60003=600");
    assert_int_equal(answer.status, 303);
    assert_int_equal(core.sets, 1);
}

static void a_viewer_may_look_only(void **state)
{
    (void)state;
    struct amm_assertion a = assertion("Maria");
    a.role = AMM_ASSERTION_VIEWER;
    struct login maria = sign_in(a);
    post(&maria, "/services/msci", "p60003=600");
    assert_int_equal(answer.status, 403);
    post(&maria, "/visitors/end", "what=abcdefghijklmnopqrstuvwx27");
    assert_int_equal(answer.status, 403);
    assert_int_equal(core.sets, 0);
}

static void it_is_taken_in_the_tunnel_only(void **state)
{
    (void)state;
    struct amm_assertion a = assertion("Maria");
    send_assertion(&a, on_lan);
    expect_refusal(403, "not-in-tunnel");
    send_assertion(&a, on_wan);
    expect_refusal(403, "not-in-tunnel");
    core.n_listens = 1; /* the tunnel has just gone */
    send_assertion(&a, in_tunnel);
    expect_refusal(403, "not-in-tunnel");
    core.n_listens = 2;
    sign_in(a); /* and nothing was used up */
}

static void each_refusal_has_its_name(void **state)
{
    (void)state;
    struct amm_assertion a = assertion("Maria");
    snprintf(a.serial, sizeof a.serial, "LA83720045061002");
    send_assertion(&a, in_tunnel);
    expect_refusal(403, "other-serial");
    a = assertion("Maria");
    a.issued -= 100;
    a.expires -= 100;
    send_assertion(&a, in_tunnel);
    expect_refusal(403, "expired");
    a.issued += 200;
    a.expires += 200;
    send_assertion(&a, in_tunnel);
    expect_refusal(403, "not-yet");
    a = assertion("Maria");
    a.kind = AMM_ASSERTION_RELAY;
    a.target.port = 22;
    send_assertion(&a, in_tunnel);
    expect_refusal(403, "malformed");
    serve("POST", "/remote-session", in_tunnel, "", "");
    expect_refusal(403, "malformed");
    serve("POST", "/remote-session", in_tunnel, "AMM-Assertion: x\r\nAMM-Assertion: x\r\n", "");
    expect_refusal(403, "malformed");
    serve("GET", "/remote-session", in_tunnel, "AMM-Assertion: x\r\n", "");
    expect_refusal(405, "method");
    a = assertion("Maria");
    sign_in(a);
    send_assertion(&a, in_tunnel);
    expect_refusal(403, "replayed");
}

static void without_the_key_nobody_comes_in(void **state)
{
    (void)state;
    struct amm_assertion a = assertion("Maria");
    core.has_remote_key = false;
    send_assertion(&a, in_tunnel);
    expect_refusal(403, "no-key");
    core.has_remote_key = true;
    core.remote_key[0] ^= 1;
    assert_int_equal(core.doubts, 0);
    send_assertion(&a, in_tunnel);
    expect_refusal(403, "bad-signature");
    assert_int_equal(core.doubts, 1); /* the server may have a new one */
    core.remote_key[0] ^= 1;
    sign_in(a);
}

/* ---- the tunnel's epoch ---- */

static void an_old_epoch_is_refused(void **state)
{
    (void)state;
    struct amm_assertion a = assertion("Maria");
    a.epoch = epoch + 1;
    send_assertion(&a, in_tunnel);
    expect_refusal(403, "old-epoch");
    assert_int_equal(core.looks, 1);
}

/* What the core knows is some seconds old: it decides nothing. */
static void ammer_is_asked_first(void **state)
{
    (void)state;
    struct amm_assertion old = assertion("Maria"), new = assertion("Maria");
    unsigned before = answer.n;
    new.epoch = epoch + 1;
    core.is_slow = true;
    send_assertion(&old, in_tunnel);
    web_remote_step(&pages); /* something else has changed */
    assert_int_equal(answer.n, before);
    core.tunnel.client.epoch = epoch + 1;
    core.looked = core.looks;
    web_remote_step(&pages);
    assert_int_equal(answer.n, before + 1);
    expect_refusal(403, "old-epoch");
    send_assertion(&new, in_tunnel);
    core.looked = core.looks;
    web_remote_step(&pages);
    assert_int_equal(answer.status, 204);
}

static void a_silent_ammer_is_not_waited_for_long(void **state)
{
    (void)state;
    struct amm_assertion a = assertion("Maria");
    unsigned before = answer.n;
    core.is_slow = true;
    send_assertion(&a, in_tunnel);
    assert_int_equal(answer.n, before);
    core.now.mono = web_remote_deadline(&pages);
    web_remote_step(&pages);
    assert_int_equal(answer.n, before + 1);
    expect_refusal(503, "busy");
}

static void few_may_wait(void **state)
{
    (void)state;
    struct amm_assertion a = assertion("Maria");
    unsigned before = answer.n;
    core.is_slow = true;
    for (int i = 0; i < WEB_REMOTE_WAITING; i++) {
        send_assertion(&a, in_tunnel);
    }
    assert_int_equal(answer.n, before);
    send_assertion(&a, in_tunnel);
    expect_refusal(503, "busy");
}

static void another_tunnel_ends_the_session(void **state)
{
    (void)state;
    struct login maria = sign_in(assertion("Maria"));
    core.tunnel.client.epoch = epoch + 1;
    expect_gone(&maria); /* even before anybody has looked */
    core.tunnel.client.epoch = epoch;
    expect_gone(&maria);
    struct login again = sign_in(assertion("Maria"));
    core.tunnel.state = ACE_TUNNEL_DOWN;
    web_remote_step(&pages);
    core.tunnel.state = ACE_TUNNEL_UP;
    expect_gone(&again);
    assert_int_equal(pages.visits.at[0].end, WEB_END_EPOCH);
}

/* ---- how it ends ---- */

static void the_cookie_is_good_in_the_tunnel_only(void **state)
{
    (void)state;
    struct login maria = sign_in(assertion("Maria"));
    serve("GET", "/status", on_lan, maria.cookie, "");
    assert_int_equal(answer.status, 303);
    get(&maria, "/status");
    assert_int_equal(answer.status, 200);
}

static void it_ends_by_idleness_and_by_age(void **state)
{
    (void)state;
    struct login maria = sign_in(assertion("Maria"));
    core.now.mono += 16 * 60 * AMM_SECOND;
    expect_gone(&maria);
    maria = sign_in(assertion("Maria"));
    for (int i = 0; i < 8 * 6; i++) {
        core.now.mono += 10 * 60 * AMM_SECOND;
        get(&maria, "/status");
        assert_int_equal(answer.status, 200);
    }
    core.now.mono += 60 * AMM_SECOND;
    expect_gone(&maria);
    assert_int_equal(pages.visits.at[1].end, WEB_END_LIFE);
    maria = sign_in(assertion("Maria")); /* nobody asks any more: it ends all the same */
    core.now.mono += 16 * 60 * AMM_SECOND;
    web_remote_step(&pages);
    assert_int_equal(pages.visits.at[2].end, WEB_END_IDLE);
}

static void a_jump_of_the_clock_ends_nothing(void **state)
{
    (void)state;
    struct login maria = sign_in(assertion("Maria"));
    core.now.wall += 400 * 86400;
    web_remote_step(&pages);
    get(&maria, "/status");
    assert_int_equal(answer.status, 200);
    core.now.wall -= 800 * 86400;
    get(&maria, "/status");
    assert_int_equal(answer.status, 200);
}

static void who_logs_out_has_left(void **state)
{
    (void)state;
    struct login maria = sign_in(assertion("Maria"));
    post(&maria, "/logout", "");
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.fields, "AMM-Remote-Session: ended\r\n"));
    expect_gone(&maria);
    assert_int_equal(pages.visits.at[0].end, WEB_END_LEFT);
}

static struct amm_assertion with_label(const char *name, char letter)
{
    struct amm_assertion a = assertion(name);
    memset(a.label, letter, AMM_ASSERTION_LABEL);
    return a;
}

static void it_can_be_ended_at_the_gateway(void **state)
{
    (void)state;
    struct login maria = sign_in(with_label("Maria", 'm'));
    struct login otto = sign_in(with_label("Otto", 'o'));
    get(&otto, "/wan");
    assert_true(has("Maria is on this page from 198.51.100.7, through the server, as user"));
    assert_true(has(">End remote session<"));
    post(&otto, "/visitors/end", "what=mmmmmmmmmmmmmmmmmmmmmmmmmm");
    assert_int_equal(answer.status, 303);
    assert_string_equal(core.last_event, "remote-session-ended");
    assert_int_equal(core.checkins, 1);
    expect_gone(&maria);
    get(&otto, "/status");
    assert_int_equal(answer.status, 200);
    struct amm_assertion a = with_label("Maria", 'm'); /* the server does not know it yet */
    send_assertion(&a, in_tunnel);
    expect_refusal(403, "ended");
    post(&otto, "/visitors/end", "what=oooooooooooooooooooooooooo"); /* not oneself */
    post(&otto, "/visitors/end", "what=xxxxxxxxxxxxxxxxxxxxxxxxxx");
    get(&otto, "/status");
    assert_int_equal(answer.status, 200);
    assert_int_equal(core.checkins, 1);
}

static void signing_in_again_replaces_and_few_are_remote(void **state)
{
    (void)state;
    struct login first = sign_in(assertion("Maria")), second = sign_in(assertion("Maria"));
    get(&second, "/status");
    assert_int_equal(answer.status, 200);
    get(&first, "/status");
    assert_int_equal(answer.status, 303); /* to the login, and no end of the new one */
    for (char c = 'a'; c < 'a' + WEB_REMOTE; c++) {
        core.now.mono += AMM_SECOND;
        sign_in(with_label("Otto", c));
    }
    expect_gone(&second); /* the one that was idle longest */
    unsigned remote = 0;
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        remote += pages.sessions.at[i].is_remote;
    }
    assert_int_equal(remote, WEB_REMOTE);
}

/* ---- what is shown and kept ---- */

static void who_is_here_and_who_was_is_shown(void **state)
{
    (void)state;
    struct login maria = sign_in(with_label("Maria <b>", 'm'));
    core.now.mono += 90 * AMM_SECOND;
    core.now.wall += 90;
    struct login otto = sign_in(with_label("Otto", 'o'));
    get(&otto, "/status");
    assert_true(has("Remote visitors"));
    assert_true(has("Maria &lt;b&gt;"));
    assert_true(has("198.51.100.7"));
    assert_true(has("1 min 30 s ago") || has("min ago"));
    post(&maria, "/logout", "");
    get(&otto, "/admin/visits");
    assert_int_equal(answer.status, 200);
    assert_true(has("Maria &lt;b&gt;"));
    assert_true(has(">left<"));
    assert_true(has("still here"));
}

static void the_log_outlives_the_program(void **state)
{
    (void)state;
    struct login maria = sign_in(with_label("Maria", 'm'));
    sign_in(with_label("Otto", 'o'));
    post(&maria, "/logout", "");
    web_remote_step(&pages);
    open_pages();
    assert_int_equal(pages.visits.n, 2);
    assert_string_equal(pages.visits.at[0].who.name, "Maria");
    assert_string_equal(pages.visits.at[0].who.from, "198.51.100.7");
    assert_int_equal(pages.visits.at[0].end, WEB_END_LEFT);
    assert_string_equal(pages.visits.at[1].who.name, "Otto");
    assert_int_equal(pages.visits.at[1].end, WEB_END_RESTART);
}

static void the_log_is_bounded_and_may_be_damaged(void **state)
{
    (void)state;
    char path[64];
    struct web_visitor who = {.name = "Maria", .label = "l", .role = WEB_USER};
    for (int i = 0; i < WEB_VISITS + 10; i++) {
        snprintf(who.name, sizeof who.name, "%d", i);
        uint32_t number = web_visits_begin(&pages.visits, &who, "gateway:22", core.now);
        web_visits_end(&pages.visits, number, WEB_END_LEFT, core.now);
    }
    web_visits_step(&pages.visits, core.now.mono);
    open_pages();
    assert_int_equal(pages.visits.n, WEB_VISITS);
    assert_string_equal(pages.visits.at[WEB_VISITS - 1].who.name, "73");
    snprintf(path, sizeof path, "%s/page-visits", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("[{\"name\":\"x\"},7,{\"since\":{}}]", file);
    fclose(file);
    open_pages();
    assert_int_equal(pages.visits.n, 0);
    sign_in(assertion("Maria"));
    assert_int_equal(pages.visits.n, 1);
}

static void targets_are_not_set_from_afar(void **state)
{
    (void)state;
    struct login maria = sign_in(assertion("Maria"));
    get(&maria, "/security");
    assert_true(has("Relay targets"));
    post(&maria, "/security", "p60012=gateway:22");
    assert_int_equal(answer.status, 422);
    assert_true(has("from its LAN only"));
    assert_int_equal(core.sets, 0);
    post(&maria, "/security", "p60012=&p60011=20"); /* as it was: fine */
    assert_int_equal(answer.status, 303);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(an_operator_is_signed_in),
        TEST(a_viewer_may_look_only),
        TEST(it_is_taken_in_the_tunnel_only),
        TEST(each_refusal_has_its_name),
        TEST(without_the_key_nobody_comes_in),
        TEST(an_old_epoch_is_refused),
        TEST(ammer_is_asked_first),
        TEST(a_silent_ammer_is_not_waited_for_long),
        TEST(few_may_wait),
        TEST(another_tunnel_ends_the_session),
        TEST(the_cookie_is_good_in_the_tunnel_only),
        TEST(it_ends_by_idleness_and_by_age),
        TEST(a_jump_of_the_clock_ends_nothing),
        TEST(who_logs_out_has_left),
        TEST(it_can_be_ended_at_the_gateway),
        TEST(signing_in_again_replaces_and_few_are_remote),
        TEST(who_is_here_and_who_was_is_shown),
        TEST(the_log_outlives_the_program),
        TEST(the_log_is_bounded_and_may_be_damaged),
        TEST(targets_are_not_set_from_afar),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
