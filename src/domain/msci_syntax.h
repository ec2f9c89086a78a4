/* The forms that values of MSCI parameters have: checks of text, and its canonical form. For
 * msci.c.
 *
 * `out` has room for AMM_MSCI_VALUE bytes and may be half-written when the answer is false. */
#pragma once

#include "domain/msci.h"

/* Without blanks and tabs at both ends. */
struct amm_view msci_trim(struct amm_view text);

/* UTF-8 without control characters and without characters that turn the direction of text: what is
 * shown is what is there. */
bool msci_is_plain_text(struct amm_view text);

/* As much of any bytes as fits into out[room], always plain text, "…" where it was cut. */
void msci_shown(struct amm_view text, char *out, size_t room);

/* "0", "17", "-3": no plus, no leading zero, at most 18 digits. */
bool msci_whole_number(struct amm_view text, int64_t *out);

/* "48.137154", at most six digits behind the point, min to max; canonical without zeros at the end.
 */
bool msci_decimal(struct amm_view text, int64_t min, int64_t max, char *out);

/* min to max names or addresses with commas, semicolons or blanks between: "a, b". */
bool msci_hosts(struct amm_view text, size_t min, size_t max, char *out);

bool msci_network(struct amm_view text, char *out);

/* "https://host:port" in lower case; scheme and port may be left out (8443). */
bool msci_url(struct amm_view text, char *out);

bool msci_token(struct amm_view text, char *out);

/* The canonical text of a relay list. */
bool msci_targets(struct amm_view text, char *out);
