#include "wire.h"

/* The control channel of today: 3, 4, 5, 7, 8, 10, 11 (WIRE-2). */
static bool is_control(unsigned opcode)
{
    return (opcode >= AMM_OP_CONTROL_SOFT_RESET_V1 && opcode <= AMM_OP_ACK_V1) ||
           opcode == AMM_OP_CONTROL_HARD_RESET_CLIENT_V2 ||
           opcode == AMM_OP_CONTROL_HARD_RESET_SERVER_V2 || amm_opcode_has_wkc(opcode);
}

bool amm_control_peek(struct amm_control *out, struct amm_view packet, enum amm_drop *why)
{
    struct amm_reader r = amm_reader(packet);
    uint8_t byte0 = amm_read_u8(&r);
    *out = (struct amm_control){.opcode = (uint8_t)amm_byte0_opcode(byte0),
                                .key_id = amm_byte0_key_id(byte0)};
    if (!r.failed && !is_control(out->opcode)) {
        *why = AMM_DROP_CONTROL_OPCODE;
        return false;
    }
    out->own_sid = amm_read_u64(&r);
    if (r.failed || amm_reader_left(&r) == 0) {
        *why = AMM_DROP_CONTROL_SHORT;
        return false;
    }
    if (out->own_sid == 0) {
        *why = AMM_DROP_CONTROL_ZERO_SID;
        return false;
    }
    return true;
}

bool amm_control_decode(struct amm_control *out, struct amm_view body, enum amm_drop *why)
{
    struct amm_reader r = amm_reader(body);
    bool is_ack = out->opcode == AMM_OP_ACK_V1;
    *why = AMM_DROP_CONTROL_MALFORMED;
    out->n_acks = amm_read_u8(&r);
    if (out->n_acks > AMM_ACKS_MAX) {
        out->n_acks = 0;
        return false;
    }
    for (unsigned i = 0; i < out->n_acks; i++) {
        out->acks[i] = amm_read_u32(&r);
    }
    out->peer_sid = out->n_acks > 0 ? amm_read_u64(&r) : 0;
    if (out->n_acks > 0 ? out->peer_sid == 0 : is_ack) {
        return false;
    }
    if (is_ack) {
        out->message_id = 0;
        out->payload = amm_view(NULL, 0);
        return amm_reader_done(&r);
    }
    out->message_id = amm_read_u32(&r);
    out->payload = amm_read_rest(&r);
    return amm_reader_done(&r);
}

void amm_control_encode(struct amm_writer *w, const struct amm_control *control)
{
    if (control->n_acks > AMM_ACKS_MAX) {
        w->failed = true;
        return;
    }
    amm_write_u8(w, control->n_acks);
    for (unsigned i = 0; i < control->n_acks; i++) {
        amm_write_u32(w, control->acks[i]);
    }
    if (control->n_acks > 0) {
        amm_write_u64(w, control->peer_sid);
    }
    if (control->opcode != AMM_OP_ACK_V1) {
        amm_write_u32(w, control->message_id);
        amm_write_view(w, control->payload);
    }
}

enum { EARLY_FLAGS = 1 }; /* TLV type */

void amm_early_encode(struct amm_writer *w, uint16_t flags)
{
    amm_write_u16(w, EARLY_FLAGS);
    amm_write_u16(w, sizeof flags);
    amm_write_u16(w, flags);
}

bool amm_early_decode(uint16_t *flags, struct amm_view payload)
{
    struct amm_reader r = amm_reader(payload);
    *flags = 0;
    while (amm_reader_left(&r) > 0) {
        uint16_t type = amm_read_u16(&r);
        struct amm_view value = amm_read_bytes(&r, amm_read_u16(&r));
        if (!r.failed && type == EARLY_FLAGS) {
            if (value.len != sizeof *flags) {
                return false;
            }
            *flags = amm_load_u16(value.data);
        }
    }
    return amm_reader_done(&r);
}
