/* The CAs of a PKI folder: current ones, former ones that are still trusted, and their lists. */
#include "pki/pki_parts.h"

#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    AUTHORITY_DAYS = 7300, /* longer than the longest certificate for ten years to come */
    LIST_DAYS = 3650,      /* the lists lie beside the server, so age says nothing about them */
    BASE_MAX = 32,
    BUNDLE_MAX = 2 * (AMM_PKI_FORMER_MAX + 2) * AMM_PEM_MAX,
};

bool pki_authority_read(const struct pki *pki, const char *base, struct pki_credential *out,
                        char error[PKI_ERROR])
{
    char name[BASE_MAX + 8];
    bool ok = true;
    char *const into[] = {out->certificate, out->key};
    for (int i = 0; ok && i < 2; i++) {
        snprintf(name, sizeof name, "%s.%s", base, i == 0 ? "crt" : "key");
        char *text = pki_read(pki, name, error);
        ok = text && (strlen(text) < AMM_PEM_MAX || pki_fail(error, "%s: too large", name));
        if (ok) {
            memcpy(into[i], text, strlen(text) + 1);
        }
        pki_text_free(text);
    }
    return ok;
}

bool pki_authority_make(const char *name, int64_t now, struct pki_credential *out,
                        char error[PKI_ERROR])
{
    struct amm_certificate_request request = {
        .role = AMM_CERTIFICATE_CA,
        .name = name,
        .not_before = now - PKI_DAY,
        .not_after = now + (int64_t)AUTHORITY_DAYS * PKI_DAY,
    };
    return amm_pki_key_new(out->key, error, PKI_ERROR) &&
           amm_pki_issue(&request, out->key, NULL, out->key, out->certificate, error, PKI_ERROR);
}

/* Names the CA of that kind, `number` 0 the current one; false if there is none. */
static bool find_authority(const struct pki *pki, enum pki_kind kind, int number,
                           char base[BASE_MAX])
{
    char name[BASE_MAX + 8], path[PATH_MAX], unused[PKI_ERROR];
    if (number == 0) {
        snprintf(base, BASE_MAX, "%s", pki_kinds[kind].authority);
    } else {
        snprintf(base, BASE_MAX, "%s-%d", pki_kinds[kind].authority, number);
    }
    snprintf(name, sizeof name, "%s.crt", base);
    return pki_path(pki, name, path, unused) && access(path, F_OK) == 0;
}

bool pki_trust_write(const struct pki *pki, const char *also, const char *without,
                     char error[PKI_ERROR])
{
    char *bundle = malloc(BUNDLE_MAX), base[BASE_MAX], name[BASE_MAX + 8];
    struct amm_writer w = amm_writer(bundle, bundle ? BUNDLE_MAX : 0);
    bool ok = bundle || pki_fail(error, "out of memory");
    amm_write_str(&w, also ? also : "");
    for (int i = 0; ok && i < 2 * (AMM_PKI_FORMER_MAX + 1); i++) {
        enum pki_kind kind = i <= AMM_PKI_FORMER_MAX ? PKI_GATEWAY : PKI_PROFILE;
        if (!find_authority(pki, kind, i % (AMM_PKI_FORMER_MAX + 1), base) ||
            (without && strcmp(base, without) == 0)) {
            continue;
        }
        snprintf(name, sizeof name, "%s.crt", base);
        char *certificate = pki_read(pki, name, error);
        ok = certificate != NULL;
        amm_write_str(&w, ok ? certificate : "");
        pki_text_free(certificate);
    }
    amm_write_u8(&w, 0);
    ok = ok && (!w.failed || pki_fail(error, "%s: too large", AMM_PKI_CA)) &&
         pki_write(pki, AMM_PKI_CA, bundle, false, error);
    free(bundle);
    return ok;
}

/* ---- revocation lists ---- */

/* Serial numbers are random and 128 bits, so that each CA of a kind can list all of the kind. */
static bool is_listed(const struct pki_entry *entry, enum pki_kind authority)
{
    return entry->revoked &&
           strcmp(pki_kinds[entry->kind].authority, pki_kinds[authority].authority) == 0;
}

/* The list of one CA; malloc'd. A CA's list number must grow: microseconds do. */
static char *sign_list(const struct pki *pki, enum pki_kind kind, const char *base,
                       char error[PKI_ERROR])
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct amm_revocation *revoked = calloc(pki->n + 1, sizeof *revoked);
    size_t n = 0;
    for (size_t i = 0; revoked && i < pki->n; i++) {
        if (is_listed(&pki->entries[i], kind)) {
            memcpy(revoked[n].serial, pki->entries[i].serial, sizeof revoked[n].serial);
            revoked[n++].at = pki->entries[i].revoked;
        }
    }
    struct pki_credential authority;
    char *text = NULL;
    if (!revoked) {
        pki_fail(error, "out of memory");
    } else if (pki_authority_read(pki, base, &authority, error)) {
        amm_pki_crl(authority.certificate, authority.key, revoked, n,
                    (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000,
                    now.tv_sec - PKI_HOUR, now.tv_sec + (int64_t)LIST_DAYS * PKI_DAY, &text, error,
                    PKI_ERROR);
    }
    amm_wipe(&authority, sizeof authority);
    free(revoked);
    return text;
}

/* Appends the lists of all CAs of a kind to `*lists`, which is malloc'd. */
static bool add_lists(const struct pki *pki, enum pki_kind kind, char **lists,
                      char error[PKI_ERROR])
{
    char base[BASE_MAX];
    for (int number = 0; number <= AMM_PKI_FORMER_MAX; number++) {
        if (!find_authority(pki, kind, number, base)) {
            continue;
        }
        char *one = sign_list(pki, kind, base, error), *longer = NULL;
        if (!one) {
            return false;
        }
        if (asprintf(&longer, "%s%s", *lists ? *lists : "", one) < 0) {
            free(one);
            return pki_fail(error, "out of memory");
        }
        free(one);
        free(*lists);
        *lists = longer;
    }
    return true;
}

bool pki_lists_write(const struct pki *pki, char error[PKI_ERROR])
{
    char *server = NULL, *gateways = NULL;
    bool ok = add_lists(pki, PKI_SERVER, &server, error) &&
              add_lists(pki, PKI_GATEWAY, &gateways, error) &&
              add_lists(pki, PKI_PROFILE, &gateways, error) &&
              pki_write(pki, AMM_PKI_CRL, gateways, false, error) &&
              pki_write(pki, AMM_PKI_SERVER_CRL, server, false, error);
    free(server);
    free(gateways);
    return ok;
}

/* ---- replacing a CA ---- */

/* "Example gateway CA" and "Example gateway CA 2" both become "Example gateway CA 3". */
static void next_name(const char *certificate_name, int number, char out[AMM_NAME_MAX + 1])
{
    char plain[AMM_NAME_MAX + 1];
    snprintf(plain, sizeof plain, "%s", certificate_name);
    char *blank = strrchr(plain, ' ');
    if (blank && blank[1] != '\0' && strspn(blank + 1, "0123456789") == strlen(blank + 1)) {
        *blank = '\0';
    }
    snprintf(out, AMM_NAME_MAX + 1, "%.60s %d", plain, number);
}

static int free_number(const struct pki *pki, enum pki_kind kind)
{
    char base[BASE_MAX];
    int number = 1;
    while (number <= AMM_PKI_FORMER_MAX && find_authority(pki, kind, number, base)) {
        number++;
    }
    return number;
}

bool pki_roll(struct pki *pki, enum pki_kind kind, char *former, size_t room, char error[PKI_ERROR])
{
    struct pki_credential current, fresh = {0};
    struct amm_identity identity;
    char name[AMM_NAME_MAX + 1];
    int number = free_number(pki, kind);
    if (number > AMM_PKI_FORMER_MAX) {
        return pki_fail(error, "%d CAs of this kind were replaced already; retire one first",
                        AMM_PKI_FORMER_MAX);
    }
    snprintf(former, room, "%s-%d", pki_kinds[kind].authority, number);
    bool ok = pki_authority_read(pki, pki_kinds[kind].authority, &current, error) &&
              amm_pki_identity(current.certificate, &identity, error, PKI_ERROR);
    if (ok) {
        next_name(identity.name, number + 1, name);
        /* The new one is trusted before it issues, and the old one has its copy before it is
         * replaced: whoever stops half-way finds a PKI that works, and may ask again. */
        ok = pki_authority_make(name, time(NULL), &fresh, error) &&
             pki_write_credential(pki, former, &current, error) &&
             pki_trust_write(pki, fresh.certificate, former, error) &&
             pki_write_credential(pki, pki_kinds[kind].authority, &fresh, error) &&
             pki_trust_write(pki, NULL, NULL, error) && pki_lists_write(pki, error);
    }
    amm_wipe(&current, sizeof current);
    amm_wipe(&fresh, sizeof fresh);
    return ok;
}

/* True if `name` is that of a CA that was replaced. */
static bool is_former(const struct pki *pki, const char *name)
{
    char base[BASE_MAX];
    for (int i = 0; i < 2 * AMM_PKI_FORMER_MAX; i++) {
        enum pki_kind kind = i < AMM_PKI_FORMER_MAX ? PKI_GATEWAY : PKI_PROFILE;
        if (find_authority(pki, kind, i % AMM_PKI_FORMER_MAX + 1, base) &&
            strcmp(base, name) == 0) {
            return true;
        }
    }
    return false;
}

bool pki_retire(struct pki *pki, const char *former, char error[PKI_ERROR])
{
    char name[BASE_MAX + 8], path[PATH_MAX];
    if (!is_former(pki, former)) {
        return pki_fail(error, "%.60s: no CA that was replaced (as gateway-ca-1)", former);
    }
    bool ok = pki_trust_write(pki, NULL, former, error);
    for (int i = 0; ok && i < 2; i++) {
        snprintf(name, sizeof name, "%.20s.%s", former, i == 0 ? "key" : "crt");
        ok = pki_path(pki, name, path, error) &&
             (unlink(path) == 0 || pki_fail(error, "%.300s: cannot be removed", path));
    }
    return ok && pki_lists_write(pki, error);
}
