#include "proto/client.h"

#include "client_engine.h"
#include "wire.h"

#include <stdlib.h>

struct amm_client {
    struct amm_engine *engine;
    struct amm_plane *plane;
    void *sessions, *peers;
};

struct amm_client *amm_client_new(const struct amm_client_config *config,
                                  const struct amm_engine_env *env, struct amm_aead *aead,
                                  struct amm_drops *drops, struct amm_now now)
{
    struct amm_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return NULL;
    }
    struct amm_engine_config engine = config->engine;
    engine.role = AMM_CLIENT;
    struct amm_plane_config plane = {
        .role = AMM_CLIENT,
        .n_workers = 1,
        .mtu = config->mtu,
        .lame_duck = engine.tran_window,
    };
    client->sessions = calloc(1, amm_session_table_size(1));
    client->peers = calloc(1, amm_peer_table_size(1));
    if (client->sessions != NULL && client->peers != NULL) {
        client->engine = amm_engine_new(&engine, env, client->sessions, drops, now);
        client->plane = amm_plane_new(&plane, client->peers, 1, aead, drops, now);
    }
    return client->engine != NULL && client->plane != NULL ? client : amm_client_free(client);
}

struct amm_client *amm_client_free(struct amm_client *client)
{
    if (client == NULL) {
        return NULL;
    }
    amm_engine_free(client->engine);
    amm_plane_free(client->plane);
    if (client->sessions != NULL) {
        amm_wipe(client->sessions, amm_session_table_size(1));
    }
    if (client->peers != NULL) {
        amm_wipe(client->peers, amm_peer_table_size(1));
    }
    free(client->sessions);
    free(client->peers);
    free(client);
    return NULL;
}

/* Notes of the plane go to the engine at once; commands of the engine go to the plane when its
 * events are taken, so that they stay in order. */
static void pass_notes(struct amm_client *client, struct amm_now now)
{
    struct amm_plane_note note;
    while (amm_plane_next_note(client->plane, &note)) {
        struct amm_command command = {.kind = AMM_COMMAND_NOTE, .note = note};
        amm_engine_command(client->engine, now, &command);
    }
}

static void pass_commands(struct amm_client *client, struct amm_now now)
{
    struct amm_plane_command command;
    while (amm_engine_take_plane_command(client->engine, &command)) {
        amm_plane_command(client->plane, now, &command);
        pass_notes(client, now);
    }
    amm_wipe(&command, sizeof command);
}

void amm_client_connect(struct amm_client *client, struct amm_now now, const struct amm_path *path)
{
    struct amm_command command = {.kind = AMM_COMMAND_CONNECT, .path = *path};
    amm_engine_command(client->engine, now, &command);
    pass_commands(client, now);
}

static bool is_data(struct amm_span datagram)
{
    unsigned opcode = datagram.len > 0 ? amm_byte0_opcode(datagram.data[0]) : 0;
    return opcode == AMM_OP_DATA_V1 || opcode == AMM_OP_DATA_V2;
}

bool amm_client_input(struct amm_client *client, struct amm_now now, const struct amm_path *path,
                      struct amm_span datagram, struct amm_span *inner, bool *broken)
{
    bool has_inner = false, ok = true;
    *inner = (struct amm_span){NULL, 0};
    if (is_data(datagram)) {
        has_inner = amm_plane_open(client->plane, now, path, datagram, inner);
        pass_notes(client, now);
    } else {
        ok = amm_engine_input(client->engine, now, path, amm_view_of(datagram));
    }
    pass_commands(client, now);
    if (broken != NULL) {
        *broken = !ok;
    }
    return has_inner;
}

struct amm_span amm_client_seal(struct amm_client *client, struct amm_now now,
                                struct amm_view inner, uint8_t *out, struct amm_path *path)
{
    struct amm_peer *peer =
        amm_plane_live(client->plane) > 0 ? amm_plane_route(client->plane, 0) : NULL;
    if (peer == NULL) {
        return (struct amm_span){NULL, 0};
    }
    *path = peer->path;
    struct amm_span sealed = amm_plane_seal(client->plane, now, peer, inner, out);
    pass_notes(client, now);
    pass_commands(client, now);
    return sealed;
}

bool amm_client_output(struct amm_client *client, struct amm_now now, struct amm_control_out *out)
{
    bool has_packet = amm_engine_output(client->engine, now, out);
    pass_commands(client, now);
    if (!has_packet) {
        out->len = amm_plane_output(client->plane, now, &out->path, out->data, sizeof out->data);
        pass_notes(client, now);
        pass_commands(client, now);
        has_packet = out->len > 0;
    }
    return has_packet;
}

bool amm_client_next_event(struct amm_client *client, struct amm_event *out)
{
    return amm_engine_next_event(client->engine, out);
}

amm_time amm_client_deadline(const struct amm_client *client)
{
    return amm_time_min(amm_engine_deadline(client->engine), amm_plane_deadline(client->plane));
}

void amm_client_expire(struct amm_client *client, struct amm_now now)
{
    amm_engine_expire(client->engine, now);
    pass_commands(client, now);
    amm_plane_expire(client->plane, now);
    pass_notes(client, now);
    pass_commands(client, now);
}

static void command_session(struct amm_client *client, struct amm_now now,
                            struct amm_command *command)
{
    command->session = amm_engine_client_session(client->engine);
    amm_engine_command(client->engine, now, command);
    pass_commands(client, now);
}

void amm_client_leave(struct amm_client *client, struct amm_now now)
{
    struct amm_command command = {.kind = AMM_COMMAND_CLOSE, .reason = AMM_CLOSE_KICKED};
    command_session(client, now, &command);
}

void amm_client_renegotiate(struct amm_client *client, struct amm_now now)
{
    struct amm_command command = {.kind = AMM_COMMAND_RENEGOTIATE};
    command_session(client, now, &command);
}

const struct amm_peer *amm_client_peer(const struct amm_client *client)
{
    /* Whichever lane it is in: each new session takes the other one. */
    return amm_plane_live(client->plane) > 0 ? amm_plane_route(client->plane, 0) : NULL;
}
