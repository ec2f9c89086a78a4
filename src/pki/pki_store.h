/* The PKI folder on disk (crypto/pki_files.h): three CAs, what they issued, and the revocation
 * lists.
 *
 * Only one command at a time has the folder open. Every file is replaced in one step; the index is
 * written before a certificate is handed out, so that whatever exists can be revoked. */
#pragma once

#include "crypto/pki.h"
#include "crypto/pki_files.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum { PKI_ERROR = 512, PKI_HOUR = 3600, PKI_DAY = 86400 };

/* What certificates are for. The first three are the usual one of each CA. */
enum pki_kind { PKI_SERVER, PKI_GATEWAY, PKI_PROFILE, PKI_MANAGER, PKI_TIME, PKI_KINDS };
enum { PKI_AUTHORITIES = PKI_PROFILE + 1 };

struct pki_kind_info {
    const char *name;      /* "gateway", as in the index */
    const char *authority; /* "gateway-ca" */
    const char *full_name; /* "gateway CA": goes into its common name */
    enum amm_certificate_role role;
    int days; /* how long its certificates are good for */
};

extern const struct pki_kind_info pki_kinds[PKI_KINDS];

/* One line of the index. */
struct pki_entry {
    char name[AMM_NAME_MAX + 1];
    enum pki_kind kind;
    uint8_t serial[20];
    int64_t issued, not_after;
    int64_t revoked; /* 0: it is not */
};

struct pki {
    char folder[PATH_MAX];
    int lock; /* -1: closed */
    struct pki_entry *entries;
    size_t n;
};

struct pki_credential {
    char certificate[AMM_PEM_MAX];
    char key[AMM_PEM_MAX];
};

/* Makes a new PKI; `folder` must not exist, or be empty. Nothing is left behind on failure. */
bool pki_create(const char *folder, const char *organisation, const char *server,
                const char *dns_name, char error[PKI_ERROR]);

/* Makes what a PKI of an older version lacks, and nothing else. `made` gets the names of the new
 * files, separated by spaces; "" if nothing was missing. */
bool pki_upgrade(struct pki *pki, char *made, size_t room, char error[PKI_ERROR]);

/* Puts a new CA beside the one of that kind (gateway or profile), which gets a number and stays
 * trusted; `former` says which. From now on the new one issues. */
bool pki_roll(struct pki *pki, enum pki_kind kind, char *former, size_t room,
              char error[PKI_ERROR]);

/* Takes away a CA that was replaced, by its name ("gateway-ca-1"): its certificates end here. */
bool pki_retire(struct pki *pki, const char *former, char error[PKI_ERROR]);

/* Opens and locks an existing one. Close it in any case. */
bool pki_open(struct pki *pki, const char *folder, char error[PKI_ERROR]);
void pki_close(struct pki *pki);

/* Makes a key and its certificate, good for `days` (0: as long as its kind usually is). */
bool pki_issue(struct pki *pki, enum pki_kind kind, const char *name, const char *dns_name,
               int days, struct pki_credential *out, char error[PKI_ERROR]);

/* Revokes what was issued to `name` and signs the lists anew; `*count` certificates. */
bool pki_revoke(struct pki *pki, const char *name, size_t *count, char error[PKI_ERROR]);

/* A file of the folder as text, with a NUL behind it; wiped and freed by pki_text_free. NULL with
 * `error`. */
char *pki_read(const struct pki *pki, const char *name, char error[PKI_ERROR]);
void pki_text_free(char *text);

/* Writes <folder>/<name>. */
bool pki_write(const struct pki *pki, const char *name, const char *text, bool is_secret,
               char error[PKI_ERROR]);

/* Writes <folder>/<base>.key and .crt; without room for both, the former pair stays as it was. */
bool pki_write_credential(const struct pki *pki, const char *base,
                          const struct pki_credential *credential, char error[PKI_ERROR]);
