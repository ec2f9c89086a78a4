#include "chains.h"

#include <stdlib.h>
#include <string.h>

bool amm_chains_init(struct amm_chains *chains, uint32_t n, struct amm_siphash_key key)
{
    uint32_t heads = 1;
    while (heads < n) {
        heads *= 2;
    }
    *chains = (struct amm_chains){.key = key, .mask = heads - 1};
    chains->heads = malloc((size_t)heads * sizeof *chains->heads);
    chains->next = malloc((size_t)n * sizeof *chains->next);
    chains->names = malloc((size_t)n * sizeof *chains->names);
    if (chains->heads == NULL || chains->next == NULL || chains->names == NULL) {
        return false;
    }
    memset(chains->heads, 0xff, (size_t)heads * sizeof *chains->heads);
    return true;
}

void amm_chains_deinit(struct amm_chains *chains)
{
    free(chains->heads);
    free(chains->next);
    free(chains->names);
    *chains = (struct amm_chains){0};
}

static uint32_t *head_of(const struct amm_chains *chains, uint64_t name)
{
    return &chains->heads[amm_siphash(&chains->key, &name, sizeof name) & chains->mask];
}

void amm_chains_add(struct amm_chains *chains, uint32_t entry, uint64_t name)
{
    uint32_t *head = head_of(chains, name);
    chains->names[entry] = name;
    chains->next[entry] = *head;
    *head = entry;
}

void amm_chains_remove(struct amm_chains *chains, uint32_t entry, uint64_t name)
{
    for (uint32_t *link = head_of(chains, name); *link != AMM_CHAIN_END;
         link = &chains->next[*link]) {
        if (*link == entry) {
            *link = chains->next[entry];
            return;
        }
    }
}

static uint32_t skip_others(const struct amm_chains *chains, uint32_t entry, uint64_t name)
{
    while (entry != AMM_CHAIN_END && chains->names[entry] != name) {
        entry = chains->next[entry];
    }
    return entry;
}

uint32_t amm_chains_first(const struct amm_chains *chains, uint64_t name)
{
    return skip_others(chains, *head_of(chains, name), name);
}

uint32_t amm_chains_next(const struct amm_chains *chains, uint32_t entry)
{
    return skip_others(chains, chains->next[entry], chains->names[entry]);
}
