#include "identity.h"

#include "crypto/est.h"
#include "crypto/mac.h"
#include "crypto/pki.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY "gateway.key"
#define NEXT_KEY "gateway-next.key"
#define CERTIFICATE "gateway.crt"
#define CA "server-ca.crt"
#define REMOTE_KEY "remote-access.pub" /* hex digits and a line feed */

#define END_OF_PEM "-----END CERTIFICATE-----"

enum { PATH = ACE_PATH + 32 };

static void path_of(const struct ace_identity *i, const char *name, char out[PATH])
{
    snprintf(out, PATH, "%s/%s", i->folder, name);
}

/* ---- files: plain PEM, because ammer reads them; whole by the rename ---- */

static bool write_file(const struct ace_identity *i, const char *name, const char *text,
                       char *error, size_t room)
{
    char path[PATH], new[PATH + 8];
    path_of(i, name, path);
    snprintf(new, sizeof new, "%s.new", path);
    const struct ace_files *f = i->files;
    int fd = f->open(f->context, new, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool ok =
        fd >= 0 && ace_files_write_all(f, fd, amm_view_str(text)) && f->sync(f->context, fd) == 0;
    int cause = errno;
    if (fd >= 0) {
        ok = f->close(f->context, fd) == 0 && ok;
    }
    if (ok) {
        ok = f->rename(f->context, new, path) == 0 && f->sync_folder(f->context, i->folder) == 0;
        cause = errno;
    } else if (fd >= 0) {
        f->unlink(f->context, new);
    }
    if (!ok) {
        snprintf(error, room, "%s: %s", path, strerror(cause));
    }
    return ok;
}

static char *read_file(const struct ace_identity *i, const char *name, char *error, size_t room)
{
    char path[PATH];
    struct amm_span text;
    path_of(i, name, path);
    if (access(path, F_OK) != 0 || !amm_file_read(path, ACE_CA_MAX, &text, error, room)) {
        return NULL;
    }
    return (char *)text.data;
}

static void drop_secret(char **text)
{
    if (*text) {
        amm_wipe(*text, strlen(*text));
        free(*text);
        *text = NULL;
    }
}

static bool fits(const char *certificate, const char *key, struct amm_identity *out, char *error,
                 size_t room)
{
    struct amm_identity identity;
    uint8_t own[AMM_P256_KEY], hash[AMM_SHA256_LEN];
    if (!amm_pki_identity(certificate, &identity, error, room) ||
        !amm_pki_public_key(key, own, error, room)) {
        return false;
    }
    if (!amm_sha256(amm_view(own, sizeof own), hash) ||
        memcmp(hash, identity.key, sizeof hash) != 0) {
        snprintf(error, room, "the certificate is for another key");
        return false;
    }
    *out = identity;
    return true;
}

/* ---- opening ---- */

/* Certificate and key in force, from what is on disk. A renewal that was cut between its two steps
 * is finished: the certificate is there, and its key is still called the next one. */
static bool open_pair(struct ace_identity *i, char *error, size_t room)
{
    struct amm_identity identity;
    if (!i->certificate) {
        return true;
    }
    if (i->next_key && fits(i->certificate, i->next_key, &identity, error, room)) {
        char from[PATH], to[PATH];
        path_of(i, NEXT_KEY, from);
        path_of(i, KEY, to);
        if (i->files->rename(i->files->context, from, to) == 0) {
            i->files->sync_folder(i->files->context, i->folder);
        }
        drop_secret(&i->key);
        i->key = i->next_key;
        i->next_key = NULL;
    }
    if (!i->key || !fits(i->certificate, i->key, &identity, error, room) ||
        !amm_pki_validity(i->certificate, &i->not_before, &i->not_after, error, room)) {
        if (!i->key) {
            snprintf(error, room, "%s/" KEY ": the key of the certificate is missing", i->folder);
        }
        free(i->certificate);
        i->certificate = NULL;
        i->not_before = i->not_after = 0;
        return false;
    }
    snprintf(i->name, sizeof i->name, "%s", identity.name);
    return true;
}

static bool open_remote_key(struct ace_identity *i, char *error, size_t room)
{
    char *text = read_file(i, REMOTE_KEY, error, room);
    if (text) {
        text[strcspn(text, "\n")] = '\0';
        i->has_remote_key = strlen(text) == 2 * sizeof i->remote_key &&
                            amm_unhex(i->remote_key, sizeof i->remote_key, text);
        if (!i->has_remote_key) {
            snprintf(error, room, "%s/" REMOTE_KEY ": is no key; it is asked for anew", i->folder);
        }
        free(text);
    }
    return i->has_remote_key || error[0] == '\0';
}

bool ace_identity_open(struct ace_identity *i, const struct ace_files *files, const char *folder,
                       char *error, size_t room)
{
    *i = (struct ace_identity){.files = files};
    snprintf(i->folder, sizeof i->folder, "%s", folder);
    error[0] = '\0';
    i->key = read_file(i, KEY, error, room);
    i->next_key = read_file(i, NEXT_KEY, error, room);
    i->certificate = read_file(i, CERTIFICATE, error, room);
    i->ca = read_file(i, CA, error, room);
    bool ok = open_remote_key(i, error, room);
    return open_pair(i, error, room) && ok && error[0] == '\0';
}

void ace_identity_close(struct ace_identity *i)
{
    drop_secret(&i->key);
    drop_secret(&i->next_key);
    free(i->certificate);
    free(i->ca);
    i->certificate = i->ca = NULL;
    i->name[0] = '\0';
    i->not_before = i->not_after = 0;
    i->has_remote_key = false;
}

/* ---- enrolment ---- */

bool ace_identity_request(struct ace_identity *i, const char *serial, char **body, size_t *len,
                          char *error, size_t room)
{
    if (!i->next_key) {
        char key[AMM_PEM_MAX];
        bool ok = amm_pki_key_new(key, error, room) && write_file(i, NEXT_KEY, key, error, room);
        i->next_key = ok ? strdup(key) : NULL;
        amm_wipe(key, sizeof key);
        if (!i->next_key) {
            return false;
        }
    }
    return amm_est_request_write(i->next_key, serial, body, len, error, room);
}

/* The next PEM certificate of `*at`, cut out and NUL-terminated (malloc'd); NULL behind the last.
 */
static char *next_certificate(const char **at)
{
    const char *end = strstr(*at, END_OF_PEM);
    if (!end) {
        return NULL;
    }
    end += strlen(END_OF_PEM);
    end += *end == '\n';
    char *one = strndup(*at, (size_t)(end - *at));
    *at = end;
    return one;
}

static bool take_certificate(struct ace_identity *i, const char *certificate, char *error,
                             size_t room)
{
    struct amm_identity identity;
    int64_t not_before, not_after;
    if (!fits(certificate, i->next_key, &identity, error, room) ||
        !amm_pki_validity(certificate, &not_before, &not_after, error, room) ||
        !write_file(i, CERTIFICATE, certificate, error, room)) {
        return false;
    }
    char *copy = strdup(certificate);
    if (!copy) {
        snprintf(error, room, "out of memory");
        return false;
    }
    free(i->certificate);
    i->certificate = copy;
    return open_pair(i, error, room);
}

bool ace_identity_take(struct ace_identity *i, struct amm_view body, char *error, size_t room)
{
    char *certificates = NULL;
    if (!i->next_key) {
        snprintf(error, room, "no certificate was asked for");
        return false;
    }
    if (!amm_est_certificates_read(body, &certificates, error, room)) {
        return false;
    }
    const char *at = certificates;
    char *one = next_certificate(&at);
    bool ok = one && take_certificate(i, one, error, room);
    free(one);
    free(certificates);
    return ok;
}

/* ---- CAs ---- */

/* The length of a CA's name without the number of a successor. */
static size_t name_length(const char *name)
{
    size_t len = strlen(name), digits = len;
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') {
        digits--;
    }
    bool has_number =
        digits < len && digits > 1 && (name[digits - 1] == ' ' || name[digits - 1] == '_');
    return has_number ? digits - 1 : len;
}

static bool is_known_name(const struct ace_identity *i, const char *name)
{
    const char *at = i->ca ? i->ca : "";
    char error[160];
    bool is_known = false;
    size_t len = name_length(name);
    for (char *one; !is_known && (one = next_certificate(&at)) != NULL; free(one)) {
        struct amm_identity identity;
        is_known = amm_pki_identity(one, &identity, error, sizeof error) &&
                   name_length(identity.name) == len && memcmp(identity.name, name, len) == 0;
    }
    return is_known;
}

bool ace_identity_has_ca(const struct ace_identity *i, const uint8_t pin[32])
{
    const char *at = i->ca ? i->ca : "";
    char error[160];
    bool has = false;
    for (char *one; !has && (one = next_certificate(&at)) != NULL; free(one)) {
        struct amm_identity identity;
        has = amm_pki_identity(one, &identity, error, sizeof error) &&
              memcmp(identity.key, pin, sizeof identity.key) == 0;
    }
    return has;
}

bool ace_identity_take_ca(struct ace_identity *i, struct amm_view body, const uint8_t *pin,
                          char *error, size_t room)
{
    char *certificates = NULL, *one;
    if (!amm_est_certificates_read(body, &certificates, error, room)) {
        return false;
    }
    char *kept = calloc(1, strlen(certificates) + 1);
    const char *at = certificates;
    for (; kept && (one = next_certificate(&at)) != NULL; free(one)) {
        struct amm_identity identity;
        bool is_server_ca = amm_pki_identity(one, &identity, error, room) &&
                            (pin ? memcmp(identity.key, pin, sizeof identity.key) == 0
                                 : is_known_name(i, identity.name));
        if (is_server_ca) {
            strcat(kept, one); /* kept has room for all of them */
        }
    }
    free(certificates);
    bool ok = kept && kept[0];
    if (!ok) {
        snprintf(error, room, "%s",
                 kept ? pin ? "the server's CA is not the one of the token"
                            : "the server names no CA that is known"
                      : "out of memory");
    } else if (!i->ca || strcmp(i->ca, kept) != 0) {
        ok = write_file(i, CA, kept, error, room);
    }
    if (ok) {
        free(i->ca);
        i->ca = kept;
    } else {
        free(kept);
    }
    return ok;
}

bool ace_identity_take_remote_key(struct ace_identity *i, const uint8_t key[AMM_REMOTE_KEY],
                                  char *error, size_t room)
{
    char text[2 * AMM_REMOTE_KEY + 2];
    amm_hex(text, amm_view(key, AMM_REMOTE_KEY));
    strcat(text, "\n");
    if (!write_file(i, REMOTE_KEY, text, error, room)) {
        return false;
    }
    memcpy(i->remote_key, key, sizeof i->remote_key);
    i->has_remote_key = true;
    return true;
}

bool ace_identity_wants_renewal(const struct ace_identity *i, int64_t wall)
{
    return i->certificate && wall >= i->not_before + (i->not_after - i->not_before) / 2;
}

bool ace_identity_forget(struct ace_identity *i, char *error, size_t room)
{
    /* The certificate first: a key without it is nothing, the other way round would be said. */
    static const char *const names[] = {CERTIFICATE, KEY, NEXT_KEY, CA, REMOTE_KEY};
    bool ok = true;
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        char path[PATH];
        path_of(i, names[n], path);
        if (i->files->unlink(i->files->context, path) != 0 && errno != ENOENT && ok) {
            snprintf(error, room, "%s: %s", path, strerror(errno));
            ok = false;
        }
    }
    if (i->files->sync_folder(i->files->context, i->folder) != 0 && ok) {
        snprintf(error, room, "%s: %s", i->folder, strerror(errno));
        ok = false;
    }
    ace_identity_close(i);
    return ok;
}

void ace_identity_paths(const struct ace_identity *i, char certificate[PATH], char key[PATH])
{
    path_of(i, CERTIFICATE, certificate);
    path_of(i, KEY, key);
}
