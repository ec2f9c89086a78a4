#include "software/trust.h"

#include "crypto/pki.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { NOW = 1795500000, DAY = 86400 };

static struct amm_signer *release, *development, *stranger;
static struct amm_keyring ring;
static char why[AMM_STATEMENT_ERROR];

static struct amm_signer *new_signer(void)
{
    char pem[AMM_PEM_MAX], error[200];
    assert_true(amm_signature_key_new(pem, error, sizeof error));
    struct amm_signer *signer = amm_signer_new(pem, "test key", error, sizeof error);
    assert_non_null(signer);
    return signer;
}

static int set_up(void **state)
{
    (void)state;
    release = new_signer();
    development = new_signer();
    stranger = new_signer();
    ring = (struct amm_keyring){.n = 2, .keys = {{.from = 0}, {.is_development = true}}};
    amm_signer_key(release, ring.keys[0].key);
    amm_signer_key(development, ring.keys[1].key);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    amm_signer_free(release);
    amm_signer_free(development);
    amm_signer_free(stranger);
    return 0;
}

static struct amm_manifest some(void)
{
    return (struct amm_manifest){.kind = AMM_SOFTWARE_SYSTEM,
                                 .name = "amm-os",
                                 .version = "4.17.2",
                                 .n_models = 1,
                                 .models = {"Virtual"},
                                 .architecture = "x86_64",
                                 .counter = 12,
                                 .from = "4.16",
                                 .length = 100,
                                 .created = NOW - DAY,
                                 .expires = NOW + 365 * DAY};
}

static size_t make(char out[AMM_SOFTWARE_HEAD], const struct amm_manifest *manifest,
                   const struct amm_signer *signer)
{
    size_t len = amm_manifest_write(manifest, out, AMM_SOFTWARE_HEAD);
    assert_int_not_equal(len, 0);
    assert_true(amm_statement_sign(signer, out, &len, AMM_SOFTWARE_HEAD));
    return len;
}

static enum amm_trust judged(const struct amm_manifest *manifest, const struct amm_signer *signer)
{
    char text[AMM_SOFTWARE_HEAD];
    struct amm_manifest read;
    size_t len = make(text, manifest, signer);
    return amm_software_judge(&ring, amm_view(text, len), NOW, &read, why);
}

static void who_signed_decides(void **state)
{
    struct amm_manifest manifest = some();
    (void)state;
    assert_int_equal(judged(&manifest, release), AMM_TRUST_GOOD);
    assert_int_equal(judged(&manifest, stranger), AMM_TRUST_UNKNOWN_KEY);
    assert_int_equal(judged(&manifest, development), AMM_TRUST_DEVELOPMENT);
    manifest.is_development = true;
    assert_int_equal(judged(&manifest, development), AMM_TRUST_GOOD);
    assert_int_equal(judged(&manifest, release), AMM_TRUST_DEVELOPMENT);
    ring.n = 0;
    assert_int_equal(judged(&manifest, development), AMM_TRUST_UNKNOWN_KEY);
}

static void what_was_changed_is_refused(void **state)
{
    char text[AMM_SOFTWARE_HEAD];
    struct amm_manifest manifest = some(), read;
    (void)state;
    size_t len = make(text, &manifest, release);
    char *counter = strstr(text, "counter: 12");
    counter[10] = '3';
    assert_int_equal(amm_software_judge(&ring, amm_view(text, len), NOW, &read, why),
                     AMM_TRUST_SIGNATURE);
    counter[10] = '2';
    text[len - 2] = text[len - 2] == '=' ? 'A' : '='; /* the end of the signature */
    assert_int_equal(amm_software_judge(&ring, amm_view(text, len), NOW, &read, why),
                     AMM_TRUST_MALFORMED);
    assert_int_equal(amm_software_judge(&ring, amm_view(text, 20), NOW, &read, why),
                     AMM_TRUST_MALFORMED);
}

/* One statement's signature is none for another text, nor without the context in front of it. */
static void a_signature_is_for_one_text(void **state)
{
    char one[AMM_SOFTWARE_HEAD], two[AMM_SOFTWARE_HEAD];
    struct amm_manifest manifest = some(), read;
    uint8_t signature[AMM_SIGNATURE], key[AMM_SIGNATURE_KEY], id[8];
    (void)state;
    make(one, &manifest, release);
    manifest.counter = 13;
    size_t len = amm_manifest_write(&manifest, two, sizeof two);
    strcpy(two + len, strstr(one, "signature: "));
    assert_int_equal(amm_software_judge(&ring, amm_view_str(two), NOW, &read, why),
                     AMM_TRUST_SIGNATURE);
    assert_true(amm_sign(release, amm_view(two, len), signature));
    amm_signer_key(release, key);
    amm_release_key_id(id, key);
    amm_statement_sign_line(id, signature, two + len, sizeof two - len);
    assert_int_equal(amm_software_judge(&ring, amm_view_str(two), NOW, &read, why),
                     AMM_TRUST_SIGNATURE);
}

static void dates_decide(void **state)
{
    struct amm_manifest manifest = some();
    (void)state;
    manifest.expires = NOW - 1;
    assert_int_equal(judged(&manifest, release), AMM_TRUST_EXPIRED);
    manifest = some();
    manifest.created = NOW + 1;
    assert_int_equal(judged(&manifest, release), AMM_TRUST_EARLY);
    manifest = some();
    ring.keys[0].from = manifest.created + 1; /* signed before the key was good */
    assert_int_equal(judged(&manifest, release), AMM_TRUST_EARLY);
}

/* A package with two signatures is good for who knows either key: an old and a new one overlap. */
static void two_signatures(void **state)
{
    char text[AMM_SOFTWARE_HEAD];
    struct amm_manifest manifest = some(), read;
    (void)state;
    size_t len = make(text, &manifest, stranger);
    assert_true(amm_statement_sign(release, text, &len, sizeof text));
    assert_int_equal(amm_software_judge(&ring, amm_view(text, len), NOW, &read, why),
                     AMM_TRUST_GOOD);
}

static enum amm_trust fits(const char *model, const char *architecture, const char *version,
                           uint32_t counter, const struct amm_view *permit)
{
    struct amm_manifest manifest = some();
    struct amm_software_place place = {model, architecture, "VGW-1", version, counter};
    return amm_software_fits(&ring, &manifest, &place, permit, NOW, why);
}

static void for_whom_it_is(void **state)
{
    (void)state;
    assert_int_equal(fits("Virtual", "x86_64", "4.17.1", 12, NULL), AMM_TRUST_GOOD);
    assert_int_equal(fits("Virtual", "x86_64", "", 0, NULL), AMM_TRUST_GOOD);
    assert_int_equal(fits("Virtual", "x86_64", "4.17.2", 12, NULL), AMM_TRUST_GOOD); /* again */
    assert_int_equal(fits("MP70", "x86_64", "4.17.1", 12, NULL), AMM_TRUST_MODEL);
    assert_int_equal(fits("Virtual", "armhf", "4.17.1", 12, NULL), AMM_TRUST_ARCHITECTURE);
    assert_int_equal(fits("Virtual", "x86_64", "4.17.1", 13, NULL), AMM_TRUST_COUNTER);
    assert_int_equal(fits("Virtual", "x86_64", "4.17.10", 12, NULL), AMM_TRUST_DOWNGRADE);
    assert_int_equal(fits("Virtual", "x86_64", "4.15.3", 12, NULL), AMM_TRUST_STEP);
}

static enum amm_trust with_permit(const char *serial, const char *version, uint32_t counter,
                                  int64_t expires, const struct amm_signer *signer)
{
    char text[1024];
    struct amm_permit permit = {.name = "amm-os", .counter = counter, .expires = expires};
    strcpy(permit.serial, serial);
    strcpy(permit.version, version);
    size_t len = amm_permit_write(&permit, text, sizeof text);
    assert_true(amm_statement_sign(signer, text, &len, sizeof text));
    struct amm_view view = amm_view(text, len);
    return fits("Virtual", "x86_64", "4.18", 20, &view);
}

static void going_back_needs_a_permit(void **state)
{
    struct amm_view nothing = amm_view_str("AMM-PERMIT 1\n");
    (void)state;
    assert_int_equal(fits("Virtual", "x86_64", "4.18", 20, NULL), AMM_TRUST_COUNTER);
    assert_int_equal(with_permit("VGW-1", "4.17.2", 12, NOW + 60, release), AMM_TRUST_GOOD);
    assert_int_equal(with_permit("VGW-2", "4.17.2", 12, NOW + 60, release), AMM_TRUST_PERMIT);
    assert_int_equal(with_permit("VGW-1", "4.17.1", 12, NOW + 60, release), AMM_TRUST_PERMIT);
    assert_int_equal(with_permit("VGW-1", "4.17.2", 13, NOW + 60, release), AMM_TRUST_PERMIT);
    assert_int_equal(with_permit("VGW-1", "4.17.2", 12, NOW - 1, release), AMM_TRUST_EXPIRED);
    assert_int_equal(with_permit("VGW-1", "4.17.2", 12, NOW + 60, stranger), AMM_TRUST_UNKNOWN_KEY);
    assert_int_equal(with_permit("VGW-1", "4.17.2", 12, NOW + 60, development), AMM_TRUST_PERMIT);
    assert_int_equal(fits("Virtual", "x86_64", "4.18", 20, &nothing), AMM_TRUST_MALFORMED);
    /* A permit takes no other rule away. */
    assert_int_equal(fits("MP70", "x86_64", "4.18", 20, &nothing), AMM_TRUST_MODEL);
}

static void a_key_names_the_next_one(void **state)
{
    char text[1024];
    struct amm_manifest manifest = some();
    struct amm_successor successor = {.from = NOW - 2 * DAY, .comment = "2027"};
    (void)state;
    amm_signer_key(stranger, successor.key);
    size_t bare = amm_successor_write(&successor, text, sizeof text), len = bare;
    assert_true(amm_statement_sign(stranger, text, &len, sizeof text));
    assert_int_equal(amm_keyring_follow(&ring, amm_view(text, len), why), AMM_TRUST_UNKNOWN_KEY);
    len = bare;
    assert_true(amm_statement_sign(release, text, &len, sizeof text));
    assert_int_equal(amm_keyring_follow(&ring, amm_view(text, len), why), AMM_TRUST_GOOD);
    assert_int_equal(amm_keyring_follow(&ring, amm_view(text, len), why), AMM_TRUST_GOOD);
    assert_int_equal(ring.n, 3);
    assert_int_equal(judged(&manifest, stranger), AMM_TRUST_GOOD);
    assert_int_equal(judged(&manifest, release), AMM_TRUST_GOOD); /* both, while they overlap */
}

static void key_files(void **state)
{
    char text[AMM_KEYRING_TEXT];
    struct amm_keyring read;
    (void)state;
    ring.keys[0].from = NOW;
    size_t len = amm_keyring_write(&ring, text, sizeof text);
    assert_true(amm_keyring_parse(&read, amm_view(text, len), why));
    assert_int_equal(read.n, 2);
    assert_memory_equal(read.keys[0].key, ring.keys[0].key, AMM_SIGNATURE_KEY);
    assert_int_equal(read.keys[0].from, NOW);
    assert_true(read.keys[1].is_development);
    assert_true(amm_keyring_parse(&read, amm_view_str("# none\n\n"), why));
    assert_int_equal(read.n, 0);
    static const char *const bad[] = {"release\n",
                                      "release AAAA\n",
                                      "root AAAA\n",
                                      "release ",
                                      "release AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= x\n",
                                      "release AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= "
                                      "99999999999999999999999999\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(amm_keyring_parse(&read, amm_view_str(bad[i]), why));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(who_signed_decides),
        TEST(what_was_changed_is_refused),
        TEST(a_signature_is_for_one_text),
        TEST(dates_decide),
        TEST(two_signatures),
        TEST(for_whom_it_is),
        TEST(going_back_needs_a_permit),
        TEST(a_key_names_the_next_one),
        TEST(key_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
