/* Assertions and relay lists. The input is signed first, so that the text behind the signature is
 * reached; as it stands it is tried, too. What is taken is written again to the same text. */
#include "base/base64.h"
#include "domain/assertion.h"
#include "domain/relay.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct amm_signer *signer;
static uint8_t key[AMM_SIGNATURE_KEY];

static void start(void)
{
    static char pem[4096];
    char error[128];
    if (!amm_signature_key_new(pem, error, sizeof error) ||
        !(signer = amm_signer_new(pem, "key", error, sizeof error))) {
        fprintf(stderr, "%s\n", error);
        exit(1);
    }
    amm_signer_key(signer, key);
}

static size_t sign(struct amm_view text, char *out, size_t room)
{
    uint8_t signature[AMM_SIGNATURE];
    size_t at = amm_base64_encode(out, room / 2, text, AMM_BASE64_URL);
    if (at == 0 || !amm_sign(signer, text, signature)) {
        return 0;
    }
    out[at++] = '.';
    return at + amm_base64_encode(out + at, room - at, amm_view(signature, sizeof signature),
                                  AMM_BASE64_URL);
}

static void check_assertion(struct amm_view wire, enum amm_assertion_kind kind)
{
    static struct amm_assertion_seen seen;
    struct amm_assertion a;
    char again[AMM_ASSERTION_MAX];
    struct amm_assertion_rules rules = {
        .kind = kind, .key = key, .serial = "TEST-0001", .epoch = 1, .now = 1793500000};
    memset(&seen, 0, sizeof seen);
    amm_assertion_verify(&a, wire, &rules, &seen);
    if (a.epoch != 0) { /* well-signed and well-formed: an IPv6 address may have several texts */
        struct amm_assertion b;
        size_t len = amm_assertion_write(&a, signer, again, sizeof again);
        amm_assertion_verify(&b, amm_view(again, len), &rules, &seen);
        if (len == 0 || memcmp(&a, &b, sizeof a) != 0) {
            abort();
        }
    }
}

static void check_list(struct amm_view text)
{
    struct amm_relay_list list, again;
    char out[AMM_RELAY_LIST];
    if (amm_relay_parse(&list, text, NULL) && amm_relay_text(&list, out) &&
        (!amm_relay_parse(&again, amm_view_str(out), NULL) ||
         memcmp(&list, &again, sizeof list) != 0)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char wire[4096];
    struct amm_view text = amm_view(data, size);
    if (!signer) {
        start();
    }
    check_list(text);
    check_assertion(text, AMM_ASSERTION_SIGN_IN);
    size_t len = size > 0 && size < 1024 ? sign(text, wire, sizeof wire) : 0;
    check_assertion(amm_view(wire, len), AMM_ASSERTION_SIGN_IN);
    check_assertion(amm_view(wire, len), AMM_ASSERTION_RELAY);
    return 0;
}
