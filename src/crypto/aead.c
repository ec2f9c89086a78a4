/* The cache is set-associative on the key's serial: WAYS places per set, the least recently used
 * one makes room. Serials are handed out one after the other, so live keys spread evenly over the
 * sets. */
#include "aead_backend.h"

#include <stdlib.h>
#include <strings.h>

enum { WAYS = 4, CACHE_LINE = 64 };

struct place {
    uint64_t serial; /* 0: empty */
    uint64_t used;   /* the clock at its last use */
};

struct amm_aead {
    const struct aead_backend *backend;
    void *state;
    struct place *places;
    uint8_t *expanded;
    size_t sets;
    uint64_t clock;
    uint64_t until_best; /* bytes; 0: it does not change any more */
};

static const struct {
    const char *name;
    size_t key_len;
} ciphers[] = {
    [AMM_CIPHER_NONE] = {"none", 0},
    [AMM_CIPHER_AES_256_GCM] = {"AES-256-GCM", 32},
    [AMM_CIPHER_AES_128_GCM] = {"AES-128-GCM", 16},
    [AMM_CIPHER_CHACHA20_POLY1305] = {"CHACHA20-POLY1305", 32},
};

enum { CIPHER_END = sizeof ciphers / sizeof ciphers[0] };

const char *amm_cipher_name(enum amm_cipher cipher)
{
    return (unsigned)cipher < CIPHER_END ? ciphers[cipher].name : ciphers[0].name;
}

enum amm_cipher amm_cipher_find(struct amm_view name)
{
    for (size_t i = AMM_CIPHER_AES_256_GCM; i < CIPHER_END; i++) {
        if (name.len == strlen(ciphers[i].name) &&
            strncasecmp((const char *)name.data, ciphers[i].name, name.len) == 0) {
            return (enum amm_cipher)i;
        }
    }
    return AMM_CIPHER_NONE;
}

size_t amm_cipher_key_len(enum amm_cipher cipher)
{
    return (unsigned)cipher < CIPHER_END ? ciphers[cipher].key_len : 0;
}

static bool open_backend(struct amm_aead *aead, const struct aead_backend *backend)
{
    aead->backend = backend;
    aead->state = backend->open();
    return aead->state != NULL;
}

static bool choose_backend(struct amm_aead *aead, enum amm_aead_backend wanted)
{
    switch (wanted) {
    case AMM_AEAD_BEST:
#ifdef AMM_HAVE_IPSEC_MB
        if (open_backend(aead, &aead_ipsecmb)) {
            return true;
        }
#endif
        return open_backend(aead, &aead_openssl);
    case AMM_AEAD_LIGHT:
        aead->until_best = AMM_AEAD_LIGHT_BYTES;
        return open_backend(aead, &aead_openssl);
    case AMM_AEAD_OPENSSL:
        return open_backend(aead, &aead_openssl);
    case AMM_AEAD_NULL:
        return open_backend(aead, &aead_null);
    }
    return false;
}

static uint8_t *new_expanded(const struct aead_backend *backend, size_t sets)
{
    size_t size = sets * WAYS * backend->expanded_size;
    uint8_t *expanded = aligned_alloc(CACHE_LINE, size);
    if (expanded) {
        memset(expanded, 0, size);
    }
    return expanded;
}

struct amm_aead *amm_aead_new(enum amm_aead_backend backend, size_t cache)
{
    struct amm_aead *aead = calloc(1, sizeof *aead);
    if (!aead) {
        return NULL;
    }
    if (!choose_backend(aead, backend)) {
        free(aead);
        return NULL;
    }
    aead->sets = cache > WAYS ? (cache + WAYS - 1) / WAYS : 1;
    aead->places = calloc(aead->sets * WAYS, sizeof *aead->places);
    aead->expanded = new_expanded(aead->backend, aead->sets);
    return aead->places && aead->expanded ? aead : amm_aead_free(aead);
}

static void *expanded_at(const struct amm_aead *aead, size_t place)
{
    return aead->expanded + place * aead->backend->expanded_size;
}

static void close_backend(struct amm_aead *aead)
{
    for (size_t i = 0; aead->places && aead->expanded && i < aead->sets * WAYS; i++) {
        aead->backend->forget(expanded_at(aead, i));
        aead->places[i] = (struct place){0};
    }
    aead->backend->close(aead->state);
    free(aead->expanded);
}

struct amm_aead *amm_aead_free(struct amm_aead *aead)
{
    if (aead) {
        close_backend(aead);
        free(aead->places);
        free(aead);
    }
    return NULL;
}

/* Counts what a light one has done; keys are expanded anew by the best one. Where that is not to be
 * had it stays as it is. */
static void note_work(struct amm_aead *aead, size_t len)
{
    if (aead->until_best == 0) {
        return;
    }
    aead->until_best -= len < aead->until_best ? len : aead->until_best;
    if (aead->until_best > 0) {
        return;
    }
    struct amm_aead best = {.sets = aead->sets, .places = aead->places, .clock = aead->clock};
    if (!choose_backend(&best, AMM_AEAD_BEST)) {
        return;
    }
    best.expanded = best.backend != aead->backend ? new_expanded(best.backend, best.sets) : NULL;
    if (!best.expanded) {
        best.backend->close(best.state);
        return;
    }
    close_backend(aead);
    *aead = best;
}

const char *amm_aead_name(const struct amm_aead *aead)
{
    return aead->backend->name(aead->state);
}

/* The expanded form of `key`, made now if it is not there; NULL if memory is short. */
static void *expanded_key(struct amm_aead *aead, const struct amm_aead_key *key)
{
    if (key->serial == 0) {
        return NULL; /* the mark of an empty place */
    }
    size_t first = (size_t)(key->serial % aead->sets) * WAYS;
    size_t oldest = first;
    for (size_t i = first; i < first + WAYS; i++) {
        struct place *place = &aead->places[i];
        if (place->serial == key->serial) {
            place->used = ++aead->clock;
            return expanded_at(aead, i);
        }
        if (place->used < aead->places[oldest].used) {
            oldest = i;
        }
    }
    struct place *place = &aead->places[oldest];
    void *expanded = expanded_at(aead, oldest);
    *place = (struct place){0};
    if (!aead->backend->expand(aead->state, expanded, key)) {
        return NULL;
    }
    *place = (struct place){key->serial, ++aead->clock};
    return expanded;
}

void amm_aead_seal(struct amm_aead *aead, const struct amm_aead_key *key,
                   const uint8_t nonce[AMM_AEAD_NONCE], struct amm_view aad, uint8_t *text,
                   size_t len, uint8_t tag[AMM_AEAD_TAG])
{
    note_work(aead, len);
    void *expanded = expanded_key(aead, key);
    struct amm_span span = {text, len};
    if (!expanded || !aead->backend->seal(aead->state, expanded, key, nonce, aad, span, tag)) {
        /* Plain text must not leave; the peer drops this packet as not authentic. */
        memset(text, 0, len);
        memset(tag, 0, AMM_AEAD_TAG);
    }
}

bool amm_aead_open(struct amm_aead *aead, const struct amm_aead_key *key,
                   const uint8_t nonce[AMM_AEAD_NONCE], struct amm_view aad, uint8_t *text,
                   size_t len, const uint8_t tag[AMM_AEAD_TAG])
{
    note_work(aead, len);
    void *expanded = expanded_key(aead, key);
    struct amm_span span = {text, len};
    return expanded && aead->backend->unseal(aead->state, expanded, key, nonce, aad, span, tag);
}

void amm_aead_forget(struct amm_aead *aead, const struct amm_aead_key *key)
{
    size_t first = (size_t)(key->serial % aead->sets) * WAYS;
    for (size_t i = first; i < first + WAYS; i++) {
        if (key->serial != 0 && aead->places[i].serial == key->serial) {
            aead->backend->forget(expanded_at(aead, i));
            aead->places[i] = (struct place){0};
        }
    }
}
