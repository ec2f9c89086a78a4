/* What the data plane costs per packet beside the AEAD: nanoseconds per open and seal, and per
 * byte-heavy step of offload. One thread, best of several rounds.
 *
 *   micro_data [best|openssl|null]     the AEAD; null leaves about the overhead of the plane alone
 */
#include "data/offload.h"
#include "data/plane.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SLOTS = 4096, BATCH = 4096, CHUNK = 64, ROUNDS = 15, ROOM = 1600 };

struct bench {
    struct amm_plane *server;
    struct amm_aead *aead;
    struct amm_drops drops;
    struct amm_now now;
    struct amm_pool pool;
    void *server_table;
    uint8_t (*packets)[ROOM];
    uint8_t (*sealed)[ROOM];
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void report(const char *what, size_t len, unsigned keys, double best)
{
    printf("%-9s %5zu bytes %5u keys  %7.1f ns\n", what, len, keys, best / BATCH * 1e9);
}

static struct amm_plane_command command_of(struct bench *bench, enum amm_plane_op op, uint32_t slot)
{
    struct amm_plane_command command = {.op = (uint8_t)op, .peer_id = amm_peer_id(0, slot)};
    command.session = (struct amm_session_ref){.index = slot, .tag = 1};
    command.keys.cipher = AMM_CIPHER_AES_256_GCM;
    /* One key for both directions: the server then opens what it sealed itself. */
    amm_store_u32(command.keys.rx_key, slot);
    amm_store_u32(command.keys.tx_key, slot);
    command.inner_ip = amm_pool_address(&bench->pool, slot);
    return command;
}

static void open_bench(struct bench *bench, enum amm_aead_backend backend)
{
    memset(bench, 0, sizeof *bench);
    bench->pool = (struct amm_pool){.network = 0x0a800000, .prefix = 19, .topology = AMM_SUBNET};
    struct amm_plane_config config = {.role = AMM_SERVER,
                                      .n_workers = 1,
                                      .pool = bench->pool,
                                      .mtu = 1400,
                                      .lame_duck = AMM_SECOND};
    uint32_t n = amm_pool_slots(&bench->pool);
    bench->aead = amm_aead_new(backend, 2 * SLOTS);
    bench->server_table = calloc(1, amm_peer_table_size(n));
    bench->packets = calloc(BATCH, sizeof *bench->packets);
    bench->sealed = calloc(CHUNK, sizeof *bench->sealed);
    if (!bench->aead || !bench->server_table || !bench->packets || !bench->sealed) {
        exit(1);
    }
    bench->server =
        amm_plane_new(&config, bench->server_table, n, bench->aead, &bench->drops, bench->now);
    for (uint32_t slot = 1; bench->server && slot <= SLOTS; slot++) {
        struct amm_plane_note note;
        struct amm_plane_command command = command_of(bench, AMM_PLANE_ADD, slot);
        amm_plane_command(bench->server, bench->now, &command);
        command.op = AMM_PLANE_SEND;
        amm_plane_command(bench->server, bench->now, &command);
        while (amm_plane_next_note(bench->server, &note)) {
        }
    }
}

/* Inner packets from `slot` to the server, TCP without SYN, so that all checks are passed. */
static void fill_packets(struct bench *bench, size_t len, unsigned keys)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        uint8_t *p = bench->packets[i];
        memset(p, 0, len);
        p[0] = 0x45;
        amm_store_u16(p + 2, (uint16_t)len);
        p[9] = 6;
        amm_store_u32(p + 12, amm_pool_address(&bench->pool, 1 + i % keys));
        amm_store_u32(p + 16, amm_pool_server(&bench->pool));
        p[32] = 0x50;
        p[33] = 0x10;
    }
}

static void seal_chunk(struct bench *bench, uint32_t first, size_t len, unsigned keys)
{
    for (uint32_t i = first; i < first + CHUNK; i++) {
        uint32_t ip = amm_pool_address(&bench->pool, 1 + i % keys);
        struct amm_peer *peer = amm_plane_route(bench->server, ip);
        struct amm_view inner = amm_view(bench->packets[i], len);
        amm_plane_seal(bench->server, bench->now, peer, inner, bench->sealed[i % CHUNK]);
    }
}

static size_t open_chunk(struct bench *bench, uint32_t first, size_t len)
{
    struct amm_path path = {.transport = AMM_UDP};
    size_t opened = 0;
    for (uint32_t i = first; i < first + CHUNK; i++) {
        struct amm_span inner;
        struct amm_span datagram = {bench->sealed[i % CHUNK], len + AMM_DATA_OVERHEAD};
        opened += amm_plane_open(bench->server, bench->now, &path, datagram, &inner);
    }
    return opened;
}

static void run_plane(struct bench *bench, size_t len, unsigned keys)
{
    double best_seal = 1, best_open = 1;
    size_t opened = 0;
    fill_packets(bench, len, keys);
    for (int round = 0; round < ROUNDS; round++) {
        double seal = 0, open = 0;
        /* Chunks that stay in the cache, as a batch from the kernel does. */
        for (uint32_t first = 0; first < BATCH; first += CHUNK) {
            double start = seconds();
            seal_chunk(bench, first, len, keys);
            double middle = seconds();
            opened += open_chunk(bench, first, len);
            seal += middle - start;
            open += seconds() - middle;
        }
        best_seal = seal < best_seal ? seal : best_seal;
        best_open = open < best_open ? open : best_open;
    }
    if (opened != (size_t)ROUNDS * BATCH) {
        fprintf(stderr, "micro_data: %zu packets of %d came out\n", opened, ROUNDS * BATCH);
        exit(1);
    }
    report("seal", len, keys, best_seal);
    report("open", len, keys, best_open);
}

/* The AEAD alone, on the same bytes: what is beyond it above is the plane's. */
static void run_aead(struct bench *bench, size_t len, unsigned keys)
{
    struct amm_aead_key *raw = calloc(keys, sizeof *raw);
    double best = 1;
    if (raw == NULL) {
        exit(1);
    }
    for (unsigned i = 0; i < keys; i++) {
        raw[i] = (struct amm_aead_key){.serial = (UINT64_C(1) << 40) + i,
                                       .cipher = AMM_CIPHER_AES_256_GCM};
    }
    for (int round = 0; round < ROUNDS; round++) {
        double start = seconds();
        for (uint32_t i = 0; i < BATCH; i++) {
            uint8_t nonce[AMM_AEAD_NONCE] = {0};
            uint8_t *p = bench->sealed[i % CHUNK];
            amm_aead_seal(bench->aead, &raw[i % keys], nonce, amm_view(p, 8), p + AMM_DATA_OVERHEAD,
                          len, p + 8);
        }
        double end = seconds();
        best = end - start < best ? end - start : best;
    }
    for (unsigned i = 0; i < keys; i++) {
        amm_aead_forget(bench->aead, &raw[i]);
    }
    free(raw);
    report("aead", len, keys, best);
}

static void run_offload(struct bench *bench, size_t len)
{
    double best_sum = 1, best_join = 1;
    struct amm_coalesce *coalesce = amm_coalesce_new();
    unsigned sum = 0;
    if (coalesce == NULL) {
        exit(1);
    }
    fill_packets(bench, len, 1);
    for (uint32_t i = 0; i < BATCH; i++) {
        uint8_t *p = bench->packets[i];
        amm_store_u16(p + 4, (uint16_t)i);
        amm_store_u32(p + 24, i * (uint32_t)(len - 40));
        amm_store_u16(p + 10, (uint16_t)~amm_checksum(amm_view(p, 20), 0));
        uint32_t pseudo = amm_checksum(amm_view(p + 12, 8), 6 + (uint32_t)len - 20);
        amm_store_u16(p + 36, (uint16_t)~amm_checksum(amm_view(p + 20, len - 20), pseudo));
    }
    for (int round = 0; round < ROUNDS; round++) {
        double start = seconds();
        for (uint32_t i = 0; i < BATCH; i++) {
            sum += amm_checksum(amm_view(bench->packets[i], len), 0);
        }
        double middle = seconds();
        for (uint32_t i = 0; i < BATCH; i++) {
            if (!amm_coalesce_add(coalesce, amm_view(bench->packets[i], len)) || i % 40 == 39) {
                while (amm_coalesce_take(coalesce).data != NULL) {
                }
            }
        }
        double end = seconds();
        best_sum = middle - start < best_sum ? middle - start : best_sum;
        best_join = end - middle < best_join ? end - middle : best_join;
    }
    amm_coalesce_free(coalesce);
    report(sum ? "checksum" : "-", len, 1, best_sum);
    report("coalesce", len, 1, best_join);
}

static void run_split(struct bench *bench, size_t segment)
{
    uint8_t whole[60000];
    uint8_t out[ROOM];
    double best = 1;
    struct amm_vnet vnet = {.flags = 1, .gso_type = 1, .gso_size = (uint16_t)segment};
    memset(whole, 1, sizeof whole);
    memcpy(whole, bench->packets[0], 40);
    for (int round = 0; round < ROUNDS; round++) {
        double start = seconds();
        size_t n = 0;
        while (n < BATCH) {
            struct amm_split split;
            if (!amm_split_init(&split, &vnet, amm_view(whole, sizeof whole))) {
                exit(1);
            }
            while (n < BATCH && amm_split_next(&split, out, sizeof out) > 0) {
                n++;
            }
        }
        double end = seconds();
        best = end - start < best ? end - start : best;
    }
    report("split", segment + 40, 1, best);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    const char *name = argc > 1 ? argv[1] : "best";
    enum amm_aead_backend backend = AMM_AEAD_BEST;
    if (strcmp(name, "openssl") == 0) {
        backend = AMM_AEAD_OPENSSL;
    } else if (strcmp(name, "null") == 0) {
        backend = AMM_AEAD_NULL;
    }
    open_bench(&bench, backend);
    printf("%s\n", amm_aead_name(bench.aead));
    static const size_t lengths[] = {128, 1400};
    static const unsigned keys[] = {1, SLOTS};
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 2; k++) {
            run_aead(&bench, lengths[i], keys[k]);
            run_plane(&bench, lengths[i], keys[k]);
        }
    }
    run_offload(&bench, 1400);
    run_split(&bench, 1360);
    amm_plane_free(bench.server);
    amm_aead_free(bench.aead);
    free(bench.server_table);
    free(bench.packets);
    free(bench.sealed);
    return 0;
}
