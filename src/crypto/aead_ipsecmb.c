/* Intel's multi-buffer library, by its single-buffer calls: on one packet at a time they are as
 * fast as its job interface, and 4-5 times OpenSSL 3.0.
 *
 * It is loaded when the first of these is opened, not linked: Debian's is not position-independent,
 * so that having it costs a process 2 MiB of memory of its own, whether it is used or not. */
#include "aead_backend.h"

#include <dlfcn.h>
#include <intel-ipsec-mb.h>
#include <pthread.h>

#define LIBRARY "libIPSec_MB.so.1"

static struct {
    pthread_once_t once;
    bool is_there;
    IMB_MGR *(*alloc)(uint64_t flags);
    void (*init)(IMB_MGR *mgr, IMB_ARCH *arch);
    void (*release)(IMB_MGR *mgr);
    int (*last_error)(IMB_MGR *mgr);
} library = {.once = PTHREAD_ONCE_INIT};

/* Stays loaded until the process ends. */
static void load_library(void)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (handle) {
        *(void **)&library.alloc = dlsym(handle, "alloc_mb_mgr");
        *(void **)&library.init = dlsym(handle, "init_mb_mgr_auto");
        *(void **)&library.release = dlsym(handle, "free_mb_mgr");
        *(void **)&library.last_error = dlsym(handle, "imb_get_errno");
    }
    library.is_there = library.alloc && library.init && library.release && library.last_error;
}

struct expanded {
    _Alignas(64) union {
        struct gcm_key_data gcm;
        uint8_t chacha[32];
    } as;
};

_Static_assert(sizeof(struct expanded) % 64 == 0, "places of the cache are lines of 64 bytes");

static void *ipsecmb_open(void)
{
    pthread_once(&library.once, load_library);
    IMB_MGR *mgr = library.is_there ? library.alloc(0) : NULL;
    if (!mgr) {
        return NULL;
    }
    IMB_ARCH arch = IMB_ARCH_NONE;
    library.init(mgr, &arch);
    if (library.last_error(mgr) != 0 || arch < IMB_ARCH_AVX ||
        !(mgr->features & IMB_FEATURE_AESNI)) {
        library.release(mgr);
        return NULL;
    }
    return mgr;
}

static void ipsecmb_close(void *state)
{
    library.release(state);
}

static const char *ipsecmb_name(const void *state)
{
    const IMB_MGR *mgr = state;
    if (mgr->features & IMB_FEATURE_AVX512_SKX) {
        return "ipsec-mb (avx512)";
    }
    return mgr->features & IMB_FEATURE_AVX2 ? "ipsec-mb (avx2)" : "ipsec-mb (avx)";
}

static bool ipsecmb_expand(void *state, void *place, const struct amm_aead_key *key)
{
    IMB_MGR *mgr = state;
    struct expanded *expanded = place;
    switch ((enum amm_cipher)key->cipher) {
    case AMM_CIPHER_AES_256_GCM:
        IMB_AES256_GCM_PRE(mgr, key->bytes, &expanded->as.gcm);
        return true;
    case AMM_CIPHER_AES_128_GCM:
        IMB_AES128_GCM_PRE(mgr, key->bytes, &expanded->as.gcm);
        return true;
    case AMM_CIPHER_CHACHA20_POLY1305:
        memcpy(expanded->as.chacha, key->bytes, sizeof expanded->as.chacha);
        return true;
    case AMM_CIPHER_NONE:
        break;
    }
    return false;
}

static bool ipsecmb_seal(void *state, void *place, const struct amm_aead_key *key,
                         const uint8_t *nonce, struct amm_view aad, struct amm_span text,
                         uint8_t *tag)
{
    IMB_MGR *mgr = state;
    const struct expanded *expanded = place;
    struct gcm_context_data gcm;
    struct chacha20_poly1305_context_data chacha;
    switch ((enum amm_cipher)key->cipher) {
    case AMM_CIPHER_AES_256_GCM:
        IMB_AES256_GCM_ENC(mgr, &expanded->as.gcm, &gcm, text.data, text.data, text.len, nonce,
                           aad.data, aad.len, tag, AMM_AEAD_TAG);
        return true;
    case AMM_CIPHER_AES_128_GCM:
        IMB_AES128_GCM_ENC(mgr, &expanded->as.gcm, &gcm, text.data, text.data, text.len, nonce,
                           aad.data, aad.len, tag, AMM_AEAD_TAG);
        return true;
    case AMM_CIPHER_CHACHA20_POLY1305:
        IMB_CHACHA20_POLY1305_INIT(mgr, expanded->as.chacha, &chacha, nonce, aad.data, aad.len);
        IMB_CHACHA20_POLY1305_ENC_UPDATE(mgr, expanded->as.chacha, &chacha, text.data, text.data,
                                         text.len);
        IMB_CHACHA20_POLY1305_ENC_FINALIZE(mgr, &chacha, tag, AMM_AEAD_TAG);
        return true;
    case AMM_CIPHER_NONE:
        break;
    }
    return false;
}

static bool ipsecmb_unseal(void *state, void *place, const struct amm_aead_key *key,
                           const uint8_t *nonce, struct amm_view aad, struct amm_span text,
                           const uint8_t *tag)
{
    IMB_MGR *mgr = state;
    const struct expanded *expanded = place;
    struct gcm_context_data gcm;
    struct chacha20_poly1305_context_data chacha;
    uint8_t right[AMM_AEAD_TAG];
    switch ((enum amm_cipher)key->cipher) {
    case AMM_CIPHER_AES_256_GCM:
        IMB_AES256_GCM_DEC(mgr, &expanded->as.gcm, &gcm, text.data, text.data, text.len, nonce,
                           aad.data, aad.len, right, AMM_AEAD_TAG);
        break;
    case AMM_CIPHER_AES_128_GCM:
        IMB_AES128_GCM_DEC(mgr, &expanded->as.gcm, &gcm, text.data, text.data, text.len, nonce,
                           aad.data, aad.len, right, AMM_AEAD_TAG);
        break;
    case AMM_CIPHER_CHACHA20_POLY1305:
        IMB_CHACHA20_POLY1305_INIT(mgr, expanded->as.chacha, &chacha, nonce, aad.data, aad.len);
        IMB_CHACHA20_POLY1305_DEC_UPDATE(mgr, expanded->as.chacha, &chacha, text.data, text.data,
                                         text.len);
        IMB_CHACHA20_POLY1305_DEC_FINALIZE(mgr, &chacha, right, AMM_AEAD_TAG);
        break;
    case AMM_CIPHER_NONE:
        return false;
    }
    return amm_equal_secret(right, tag, sizeof right);
}

static void ipsecmb_forget(void *place)
{
    amm_wipe(place, sizeof(struct expanded));
}

const struct aead_backend aead_ipsecmb = {
    .expanded_size = sizeof(struct expanded),
    .open = ipsecmb_open,
    .close = ipsecmb_close,
    .name = ipsecmb_name,
    .expand = ipsecmb_expand,
    .seal = ipsecmb_seal,
    .unseal = ipsecmb_unseal,
    .forget = ipsecmb_forget,
};
