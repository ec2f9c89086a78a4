#include "plane_internal.h"

#include <stdlib.h>

/* Notes are few; a client, of which the simulator has thousands, needs room for a handful. */
enum { SERVER_NOTES = 1024, CLIENT_NOTES = 32 };

/* ---- set-up ---- */

static uint32_t n_local_slots(const struct amm_plane *plane)
{
    return plane->n_slots / plane->config.n_workers + 1;
}

struct amm_plane *amm_plane_new(const struct amm_plane_config *config, void *table,
                                uint32_t n_slots, struct amm_aead *aead, struct amm_drops *drops,
                                struct amm_now now)
{
    struct amm_plane *plane = calloc(1, sizeof *plane);
    if (plane == NULL) {
        return NULL;
    }
    plane->config = *config;
    if (plane->config.spend_ids == 0) {
        plane->config.spend_ids = 0xff000000;
    }
    plane->table = table;
    plane->n_slots = n_slots;
    plane->aead = aead;
    plane->drops = drops;
    plane->started = now.mono;
    plane->server_ip = config->role == AMM_SERVER ? amm_pool_server(&config->pool) : 0;
    plane->due_head = plane->due_tail = AMM_WHEEL_NONE;
    plane->n_notes_max = config->role == AMM_SERVER ? SERVER_NOTES : CLIENT_NOTES;
    uint32_t slots = n_local_slots(plane);
    plane->active = malloc(slots);
    plane->due = calloc(slots, LANES);
    plane->due_next = calloc(slots, LANES * sizeof *plane->due_next);
    plane->notes = calloc(plane->n_notes_max, sizeof *plane->notes);
    plane->wheel = amm_wheel_new(slots * LANES, now.mono);
    if (!plane->active || !plane->due || !plane->due_next || !plane->notes || !plane->wheel) {
        return amm_plane_free(plane);
    }
    memset(plane->active, NO_LANE, slots);
    return plane;
}

struct amm_plane *amm_plane_free(struct amm_plane *plane)
{
    if (plane != NULL) {
        amm_wheel_free(plane->wheel);
        free(plane->active);
        free(plane->due);
        free(plane->due_next);
        free(plane->notes);
        free(plane);
    }
    return NULL;
}

uint32_t amm_plane_live(const struct amm_plane *plane)
{
    return plane->live;
}

/* ---- records ---- */

struct amm_peer *amm_plane_place(struct amm_plane *plane, uint32_t peer_id)
{
    if (plane->config.role == AMM_CLIENT) {
        /* Foreign servers number their peers as they like, and there is only one: slot 1, lane 0.
         */
        return &plane->table[LANES];
    }
    struct amm_peer *peer = amm_peer_table_at(plane->table, plane->n_slots, peer_id);
    if (peer == NULL) {
        amm_drop(plane->drops, AMM_DROP_DATA_PEER_UNKNOWN);
        return NULL;
    }
    if (plane->config.n_workers > 1 &&
        amm_peer_id_slot(peer_id) % plane->config.n_workers != plane->config.worker) {
        amm_drop(plane->drops, AMM_DROP_DATA_WORKER);
        return NULL;
    }
    return peer;
}

uint32_t amm_plane_local(const struct amm_plane *plane, const struct amm_peer *peer)
{
    uint32_t record = (uint32_t)(peer - plane->table);
    return record / LANES / plane->config.n_workers * LANES + record % LANES;
}

struct amm_peer *amm_plane_record(const struct amm_plane *plane, uint32_t local)
{
    uint32_t slot = local / LANES * plane->config.n_workers + plane->config.worker;
    return &plane->table[slot * LANES + local % LANES];
}

struct amm_peer *amm_plane_sibling(const struct amm_plane *plane, const struct amm_peer *peer)
{
    struct amm_peer *other = &plane->table[(peer - plane->table) ^ 1];
    return other->state == AMM_PEER_LIVE ? other : NULL;
}

bool amm_peer_is_newer(const struct amm_peer *a, const struct amm_peer *b)
{
    uint32_t ahead =
        amm_peer_id_generation(a->peer_id) + AMM_GENERATIONS - amm_peer_id_generation(b->peer_id);
    return ahead % AMM_GENERATIONS <= AMM_GENERATIONS / 2;
}

void amm_plane_drop_peer(struct amm_plane *plane, struct amm_peer *peer)
{
    uint32_t local = amm_plane_local(plane, peer);
    amm_peer_change(peer);
    for (int i = 0; i < AMM_KEY_SLOTS; i++) {
        amm_plane_wipe_key(plane, &peer->keys[i]);
    }
    uint32_t sequence = peer->sequence;
    memset(peer, 0, sizeof *peer);
    peer->sequence = sequence;
    amm_peer_settle(peer);
    amm_wheel_set(plane->wheel, local, AMM_NEVER);
    plane->due[local] &= DUE_QUEUED;
    plane->live--;
    struct amm_peer *sibling = amm_plane_sibling(plane, peer);
    plane->active[local / LANES] =
        sibling ? (uint8_t)(amm_plane_local(plane, sibling) % LANES) : NO_LANE;
}

/* ---- notes ---- */

bool amm_plane_can_note(const struct amm_plane *plane, uint32_t n)
{
    return plane->n_notes + n <= plane->n_notes_max / 2;
}

struct amm_plane_note *amm_plane_note(struct amm_plane *plane, enum amm_plane_note_kind kind,
                                      const struct amm_peer *peer, uint8_t key_id)
{
    if (plane->n_notes == plane->n_notes_max) {
        /* Only a caller who gives command after command and takes no notes comes here. */
        amm_drop(plane->drops, AMM_DROP_QUEUE_FULL);
        plane->n_notes--;
    }
    uint32_t at = (plane->note_first + plane->n_notes++) % plane->n_notes_max;
    plane->notes[at] = (struct amm_plane_note){.kind = (uint8_t)kind,
                                               .key_id = key_id,
                                               .port_index = plane->config.port_index,
                                               .peer_id = peer->peer_id,
                                               .session = peer->session};
    return &plane->notes[at];
}

bool amm_plane_next_note(struct amm_plane *plane, struct amm_plane_note *out)
{
    if (plane->n_notes == 0) {
        return false;
    }
    *out = plane->notes[plane->note_first];
    plane->note_first = (plane->note_first + 1) % plane->n_notes_max;
    plane->n_notes--;
    return true;
}

/* ---- taking over ---- */

/* A record that can be believed: whole, and standing where its peer id says. */
static bool is_sound(struct amm_plane *plane, const struct amm_peer *peer)
{
    return (peer->sequence & 1) == 0 && peer->state == AMM_PEER_LIVE &&
           (plane->config.role == AMM_CLIENT ||
            amm_peer_table_at(plane->table, plane->n_slots, peer->peer_id) == peer);
}

static void adopt_peer(struct amm_plane *plane, struct amm_peer *peer, struct amm_now now)
{
    amm_peer_change(peer);
    for (int i = 0; i < AMM_KEY_SLOTS; i++) {
        struct amm_key_slot *key = &peer->keys[i];
        if (key->state != AMM_KEY_EMPTY) {
            key->tx_next = key->tx_reserved;
            key->worn = 0; /* the note may have died with the process */
            amm_plane_new_serials(key);
        }
    }
    amm_peer_settle(peer);
    plane->live++;
    amm_plane_arm(plane, peer, now.mono);
    if (peer->exit_wanted) {
        amm_plane_make_due(plane, peer, DUE_EXIT);
    }
}

/* Decides which lane is routed to. Both lanes live at once only until the newer peer sends with a
 * key; a process that died between the two steps leaves the second one, dropping the older, to us.
 */
static void adopt_slot(struct amm_plane *plane, uint32_t local_slot)
{
    struct amm_peer *first = amm_plane_record(plane, local_slot * LANES);
    struct amm_peer *second = amm_plane_sibling(plane, first);
    if (first->state != AMM_PEER_LIVE || second == NULL) {
        plane->active[local_slot] = first->state == AMM_PEER_LIVE ? 0 : second ? 1 : NO_LANE;
        return;
    }
    struct amm_peer *newer = amm_peer_is_newer(first, second) ? first : second;
    struct amm_peer *older = newer == first ? second : first;
    if (amm_peer_sending_key(newer) == NULL) {
        plane->active[local_slot] = older == second;
        return;
    }
    if (amm_plane_can_note(plane, 1)) {
        amm_plane_note(plane, AMM_NOTE_REPLACED, older, 0);
    }
    amm_plane_drop_peer(plane, older);
}

uint32_t amm_plane_adopt(struct amm_plane *plane, struct amm_now now)
{
    uint32_t slots = n_local_slots(plane);
    for (uint32_t local = 0; local < slots * LANES; local++) {
        uint32_t slot = local / LANES * plane->config.n_workers + plane->config.worker;
        if (slot == 0 || slot > plane->n_slots) {
            continue;
        }
        struct amm_peer *peer = amm_plane_record(plane, local);
        if (is_sound(plane, peer)) {
            adopt_peer(plane, peer, now);
        } else if ((peer->sequence & 1) != 0 || peer->state != AMM_PEER_FREE) {
            uint32_t sequence = (peer->sequence | 1) + 1;
            amm_wipe(peer, sizeof *peer);
            peer->sequence = sequence;
        }
        if (local % LANES == LANES - 1) {
            adopt_slot(plane, local / LANES);
        }
    }
    return plane->live;
}
