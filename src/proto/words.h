/* Cutting up text that came from a peer: no copies, no NULs, no assumptions. */
#pragma once

#include "base/bytes.h"

/* Takes the next piece up to `separator` off `*rest` (and the separator); false when `*rest` is
 * used up. */
bool amm_words_cut(struct amm_view *rest, char separator, struct amm_view *piece);

bool amm_words_is(struct amm_view text, const char *word);

/* Takes `prefix` off the front of `*text`; false if it does not stand there. */
bool amm_words_skip(struct amm_view *text, const char *prefix);

/* Decimal digits only, at least one, value at most `max`. */
bool amm_words_number(struct amm_view text, uint32_t max, uint32_t *out);

/* A dotted IPv4 address, host order. */
bool amm_words_ipv4(struct amm_view text, uint32_t *out);
