/* Reading members of a JSON object: each by name, kind and limits; the first that is wrong is
 * named, and nothing is read after it. Inside of src/domain. */
#pragma once

#include "base/bytes.h"
#include "domain/checkin.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_WHOLE_MAX INT64_C(9007199254740992) /* GP-4: within +-2^53 */

struct members {
    const json_t *object;
    struct amm_refusal *error; /* of the first wrong member */
    bool failed;
};

/* One JSON value that must be an object; NULL with `error` if it is not. Names must be unique. */
json_t *object_load(struct amm_view text, size_t most, struct amm_refusal *error);

enum presence { OPTIONAL, REQUIRED };

/* False if the member is absent, or null, or something is wrong. */
bool take_whole(struct members *m, const char *name, int64_t least, int64_t most,
                enum presence presence, int64_t *out);

/* A text of at most room-1 bytes without control characters, copied; stays as it is when absent. */
bool take_text(struct members *m, const char *name, char *out, size_t room, enum presence presence);

/* 16 lower-case hex digits, or "" where that may be. */
bool take_hash(struct members *m, const char *name, char out[AMM_CHECKIN_HASH], bool may_be_empty,
               enum presence presence);

/* A flag: absent is false. */
bool take_flag(struct members *m, const char *name);

/* Borrowed; NULL if absent. */
json_t *take_object(struct members *m, const char *name);
json_t *take_array(struct members *m, const char *name, size_t most);

/* Printable PEM or key text of up to `most` bytes with line ends, malloc'd; NULL if something is
 * wrong. */
char *take_lines(struct members *m, const char *name, size_t most);

/* Always false. */
bool member_fail(struct members *m, const char *name, const char *text);

/* Forms of words. */
bool is_id(const char *text);                       /* operation: 1-40 letters, digits, '-' */
bool is_kind(const char *text);                     /* 1-32 lower-case letters, digits, '-' */
bool parameter_id(const char *text, uint32_t *out); /* decimal, 1 to 99999, no leading zero */

/* NULL, or what is wrong with a parameter's value by form alone. */
const char *parameter_objection(const json_t *value);

/* Sets a member; a NULL value (out of memory) fails. Always takes over `value`. */
bool put(json_t *object, const char *name, json_t *value);
bool append(json_t *array, json_t *value);

/* Compact, malloc'd, and `object` is given up; NULL: out of memory (also if `ok` is false). */
char *object_dump(json_t *object, bool ok, size_t *len);

/* {"field", "text"} of the refusals so far, or NULL with *ok false. */
json_t *refusals_json(const struct amm_refusals *refusals, bool *ok);
void refusals_take(struct amm_refusals *out, const json_t *array);
