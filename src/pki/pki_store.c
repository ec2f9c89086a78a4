#include "pki/pki_store.h"
#include "pki/pki_index.h"
#include "pki/pki_parts.h"

#include "base/bytes.h"
#include "crypto/mac.h"
#include "crypto/signature.h"
#include "crypto/signed_time.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_MAX = 64 << 20 };

const struct pki_kind_info pki_kinds[PKI_KINDS] = {
    [PKI_SERVER] = {"server", "server-ca", "server CA", AMM_CERTIFICATE_SERVER, 3650},
    [PKI_GATEWAY] = {"gateway", "gateway-ca", "gateway CA", AMM_CERTIFICATE_GATEWAY, 90},
    [PKI_PROFILE] = {"profile", "profile-ca", "profile CA", AMM_CERTIFICATE_GATEWAY, 3650},
    [PKI_MANAGER] = {"manager", "server-ca", NULL, AMM_CERTIFICATE_SERVER, 3650},
    [PKI_TIME] = {"time", "server-ca", NULL, AMM_CERTIFICATE_TIME, 3650},
};

bool pki_fail(char error[PKI_ERROR], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, PKI_ERROR, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- files ---- */

bool pki_path(const struct pki *pki, const char *name, char out[PATH_MAX], char error[PKI_ERROR])
{
    return snprintf(out, PATH_MAX, "%s/%s", pki->folder, name) < PATH_MAX ||
           pki_fail(error, "%.300s: the path is too long", pki->folder);
}

char *pki_read(const struct pki *pki, const char *name, char error[PKI_ERROR])
{
    char path[PATH_MAX];
    struct amm_span text;
    if (!pki_path(pki, name, path, error) ||
        !amm_file_read(path, FILE_MAX, &text, error, PKI_ERROR)) {
        return NULL;
    }
    return (char *)text.data;
}

void pki_text_free(char *text)
{
    if (text) {
        amm_wipe(text, strlen(text));
    }
    free(text);
}

bool pki_write(const struct pki *pki, const char *name, const char *text, bool is_secret,
               char error[PKI_ERROR])
{
    char path[PATH_MAX];
    return pki_path(pki, name, path, error) &&
           amm_file_write(path, amm_view_str(text), is_secret ? 0600 : 0644, error, PKI_ERROR);
}

bool pki_write_credential(const struct pki *pki, const char *base,
                          const struct pki_credential *credential, char error[PKI_ERROR])
{
    char certificate[AMM_NAME_MAX + 32], fresh[AMM_NAME_MAX + 40], key[AMM_NAME_MAX + 32];
    char from[PATH_MAX], to[PATH_MAX];
    snprintf(certificate, sizeof certificate, "%s.crt", base);
    snprintf(fresh, sizeof fresh, "%s.new", certificate);
    snprintf(key, sizeof key, "%s.key", base);
    if (!pki_path(pki, fresh, from, error) || !pki_path(pki, certificate, to, error) ||
        !pki_write(pki, fresh, credential->certificate, false, error)) {
        return false;
    }
    bool ok = pki_write(pki, key, credential->key, true, error) &&
              (rename(from, to) == 0 || pki_fail(error, "%.300s: %s", to, strerror(errno)));
    if (!ok) {
        unlink(from);
    }
    return ok;
}

static bool write_index(const struct pki *pki, char error[PKI_ERROR])
{
    char *text = pki_index_text(pki);
    bool ok =
        text ? pki_write(pki, AMM_PKI_INDEX, text, false, error) : pki_fail(error, "out of memory");
    free(text);
    return ok;
}

/* ---- issuing and revoking ---- */

static bool note_issued(struct pki *pki, enum pki_kind kind,
                        const struct pki_credential *credential, int64_t now, char error[PKI_ERROR])
{
    struct amm_identity identity;
    struct pki_entry *entry = pki_index_add(pki);
    if (!entry) {
        return pki_fail(error, "out of memory");
    }
    if (!amm_pki_identity(credential->certificate, &identity, error, PKI_ERROR)) {
        pki->n--;
        return false;
    }
    memcpy(entry->name, identity.name, sizeof entry->name);
    memcpy(entry->serial, identity.serial, sizeof entry->serial);
    entry->kind = kind;
    entry->issued = now;
    entry->not_after = identity.not_after;
    return write_index(pki, error);
}

bool pki_issue(struct pki *pki, enum pki_kind kind, const char *name, const char *dns_name,
               int days, struct pki_credential *out, char error[PKI_ERROR])
{
    struct pki_credential authority;
    int64_t now = time(NULL);
    struct amm_certificate_request request = {
        .role = pki_kinds[kind].role,
        .name = name,
        .dns_name = dns_name,
        .not_before = now - PKI_HOUR, /* a gateway's clock may be slow */
        .not_after = now + (int64_t)(days ? days : pki_kinds[kind].days) * PKI_DAY,
    };
    bool ok = pki_authority_read(pki, pki_kinds[kind].authority, &authority, error) &&
              (kind == PKI_TIME ? amm_signature_key_new(out->key, error, PKI_ERROR)
                                : amm_pki_key_new(out->key, error, PKI_ERROR)) &&
              amm_pki_issue(&request, out->key, authority.certificate, authority.key,
                            out->certificate, error, PKI_ERROR) &&
              note_issued(pki, kind, out, now, error);
    amm_wipe(&authority, sizeof authority);
    if (!ok) {
        amm_wipe(out, sizeof *out);
    }
    return ok;
}

bool pki_revoke(struct pki *pki, const char *name, size_t *count, char error[PKI_ERROR])
{
    *count = 0;
    for (size_t i = 0; i < pki->n; i++) {
        if (strcmp(pki->entries[i].name, name) == 0 && !pki->entries[i].revoked) {
            pki->entries[i].revoked = time(NULL);
            ++*count;
        }
    }
    /* Lists first: whoever could not write them finds nothing changed, and may ask again. */
    return *count == 0 || (pki_lists_write(pki, error) && write_index(pki, error));
}

/* ---- opening ---- */

static bool lock_folder(struct pki *pki, char error[PKI_ERROR])
{
    pki->lock = open(pki->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (pki->lock < 0 || flock(pki->lock, LOCK_EX) != 0) {
        return pki_fail(error, "%.300s: %s", pki->folder, strerror(errno));
    }
    return true;
}

bool pki_open(struct pki *pki, const char *folder, char error[PKI_ERROR])
{
    *pki = (struct pki){.lock = -1};
    if (strlen(folder) >= sizeof pki->folder) {
        return pki_fail(error, "the path of the PKI folder is too long");
    }
    strncpy(pki->folder, folder, sizeof pki->folder - 1);
    char path[PATH_MAX];
    if (!pki_path(pki, AMM_PKI_INDEX, path, error)) {
        return false;
    }
    if (access(path, F_OK) != 0) {
        return pki_fail(error, "%.300s: no PKI here (make one: ammctl pki init --pki %.100s)",
                        folder, folder);
    }
    if (!lock_folder(pki, error)) {
        return false;
    }
    char *text = pki_read(pki, AMM_PKI_INDEX, error);
    bool ok = text && pki_index_parse(pki, text, error);
    free(text);
    return ok;
}

void pki_close(struct pki *pki)
{
    if (pki->lock >= 0) {
        close(pki->lock);
    }
    free(pki->entries);
    *pki = (struct pki){.lock = -1};
}

/* ---- creating ---- */

static bool write_channel_keys(const struct pki *pki, char error[PKI_ERROR])
{
    struct amm_random random = amm_system_random();
    uint8_t key[AMM_STATIC_KEY];
    char text[AMM_PEM_MAX];
    amm_random_fill(&random, key, sizeof key);
    amm_static_key_text(key, text);
    bool ok = pki_write(pki, AMM_PKI_TLS_CRYPT, text, true, error);
    amm_random_fill(&random, key, sizeof key);
    amm_static_key_text(key, text);
    ok = ok && pki_write(pki, AMM_PKI_TLS_AUTH, text, true, error);
    amm_random_fill(&random, key, AMM_V2_SERVER_KEY);
    amm_v2_server_key_text(key, text);
    ok = ok && pki_write(pki, AMM_PKI_TLS_CRYPT_V2, text, true, error);
    amm_wipe(key, sizeof key);
    amm_wipe(text, sizeof text);
    return ok;
}

/* The certificates of the server's parts beside the tunnel server, which an older PKI lacks. */
static const struct part {
    enum pki_kind kind;
    const char *name, *base, *file;
} parts[] = {
    {PKI_MANAGER, AMM_PKI_MANAGER_NAME, "manager", AMM_PKI_MANAGER},
    {PKI_TIME, AMM_PKI_TIME_NAME, "time", AMM_PKI_TIME},
};
enum { N_PARTS = sizeof parts / sizeof parts[0] };

static bool make_part(struct pki *pki, const struct part *part, char error[PKI_ERROR])
{
    struct pki_credential made;
    bool ok = pki_issue(pki, part->kind, part->name, NULL, 0, &made, error) &&
              pki_write_credential(pki, part->base, &made, error);
    amm_wipe(&made, sizeof made);
    return ok;
}

/* Has no certificate: gateways learn its public half by check-in (GP-71). */
static bool make_remote_key(struct pki *pki, char error[PKI_ERROR])
{
    char key[AMM_PEM_MAX];
    bool ok = amm_signature_key_new(key, error, PKI_ERROR) &&
              pki_write(pki, AMM_PKI_REMOTE_KEY, key, true, error);
    amm_wipe(key, sizeof key);
    return ok;
}

bool pki_upgrade(struct pki *pki, char *made, size_t room, char error[PKI_ERROR])
{
    struct amm_writer w = amm_writer(made, room);
    for (size_t i = 0; i < N_PARTS; i++) {
        char path[PATH_MAX];
        if (!pki_path(pki, parts[i].file, path, error)) {
            return false;
        }
        if (access(path, F_OK) == 0) {
            continue;
        }
        if (!make_part(pki, &parts[i], error)) {
            return false;
        }
        amm_write_text(&w, "%s%s.crt %s.key", w.at == w.start ? "" : " ", parts[i].base,
                       parts[i].base);
    }
    char path[PATH_MAX];
    if (!pki_path(pki, AMM_PKI_REMOTE_KEY, path, error)) {
        return false;
    }
    if (access(path, F_OK) != 0) {
        if (!make_remote_key(pki, error)) {
            return false;
        }
        amm_write_text(&w, "%s" AMM_PKI_REMOTE_KEY, w.at == w.start ? "" : " ");
    }
    amm_write_u8(&w, 0);
    return true;
}

static bool fill_folder(struct pki *pki, const char *organisation, const char *server,
                        const char *dns_name, char error[PKI_ERROR])
{
    struct pki_credential made;
    bool ok = true;
    for (int kind = 0; ok && kind < PKI_AUTHORITIES; kind++) {
        char name[2 * AMM_NAME_MAX];
        snprintf(name, sizeof name, "%s %s", organisation, pki_kinds[kind].full_name);
        ok = pki_authority_make(name, time(NULL), &made, error) &&
             pki_write_credential(pki, pki_kinds[kind].authority, &made, error);
    }
    ok = ok && pki_trust_write(pki, NULL, NULL, error) && write_channel_keys(pki, error) &&
         pki_issue(pki, PKI_SERVER, server, dns_name, 0, &made, error) &&
         pki_write_credential(pki, "server", &made, error);
    for (size_t i = 0; ok && i < N_PARTS; i++) {
        ok = make_part(pki, &parts[i], error);
    }
    ok = ok && make_remote_key(pki, error);
    amm_wipe(&made, sizeof made);
    return ok && pki_lists_write(pki, error);
}

/* Removes what fill_folder may have written; the folder holds nothing else. */
static void remove_folder(const struct pki *pki)
{
    static const char *const names[] = {
        "server-ca.crt",     "server-ca.key",      "gateway-ca.crt",   "gateway-ca.key",
        "profile-ca.crt",    "profile-ca.key",     AMM_PKI_CA,         AMM_PKI_CRL,
        AMM_PKI_SERVER_CRL,  AMM_PKI_SERVER,       AMM_PKI_SERVER_KEY, AMM_PKI_TLS_AUTH,
        AMM_PKI_TLS_CRYPT,   AMM_PKI_TLS_CRYPT_V2, AMM_PKI_INDEX,      AMM_PKI_MANAGER,
        AMM_PKI_MANAGER_KEY, AMM_PKI_TIME,         AMM_PKI_TIME_KEY,   AMM_PKI_REMOTE_KEY,
    };
    char path[PATH_MAX], error[PKI_ERROR];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (pki_path(pki, names[i], path, error)) {
            unlink(path);
        }
    }
    if (pki_path(pki, AMM_PKI_GATEWAYS_FOLDER, path, error)) {
        rmdir(path);
    }
    rmdir(pki->folder);
}

/* Everything is made in a folder beside the final one, which is then renamed: the rename fails if a
 * PKI, or anything else, is there. */
bool pki_create(const char *folder, const char *organisation, const char *server,
                const char *dns_name, char error[PKI_ERROR])
{
    struct pki pki = {.lock = -1};
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/') {
        len--;
    }
    char final[PATH_MAX], parent[PATH_MAX], gateways[PATH_MAX];
    if (len == 0 || snprintf(pki.folder, sizeof pki.folder, "%.*s.new-XXXXXX", (int)len, folder) >=
                        (int)sizeof pki.folder) {
        return pki_fail(error, "the path of the PKI folder is empty or too long");
    }
    snprintf(final, sizeof final, "%.*s", (int)len, folder);
    const char *slash = strrchr(final, '/');
    if (slash > final) {
        snprintf(parent, sizeof parent, "%.*s", (int)(slash - final), final);
        if (!amm_directory_make(parent, 0755, error, PKI_ERROR)) {
            return false;
        }
    }
    if (!mkdtemp(pki.folder)) {
        return pki_fail(error, "%.300s: %s", final, strerror(errno));
    }
    bool ok =
        pki_path(&pki, AMM_PKI_GATEWAYS_FOLDER, gateways, error) &&
        (mkdir(gateways, 0700) == 0 || pki_fail(error, "%.300s: %s", gateways, strerror(errno))) &&
        fill_folder(&pki, organisation, server, dns_name, error);
    if (ok && rename(pki.folder, final) != 0) {
        ok = errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR
                 ? pki_fail(error,
                            "%.300s: there is something already; nothing was changed (what a newer "
                            "version needs beside an existing PKI: ammctl pki upgrade)",
                            final)
                 : pki_fail(error, "%.300s: %s", final, strerror(errno));
    }
    if (!ok) {
        remove_folder(&pki);
    }
    pki_close(&pki);
    return ok;
}
