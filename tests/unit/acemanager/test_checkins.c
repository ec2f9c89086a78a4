/* src/acemanager/checkins.h, alone and against a server that loses requests and answers. */
#include "checkins.h"

#include "files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct amm_seeded_random seeded;
static struct ace_checkins *c;
static amm_time now;

static int begin(void **state)
{
    (void)state;
    amm_seeded_random_init(&seeded, 7);
    now = 1000 * AMM_SECOND;
    c = ace_checkins_new(amm_seeded_random(&seeded), 0, 900, now);
    return c ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    c = ace_checkins_free(c);
    return 0;
}

static struct ace_report report_of(json_t *stats, json_t *parameters)
{
    return (struct ace_report){.stats = stats,
                               .parameters = parameters,
                               .boot = 1,
                               .uptime = 10,
                               .time = 1793500000,
                               .clock = AMM_CLOCK_NTP,
                               .revision = 3,
                               .tunnel = "",
                               .change_mark = 5,
                               .result_mark = 6};
}

static json_t *stats, *parameters;

static const char *ask(void)
{
    size_t len;
    struct ace_report report = report_of(stats, parameters);
    assert_true(now >= ace_checkins_deadline(c));
    const char *body = ace_checkins_begin(c, now, &report, &len);
    assert_non_null(body);
    assert_int_equal(strlen(body), len);
    assert_true(ace_checkins_deadline(c) == AMM_NEVER);
    return body;
}

static struct ace_outcome outcome;

static void answer(int status, uint32_t retry_after, const char *body)
{
    ace_checkins_answered(c, now, status, retry_after, amm_view_str(body), &outcome);
}

static amm_duration wait_seconds(void)
{
    return (ace_checkins_deadline(c) - now) / AMM_SECOND;
}

static void an_idle_gateway_says_little(void **state)
{
    (void)state;
    stats = json_pack("{si}", "CellLink-RSSI", -71);
    parameters = json_pack("{si}", "1172", 9443);
    assert_non_null(strstr(ask(), "\"base\":\"\""));
    answer(200, 0, "{\"time\":1,\"seq\":1,\"interval\":900}");
    assert_true(outcome.acknowledged);
    assert_int_equal(outcome.change_mark, 5);
    assert_int_equal(outcome.result_mark, 6);
    assert_in_range(wait_seconds(), 809, 990);
    now = ace_checkins_deadline(c);
    const char *body = ask();
    assert_null(strstr(body, "stats"));
    assert_null(strstr(body, "uptime"));
    assert_null(strstr(body, "revision"));
    assert_true(strlen(body) < 80);
    answer(200, 0, "{\"time\":1,\"seq\":2}");
    json_object_set_new(stats, "CellLink-RSSI", json_integer(-80));
    json_object_set_new(stats, "IMEI", json_string("1"));
    now = ace_checkins_deadline(c);
    assert_non_null(strstr(ask(), "\"stats\":{\"CellLink-RSSI\":-80,\"IMEI\":\"1\"}"));
    answer(200, 0, "{\"time\":1,\"seq\":3}");
    json_object_del(stats, "IMEI");
    now = ace_checkins_deadline(c);
    assert_non_null(strstr(ask(), "\"stats\":{\"IMEI\":null}"));
    json_decref(stats);
    json_decref(parameters);
}

static void a_lost_answer_is_asked_for_with_the_same_bytes(void **state)
{
    (void)state;
    stats = json_object();
    parameters = json_object();
    assert_int_equal(ace_checkins_next_seq(c), 1);
    char *first = strdup(ask());
    for (unsigned i = 0; i < 20; i++) {
        ace_checkins_failed(c, now, "no answer");
        assert_int_equal(ace_checkins_state(c), ACE_CHECKIN_FAILING);
        assert_in_range(wait_seconds(), 0, 900);
        assert_int_equal(ace_checkins_next_seq(c), 0);
        amm_time due = ace_checkins_deadline(c);
        ace_checkins_soon(c, now); /* news do not shorten the back-off */
        assert_true(ace_checkins_deadline(c) == due);
        now = due;
        json_object_set_new(stats, "new", json_integer((json_int_t)i));
        assert_string_equal(ask(), first);
    }
    free(first);
    answer(200, 0, "{\"time\":1,\"seq\":1}");
    assert_true(outcome.acknowledged);
    assert_int_equal(ace_checkins_next_seq(c), 2);
    json_decref(stats);
    json_decref(parameters);
}

static void retry_slots_are_kept(void **state)
{
    (void)state;
    stats = json_object();
    parameters = json_object();
    ask();
    answer(503, 417, "{\"error\":\"later\"}");
    assert_int_equal(wait_seconds(), 417);
    ace_checkins_soon(c, now);
    assert_int_equal(wait_seconds(), 417);
    assert_int_equal(ace_checkins_next_seq(c), 0); /* a repetition */
    ace_checkins_now(c, now);                      /* a person may */
    assert_in_range(wait_seconds(), 0, ACE_CHECKIN_SPACING);
    now = ace_checkins_deadline(c);
    ask();
    answer(429, 0, "");
    assert_in_range(wait_seconds(), 0, 20);
    now = ace_checkins_deadline(c);
    ask();
    answer(503, UINT32_MAX, "");
    assert_int_equal(wait_seconds(), ACE_RETRY_LONGEST);
    json_decref(stats);
    json_decref(parameters);
}

static void a_refusal_is_not_repeated_unchanged(void **state)
{
    (void)state;
    stats = json_object();
    parameters = json_object();
    ask();
    answer(400, 0, "{\"error\":\"malformed\",\"text\":\"hash: missing\"}");
    assert_string_equal(outcome.error, "the server answers 400: hash: missing");
    assert_false(outcome.fatal);
    assert_in_range(wait_seconds(), 809, 990);
    assert_int_equal(ace_checkins_next_seq(c), 2);
    now = ace_checkins_deadline(c);
    ask();
    answer(403, 0, "{\"error\":\"revoked\",\"fatal\":true}");
    assert_true(outcome.fatal);
    assert_int_equal(ace_checkins_state(c), ACE_CHECKIN_REFUSED);
    assert_in_range(wait_seconds(), ACE_CHECKIN_LONGEST * 8 / 10, ACE_CHECKIN_LONGEST * 12 / 10);
    ace_checkins_soon(c, now);
    assert_in_range(wait_seconds(), ACE_CHECKIN_LONGEST * 8 / 10, ACE_CHECKIN_LONGEST * 12 / 10);
    now = ace_checkins_deadline(c);
    ask();
    answer(200, 0, "{\"time\":1,\"seq\":3}"); /* taken back */
    assert_int_equal(ace_checkins_state(c), ACE_CHECKIN_IDLE);
    json_decref(stats);
    json_decref(parameters);
}

static void everything_is_sent_when_the_server_wants_it_but_not_for_ever(void **state)
{
    (void)state;
    stats = json_pack("{si}", "a", 1);
    parameters = json_object();
    ask();
    answer(200, 0, "{\"time\":1,\"seq\":1}");
    now = ace_checkins_deadline(c);
    assert_null(strstr(ask(), "\"base\":\"\""));
    answer(200, 0, "{\"time\":1,\"seq\":2,\"full\":true}");
    assert_false(outcome.acknowledged);
    assert_int_equal(wait_seconds(), 0);
    assert_non_null(strstr(ask(), "\"seq\":3,\"base\":\"\""));
    answer(200, 0, "{\"time\":1,\"seq\":3,\"full\":true}");
    assert_true(ace_checkins_deadline(c) > now); /* not a loop */
    now = ace_checkins_deadline(c);
    ask();
    answer(200, 0, "{\"time\":1,\"seq\":4}");
    assert_true(outcome.acknowledged);
    json_decref(stats);
    json_decref(parameters);
}

static void a_server_that_knows_a_higher_number_is_followed(void **state)
{
    (void)state;
    stats = json_object();
    parameters = json_object();
    ask();
    answer(200, 0, "{\"time\":1,\"seq\":4711}");
    assert_false(outcome.acknowledged);
    assert_int_equal(ace_checkins_next_seq(c), 4712);
    now = ace_checkins_deadline(c);
    assert_non_null(strstr(ask(), "\"seq\":4712,\"base\":\"\""));
    answer(200, 0, "{\"time\":1,\"seq\":1}"); /* an answer from the past */
    assert_null(outcome.answer);
    assert_int_equal(ace_checkins_state(c), ACE_CHECKIN_FAILING);
    json_decref(stats);
    json_decref(parameters);
}

static void the_order_of_the_server_goes_before_the_setting(void **state)
{
    (void)state;
    stats = json_object();
    parameters = json_object();
    ask();
    answer(200, 0, "{\"time\":1,\"seq\":1,\"interval\":7200}");
    assert_in_range(wait_seconds(), 6479, 7920);
    ace_checkins_interval(c, 60, now);
    assert_in_range(wait_seconds(), 6479, 7920);
    now = ace_checkins_deadline(c);
    ask();
    answer(200, 0, "{\"time\":1,\"seq\":2}");
    assert_in_range(wait_seconds(), 53, 66);
    json_decref(stats);
    json_decref(parameters);
}

static void garbage_is_no_answer(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "<html>",
                                      "{}",
                                      "[1]",
                                      "{\"time\":1,\"seq\":\"1\"}",
                                      "{\"time\":1,\"seq\":1,\"set\":{}}"};
    stats = json_object();
    parameters = json_object();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ask();
        answer(200, 0, bad[i]);
        assert_null(outcome.answer);
        assert_false(outcome.acknowledged);
        assert_int_equal(ace_checkins_next_seq(c), 0);
        now = ace_checkins_deadline(c);
    }
    json_decref(stats);
    json_decref(parameters);
}

/* ---- a server, and a network that loses ---- */

struct server {
    uint64_t seq, events;
    char hash[AMM_CHECKIN_HASH];
    json_t *stats;
    unsigned lost;   /* gaps in the events */
    uint64_t digest; /* of the body with that number: a number names one body */
};

static char *serve(struct server *s, const char *body)
{
    struct amm_checkin message;
    struct amm_refusal error;
    struct amm_checkin_answer out = {.time = 1793500000};
    size_t len;
    assert_true(amm_checkin_decode(&message, amm_view_str(body), &error));
    assert_int_equal(message.refused.n, 0);
    uint64_t digest = ace_checksum(amm_view_str(body));
    bool is_new = message.seq > s->seq;
    assert_true(message.seq >= s->seq);
    assert_true(is_new || digest == s->digest);
    s->digest = digest;
    bool fits = message.base[0] == '\0' || strcmp(message.base, s->hash) == 0;
    if (is_new && fits) {
        if (message.base[0] == '\0') {
            json_object_clear(s->stats);
        }
        assert_true(amm_checkin_apply(s->stats, message.stats, AMM_STATS_MAX));
        memcpy(s->hash, message.hash, sizeof s->hash);
    }
    out.full = is_new ? !fits : strcmp(message.hash, s->hash) != 0;
    for (size_t i = 0; is_new && i < message.n_events; i++) {
        s->lost += message.events[i].id > s->events + 1;
        s->events = message.events[i].id > s->events ? message.events[i].id : s->events;
    }
    s->seq = is_new ? message.seq : s->seq;
    out.seq = s->seq;
    out.events = s->events;
    char *text = amm_checkin_answer_encode(&out, &len);
    amm_checkin_deinit(&message);
    return text;
}

static void nothing_is_lost_and_nothing_is_taken_twice(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct server s = {.stats = json_object()};
        struct amm_seeded_random world;
        amm_seeded_random_init(&world, seed);
        struct amm_random random = amm_seeded_random(&world);
        struct amm_checkin_event events[8] = {0};
        uint64_t made = 0, acknowledged = 0, seq = 0;
        amm_time at = 0;
        struct ace_checkins *client = ace_checkins_new(amm_seeded_random(&seeded), seq, 900, at);
        json_t *own = json_object(), *none = json_object();
        for (unsigned step = 0; step < 300 || acknowledged < made; step++) {
            bool is_calm = step >= 300; /* in the end the network works */
            char name[8];
            size_t len;
            assert_true(step < 600);
            if (!is_calm) {
                snprintf(name, sizeof name, "s%u", (unsigned)amm_random_below(&random, 6));
                if (amm_random_below(&random, 4) == 0) {
                    json_object_del(own, name);
                } else {
                    json_object_set_new(own, name,
                                        json_integer((json_int_t)amm_random_below(&random, 50)));
                }
                made += amm_random_below(&random, 2);
            }
            struct ace_report report = report_of(own, none);
            while (report.n_events < 8 && acknowledged + report.n_events < made) {
                struct amm_checkin_event *e = &events[report.n_events++];
                e->id = acknowledged + report.n_events;
                snprintf(e->kind, sizeof e->kind, "test");
            }
            report.events = events;
            at = ace_checkins_deadline(client);
            const char *body = ace_checkins_begin(client, at, &report, &len);
            seq = ace_checkins_seq(client);
            unsigned luck = is_calm ? 9 : (unsigned)amm_random_below(&random, 10);
            if (luck < 2) { /* the request is lost */
                ace_checkins_failed(client, at, "lost");
                continue;
            }
            char *text = serve(&s, body);
            if (luck < 5) { /* the answer is lost */
                ace_checkins_failed(client, at, "lost");
            } else {
                struct ace_outcome out;
                ace_checkins_answered(client, at, 200, 0, amm_view_str(text), &out);
                if (out.answer && out.answer->events > acknowledged) {
                    acknowledged = out.answer->events;
                }
                if (out.acknowledged) {
                    char hash[AMM_CHECKIN_HASH];
                    amm_checkin_state_hash(s.stats, NULL, hash);
                    assert_string_equal(hash, s.hash);
                }
            }
            free(text);
            if (!is_calm && amm_random_below(&random, 40) == 0) { /* a restart: numbers skip */
                client = ace_checkins_free(client);
                seq += amm_random_below(&random, 32);
                client = ace_checkins_new(amm_seeded_random(&seeded), seq, 900, at);
            }
            if (!is_calm && amm_random_below(&random, 40) == 0) { /* the server forgot the state */
                memset(s.hash, '0', sizeof s.hash - 1);
            }
        }
        assert_int_equal(s.lost, 0);
        assert_int_equal(s.events, made);
        client = ace_checkins_free(client);
        json_decref(s.stats);
        json_decref(own);
        json_decref(none);
    }
}

static void too_many_events_go_with_the_next(void **state)
{
    (void)state;
    static struct amm_checkin_event events[AMM_CHECKIN_EVENTS];
    json_t *data = json_object(), *none = json_object();
    char text[1990];
    size_t len;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    json_object_set_new(data, "x", json_string(text));
    for (size_t i = 0; i < AMM_CHECKIN_EVENTS; i++) {
        events[i] = (struct amm_checkin_event){.id = i + 1, .kind = "big", .data = data};
    }
    struct ace_report report = report_of(none, none);
    report.events = events;
    report.n_events = AMM_CHECKIN_EVENTS;
    assert_non_null(ace_checkins_begin(c, now, &report, &len));
    assert_true(len <= AMM_CHECKIN_BODY_MAX && len > AMM_CHECKIN_BODY_MAX / 3);
    json_decref(data);
    json_decref(none);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(an_idle_gateway_says_little),
        T(a_lost_answer_is_asked_for_with_the_same_bytes),
        T(retry_slots_are_kept),
        T(a_refusal_is_not_repeated_unchanged),
        T(everything_is_sent_when_the_server_wants_it_but_not_for_ever),
        T(a_server_that_knows_a_higher_number_is_followed),
        T(the_order_of_the_server_goes_before_the_setting),
        T(garbage_is_no_answer),
        T(nothing_is_lost_and_nothing_is_taken_twice),
        T(too_many_events_go_with_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
