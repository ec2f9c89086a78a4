#include "index.h"

#include <stdlib.h>

enum { SLOTS_LEAST = 16 };

void index_deinit(struct index *index)
{
    free(index->hashes);
    free(index->items);
    *index = (struct index){0};
}

void *index_find(const struct index *index, uint64_t hash,
                 bool (*same)(const void *item, void *key), void *key)
{
    if (index->slots == 0) {
        return NULL;
    }
    uint32_t mask = index->slots - 1, short_hash = (uint32_t)hash;
    for (uint32_t i = short_hash & mask; index->items[i]; i = (i + 1) & mask) {
        if (index->hashes[i] == short_hash && same(index->items[i], key)) {
            return index->items[i];
        }
    }
    return NULL;
}

static void place(struct index *index, uint32_t hash, void *item)
{
    uint32_t mask = index->slots - 1, i = hash & mask;
    while (index->items[i]) {
        i = (i + 1) & mask;
    }
    index->hashes[i] = hash;
    index->items[i] = item;
}

static bool grow(struct index *index)
{
    struct index bigger = {.used = index->used,
                           .slots = index->slots ? 2 * index->slots : SLOTS_LEAST};
    bigger.hashes = malloc(bigger.slots * sizeof *bigger.hashes);
    bigger.items = calloc(bigger.slots, sizeof *bigger.items);
    if (!bigger.hashes || !bigger.items) {
        index_deinit(&bigger);
        return false;
    }
    for (uint32_t i = 0; i < index->slots; i++) {
        if (index->items[i]) {
            place(&bigger, index->hashes[i], index->items[i]);
        }
    }
    index_deinit(index);
    *index = bigger;
    return true;
}

bool index_add(struct index *index, uint64_t hash, void *item)
{
    if (index->used + 1 > index->slots - index->slots / 4 && !grow(index)) {
        return false;
    }
    place(index, (uint32_t)hash, item);
    index->used++;
    return true;
}

void index_remove(struct index *index, uint64_t hash, const void *item)
{
    if (index->slots == 0) {
        return;
    }
    uint32_t mask = index->slots - 1, i = (uint32_t)hash & mask;
    while (index->items[i] != item) {
        if (!index->items[i]) {
            return;
        }
        i = (i + 1) & mask;
    }
    /* What stands behind moves up unless it is at home there already: no gap in any chain. */
    for (uint32_t next = (i + 1) & mask; index->items[next]; next = (next + 1) & mask) {
        uint32_t home = index->hashes[next] & mask;
        if (((next - home) & mask) >= ((next - i) & mask)) {
            index->items[i] = index->items[next];
            index->hashes[i] = index->hashes[next];
            i = next;
        }
    }
    index->items[i] = NULL;
    index->used--;
}
