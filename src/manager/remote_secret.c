/* Credentials of gateways' pages at rest: sealed with a key that is in a file, so that the database
 * and its backups alone give nothing away. AES-256-GCM; the gateway's id is bound in, so that a
 * sealed secret is worthless in another row. */
#include "manager/remote_parts.h"

#include "base/base64.h"
#include "crypto/aead.h"
#include "io/file.h"
#include "io/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEY = 32, KEY_TEXT = AMM_BASE64_ROOM(KEY), FILE_MAX = 256 };

static bool make_key(struct remote *remote, struct manager *m, const char *path, char *error,
                     size_t room)
{
    char text[KEY_TEXT + 1];
    amm_random_fill(&m->random, remote->secret_key, KEY);
    size_t len = amm_base64_encode(text, KEY_TEXT, amm_view(remote->secret_key, KEY), AMM_BASE64);
    text[len++] = '\n';
    bool ok = amm_file_write(path, amm_view(text, len), 0600, error, room);
    amm_wipe(text, sizeof text);
    return ok;
}

static bool read_key(struct remote *remote, const char *path, char *error, size_t room)
{
    struct amm_span text;
    size_t len = 0;
    if (!amm_file_read(path, FILE_MAX, &text, error, room)) {
        return false;
    }
    struct amm_view line = amm_view(text.data, strcspn((const char *)text.data, "\n"));
    bool ok = amm_base64_decode(remote->secret_key, KEY, &len, line, AMM_BASE64) && len == KEY;
    amm_wipe(text.data, text.len);
    free(text.data);
    if (!ok) {
        snprintf(error, room,
                 "%.200s: is no key (32 bytes in base64); put the right file back, or remove it: "
                 "then the credentials of gateways' pages must be set again",
                 path);
    }
    return ok;
}

bool remote_secret_open(struct remote *remote, struct manager *m, char *error, size_t room)
{
    const char *path = m->config->credentials_key;
    if (path[0] == '\0') {
        return true; /* tests without credentials */
    }
    bool is_there = access(path, F_OK) == 0;
    if (!is_there && errno != ENOENT) {
        snprintf(error, room, "%.200s: %s", path, strerror(errno));
        return false;
    }
    remote->has_secret_key =
        is_there ? read_key(remote, path, error, room) : make_key(remote, m, path, error, room);
    return remote->has_secret_key;
}

void remote_secret_close(struct remote *remote)
{
    amm_wipe(remote->secret_key, sizeof remote->secret_key);
    remote->has_secret_key = false;
}

/* nonce, text, tag */
static struct amm_aead_key key_of(const struct remote *remote)
{
    struct amm_aead_key key = {.serial = 1, .cipher = AMM_CIPHER_AES_256_GCM};
    memcpy(key.bytes, remote->secret_key, KEY);
    return key;
}

bool remote_secret_seal(struct manager *m, struct remote_page *page, const char *secret)
{
    struct remote *remote = m->remote;
    size_t len = strlen(secret);
    struct amm_aead *aead =
        remote->has_secret_key && len < AMM_PROXY_SECRET ? amm_aead_new(AMM_AEAD_OPENSSL, 1) : NULL;
    if (aead == NULL) {
        return false;
    }
    struct amm_aead_key key = key_of(remote);
    uint8_t *nonce = page->sealed, *text = nonce + AMM_AEAD_NONCE;
    amm_random_fill(&m->random, nonce, AMM_AEAD_NONCE);
    memcpy(text, secret, len);
    amm_aead_seal(aead, &key, nonce, amm_view(&page->gateway, sizeof page->gateway), text, len,
                  text + len);
    page->n_sealed = AMM_AEAD_NONCE + len + AMM_AEAD_TAG;
    amm_aead_free(aead);
    amm_wipe(&key, sizeof key);
    return true;
}

bool remote_secret_unseal(struct manager *m, const struct remote_page *page,
                          char out[AMM_PROXY_SECRET])
{
    struct remote *remote = m->remote;
    enum { AROUND = AMM_AEAD_NONCE + AMM_AEAD_TAG };
    memset(out, 0, AMM_PROXY_SECRET);
    if (!remote->has_secret_key || page->n_sealed < AROUND ||
        page->n_sealed - AROUND >= AMM_PROXY_SECRET) {
        return false;
    }
    struct amm_aead *aead = amm_aead_new(AMM_AEAD_OPENSSL, 1);
    if (aead == NULL) {
        return false;
    }
    struct amm_aead_key key = key_of(remote);
    size_t len = page->n_sealed - AROUND;
    memcpy(out, page->sealed + AMM_AEAD_NONCE, len);
    bool ok =
        amm_aead_open(aead, &key, page->sealed, amm_view(&page->gateway, sizeof page->gateway),
                      (uint8_t *)out, len, page->sealed + AMM_AEAD_NONCE + len);
    amm_aead_free(aead);
    amm_wipe(&key, sizeof key);
    if (!ok) {
        amm_wipe(out, AMM_PROXY_SECRET);
        amm_log(AMM_LOG_WARNING, "credentials-unreadable",
                amm_field_number("gateway", page->gateway),
                amm_field_text("text", "sealed with another key: set them again"));
    }
    return ok;
}
