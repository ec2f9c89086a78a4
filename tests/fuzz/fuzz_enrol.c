/* What enrolment reads from outside: requests as DER and as base64 bodies, certificate bodies. What
 * is taken must be what the bytes say, exactly. */
#include "base/base64.h"
#include "crypto/est.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(struct amm_view der)
{
    uint8_t key[AMM_P256_KEY];
    char error[256];
    if (amm_csr_take_key(der, key, error, sizeof error) &&
        memmem(der.data, der.len, key, sizeof key) == NULL) {
        abort();
    }
}

static void check_body(struct amm_view body)
{
    uint8_t key[AMM_P256_KEY];
    char error[256], *certificates = NULL, *again = NULL, *text = NULL;
    size_t len;
    amm_est_request_read(body, key, error, sizeof error);
    if (!amm_est_certificates_read(body, &certificates, error, sizeof error)) {
        return;
    }
    if (!amm_est_certificates_write(certificates, &text, &len, error, sizeof error) ||
        !amm_est_certificates_read(amm_view(text, len), &again, error, sizeof error) ||
        strcmp(certificates, again) != 0) {
        abort();
    }
    free(certificates);
    free(again);
    free(text);
}

/* One text for one sequence of bytes. */
static void check_base64(struct amm_view text, enum amm_base64_form form)
{
    static uint8_t bytes[65536];
    static char again[AMM_BASE64_ROOM(sizeof bytes)];
    size_t len;
    if (amm_base64_decode(bytes, sizeof bytes, &len, text, form) && form != AMM_BASE64_LINES) {
        size_t written = amm_base64_encode(again, sizeof again, amm_view(bytes, len), form);
        if (!amm_view_equal(text, amm_view(again, written))) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct amm_view input = amm_view(data, size);
    char *body = malloc(AMM_BASE64_ROOM(size));
    size_t len = amm_base64_encode(body, AMM_BASE64_ROOM(size), input, AMM_BASE64_LINES);
    check_request(input);
    check_body(input);
    check_body(amm_view(body, len)); /* so that mutations reach what is inside */
    check_base64(input, AMM_BASE64);
    check_base64(input, AMM_BASE64_URL);
    check_base64(input, AMM_BASE64_LINES);
    free(body);
    return 0;
}
