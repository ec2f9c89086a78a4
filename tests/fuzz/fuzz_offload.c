/* Splitting, joining and clamping of arbitrary packets: no byte outside the packet is read or
 * written, what is joined splits into the very packets that came, and no packet that was unsound
 * becomes sound.
 *
 * First byte: even, the rest is a vnet header and a packet to split; odd, a program that makes
 * packets of two flows, changes bytes of them and adds them to a coalescer. */
#include "data/offload.h"

#include <stdio.h>
#include <stdlib.h>

enum { PACKETS = 200, LONGEST = 256, FLOWS = 2 };

struct sent {
    size_t len[PACKETS];
    uint8_t bytes[PACKETS][LONGEST];
    unsigned n, got;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_offload: %s\n", what);
        abort();
    }
}

/* ---- one packet, exactly as large as its memory, so that the sanitizer sees a step outside ----
 */

static void run_split(struct amm_reader *in)
{
    struct amm_vnet vnet;
    struct amm_split split;
    amm_read_copy(in, &vnet, AMM_VNET_LEN);
    size_t len = amm_reader_left(in);
    uint8_t *packet = malloc(len + 1);
    uint8_t *out = malloc(65536);
    require(packet != NULL && out != NULL, "out of memory");
    amm_read_copy(in, packet, len);
    packet = realloc(packet, len > 0 ? len : 1);
    size_t total = 0;
    if (amm_split_init(&split, &vnet, amm_view(packet, len))) {
        size_t n;
        unsigned packets = 0;
        while ((n = amm_split_next(&split, out, 65536)) > 0) {
            total += n;
            require(++packets <= 65536 && n <= len, "more came out than went in");
        }
        require(len == 0 || total >= len || vnet.gso_type == 0, "less came out than went in");
    }
    amm_mss_clamp((struct amm_span){packet, len}, vnet.gso_size);
    size_t answer = amm_icmp_too_big(amm_view(packet, len), 1, 1400, out, 576);
    require(answer <= 576, "an answer larger than its room");
    free(packet);
    free(out);
}

/* ---- flows ---- */

static size_t make_packet(struct amm_reader *in, uint8_t flow, uint32_t *sequence, uint16_t *id,
                          uint8_t *p)
{
    uint8_t change = amm_read_u8(in);
    size_t payload = change & 1 ? 64 : amm_read_u8(in) % 128;
    size_t len = 40 + payload;
    memset(p, flow + change, len);
    memset(p, 0, 40);
    p[0] = 0x45;
    amm_store_u16(p + 2, (uint16_t)len);
    amm_store_u16(p + 4, (*id)++);
    p[8] = 64;
    p[9] = 6;
    amm_store_u32(p + 12, 0x0a800006);
    amm_store_u32(p + 16, 0x0a800001);
    p[21] = flow;
    amm_store_u32(p + 24, *sequence);
    p[32] = 0x50;
    p[33] = 0x10;
    if (change & 2) {
        p[amm_read_u8(in) % 40] ^= amm_read_u8(in);
    }
    p[21] = flow; /* the test finds packets again by it */
    amm_store_u16(p + 10, 0);
    amm_store_u16(p + 10, (uint16_t)~amm_checksum(amm_view(p, 20), 0));
    uint32_t pseudo = amm_checksum(amm_view(p + 12, 8), p[9] + (uint32_t)(len - 20));
    amm_store_u16(p + 36, 0);
    amm_store_u16(p + 36, (uint16_t)~amm_checksum(amm_view(p + 20, len - 20), pseudo));
    if (change & 4) {
        p[20 + 2 + amm_read_u8(in) % (len - 22)] ^=
            (uint8_t)(1 + (change >> 3)); /* damaged on its way */
    }
    *sequence += (uint32_t)payload;
    return len;
}

static void take_all(struct amm_coalesce *coalesce, struct sent *sent)
{
    struct amm_view item;
    while ((item = amm_coalesce_take(coalesce)).data != NULL) {
        struct amm_vnet vnet;
        struct amm_split split;
        uint8_t out[LONGEST];
        size_t len;
        unsigned packets = 0;
        memcpy(&vnet, item.data, AMM_VNET_LEN);
        require(amm_split_init(&split, &vnet,
                               amm_view(item.data + AMM_VNET_LEN, item.len - AMM_VNET_LEN)),
                "a joined packet cannot be split");
        while ((len = amm_split_next(&split, out, sizeof out)) > 0) {
            struct sent *flow = &sent[out[21]];
            require(flow->got < flow->n && len == flow->len[flow->got] &&
                        memcmp(out, flow->bytes[flow->got], len) == 0,
                    "another packet came out, or in another order");
            flow->got++;
            packets++;
        }
        require(packets > 0 && (packets > 1) == (vnet.gso_type != 0), "wrong vnet header");
    }
}

static void run_flows(struct amm_reader *in)
{
    struct amm_coalesce *coalesce = amm_coalesce_new();
    struct sent *sent = calloc(FLOWS, sizeof *sent);
    uint32_t sequence[FLOWS] = {0xffffff00, 5};
    uint16_t id[FLOWS] = {0xfff0, 1};
    require(coalesce != NULL && sent != NULL, "out of memory");
    while (amm_reader_left(in) > 0) {
        uint8_t flow = amm_read_u8(in) % FLOWS;
        struct sent *s = &sent[flow];
        if (s->n == PACKETS) {
            break;
        }
        uint8_t *packet = s->bytes[s->n];
        s->len[s->n] = make_packet(in, flow, &sequence[flow], &id[flow], packet);
        struct amm_view view = amm_view(packet, s->len[s->n]);
        if (!amm_coalesce_add(coalesce, view)) {
            take_all(coalesce, sent);
            require(amm_coalesce_add(coalesce, view), "an empty coalescer has no room");
        }
        s->n++;
    }
    take_all(coalesce, sent);
    for (int i = 0; i < FLOWS; i++) {
        require(sent[i].got == sent[i].n, "a packet was lost");
    }
    amm_coalesce_free(coalesce);
    free(sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct amm_reader in = amm_reader(amm_view(data, size));
    if (amm_read_u8(&in) & 1) {
        run_flows(&in);
    } else {
        run_split(&in);
    }
    return 0;
}
