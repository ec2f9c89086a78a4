#include "crypto/pki.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <time.h>

static bool seconds_of(const ASN1_TIME *time, int64_t *out)
{
    struct tm tm;
    if (!time || ASN1_TIME_to_tm(time, &tm) != 1) {
        return false;
    }
    *out = (int64_t)timegm(&tm);
    return true;
}

bool amm_pki_validity(const char *certificate, int64_t *not_before, int64_t *not_after, char *error,
                      size_t room)
{
    BIO *bio = BIO_new_mem_buf(certificate, -1);
    X509 *x509 = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    bool ok = x509 && seconds_of(X509_get0_notBefore(x509), not_before) &&
              seconds_of(X509_get0_notAfter(x509), not_after);
    if (!ok) {
        snprintf(error, room, "no readable certificate");
    }
    X509_free(x509);
    BIO_free(bio);
    return ok;
}
