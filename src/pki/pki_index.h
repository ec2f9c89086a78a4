/* The index of a PKI folder as text: a line per certificate,
 *     name kind serial issued not-after revoked
 * with times in seconds since 1970 and "-" for one that is not revoked. */
#pragma once

#include "pki/pki_store.h"

/* Fills pki->entries; false with `error` naming the line. */
bool pki_index_parse(struct pki *pki, const char *text, char error[PKI_ERROR]);

/* malloc'd text; NULL if out of memory. */
char *pki_index_text(const struct pki *pki);

/* Room for one more entry, zeroed; NULL if out of memory. */
struct pki_entry *pki_index_add(struct pki *pki);
