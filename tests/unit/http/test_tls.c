/* TLS over sockets: who gets in, what is resumed, and what it costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/clock.h"
#include "lab.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DAY INT64_C(86400)

static struct lab_pki pki;
static struct lab lab;

static int make_pki(void **state)
{
    (void)state;
    lab_pki_make(&pki);
    return 0;
}

static void serve(const struct amm_http_tls_settings *settings)
{
    struct amm_http_settings server = lab_settings(&lab);
    lab_open(&lab, &server);
    lab_listen(&lab, lab_tls(settings));
}

static struct amm_http_client *new_client(struct amm_http_tls *tls, const char *name,
                                          const struct amm_http_session *session)
{
    struct amm_http_client_settings settings = {
        .address = lab.address, .host = "localhost:8443", .tls = tls, .server_name = name};
    struct amm_http_client *client = amm_http_client_new(&settings, amm_now());
    assert_non_null(client);
    amm_http_client_resume(client, session);
    return client;
}

/* One request on one connection; `*session` is what it resumed from, and then what it got. */
static int fetch(struct amm_http_tls *tls, const char *path, struct amm_http_session **session)
{
    struct amm_http_client *client = new_client(tls, "amm-manager", session ? *session : NULL);
    int status = lab_fetch(&lab, client, "GET", path, "");
    if (session) {
        amm_http_session_free(*session);
        *session = amm_http_client_session(client);
    }
    amm_http_client_free(client);
    lab_turn(&lab);
    return status;
}

static struct amm_http_counters counters(void)
{
    struct amm_http_counters out;
    amm_http_server_counters(lab.server, &out);
    return out;
}

/* ---- who gets in ---- */

static void both_sides_know_each_other(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    serve(&server);
    struct amm_http_tls *tls = lab_tls(&settings);
    struct amm_http_client *client = new_client(tls, "amm-manager", NULL);
    assert_null(amm_http_client_server(client));
    assert_int_equal(lab_fetch(&lab, client, "GET", "/who", ""), 200);
    assert_string_equal(lab_heard, "gw-1");
    assert_true(lab.is_tls && lab.has_client && !lab.resumed);
    struct amm_identity expected;
    char error[256];
    assert_true(amm_pki_identity(pki.server.certificate, &expected, error, sizeof error));
    const struct amm_identity *known = amm_http_client_server(client);
    assert_non_null(known);
    assert_string_equal(known->name, "amm-manager");
    assert_memory_equal(known->key, expected.key, sizeof expected.key);
    assert_int_equal(amm_http_client_local(client).family, AMM_FAMILY_IPV4);
    /* And again on the same connection. */
    assert_int_equal(lab_fetch(&lab, client, "POST", "/echo", "body"), 200);
    assert_string_equal(lab_heard, "body");
    assert_int_equal(counters().tls_full, 1);
    amm_http_client_free(client);
    amm_http_tls_unref(tls);
    lab_close(&lab);
}

/* How a client with these settings fares against a server with those. */
static int verdict(const struct amm_http_tls_settings *server,
                   const struct amm_http_tls_settings *client)
{
    serve(server);
    struct amm_http_tls *tls = lab_tls(client);
    int status = fetch(tls, "/who", NULL);
    amm_http_tls_unref(tls);
    if (status == 0) {
        assert_int_equal(lab.calls, 0);
    }
    lab_close(&lab);
    return status;
}

static void strangers_are_refused_and_hear_why(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), client = lab_client_tls(&pki);
    client.certificate = pki.stranger.certificate;
    client.key = pki.stranger.key;
    assert_int_equal(verdict(&server, &client), 0);
    assert_int_equal(lab_tls_failure, AMM_TLS_PEER_ALERT);
    assert_string_equal(lab_failure, "TLS alert: unknown CA");

    client.certificate = client.key = NULL;
    assert_int_equal(verdict(&server, &client), 0);
    assert_int_equal(lab_tls_failure, AMM_TLS_PEER_ALERT);

    /* A server's certificate of the right CA is no gateway's. */
    struct lab_credential other;
    int64_t now = amm_now().wall;
    lab_issue(&other, AMM_CERTIFICATE_SERVER, "gw-1", &pki.gateway_ca, now - DAY, now + DAY);
    client.certificate = other.certificate;
    client.key = other.key;
    assert_int_equal(verdict(&server, &client), 0);
    assert_int_equal(lab_tls_failure, AMM_TLS_PEER_ALERT);
}

static void an_optional_certificate_may_be_missing_but_not_wrong(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), client = lab_client_tls(&pki);
    server.certificate_optional = true;
    assert_int_equal(verdict(&server, &client), 200);
    assert_string_equal(lab_heard, "gw-1");
    client.certificate = client.key = NULL;
    assert_int_equal(verdict(&server, &client), 200);
    assert_string_equal(lab_heard, "");
    assert_false(lab.has_client);
    client.certificate = pki.stranger.certificate;
    client.key = pki.stranger.key;
    assert_int_equal(verdict(&server, &client), 0);
}

static void a_browser_is_never_asked_for_a_certificate(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), client = lab_client_tls(&pki);
    server.ca = NULL;
    assert_int_equal(verdict(&server, &client), 200);
    assert_false(lab.has_client);
}

static void expired_clients_come_in_only_where_that_is_wanted(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), client = lab_client_tls(&pki);
    client.certificate = pki.expired.certificate;
    client.key = pki.expired.key;
    assert_int_equal(verdict(&server, &client), 0);
    assert_string_equal(lab_failure, "TLS alert: certificate expired");
    server.expired_clients = true;
    assert_int_equal(verdict(&server, &client), 200);
    assert_string_equal(lab_heard, "gw-old");
    assert_true(lab.not_after < amm_now().wall); /* for the handler to judge */
    /* Nothing else is forgiven. */
    struct lab_credential old;
    int64_t now = amm_now().wall;
    lab_issue(&old, AMM_CERTIFICATE_GATEWAY, "gw-1", &pki.other_ca, now - 9 * DAY, now - DAY);
    client.certificate = old.certificate;
    client.key = old.key;
    assert_int_equal(verdict(&server, &client), 0);
    assert_string_equal(lab_failure, "TLS alert: unknown CA");
    /* Nor an issuer that has expired. */
    struct lab_credential ca;
    lab_issue(&ca, AMM_CERTIFICATE_CA, "old CA", NULL, now - 9 * DAY, now - DAY);
    lab_issue(&old, AMM_CERTIFICATE_GATEWAY, "gw-1", &ca, now - 9 * DAY, now - 2 * DAY);
    server.ca = ca.certificate;
    assert_int_equal(verdict(&server, &client), 0);
}

static void a_server_is_known_by_issuer_name_and_dates(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), client = lab_client_tls(&pki);
    client.ca = pki.other_ca.certificate;
    assert_int_equal(verdict(&server, &client), 0);
    assert_int_equal(lab_tls_failure, AMM_TLS_UNKNOWN_ISSUER);

    client = lab_client_tls(&pki);
    struct lab_credential other;
    int64_t now = amm_now().wall;
    lab_issue(&other, AMM_CERTIFICATE_SERVER, "amm-server", &pki.server_ca, now - DAY, now + DAY);
    server.certificate = other.certificate;
    server.key = other.key;
    assert_int_equal(verdict(&server, &client), 0);
    assert_int_equal(lab_tls_failure, AMM_TLS_WRONG_NAME);

    lab_issue(&other, AMM_CERTIFICATE_GATEWAY, "amm-manager", &pki.server_ca, now - DAY, now + DAY);
    assert_int_equal(verdict(&server, &client), 0);
    assert_int_equal(lab_tls_failure, AMM_TLS_WRONG_ROLE);

    lab_issue(&other, AMM_CERTIFICATE_SERVER, "amm-manager", &pki.server_ca, now - 9 * DAY,
              now - DAY);
    assert_int_equal(verdict(&server, &client), 0);
    assert_int_equal(lab_tls_failure, AMM_TLS_EXPIRED);
    client.ignore_dates = true; /* the first question for time */
    server.expired_clients = true;
    assert_int_equal(verdict(&server, &client), 200);
    client.ca = pki.other_ca.certificate;
    assert_int_equal(verdict(&server, &client), 0);
    assert_int_equal(lab_tls_failure, AMM_TLS_UNKNOWN_ISSUER);
}

/* ---- pins ---- */

static const char *fetch_pinned(const struct amm_http_client_settings *settings)
{
    struct amm_http_client *client = amm_http_client_new(settings, amm_now());
    assert_non_null(client);
    int status = lab_fetch(&lab, client, "GET", "/who", "");
    amm_http_client_free(client);
    lab_turn(&lab);
    return status == 200 ? "" : lab_failure;
}

static void a_wrong_pin_gets_neither_request_nor_certificate(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    server.sent_ca = pki.server_ca.certificate;
    serve(&server);
    settings.ca = NULL;
    struct amm_http_tls *tls = lab_tls(&settings);
    struct amm_identity leaf, ca, other;
    char error[256];
    assert_true(amm_pki_identity(pki.server.certificate, &leaf, error, sizeof error));
    assert_true(amm_pki_identity(pki.server_ca.certificate, &ca, error, sizeof error));
    assert_true(amm_pki_identity(pki.other_ca.certificate, &other, error, sizeof error));
    const struct amm_view leaf_key = amm_view(leaf.key, 32), ca_key = amm_view(ca.key, 32),
                          wrong = amm_view(other.key, 32);
    struct amm_http_client_settings client = {
        .address = lab.address, .host = "localhost", .tls = tls, .server_name = "amm-manager"};

    assert_string_equal(fetch_pinned(&client), "certificate of amm-manager: there is neither a CA "
                                               "nor a pin to know it by");
    client.ca_pin = wrong;
    fetch_pinned(&client);
    assert_int_equal(lab_tls_failure, AMM_TLS_WRONG_PIN);
    client.ca_pin = leaf_key; /* the last of the chain has to be a CA */
    fetch_pinned(&client);
    assert_int_equal(lab_tls_failure, AMM_TLS_WRONG_PIN);
    client.ca_pin = ca_key;
    client.key_pin = wrong;
    fetch_pinned(&client);
    assert_int_equal(lab_tls_failure, AMM_TLS_WRONG_PIN);
    client.key_pin = amm_view(NULL, 0);
    client.server_name = "amm-server"; /* the pin of a CA does not replace the name */
    fetch_pinned(&client);
    assert_int_equal(lab_tls_failure, AMM_TLS_WRONG_NAME);
    assert_int_equal(lab.calls, 0);
    struct amm_http_counters seen = counters();
    assert_int_equal(seen.tls_full, 0);
    assert_int_equal(seen.tls_failed, 5);

    client.server_name = "amm-manager";
    assert_string_equal(fetch_pinned(&client), "");
    assert_string_equal(lab.name, "gw-1");
    client.key_pin = leaf_key;
    assert_string_equal(fetch_pinned(&client), "");
    client.server_name = "amm-server"; /* nor do both pins */
    fetch_pinned(&client);
    assert_int_equal(lab_tls_failure, AMM_TLS_WRONG_NAME);
    client.ca_pin = amm_view(NULL, 0);
    client.server_name = "any name"; /* with a key that is known, nothing else is asked */
    assert_string_equal(fetch_pinned(&client), "");
    client.key_pin = amm_view(leaf.key, 31);
    assert_null(amm_http_client_new(&client, amm_now()));
    amm_http_tls_unref(tls);
    lab_close(&lab);
}

/* A CA that was sent along but did not issue the leaf proves nothing. */
static void a_pinned_ca_must_have_issued_the_certificate(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    server.sent_ca = pki.other_ca.certificate;
    serve(&server);
    settings.ca = NULL;
    struct amm_http_tls *tls = lab_tls(&settings);
    struct amm_identity other;
    char error[256];
    assert_true(amm_pki_identity(pki.other_ca.certificate, &other, error, sizeof error));
    struct amm_http_client_settings client = {.address = lab.address,
                                              .host = "localhost",
                                              .tls = tls,
                                              .server_name = "amm-manager",
                                              .ca_pin = amm_view(other.key, 32)};
    fetch_pinned(&client);
    assert_int_equal(lab_tls_failure, AMM_TLS_UNKNOWN_ISSUER);
    assert_int_equal(lab.calls, 0);
    amm_http_tls_unref(tls);
    lab_close(&lab);
}

static void a_certificate_is_no_ca_of_its_own(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    serve(&server);
    settings.ca = NULL;
    struct amm_http_tls *tls = lab_tls(&settings);
    struct amm_identity leaf;
    char error[256];
    assert_true(amm_pki_identity(pki.server.certificate, &leaf, error, sizeof error));
    struct amm_http_client_settings client = {.address = lab.address,
                                              .host = "localhost",
                                              .tls = tls,
                                              .server_name = "amm-manager",
                                              .ca_pin = amm_view(leaf.key, 32)};
    fetch_pinned(&client);
    assert_int_equal(lab_tls_failure, AMM_TLS_WRONG_PIN);
    assert_int_equal(lab.calls, 0);
    amm_http_tls_unref(tls);
    lab_close(&lab);
}

static void the_ca_that_the_server_sends_can_be_learnt(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    server.sent_ca = pki.server_ca.certificate;
    serve(&server);
    struct amm_http_tls *tls = lab_tls(&settings);
    struct amm_http_client *client = new_client(tls, "amm-manager", NULL);
    uint8_t key[32];
    struct amm_identity ca;
    char error[256];
    assert_false(amm_http_client_ca_key(client, key));
    assert_int_equal(lab_fetch(&lab, client, "GET", "/who", ""), 200);
    assert_true(amm_http_client_ca_key(client, key));
    assert_true(amm_pki_identity(pki.server_ca.certificate, &ca, error, sizeof error));
    assert_memory_equal(key, ca.key, sizeof key);
    amm_http_client_free(client);
    amm_http_tls_unref(tls);
    lab_close(&lab);
}

/* ---- resumption ---- */

enum { ROUNDS = 60 };

static void sessions_are_resumed_and_say_so(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    for (int lean = 0; lean < 2; lean++) {
        serve(&server);
        settings.lean_hello = lean;
        struct amm_http_tls *tls = lab_tls(&settings);
        struct amm_http_session *session = NULL;
        for (int i = 0; i < ROUNDS; i++) {
            assert_int_equal(fetch(tls, i % 2 ? "/who" : "/close", &session), 200);
            assert_int_equal(lab.resumed, i > 0);
            /* Nothing was checked, but who it is, is still known. */
            assert_string_equal(lab.name, "gw-1");
            assert_true(lab.not_after > amm_now().wall);
        }
        assert_int_equal(counters().tls_full, 1);
        assert_int_equal(counters().tls_resumed, ROUNDS - 1);
        amm_http_session_free(session);
        amm_http_tls_unref(tls);
        lab_close(&lab);
    }
}

/* A gateway that loses power, or its link, in the middle: both sides keep their session. */
static void an_unclean_end_does_not_lose_the_session(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    serve(&server);
    struct amm_http_tls *tls = lab_tls(&settings);
    struct amm_http_session *session = NULL;
    assert_int_equal(fetch(tls, "/who", &session), 200);
    for (int i = 0; i < 5; i++) {
        struct amm_http_client *client = new_client(tls, "amm-manager", session);
        assert_true(amm_http_client_request(client, amm_view_str("GET"), amm_view_str("/later"),
                                            amm_view(NULL, 0), amm_view(NULL, 0)));
        unsigned calls = lab.calls;
        struct amm_http_event event;
        while (lab.calls == calls) {
            amm_http_client_step(client, amm_now(), &event);
            assert_int_equal(event.kind, AMM_HTTP_EVENT_NONE);
            amm_http_server_step(lab.server);
        }
        assert_true(lab.resumed);
        /* A reset, and the new session is taken along. */
        struct linger reset = {.l_onoff = 1};
        setsockopt(amm_http_client_fd(client), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        if (i % 2) {
            amm_http_client_step(client, amm_now(), &event);
            struct amm_http_session *newer = amm_http_client_session(client);
            if (newer) {
                amm_http_session_free(session);
                session = newer;
            }
        }
        amm_http_client_free(client);
        lab_turn(&lab);
        assert_int_equal(counters().open, 0);
    }
    assert_int_equal(fetch(tls, "/who", &session), 200);
    assert_true(lab.resumed);
    assert_int_equal(counters().tls_full, 1);
    amm_http_session_free(session);
    amm_http_tls_unref(tls);
    lab_close(&lab);
}

static void the_cache_of_sessions_is_bounded(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    server.sessions = 4;
    struct amm_http_tls *shared = lab_tls(&server);
    struct amm_http_settings http = lab_settings(&lab);
    lab_open(&lab, &http);
    lab_listen(&lab, amm_http_tls_ref(shared));
    struct amm_http_tls *tls = lab_tls(&settings);
    struct amm_http_session *sessions[6] = {NULL};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(fetch(tls, "/who", &sessions[i]), 200);
        assert_true(amm_http_tls_sessions(shared) <= 4);
    }
    assert_int_equal(fetch(tls, "/who", &sessions[5]), 200);
    assert_true(lab.resumed);
    assert_int_equal(fetch(tls, "/who", &sessions[0]), 200); /* pushed out: a full handshake */
    assert_false(lab.resumed);
    /* A client that comes often takes two places, not all. */
    assert_int_equal(fetch(tls, "/who", &sessions[4]), 200);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(fetch(tls, "/who", &sessions[5]), 200);
        assert_true(lab.resumed);
    }
    assert_int_equal(fetch(tls, "/who", &sessions[4]), 200);
    assert_true(lab.resumed);
    for (int i = 0; i < 6; i++) {
        amm_http_session_free(sessions[i]);
    }
    amm_http_tls_unref(tls);
    amm_http_tls_unref(shared);
    lab_close(&lab);
}

static void contexts_share_sessions_but_only_of_the_same_trust(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    struct amm_http_tls *first = lab_tls(&server);
    struct amm_http_tls *tls = lab_tls(&settings);
    struct amm_http_session *session = NULL;
    struct amm_http_settings http = lab_settings(&lab);
    lab_open(&lab, &http);
    lab_listen(&lab, amm_http_tls_ref(first));
    assert_int_equal(fetch(tls, "/who", &session), 200);
    server.sessions_of = first;
    lab_listen(&lab, lab_tls(&server)); /* as the next front thread would */
    assert_int_equal(fetch(tls, "/who", &session), 200);
    assert_true(lab.resumed);
    assert_string_equal(lab.name, "gw-1");
    server.ca = pki.other_ca.certificate; /* asks for others: a session is no way round */
    lab_listen(&lab, lab_tls(&server));
    struct amm_http_client *client = new_client(tls, "amm-manager", session);
    assert_int_equal(lab_fetch(&lab, client, "GET", "/who", ""), 0);
    assert_string_equal(lab_failure, "TLS alert: unknown CA");
    amm_http_client_free(client);
    server.ca = pki.gateway_ca.certificate;
    server.expired_clients = true; /* asks for less */
    lab_listen(&lab, lab_tls(&server));
    assert_int_equal(fetch(tls, "/who", &session), 200);
    assert_false(lab.resumed);
    amm_http_session_free(session);
    amm_http_tls_unref(tls);
    amm_http_tls_unref(first);
    lab_close(&lab);
}

static void a_session_without_a_certificate_stays_without(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    server.certificate_optional = true;
    serve(&server);
    settings.certificate = settings.key = NULL;
    struct amm_http_tls *tls = lab_tls(&settings);
    struct amm_http_session *session = NULL;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fetch(tls, "/who", &session), 200);
        assert_int_equal(lab.resumed, i > 0);
        assert_false(lab.has_client);
    }
    amm_http_session_free(session);
    amm_http_tls_unref(tls);
    lab_close(&lab);
}

static void a_session_is_not_used_for_another_name_or_pin(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    serve(&server);
    struct amm_http_tls *tls = lab_tls(&settings), *other = lab_tls(&settings);
    struct amm_http_session *session = NULL;
    assert_int_equal(fetch(tls, "/who", &session), 200);
    struct amm_http_client *client = new_client(tls, "amm-server", session);
    assert_int_equal(lab_fetch(&lab, client, "GET", "/who", ""), 0);
    assert_int_equal(lab_tls_failure, AMM_TLS_WRONG_NAME);
    amm_http_client_free(client);
    client = new_client(other, "amm-manager", session);
    assert_int_equal(lab_fetch(&lab, client, "GET", "/who", ""), 200);
    assert_false(amm_http_client_resumed(client));
    amm_http_client_free(client);
    static const uint8_t pin[32] = {1};
    struct amm_http_client_settings pinned = {.address = lab.address,
                                              .host = "localhost",
                                              .tls = tls,
                                              .server_name = "amm-manager",
                                              .key_pin = amm_view(pin, sizeof pin)};
    client = amm_http_client_new(&pinned, amm_now());
    amm_http_client_resume(client, session);
    assert_int_equal(lab_fetch(&lab, client, "GET", "/who", ""), 0);
    assert_int_equal(lab_tls_failure, AMM_TLS_WRONG_PIN);
    amm_http_client_free(client);
    pinned.ca_pin = pinned.key_pin;
    pinned.key_pin = amm_view(NULL, 0);
    client = amm_http_client_new(&pinned, amm_now());
    amm_http_client_resume(client, session);
    assert_int_equal(lab_fetch(&lab, client, "GET", "/who", ""), 0);
    assert_int_equal(lab_tls_failure, AMM_TLS_WRONG_PIN);
    amm_http_client_free(client);
    client = new_client(tls, "amm-manager", session);
    assert_int_equal(lab_fetch(&lab, client, "GET", "/who", ""), 200);
    assert_true(amm_http_client_resumed(client));
    assert_string_equal(amm_http_client_server(client)->name, "amm-manager");
    amm_http_client_free(client);
    amm_http_session_free(session);
    amm_http_tls_unref(tls);
    amm_http_tls_unref(other);
    lab_close(&lab);
}

static void without_a_cache_nothing_is_resumed(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    server.sessions = 0;
    serve(&server);
    struct amm_http_tls *tls = lab_tls(&settings);
    struct amm_http_session *session = NULL;
    assert_int_equal(fetch(tls, "/who", &session), 200);
    assert_null(session);
    amm_http_tls_unref(tls);
    lab_close(&lab);
}

/* ---- bytes ---- */

static void a_small_resumed_exchange_is_small(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    serve(&server);
    settings.lean_hello = true;
    struct amm_http_tls *tls = lab_tls(&settings);
    struct amm_http_session *session = NULL;
    uint64_t in = 0, out = 0;
    for (int i = 0; i < 3; i++) {
        struct amm_http_client *client = new_client(tls, "amm-manager", session);
        assert_int_equal(lab_fetch(&lab, client, "GET", "/who", ""), 200);
        amm_http_session_free(session);
        session = amm_http_client_session(client);
        amm_http_client_bytes(client, &in, &out);
        amm_http_client_free(client);
        lab_turn(&lab);
        print_message("%s: %d bytes up, %d down\n", i ? "resumed" : "full", (int)out, (int)in);
        assert_true(in + out <= (i ? 1000 : 3300));
    }
    struct amm_http_counters seen = counters();
    assert_true(seen.bytes_in > 0 && seen.bytes_out > 0);
    amm_http_session_free(session);
    amm_http_tls_unref(tls);
    lab_close(&lab);
}

/* ---- more of the server ---- */

static void a_server_name_chooses_its_certificate(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    struct lab_credential exact, wild;
    int64_t now = amm_now().wall;
    char error[256];
    lab_issue(&exact, AMM_CERTIFICATE_SERVER, "exact", &pki.server_ca, now - DAY, now + DAY);
    lab_issue(&wild, AMM_CERTIFICATE_SERVER, "wild", &pki.server_ca, now - DAY, now + DAY);
    struct amm_http_tls *context = lab_tls(&server);
    assert_false(amm_http_tls_add(context, "x", exact.certificate, wild.key, error, sizeof error));
    assert_string_equal(error, "key: does not belong to the certificate");
    assert_true(amm_http_tls_add(context, "www.example.net", exact.certificate, exact.key, error,
                                 sizeof error));
    assert_true(amm_http_tls_add(context, "*.example.net", wild.certificate, wild.key, error,
                                 sizeof error));
    struct amm_http_settings http = lab_settings(&lab);
    lab_open(&lab, &http);
    lab_listen(&lab, context);
    struct amm_http_tls *tls = lab_tls(&settings);
    static const char *const cases[][2] = {
        {"WWW.example.net:8443", "exact"},  {"a.example.net", "wild"},
        {"a.b.example.net", "amm-manager"}, {"example.net", "amm-manager"},
        {"127.0.0.1", "amm-manager"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct amm_http_client_settings client_settings = {
            .address = lab.address, .host = cases[i][0], .tls = tls, .server_name = ""};
        struct amm_http_client *client = amm_http_client_new(&client_settings, amm_now());
        assert_int_equal(lab_fetch(&lab, client, "GET", "/who", ""), 200);
        assert_string_equal(amm_http_client_server(client)->name, cases[i][1]);
        amm_http_client_free(client);
    }
    amm_http_tls_unref(tls);
    lab_close(&lab);
}

static void a_file_goes_through_tls(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki), settings = lab_client_tls(&pki);
    serve(&server);
    static char content[50000];
    for (size_t i = 0; i < sizeof content; i++) {
        content[i] = (char)('a' + i % 26);
    }
    char path[] = "/tmp/amm-test-http-XXXXXX";
    lab.file = mkstemp(path);
    unlink(path);
    assert_int_equal(write(lab.file, content, sizeof content), sizeof content);
    lab.file_len = sizeof content;
    struct amm_http_tls *tls = lab_tls(&settings);
    assert_int_equal(fetch(tls, "/file", NULL), 200);
    assert_memory_equal(lab_heard, content, sizeof content);
    amm_http_tls_unref(tls);
    lab_close(&lab);
}

static void a_peer_that_never_ends_its_handshake_is_cut(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki);
    struct amm_http_settings http = lab_settings(&lab);
    http.head_deadline = 40 * AMM_MILLISECOND;
    lab_open(&lab, &http);
    lab_listen(&lab, lab_tls(&server));
    int fd = lab_connect(&lab);
    lab_expect_end(&lab, fd);
    assert_int_equal(counters().timeouts, 1);
    close(fd);
    lab_close(&lab);
}

static void what_is_no_tls_is_refused(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki);
    serve(&server);
    int fd = lab_connect(&lab);
    lab_say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    lab_expect_end(&lab, fd);
    assert_int_equal(counters().tls_failed, 1);
    assert_int_equal(lab.calls, 0);
    close(fd);
    lab_close(&lab);
}

/* What a stock client of TLS 1.2 does; it is resumed by its session id. */
static void tls_12_is_spoken_too(void **state)
{
    (void)state;
    struct amm_http_tls_settings server = lab_server_tls(&pki);
    server.certificate_optional = true;
    serve(&server);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    SSL_SESSION *session = NULL;
    for (int i = 0; i < 3; i++) {
        int fd = lab_connect(&lab);
        SSL *ssl = SSL_new(context);
        SSL_set_fd(ssl, fd);
        if (session) {
            SSL_set_session(ssl, session);
        }
        int done;
        while ((done = SSL_connect(ssl)) != 1) {
            assert_int_equal(SSL_get_error(ssl, done), SSL_ERROR_WANT_READ);
            amm_http_server_step(lab.server);
        }
        SSL_SESSION_free(session);
        session = SSL_get1_session(ssl);
        static const char request[] = "GET /close HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_int_equal(SSL_write(ssl, request, sizeof request - 1), sizeof request - 1);
        char answer[1024] = "";
        int n;
        while ((n = SSL_read(ssl, answer, sizeof answer - 1)) <= 0) {
            assert_int_equal(SSL_get_error(ssl, n), SSL_ERROR_WANT_READ);
            amm_http_server_step(lab.server);
        }
        assert_non_null(strstr(answer, "hello"));
        assert_int_equal(lab.resumed, i > 0);
        /* The server says goodbye properly. */
        while ((n = SSL_read(ssl, answer, sizeof answer - 1)) <= 0 &&
               SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ) {
            amm_http_server_step(lab.server);
        }
        assert_int_equal(SSL_get_error(ssl, n), SSL_ERROR_ZERO_RETURN);
        SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(ssl);
        close(fd);
        lab_turn(&lab);
    }
    SSL_SESSION_free(session);
    SSL_CTX_free(context);
    lab_close(&lab);
}

static void settings_that_cannot_be_are_refused_in_words(void **state)
{
    (void)state;
    struct amm_http_tls_settings good = lab_server_tls(&pki);
    const struct {
        struct amm_http_tls_settings settings;
        const char *error;
    } cases[] = {
        {{.ca = good.ca}, "cert: missing"},
        {{.certificate = good.certificate}, "key: missing"},
        {{.certificate = good.certificate, .key = pki.gateway.key},
         "key: does not belong to the certificate"},
        {{.certificate = good.certificate, .key = good.key, .ca = "nothing"},
         "ca: no certificate found"},
        {{.certificate = good.certificate, .key = good.key, .sent_ca = "nothing"},
         "sent ca: no certificate found"},
        {{.is_client = true, .ca = ""}, "ca: no certificate found"},
        {{.is_client = true, .certificate = good.certificate}, "key: missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char error[256] = "";
        assert_null(amm_http_tls_new(&cases[i].settings, error, sizeof error));
        assert_string_equal(error, cases[i].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_know_each_other),
        cmocka_unit_test(strangers_are_refused_and_hear_why),
        cmocka_unit_test(an_optional_certificate_may_be_missing_but_not_wrong),
        cmocka_unit_test(a_browser_is_never_asked_for_a_certificate),
        cmocka_unit_test(expired_clients_come_in_only_where_that_is_wanted),
        cmocka_unit_test(a_server_is_known_by_issuer_name_and_dates),
        cmocka_unit_test(a_wrong_pin_gets_neither_request_nor_certificate),
        cmocka_unit_test(a_pinned_ca_must_have_issued_the_certificate),
        cmocka_unit_test(a_certificate_is_no_ca_of_its_own),
        cmocka_unit_test(the_ca_that_the_server_sends_can_be_learnt),
        cmocka_unit_test(sessions_are_resumed_and_say_so),
        cmocka_unit_test(an_unclean_end_does_not_lose_the_session),
        cmocka_unit_test(the_cache_of_sessions_is_bounded),
        cmocka_unit_test(contexts_share_sessions_but_only_of_the_same_trust),
        cmocka_unit_test(a_session_without_a_certificate_stays_without),
        cmocka_unit_test(a_session_is_not_used_for_another_name_or_pin),
        cmocka_unit_test(without_a_cache_nothing_is_resumed),
        cmocka_unit_test(a_small_resumed_exchange_is_small),
        cmocka_unit_test(a_server_name_chooses_its_certificate),
        cmocka_unit_test(a_file_goes_through_tls),
        cmocka_unit_test(a_peer_that_never_ends_its_handshake_is_cut),
        cmocka_unit_test(what_is_no_tls_is_refused),
        cmocka_unit_test(tls_12_is_spoken_too),
        cmocka_unit_test(settings_that_cannot_be_are_refused_in_words),
    };
    return cmocka_run_group_tests(tests, make_pki, NULL);
}
