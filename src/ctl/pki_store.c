#include "pki_store.h"
#include "pki_index.h"

#include "base/bytes.h"
#include "crypto/mac.h"
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

enum {
    FILE_MAX = 64 << 20,
    AUTHORITY_DAYS = 7300, /* longer than the longest certificate for ten years to come */
    LIST_DAYS = 3650,      /* the lists lie beside the server, so age says nothing about them */
};

const struct pki_kind_info pki_kinds[PKI_KINDS] = {
    [PKI_SERVER] = {"server", "server-ca", "server CA", AMM_CERTIFICATE_SERVER, 3650},
    [PKI_GATEWAY] = {"gateway", "gateway-ca", "gateway CA", AMM_CERTIFICATE_GATEWAY, 90},
    [PKI_PROFILE] = {"profile", "profile-ca", "profile CA", AMM_CERTIFICATE_GATEWAY, 3650},
};

static bool fail(char error[PKI_ERROR], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool fail(char error[PKI_ERROR], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, PKI_ERROR, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- files ---- */

static bool path_of(const struct pki *pki, const char *name, char out[PATH_MAX],
                    char error[PKI_ERROR])
{
    return snprintf(out, PATH_MAX, "%s/%s", pki->folder, name) < PATH_MAX ||
           fail(error, "%.300s: the path is too long", pki->folder);
}

char *pki_read(const struct pki *pki, const char *name, char error[PKI_ERROR])
{
    char path[PATH_MAX];
    struct amm_span text;
    if (!path_of(pki, name, path, error) ||
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
    return path_of(pki, name, path, error) &&
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
    if (!path_of(pki, fresh, from, error) || !path_of(pki, certificate, to, error) ||
        !pki_write(pki, fresh, credential->certificate, false, error)) {
        return false;
    }
    bool ok = pki_write(pki, key, credential->key, true, error) &&
              (rename(from, to) == 0 || fail(error, "%.300s: %s", to, strerror(errno)));
    if (!ok) {
        unlink(from);
    }
    return ok;
}

static bool write_index(const struct pki *pki, char error[PKI_ERROR])
{
    char *text = pki_index_text(pki);
    bool ok =
        text ? pki_write(pki, AMM_PKI_INDEX, text, false, error) : fail(error, "out of memory");
    free(text);
    return ok;
}

/* ---- authorities ---- */

static bool read_authority(const struct pki *pki, enum pki_kind kind, struct pki_credential *out,
                           char error[PKI_ERROR])
{
    char name[64];
    bool ok = true;
    char *const into[] = {out->certificate, out->key};
    for (int i = 0; ok && i < 2; i++) {
        snprintf(name, sizeof name, "%s.%s", pki_kinds[kind].authority, i == 0 ? "crt" : "key");
        char *text = pki_read(pki, name, error);
        ok = text && (strlen(text) < AMM_PEM_MAX || fail(error, "%s: too large", name));
        if (ok) {
            memcpy(into[i], text, strlen(text) + 1);
        }
        pki_text_free(text);
    }
    return ok;
}

static bool make_authority(const struct pki *pki, enum pki_kind kind, const char *organisation,
                           int64_t now, struct pki_credential *out, char error[PKI_ERROR])
{
    char name[2 * AMM_NAME_MAX];
    snprintf(name, sizeof name, "%s %s", organisation, pki_kinds[kind].full_name);
    struct amm_certificate_request request = {
        .role = AMM_CERTIFICATE_CA,
        .name = name,
        .not_before = now - PKI_DAY,
        .not_after = now + (int64_t)AUTHORITY_DAYS * PKI_DAY,
    };
    return amm_pki_key_new(out->key, error, PKI_ERROR) &&
           amm_pki_issue(&request, out->key, NULL, out->key, out->certificate, error, PKI_ERROR) &&
           pki_write_credential(pki, pki_kinds[kind].authority, out, error);
}

/* ---- revocation lists ---- */

/* The list of one CA; malloc'd. A CA's list number must grow: microseconds do. */
static char *sign_list(const struct pki *pki, enum pki_kind kind, char error[PKI_ERROR])
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct amm_revocation *revoked = calloc(pki->n + 1, sizeof *revoked);
    size_t n = 0;
    for (size_t i = 0; revoked && i < pki->n; i++) {
        if (pki->entries[i].kind == kind && pki->entries[i].revoked) {
            memcpy(revoked[n].serial, pki->entries[i].serial, sizeof revoked[n].serial);
            revoked[n++].at = pki->entries[i].revoked;
        }
    }
    struct pki_credential authority;
    char *text = NULL;
    if (!revoked) {
        fail(error, "out of memory");
    } else if (read_authority(pki, kind, &authority, error)) {
        amm_pki_crl(authority.certificate, authority.key, revoked, n,
                    (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000,
                    now.tv_sec - PKI_HOUR, now.tv_sec + (int64_t)LIST_DAYS * PKI_DAY, &text, error,
                    PKI_ERROR);
    }
    amm_wipe(&authority, sizeof authority);
    free(revoked);
    return text;
}

static bool write_lists(const struct pki *pki, char error[PKI_ERROR])
{
    char *server = sign_list(pki, PKI_SERVER, error);
    char *gateway = server ? sign_list(pki, PKI_GATEWAY, error) : NULL;
    char *profile = gateway ? sign_list(pki, PKI_PROFILE, error) : NULL;
    char *both = NULL;
    bool ok = profile != NULL;
    if (ok && asprintf(&both, "%s%s", gateway, profile) < 0) {
        both = NULL;
        ok = fail(error, "out of memory");
    }
    ok = ok && pki_write(pki, AMM_PKI_CRL, both, false, error) &&
         pki_write(pki, AMM_PKI_SERVER_CRL, server, false, error);
    free(server);
    free(gateway);
    free(profile);
    free(both);
    return ok;
}

/* ---- issuing and revoking ---- */

static bool note_issued(struct pki *pki, enum pki_kind kind,
                        const struct pki_credential *credential, int64_t now, char error[PKI_ERROR])
{
    struct amm_identity identity;
    struct pki_entry *entry = pki_index_add(pki);
    if (!entry) {
        return fail(error, "out of memory");
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
    bool ok = read_authority(pki, kind, &authority, error) &&
              amm_pki_key_new(out->key, error, PKI_ERROR) &&
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
    return *count == 0 || (write_lists(pki, error) && write_index(pki, error));
}

/* ---- opening ---- */

static bool lock_folder(struct pki *pki, char error[PKI_ERROR])
{
    pki->lock = open(pki->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (pki->lock < 0 || flock(pki->lock, LOCK_EX) != 0) {
        return fail(error, "%.300s: %s", pki->folder, strerror(errno));
    }
    return true;
}

bool pki_open(struct pki *pki, const char *folder, char error[PKI_ERROR])
{
    *pki = (struct pki){.lock = -1};
    if (strlen(folder) >= sizeof pki->folder) {
        return fail(error, "the path of the PKI folder is too long");
    }
    strncpy(pki->folder, folder, sizeof pki->folder - 1);
    char path[PATH_MAX];
    if (!path_of(pki, AMM_PKI_INDEX, path, error)) {
        return false;
    }
    if (access(path, F_OK) != 0) {
        return fail(error, "%.300s: no PKI here (make one: ammctl pki init --pki %.100s)", folder,
                    folder);
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

static bool fill_folder(struct pki *pki, const char *organisation, const char *server,
                        const char *dns_name, char error[PKI_ERROR])
{
    struct pki_credential made;
    char both[2 * AMM_PEM_MAX] = "";
    struct amm_writer w = amm_writer(both, sizeof both);
    bool ok = true;
    for (int kind = 0; ok && kind < PKI_KINDS; kind++) {
        ok = make_authority(pki, (enum pki_kind)kind, organisation, time(NULL), &made, error);
        if (ok && kind != PKI_SERVER) {
            amm_write_str(&w, made.certificate);
        }
    }
    amm_write_u8(&w, 0);
    ok = ok && pki_write(pki, AMM_PKI_CA, both, false, error) && write_channel_keys(pki, error) &&
         pki_issue(pki, PKI_SERVER, server, dns_name, 0, &made, error) &&
         pki_write_credential(pki, "server", &made, error) && write_lists(pki, error);
    amm_wipe(&made, sizeof made);
    return ok;
}

/* Removes what fill_folder may have written; the folder holds nothing else. */
static void remove_folder(const struct pki *pki)
{
    static const char *const names[] = {
        "server-ca.crt",    "server-ca.key",      "gateway-ca.crt",   "gateway-ca.key",
        "profile-ca.crt",   "profile-ca.key",     AMM_PKI_CA,         AMM_PKI_CRL,
        AMM_PKI_SERVER_CRL, AMM_PKI_SERVER,       AMM_PKI_SERVER_KEY, AMM_PKI_TLS_AUTH,
        AMM_PKI_TLS_CRYPT,  AMM_PKI_TLS_CRYPT_V2, AMM_PKI_INDEX,
    };
    char path[PATH_MAX], error[PKI_ERROR];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (path_of(pki, names[i], path, error)) {
            unlink(path);
        }
    }
    if (path_of(pki, AMM_PKI_GATEWAYS_FOLDER, path, error)) {
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
        return fail(error, "the path of the PKI folder is empty or too long");
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
        return fail(error, "%.300s: %s", final, strerror(errno));
    }
    bool ok =
        path_of(&pki, AMM_PKI_GATEWAYS_FOLDER, gateways, error) &&
        (mkdir(gateways, 0700) == 0 || fail(error, "%.300s: %s", gateways, strerror(errno))) &&
        fill_folder(&pki, organisation, server, dns_name, error);
    if (ok && rename(pki.folder, final) != 0) {
        ok = errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR
                 ? fail(error, "%.300s: there is something already; nothing was changed", final)
                 : fail(error, "%.300s: %s", final, strerror(errno));
    }
    if (!ok) {
        remove_folder(&pki);
    }
    pki_close(&pki);
    return ok;
}
