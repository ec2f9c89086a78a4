#include "crypto/identity.h"

#include <stddef.h>

static const struct {
    const char *name;
    const char *text;
} failures[AMM_TLS_FAILURE_COUNT] = {
    [AMM_TLS_OK] = {"ok", "no failure"},
    [AMM_TLS_NO_CERTIFICATE] =
        {"no-certificate", "the peer sent no certificate (add cert and key to its configuration)"},
    [AMM_TLS_UNKNOWN_ISSUER] =
        {"unknown-issuer", "certificate was not issued by a CA that this side trusts (issue it "
                           "anew, or add its CA to the trusted ones)"},
    [AMM_TLS_EXPIRED] = {"expired",
                         "certificate has expired (check the clock of both sides, or renew "
                         "the certificate)"},
    [AMM_TLS_NOT_YET_VALID] = {"not-yet-valid",
                               "certificate is not valid yet (check the clock of both sides)"},
    [AMM_TLS_REVOKED] = {"revoked", "certificate was revoked (issue a new one if the gateway is to "
                                    "come back)"},
    [AMM_TLS_WRONG_ROLE] = {"wrong-role",
                            "certificate is not for this role (gateways need extended key usage "
                            "clientAuth, servers serverAuth)"},
    [AMM_TLS_WRONG_NAME] = {"wrong-name",
                            "certificate carries another name than expected, or one that cannot be "
                            "a gateway's (1-64 printable characters without '/' and space)"},
    [AMM_TLS_TOO_BIG] = {"too-big", "certificate chain or key is beyond the limits (chain 4, "
                                    "certificate 8 KiB, RSA 2048-4096, P-256, P-384 or Ed25519)"},
    [AMM_TLS_BAD_SIGNATURE] = {"bad-signature",
                               "signature does not verify (damaged certificate, or "
                               "a key that does not belong to it)"},
    [AMM_TLS_VERSION] = {"version", "no common TLS version (1.2 is the least that is accepted)"},
    [AMM_TLS_NO_CIPHER] = {"no-cipher", "no common cipher suite, group or signature algorithm "
                                        "(ECDHE with an AEAD cipher is needed)"},
    [AMM_TLS_PEER_ALERT] = {"peer-alert", "the peer refused us (its log says why)"},
    [AMM_TLS_PROTOCOL] = {"protocol", "the peer does not speak TLS as it should"},
    [AMM_TLS_NO_CRL] = {"no-crl",
                        "the revocation list of the certificate's issuer is missing or out of "
                        "date (load a new one; nobody of this issuer can join before that)"},
    [AMM_TLS_WRONG_PIN] = {"wrong-pin",
                           "the server has another key, or another CA, than the one that was given "
                           "(is this the right server? then get its new pin, or a new token)"},
};

const char *amm_tls_failure_name(enum amm_tls_failure failure)
{
    return (unsigned)failure < AMM_TLS_FAILURE_COUNT ? failures[failure].name : "unknown";
}

const char *amm_tls_failure_text(enum amm_tls_failure failure)
{
    return (unsigned)failure < AMM_TLS_FAILURE_COUNT ? failures[failure].text : "unknown failure";
}
