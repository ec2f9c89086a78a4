#include "crypto/signed_time.h"
#include "enrol_files.h"
#include "tls_pair.h"

#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct world world;
static struct credential time_key;
static const uint8_t nonce[AMM_CLAIM_NONCE] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* A certificate for an Ed25519 key of its own. */
static struct credential certify(const struct credential *ca, enum amm_certificate_role role,
                                 const char *name)
{
    struct credential made;
    char error[ERROR_MAX] = "";
    struct amm_certificate_request request = {
        .role = role, .name = name, .not_before = NOW - DAY, .not_after = NOW + 100 * DAY};
    if (!amm_signature_key_new(made.key, error, sizeof error) ||
        !amm_pki_issue(&request, made.key, ca->certificate, ca->key, made.certificate, error,
                       sizeof error)) {
        fail_msg("%s", error);
    }
    return made;
}

static int set_up(void **state)
{
    make_world(&world);
    time_key = certify(&world.server_ca, AMM_CERTIFICATE_TIME, AMM_CLAIM_NAME);
    return files_set_up(state);
}

static void sign(const char *key, int64_t wall, uint8_t signature[AMM_SIGNATURE])
{
    char error[ERROR_MAX] = "";
    struct amm_signer *signer = amm_signer_new(key, "time key", error, sizeof error);
    assert_non_null(signer);
    assert_true(amm_time_sign(signer, nonce, wall, signature));
    amm_signer_free(signer);
}

/* What the asking side says to a time signed by `by` with its certificate; "" if it takes it. */
static const char *verdict(const struct credential *by, int64_t wall, int64_t floor)
{
    static char error[ERROR_MAX];
    uint8_t signature[AMM_SIGNATURE];
    sign(by->key, wall, signature);
    struct amm_time_claim claim = {wall, signature, by->certificate};
    return amm_time_accept(&claim, nonce, world.server_ca.certificate, floor, error, sizeof error)
               ? ""
               : error;
}

static void a_time_forward_of_the_floor_is_taken(void **state)
{
    (void)state;
    assert_string_equal(verdict(&time_key, NOW, NOW), "");
    assert_string_equal(verdict(&time_key, NOW, 0), "");
}

static void a_time_below_the_floor_is_refused(void **state)
{
    (void)state;
    assert_non_null(strstr(verdict(&time_key, NOW, NOW + 1), "lies before"));
}

static void a_time_outside_the_keys_own_life_is_refused(void **state)
{
    (void)state;
    assert_non_null(strstr(verdict(&time_key, NOW - 2 * DAY, 0), "outside the life"));
    assert_non_null(strstr(verdict(&time_key, NOW + 101 * DAY, 0), "outside the life"));
}

static void another_nonce_time_or_signature_is_refused(void **state)
{
    (void)state;
    uint8_t signature[AMM_SIGNATURE], old[AMM_CLAIM_NONCE];
    char error[ERROR_MAX] = "";
    sign(time_key.key, NOW, signature);
    struct amm_time_claim claim = {NOW, signature, time_key.certificate};
    const char *ca = world.server_ca.certificate;
    memcpy(old, nonce, sizeof old);
    for (size_t i = 0; i < sizeof old; i++) {
        old[i] ^= 0x80;
        assert_false(amm_time_accept(&claim, old, ca, 0, error, sizeof error));
        assert_non_null(strstr(error, "does not cover"));
        old[i] ^= 0x80;
    }
    assert_true(amm_time_accept(&claim, old, ca, 0, error, sizeof error));
    claim.wall++;
    assert_false(amm_time_accept(&claim, nonce, ca, 0, error, sizeof error));
    claim.wall--;
    for (size_t i = 0; i < sizeof signature; i++) {
        signature[i] ^= 1;
        assert_false(amm_time_accept(&claim, nonce, ca, 0, error, sizeof error));
        signature[i] ^= 1;
    }
}

static void keys_that_may_not_tell_the_time_are_refused(void **state)
{
    (void)state;
    struct credential foreign = certify(&world.other_ca, AMM_CERTIFICATE_TIME, AMM_CLAIM_NAME);
    struct credential renamed = certify(&world.server_ca, AMM_CERTIFICATE_TIME, "amm-manager");
    struct credential shorter = certify(&world.server_ca, AMM_CERTIFICATE_TIME, "amm-tim");
    struct credential server = certify(&world.server_ca, AMM_CERTIFICATE_SERVER, AMM_CLAIM_NAME);
    struct credential gateway = certify(&world.gateway_ca, AMM_CERTIFICATE_GATEWAY, AMM_CLAIM_NAME);
    assert_non_null(strstr(verdict(&foreign, NOW, 0), "not certified by the server CA"));
    assert_non_null(strstr(verdict(&gateway, NOW, 0), "not certified by the server CA"));
    assert_non_null(strstr(verdict(&renamed, NOW, 0), "another name"));
    assert_non_null(strstr(verdict(&shorter, NOW, 0), "another name"));
    assert_non_null(strstr(verdict(&server, NOW, 0), "for something else"));

    /* The right certificate around another key. */
    struct credential mixed = foreign;
    memcpy(mixed.certificate, time_key.certificate, sizeof mixed.certificate);
    assert_non_null(strstr(verdict(&mixed, NOW, 0), "does not cover"));
}

static void a_ca_of_the_same_name_with_another_key_is_refused(void **state)
{
    (void)state;
    struct credential twin;
    make_ca(&twin, "server CA");
    struct credential forged = certify(&twin, AMM_CERTIFICATE_TIME, AMM_CLAIM_NAME);
    assert_non_null(strstr(verdict(&forged, NOW, 0), "not certified by the server CA"));
}

/* Everything about it says that the server CA has signed it; the signature does not. */
static void a_certificate_with_a_wrong_signature_is_refused(void **state)
{
    (void)state;
    struct credential forged = time_key;
    BIO *bio = BIO_new_mem_buf(time_key.certificate, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    uint8_t der[AMM_PEM_MAX], *end = der;
    int len = i2d_X509(certificate, &end);
    X509_free(certificate);
    BIO_free(bio);
    der[len - 1] ^= 1;
    const uint8_t *at = der;
    certificate = d2i_X509(NULL, &at, len);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
    int n = BIO_read(bio, forged.certificate, sizeof forged.certificate - 1);
    forged.certificate[n] = '\0';
    BIO_free(bio);
    X509_free(certificate);
    assert_non_null(strstr(verdict(&forged, NOW, 0), "not certified by the server CA"));
}

static void only_an_ed25519_key_signs_time(void **state)
{
    (void)state;
    char error[ERROR_MAX] = "";
    assert_null(amm_signer_new(world.server.key, "time key", error, sizeof error));
    assert_non_null(strstr(error, "not an Ed25519 key"));
    assert_null(amm_signer_new("nothing", "time key", error, sizeof error));
    struct credential ecdsa;
    issue(&ecdsa, AMM_CERTIFICATE_TIME, AMM_CLAIM_NAME, &world.server_ca, NOW - DAY, NOW + DAY);
    uint8_t signature[AMM_SIGNATURE] = {0};
    struct amm_time_claim claim = {NOW, signature, ecdsa.certificate};
    assert_false(
        amm_time_accept(&claim, nonce, world.server_ca.certificate, 0, error, sizeof error));
    assert_non_null(strstr(error, "not an Ed25519 key"));
}

static void what_is_signed_is_what_the_protocol_says(void **state)
{
    (void)state;
    uint8_t signature[AMM_SIGNATURE], message[35];
    struct amm_writer w = amm_writer(message, sizeof message);
    amm_write_bytes(&w, "amm-time-1", 11);
    amm_write_bytes(&w, nonce, sizeof nonce);
    amm_write_u64(&w, (uint64_t)NOW);
    assert_int_equal(amm_writer_len(&w), sizeof message);
    sign(time_key.key, NOW, signature);
    file_write("message", amm_view(message, sizeof message));
    file_write("signature", amm_view(signature, sizeof signature));
    file_write("certificate", amm_view_str(time_key.certificate));
    file_write("ca", amm_view_str(world.server_ca.certificate));
    assert_true(OPENSSL("pkeyutl", "-verify", "-rawin", "-certin", "-inkey",
                        file_path("certificate"), "-in", file_path("message"), "-sigfile",
                        file_path("signature")));
    assert_true(OPENSSL("verify", "-no_check_time", "-purpose", "timestampsign", "-CAfile",
                        file_path("ca"), file_path("certificate")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_forward_of_the_floor_is_taken),
        cmocka_unit_test(a_time_below_the_floor_is_refused),
        cmocka_unit_test(a_time_outside_the_keys_own_life_is_refused),
        cmocka_unit_test(another_nonce_time_or_signature_is_refused),
        cmocka_unit_test(keys_that_may_not_tell_the_time_are_refused),
        cmocka_unit_test(a_ca_of_the_same_name_with_another_key_is_refused),
        cmocka_unit_test(a_certificate_with_a_wrong_signature_is_refused),
        cmocka_unit_test(only_an_ed25519_key_signs_time),
        cmocka_unit_test(what_is_signed_is_what_the_protocol_says),
    };
    return cmocka_run_group_tests(tests, set_up, files_tear_down);
}
