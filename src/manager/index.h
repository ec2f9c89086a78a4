/* A hash table of pointers with the keys inside what they point to: 12 bytes a slot, at most three
 * quarters full. One owner. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index {
    uint32_t *hashes;
    void **items; /* NULL: free */
    uint32_t used, slots;
};

void index_deinit(struct index *index); /* not the items */

/* The first item of that hash for which `same` is true; NULL: none. */
void *index_find(const struct index *index, uint64_t hash,
                 bool (*same)(const void *item, void *key), void *key);
bool index_add(struct index *index, uint64_t hash, void *item); /* false: out of memory */
void index_remove(struct index *index, uint64_t hash, const void *item);
