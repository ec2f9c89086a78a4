/* The state that check-ins build on: its hash, and the difference between two. */
#include "base/siphash.h"
#include "domain/checkin.h"
#include "members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The key is public and fixed: the hash finds out that two states differ, it does not protect. */
static const struct amm_siphash_key state_key = {0x616d6d2d63686563, 0x6b2d696e2d763100};

static uint64_t object_hash(const json_t *object)
{
    char *text = json_object_size(object) > 0
                     ? json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17))
                     : NULL;
    uint64_t hash = text ? amm_siphash(&state_key, text, strlen(text)) : 0;
    free(text);
    return hash;
}

void amm_checkin_state_hash(const json_t *stats, const json_t *parameters,
                            char out[AMM_CHECKIN_HASH])
{
    const uint64_t parts[2] = {object_hash(stats), object_hash(parameters)};
    uint64_t hash = amm_siphash(&state_key, parts, sizeof parts);
    snprintf(out, AMM_CHECKIN_HASH, "%016llx", (unsigned long long)hash);
}

json_t *amm_checkin_difference(const json_t *from, const json_t *to, bool *failed)
{
    const char *name;
    json_t *value;
    json_t *changes = json_object();
    bool ok = changes != NULL;
    json_object_foreach((json_t *)to, name, value)
    {
        if (ok && !json_equal(json_object_get(from, name), value)) {
            ok = json_object_set(changes, name, value) == 0;
        }
    }
    json_object_foreach((json_t *)from, name, value)
    {
        if (ok && !json_object_get(to, name)) {
            ok = put(changes, name, json_null());
        }
    }
    *failed = !ok;
    if (!ok || json_object_size(changes) == 0) {
        json_decref(changes);
        return NULL;
    }
    return changes;
}

static size_t size_after(const json_t *values, const json_t *changes)
{
    const char *name;
    json_t *value;
    size_t n = json_object_size(values);
    json_object_foreach((json_t *)changes, name, value)
    {
        bool is_there = json_object_get(values, name) != NULL;
        n += !is_there && !json_is_null(value);
        n -= is_there && json_is_null(value);
    }
    return n;
}

bool amm_checkin_apply(json_t *values, const json_t *changes, size_t most)
{
    const char *name;
    json_t *value;
    if (size_after(values, changes) > most) {
        return false;
    }
    json_t *after = json_copy(values);
    bool ok = after != NULL;
    json_object_foreach((json_t *)changes, name, value)
    {
        if (json_is_null(value)) {
            json_object_del(after, name);
        } else {
            ok = ok && json_object_set(after, name, value) == 0;
        }
    }
    /* json_object_update cannot take names away: those go first, which needs no memory. */
    if (ok) {
        json_object_foreach((json_t *)changes, name, value)
        {
            if (json_is_null(value)) {
                json_object_del(values, name);
            }
        }
        ok = json_object_update(values, after) == 0;
    }
    json_decref(after);
    return ok;
}
