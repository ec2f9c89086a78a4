/* The data plane of a server under arbitrary commands, datagrams, time and restarts, with the null
 * AEAD.
 *
 * The input is a program. Datagrams are sealed rightly, sealed under foreign or dead keys,
 * replayed, damaged, or the input's own bytes. Whatever happens: only what was sealed under an
 * installed key comes out, once, and with the peer's own source; no packet id is sent twice under a
 * key; every ADD and INSTALL is answered; the count of live peers, routes and records agree; and no
 * deadline stands still. */
#include "data/plane.h"

#include <stdio.h>
#include <stdlib.h>

enum { SLOTS = 4, KEYS = 64, IDS = 4096, STEPS = 400, PACKET = 256, SESSIONS = 8 };

struct key_record {
    uint32_t peer_id;
    uint8_t key_id;
    uint32_t sent;              /* highest packet id that the plane sent */
    uint8_t delivered[IDS / 8]; /* packet ids that came out */
};

static struct {
    struct amm_now now;
    struct amm_reader in;
    struct amm_pool pool;
    struct amm_plane_config config;
    struct amm_aead *aead;
    struct amm_drops drops;
    void *table;
    struct amm_plane *plane;
    struct key_record keys[KEYS];
    unsigned n_keys;
    uint64_t serial;
    unsigned asked, answered; /* ADD and INSTALL */
} world;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void broken(const char *what)
{
    fprintf(stderr, "fuzz_data: %s\n", what);
    abort();
}

static void require(bool holds, const char *what)
{
    if (!holds) {
        broken(what);
    }
}

/* ---- keys: number n in the first bytes of each direction's key ---- */

static struct amm_data_keys keys_of(unsigned n, uint8_t key_id)
{
    struct amm_data_keys keys = {.cipher = AMM_CIPHER_AES_256_GCM, .key_id = key_id};
    amm_store_u32(keys.rx_key, n);
    amm_store_u32(keys.tx_key, n);
    keys.rx_key[4] = 1;
    return keys;
}

static uint32_t random_peer_id(void)
{
    uint8_t byte = amm_read_u8(&world.in);
    if (byte == 0xff) {
        return amm_read_u32(&world.in);
    }
    return amm_peer_id(byte / SLOTS % 6, 1 + byte % SLOTS);
}

/* ---- commands ---- */

static struct amm_path path_of(uint8_t n)
{
    struct amm_path path = {.transport = n & 8 ? AMM_TCP : AMM_UDP, .link = n >> 4};
    path.remote = (struct amm_address){
        .ip = {192, 0, 2, (uint8_t)(n & 3)}, .port = 1, .family = AMM_FAMILY_IPV4};
    return path;
}

/* Does the session of the command hold key `number` now? */
static bool holds_key(const struct amm_plane_command *command, unsigned number)
{
    const struct amm_peer *peer = amm_peer_table_at(world.table, SLOTS, command->peer_id);
    if (peer == NULL || peer->state != AMM_PEER_LIVE || peer->peer_id != command->peer_id ||
        peer->session.index != command->session.index) {
        return false;
    }
    for (int i = 0; i < AMM_KEY_SLOTS; i++) {
        if (peer->keys[i].state != AMM_KEY_EMPTY &&
            amm_load_u32(peer->keys[i].tx.bytes) == number) {
            return true;
        }
    }
    return false;
}

static void give_command(void)
{
    struct amm_plane_command command = {.op = amm_read_u8(&world.in) % 5,
                                        .peer_id = random_peer_id()};
    uint8_t options = amm_read_u8(&world.in);
    uint8_t key_id = options & 7;
    unsigned number = 0;
    command.session = (struct amm_session_ref){.index = options >> 3 & (SESSIONS - 1), .tag = 1};
    command.path = path_of(amm_read_u8(&world.in));
    command.inner_ip = amm_pool_address(&world.pool, amm_peer_id_slot(command.peer_id));
    command.ping = options & 64 ? 3 : 0;
    command.ping_restart = options & 128 ? 9 : 0;
    if (command.op == AMM_PLANE_ADD || command.op == AMM_PLANE_INSTALL) {
        if (world.n_keys == KEYS) {
            return; /* enough for one run */
        }
        if (world.n_keys > 0 && amm_read_u8(&world.in) % 8 == 0 &&
            holds_key(&command, world.n_keys - 1)) {
            number = world.n_keys - 1; /* said twice */
            key_id = world.keys[number].key_id;
        } else {
            number = world.n_keys++;
        }
        world.asked++;
        world.keys[number].peer_id = command.peer_id;
        world.keys[number].key_id = key_id;
    }
    command.keys = keys_of(number, key_id);
    amm_plane_command(world.plane, world.now, &command);
}

/* ---- packets in ---- */

static size_t make_inner(const struct key_record *key, uint8_t kind, uint8_t *out)
{
    static const uint8_t messages[2][17] = {{0x2a, 0x18, 0x7b, 0xf3, 0x64, 0x1e, 0xb4, 0xcb, 0x07,
                                             0xed, 0x2d, 0x0a, 0x98, 0x1f, 0xc7, 0x48},
                                            {0x28, 0x7f, 0x34, 0x6b, 0xd4, 0xef, 0x7a, 0x81, 0x2d,
                                             0x56, 0xb8, 0xd3, 0xaf, 0xc5, 0x45, 0x9c, 6}};
    if (kind % 8 < 2) {
        memcpy(out, messages[kind % 8], 17);
        return 16 + kind % 8;
    }
    size_t len = 28 + kind % 32;
    memset(out, 0, len);
    out[0] = 0x45;
    amm_store_u16(out + 2, (uint16_t)len);
    out[9] = 1;
    out[20] = 8;
    amm_store_u32(out + 12, amm_pool_address(&world.pool, amm_peer_id_slot(key->peer_id)));
    amm_store_u32(out + 16, amm_pool_server(&world.pool));
    if (kind % 8 == 2) {
        out[amm_read_u8(&world.in) % len] ^= amm_read_u8(&world.in);
    }
    return len;
}

/* A datagram sealed as the gateway would, under key `number`. */
static size_t make_datagram(unsigned number, uint32_t id, uint8_t kind, uint8_t *out)
{
    const struct key_record *key = &world.keys[number];
    struct amm_data_keys raw = keys_of(number, key->key_id);
    struct amm_aead_key aead_key = {.serial = ++world.serial, .cipher = raw.cipher};
    uint8_t nonce[AMM_AEAD_NONCE] = {0};
    size_t len = make_inner(key, kind, out + AMM_DATA_OVERHEAD);
    memcpy(aead_key.bytes, raw.rx_key, sizeof aead_key.bytes);
    out[0] = (uint8_t)(9 << 3 | key->key_id);
    amm_store_u24(out + 1, key->peer_id);
    amm_store_u32(out + 4, id);
    memcpy(nonce, out + 4, 4);
    amm_aead_seal(world.aead, &aead_key, nonce, amm_view(out, 8), out + AMM_DATA_OVERHEAD, len,
                  out + 8);
    amm_aead_forget(world.aead, &aead_key);
    return len + AMM_DATA_OVERHEAD;
}

static void check_delivery(const struct amm_span *inner, unsigned number, uint32_t id, bool genuine)
{
    require(genuine, "a packet came out that nobody sealed");
    struct key_record *key = &world.keys[number];
    uint8_t *byte = &key->delivered[id % IDS / 8];
    require(!(*byte & 1 << id % 8), "a packet came out twice");
    *byte |= (uint8_t)(1 << id % 8);
    require(inner->len >= 20 && amm_load_u16(inner->data + 2) == inner->len,
            "malformed packet came out");
    require(amm_load_u32(inner->data + 12) ==
                    amm_pool_address(&world.pool, amm_peer_id_slot(key->peer_id)) &&
                amm_load_u32(inner->data + 16) == amm_pool_server(&world.pool),
            "a packet with foreign addresses came out");
    struct amm_peer *peer = amm_peer_table_at(world.table, SLOTS, key->peer_id);
    require(peer && peer->state == AMM_PEER_LIVE && peer->peer_id == key->peer_id,
            "a packet of a peer that is gone came out");
}

static void give_datagram(void)
{
    uint8_t datagram[PACKET];
    uint8_t kind = amm_read_u8(&world.in);
    unsigned number = world.n_keys ? amm_read_u8(&world.in) % world.n_keys : 0;
    uint32_t id = amm_read_u16(&world.in) % IDS;
    struct amm_path path = path_of(kind);
    struct amm_span inner;
    bool genuine = world.n_keys > 0 && id > 0 && kind % 16 != 9;
    size_t len;
    if (world.n_keys == 0 || kind % 16 == 8) {
        len = amm_reader_left(&world.in) < PACKET ? amm_reader_left(&world.in) : PACKET;
        len = len > 60 ? 60 : len;
        amm_read_copy(&world.in, datagram, len);
        genuine = false;
    } else {
        len = make_datagram(number, id, kind >> 3, datagram);
        if (!genuine) {
            datagram[amm_read_u8(&world.in) % len] ^= (uint8_t)(1 << (kind >> 4 & 7));
        }
    }
    if (amm_plane_open(world.plane, world.now, &path, (struct amm_span){datagram, len}, &inner)) {
        check_delivery(&inner, number, id, genuine);
    }
}

/* ---- packets out ---- */

static void check_sent(const struct amm_peer *peer, const uint8_t *datagram, size_t len)
{
    const struct amm_key_slot *key = NULL;
    require(len > AMM_DATA_OVERHEAD && datagram[0] >> 3 == 9, "not a data packet");
    for (int i = 0; i < AMM_KEY_SLOTS; i++) {
        const struct amm_key_slot *slot = &peer->keys[i];
        if (slot->state == AMM_KEY_SEND && (key == NULL || slot->order > key->order)) {
            key = slot;
        }
    }
    require(key != NULL && key->key_id == (datagram[0] & 7),
            "sent with another key than the newest");
    uint32_t number = amm_load_u32(key->tx.bytes);
    uint32_t id = amm_load_u32(datagram + 4);
    require(number < KEYS && id > world.keys[number].sent, "a packet id was sent twice");
    require(id < key->tx_next && id < key->tx_reserved, "a packet id left before it was stored");
    world.keys[number].sent = id;
}

static void send_packet(void)
{
    uint8_t inner[60] = {0x45};
    uint8_t datagram[PACKET];
    uint32_t ip = world.pool.network + amm_read_u8(&world.in) % 16;
    struct amm_peer *peer = amm_plane_route(world.plane, ip);
    if (peer == NULL) {
        return;
    }
    require(peer->state == AMM_PEER_LIVE && peer->inner_ip == ip, "routed to somebody else");
    struct amm_span sealed =
        amm_plane_seal(world.plane, world.now, peer, amm_view(inner, sizeof inner), datagram);
    if (sealed.len > 0) {
        check_sent(peer, sealed.data, sealed.len);
    }
}

/* ---- the rest of the plane ---- */

static void take_notes(void)
{
    struct amm_plane_note note;
    while (amm_plane_next_note(world.plane, &note)) {
        require(note.session.tag == 1, "a note for nobody");
        world.answered += note.kind == AMM_NOTE_INSTALLED || note.kind == AMM_NOTE_REFUSED;
    }
}

static void take_output(void)
{
    uint8_t out[64];
    struct amm_path path;
    size_t len;
    while ((len = amm_plane_output(world.plane, world.now, &path, out, sizeof out)) > 0) {
        struct amm_peer *peer = amm_peer_table_at(world.table, SLOTS, amm_load_u24(out + 1));
        require(peer != NULL && peer->state == AMM_PEER_LIVE, "output of a peer that is gone");
        check_sent(peer, out, len);
    }
}

static void pass_time(void)
{
    world.now.mono += (amm_duration)amm_read_u16(&world.in) * AMM_MILLISECOND;
    amm_plane_expire(world.plane, world.now);
    take_output();
    take_notes();
    require(amm_plane_deadline(world.plane) > world.now.mono, "the deadline stands still");
}

static void open_plane(void)
{
    world.plane =
        amm_plane_new(&world.config, world.table, SLOTS, world.aead, &world.drops, world.now);
    require(world.plane != NULL, "out of memory");
}

static void restart(void)
{
    uint8_t tear = amm_read_u8(&world.in);
    take_notes();
    amm_plane_free(world.plane);
    if (tear < 2 * (SLOTS + 1)) {
        struct amm_peer *records = world.table;
        records[tear].sequence |= records[tear].state == AMM_PEER_LIVE;
    }
    open_plane();
    amm_plane_adopt(world.plane, world.now);
}

static void check_records(void)
{
    const struct amm_peer *records = world.table;
    uint32_t live = 0;
    for (uint32_t i = 0; i < 2 * (SLOTS + 1); i++) {
        live += records[i].state == AMM_PEER_LIVE;
        require(!(records[i].sequence & 1), "a record was left unsettled");
        require(records[i].state == AMM_PEER_FREE ||
                    amm_peer_table_at(world.table, SLOTS, records[i].peer_id) == &records[i],
                "a record stands in a wrong place");
    }
    require(live == amm_plane_live(world.plane), "miscounted peers");
}

static void step(void)
{
    switch (amm_read_u8(&world.in) % 8) {
    case 0:
        give_command();
        break;
    case 1:
    case 2:
    case 3:
        give_datagram();
        break;
    case 4:
    case 5:
        send_packet();
        break;
    case 6:
        pass_time();
        break;
    default:
        restart();
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&world, 0, sizeof world);
    world.in = amm_reader(amm_view(data, size));
    world.now = (struct amm_now){.mono = 1000 * AMM_SECOND, .wall = 1700000000};
    world.pool = (struct amm_pool){.network = 0x0a800000, .prefix = 29, .topology = AMM_SUBNET};
    world.config = (struct amm_plane_config){.role = AMM_SERVER,
                                             .n_workers = 1,
                                             .pool = world.pool,
                                             .mtu = 1400,
                                             .lame_duck = 20 * AMM_SECOND,
                                             .spend_ids = 300};
    world.aead = amm_aead_new(AMM_AEAD_NULL, 4);
    world.table = calloc(1, amm_peer_table_size(SLOTS));
    require(world.aead != NULL && world.table != NULL, "out of memory");
    open_plane();
    for (int i = 0; i < STEPS && amm_reader_left(&world.in) > 0; i++) {
        step();
        if (i % 16 == 15) {
            take_output();
            take_notes();
        }
        check_records();
    }
    take_output();
    take_notes();
    require(world.asked == world.answered, "a command was not answered");
    amm_plane_free(world.plane);
    amm_aead_free(world.aead);
    free(world.table);
    return 0;
}
