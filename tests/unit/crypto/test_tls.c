#include "tls_pair.h"

#include "tls_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct world world;

static int set_up(void **state)
{
    (void)state;
    make_world(&world);
    return 0;
}

static struct pair open_pair(size_t chunk)
{
    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    struct pair pair = new_pair(&client, &server, NOW);
    pump(&pair, chunk);
    assert_int_equal(pair.client_state, AMM_TLS_OPEN);
    assert_int_equal(pair.server_state, AMM_TLS_OPEN);
    return pair;
}

static void handshake_succeeds_whatever_the_pieces_are(void **state)
{
    (void)state;
    static const size_t chunks[] = {1, 7, 100, 1250, 4096};
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        struct pair pair = open_pair(chunks[i]);
        free_pair(&pair);
    }
}

static void each_side_knows_the_other(void **state)
{
    (void)state;
    struct pair pair = open_pair(1250);
    const struct amm_identity *gateway = amm_tls_openssl.identity(pair.server);
    struct amm_identity expected, ca;
    char error[ERROR_MAX];
    assert_true(amm_pki_identity(world.gateway.certificate, &expected, error, sizeof error));
    assert_true(amm_pki_identity(world.gateway_ca.certificate, &ca, error, sizeof error));
    assert_string_equal(gateway->name, "gw-1");
    assert_memory_equal(gateway->serial, expected.serial, sizeof expected.serial);
    assert_memory_equal(gateway->certificate, expected.certificate, 32);
    assert_memory_equal(gateway->key, expected.key, 32);
    assert_memory_equal(gateway->issuer, ca.key, 32);
    assert_int_equal(gateway->not_after, NOW + DAY);
    assert_string_equal(amm_tls_openssl.identity(pair.client)->name, "tunnel.example");
    free_pair(&pair);
}

static void plaintext_arrives_record_by_record(void **state)
{
    (void)state;
    struct pair pair = open_pair(1250);
    uint8_t out[2000];
    assert_int_equal(amm_tls_openssl.read(pair.server, out, sizeof out), 0);
    assert_true(amm_tls_openssl.write(pair.client, amm_view_str("first")));
    assert_true(amm_tls_openssl.write(pair.client, amm_view_str("second")));
    pump(&pair, 3);
    assert_int_equal(amm_tls_openssl.read(pair.server, out, sizeof out), 5);
    assert_memory_equal(out, "first", 5);
    assert_int_equal(amm_tls_openssl.read(pair.server, out, sizeof out), 6);
    assert_memory_equal(out, "second", 6);
    assert_int_equal(amm_tls_openssl.read(pair.server, out, sizeof out), 0);
    assert_int_equal(amm_tls_openssl.step(pair.server), AMM_TLS_OPEN);
    assert_false(amm_tls_openssl.write(pair.server, amm_view(NULL, 0)));
    free_pair(&pair);
}

static void both_sides_export_the_same_keys(void **state)
{
    (void)state;
    struct pair pair = open_pair(1250);
    uint8_t a[256], b[256], other[256];
    assert_true(amm_tls_openssl.export_key(pair.client, "EXPORTER-OpenVPN-datakeys", a, sizeof a));
    assert_true(amm_tls_openssl.export_key(pair.server, "EXPORTER-OpenVPN-datakeys", b, sizeof b));
    assert_true(amm_tls_openssl.export_key(pair.server, "EXPORTER-another", other, sizeof other));
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, other, sizeof a);
    free_pair(&pair);
}

static void nothing_can_be_exported_or_written_before_the_end(void **state)
{
    (void)state;
    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    struct pair pair = new_pair(&client, &server, NOW);
    uint8_t out[32];
    assert_int_equal(amm_tls_openssl.step(pair.client), AMM_TLS_HANDSHAKE);
    assert_false(amm_tls_openssl.export_key(pair.client, "EXPORTER-x", out, sizeof out));
    assert_false(amm_tls_openssl.write(pair.client, amm_view_str("early")));
    assert_int_equal(amm_tls_openssl.read(pair.client, out, sizeof out), 0);
    free_pair(&pair);
}

static void tls_13_is_preferred_and_12_still_works(void **state)
{
    (void)state;
    struct pair pair = open_pair(1250);
    assert_string_equal(amm_tls_openssl.version(pair.server), "TLSv1.3 TLS_AES_256_GCM_SHA384");
    free_pair(&pair);

    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    client.tls13_off = true;
    pair = new_pair(&client, &server, NOW);
    pump(&pair, 1250);
    assert_int_equal(pair.server_state, AMM_TLS_OPEN);
    assert_string_equal(amm_tls_openssl.version(pair.server),
                        "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384");
    uint8_t a[64], b[64];
    assert_true(amm_tls_openssl.export_key(pair.client, "EXPORTER-x", a, sizeof a));
    assert_true(amm_tls_openssl.export_key(pair.server, "EXPORTER-x", b, sizeof b));
    assert_memory_equal(a, b, sizeof a);
    free_pair(&pair);
}

static void a_server_flight_without_tickets_stays_silent_afterwards(void **state)
{
    (void)state;
    struct pair pair = open_pair(1250);
    uint8_t out[64];
    assert_int_equal(amm_tls_openssl.step(pair.server), AMM_TLS_OPEN);
    assert_int_equal(amm_tls_openssl.drain(pair.server, out, sizeof out), 0);
    free_pair(&pair);
}

static void garbage_ends_the_session(void **state)
{
    (void)state;
    struct amm_tls_settings settings = server_settings(&world);
    struct pair pair = new_pair(&settings, &settings, NOW);
    const char *detail;
    amm_tls_openssl.feed(pair.server, amm_view_str("GET / HTTP/1.1\r\nHost: example\r\n\r\n"));
    assert_int_equal(amm_tls_openssl.step(pair.server), AMM_TLS_FAILED);
    assert_int_equal(amm_tls_openssl.failure(pair.server, &detail), AMM_TLS_PROTOCOL);
    assert_non_null(strstr(detail, "TLS: "));
    assert_int_equal(amm_tls_openssl.step(pair.server), AMM_TLS_FAILED);
    free_pair(&pair);
}

static void bytes_without_end_are_refused(void **state)
{
    (void)state;
    struct amm_tls_settings settings = server_settings(&world);
    struct pair pair = new_pair(&settings, &settings, NOW);
    static const uint8_t zeros[16384];
    for (int i = 0; i < 5; i++) {
        amm_tls_openssl.feed(pair.server, amm_view(zeros, sizeof zeros));
    }
    const char *detail;
    assert_int_equal(amm_tls_openssl.step(pair.server), AMM_TLS_FAILED);
    assert_int_equal(amm_tls_openssl.failure(pair.server, &detail), AMM_TLS_PROTOCOL);
    free_pair(&pair);
}

/* Each request is answered, and nobody takes the answers. */
static void answers_without_end_are_not_kept(void **state)
{
    (void)state;
    struct pair pair = open_pair(1250);
    uint8_t bytes[1250];
    size_t len = 0;
    for (int i = 0; i < 20000 && amm_tls_openssl.step(pair.server) == AMM_TLS_OPEN; i++) {
        assert_int_equal(SSL_key_update(pair.client->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_true(amm_tls_openssl.write(pair.client, amm_view_str("x")));
        while ((len = amm_tls_openssl.drain(pair.client, bytes, sizeof bytes)) > 0) {
            amm_tls_openssl.feed(pair.server, amm_view(bytes, len));
        }
        amm_tls_openssl.read(pair.server, bytes, sizeof bytes);
    }
    const char *detail;
    assert_int_equal(amm_tls_openssl.step(pair.server), AMM_TLS_FAILED);
    assert_int_equal(amm_tls_openssl.failure(pair.server, &detail), AMM_TLS_PROTOCOL);
    assert_string_equal(detail, "the peer asks for more than it takes");
    free_pair(&pair);
}

static void a_flipped_bit_after_the_handshake_ends_the_session(void **state)
{
    (void)state;
    struct pair pair = open_pair(1250);
    uint8_t record[200];
    assert_true(amm_tls_openssl.write(pair.client, amm_view_str("hello")));
    size_t n = amm_tls_openssl.drain(pair.client, record, sizeof record);
    record[n - 1] ^= 1;
    amm_tls_openssl.feed(pair.server, amm_view(record, n));
    assert_int_equal(amm_tls_openssl.step(pair.server), AMM_TLS_FAILED);
    assert_int_equal(amm_tls_openssl.read(pair.server, record, sizeof record), 0);
    free_pair(&pair);
}

static void contexts_refuse_bad_settings_in_words(void **state)
{
    (void)state;
    struct amm_tls_settings good = client_settings(&world);
    char truncated[400] = "";
    memcpy(truncated, world.gateway.certificate, sizeof truncated - 1);
    const struct {
        struct amm_tls_settings settings;
        const char *error;
    } cases[] = {
        {{.role = AMM_CLIENT, .certificate = good.certificate, .key = good.key}, "ca: missing"},
        {{.role = AMM_CLIENT, .ca = "nothing", .certificate = good.certificate, .key = good.key},
         "ca: no certificate found"},
        {{.role = AMM_CLIENT, .ca = truncated, .certificate = good.certificate, .key = good.key},
         "ca: a certificate is damaged"},
        {{.role = AMM_CLIENT, .ca = good.ca}, "cert: missing"},
        {{.role = AMM_CLIENT, .ca = good.ca, .certificate = good.certificate}, "key: missing"},
        {{.role = AMM_CLIENT, .ca = good.ca, .certificate = good.certificate, .key = "no"},
         "key: no private key found (it must be PEM text without a password)"},
        {{.role = AMM_CLIENT,
          .ca = good.ca,
          .certificate = good.certificate,
          .key = world.server.key},
         "key: does not belong to the certificate"},
        {{.role = AMM_CLIENT,
          .ca = good.ca,
          .certificate = good.certificate,
          .key = good.key,
          .server_name = ""},
         "server name: 1 to 64 characters are allowed"},
        {{.role = AMM_CLIENT,
          .ca = good.ca,
          .certificate = good.certificate,
          .key = good.key,
          .crl = "nothing"},
         "crl: no revocation list found"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char error[ERROR_MAX] = "";
        assert_null(amm_tls_context_new(&cases[i].settings, error, sizeof error));
        assert_string_equal(error, cases[i].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_succeeds_whatever_the_pieces_are),
        cmocka_unit_test(each_side_knows_the_other),
        cmocka_unit_test(plaintext_arrives_record_by_record),
        cmocka_unit_test(both_sides_export_the_same_keys),
        cmocka_unit_test(nothing_can_be_exported_or_written_before_the_end),
        cmocka_unit_test(tls_13_is_preferred_and_12_still_works),
        cmocka_unit_test(a_server_flight_without_tickets_stays_silent_afterwards),
        cmocka_unit_test(garbage_ends_the_session),
        cmocka_unit_test(bytes_without_end_are_refused),
        cmocka_unit_test(answers_without_end_are_not_kept),
        cmocka_unit_test(a_flipped_bit_after_the_handshake_ends_the_session),
        cmocka_unit_test(contexts_refuse_bad_settings_in_words),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
