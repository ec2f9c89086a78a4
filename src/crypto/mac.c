/* Each thread fetches its algorithms once and re-keys the same contexts afterwards: the first
 * packet of a handshake is checked here before anything is known about the sender, so this must be
 * cheap in a flood. (A fetch from the provider costs several times the HMAC of such a packet.) */
#include "crypto/mac.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

static const struct {
    const char *name;
    size_t len;
} digests[] = {
    [AMM_SHA1] = {"SHA1", 20},
    [AMM_SHA256] = {"SHA256", AMM_SHA256_LEN},
    [AMM_SHA512] = {"SHA512", AMM_DIGEST_MAX},
};

enum { DIGEST_END = sizeof digests / sizeof digests[0] };

/* What one thread keeps. */
struct tools {
    EVP_MAC_CTX *hmac[DIGEST_END]; /* made on first use */
    EVP_MD *sha256;
    EVP_MD_CTX *hash;
    EVP_CIPHER_CTX *ctr;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_exit_of_thread;
static __thread struct tools *own;

static void free_tools(void *data)
{
    struct tools *tools = data;
    for (size_t i = 0; i < DIGEST_END; i++) {
        EVP_MAC_CTX_free(tools->hmac[i]);
    }
    EVP_MD_CTX_free(tools->hash);
    EVP_MD_free(tools->sha256);
    EVP_CIPHER_CTX_free(tools->ctr);
    free(tools);
    own = NULL;
}

static void make_thread_key(void)
{
    if (pthread_key_create(&at_exit_of_thread, free_tools) != 0) {
        abort();
    }
}

static EVP_CIPHER_CTX *new_ctr(void)
{
    EVP_CIPHER_CTX *ctr = EVP_CIPHER_CTX_new();
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
    if (ctr && (!cipher || EVP_EncryptInit_ex2(ctr, cipher, NULL, NULL, NULL) != 1)) {
        EVP_CIPHER_CTX_free(ctr);
        ctr = NULL;
    }
    EVP_CIPHER_free(cipher);
    return ctr;
}

static struct tools *my_tools(void)
{
    if (own) {
        return own;
    }
    struct tools *tools = calloc(1, sizeof *tools);
    if (!tools) {
        return NULL;
    }
    tools->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    tools->hash = EVP_MD_CTX_new();
    tools->ctr = new_ctr();
    pthread_once(&once, make_thread_key);
    if (!tools->sha256 || !tools->hash || !tools->ctr ||
        pthread_setspecific(at_exit_of_thread, tools) != 0) {
        free_tools(tools);
        return NULL;
    }
    own = tools;
    return own;
}

static EVP_MAC_CTX *new_hmac(const char *digest_name)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    char name[8];
    strncpy(name, digest_name, sizeof name - 1);
    name[sizeof name - 1] = '\0';
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                           OSSL_PARAM_construct_end()};
    if (context && EVP_MAC_CTX_set_params(context, params) != 1) {
        EVP_MAC_CTX_free(context);
        context = NULL;
    }
    return context;
}

static EVP_MAC_CTX *my_hmac(enum amm_digest digest)
{
    struct tools *tools = my_tools();
    if (!tools) {
        return NULL;
    }
    if (!tools->hmac[digest]) {
        tools->hmac[digest] = new_hmac(digests[digest].name);
    }
    return tools->hmac[digest];
}

size_t amm_digest_len(enum amm_digest digest)
{
    return digests[digest].len;
}

bool amm_digest_find(struct amm_view name, enum amm_digest *out)
{
    for (size_t i = AMM_SHA1; i < DIGEST_END; i++) {
        if (name.len == strlen(digests[i].name) &&
            strncasecmp((const char *)name.data, digests[i].name, name.len) == 0) {
            *out = (enum amm_digest)i;
            return true;
        }
    }
    return false;
}

bool amm_sha256(struct amm_view data, uint8_t out[AMM_SHA256_LEN])
{
    struct tools *tools = my_tools();
    return tools && EVP_DigestInit_ex2(tools->hash, tools->sha256, NULL) == 1 &&
           EVP_DigestUpdate(tools->hash, data.data, data.len) == 1 &&
           EVP_DigestFinal_ex(tools->hash, out, NULL) == 1;
}

bool amm_hmac(enum amm_digest digest, struct amm_view key, const struct amm_view *parts, size_t n,
              uint8_t *out)
{
    EVP_MAC_CTX *hmac = my_hmac(digest);
    /* An empty key with a NULL pointer would mean "the key of last time" to OpenSSL. */
    const uint8_t *key_bytes = key.data ? key.data : (const uint8_t *)"";
    if (!hmac || EVP_MAC_init(hmac, key_bytes, key.len, NULL) != 1) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (EVP_MAC_update(hmac, parts[i].data, parts[i].len) != 1) {
            return false;
        }
    }
    size_t len;
    return EVP_MAC_final(hmac, out, &len, digests[digest].len) == 1 && len == digests[digest].len;
}

bool amm_aes256_ctr(const uint8_t key[32], const uint8_t iv[16], uint8_t *data, size_t len)
{
    struct tools *tools = my_tools();
    int done;
    return tools && len <= INT32_MAX && EVP_EncryptInit_ex2(tools->ctr, NULL, key, iv, NULL) == 1 &&
           EVP_EncryptUpdate(tools->ctr, data, &done, data, (int)len) == 1;
}

bool amm_tls1_prf(struct amm_view secret, struct amm_view seed, uint8_t *out, size_t len)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
    EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    EVP_KDF_free(kdf);
    char digest[] = "MD5-SHA1";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, (void *)secret.data, secret.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, (void *)seed.data, seed.len),
        OSSL_PARAM_construct_end(),
    };
    bool ok = context && EVP_KDF_derive(context, out, len, params) == 1;
    EVP_KDF_CTX_free(context);
    return ok;
}

static void fill_from_system(void *context, void *out, size_t len)
{
    (void)context;
    uint8_t *at = out;
    while (len > 0) {
        size_t part = len < INT32_MAX ? len : INT32_MAX;
        if (RAND_priv_bytes(at, (int)part) != 1) {
            abort();
        }
        at += part;
        len -= part;
    }
}

struct amm_random amm_system_random(void)
{
    return (struct amm_random){fill_from_system, NULL};
}
