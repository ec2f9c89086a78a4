/* Stats and parameters of a gateway in little memory: one packed block for all of them.
 *
 * Stats of the table (domain/stats.h) and parameters are keyed by number, others by name, so that a
 * gateway that invents names pays for them itself and nobody else does. A block is immutable: a
 * change makes a new one. NULL is the empty block. Numbers keep being integers or reals, texts are
 * UTF-8; objects are one level deep (labels of a stat, {"set": true} of a secret).
 *
 * Owner: the fleet thread. */
#pragma once

#include "base/bytes.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum values_kind { VALUES_STATS, VALUES_PARAMETERS };

/* Packed bytes that one gateway may keep of either kind; what goes beyond is refused by name. */
enum { VALUES_ROOM = 16384 };

struct values {
    uint32_t len;
    uint8_t data[];
};

enum value_type { VALUE_FALSE, VALUE_TRUE, VALUE_INTEGER, VALUE_REAL, VALUE_TEXT, VALUE_OBJECT };

/* One of them; `text` points into the block: the text, or the entries of an object. */
struct value {
    enum value_type type;
    int64_t integer;
    double real; /* also set for VALUE_INTEGER */
    struct amm_view text;
};

struct values *values_free(struct values *values); /* NULL is fine; returns NULL */

/* `old` with `changes` taken in: null takes an entry away, all else replaces it. Entries that do
 * not fit any more, or have no legal form, are given to `refuse` by name and left as they were.
 * Returns false, with *out untouched, when out of memory. *out is a new block; `old` stays. */
bool values_merge(struct values **out, const struct values *old, enum values_kind kind,
                  const json_t *changes, void (*refuse)(void *context, const char *name),
                  void *context);

/* A new object. NULL: out of memory. */
json_t *values_to_json(const struct values *values, enum values_kind kind);

/* A value by its name (MSCIID as decimal text for parameters). False: there is none. */
bool values_find(const struct values *values, enum values_kind kind, const char *name,
                 struct value *out);

/* The same, faster for scans over many gateways: what to look for is worked out once. */
struct values_key {
    uint16_t number; /* index in amm_stats, MSCIID, or VALUES_NAMED */
    const char *name;
};
enum { VALUES_NAMED = UINT16_MAX };
struct values_key values_key(enum values_kind kind, const char *name); /* borrows `name` */
bool values_get(const struct values *values, struct values_key key, struct value *out);

/* A labelled value of an object: "dock" of AssetTemperature. */
bool value_label(const struct value *object, const char *label, struct value *out);

/* The labels one after another: `*at` is 0 at first. False: no more. */
bool value_next(const struct value *object, size_t *at, struct amm_view *label, struct value *out);

json_t *value_to_json(const struct value *value); /* a new reference; NULL: out of memory */
