#include "support/fake_tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct pair {
    struct amm_tls_context *client_context, *server_context;
    struct amm_tls *client, *server;
};

static struct pair new_pair(bool two_round_trips)
{
    struct amm_fake_tls_settings client = {.role = AMM_CLIENT,
                                           .name = "gw-1",
                                           .serial = 7,
                                           .seed = 1,
                                           .two_round_trips = two_round_trips};
    struct amm_fake_tls_settings server = {.role = AMM_SERVER,
                                           .name = "server",
                                           .serial = 8,
                                           .seed = 2,
                                           .two_round_trips = two_round_trips};
    struct pair pair = {amm_fake_tls_context_new(&client), amm_fake_tls_context_new(&server), NULL,
                        NULL};
    pair.client = amm_tls_fake.open(pair.client_context, 1000);
    pair.server = amm_tls_fake.open(pair.server_context, 1000);
    return pair;
}

static void free_pair(struct pair *pair)
{
    amm_tls_fake.close(pair->client);
    amm_tls_fake.close(pair->server);
    assert_int_equal(amm_fake_tls_stats(pair->client_context).live, 0);
    amm_fake_tls_context_free(pair->client_context);
    amm_fake_tls_context_free(pair->server_context);
}

/* Moves bytes in small pieces until nothing moves; damages byte number `damage` of the client's,
 * from 1. */
static void shuttle(struct pair *pair, size_t damage)
{
    uint8_t piece[100];
    size_t moved = 0;
    bool more = true;
    while (more) {
        more = false;
        amm_tls_fake.step(pair->client);
        size_t n = amm_tls_fake.drain(pair->client, piece, sizeof piece);
        if (n > 0 && damage > moved && damage <= moved + n) {
            piece[damage - moved - 1] ^= 1;
        }
        moved += n;
        amm_tls_fake.feed(pair->server, amm_view(piece, n));
        more = more || n > 0;
        amm_tls_fake.step(pair->server);
        n = amm_tls_fake.drain(pair->server, piece, sizeof piece);
        amm_tls_fake.feed(pair->client, amm_view(piece, n));
        more = more || n > 0;
    }
}

static void both_sides_open_and_export_the_same_keys(void **state)
{
    (void)state;
    for (int shape = 0; shape < 2; shape++) {
        struct pair pair = new_pair(shape == 1);
        shuttle(&pair, 0);
        assert_int_equal(amm_tls_fake.step(pair.client), AMM_TLS_OPEN);
        assert_int_equal(amm_tls_fake.step(pair.server), AMM_TLS_OPEN);
        assert_string_equal(amm_tls_fake.identity(pair.server)->name, "gw-1");
        assert_string_equal(amm_tls_fake.identity(pair.client)->name, "server");
        uint8_t a[100], b[100], c[100];
        assert_true(amm_tls_fake.export_key(pair.client, "label", a, sizeof a));
        assert_true(amm_tls_fake.export_key(pair.server, "label", b, sizeof b));
        assert_true(amm_tls_fake.export_key(pair.server, "other", c, sizeof c));
        assert_memory_equal(a, b, sizeof a);
        assert_memory_not_equal(a, c, sizeof a);
        free_pair(&pair);
    }
}

static void one_read_gives_one_record(void **state)
{
    (void)state;
    struct pair pair = new_pair(false);
    shuttle(&pair, 0);
    uint8_t text[64];
    assert_true(amm_tls_fake.write(pair.client, amm_view("one", 4)));
    assert_true(amm_tls_fake.write(pair.client, amm_view("second", 7)));
    shuttle(&pair, 0);
    assert_int_equal(amm_tls_fake.read(pair.server, text, sizeof text), 4);
    assert_string_equal((char *)text, "one");
    assert_int_equal(amm_tls_fake.read(pair.server, text, sizeof text), 7);
    assert_int_equal(amm_tls_fake.read(pair.server, text, sizeof text), 0);
    free_pair(&pair);
}

static void a_changed_byte_never_opens(void **state)
{
    (void)state;
    for (size_t at = 1; at <= 1280; at += 13) {
        struct pair pair = new_pair(false);
        shuttle(&pair, at);
        assert_int_not_equal(amm_tls_fake.step(pair.server), AMM_TLS_OPEN);
        free_pair(&pair);
    }
}

static void a_repeated_record_is_a_stream_error(void **state)
{
    (void)state;
    struct pair pair = new_pair(false);
    shuttle(&pair, 0);
    uint8_t wire[64], text[64];
    assert_true(amm_tls_fake.write(pair.client, amm_view("one", 4)));
    size_t n = amm_tls_fake.drain(pair.client, wire, sizeof wire);
    amm_tls_fake.feed(pair.server, amm_view(wire, n));
    amm_tls_fake.feed(pair.server, amm_view(wire, n));
    amm_tls_fake.step(pair.server);
    assert_int_equal(amm_tls_fake.read(pair.server, text, sizeof text), 4);
    assert_int_equal(amm_tls_fake.read(pair.server, text, sizeof text), 0);
    assert_int_equal(amm_tls_fake.step(pair.server), AMM_TLS_FAILED);
    assert_int_equal(amm_fake_tls_stats(pair.server_context).stream_errors, 1);
    free_pair(&pair);
}

static void refusals_reach_the_other_side_as_alerts(void **state)
{
    (void)state;
    struct pair pair = new_pair(false);
    const char *detail;
    amm_fake_tls_refuse(pair.server_context, AMM_TLS_REVOKED);
    shuttle(&pair, 0);
    assert_int_equal(amm_tls_fake.failure(pair.server, &detail), AMM_TLS_REVOKED);
    assert_int_equal(amm_tls_fake.failure(pair.client, &detail), AMM_TLS_PEER_ALERT);
    free_pair(&pair);
}

static void garbage_fails_without_harm(void **state)
{
    (void)state;
    struct amm_seeded_random seeded;
    amm_seeded_random_init(&seeded, 5);
    struct amm_random random = amm_seeded_random(&seeded);
    for (int round = 0; round < 500; round++) {
        struct pair pair = new_pair(round % 2);
        uint8_t bytes[300];
        amm_random_fill(&random, bytes, sizeof bytes);
        bytes[0] = (uint8_t)(20 + bytes[0] % 5);
        bytes[1] = 0;
        amm_tls_fake.feed(pair.server, amm_view(bytes, sizeof bytes));
        assert_int_equal(amm_tls_fake.step(pair.server), AMM_TLS_FAILED);
        free_pair(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_open_and_export_the_same_keys),
        cmocka_unit_test(one_read_gives_one_record),
        cmocka_unit_test(a_changed_byte_never_opens),
        cmocka_unit_test(a_repeated_record_is_a_stream_error),
        cmocka_unit_test(refusals_reach_the_other_side_as_alerts),
        cmocka_unit_test(garbage_fails_without_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
