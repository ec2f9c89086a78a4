/* Who is refused, and that it is said why: the matrix of roles, dates, issuers, names, limits and
 * lists. */
#include "tls_pair.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
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

/* The server's verdict on a gateway with this credential. */
static enum amm_tls_failure verdict_on(const struct credential *gateway)
{
    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    client.certificate = gateway->certificate;
    client.key = gateway->key;
    enum amm_tls_failure tls13 = server_verdict(&client, &server, NOW);
    client.tls13_off = true;
    assert_int_equal(server_verdict(&client, &server, NOW), tls13);
    return tls13;
}

/* The gateway's verdict on a server with this credential. */
static enum amm_tls_failure verdict_on_server(const struct credential *credential)
{
    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    server.certificate = credential->certificate;
    server.key = credential->key;
    enum amm_tls_failure tls13 = client_verdict(&client, &server, NOW);
    client.tls13_off = true;
    assert_int_equal(client_verdict(&client, &server, NOW), tls13);
    return tls13;
}

static void a_good_gateway_and_a_good_server_are_accepted(void **state)
{
    (void)state;
    assert_int_equal(verdict_on(&world.gateway), AMM_TLS_OK);
    assert_int_equal(verdict_on_server(&world.server), AMM_TLS_OK);
}

static void expired_certificates_are_refused_by_both_sides(void **state)
{
    (void)state;
    struct credential old;
    issue(&old, AMM_CERTIFICATE_GATEWAY, "gw-2", &world.gateway_ca, NOW - 2 * DAY, NOW - 1);
    assert_int_equal(verdict_on(&old), AMM_TLS_EXPIRED);
    issue(&old, AMM_CERTIFICATE_SERVER, "server", &world.server_ca, NOW - 2 * DAY, NOW - 1);
    assert_int_equal(verdict_on_server(&old), AMM_TLS_EXPIRED);
}

static void future_certificates_are_refused_by_both_sides(void **state)
{
    (void)state;
    struct credential early;
    issue(&early, AMM_CERTIFICATE_GATEWAY, "gw-2", &world.gateway_ca, NOW + 1, NOW + DAY);
    assert_int_equal(verdict_on(&early), AMM_TLS_NOT_YET_VALID);
    issue(&early, AMM_CERTIFICATE_SERVER, "server", &world.server_ca, NOW + 1, NOW + DAY);
    assert_int_equal(verdict_on_server(&early), AMM_TLS_NOT_YET_VALID);
}

static void the_clock_that_counts_is_the_callers(void **state)
{
    (void)state;
    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    assert_int_equal(client_verdict(&client, &server, 0), AMM_TLS_NOT_YET_VALID);
    assert_int_equal(client_verdict(&client, &server, NOW + 2 * DAY), AMM_TLS_EXPIRED);
    assert_int_equal(client_verdict(&client, &server, NOW + DAY - 1), AMM_TLS_OK);
}

static void certificates_of_another_ca_are_refused_by_both_sides(void **state)
{
    (void)state;
    struct credential foreign;
    issue(&foreign, AMM_CERTIFICATE_GATEWAY, "gw-1", &world.other_ca, NOW - DAY, NOW + DAY);
    assert_int_equal(verdict_on(&foreign), AMM_TLS_UNKNOWN_ISSUER);
    issue(&foreign, AMM_CERTIFICATE_SERVER, "server", &world.other_ca, NOW - DAY, NOW + DAY);
    assert_int_equal(verdict_on_server(&foreign), AMM_TLS_UNKNOWN_ISSUER);
}

static void a_ca_of_the_same_name_with_another_key_is_refused(void **state)
{
    (void)state;
    struct credential twin, foreign;
    make_ca(&twin, "gateway CA");
    issue(&foreign, AMM_CERTIFICATE_GATEWAY, "gw-1", &twin, NOW - DAY, NOW + DAY);
    assert_int_not_equal(verdict_on(&foreign), AMM_TLS_OK);
}

static void a_server_certificate_cannot_join_as_a_gateway(void **state)
{
    (void)state;
    struct credential wrong;
    issue(&wrong, AMM_CERTIFICATE_SERVER, "gw-1", &world.gateway_ca, NOW - DAY, NOW + DAY);
    assert_int_equal(verdict_on(&wrong), AMM_TLS_WRONG_ROLE);
}

static void a_gateway_cannot_play_the_server(void **state)
{
    (void)state;
    struct credential wrong;
    issue(&wrong, AMM_CERTIFICATE_GATEWAY, "server", &world.server_ca, NOW - DAY, NOW + DAY);
    assert_int_equal(verdict_on_server(&wrong), AMM_TLS_WRONG_ROLE);
}

static void a_foreign_server_without_role_is_accepted_only_on_request(void **state)
{
    (void)state;
    struct credential foreign;
    issue(&foreign, AMM_CERTIFICATE_GATEWAY, "server", &world.server_ca, NOW - DAY, NOW + DAY);
    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    server.certificate = foreign.certificate;
    server.key = foreign.key;
    client.no_role_check = true;
    assert_int_equal(client_verdict(&client, &server, NOW), AMM_TLS_OK);
    client.no_role_check = false;
    assert_int_equal(client_verdict(&client, &server, NOW), AMM_TLS_WRONG_ROLE);
}

static void a_server_never_drops_its_role_check(void **state)
{
    (void)state;
    struct credential wrong;
    issue(&wrong, AMM_CERTIFICATE_SERVER, "gw-1", &world.gateway_ca, NOW - DAY, NOW + DAY);
    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    client.certificate = wrong.certificate;
    client.key = wrong.key;
    server.no_role_check = true;
    assert_int_equal(server_verdict(&client, &server, NOW), AMM_TLS_WRONG_ROLE);
}

static void a_gateway_without_certificate_is_refused(void **state)
{
    (void)state;
    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    client.certificate = client.key = NULL;
    client.optional_certificate = true;
    assert_int_equal(server_verdict(&client, &server, NOW), AMM_TLS_NO_CERTIFICATE);
    client.tls13_off = true;
    assert_int_equal(server_verdict(&client, &server, NOW), AMM_TLS_NO_CERTIFICATE);
}

static void the_name_of_the_server_must_be_the_expected_one(void **state)
{
    (void)state;
    static const struct {
        const char *expected;
        bool prefix;
        enum amm_tls_failure verdict;
    } cases[] = {
        {"tunnel.example", false, AMM_TLS_OK},
        {"tunnel.exampl", false, AMM_TLS_WRONG_NAME},
        {"tunnel.example.org", false, AMM_TLS_WRONG_NAME},
        {"tunnel.", true, AMM_TLS_OK},
        {"tunnel.example", true, AMM_TLS_OK},
        {"tunnel.example.org", true, AMM_TLS_WRONG_NAME},
        {"other", true, AMM_TLS_WRONG_NAME},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
        client.server_name = cases[i].expected;
        client.server_name_is_prefix = cases[i].prefix;
        assert_int_equal(client_verdict(&client, &server, NOW), cases[i].verdict);
    }
}

static void only_a_common_version_opens_a_session(void **state)
{
    (void)state;
    struct amm_tls_settings server = server_settings(&world);
    struct pair pair = new_pair(&server, &server, NOW);
    /* A ClientHello of TLS 1.1, as short as one can be. */
    static const uint8_t hello[] = {22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2, 1, 1,    1,    1, 1, 1,
                                    1,  1, 1, 1, 1,  1, 1, 1, 1,  1, 1, 1, 1,    1,    1, 1, 1,
                                    1,  1, 1, 1, 1,  1, 1, 1, 1,  0, 0, 2, 0xc0, 0x0a, 1, 0};
    amm_tls_openssl.feed(pair.server, amm_view(hello, sizeof hello));
    const char *detail;
    assert_int_equal(amm_tls_openssl.step(pair.server), AMM_TLS_FAILED);
    assert_int_equal(amm_tls_openssl.failure(pair.server, &detail), AMM_TLS_VERSION);
    uint8_t alert[64];
    assert_true(amm_tls_openssl.drain(pair.server, alert, sizeof alert) > 0);
    free_pair(&pair);
}

/* ---- certificates that our own tools would not make ---- */

struct odd {
    const char *name;
    int name_len;
    int name_type;
    bool two_names;
    const char *usage; /* extendedKeyUsage, or NULL for none */
    size_t padding;    /* bytes of a comment, to make it large */
    EVP_PKEY *key;     /* NULL: a new P-256 key */
};

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void add_padding(X509 *certificate, size_t len)
{
    char *text = malloc(len + 1);
    memset(text, 'x', len);
    text[len] = '\0';
    add_extension(certificate, NID_netscape_comment, text);
    free(text);
}

static void to_text(BIO *bio, char out[AMM_PEM_MAX * 2])
{
    int n = BIO_read(bio, out, AMM_PEM_MAX * 2 - 1);
    assert_in_range(n, 1, AMM_PEM_MAX * 2 - 2);
    out[n] = '\0';
    BIO_free(bio);
}

static EVP_PKEY *read_key(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return key;
}

static X509_NAME *name_of(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(certificate));
    X509_free(certificate);
    BIO_free(bio);
    return name;
}

/* Not ASN1_TIME_set: its time_t may be another one than ours (src/crypto/x509.c). */
static void set_date(ASN1_TIME *out, int64_t wall)
{
    char text[16];
    time_t seconds = wall;
    struct tm parts;
    assert_non_null(gmtime_r(&seconds, &parts));
    assert_int_equal(strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &parts), 15);
    assert_int_equal(ASN1_TIME_set_string_X509(out, text), 1);
}

static enum amm_tls_failure verdict_on_odd(const struct odd *odd)
{
    static char certificate[AMM_PEM_MAX * 2], key[AMM_PEM_MAX * 2];
    EVP_PKEY *pair = odd->key ? odd->key : EVP_EC_gen("P-256");
    EVP_PKEY *ca = read_key(world.gateway_ca.key);
    X509_NAME *issuer = name_of(world.gateway_ca.certificate);
    X509 *x = X509_new();
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 5);
    X509_NAME *subject = X509_get_subject_name(x);
    for (int i = 0; odd->name && i <= odd->two_names; i++) {
        X509_NAME_add_entry_by_NID(subject, NID_commonName, odd->name_type,
                                   (const uint8_t *)odd->name, odd->name_len, -1, 0);
    }
    X509_set_issuer_name(x, issuer);
    set_date(X509_getm_notBefore(x), NOW - DAY);
    set_date(X509_getm_notAfter(x), NOW + DAY);
    X509_set_pubkey(x, pair);
    if (odd->usage) {
        add_extension(x, NID_ext_key_usage, odd->usage);
    }
    if (odd->padding) {
        add_padding(x, odd->padding);
    }
    assert_true(X509_sign(x, ca, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x);
    to_text(bio, certificate);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, pair, NULL, NULL, 0, NULL, NULL);
    to_text(bio, key);
    X509_free(x);
    X509_NAME_free(issuer);
    EVP_PKEY_free(ca);
    EVP_PKEY_free(pair);

    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    client.certificate = certificate;
    client.key = key;
    return server_verdict(&client, &server, NOW);
}

static void a_certificate_that_says_no_role_is_refused(void **state)
{
    (void)state;
    struct odd odd = {.name = "gw-1", .name_len = -1, .name_type = MBSTRING_UTF8};
    assert_int_equal(verdict_on_odd(&odd), AMM_TLS_WRONG_ROLE);
    odd.usage = "anyExtendedKeyUsage";
    assert_int_equal(verdict_on_odd(&odd), AMM_TLS_WRONG_ROLE);
    odd.usage = "clientAuth,serverAuth";
    assert_int_equal(verdict_on_odd(&odd), AMM_TLS_OK);
}

static void names_that_cannot_be_a_gateways_are_refused(void **state)
{
    (void)state;
    const struct odd cases[] = {
        {.name = NULL},
        {.name = "gw 1", .name_len = -1, .name_type = MBSTRING_UTF8},
        {.name = "a/b", .name_len = -1, .name_type = MBSTRING_UTF8},
        {.name = "gw\x01", .name_len = -1, .name_type = MBSTRING_ASC},
        {.name = "gw-1\0.evil", .name_len = 10, .name_type = MBSTRING_ASC},
        {.name = "gr\xc3\xbc", .name_len = -1, .name_type = MBSTRING_UTF8},
        {.name = "gw-1", .name_len = -1, .name_type = MBSTRING_UTF8, .two_names = true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct odd odd = cases[i];
        odd.usage = "clientAuth";
        assert_int_equal(verdict_on_odd(&odd), AMM_TLS_WRONG_NAME);
    }
}

static void a_name_of_64_characters_is_the_longest(void **state)
{
    (void)state;
    const char *longest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct credential gateway;
    issue(&gateway, AMM_CERTIFICATE_GATEWAY, longest, &world.gateway_ca, NOW - DAY, NOW + DAY);
    assert_int_equal(verdict_on(&gateway), AMM_TLS_OK);
}

static void large_certificates_and_weak_or_strange_keys_are_refused(void **state)
{
    (void)state;
    struct odd odd = {
        .name = "gw-1", .name_len = -1, .name_type = MBSTRING_UTF8, .usage = "clientAuth"};
    odd.padding = 7000;
    assert_int_equal(verdict_on_odd(&odd), AMM_TLS_OK);
    odd.padding = 8192;
    assert_int_equal(verdict_on_odd(&odd), AMM_TLS_TOO_BIG);
    odd.padding = 0;
    odd.key = EVP_RSA_gen(2048);
    assert_int_equal(verdict_on_odd(&odd), AMM_TLS_OK);
    odd.key = EVP_EC_gen("P-384");
    assert_int_equal(verdict_on_odd(&odd), AMM_TLS_OK);
    odd.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    assert_int_equal(verdict_on_odd(&odd), AMM_TLS_OK);
}

static void our_own_weak_key_is_refused_at_start(void **state)
{
    (void)state;
    struct credential gateway = world.gateway;
    EVP_PKEY *weak = EVP_EC_gen("P-521");
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, weak, NULL, NULL, 0, NULL, NULL);
    int n = BIO_read(bio, gateway.key, AMM_PEM_MAX - 1);
    gateway.key[n] = '\0';
    BIO_free(bio);
    EVP_PKEY_free(weak);
    char error[ERROR_MAX] = "";
    struct amm_certificate_request request = {
        .role = AMM_CERTIFICATE_GATEWAY, .name = "gw-1", .not_before = NOW, .not_after = NOW + DAY};
    assert_true(amm_pki_issue(&request, gateway.key, world.gateway_ca.certificate,
                              world.gateway_ca.key, gateway.certificate, error, sizeof error));
    struct amm_tls_settings client = client_settings(&world);
    client.certificate = gateway.certificate;
    client.key = gateway.key;
    assert_null(amm_tls_context_new(&client, error, sizeof error));
    assert_non_null(strstr(error, "cert: "));
}

static void more_than_four_certificates_are_refused(void **state)
{
    (void)state;
    static char chain[5 * AMM_PEM_MAX];
    struct credential extra;
    strcat(chain, world.gateway.certificate);
    for (int i = 0; i < 3; i++) {
        make_ca(&extra, "extra CA");
        strcat(chain, extra.certificate);
    }
    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    client.certificate = chain;
    assert_int_equal(server_verdict(&client, &server, NOW), AMM_TLS_OK);
    make_ca(&extra, "one too many");
    strcat(chain, extra.certificate);
    char error[ERROR_MAX];
    assert_null(amm_tls_context_new(&client, error, sizeof error));
    assert_non_null(strstr(error, "at most 4 certificates"));
}

/* ---- revocation ---- */

static enum amm_tls_failure verdict_with_crl(const char *crl, int64_t wall)
{
    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    server.crl = crl;
    return server_verdict(&client, &server, wall);
}

static void a_revoked_gateway_is_refused_and_others_are_not(void **state)
{
    (void)state;
    struct credential other;
    issue(&other, AMM_CERTIFICATE_GATEWAY, "gw-2", &world.gateway_ca, NOW - DAY, NOW + DAY);
    const struct credential *revoked[] = {&other, &world.gateway};
    char *one = make_crl(&world.gateway_ca, revoked, 1, NOW - 10, NOW + DAY);
    char *two = make_crl(&world.gateway_ca, revoked, 2, NOW - 10, NOW + DAY);
    char *none = make_crl(&world.gateway_ca, NULL, 0, NOW - 10, NOW + DAY);
    assert_int_equal(verdict_with_crl(none, NOW), AMM_TLS_OK);
    assert_int_equal(verdict_with_crl(one, NOW), AMM_TLS_OK);
    assert_int_equal(verdict_with_crl(two, NOW), AMM_TLS_REVOKED);
    free(one);
    free(two);
    free(none);
}

static void a_revoked_server_is_refused(void **state)
{
    (void)state;
    const struct credential *revoked[] = {&world.server};
    char *crl = make_crl(&world.server_ca, revoked, 1, NOW - 10, NOW + DAY);
    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    client.crl = crl;
    assert_int_equal(client_verdict(&client, &server, NOW), AMM_TLS_REVOKED);
    free(crl);
}

static void an_expired_future_or_missing_list_refuses_everybody(void **state)
{
    (void)state;
    char *list = make_crl(&world.gateway_ca, NULL, 0, NOW - 10, NOW + 10);
    assert_int_equal(verdict_with_crl(list, NOW), AMM_TLS_OK);
    assert_int_equal(verdict_with_crl(list, NOW + 11), AMM_TLS_NO_CRL);
    assert_int_equal(verdict_with_crl(list, NOW - 11), AMM_TLS_NO_CRL);

    char both[2 * AMM_PEM_MAX] = "";
    strcat(both, world.gateway_ca.certificate);
    strcat(both, world.other_ca.certificate);
    char *other = make_crl(&world.other_ca, NULL, 0, NOW - 10, NOW + 10);
    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    server.ca = both;
    server.crl = other;
    assert_int_equal(server_verdict(&client, &server, NOW), AMM_TLS_NO_CRL);
    free(list);
    free(other);
}

static void a_damaged_list_keeps_the_last_good_one(void **state)
{
    (void)state;
    const struct credential *revoked[] = {&world.gateway};
    char *good = make_crl(&world.gateway_ca, revoked, 1, NOW - 10, NOW + DAY);
    struct amm_tls_settings settings = server_settings(&world);
    char error[ERROR_MAX] = "";
    struct amm_tls_context *context = amm_tls_context_new(&settings, error, sizeof error);
    struct amm_identity gateway, ca;
    assert_true(amm_pki_identity(world.gateway.certificate, &gateway, error, sizeof error));
    assert_true(amm_pki_identity(world.gateway_ca.certificate, &ca, error, sizeof error));
    memcpy(gateway.issuer, ca.key, sizeof ca.key);
    assert_false(amm_tls_context_revokes(context, &gateway));
    assert_true(amm_tls_context_set_crl(context, good, NOW, error, sizeof error));
    assert_true(amm_tls_context_revokes(context, &gateway));

    /* Cut at each byte but the last, which is only the end of the line. */
    size_t len = strlen(good) - 1;
    char *cut = strdup(good);
    for (size_t i = 0; i < len; i++) {
        memcpy(cut, good, len);
        cut[i] = '\0';
        error[0] = '\0';
        assert_false(amm_tls_context_set_crl(context, cut, NOW, error, sizeof error));
        assert_true(error[0] != '\0');
        assert_true(amm_tls_context_revokes(context, &gateway));
    }
    assert_false(amm_tls_context_set_crl(context, NULL, NOW, error, sizeof error));
    assert_true(amm_tls_context_revokes(context, &gateway));
    free(cut);
    free(good);
    amm_tls_context_free(context);
}

static void lists_that_are_foreign_or_out_of_date_are_not_loaded(void **state)
{
    (void)state;
    struct amm_tls_settings settings = server_settings(&world);
    char error[ERROR_MAX] = "";
    struct amm_tls_context *context = amm_tls_context_new(&settings, error, sizeof error);
    char *foreign = make_crl(&world.other_ca, NULL, 0, NOW - 10, NOW + DAY);
    char *list = make_crl(&world.gateway_ca, NULL, 0, NOW - 10, NOW + DAY);
    assert_false(amm_tls_context_set_crl(context, foreign, NOW, error, sizeof error));
    assert_string_equal(error, "crl: a list is not signed by a trusted CA");
    assert_false(amm_tls_context_set_crl(context, list, NOW + 2 * DAY, error, sizeof error));
    assert_string_equal(error, "crl: a list has expired; make a new one");
    assert_false(amm_tls_context_set_crl(context, list, NOW - DAY, error, sizeof error));
    assert_string_equal(error, "crl: a list is not valid yet; check the clock");
    assert_true(amm_tls_context_set_crl(context, list, NOW, error, sizeof error));
    free(foreign);
    free(list);
    amm_tls_context_free(context);
}

static void a_new_set_must_cover_the_issuers_of_the_old_one(void **state)
{
    (void)state;
    char both_ca[2 * AMM_PEM_MAX] = "", both_crl[2 * AMM_PEM_MAX] = "";
    strcat(both_ca, world.gateway_ca.certificate);
    strcat(both_ca, world.other_ca.certificate);
    char *one = make_crl(&world.gateway_ca, NULL, 0, NOW - 10, NOW + DAY);
    char *two = make_crl(&world.other_ca, NULL, 0, NOW - 10, NOW + DAY);
    strcat(both_crl, one);
    strcat(both_crl, two);
    struct amm_tls_settings settings = server_settings(&world);
    settings.ca = both_ca;
    settings.crl = both_crl;
    char error[ERROR_MAX] = "";
    struct amm_tls_context *context = amm_tls_context_new(&settings, error, sizeof error);
    assert_non_null(context);
    assert_false(amm_tls_context_set_crl(context, one, NOW, error, sizeof error));
    assert_string_equal(error, "crl: the list of an issuer that had one is missing");
    assert_true(amm_tls_context_set_crl(context, both_crl, NOW, error, sizeof error));
    free(one);
    free(two);
    amm_tls_context_free(context);
}

static void a_new_list_holds_for_handshakes_under_way(void **state)
{
    (void)state;
    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    struct pair pair = new_pair(&client, &server, NOW);
    const struct credential *revoked[] = {&world.gateway};
    char *crl = make_crl(&world.gateway_ca, revoked, 1, NOW - 10, NOW + DAY);
    char error[ERROR_MAX];
    amm_tls_openssl.step(pair.client);
    assert_true(amm_tls_context_set_crl(pair.server_context, crl, NOW, error, sizeof error));
    pump(&pair, 1250);
    const char *detail;
    assert_int_equal(amm_tls_openssl.failure(pair.server, &detail), AMM_TLS_REVOKED);
    assert_string_equal(detail, "certificate of gw-1: revoked");
    assert_int_equal(amm_tls_openssl.failure(pair.client, &detail), AMM_TLS_PEER_ALERT);
    assert_string_equal(detail, "TLS alert: certificate revoked");
    free(crl);
    free_pair(&pair);
}

/* Another session between the contexts of `pair`. */
static enum amm_tls_failure verdict_again(struct pair *pair, int64_t wall, const char **detail)
{
    amm_tls_openssl.close(pair->client);
    amm_tls_openssl.close(pair->server);
    pair->client = amm_tls_openssl.open(pair->client_context, NOW);
    pair->server = amm_tls_openssl.open(pair->server_context, wall);
    pair->client_state = pair->server_state = AMM_TLS_HANDSHAKE;
    pump(pair, 1250);
    return amm_tls_openssl.failure(pair->server, detail);
}

static void a_known_gateway_is_still_checked_for_all_that_can_change(void **state)
{
    (void)state;
    struct amm_tls_settings client = client_settings(&world), server = server_settings(&world);
    struct pair pair = new_pair(&client, &server, NOW);
    const char *detail;
    char error[ERROR_MAX];
    pump(&pair, 1250);
    struct amm_identity first = *amm_tls_openssl.identity(pair.server);
    assert_int_equal(verdict_again(&pair, NOW, &detail), AMM_TLS_OK);
    assert_memory_equal(amm_tls_openssl.identity(pair.server), &first, sizeof first);
    assert_int_equal(verdict_again(&pair, NOW + 2 * DAY, &detail), AMM_TLS_EXPIRED);
    assert_int_equal(verdict_again(&pair, NOW - 2 * DAY, &detail), AMM_TLS_NOT_YET_VALID);
    assert_int_equal(verdict_again(&pair, NOW, &detail), AMM_TLS_OK);

    const struct credential *revoked[] = {&world.gateway};
    char *crl = make_crl(&world.gateway_ca, revoked, 1, NOW - 10, NOW + DAY);
    assert_true(amm_tls_context_set_crl(pair.server_context, crl, NOW, error, sizeof error));
    assert_int_equal(verdict_again(&pair, NOW, &detail), AMM_TLS_REVOKED);
    assert_string_equal(detail, "certificate of gw-1: revoked");
    free(crl);
    free_pair(&pair);
}

static void every_failure_has_its_own_name_and_a_cure(void **state)
{
    (void)state;
    for (int i = 0; i < AMM_TLS_FAILURE_COUNT; i++) {
        assert_non_null(amm_tls_failure_text((enum amm_tls_failure)i));
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(amm_tls_failure_name((enum amm_tls_failure)i),
                                    amm_tls_failure_name((enum amm_tls_failure)j));
        }
    }
    assert_string_equal(amm_tls_failure_name(AMM_TLS_FAILURE_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_gateway_and_a_good_server_are_accepted),
        cmocka_unit_test(expired_certificates_are_refused_by_both_sides),
        cmocka_unit_test(future_certificates_are_refused_by_both_sides),
        cmocka_unit_test(the_clock_that_counts_is_the_callers),
        cmocka_unit_test(certificates_of_another_ca_are_refused_by_both_sides),
        cmocka_unit_test(a_ca_of_the_same_name_with_another_key_is_refused),
        cmocka_unit_test(a_server_certificate_cannot_join_as_a_gateway),
        cmocka_unit_test(a_gateway_cannot_play_the_server),
        cmocka_unit_test(a_foreign_server_without_role_is_accepted_only_on_request),
        cmocka_unit_test(a_server_never_drops_its_role_check),
        cmocka_unit_test(a_gateway_without_certificate_is_refused),
        cmocka_unit_test(the_name_of_the_server_must_be_the_expected_one),
        cmocka_unit_test(only_a_common_version_opens_a_session),
        cmocka_unit_test(a_certificate_that_says_no_role_is_refused),
        cmocka_unit_test(names_that_cannot_be_a_gateways_are_refused),
        cmocka_unit_test(a_name_of_64_characters_is_the_longest),
        cmocka_unit_test(large_certificates_and_weak_or_strange_keys_are_refused),
        cmocka_unit_test(our_own_weak_key_is_refused_at_start),
        cmocka_unit_test(more_than_four_certificates_are_refused),
        cmocka_unit_test(a_revoked_gateway_is_refused_and_others_are_not),
        cmocka_unit_test(a_revoked_server_is_refused),
        cmocka_unit_test(an_expired_future_or_missing_list_refuses_everybody),
        cmocka_unit_test(a_damaged_list_keeps_the_last_good_one),
        cmocka_unit_test(lists_that_are_foreign_or_out_of_date_are_not_loaded),
        cmocka_unit_test(a_new_set_must_cover_the_issuers_of_the_old_one),
        cmocka_unit_test(a_new_list_holds_for_handshakes_under_way),
        cmocka_unit_test(a_known_gateway_is_still_checked_for_all_that_can_change),
        cmocka_unit_test(every_failure_has_its_own_name_and_a_cure),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
