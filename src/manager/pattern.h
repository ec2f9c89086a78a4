/* Regular expressions of display filters and conditions: found in time that grows with the length
 * of the text only (times that of the pattern), whatever the pattern says.
 *
 * Not regcomp(3): there a pattern of a few bytes, "(a*)*b", "\(x\)\1", "a{1,255}{1,255}", may take
 * minutes or all memory, and these run in the fleet thread over texts that gateways choose. So: a
 * Thompson machine, no back references, no counts.
 *
 * Syntax: any character; . [a-z] [^0-9] \d \w \s and \D \W \S; ^ $; ( ) |; * + ?, greedy; a '\'
 * before any other character takes its meaning away. Characters are those of UTF-8. Pure; any
 * thread. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PATTERN_MAX = 64,   /* bytes of a pattern */
    PATTERN_TEXT = 256, /* characters of a text that are looked at */
    PATTERN_STEPS = 2 * PATTERN_MAX + 4,
    PATTERN_RANGES = PATTERN_MAX,
};

struct pattern_step {
    uint8_t op;
    uint16_t x, y; /* where to go on; or the class: first range, number of ranges */
    uint32_t c;
};

struct pattern_range {
    uint32_t first, last;
};

struct pattern {
    uint16_t n_steps, n_ranges;
    struct pattern_step steps[PATTERN_STEPS];
    struct pattern_range ranges[PATTERN_RANGES];
};

/* False with a sentence that says what is wrong where, and what is allowed. */
bool pattern_compile(struct pattern *out, const char *text, char *error, size_t room);

/* The leftmost match, as long as its own preferences go: bytes from..to of the text. False: there
 * is none. */
bool pattern_find(const struct pattern *pattern, struct amm_view text, size_t *from, size_t *to);
