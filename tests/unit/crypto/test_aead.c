#include "base/random.h"
#include "crypto/aead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const enum amm_cipher ciphers[] = {AMM_CIPHER_AES_256_GCM, AMM_CIPHER_AES_128_GCM,
                                          AMM_CIPHER_CHACHA20_POLY1305};
static const enum amm_aead_backend backends[] = {AMM_AEAD_BEST, AMM_AEAD_OPENSSL, AMM_AEAD_NULL};

enum { CIPHERS = 3, BACKENDS = 3, TEXT_MAX = 2048 };

struct packet {
    struct amm_aead_key key;
    uint8_t nonce[AMM_AEAD_NONCE];
    uint8_t aad[8];
    uint8_t text[TEXT_MAX];
    uint8_t tag[AMM_AEAD_TAG];
    size_t len;
};

static struct packet random_packet(const struct amm_random *random, enum amm_cipher cipher,
                                   uint64_t serial)
{
    struct packet packet = {.key = {.serial = serial, .cipher = (uint8_t)cipher}};
    amm_random_fill(random, packet.key.bytes, sizeof packet.key.bytes);
    amm_random_fill(random, packet.nonce, sizeof packet.nonce);
    amm_random_fill(random, packet.aad, sizeof packet.aad);
    packet.len = amm_random_below(random, TEXT_MAX + 1);
    amm_random_fill(random, packet.text, packet.len);
    return packet;
}

static void seal(struct amm_aead *aead, struct packet *packet)
{
    amm_aead_seal(aead, &packet->key, packet->nonce, amm_view(packet->aad, sizeof packet->aad),
                  packet->text, packet->len, packet->tag);
}

/* Works on a copy, so that the same packet can be opened again. */
static bool opens(struct amm_aead *aead, const struct packet *packet)
{
    struct packet copy = *packet;
    return amm_aead_open(aead, &copy.key, copy.nonce, amm_view(copy.aad, sizeof copy.aad),
                         copy.text, copy.len, copy.tag);
}

static void what_is_sealed_opens_to_the_same_text(void **state)
{
    (void)state;
    struct amm_seeded_random seeded;
    amm_seeded_random_init(&seeded, 1);
    struct amm_random random = amm_seeded_random(&seeded);
    for (size_t b = 0; b < BACKENDS; b++) {
        struct amm_aead *aead = amm_aead_new(backends[b], 8);
        for (uint64_t serial = 1; serial < 100; serial++) {
            struct packet packet = random_packet(&random, ciphers[serial % CIPHERS], serial);
            struct packet plain = packet;
            seal(aead, &packet);
            assert_true(amm_aead_open(aead, &packet.key, packet.nonce,
                                      amm_view(packet.aad, sizeof packet.aad), packet.text,
                                      packet.len, packet.tag));
            assert_memory_equal(packet.text, plain.text, plain.len);
        }
        assert_null(amm_aead_free(aead));
    }
}

static void a_change_of_any_part_is_noticed(void **state)
{
    (void)state;
    struct amm_seeded_random seeded;
    amm_seeded_random_init(&seeded, 2);
    struct amm_random random = amm_seeded_random(&seeded);
    for (size_t i = 0; i < BACKENDS * CIPHERS; i++) {
        struct amm_aead *aead = amm_aead_new(backends[i / CIPHERS], 8);
        struct packet packet = random_packet(&random, ciphers[i % CIPHERS], 1);
        packet.len = 100;
        seal(aead, &packet);
        assert_true(opens(aead, &packet));
        for (int part = 0; part < 6; part++) {
            struct packet bad = packet;
            bad.key.serial = 2; /* the cache must not hide a changed key */
            uint8_t *const at[] = {&bad.key.bytes[15], &bad.nonce[11], &bad.aad[7],
                                   &bad.text[99],      &bad.tag[0],    &bad.tag[15]};
            *at[part] ^= 0x80;
            assert_false(opens(aead, &bad));
            amm_aead_forget(aead, &bad.key);
        }
        struct packet shorter = packet;
        shorter.len--;
        assert_false(opens(aead, &shorter));
        assert_true(opens(aead, &packet));
        amm_aead_free(aead);
    }
}

static void the_backends_agree_on_random_packets(void **state)
{
    (void)state;
    struct amm_seeded_random seeded;
    amm_seeded_random_init(&seeded, 3);
    struct amm_random random = amm_seeded_random(&seeded);
    struct amm_aead *best = amm_aead_new(AMM_AEAD_BEST, 16);
    struct amm_aead *reference = amm_aead_new(AMM_AEAD_OPENSSL, 16);
    for (uint64_t serial = 1; serial <= 600; serial++) {
        struct packet packet = random_packet(&random, ciphers[serial % CIPHERS], serial);
        packet.len = serial <= 300 ? (size_t)serial - 1 : packet.len;
        struct packet other = packet;
        seal(best, &packet);
        seal(reference, &other);
        assert_memory_equal(packet.text, other.text, packet.len);
        assert_memory_equal(packet.tag, other.tag, sizeof packet.tag);
        assert_true(opens(best, &other));
        assert_true(opens(reference, &packet));
    }
    amm_aead_free(best);
    amm_aead_free(reference);
}

static void more_keys_than_places_still_work(void **state)
{
    (void)state;
    struct amm_seeded_random seeded;
    amm_seeded_random_init(&seeded, 4);
    struct amm_random random = amm_seeded_random(&seeded);
    enum { KEYS = 40 };
    static struct packet packets[KEYS];
    for (size_t b = 0; b < BACKENDS; b++) {
        struct amm_aead *aead = amm_aead_new(backends[b], 4);
        for (size_t i = 0; i < KEYS; i++) {
            packets[i] = random_packet(&random, ciphers[i % CIPHERS], i + 1);
            packets[i].len = 60;
            seal(aead, &packets[i]);
        }
        for (int round = 0; round < 200; round++) {
            assert_true(opens(aead, &packets[amm_random_below(&random, KEYS)]));
        }
        amm_aead_free(aead);
    }
}

static void a_forgotten_serial_takes_the_new_key(void **state)
{
    (void)state;
    struct amm_seeded_random seeded;
    amm_seeded_random_init(&seeded, 5);
    struct amm_random random = amm_seeded_random(&seeded);
    for (size_t b = 0; b < BACKENDS; b++) {
        struct amm_aead *aead = amm_aead_new(backends[b], 4);
        struct amm_aead *fresh = amm_aead_new(backends[b], 4);
        struct packet packet = random_packet(&random, AMM_CIPHER_AES_256_GCM, 9);
        seal(aead, &packet);
        amm_aead_forget(aead, &packet.key);
        struct packet next = random_packet(&random, AMM_CIPHER_AES_256_GCM, 9);
        seal(aead, &next);
        assert_true(opens(fresh, &next));
        amm_aead_free(aead);
        amm_aead_free(fresh);
    }
}

static void a_key_without_cipher_or_serial_seals_nothing(void **state)
{
    (void)state;
    static const uint8_t zeros[32];
    for (size_t b = 0; b < BACKENDS; b++) {
        struct amm_aead *aead = amm_aead_new(backends[b], 4);
        struct packet packet = {.key = {.serial = 1}, .text = "secret", .len = 6};
        seal(aead, &packet);
        assert_memory_equal(packet.text, zeros, 6);
        assert_memory_equal(packet.tag, zeros, sizeof packet.tag);
        assert_false(opens(aead, &packet));
        struct packet no_serial = {
            .key = {.cipher = AMM_CIPHER_AES_256_GCM}, .text = "secret", .len = 6};
        seal(aead, &no_serial);
        assert_memory_equal(no_serial.text, zeros, 6);
        assert_false(opens(aead, &no_serial));
        amm_aead_free(aead);
    }
}

/* What was sealed with one library opens with the other, the keys in the cache included. */
static void a_light_one_changes_its_library_between_two_packets(void **state)
{
    (void)state;
    struct amm_seeded_random seeded;
    amm_seeded_random_init(&seeded, 6);
    struct amm_random random = amm_seeded_random(&seeded);
    struct amm_aead *light = amm_aead_new(AMM_AEAD_LIGHT, 8);
    struct amm_aead *best = amm_aead_new(AMM_AEAD_BEST, 8);
    struct amm_aead *reference = amm_aead_new(AMM_AEAD_OPENSSL, 8);
    static uint8_t bulk[1024 * 1024];
    uint8_t nonce[AMM_AEAD_NONCE] = {0}, tag[AMM_AEAD_TAG];
    struct packet packets[CIPHERS];
    for (size_t i = 0; i < CIPHERS; i++) {
        packets[i] = random_packet(&random, ciphers[i], i + 1);
        seal(light, &packets[i]);
    }
    assert_string_equal(amm_aead_name(light), "openssl");
    size_t all = AMM_AEAD_LIGHT_BYTES / sizeof bulk;
    for (size_t i = 0; i < all; i++) {
        amm_aead_seal(light, &packets[0].key, nonce, amm_view(NULL, 0), bulk, sizeof bulk, tag);
    }
    assert_string_equal(amm_aead_name(light), amm_aead_name(best));
    for (size_t i = 0; i < CIPHERS; i++) {
        struct packet again = random_packet(&random, ciphers[i], i + 1);
        again.key = packets[i].key;
        assert_true(opens(light, &packets[i]));
        seal(light, &again);
        assert_true(opens(reference, &again));
    }
    amm_aead_free(light);
    amm_aead_free(best);
    amm_aead_free(reference);
}

static void ciphers_have_names(void **state)
{
    (void)state;
    assert_int_equal(amm_cipher_find(amm_view_str("aes-256-gcm")), AMM_CIPHER_AES_256_GCM);
    assert_int_equal(amm_cipher_find(amm_view_str("AES-128-GCM")), AMM_CIPHER_AES_128_GCM);
    assert_int_equal(amm_cipher_find(amm_view_str("ChaCha20-Poly1305")),
                     AMM_CIPHER_CHACHA20_POLY1305);
    assert_int_equal(amm_cipher_find(amm_view_str("AES-256-CBC")), AMM_CIPHER_NONE);
    assert_int_equal(amm_cipher_find(amm_view_str("AES-256-GC")), AMM_CIPHER_NONE);
    assert_int_equal(amm_cipher_find(amm_view_str("none")), AMM_CIPHER_NONE);
    assert_int_equal(amm_cipher_find(amm_view(NULL, 0)), AMM_CIPHER_NONE);
    assert_string_equal(amm_cipher_name(AMM_CIPHER_AES_128_GCM), "AES-128-GCM");
    assert_string_equal(amm_cipher_name((enum amm_cipher)77), "none");
    assert_int_equal(amm_cipher_key_len(AMM_CIPHER_AES_128_GCM), 16);
    assert_int_equal(amm_cipher_key_len(AMM_CIPHER_NONE), 0);
}

static void backends_have_names(void **state)
{
    (void)state;
    struct amm_aead *aead = amm_aead_new(AMM_AEAD_OPENSSL, 1);
    assert_string_equal(amm_aead_name(aead), "openssl");
    amm_aead_free(aead);
    aead = amm_aead_new(AMM_AEAD_NULL, 0);
    assert_string_equal(amm_aead_name(aead), "null");
    amm_aead_free(aead);
    assert_null(amm_aead_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens_to_the_same_text),
        cmocka_unit_test(a_change_of_any_part_is_noticed),
        cmocka_unit_test(the_backends_agree_on_random_packets),
        cmocka_unit_test(more_keys_than_places_still_work),
        cmocka_unit_test(a_forgotten_serial_takes_the_new_key),
        cmocka_unit_test(a_key_without_cipher_or_serial_seals_nothing),
        cmocka_unit_test(a_light_one_changes_its_library_between_two_packets),
        cmocka_unit_test(ciphers_have_names),
        cmocka_unit_test(backends_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
