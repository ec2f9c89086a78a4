#include "data/peer.h"

#include "data/plane.h"

#include <stddef.h>

enum { READ_TRIES = 64 };

size_t amm_peer_table_size(uint32_t n_slots)
{
    return ((size_t)n_slots + 1) * 2 * sizeof(struct amm_peer);
}

struct amm_peer *amm_peer_table_at(void *table, uint32_t n_slots, uint32_t peer_id)
{
    uint32_t slot = amm_peer_id_slot(peer_id);
    if (slot == 0 || slot > n_slots || peer_id >> 24 != 0) {
        return NULL;
    }
    return (struct amm_peer *)table + (slot * 2 + (amm_peer_id_generation(peer_id) & 1));
}

static void copy_key(struct amm_key_slot *out, const struct amm_key_slot *key)
{
    memset(out, 0, offsetof(struct amm_key_slot, state));
    out->rx.cipher = key->rx.cipher;
    out->tx.cipher = key->tx.cipher;
    memcpy(&out->state, &key->state, sizeof *out - offsetof(struct amm_key_slot, state));
}

static void copy_peer(struct amm_peer *out, const struct amm_peer *peer)
{
    size_t after = offsetof(struct amm_peer, keys) + sizeof peer->keys;
    memcpy(out, peer, offsetof(struct amm_peer, keys));
    for (int i = 0; i < AMM_KEY_SLOTS; i++) {
        copy_key(&out->keys[i], &peer->keys[i]);
    }
    memcpy((uint8_t *)out + after, (const uint8_t *)peer + after, sizeof *peer - after);
}

bool amm_peer_read(const struct amm_peer *peer, struct amm_peer *out)
{
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t before = __atomic_load_n(&peer->sequence, __ATOMIC_ACQUIRE);
        if (before & 1) {
            continue;
        }
        copy_peer(out, peer);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&peer->sequence, __ATOMIC_RELAXED) == before) {
            return out->state == AMM_PEER_LIVE;
        }
    }
    return false;
}
