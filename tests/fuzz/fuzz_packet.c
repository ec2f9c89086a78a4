/* Control packets of any bytes through every wrap.
 *
 * The first byte chooses: what follows is a packet from the network (refused by every wrap, or a
 * body that is written again as it was read), a tls-crypt-v2 packet, or a body that the right key
 * has sealed and that therefore gets past the tag. */
#include "wire.h"
#include "wrap_context.h"

#include <stdlib.h>

enum { PACKET = 2048 };

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static struct amm_wrap_context context_of(unsigned mode, enum amm_role role)
{
    struct amm_wrap_config config = {.mode = (enum amm_wrap_mode)(mode % 4),
                                     .auth_digest = AMM_SHA256};
    struct amm_wrap_context context;
    memset(config.static_key, 0x5a, sizeof config.static_key);
    amm_wrap_init(&context, &config, role);
    return context;
}

/* What was decoded is encoded to the same bytes. */
static void write_again(const struct amm_control *control, struct amm_view body)
{
    uint8_t out[PACKET + AMM_BODY_OVERHEAD];
    struct amm_writer w = amm_writer(out, sizeof out);
    amm_control_encode(&w, control);
    require(amm_view_equal(amm_view(out, amm_writer_len(&w)), body));
}

static void from_the_network(unsigned mode, struct amm_view packet)
{
    struct amm_wrap_context context = context_of(mode, AMM_SERVER), before = context;
    uint8_t scratch[PACKET];
    struct amm_unwrapped out;
    enum amm_drop why = AMM_DROP_COUNT;
    bool ok =
        amm_wrap_open(&context, packet, (struct amm_span){scratch, sizeof scratch}, &out, &why);
    require(ok || why < AMM_DROP_COUNT);
    if (context.mode == AMM_WRAP_NONE) {
        if (ok) {
            write_again(&out.control, amm_view(packet.data + AMM_CONTROL_HEADER,
                                               packet.len - AMM_CONTROL_HEADER));
        }
        return;
    }
    require(!ok && memcmp(&context, &before, sizeof before) == 0);
}

static void v2_from_the_network(struct amm_view packet)
{
    static const uint8_t server_key[AMM_V2_SERVER_KEY] = {1};
    struct amm_view front, wkc;
    uint8_t kc[AMM_STATIC_KEY];
    struct amm_wkc_info info;
    enum amm_drop why;
    if (amm_wkc_split(packet, &front, &wkc, &why)) {
        require(front.data == packet.data && front.len >= 49 &&
                wkc.data == packet.data + front.len);
        require(front.len + wkc.len == packet.len);
        require(!amm_wkc_open(server_key, wkc, kc, &info, &why));
    }
}

/* The fields come from the input, the tag is right: only the decoder is left to say no. */
static void sealed_by_the_right_key(unsigned mode, struct amm_view input)
{
    struct amm_wrap_context client = context_of(mode, AMM_CLIENT),
                            server = context_of(mode, AMM_SERVER);
    struct amm_reader r = amm_reader(input);
    struct amm_control control = {.opcode = amm_read_u8(&r) & 31, .key_id = amm_read_u8(&r) & 7};
    uint8_t packet[PACKET], scratch[PACKET];
    struct amm_unwrapped out;
    enum amm_drop why;
    control.own_sid = amm_read_u64(&r);
    control.peer_sid = amm_read_u64(&r);
    control.n_acks = amm_read_u8(&r) % 10;
    for (unsigned i = 0; i < control.n_acks && i < AMM_ACKS_MAX; i++) {
        control.acks[i] = amm_read_u32(&r);
    }
    control.message_id = amm_read_u32(&r);
    if (r.failed) {
        return;
    }
    control.payload = amm_read_rest(&r);
    size_t len =
        amm_wrap_seal(&client, 1700000000, &control, (struct amm_span){packet, sizeof packet});
    require(control.n_acks <= AMM_ACKS_MAX || len == 0);
    struct amm_view view = amm_view(packet, len);
    struct amm_span room = {scratch, sizeof scratch};
    if (len > 0 && amm_wrap_open(&server, view, room, &out, &why)) {
        require(out.control.own_sid == control.own_sid && out.control.n_acks == control.n_acks);
        require(out.control.opcode == AMM_OP_ACK_V1 ||
                amm_view_equal(out.control.payload, control.payload));
        require(server.mode == AMM_WRAP_NONE || !amm_wrap_open(&server, view, room, &out, &why));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct amm_view rest = amm_view(data + 1, size - 1);
    unsigned mode = data[0] & 3;
    switch (data[0] >> 2 & 3) {
    case 0:
        from_the_network(mode, rest);
        break;
    case 1:
        v2_from_the_network(rest);
        break;
    default:
        sealed_by_the_right_key(mode, rest);
        break;
    }
    return 0;
}
