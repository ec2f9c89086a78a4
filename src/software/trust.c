#include "software/trust.h"

#include "base/base64.h"
#include "crypto/mac.h"
#include "domain/version.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { ID = 8, SIGNED_MAX = sizeof AMM_STATEMENT_CONTEXT + AMM_SOFTWARE_HEAD, LINE_MAX = 128 };

const char *amm_trust_name(enum amm_trust trust)
{
    static const char *const names[] = {
        [AMM_TRUST_GOOD] = "good",
        [AMM_TRUST_MALFORMED] = "malformed",
        [AMM_TRUST_UNKNOWN_KEY] = "unknown-key",
        [AMM_TRUST_SIGNATURE] = "bad-signature",
        [AMM_TRUST_DEVELOPMENT] = "development-key",
        [AMM_TRUST_EARLY] = "not-yet-valid",
        [AMM_TRUST_EXPIRED] = "expired",
        [AMM_TRUST_MODEL] = "wrong-model",
        [AMM_TRUST_ARCHITECTURE] = "wrong-architecture",
        [AMM_TRUST_COUNTER] = "older-security-counter",
        [AMM_TRUST_DOWNGRADE] = "older-version",
        [AMM_TRUST_STEP] = "step-missing",
        [AMM_TRUST_PERMIT] = "permit-of-another",
    };
    return trust < sizeof names / sizeof names[0] ? names[trust] : "unknown";
}

static enum amm_trust refuse(enum amm_trust trust, char error[AMM_STATEMENT_ERROR],
                             const char *format, ...) __attribute__((format(printf, 3, 4)));
static enum amm_trust refuse(enum amm_trust trust, char error[AMM_STATEMENT_ERROR],
                             const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, AMM_STATEMENT_ERROR, format, arguments);
    va_end(arguments);
    return trust;
}

/* ---- the ring ---- */

void amm_release_key_id(uint8_t id[ID], const uint8_t key[AMM_SIGNATURE_KEY])
{
    uint8_t hash[AMM_SHA256_LEN];
    amm_sha256(amm_view(key, AMM_SIGNATURE_KEY), hash);
    memcpy(id, hash, ID);
}

static bool add(struct amm_keyring *ring, const struct amm_release_key *key)
{
    for (unsigned i = 0; i < ring->n; i++) {
        if (memcmp(ring->keys[i].key, key->key, sizeof key->key) == 0) {
            return true;
        }
    }
    if (ring->n == AMM_RELEASE_KEYS) {
        return false;
    }
    ring->keys[ring->n++] = *key;
    return true;
}

/* "release BASE64", "development BASE64 1795000000" */
static bool take_key(struct amm_keyring *ring, const char *line)
{
    struct amm_release_key key = {.is_development = strncmp(line, "development ", 12) == 0};
    const char *text = line + (key.is_development ? 12 : 8);
    size_t chars = 0, len = 0;
    if (!key.is_development && strncmp(line, "release ", 8) != 0) {
        return false;
    }
    chars = strcspn(text, " ");
    if (!amm_base64_decode(key.key, sizeof key.key, &len, amm_view(text, chars), AMM_BASE64) ||
        len != sizeof key.key) {
        return false;
    }
    for (text += chars + (text[chars] == ' '); *text >= '0' && *text <= '9'; text++) {
        if (key.from > INT64_MAX / 100) {
            return false;
        }
        key.from = key.from * 10 + (*text - '0');
    }
    return *text == '\0' && add(ring, &key);
}

bool amm_keyring_parse(struct amm_keyring *out, struct amm_view text,
                       char error[AMM_STATEMENT_ERROR])
{
    struct amm_keyring ring = {0};
    unsigned number = 0;
    for (size_t at = 0; at < text.len;) {
        char line[LINE_MAX];
        const uint8_t *end = memchr(text.data + at, '\n', text.len - at);
        size_t len = end ? (size_t)(end - text.data) - at : text.len - at;
        number++;
        if (len >= sizeof line) {
            return refuse(AMM_TRUST_MALFORMED, error, "line %u is too long", number), false;
        }
        memcpy(line, text.data + at, len);
        line[len] = '\0';
        at += len + 1;
        if (line[0] != '\0' && line[0] != '#' && !take_key(&ring, line)) {
            return refuse(AMM_TRUST_MALFORMED, error,
                          "line %u is not \"release KEY\" or \"development KEY\", or one key too "
                          "many",
                          number),
                   false;
        }
    }
    *out = ring;
    return true;
}

size_t amm_keyring_write(const struct amm_keyring *ring, char *out, size_t room)
{
    struct amm_writer w = amm_writer(out, room);
    for (unsigned i = 0; i < ring->n; i++) {
        const struct amm_release_key *key = &ring->keys[i];
        char text[AMM_BASE64_ROOM(AMM_SIGNATURE_KEY)];
        amm_base64_encode(text, sizeof text, amm_view(key->key, sizeof key->key), AMM_BASE64);
        amm_write_text(&w, "%s %s", key->is_development ? "development" : "release", text);
        if (key->from != 0) {
            amm_write_text(&w, " %" PRId64, key->from);
        }
        amm_write_u8(&w, '\n');
    }
    return amm_writer_len(&w);
}

/* ---- signatures ---- */

/* What a signature covers; its length, or 0 if the text is longer than any statement. */
static size_t signed_bytes(uint8_t out[SIGNED_MAX], struct amm_view text)
{
    struct amm_writer w = amm_writer(out, SIGNED_MAX);
    amm_write_bytes(&w, AMM_STATEMENT_CONTEXT, sizeof AMM_STATEMENT_CONTEXT);
    amm_write_view(&w, text);
    return amm_writer_len(&w);
}

/* The key of the ring that signed the statement; one good signature is enough. */
static enum amm_trust signer_of(const struct amm_keyring *ring,
                                const struct amm_statement *statement,
                                const struct amm_release_key **out, char error[AMM_STATEMENT_ERROR])
{
    uint8_t bytes[SIGNED_MAX];
    size_t len = signed_bytes(bytes, statement->text);
    enum amm_trust trust =
        refuse(AMM_TRUST_UNKNOWN_KEY, error, "it is signed by a key that is not trusted here");
    for (unsigned i = 0; len != 0 && i < ring->n; i++) {
        uint8_t id[ID];
        amm_release_key_id(id, ring->keys[i].key);
        int found = amm_statement_signature_of(statement, id);
        if (found < 0) {
            continue;
        }
        if (amm_signature_verify(ring->keys[i].key, amm_view(bytes, len),
                                 statement->signature[found].bytes)) {
            *out = &ring->keys[i];
            return AMM_TRUST_GOOD;
        }
        trust = refuse(AMM_TRUST_SIGNATURE, error, "its signature is not good: it was changed");
    }
    return trust;
}

/* Without the signatures that stand behind it already. */
static size_t unsigned_length(const char *text, size_t len)
{
    static const char mark[] = "\nsignature: ";
    const char *found = memmem(text, len, mark, sizeof mark - 1);
    return found ? (size_t)(found - text) + 1 : len;
}

bool amm_statement_sign(const struct amm_signer *signer, char *text, size_t *len, size_t room)
{
    uint8_t bytes[SIGNED_MAX], signature[AMM_SIGNATURE], key[AMM_SIGNATURE_KEY], id[ID];
    size_t covered = signed_bytes(bytes, amm_view(text, unsigned_length(text, *len)));
    amm_signer_key(signer, key);
    amm_release_key_id(id, key);
    size_t line = covered != 0 && amm_sign(signer, amm_view(bytes, covered), signature)
                      ? amm_statement_sign_line(id, signature, text + *len, room - *len)
                      : 0;
    *len += line;
    return line != 0;
}

/* ---- judgements ---- */

enum amm_trust amm_software_judge(const struct amm_keyring *ring, struct amm_view head, int64_t now,
                                  struct amm_manifest *out, char error[AMM_STATEMENT_ERROR])
{
    struct amm_manifest manifest;
    struct amm_statement statement;
    const struct amm_release_key *key = NULL;
    if (!amm_manifest_parse(&manifest, &statement, head, error)) {
        return AMM_TRUST_MALFORMED;
    }
    enum amm_trust trust = signer_of(ring, &statement, &key, error);
    if (trust != AMM_TRUST_GOOD) {
        return trust;
    }
    if (key->is_development != manifest.is_development) {
        return refuse(AMM_TRUST_DEVELOPMENT, error, "a %s key has signed %s software",
                      key->is_development ? "development" : "release",
                      manifest.is_development ? "development" : "release");
    }
    if (now < manifest.created || manifest.created < key->from) {
        return refuse(AMM_TRUST_EARLY, error, "it is not valid yet");
    }
    if (now > manifest.expires) {
        return refuse(AMM_TRUST_EXPIRED, error, "it has expired: sign it again");
    }
    *out = manifest;
    return AMM_TRUST_GOOD;
}

enum amm_trust amm_keyring_follow(struct amm_keyring *ring, struct amm_view successor,
                                  char error[AMM_STATEMENT_ERROR])
{
    struct amm_successor next;
    struct amm_statement statement;
    const struct amm_release_key *key = NULL;
    if (!amm_successor_parse(&next, &statement, successor, error)) {
        return AMM_TRUST_MALFORMED;
    }
    enum amm_trust trust = signer_of(ring, &statement, &key, error);
    if (trust != AMM_TRUST_GOOD) {
        return trust;
    }
    struct amm_release_key added = {.from = next.from, .is_development = key->is_development};
    memcpy(added.key, next.key, sizeof added.key);
    return add(ring, &added) ? AMM_TRUST_GOOD
                             : refuse(AMM_TRUST_MALFORMED, error, "the ring of keys is full");
}

static bool has_model(const struct amm_manifest *manifest, const char *model)
{
    for (unsigned i = 0; i < manifest->n_models; i++) {
        if (strcmp(manifest->models[i], model) == 0) {
            return true;
        }
    }
    return false;
}

static enum amm_trust permits(const struct amm_keyring *ring, const struct amm_manifest *manifest,
                              const struct amm_software_place *place, struct amm_view text,
                              int64_t now, char error[AMM_STATEMENT_ERROR])
{
    struct amm_permit permit;
    struct amm_statement statement;
    const struct amm_release_key *key = NULL;
    if (!amm_permit_parse(&permit, &statement, text, error)) {
        return AMM_TRUST_MALFORMED;
    }
    enum amm_trust trust = signer_of(ring, &statement, &key, error);
    if (trust != AMM_TRUST_GOOD) {
        return trust;
    }
    if (now > permit.expires) {
        return refuse(AMM_TRUST_EXPIRED, error, "the permit to go back has expired");
    }
    if (strcmp(permit.serial, place->serial) != 0 || strcmp(permit.name, manifest->name) != 0 ||
        strcmp(permit.version, manifest->version) != 0 || manifest->counter < permit.counter ||
        key->is_development != manifest->is_development) {
        return refuse(AMM_TRUST_PERMIT, error,
                      "the permit to go back is for another gateway or another version");
    }
    return AMM_TRUST_GOOD;
}

enum amm_trust amm_software_fits(const struct amm_keyring *ring,
                                 const struct amm_manifest *manifest,
                                 const struct amm_software_place *place,
                                 const struct amm_view *permit, int64_t now,
                                 char error[AMM_STATEMENT_ERROR])
{
    struct amm_version have, offered;
    bool is_older = place->version[0] != '\0' && amm_version_parse(&have, place->version) &&
                    amm_version_parse(&offered, manifest->version) &&
                    amm_version_compare(&offered, &have) < 0;
    if (!has_model(manifest, place->model)) {
        return refuse(AMM_TRUST_MODEL, error, "it is not for the model %s", place->model);
    }
    if (strcmp(manifest->architecture, "any") != 0 &&
        strcmp(manifest->architecture, place->architecture) != 0) {
        return refuse(AMM_TRUST_ARCHITECTURE, error, "it is for %s, this gateway is %s",
                      manifest->architecture, place->architecture);
    }
    if ((is_older || manifest->counter < place->counter) && permit) {
        return permits(ring, manifest, place, *permit, now, error);
    }
    if (manifest->counter < place->counter) {
        return refuse(AMM_TRUST_COUNTER, error,
                      "its security counter is %" PRIu32 ", this gateway is at %" PRIu32,
                      manifest->counter, place->counter);
    }
    if (is_older) {
        return refuse(AMM_TRUST_DOWNGRADE, error,
                      "it is older than %s, which runs: going back needs a permit", place->version);
    }
    if (manifest->from[0] != '\0' && place->version[0] != '\0' &&
        !amm_version_at_least(place->version, manifest->from)) {
        return refuse(AMM_TRUST_STEP, error, "it needs at least %s, %s runs: install that first",
                      manifest->from, place->version);
    }
    return AMM_TRUST_GOOD;
}
