#include "crl.h"
#include "x509.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

struct list {
    X509_CRL *crl;
    uint8_t issuer[32]; /* SHA-256 of the issuer's subject public key info */
    int64_t from, until;
};

struct crl_set {
    size_t n;
    struct list lists[];
};

struct crl_set *crl_set_free(struct crl_set *set)
{
    for (size_t i = 0; set && i < set->n; i++) {
        X509_CRL_free(set->lists[i].crl);
    }
    free(set);
    return NULL;
}

static bool has_critical_extension(const X509_CRL *crl)
{
    for (int i = 0; i < X509_CRL_get_ext_count(crl); i++) {
        if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i))) {
            return true;
        }
    }
    return false;
}

/* The trusted certificate that signed the list, or NULL. */
static const X509 *signer_of(X509_CRL *crl, const STACK_OF(X509) * trusted)
{
    for (int i = 0; i < sk_X509_num(trusted); i++) {
        X509 *issuer = sk_X509_value(trusted, i);
        if (X509_NAME_cmp(X509_get_subject_name(issuer), X509_CRL_get_issuer(crl)) == 0 &&
            (X509_get_key_usage(issuer) & KU_CRL_SIGN) != 0 &&
            X509_CRL_verify(crl, X509_get0_pubkey(issuer)) == 1) {
            return issuer;
        }
    }
    return NULL;
}

static bool describe(struct list *list, const STACK_OF(X509) * trusted, char *error, size_t room)
{
    const X509 *issuer = signer_of(list->crl, trusted);
    if (!issuer) {
        return refuse(error, room, "crl: a list is not signed by a trusted CA");
    }
    char name[AMM_NAME_MAX + 1];
    name_for_people(issuer, name);
    const ASN1_TIME *until = X509_CRL_get0_nextUpdate(list->crl);
    if (!until || !time_from_asn1(until, &list->until) ||
        !time_from_asn1(X509_CRL_get0_lastUpdate(list->crl), &list->from)) {
        return refuse(error, room, "crl: the list of %s does not say until when it is valid", name);
    }
    if (has_critical_extension(list->crl)) {
        return refuse(error, room,
                      "crl: the list of %s has a critical extension (delta or partial list)", name);
    }
    if (!key_hash(issuer, list->issuer)) {
        return refuse(error, room, "crl: out of memory");
    }
    return true;
}

/* The next list of the text; NULL at its end, and `*damaged` tells whether it ended well. */
static X509_CRL *next_list(OSSL_LIB_CTX *lib, BIO *bio, bool *damaged)
{
    ERR_clear_error();
    X509_CRL *crl = X509_CRL_new_ex(lib, NULL);
    if (crl && PEM_read_bio_X509_CRL(bio, &crl, NULL, (void *)"")) {
        return crl;
    }
    unsigned long code = ERR_peek_last_error();
    *damaged = ERR_GET_LIB(code) != ERR_LIB_PEM || ERR_GET_REASON(code) != PEM_R_NO_START_LINE;
    X509_CRL_free(crl);
    return NULL;
}

struct crl_set *crl_set_new(OSSL_LIB_CTX *lib, const char *pem, const STACK_OF(X509) * trusted,
                            char *error, size_t room)
{
    struct crl_set *set = calloc(1, sizeof *set);
    BIO *bio = BIO_new_mem_buf(pem, -1);
    bool damaged = !set || !bio;
    X509_CRL *crl;
    while (!damaged && (crl = next_list(lib, bio, &damaged)) != NULL) {
        struct crl_set *larger = realloc(set, sizeof *set + (set->n + 1) * sizeof set->lists[0]);
        if (!larger) {
            X509_CRL_free(crl);
            damaged = true;
            break;
        }
        set = larger;
        struct list *list = &set->lists[set->n++];
        *list = (struct list){.crl = crl};
        if (!describe(list, trusted, error, room)) {
            BIO_free(bio);
            ERR_clear_error();
            return crl_set_free(set);
        }
    }
    BIO_free(bio);
    ERR_clear_error();
    if (damaged || set->n == 0) {
        refuse(error, room, damaged ? "crl: a list is damaged" : "crl: no revocation list found");
        return crl_set_free(set);
    }
    return set;
}

static const struct list *list_of(const struct crl_set *set, const uint8_t issuer[32])
{
    const struct list *latest = NULL;
    for (size_t i = 0; i < set->n; i++) {
        const struct list *list = &set->lists[i];
        if (memcmp(list->issuer, issuer, sizeof list->issuer) == 0 &&
            (!latest || list->from > latest->from)) {
            latest = list;
        }
    }
    return latest;
}

bool crl_set_replaces(const struct crl_set *set, const struct crl_set *old, int64_t wall,
                      char *error, size_t room)
{
    for (size_t i = 0; i < set->n; i++) {
        if (wall > set->lists[i].until) {
            return refuse(error, room, "crl: a list has expired; make a new one");
        }
        if (wall < set->lists[i].from) {
            return refuse(error, room, "crl: a list is not valid yet; check the clock");
        }
    }
    for (size_t i = 0; old && i < old->n; i++) {
        if (!list_of(set, old->lists[i].issuer)) {
            return refuse(error, room, "crl: the list of an issuer that had one is missing");
        }
    }
    return true;
}

static bool is_listed(const struct list *list, const uint8_t serial[20])
{
    BIGNUM *number = BN_bin2bn(serial, 20, NULL);
    ASN1_INTEGER *wanted = number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
    X509_REVOKED *entry;
    /* Out of memory counts as listed: never "accept all". */
    bool listed = !wanted || X509_CRL_get0_by_serial(list->crl, &entry, wanted) != 0;
    ASN1_INTEGER_free(wanted);
    BN_free(number);
    return listed;
}

enum crl_answer crl_set_ask(const struct crl_set *set, const uint8_t issuer[32],
                            const uint8_t serial[20], int64_t wall)
{
    const struct list *list = list_of(set, issuer);
    if (!list) {
        return CRL_NO_LIST;
    }
    if (is_listed(list, serial)) {
        return CRL_REVOKED;
    }
    return wall < list->from || wall > list->until ? CRL_OUT_OF_DATE : CRL_GOOD;
}
