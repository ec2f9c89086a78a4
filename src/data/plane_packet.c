/* The packet path: open, route, seal. No allocation, no timer operation, no system call. */
#include "inner.h"
#include "message.h"
#include "plane_internal.h"

#include "data/offload.h"

enum { OP_DATA_V1 = 6, OP_DATA_V2 = 9, V2_EXTRA = 3, PACKET_ID = 4 };

/* A data packet taken apart. */
struct parts {
    uint8_t *packet_id; /* the tag follows, then the payload */
    uint8_t *text;
    size_t len;
    struct amm_view aad;
};

/* ---- open ---- */

/* Cuts the header off. False if it was dropped and counted. */
static bool take_apart(struct amm_plane *plane, struct amm_span datagram, struct parts *out)
{
    uint8_t op = datagram.len > 0 ? datagram.data[0] >> 3 : 0;
    size_t before_id = op == OP_DATA_V2 ? 1 + V2_EXTRA : 1;
    size_t header = before_id + PACKET_ID + AMM_AEAD_TAG;
    if (datagram.len <= header) {
        amm_drop(plane->drops, AMM_DROP_DATA_SHORT);
        return false;
    }
    if (op != OP_DATA_V2 && (op != OP_DATA_V1 || plane->config.role == AMM_SERVER)) {
        amm_drop(plane->drops, AMM_DROP_DATA_V1);
        return false;
    }
    out->packet_id = datagram.data + before_id;
    out->text = datagram.data + header;
    out->len = datagram.len - header;
    /* V2 authenticates the opcode and the peer id, V1 does not. */
    out->aad = op == OP_DATA_V2 ? amm_view(datagram.data, before_id + PACKET_ID)
                                : amm_view(out->packet_id, PACKET_ID);
    return true;
}

static struct amm_peer *find_peer(struct amm_plane *plane, const uint8_t *datagram)
{
    /* A client has one peer, whose own number for us is of no interest (and absent from V1). */
    uint32_t peer_id = plane->config.role == AMM_SERVER ? amm_load_u24(datagram + 1) : 0;
    struct amm_peer *peer = amm_plane_place(plane, peer_id);
    if (peer == NULL) {
        return NULL;
    }
    if (peer->state != AMM_PEER_LIVE || peer->exit_wanted ||
        (plane->config.role == AMM_SERVER && peer->peer_id != peer_id)) {
        amm_drop(plane->drops, AMM_DROP_DATA_PEER_UNKNOWN);
        return NULL;
    }
    return peer;
}

static uint64_t blocks_of(size_t len)
{
    return 1 + (len + 15) / 16;
}

/* Authenticates and decrypts. AMM_DROP_COUNT or the reason against it. */
static enum amm_drop unseal(struct amm_plane *plane, struct amm_peer *peer,
                            struct amm_key_slot *key, const struct parts *parts)
{
    uint8_t nonce[AMM_AEAD_NONCE];
    if (key->rx_failed > FAILED_MAX) {
        return AMM_DROP_DATA_KEY_SPENT;
    }
    memcpy(nonce, parts->packet_id, PACKET_ID);
    memcpy(nonce + PACKET_ID, key->rx_iv, sizeof key->rx_iv);
    if (!amm_aead_open(plane->aead, &key->rx, nonce, parts->aad, parts->text, parts->len,
                       parts->packet_id + PACKET_ID)) {
        key->rx_failed++;
        amm_plane_note_wear(plane, peer, key);
        return AMM_DROP_DATA_AUTH;
    }
    return amm_replay_check(&key->replay, amm_load_u32(parts->packet_id));
}

/* Follows a peer that authenticated from another address. `newest`: no later packet of its key was
 * seen, so that a straggler from the old address does not turn it back. Peers are found by id
 * alone, so two may share an address for a while, and the answer goes only to where this peer
 * itself just sent from: whose address it was before does not matter. */
static void follow(struct amm_plane *plane, struct amm_now now, struct amm_peer *peer,
                   const struct amm_path *path, bool newest)
{
    if (!newest || path->transport != AMM_UDP || peer->path.transport != AMM_UDP ||
        now.mono - peer->moved < AMM_SECOND || !amm_plane_can_note(plane, 1)) {
        return;
    }
    amm_peer_change(peer);
    peer->path = *path;
    peer->moved = now.mono;
    peer->segment = 0;
    amm_peer_settle(peer);
    amm_plane_note(plane, AMM_NOTE_MOVED, peer, 0)->path = *path;
}

/* IPv6 is counted and not held against the peer: every Linux client greets its tun device with it.
 */
static void drop_inner(struct amm_plane *plane, struct amm_peer *peer, enum amm_drop reason)
{
    amm_drop(plane->drops, reason);
    if (reason != AMM_DROP_INNER_IPV6) {
        peer->dropped++;
        peer->last_drop = (uint8_t)reason;
    }
}

/* True if the payload was a message and not a packet; the peer may be gone afterwards. */
static bool take_message(struct amm_plane *plane, struct amm_peer *peer, struct amm_span inner)
{
    if (inner.data[0] >> 4 != 2 || inner.len < AMM_MESSAGE_MAGIC) {
        return false; /* both magics start with 2, which is no IP version */
    }
    if (memcmp(inner.data, amm_message_ping, AMM_MESSAGE_MAGIC) == 0) {
        return inner.len == AMM_MESSAGE_MAGIC;
    }
    if (memcmp(inner.data, amm_message_occ, AMM_MESSAGE_MAGIC) != 0) {
        return false;
    }
    if (inner.len > AMM_MESSAGE_MAGIC && inner.data[AMM_MESSAGE_MAGIC] == AMM_MESSAGE_EXIT) {
        amm_plane_note(plane, AMM_NOTE_EXITED, peer, 0);
        amm_plane_drop_peer(plane, peer);
    }
    return true;
}

/* What an authenticated packet changes. */
static void take_effect(struct amm_plane *plane, struct amm_now now, struct amm_peer *peer,
                        struct amm_key_slot *key, const struct amm_path *path, bool newest,
                        size_t len)
{
    peer->last_rx = now.mono;
    key->rx_blocks += blocks_of(len);
    amm_plane_note_wear(plane, peer, key);
    if (!amm_path_equal(path, &peer->path)) {
        follow(plane, now, peer, path, newest);
    }
    if (key->state == AMM_KEY_RECEIVE) {
        amm_plane_note(plane, AMM_NOTE_PROVEN, peer, key->key_id);
        amm_plane_promote(plane, now, peer, key);
    }
}

static bool deliver(struct amm_plane *plane, struct amm_peer *peer, struct amm_span *inner)
{
    enum amm_drop reason =
        plane->config.role == AMM_SERVER
            ? amm_inner_from_gateway(&plane->config, plane->server_ip, peer->inner_ip, inner)
            : amm_inner_from_server(&plane->config, peer->inner_ip, inner);
    if (reason != AMM_DROP_COUNT) {
        drop_inner(plane, peer, reason);
        return false;
    }
    peer->rx_packets++;
    peer->rx_bytes += inner->len;
    amm_mss_clamp(*inner, peer->mss);
    return true;
}

bool amm_plane_open(struct amm_plane *plane, struct amm_now now, const struct amm_path *path,
                    struct amm_span datagram, struct amm_span *inner)
{
    enum { NOTES_PER_PACKET = 5 }; /* worn, moved, proven, replaced, exited */
    struct parts parts;
    struct amm_peer *peer;
    if (!take_apart(plane, datagram, &parts) || (peer = find_peer(plane, datagram.data)) == NULL) {
        return false;
    }
    struct amm_key_slot *key = amm_peer_key(peer, datagram.data[0] & 7, now.mono);
    if (key == NULL) {
        amm_drop(plane->drops, AMM_DROP_DATA_KEY_UNKNOWN);
        return false;
    }
    uint32_t highest = key->replay.highest;
    enum amm_drop reason = unseal(plane, peer, key, &parts);
    if (reason != AMM_DROP_COUNT) {
        amm_drop(plane->drops, reason);
        return false;
    }
    struct amm_span text = {parts.text, parts.len};
    bool is_message = text.data[0] >> 4 == 2;
    if ((key->state == AMM_KEY_RECEIVE || is_message) &&
        !amm_plane_can_note(plane, NOTES_PER_PACKET)) {
        drop_inner(plane, peer, AMM_DROP_QUEUE_FULL); /* the peer will send another one */
        return false;
    }
    take_effect(plane, now, peer, key, path, key->replay.highest > highest, parts.len);
    if (take_message(plane, peer, text) || !deliver(plane, peer, &text)) {
        return false;
    }
    *inner = text;
    return true;
}

/* ---- route and seal ---- */

struct amm_peer *amm_plane_route(struct amm_plane *plane, uint32_t ip)
{
    uint32_t slot = 1;
    if (plane->config.role == AMM_SERVER) {
        slot = amm_pool_slot(&plane->config.pool, ip);
        if (slot == 0 || slot > plane->n_slots) {
            amm_drop(plane->drops, AMM_DROP_INNER_NO_PEER);
            return NULL;
        }
        if (plane->config.n_workers > 1 && slot % plane->config.n_workers != plane->config.worker) {
            amm_drop(plane->drops, AMM_DROP_DATA_WORKER);
            return NULL;
        }
    }
    uint8_t lane = plane->active[slot / plane->config.n_workers];
    if (lane == NO_LANE || plane->table[slot * LANES + lane].exit_wanted) {
        amm_drop(plane->drops, AMM_DROP_INNER_NO_PEER);
        return NULL;
    }
    return &plane->table[slot * LANES + lane];
}

/* The next packet id of a key, or 0 if it is used up. What may have been used is stored first. */
static uint32_t next_packet_id(struct amm_key_slot *key)
{
    if (key->tx_next >= TX_ID_END || (key->tx_blocks >= GCM_BLOCKS_MAX && amm_key_is_gcm(key))) {
        return 0;
    }
    if (key->tx_next >= key->tx_reserved) {
        uint32_t left = TX_ID_END - key->tx_next;
        __atomic_store_n(&key->tx_reserved, key->tx_next + (left < TX_RESERVE ? left : TX_RESERVE),
                         __ATOMIC_RELEASE);
    }
    uint32_t id = key->tx_next;
    __atomic_store_n(&key->tx_next, id + 1, __ATOMIC_RELEASE);
    return id;
}

struct amm_span amm_plane_seal_payload(struct amm_plane *plane, struct amm_now now,
                                       struct amm_peer *peer, uint8_t *out, size_t len)
{
    struct amm_key_slot *key = amm_peer_sending_key(peer);
    uint32_t id = key ? next_packet_id(key) : 0;
    if (id == 0) {
        amm_drop(plane->drops, key ? AMM_DROP_DATA_KEY_SPENT : AMM_DROP_INNER_NO_KEY);
        return (struct amm_span){NULL, 0};
    }
    uint8_t *packet_id = out + 1 + V2_EXTRA;
    uint8_t *start = peer->data_v1 ? packet_id - 1 : out;
    uint8_t nonce[AMM_AEAD_NONCE];
    if (!peer->data_v1) {
        amm_store_u24(start + 1, peer->peer_id);
    }
    start[0] = (uint8_t)((peer->data_v1 ? OP_DATA_V1 : OP_DATA_V2) << 3 | key->key_id);
    amm_store_u32(packet_id, id);
    memcpy(nonce, packet_id, PACKET_ID);
    memcpy(nonce + PACKET_ID, key->tx_iv, sizeof key->tx_iv);
    struct amm_view aad =
        peer->data_v1 ? amm_view(packet_id, PACKET_ID) : amm_view(start, 1 + V2_EXTRA + PACKET_ID);
    amm_aead_seal(plane->aead, &key->tx, nonce, aad, out + AMM_DATA_OVERHEAD, len,
                  packet_id + PACKET_ID);
    key->tx_blocks += blocks_of(len);
    peer->last_tx = now.mono;
    amm_plane_note_wear(plane, peer, key);
    return (struct amm_span){start, (size_t)(out + AMM_DATA_OVERHEAD + len - start)};
}

struct amm_span amm_plane_seal(struct amm_plane *plane, struct amm_now now, struct amm_peer *peer,
                               struct amm_view inner, uint8_t *out)
{
    uint8_t *text = out + AMM_DATA_OVERHEAD;
    if (inner.len == 0 || inner.len > plane->config.mtu) {
        amm_drop(plane->drops, inner.len ? AMM_DROP_INNER_TOO_BIG : AMM_DROP_INNER_MALFORMED);
        return (struct amm_span){NULL, 0};
    }
    if (inner.data != text) {
        memcpy(text, inner.data, inner.len);
    }
    amm_mss_clamp((struct amm_span){text, inner.len}, peer->mss);
    struct amm_span sealed = amm_plane_seal_payload(plane, now, peer, out, inner.len);
    if (sealed.len > 0) {
        peer->tx_packets++;
        peer->tx_bytes += inner.len;
    }
    return sealed;
}
