/* What the files of this folder share. */
#pragma once

#include "pki/pki_store.h"

/* Writes the sentence and returns false. */
bool pki_fail(char error[PKI_ERROR], const char *format, ...) __attribute__((format(printf, 2, 3)));

bool pki_path(const struct pki *pki, const char *name, char out[PATH_MAX], char error[PKI_ERROR]);

/* Certificate and key of a CA, by its name without ".crt". */
bool pki_authority_read(const struct pki *pki, const char *base, struct pki_credential *out,
                        char error[PKI_ERROR]);

/* Makes a CA with that common name; nothing is written. */
bool pki_authority_make(const char *name, int64_t now, struct pki_credential *out,
                        char error[PKI_ERROR]);

/* Writes which CAs the server trusts: those of gateways and of connection files, current ones and
 * former ones. `also` (NULL: none) is one more certificate, put first; `without` (NULL: none) names
 * a CA that is left out. */
bool pki_trust_write(const struct pki *pki, const char *also, const char *without,
                     char error[PKI_ERROR]);

/* Signs the revocation lists of all CAs anew. */
bool pki_lists_write(const struct pki *pki, char error[PKI_ERROR]);
