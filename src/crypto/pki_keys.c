/* The text forms of control channel keys (WRAP-2, WRAP-8). */
#include "crypto/pki.h"

#include "base/bytes.h"

#include <ctype.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

static const char static_begin[] = "-----BEGIN OpenVPN Static key V1-----";
static const char static_end[] = "-----END OpenVPN Static key V1-----";
static const char v2_server[] = "OpenVPN tls-crypt-v2 server key";
static const char v2_client[] = "OpenVPN tls-crypt-v2 client key";

enum { STATIC_LINE = 16 };

void amm_static_key_text(const uint8_t key[AMM_STATIC_KEY], char out[AMM_PEM_MAX])
{
    struct amm_writer w = amm_writer(out, AMM_PEM_MAX);
    amm_write_text(&w, "%s\n", static_begin);
    for (size_t at = 0; at < AMM_STATIC_KEY; at += STATIC_LINE) {
        char line[2 * STATIC_LINE + 1];
        amm_hex(line, amm_view(key + at, STATIC_LINE));
        amm_write_text(&w, "%s\n", line);
        amm_wipe(line, sizeof line);
    }
    amm_write_text(&w, "%s\n", static_end);
    amm_write_u8(&w, 0);
}

bool amm_static_key_parse(const char *text, uint8_t key[AMM_STATIC_KEY])
{
    const char *from = strstr(text, static_begin);
    const char *to = from ? strstr(from, static_end) : NULL;
    if (!to) {
        return false;
    }
    char digits[2 * AMM_STATIC_KEY + 1];
    size_t n = 0;
    for (from += sizeof static_begin - 1; from < to && n < sizeof digits; from++) {
        if (!isspace((unsigned char)*from)) {
            digits[n++] = *from;
        }
    }
    bool ok = n == 2 * AMM_STATIC_KEY && amm_unhex(key, AMM_STATIC_KEY, digits);
    amm_wipe(digits, sizeof digits);
    return ok;
}

/* PEM without headers; what is written always fits, because every key is below 1300 bytes. */
static void write_pem(const char *name, struct amm_view data, char out[AMM_PEM_MAX])
{
    out[0] = '\0';
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio && PEM_write_bio(bio, name, "", data.data, (long)data.len) > 0) {
        int n = BIO_read(bio, out, AMM_PEM_MAX - 1);
        out[n > 0 ? n : 0] = '\0';
    }
    BIO_free(bio);
}

/* The bytes of the block with that name; 0 if there is none, or it does not fit. */
static size_t read_pem(const char *text, const char *name, uint8_t *out, size_t room)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    size_t found = 0;
    bool more = bio != NULL;
    while (more && found == 0) {
        char *block = NULL, *header = NULL;
        uint8_t *data = NULL;
        long len = 0;
        more = PEM_read_bio(bio, &block, &header, &data, &len) == 1;
        if (more && strcmp(block, name) == 0) {
            more = false;
            if (len > 0 && (size_t)len <= room) {
                memcpy(out, data, (size_t)len);
                found = (size_t)len;
            }
        }
        OPENSSL_free(block);
        OPENSSL_free(header);
        OPENSSL_clear_free(data, len > 0 ? (size_t)len : 0);
    }
    BIO_free(bio);
    ERR_clear_error();
    return found;
}

void amm_v2_server_key_text(const uint8_t key[AMM_V2_SERVER_KEY], char out[AMM_PEM_MAX])
{
    write_pem(v2_server, amm_view(key, AMM_V2_SERVER_KEY), out);
}

bool amm_v2_server_key_parse(const char *text, uint8_t key[AMM_V2_SERVER_KEY])
{
    return read_pem(text, v2_server, key, AMM_V2_SERVER_KEY) == AMM_V2_SERVER_KEY;
}

void amm_v2_client_key_text(const uint8_t kc[AMM_STATIC_KEY], const uint8_t *wkc, size_t wkc_len,
                            char out[AMM_PEM_MAX])
{
    uint8_t both[AMM_STATIC_KEY + AMM_WKC_MAX];
    struct amm_writer w = amm_writer(both, sizeof both);
    amm_write_bytes(&w, kc, AMM_STATIC_KEY);
    amm_write_bytes(&w, wkc, wkc_len);
    write_pem(v2_client, amm_view(both, amm_writer_len(&w)), out);
    amm_wipe(both, sizeof both);
}

bool amm_v2_client_key_parse(const char *text, uint8_t kc[AMM_STATIC_KEY], uint8_t wkc[AMM_WKC_MAX],
                             size_t *wkc_len)
{
    uint8_t both[AMM_STATIC_KEY + AMM_WKC_MAX];
    size_t len = read_pem(text, v2_client, both, sizeof both);
    bool ok =
        len >= AMM_STATIC_KEY + AMM_WKC_MIN && amm_load_u16(both + len - 2) == len - AMM_STATIC_KEY;
    if (ok) {
        *wkc_len = len - AMM_STATIC_KEY;
        memcpy(kc, both, AMM_STATIC_KEY);
        memcpy(wkc, both + AMM_STATIC_KEY, *wkc_len);
    }
    amm_wipe(both, sizeof both);
    return ok;
}
