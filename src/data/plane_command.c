#include "plane_internal.h"

static bool is_same_session(const struct amm_session_ref *a, const struct amm_session_ref *b)
{
    return a->index == b->index && a->tag == b->tag && a->thread == b->thread;
}

/* The live peer that the command is meant for, or NULL: a peer id may belong to somebody else by
 * now. */
static struct amm_peer *peer_of_command(struct amm_plane *plane,
                                        const struct amm_plane_command *command)
{
    struct amm_peer *peer = amm_plane_place(plane, command->peer_id);
    return peer != NULL && peer->state == AMM_PEER_LIVE && peer->peer_id == command->peer_id &&
                   is_same_session(&peer->session, &command->session)
               ? peer
               : NULL;
}

static void answer(struct amm_plane *plane, const struct amm_plane_command *command,
                   enum amm_plane_note_kind kind)
{
    struct amm_peer asked = {.peer_id = command->peer_id, .session = command->session};
    amm_plane_note(plane, kind, &asked, command->keys.key_id);
}

static bool is_possible(const struct amm_plane *plane, const struct amm_plane_command *command)
{
    if (amm_cipher_key_len(command->keys.cipher) == 0 || command->keys.key_id > 7) {
        return false;
    }
    /* An address that is not the slot's would never be routed to: better said at once. */
    return plane->config.role == AMM_CLIENT ||
           command->inner_ip ==
               amm_pool_address(&plane->config.pool, amm_peer_id_slot(command->peer_id));
}

static void fill_peer(struct amm_plane *plane, struct amm_peer *peer, struct amm_now now,
                      const struct amm_plane_command *command)
{
    amm_peer_change(peer);
    peer->data_v1 = command->data_v1;
    peer->peer_id = command->peer_id;
    peer->inner_ip = command->inner_ip;
    peer->session = command->session;
    peer->path = command->path;
    peer->ping = command->ping;
    peer->ping_restart = command->ping_restart;
    peer->mss = (uint16_t)(plane->config.mtu - 40);
    peer->last_rx = peer->last_tx = now.mono;
    peer->moved = now.mono - AMM_SECOND;
    peer->since = now.wall;
    peer->epoch = command->epoch;
    peer->last_drop = AMM_DROP_COUNT;
    memcpy(peer->name, command->name, sizeof peer->name);
    peer->name[AMM_NAME_MAX] = '\0';
    amm_plane_install(plane, peer, &command->keys);
    peer->state = AMM_PEER_LIVE;
    amm_peer_settle(peer);
}

static void add(struct amm_plane *plane, struct amm_now now,
                const struct amm_plane_command *command)
{
    struct amm_peer *peer = peer_of_command(plane, command);
    if (peer != NULL) {
        /* Said twice: it must not start the packet ids of its keys again. */
        answer(plane, command,
               amm_plane_install(plane, peer, &command->keys) ? AMM_NOTE_INSTALLED
                                                              : AMM_NOTE_REFUSED);
        return;
    }
    peer = amm_plane_place(plane, command->peer_id);
    if (peer == NULL || !is_possible(plane, command)) {
        answer(plane, command, AMM_NOTE_REFUSED);
        return;
    }
    if (peer->state == AMM_PEER_LIVE) {
        amm_plane_note(plane, AMM_NOTE_REPLACED, peer, 0);
        amm_plane_drop_peer(plane, peer);
    }
    uint32_t local = amm_plane_local(plane, peer);
    fill_peer(plane, peer, now, command);
    plane->live++;
    if (plane->active[local / LANES] == NO_LANE) {
        plane->active[local / LANES] = (uint8_t)(local % LANES);
    }
    amm_plane_arm(plane, peer, now.mono);
    answer(plane, command, AMM_NOTE_INSTALLED);
}

static void install(struct amm_plane *plane, const struct amm_plane_command *command)
{
    struct amm_peer *peer = peer_of_command(plane, command);
    bool done = peer != NULL && amm_cipher_key_len(command->keys.cipher) != 0 &&
                command->keys.key_id <= 7 && amm_plane_install(plane, peer, &command->keys);
    answer(plane, command, done ? AMM_NOTE_INSTALLED : AMM_NOTE_REFUSED);
}

static void send_with(struct amm_plane *plane, struct amm_now now,
                      const struct amm_plane_command *command)
{
    struct amm_peer *peer = peer_of_command(plane, command);
    struct amm_key_slot *key = peer ? amm_peer_key(peer, command->keys.key_id, now.mono) : NULL;
    if (key != NULL && key->state == AMM_KEY_RECEIVE) {
        amm_plane_promote(plane, now, peer, key);
    }
}

static void tell_exit(struct amm_plane *plane, const struct amm_plane_command *command)
{
    struct amm_peer *peer = peer_of_command(plane, command);
    if (peer == NULL) {
        answer(plane, command, AMM_NOTE_REMOVED);
        return;
    }
    peer->exit_wanted = 1;
    amm_plane_make_due(plane, peer, DUE_EXIT);
}

static void take_away(struct amm_plane *plane, const struct amm_plane_command *command)
{
    struct amm_peer *peer = peer_of_command(plane, command);
    if (peer != NULL) {
        amm_plane_drop_peer(plane, peer);
    }
    answer(plane, command, AMM_NOTE_REMOVED);
}

void amm_plane_command(struct amm_plane *plane, struct amm_now now,
                       const struct amm_plane_command *command)
{
    switch ((enum amm_plane_op)command->op) {
    case AMM_PLANE_ADD:
        add(plane, now, command);
        break;
    case AMM_PLANE_INSTALL:
        install(plane, command);
        break;
    case AMM_PLANE_SEND:
        send_with(plane, now, command);
        break;
    case AMM_PLANE_EXIT:
        tell_exit(plane, command);
        break;
    case AMM_PLANE_REMOVE:
        take_away(plane, command);
        break;
    }
}
