/* A certificate of one session instead of the context's: for simulated fleets, which cannot afford
 * a context for each gateway (about 300 KiB and 2 ms). */
#include "tls_internal.h"
#include "x509.h"

#include <stdlib.h>

struct amm_tls_certificate {
    X509 *certificate;
    EVP_PKEY *key;
};

struct amm_tls_certificate *amm_tls_certificate_new(struct amm_tls_context *context,
                                                    const char *certificate, const char *key,
                                                    char *error, size_t room)
{
    struct amm_tls_certificate *own = calloc(1, sizeof *own);
    STACK_OF(X509) *chain =
        own ? certificates_from_pem(context->lib, certificate, "cert", error, room) : NULL;
    if (chain) {
        own->certificate = sk_X509_shift(chain);
        sk_X509_pop_free(chain, X509_free);
        own->key = key_from_pem(context->lib, key, "key", error, room);
    }
    if (!own || !own->key) {
        return amm_tls_certificate_free(own);
    }
    if (X509_check_private_key(own->certificate, own->key) != 1) {
        refuse(error, room, "key: does not belong to the certificate");
        return amm_tls_certificate_free(own);
    }
    return own;
}

struct amm_tls_certificate *amm_tls_certificate_free(struct amm_tls_certificate *own)
{
    if (own) {
        X509_free(own->certificate);
        EVP_PKEY_free(own->key);
        free(own);
    }
    return NULL;
}

bool amm_tls_use_certificate(struct amm_tls *tls, const struct amm_tls_certificate *own)
{
    return SSL_use_certificate(tls->ssl, own->certificate) == 1 &&
           SSL_use_PrivateKey(tls->ssl, own->key) == 1;
}
