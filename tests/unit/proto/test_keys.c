/* Vectors PRF1..PRF4 of tests/golden/vectors.txt, and the halves each side takes. */
#include "keys.h"
#include "support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* An exporter that gives K, zeros, nothing, or K with zeros for the client's half. */
enum exporter { EXPORT_K, EXPORT_ZEROS, EXPORT_FAILS, EXPORT_HALF };
static enum exporter exporter;
static char label_seen[64];

static bool export_key(struct amm_tls *tls, const char *label, uint8_t *out, size_t len)
{
    (void)tls;
    snprintf(label_seen, sizeof label_seen, "%s", label);
    assert_int_equal(len, 256);
    vector_static_key(out);
    if (exporter == EXPORT_ZEROS) {
        memset(out, 0, len);
    }
    if (exporter == EXPORT_HALF) {
        memset(out, 0, len / 2);
    }
    return exporter != EXPORT_FAILS;
}

static const struct amm_tls_ops ops = {.export_key = export_key};

static void client_and_server_take_opposite_halves(void **state)
{
    struct amm_data_keys client, server;
    uint8_t k[256];
    (void)state;
    vector_static_key(k);
    exporter = EXPORT_K;
    assert_true(amm_keys_from_exporter(&client, &ops, NULL, AMM_CLIENT, AMM_CIPHER_AES_256_GCM, 3));
    assert_true(amm_keys_from_exporter(&server, &ops, NULL, AMM_SERVER, AMM_CIPHER_AES_256_GCM, 3));
    assert_string_equal(label_seen, "EXPORTER-OpenVPN-datakeys");
    assert_memory_equal(client.tx_key, k, 32);
    assert_memory_equal(client.tx_iv, k + 64, 8);
    assert_memory_equal(client.rx_key, k + 128, 32);
    assert_memory_equal(client.rx_iv, k + 192, 8);
    assert_memory_equal(client.tx_key, server.rx_key, 32);
    assert_memory_equal(client.rx_key, server.tx_key, 32);
    assert_memory_equal(client.tx_iv, server.rx_iv, 8);
    assert_memory_equal(client.rx_iv, server.tx_iv, 8);
    assert_int_equal(client.key_id, 3);
    assert_int_equal(client.cipher, AMM_CIPHER_AES_256_GCM);
}

static void a_shorter_key_leaves_the_rest_empty(void **state)
{
    static const uint8_t zeros[16];
    struct amm_data_keys keys;
    (void)state;
    exporter = EXPORT_K;
    assert_true(amm_keys_from_exporter(&keys, &ops, NULL, AMM_CLIENT, AMM_CIPHER_AES_128_GCM, 0));
    assert_memory_equal(keys.tx_key + 16, zeros, 16);
}

static void a_failed_or_empty_exporter_gives_no_keys(void **state)
{
    static const struct amm_data_keys none;
    struct amm_data_keys keys;
    uint8_t dynamic[AMM_STATIC_KEY];
    (void)state;
    for (exporter = EXPORT_ZEROS; exporter <= EXPORT_FAILS; exporter++) {
        assert_false(
            amm_keys_from_exporter(&keys, &ops, NULL, AMM_CLIENT, AMM_CIPHER_AES_256_GCM, 0));
        assert_memory_equal(&keys, &none, sizeof keys);
        assert_false(amm_keys_dynamic(dynamic, &ops, NULL, NULL));
    }
    exporter = EXPORT_HALF;
    assert_false(amm_keys_from_exporter(&keys, &ops, NULL, AMM_CLIENT, AMM_CIPHER_AES_256_GCM, 0));
    assert_false(amm_keys_from_exporter(&keys, &ops, NULL, AMM_SERVER, AMM_CIPHER_AES_256_GCM, 0));
    exporter = EXPORT_K;
    assert_false(amm_keys_from_exporter(&keys, &ops, NULL, AMM_CLIENT, AMM_CIPHER_NONE, 0));
}

static void the_dynamic_key_is_mixed_with_the_original_one(void **state)
{
    uint8_t k[AMM_STATIC_KEY], original[AMM_STATIC_KEY], dynamic[AMM_STATIC_KEY];
    (void)state;
    vector_static_key(k);
    memset(original, 0xff, sizeof original);
    exporter = EXPORT_K;
    assert_true(amm_keys_dynamic(dynamic, &ops, NULL, NULL));
    assert_memory_equal(dynamic, k, sizeof k);
    assert_string_equal(label_seen, "EXPORTER-OpenVPN-dynamic-tls-crypt");
    assert_true(amm_keys_dynamic(dynamic, &ops, NULL, original));
    for (int i = 0; i < 256; i++) {
        assert_int_equal(dynamic[i], k[i] ^ 0xff);
    }
    assert_false(amm_keys_dynamic(dynamic, &ops, NULL, k)); /* cancels out to nothing */
}

static struct amm_key_exchange exchange_of_the_vectors(void)
{
    struct amm_key_exchange exchange = {.client_sid = 0x0102030405060708u,
                                        .server_sid = 0xa1a2a3a4a5a6a7a8u};
    uint8_t k[256];
    vector_static_key(k);
    memcpy(exchange.client.pre_master, k, AMM_PRE_MASTER);
    memset(exchange.client.random1, 0x11, AMM_RANDOM);
    memset(exchange.client.random2, 0x22, AMM_RANDOM);
    memset(exchange.server.random1, 0x33, AMM_RANDOM);
    memset(exchange.server.random2, 0x44, AMM_RANDOM);
    return exchange;
}

static void the_legacy_derivation_gives_the_keys_of_the_vectors(void **state)
{
    struct amm_key_exchange exchange = exchange_of_the_vectors();
    struct amm_data_keys client, server;
    uint8_t expected[32];
    (void)state;
    assert_true(amm_keys_from_prf(&client, &exchange, AMM_CLIENT, AMM_CIPHER_AES_256_GCM, 0));
    assert_int_equal(vector_bytes("PRF2", expected, sizeof expected), 32);
    assert_memory_equal(client.tx_key, expected, 32);
    assert_int_equal(vector_bytes("PRF3", expected, sizeof expected), 8);
    assert_memory_equal(client.tx_iv, expected, 8);
    assert_true(amm_keys_from_prf(&server, &exchange, AMM_SERVER, AMM_CIPHER_AES_256_GCM, 0));
    assert_memory_equal(client.rx_key, server.tx_key, 32);
    assert_memory_equal(client.tx_key, server.rx_key, 32);
}

static void the_legacy_derivation_depends_on_the_session_ids(void **state)
{
    struct amm_key_exchange exchange = exchange_of_the_vectors();
    struct amm_data_keys before, after;
    (void)state;
    assert_true(amm_keys_from_prf(&before, &exchange, AMM_CLIENT, AMM_CIPHER_AES_256_GCM, 0));
    exchange.server_sid++;
    assert_true(amm_keys_from_prf(&after, &exchange, AMM_CLIENT, AMM_CIPHER_AES_256_GCM, 0));
    assert_memory_not_equal(before.tx_key, after.tx_key, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_and_server_take_opposite_halves),
        cmocka_unit_test(a_shorter_key_leaves_the_rest_empty),
        cmocka_unit_test(a_failed_or_empty_exporter_gives_no_keys),
        cmocka_unit_test(the_dynamic_key_is_mixed_with_the_original_one),
        cmocka_unit_test(the_legacy_derivation_gives_the_keys_of_the_vectors),
        cmocka_unit_test(the_legacy_derivation_depends_on_the_session_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
