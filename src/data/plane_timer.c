/* One timer per peer, set to the earliest thing that may be due. Packets only note their time; a
 * timer that comes too early for that reason is set again. So a packet costs no timer operation. */
#include "message.h"
#include "plane_internal.h"

enum { EXIT_COPIES = 3 }; /* datagrams get lost, and nobody acknowledges this one */

static amm_time ping_due(const struct amm_peer *peer)
{
    return peer->ping ? amm_time_after(peer->last_tx, peer->ping * AMM_SECOND) : AMM_NEVER;
}

static amm_time silent_at(const struct amm_plane *plane, const struct amm_peer *peer)
{
    amm_time since = peer->last_rx > plane->started ? peer->last_rx : plane->started;
    return peer->ping_restart ? amm_time_after(since, peer->ping_restart * AMM_SECOND) : AMM_NEVER;
}

void amm_plane_arm(struct amm_plane *plane, const struct amm_peer *peer, amm_time now)
{
    /* Never in the past, else expire() would find the same peer again and again. */
    amm_time ping = ping_due(peer) > now ? ping_due(peer) : now + AMM_SECOND;
    amm_time at = amm_time_min(ping, silent_at(plane, peer));
    for (int i = 0; i < AMM_KEY_SLOTS; i++) {
        if (peer->keys[i].state != AMM_KEY_EMPTY) {
            at = amm_time_min(at, peer->keys[i].dies);
        }
    }
    amm_wheel_set(plane->wheel, amm_plane_local(plane, peer), at);
}

void amm_plane_make_due(struct amm_plane *plane, const struct amm_peer *peer, uint8_t why)
{
    uint32_t local = amm_plane_local(plane, peer);
    bool queued = plane->due[local] & DUE_QUEUED;
    plane->due[local] |= (uint8_t)(why | DUE_QUEUED);
    if (queued) {
        return;
    }
    plane->due_next[local] = AMM_WHEEL_NONE;
    if (plane->due_head == AMM_WHEEL_NONE) {
        plane->due_head = local;
    } else {
        plane->due_next[plane->due_tail] = local;
    }
    plane->due_tail = local;
}

static void expire_peer(struct amm_plane *plane, struct amm_peer *peer, amm_time now)
{
    if (now >= silent_at(plane, peer)) {
        amm_plane_note(plane, AMM_NOTE_SILENT, peer, 0);
        amm_plane_drop_peer(plane, peer);
        return;
    }
    for (int i = 0; i < AMM_KEY_SLOTS; i++) {
        if (peer->keys[i].state != AMM_KEY_EMPTY && now >= peer->keys[i].dies) {
            amm_peer_change(peer);
            amm_plane_wipe_key(plane, &peer->keys[i]);
            amm_peer_settle(peer);
        }
    }
    if (now >= ping_due(peer) && amm_peer_sending_key(peer) != NULL) {
        peer->last_tx = now;
        amm_plane_make_due(plane, peer, DUE_PING);
    }
    amm_plane_arm(plane, peer, now);
}

void amm_plane_expire(struct amm_plane *plane, struct amm_now now)
{
    while (amm_plane_can_note(plane, 1)) {
        uint32_t local = amm_wheel_expire(plane->wheel, now.mono);
        if (local == AMM_WHEEL_NONE) {
            return;
        }
        expire_peer(plane, amm_plane_record(plane, local), now.mono);
    }
}

amm_time amm_plane_deadline(const struct amm_plane *plane)
{
    return plane->due_head != AMM_WHEEL_NONE ? plane->started : amm_wheel_deadline(plane->wheel);
}

/* ---- what leaves by itself ---- */

static size_t seal_message(struct amm_plane *plane, struct amm_now now, struct amm_peer *peer,
                           const uint8_t *message, size_t len, uint8_t *out)
{
    memcpy(out + AMM_DATA_OVERHEAD, message, len);
    struct amm_span sealed = amm_plane_seal_payload(plane, now, peer, out, len);
    if (sealed.len > 0) {
        memmove(out, sealed.data, sealed.len);
    }
    return sealed.len;
}

/* The next exit message of a peer; 0 if it was dropped instead, having got them all or having no
 * key. */
static size_t output_exit(struct amm_plane *plane, struct amm_now now, struct amm_peer *peer,
                          uint8_t *out)
{
    uint8_t message[AMM_MESSAGE_MAGIC + 1];
    memcpy(message, amm_message_occ, AMM_MESSAGE_MAGIC);
    message[AMM_MESSAGE_MAGIC] = AMM_MESSAGE_EXIT;
    uint8_t copies = peer->path.transport == AMM_UDP ? EXIT_COPIES : 1;
    if (peer->exit_sent < copies && amm_peer_sending_key(peer) != NULL) {
        peer->exit_sent++;
        size_t len = seal_message(plane, now, peer, message, sizeof message, out);
        if (len > 0) {
            return len;
        }
    }
    amm_plane_note(plane, AMM_NOTE_REMOVED, peer, 0);
    amm_plane_drop_peer(plane, peer);
    return 0;
}

size_t amm_plane_output(struct amm_plane *plane, struct amm_now now, struct amm_path *path,
                        uint8_t *out, size_t room)
{
    if (room < AMM_DATA_OVERHEAD + AMM_MESSAGE_MAGIC + 1) {
        return 0;
    }
    while (plane->due_head != AMM_WHEEL_NONE && amm_plane_can_note(plane, 1)) {
        uint32_t local = plane->due_head;
        struct amm_peer *peer = amm_plane_record(plane, local);
        size_t len = 0;
        *path = peer->path;
        if (plane->due[local] & DUE_EXIT) {
            len = output_exit(plane, now, peer, out);
        } else if (plane->due[local] & DUE_PING) {
            plane->due[local] &= DUE_QUEUED;
            len = seal_message(plane, now, peer, amm_message_ping, AMM_MESSAGE_MAGIC, out);
        }
        if (!(plane->due[local] & (DUE_PING | DUE_EXIT))) {
            plane->due[local] = 0;
            plane->due_head = plane->due_next[local];
        }
        if (len > 0) {
            return len;
        }
    }
    return 0;
}
