#include "crypto/pki.h"
#include "x509.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { SERIAL_BYTES = 16 };

/* Moves a memory BIO's text into a PEM buffer. */
static bool take_text(BIO *bio, char out[AMM_PEM_MAX])
{
    size_t pending = BIO_ctrl_pending(bio);
    if (pending == 0 || pending >= AMM_PEM_MAX) {
        return false;
    }
    int n = BIO_read(bio, out, (int)pending);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

bool amm_pki_key_new(char key[AMM_PEM_MAX], char *error, size_t room)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok = pair && bio && PEM_write_bio_PrivateKey(bio, pair, NULL, NULL, 0, NULL, NULL) == 1 &&
              take_text(bio, key);
    BIO_free(bio);
    EVP_PKEY_free(pair);
    return ok || refuse(error, room, "cannot make a key");
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool add_extensions(X509 *certificate, X509 *issuer,
                           const struct amm_certificate_request *request)
{
    static const struct {
        const char *constraints, *usage, *extended;
    } roles[] = {
        [AMM_CERTIFICATE_CA] = {"critical,CA:TRUE,pathlen:0", "critical,keyCertSign,cRLSign", NULL},
        [AMM_CERTIFICATE_SERVER] = {"critical,CA:FALSE", "critical,digitalSignature", "serverAuth"},
        [AMM_CERTIFICATE_GATEWAY] = {"critical,CA:FALSE", "critical,digitalSignature",
                                     "clientAuth"},
        [AMM_CERTIFICATE_TIME] = {"critical,CA:FALSE", "critical,digitalSignature",
                                  "critical,timeStamping"},
    };
    char alternative[AMM_NAME_MAX + 8];
    if (request->dns_name) {
        snprintf(alternative, sizeof alternative, "DNS:%s", request->dns_name);
    }
    return add_extension(certificate, issuer, NID_basic_constraints,
                         roles[request->role].constraints) &&
           add_extension(certificate, issuer, NID_key_usage, roles[request->role].usage) &&
           (!roles[request->role].extended ||
            add_extension(certificate, issuer, NID_ext_key_usage, roles[request->role].extended)) &&
           add_extension(certificate, issuer, NID_subject_key_identifier, "hash") &&
           add_extension(certificate, issuer, NID_authority_key_identifier, "keyid") &&
           (!request->dns_name ||
            add_extension(certificate, issuer, NID_subject_alt_name, alternative));
}

/* A random serial number: positive, and never 0. */
static bool set_serial(X509 *certificate)
{
    uint8_t bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1) {
        return false;
    }
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40);
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    return ok;
}

static bool set_names(X509 *certificate, const X509 *issuer, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, (const uint8_t *)name,
                                      -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer) : subject) == 1;
}

static bool fill(X509 *certificate, X509 *issuer, const struct amm_certificate_request *request,
                 EVP_PKEY *subject)
{
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           set_names(certificate, issuer, request->name) &&
           time_to_asn1(request->not_before, X509_getm_notBefore(certificate)) &&
           time_to_asn1(request->not_after, X509_getm_notAfter(certificate)) &&
           X509_set_pubkey(certificate, subject) == 1 &&
           add_extensions(certificate, issuer ? issuer : certificate, request);
}

/* Only letters, digits, '-' and '.': the text goes through OpenSSL's extension syntax. */
static bool is_dns_name(const char *name)
{
    size_t len = strlen(name);
    return len >= 1 && len <= AMM_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == len;
}

static bool is_printable(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        if (name[i] < 0x20 || name[i] > 0x7e) {
            return false;
        }
    }
    return len >= 1 && len <= AMM_NAME_MAX;
}

static bool check_request(const struct amm_certificate_request *request, char *error, size_t room)
{
    if (request->role == AMM_CERTIFICATE_CA ? !is_printable(request->name)
                                            : !name_is_good(request->name, strlen(request->name))) {
        return refuse(
            error, room,
            "name: 1-64 printable characters without '/' and space (a CA may have spaces)");
    }
    if (request->dns_name && !is_dns_name(request->dns_name)) {
        return refuse(error, room, "host name: letters, digits, '-' and '.', at most 64");
    }
    if (request->not_after <= request->not_before) {
        return refuse(error, room, "the certificate would end before it begins");
    }
    return true;
}

static bool check_issuer(const X509 *issuer, EVP_PKEY *key, int64_t not_after, char *error,
                         size_t room)
{
    int64_t end;
    if (X509_check_private_key(issuer, key) != 1) {
        return refuse(error, room, "the issuer's key does not belong to its certificate");
    }
    if (X509_check_ca((X509 *)issuer) != 1) {
        return refuse(error, room, "the issuer's certificate is not a CA's");
    }
    if (!time_from_asn1(X509_get0_notAfter(issuer), &end) || not_after > end) {
        return refuse(error, room, "the certificate would outlive its CA");
    }
    return true;
}

/* The first certificate of a PEM text. */
static X509 *one_certificate(const char *pem, const char *what, char *error, size_t room)
{
    STACK_OF(X509) *all = certificates_from_pem(NULL, pem, what, error, room);
    X509 *first = all ? sk_X509_shift(all) : NULL;
    sk_X509_pop_free(all, X509_free);
    return first;
}

static bool sign_certificate(X509 *certificate, EVP_PKEY *key, char out[AMM_PEM_MAX])
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok = bio && X509_sign(certificate, key, EVP_sha256()) > 0 &&
              PEM_write_bio_X509(bio, certificate) == 1 && take_text(bio, out);
    BIO_free(bio);
    return ok;
}

/* Takes over `subject`, which may be NULL. */
static bool issue_to(const struct amm_certificate_request *request, EVP_PKEY *subject,
                     const char *issuer_certificate, const char *issuer_key,
                     char certificate[AMM_PEM_MAX], char *error, size_t room)
{
    EVP_PKEY *key = subject ? key_from_pem(NULL, issuer_key, "issuer's key", error, room) : NULL;
    X509 *issuer = key && issuer_certificate
                       ? one_certificate(issuer_certificate, "issuer", error, room)
                       : NULL;
    bool ok = key && (!issuer_certificate ||
                      (issuer && check_issuer(issuer, key, request->not_after, error, room)));
    X509 *made = ok ? X509_new() : NULL;
    if (ok && !(made && fill(made, issuer, request, subject) &&
                sign_certificate(made, key, certificate))) {
        ok = refuse(error, room, "cannot make the certificate of %s", request->name);
    }
    X509_free(made);
    X509_free(issuer);
    EVP_PKEY_free(key);
    EVP_PKEY_free(subject);
    ERR_clear_error();
    return ok;
}

bool amm_pki_issue(const struct amm_certificate_request *request, const char *subject_key,
                   const char *issuer_certificate, const char *issuer_key,
                   char certificate[AMM_PEM_MAX], char *error, size_t room)
{
    return check_request(request, error, room) &&
           issue_to(request, key_from_pem(NULL, subject_key, "key", error, room),
                    issuer_certificate, issuer_key, certificate, error, room);
}

bool amm_pki_issue_to(const struct amm_certificate_request *request,
                      const uint8_t public_key[AMM_P256_KEY], const char *issuer_certificate,
                      const char *issuer_key, char certificate[AMM_PEM_MAX], char *error,
                      size_t room)
{
    return check_request(request, error, room) &&
           issue_to(request, key_from_p256(public_key, error, room), issuer_certificate, issuer_key,
                    certificate, error, room);
}

bool amm_pki_public_key(const char *key, uint8_t out[AMM_P256_KEY], char *error, size_t room)
{
    EVP_PKEY *pair = key_from_pem(NULL, key, "key", error, room);
    uint8_t *at = out;
    bool ok = pair && i2d_PUBKEY(pair, NULL) == AMM_P256_KEY &&
              i2d_PUBKEY(pair, &at) == AMM_P256_KEY && is_p256(out);
    if (pair && !ok) {
        refuse(error, room, "the key is not ECDSA P-256");
    }
    EVP_PKEY_free(pair);
    ERR_clear_error();
    return ok;
}

static bool add_revocation(X509_CRL *crl, const struct amm_revocation *revocation)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    BIGNUM *number = BN_bin2bn(revocation->serial, sizeof revocation->serial, NULL);
    ASN1_INTEGER *serial = number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
    ASN1_TIME *at = ASN1_TIME_new();
    bool ok = entry && serial && time_to_asn1(revocation->at, at) &&
              X509_REVOKED_set_serialNumber(entry, serial) == 1 &&
              X509_REVOKED_set_revocationDate(entry, at) == 1 &&
              X509_CRL_add0_revoked(crl, entry) == 1;
    if (!ok) {
        X509_REVOKED_free(entry);
    }
    ASN1_TIME_free(at);
    ASN1_INTEGER_free(serial);
    BN_free(number);
    return ok;
}

static bool add_crl_extensions(X509_CRL *crl, X509 *issuer, uint64_t number)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, NULL, NULL, crl, 0);
    X509_EXTENSION *authority =
        X509V3_EXT_conf_nid(NULL, &context, NID_authority_key_identifier, "keyid");
    ASN1_INTEGER *value = ASN1_INTEGER_new();
    bool ok = authority && X509_CRL_add_ext(crl, authority, -1) == 1 && value &&
              ASN1_INTEGER_set_uint64(value, number) == 1 &&
              X509_CRL_add1_ext_i2d(crl, NID_crl_number, value, 0, 0) == 1;
    ASN1_INTEGER_free(value);
    X509_EXTENSION_free(authority);
    return ok;
}

static bool set_crl_times(X509_CRL *crl, int64_t now, int64_t next)
{
    ASN1_TIME *from = ASN1_TIME_new();
    ASN1_TIME *until = ASN1_TIME_new();
    bool ok = time_to_asn1(now, from) && time_to_asn1(next, until) &&
              X509_CRL_set1_lastUpdate(crl, from) == 1 && X509_CRL_set1_nextUpdate(crl, until) == 1;
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return ok;
}

/* Signs and gives the PEM text in memory of its own. */
static char *sign_crl(X509_CRL *crl, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (bio && X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, key, EVP_sha256()) > 0 &&
        PEM_write_bio_X509_CRL(bio, crl) == 1) {
        char *data;
        long len = BIO_get_mem_data(bio, &data);
        text = strndup(data, (size_t)len);
    }
    BIO_free(bio);
    return text;
}

bool amm_pki_crl(const char *issuer_certificate, const char *issuer_key,
                 const struct amm_revocation *revoked, size_t n, uint64_t number, int64_t now,
                 int64_t next, char **out, char *error, size_t room)
{
    if (next <= now) {
        return refuse(error, room, "the revocation list would end before it begins");
    }
    X509 *issuer = one_certificate(issuer_certificate, "issuer", error, room);
    EVP_PKEY *key = issuer ? key_from_pem(NULL, issuer_key, "issuer's key", error, room) : NULL;
    bool ok = key && check_issuer(issuer, key, INT64_MIN, error, room);
    X509_CRL *crl = ok ? X509_CRL_new() : NULL;
    bool made = crl && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
                X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer)) == 1 &&
                set_crl_times(crl, now, next) && add_crl_extensions(crl, issuer, number);
    for (size_t i = 0; made && i < n; i++) {
        made = add_revocation(crl, &revoked[i]);
    }
    *out = made ? sign_crl(crl, key) : NULL;
    if (ok && !*out) {
        ok = refuse(error, room, "cannot make the revocation list");
    }
    X509_CRL_free(crl);
    EVP_PKEY_free(key);
    X509_free(issuer);
    ERR_clear_error();
    return ok;
}

bool amm_pki_identity(const char *certificate, struct amm_identity *out, char *error, size_t room)
{
    X509 *parsed = one_certificate(certificate, "certificate", error, room);
    if (!parsed) {
        return false;
    }
    *out = (struct amm_identity){0};
    name_for_people(parsed, out->name);
    bool ok = identity_from(parsed, parsed, out);
    if (X509_NAME_cmp(X509_get_subject_name(parsed), X509_get_issuer_name(parsed)) != 0) {
        memset(out->issuer, 0,
               sizeof out->issuer); /* the issuer's key does not stand in the certificate */
    }
    X509_free(parsed);
    return ok || refuse(error, room, "certificate: serial number or dates are out of range");
}

bool amm_pki_validity(const char *certificate, int64_t *not_before, int64_t *not_after, char *error,
                      size_t room)
{
    X509 *parsed = one_certificate(certificate, "certificate", error, room);
    if (!parsed) {
        return false;
    }
    bool ok = time_from_asn1(X509_get0_notBefore(parsed), not_before) &&
              time_from_asn1(X509_get0_notAfter(parsed), not_after);
    X509_free(parsed);
    return ok || refuse(error, room, "certificate: its dates are out of range");
}
