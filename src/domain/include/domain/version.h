/* Versions of software: numbers with dots, compared component by component as numbers, so that
 * 1.0.3.005 is 1.0.3.5 and 4.9 comes before 4.15. A missing component counts as 0. What follows the
 * numbers behind '-', '+', '~' or a blank ("4.15.0-rc1") is kept out of the comparison. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AMM_VERSION_PARTS = 8 };

struct amm_version {
    unsigned n;
    uint32_t part[AMM_VERSION_PARTS];
};

/* False if the text does not begin with a number, a component has more than nine digits, or there
 * are more than eight of them. */
bool amm_version_parse(struct amm_version *out, const char *text);

/* Below 0, 0, above 0, as strcmp. */
int amm_version_compare(const struct amm_version *a, const struct amm_version *b);

/* True if `text` is a version and at least `least`, which must be one. */
bool amm_version_at_least(const char *text, const char *least);
