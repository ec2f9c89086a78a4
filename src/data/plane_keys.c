#include "plane_internal.h"

#include <stdatomic.h>

static _Atomic uint64_t last_serial;

void amm_peer_change(struct amm_peer *peer)
{
    __atomic_store_n(&peer->sequence, peer->sequence | 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void amm_peer_settle(struct amm_peer *peer)
{
    __atomic_store_n(&peer->sequence, peer->sequence + 1, __ATOMIC_RELEASE);
}

struct amm_key_slot *amm_peer_sending_key(struct amm_peer *peer)
{
    struct amm_key_slot *a = &peer->keys[0];
    struct amm_key_slot *b = &peer->keys[1];
    if (a->state != AMM_KEY_SEND) {
        return b->state == AMM_KEY_SEND ? b : NULL;
    }
    return b->state == AMM_KEY_SEND && b->order > a->order ? b : a;
}

struct amm_key_slot *amm_peer_key(struct amm_peer *peer, uint8_t key_id, amm_time now)
{
    for (int i = 0; i < AMM_KEY_SLOTS; i++) {
        struct amm_key_slot *key = &peer->keys[i];
        if (key->state != AMM_KEY_EMPTY && key->key_id == key_id && now < key->dies) {
            return key;
        }
    }
    return NULL;
}

void amm_plane_new_serials(struct amm_key_slot *key)
{
    uint64_t serial = atomic_fetch_add_explicit(&last_serial, 2, memory_order_relaxed);
    key->rx.serial = serial + 1;
    key->tx.serial = serial + 2;
}

void amm_plane_wipe_key(struct amm_plane *plane, struct amm_key_slot *key)
{
    if (key->state != AMM_KEY_EMPTY) {
        amm_aead_forget(plane->aead, &key->rx);
        amm_aead_forget(plane->aead, &key->tx);
    }
    amm_wipe(key, sizeof *key);
}

static bool holds(const struct amm_key_slot *key, const struct amm_data_keys *keys)
{
    return key->state != AMM_KEY_EMPTY && key->key_id == keys->key_id &&
           key->tx.cipher == keys->cipher &&
           amm_equal_secret(key->tx.bytes, keys->tx_key, sizeof key->tx.bytes) &&
           amm_equal_secret(key->rx.bytes, keys->rx_key, sizeof key->rx.bytes);
}

/* The place for a new key: one that has its id already, a free one, or the older one; but never the
 * sending key's. NULL if the id is the sending key's. */
static struct amm_key_slot *place_for_key(struct amm_peer *peer, uint8_t key_id)
{
    struct amm_key_slot *sending = amm_peer_sending_key(peer);
    if (sending != NULL) {
        struct amm_key_slot *other = sending == &peer->keys[0] ? &peer->keys[1] : &peer->keys[0];
        return sending->key_id == key_id ? NULL : other;
    }
    struct amm_key_slot *a = &peer->keys[0];
    struct amm_key_slot *b = &peer->keys[1];
    if (a->state != AMM_KEY_EMPTY && a->key_id == key_id) {
        return a;
    }
    if (b->state != AMM_KEY_EMPTY && b->key_id == key_id) {
        return b;
    }
    return a->order <= b->order ? a : b; /* an empty one has order 0 */
}

bool amm_plane_install(struct amm_plane *plane, struct amm_peer *peer,
                       const struct amm_data_keys *keys)
{
    uint32_t newest =
        peer->keys[0].order > peer->keys[1].order ? peer->keys[0].order : peer->keys[1].order;
    if (holds(&peer->keys[0], keys) || holds(&peer->keys[1], keys)) {
        return true;
    }
    struct amm_key_slot *key = place_for_key(peer, keys->key_id);
    if (key == NULL) {
        return false;
    }
    bool nested = peer->sequence & 1; /* within ADD */
    amm_peer_change(peer);
    amm_plane_wipe_key(plane, key);
    key->rx.cipher = key->tx.cipher = keys->cipher;
    memcpy(key->rx.bytes, keys->rx_key, sizeof key->rx.bytes);
    memcpy(key->tx.bytes, keys->tx_key, sizeof key->tx.bytes);
    memcpy(key->rx_iv, keys->rx_iv, sizeof key->rx_iv);
    memcpy(key->tx_iv, keys->tx_iv, sizeof key->tx_iv);
    amm_plane_new_serials(key);
    key->key_id = keys->key_id;
    key->order = newest + 1;
    key->tx_next = key->tx_reserved = 1;
    key->dies = AMM_NEVER;
    key->state = AMM_KEY_RECEIVE;
    if (!nested) {
        amm_peer_settle(peer);
    }
    return true;
}

/* The peer takes its gateway's place. A sibling that is newer still has to prove itself and stays.
 */
static void take_over(struct amm_plane *plane, struct amm_peer *peer)
{
    if (plane->config.role == AMM_CLIENT) {
        return;
    }
    uint32_t local = amm_plane_local(plane, peer);
    struct amm_peer *sibling = amm_plane_sibling(plane, peer);
    if (sibling != NULL && amm_peer_is_newer(peer, sibling)) {
        amm_plane_note(plane, AMM_NOTE_REPLACED, sibling, 0);
        amm_plane_drop_peer(plane, sibling);
    }
    plane->active[local / LANES] = (uint8_t)(local % LANES);
}

void amm_plane_promote(struct amm_plane *plane, struct amm_now now, struct amm_peer *peer,
                       struct amm_key_slot *key)
{
    amm_peer_change(peer);
    key->state = AMM_KEY_SEND;
    struct amm_key_slot *sending = amm_peer_sending_key(peer);
    for (int i = 0; i < AMM_KEY_SLOTS; i++) {
        struct amm_key_slot *older = &peer->keys[i];
        if (older->state != AMM_KEY_EMPTY && older->order < sending->order &&
            older->dies == AMM_NEVER) {
            older->dies = amm_time_after(now.mono, plane->config.lame_duck);
        }
    }
    amm_peer_settle(peer);
    amm_plane_arm(plane, peer, now.mono);
    take_over(plane, peer);
}

bool amm_key_is_gcm(const struct amm_key_slot *key)
{
    return key->tx.cipher != AMM_CIPHER_CHACHA20_POLY1305;
}

void amm_plane_note_wear(struct amm_plane *plane, const struct amm_peer *peer,
                         struct amm_key_slot *key)
{
    bool worn = key->tx_next >= plane->config.spend_ids || key->rx_failed > FAILED_WORN ||
                ((key->tx_blocks >= GCM_BLOCKS_WORN || key->rx_blocks >= GCM_BLOCKS_WORN) &&
                 amm_key_is_gcm(key));
    if (worn && !key->worn && key->dies == AMM_NEVER && amm_plane_can_note(plane, 1)) {
        key->worn = 1;
        amm_plane_note(plane, AMM_NOTE_WORN, peer, key->key_id);
    }
}
