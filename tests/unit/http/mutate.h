/* Changes messages where parsers trip: line ends, blanks, signs, framing fields, whole lines. */
#pragma once

#include "base/random.h"
#include "cases.h"

/* Writes a changed copy of a random case of at most `room` bytes to `out`; its length. */
size_t mutate_case(const struct amm_random *random, const struct http_cases *cases, uint8_t *out,
                   size_t room);
