#include "world.h"

#include <stdlib.h>

static uint8_t echo[128];

void side_open(struct side *side, struct amm_now now)
{
    side->n_slots = side->config.role == AMM_SERVER ? amm_pool_slots(&side->config.pool) : 1;
    side->table = calloc(1, amm_peer_table_size(side->n_slots));
    side->aead = amm_aead_new(AMM_AEAD_OPENSSL, 64);
    side->plane =
        amm_plane_new(&side->config, side->table, side->n_slots, side->aead, &side->drops, now);
    assert_non_null(side->plane);
}

void side_close(struct side *side)
{
    assert_null(amm_plane_free(side->plane));
    amm_aead_free(side->aead);
    free(side->table);
}

void world_open(struct world *world)
{
    memset(world, 0, sizeof *world);
    world->now = (struct amm_now){.mono = 1000 * AMM_SECOND, .wall = 1700000000};
    world->server.config = (struct amm_plane_config){.role = AMM_SERVER,
                                                     .port_index = 2,
                                                     .n_workers = 1,
                                                     .mtu = 1400,
                                                     .published = {80},
                                                     .lame_duck = 60 * AMM_SECOND};
    assert_true(amm_pool_parse(&world->server.config.pool, "10.128.0.0/19", AMM_NET30));
    world->client.config = (struct amm_plane_config){
        .role = AMM_CLIENT, .n_workers = 1, .mtu = 1400, .lame_duck = 60 * AMM_SECOND};
    side_open(&world->server, world->now);
    side_open(&world->client, world->now);
}

void world_close(struct world *world)
{
    side_close(&world->server);
    side_close(&world->client);
}

struct amm_data_keys world_keys(unsigned n, uint8_t key_id, enum amm_role role)
{
    struct amm_data_keys keys = {.cipher = AMM_CIPHER_AES_256_GCM, .key_id = key_id};
    bool is_client = role == AMM_CLIENT;
    memset(is_client ? keys.tx_key : keys.rx_key, (int)(2 * n), sizeof keys.tx_key);
    memset(is_client ? keys.rx_key : keys.tx_key, (int)(2 * n + 1), sizeof keys.rx_key);
    memset(is_client ? keys.tx_iv : keys.rx_iv, (int)(2 * n), sizeof keys.tx_iv);
    memset(is_client ? keys.rx_iv : keys.tx_iv, (int)(2 * n + 1), sizeof keys.rx_iv);
    return keys;
}

struct amm_path world_path(const char *remote)
{
    struct amm_path path = {.transport = AMM_UDP, .port_index = 2};
    assert_true(amm_address_parse(&path.remote, remote, 0));
    assert_true(amm_address_parse(&path.local, "192.0.2.1:1192", 0));
    return path;
}

struct amm_plane_command world_command(enum amm_plane_op op, uint32_t peer_id, uint32_t session,
                                       unsigned keys, uint8_t key_id, enum amm_role role)
{
    struct amm_pool pool;
    assert_true(amm_pool_parse(&pool, "10.128.0.0/19", AMM_NET30));
    struct amm_plane_command command = {.op = (uint8_t)op,
                                        .port_index = 2,
                                        .peer_id = peer_id,
                                        .session = {.index = session, .tag = 0x1000 + session},
                                        .keys = world_keys(keys, key_id, role),
                                        .path = world_path(CLIENT_REMOTE),
                                        .inner_ip =
                                            amm_pool_address(&pool, amm_peer_id_slot(peer_id)),
                                        .ping = 10,
                                        .ping_restart = 60,
                                        .name = "gateway-1"};
    return command;
}

void world_command_side(struct world *world, struct side *side, enum amm_plane_op op,
                        uint32_t peer_id, uint32_t session, unsigned keys, uint8_t key_id)
{
    struct amm_plane_command command =
        world_command(op, peer_id, session, keys, key_id, side->config.role);
    amm_plane_command(side->plane, world->now, &command);
}

void world_join(struct world *world, uint32_t peer_id)
{
    struct amm_span inner;
    world->peer_id = peer_id;
    world_command_side(world, &world->server, AMM_PLANE_ADD, peer_id, 1, 1, 0);
    world_command_side(world, &world->client, AMM_PLANE_ADD, peer_id, 1, 1, 0);
    world_command_side(world, &world->client, AMM_PLANE_SEND, peer_id, 1, 1, 0);
    size_t len = world_client_seal(world, world_echo(world));
    assert_true(len > 0);
    assert_true(world_server_open(world, len, CLIENT_REMOTE, &inner));
    drop_notes(&world->server);
    drop_notes(&world->client);
    memset(&world->server.drops, 0, sizeof world->server.drops);
    memset(&world->client.drops, 0, sizeof world->client.drops);
}

uint32_t world_client_ip(const struct world *world)
{
    return amm_pool_address(&world->server.config.pool, amm_peer_id_slot(world->peer_id));
}

struct amm_view world_echo(struct world *world)
{
    struct packet packet = {.source = world_client_ip(world),
                            .destination = amm_pool_server(&world->server.config.pool),
                            .protocol = 1,
                            .flags = 8,
                            .payload = 20};
    return amm_view(echo, packet_build(&packet, echo, sizeof echo));
}

size_t world_client_seal(struct world *world, struct amm_view inner)
{
    struct amm_peer *peer = amm_plane_route(world->client.plane, 0);
    if (peer == NULL) {
        return 0;
    }
    struct amm_span sealed =
        amm_plane_seal(world->client.plane, world->now, peer, inner, world->datagram);
    if (sealed.len > 0) {
        memmove(world->datagram, sealed.data, sealed.len);
    }
    return sealed.len;
}

size_t world_server_seal(struct world *world, struct amm_view inner)
{
    struct amm_peer *peer = amm_plane_route(world->server.plane, world_client_ip(world));
    return peer ? amm_plane_seal(world->server.plane, world->now, peer, inner, world->datagram).len
                : 0;
}

bool world_server_open(struct world *world, size_t len, const char *remote, struct amm_span *inner)
{
    struct amm_path path = world_path(remote);
    return amm_plane_open(world->server.plane, world->now, &path,
                          (struct amm_span){world->datagram, len}, inner);
}

bool world_client_open(struct world *world, size_t len, struct amm_span *inner)
{
    struct amm_path path = world_path(CLIENT_REMOTE);
    return amm_plane_open(world->client.plane, world->now, &path,
                          (struct amm_span){world->datagram, len}, inner);
}

struct amm_peer *world_server_peer(struct world *world, uint32_t peer_id)
{
    return amm_peer_table_at(world->server.table, world->server.n_slots, peer_id);
}

struct amm_plane_note take_note(struct side *side, enum amm_plane_note_kind kind, uint32_t session)
{
    struct amm_plane_note note = {0};
    assert_true(amm_plane_next_note(side->plane, &note));
    assert_int_equal(note.kind, kind);
    assert_int_equal(note.session.index, session);
    assert_int_equal(note.port_index, side->config.port_index);
    return note;
}

void no_note(struct side *side)
{
    struct amm_plane_note note;
    assert_false(amm_plane_next_note(side->plane, &note));
}

void drop_notes(struct side *side)
{
    struct amm_plane_note note;
    while (amm_plane_next_note(side->plane, &note)) {
    }
}

void assert_drops(const struct side *side, enum amm_drop reason, uint64_t n)
{
    if (side->drops.count[reason] != n) {
        fail_msg("%s: %lu instead of %lu", amm_drop_name(reason), side->drops.count[reason], n);
    }
}

void assert_all_drops(const struct side *side, uint64_t n)
{
    uint64_t sum = 0;
    for (int i = 0; i < AMM_DROP_COUNT; i++) {
        sum += side->drops.count[i];
    }
    assert_int_equal(sum, n);
}

int world_tear_down(void **state)
{
    world_close(*state);
    return 0;
}
