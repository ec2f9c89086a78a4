#include "helper.h"
#include "io/unix.h"

#include <string.h>

enum { PACKET_MAX = 256 };

static size_t order_encode(const struct ace_order *order, uint8_t *out, size_t room)
{
    struct amm_writer w = amm_writer(out, room);
    amm_write_u8(&w, (uint8_t)order->kind);
    amm_write_u8(&w, (uint8_t)order->slot);
    amm_write_u64(&w, (uint64_t)order->value);
    return amm_writer_len(&w);
}

bool ace_order_decode(struct ace_order *out, struct amm_view packet)
{
    struct amm_reader r = amm_reader(packet);
    unsigned kind = amm_read_u8(&r), slot = amm_read_u8(&r);
    int64_t value = (int64_t)amm_read_u64(&r);
    if (!amm_reader_done(&r) || kind >= ACE_ORDERS || slot >= ACE_SLOTS) {
        return false;
    }
    *out = (struct ace_order){(enum ace_order_kind)kind, slot, value};
    return true;
}

bool ace_helper_send(int fd, const struct ace_order *order)
{
    uint8_t packet[PACKET_MAX];
    size_t len = order_encode(order, packet, sizeof packet);
    return amm_unix_send(fd, amm_view(packet, len), NULL, 0) == AMM_UNIX_OK;
}

bool ace_notice_send(int fd, const struct ace_notice *notice)
{
    uint8_t packet[PACKET_MAX];
    struct amm_writer w = amm_writer(packet, sizeof packet);
    amm_write_u8(&w, (uint8_t)notice->kind);
    amm_write_u8(&w, (uint8_t)notice->slot);
    amm_write_u64(&w, (uint64_t)notice->value);
    amm_write_str(&w, notice->text);
    return amm_unix_send(fd, amm_view(packet, amm_writer_len(&w)), NULL, 0) == AMM_UNIX_OK;
}

bool ace_notice_decode(struct ace_notice *out, struct amm_view packet)
{
    struct amm_reader r = amm_reader(packet);
    unsigned kind = amm_read_u8(&r), slot = amm_read_u8(&r);
    int64_t value = (int64_t)amm_read_u64(&r);
    struct amm_view text = amm_read_rest(&r);
    unsigned slots = kind == ACE_NOTICE_REFUSED ? ACE_ORDERS : ACE_SLOTS;
    if (!amm_reader_done(&r) || kind >= ACE_NOTICES || slot >= slots ||
        text.len >= ACE_HELPER_TEXT) {
        return false;
    }
    *out = (struct ace_notice){.kind = (enum ace_notice_kind)kind, .slot = slot, .value = value};
    amm_text_clean(out->text, sizeof out->text, text);
    return true;
}

enum ace_helper_result ace_helper_receive(int fd, struct ace_notice *out)
{
    uint8_t packet[PACKET_MAX];
    size_t len = 0, no_fds = 0;
    for (;;) {
        switch (
            amm_unix_receive(fd, (struct amm_span){packet, sizeof packet}, &len, NULL, &no_fds)) {
        case AMM_UNIX_AGAIN:
            return ACE_HELPER_NOTHING;
        case AMM_UNIX_CLOSED:
            return ACE_HELPER_GONE;
        case AMM_UNIX_OK:
            if (ace_notice_decode(out, amm_view(packet, len))) {
                return ACE_HELPER_OK;
            }
        }
    }
}
