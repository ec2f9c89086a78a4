#include "walk.h"

/* Strings: a 16-bit length, then printable characters without NUL. */
static void write_string(struct amm_writer *w, const char *text, size_t room)
{
    size_t len = strnlen(text, room - 1);
    amm_write_u16(w, (uint16_t)len);
    amm_write_bytes(w, text, len);
}

/* `with_lines`: line ends may stand in it. */
static void read_string(struct amm_reader *r, char *out, size_t room, bool with_lines)
{
    size_t len = amm_read_u16(r);
    if (len >= room) {
        r->failed = true;
    }
    struct amm_view text = amm_read_bytes(r, len);
    for (size_t i = 0; i < text.len; i++) {
        bool is_line_end = with_lines && text.data[i] == '\n';
        if ((text.data[i] < ' ' || text.data[i] > '~') && !is_line_end) {
            r->failed = true;
        }
    }
    memset(out, 0, room);
    if (!r->failed && text.len > 0) {
        memcpy(out, text.data, text.len);
    }
}

void walk_u8(struct walk *walk, uint8_t *value)
{
    if (walk->w) {
        amm_write_u8(walk->w, *value);
    } else {
        *value = amm_read_u8(walk->r);
    }
}

void walk_u16(struct walk *walk, uint16_t *value)
{
    if (walk->w) {
        amm_write_u16(walk->w, *value);
    } else {
        *value = amm_read_u16(walk->r);
    }
}

void walk_u32(struct walk *walk, uint32_t *value)
{
    if (walk->w) {
        amm_write_u32(walk->w, *value);
    } else {
        *value = amm_read_u32(walk->r);
    }
}

void walk_u64(struct walk *walk, uint64_t *value)
{
    if (walk->w) {
        amm_write_u64(walk->w, *value);
    } else {
        *value = amm_read_u64(walk->r);
    }
}

void walk_time(struct walk *walk, int64_t *wall)
{
    uint64_t value = (uint64_t)*wall;
    walk_u64(walk, &value);
    *wall = (int64_t)value;
}

void walk_string(struct walk *walk, char *text, size_t room)
{
    if (walk->w) {
        write_string(walk->w, text, room);
    } else {
        read_string(walk->r, text, room, false);
    }
}

void walk_text(struct walk *walk, char *text, size_t room)
{
    if (walk->w) {
        write_string(walk->w, text, room);
    } else {
        read_string(walk->r, text, room, true);
    }
}

void walk_bytes(struct walk *walk, void *bytes, size_t len)
{
    if (walk->w) {
        amm_write_bytes(walk->w, bytes, len);
    } else {
        amm_read_copy(walk->r, bytes, len);
    }
}

void walk_address(struct walk *walk, struct amm_address *address)
{
    walk_u8(walk, &address->family);
    walk_u16(walk, &address->port);
    if (walk->w) {
        amm_write_bytes(walk->w, address->ip, sizeof address->ip);
    } else {
        amm_read_copy(walk->r, address->ip, sizeof address->ip);
        walk->r->failed |= address->family != AMM_FAMILY_NONE &&
                           address->family != AMM_FAMILY_IPV4 && address->family != AMM_FAMILY_IPV6;
    }
}
