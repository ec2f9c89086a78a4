/* The data channel's AEAD (D1..D6) and the legacy key derivation (PRF1..PRF4) give the bytes that
 * real peers put on the wire. */
#include "crypto/aead.h"
#include "crypto/mac.h"
#include "support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct packet_case {
    const char *id;
    enum amm_cipher cipher;
    size_t header;           /* bytes before the tag */
    size_t aad_offset;       /* DATA_V1 leaves the opcode out */
    size_t half;             /* where this direction's keys start in key2 */
    const char *payload_hex; /* NULL: vector D0 */
};

static const struct packet_case packets[] = {
    {"D1", AMM_CIPHER_AES_256_GCM, 8, 0, 0, NULL},
    {"D2", AMM_CIPHER_AES_128_GCM, 8, 0, 0, NULL},
    {"D3", AMM_CIPHER_CHACHA20_POLY1305, 8, 0, 0, NULL},
    {"D4", AMM_CIPHER_AES_256_GCM, 8, 0, 128, NULL},
    {"D5", AMM_CIPHER_AES_256_GCM, 5, 1, 0, NULL},
    {"D6", AMM_CIPHER_AES_256_GCM, 8, 0, 0, "2a187bf3641eb4cb07ed2d0a981fc748"},
};

static size_t payload_of(const struct packet_case *packet, uint8_t *out, size_t room)
{
    if (!packet->payload_hex) {
        return vector_bytes("D0", out, room);
    }
    size_t len = strlen(packet->payload_hex) / 2;
    assert_true(len <= room && amm_unhex(out, len, packet->payload_hex));
    return len;
}

static void check_packet(struct amm_aead *aead, const struct packet_case *packet, uint64_t serial)
{
    uint8_t k[256], wire[256], nonce[AMM_AEAD_NONCE], text[64], payload[64], tag[AMM_AEAD_TAG];
    vector_static_key(k);
    size_t wire_len = vector_bytes(packet->id, wire, sizeof wire);
    size_t len = payload_of(packet, payload, sizeof payload);
    assert_int_equal(wire_len, packet->header + AMM_AEAD_TAG + len);
    struct amm_aead_key key = {.serial = serial, .cipher = (uint8_t)packet->cipher};
    memcpy(key.bytes, k + packet->half, amm_cipher_key_len(packet->cipher));
    memcpy(nonce, wire + packet->header - 4, 4);
    memcpy(nonce + 4, k + packet->half + 64, 8);
    struct amm_view aad = amm_view(wire + packet->aad_offset, packet->header - packet->aad_offset);

    memcpy(text, payload, len);
    amm_aead_seal(aead, &key, nonce, aad, text, len, tag);
    assert_memory_equal(tag, wire + packet->header, AMM_AEAD_TAG);
    assert_memory_equal(text, wire + packet->header + AMM_AEAD_TAG, len);

    assert_true(amm_aead_open(aead, &key, nonce, aad, text, len, tag));
    assert_memory_equal(text, payload, len);
}

static void check_packets(enum amm_aead_backend backend)
{
    struct amm_aead *aead = amm_aead_new(backend, 16);
    assert_non_null(aead);
    for (size_t i = 0; i < sizeof packets / sizeof packets[0]; i++) {
        check_packet(aead, &packets[i], i + 1);
    }
    amm_aead_free(aead);
}

static void data_packets_match_with_the_best_backend(void **state)
{
    (void)state;
    check_packets(AMM_AEAD_BEST);
}

static void data_packets_match_with_openssl(void **state)
{
    (void)state;
    check_packets(AMM_AEAD_OPENSSL);
}

static void legacy_derivation_matches(void **state)
{
    (void)state;
    uint8_t k[256], seed[128], master[48], key2[256], expected[256], hash[AMM_SHA256_LEN];
    vector_static_key(k);
    struct amm_writer w = amm_writer(seed, sizeof seed);
    amm_write_str(&w, "OpenVPN master secret");
    memset(amm_write_gap(&w, 32), 0x11, 32);
    memset(amm_write_gap(&w, 32), 0x33, 32);
    assert_true(amm_tls1_prf(amm_view(k, 48), amm_view(seed, amm_writer_len(&w)), master, 48));
    assert_int_equal(vector_bytes("PRF1", expected, sizeof expected), 48);
    assert_memory_equal(master, expected, 48);

    w = amm_writer(seed, sizeof seed);
    amm_write_str(&w, "OpenVPN key expansion");
    memset(amm_write_gap(&w, 32), 0x22, 32);
    memset(amm_write_gap(&w, 32), 0x44, 32);
    amm_write_u64(&w, 0x0102030405060708);
    amm_write_u64(&w, 0xa1a2a3a4a5a6a7a8);
    assert_true(amm_tls1_prf(amm_view(master, 48), amm_view(seed, amm_writer_len(&w)), key2, 256));
    assert_int_equal(vector_bytes("PRF2", expected, sizeof expected), 32);
    assert_memory_equal(key2, expected, 32);
    assert_int_equal(vector_bytes("PRF3", expected, sizeof expected), 8);
    assert_memory_equal(key2 + 64, expected, 8);
    assert_int_equal(vector_bytes("PRF4", expected, sizeof expected), 32);
    assert_true(amm_sha256(amm_view(key2, sizeof key2), hash));
    assert_memory_equal(hash, expected, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_packets_match_with_the_best_backend),
        cmocka_unit_test(data_packets_match_with_openssl),
        cmocka_unit_test(legacy_derivation_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
