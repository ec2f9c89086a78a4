/* Bytes: views, the bounds-checked reader and the bounds-checked writer.
 *
 * Every byte that comes from the network is read through `struct amm_reader`, and every message is
 * written through `struct amm_writer`. Both carry a sticky failure: a decoder is a straight list of
 * reads followed by one question, `amm_reader_done()`. A failed read gives zero or an empty view
 * and never touches memory outside the window. Integers are big-endian, the order of the wire.
 *
 * No allocation, no I/O; any thread, one object per thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed bytes, read-only. `data` may be NULL only when `len` is 0. */
struct amm_view {
    const uint8_t *data;
    size_t len;
};

/* Borrowed bytes that may be changed in place. */
struct amm_span {
    uint8_t *data;
    size_t len;
};

static inline struct amm_view amm_view(const void *data, size_t len)
{
    return (struct amm_view){data, len};
}

/* The bytes of a C string without its NUL. */
static inline struct amm_view amm_view_str(const char *text)
{
    return (struct amm_view){(const uint8_t *)text, strlen(text)};
}

static inline struct amm_view amm_view_of(struct amm_span span)
{
    return (struct amm_view){span.data, span.len};
}

/* Compares contents; not constant-time (see amm_equal_secret for secrets). */
bool amm_view_equal(struct amm_view a, struct amm_view b);

/* Compares `len` bytes in time that depends on `len` only. Use for every tag, cookie and password.
 */
bool amm_equal_secret(const void *a, const void *b, size_t len);

/* Overwrites key material; the compiler cannot remove it. */
void amm_wipe(void *data, size_t len);

/* ---- reader ---- */

struct amm_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct amm_reader amm_reader(struct amm_view view)
{
    return (struct amm_reader){view.data, view.data ? view.data + view.len : view.data, false};
}

static inline size_t amm_reader_left(const struct amm_reader *r)
{
    return r->failed ? 0 : (size_t)(r->end - r->at);
}

/* True only if nothing failed and nothing is left. The last line of every decoder. */
static inline bool amm_reader_done(const struct amm_reader *r)
{
    return !r->failed && r->at == r->end;
}

uint8_t amm_read_u8(struct amm_reader *r);
uint16_t amm_read_u16(struct amm_reader *r);
uint32_t amm_read_u32(struct amm_reader *r);
uint64_t amm_read_u64(struct amm_reader *r);

/* The next `len` bytes as a borrowed view; empty after a failure. */
struct amm_view amm_read_bytes(struct amm_reader *r, size_t len);

/* Copies the next `len` bytes to `out`; writes zeros there after a failure. */
void amm_read_copy(struct amm_reader *r, void *out, size_t len);

/* Everything that is left. */
struct amm_view amm_read_rest(struct amm_reader *r);

/* ---- writer ---- */

struct amm_writer {
    uint8_t *start;
    uint8_t *at;
    uint8_t *end;
    bool failed;
};

static inline struct amm_writer amm_writer(void *data, size_t room)
{
    return (struct amm_writer){data, data, (uint8_t *)data + room, false};
}

/* Bytes written so far; 0 after a failure, so that a failed message is never sent by accident. */
static inline size_t amm_writer_len(const struct amm_writer *w)
{
    return w->failed ? 0 : (size_t)(w->at - w->start);
}

static inline size_t amm_writer_room(const struct amm_writer *w)
{
    return w->failed ? 0 : (size_t)(w->end - w->at);
}

void amm_write_u8(struct amm_writer *w, uint8_t value);
void amm_write_u16(struct amm_writer *w, uint16_t value);
void amm_write_u32(struct amm_writer *w, uint32_t value);
void amm_write_u64(struct amm_writer *w, uint64_t value);
void amm_write_bytes(struct amm_writer *w, const void *data, size_t len);
void amm_write_view(struct amm_writer *w, struct amm_view view);
void amm_write_str(struct amm_writer *w, const char *text);

/* printf into the writer, without the NUL. */
void amm_write_text(struct amm_writer *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Leaves room for `len` bytes that are filled in later; NULL after a failure. */
uint8_t *amm_write_gap(struct amm_writer *w, size_t len);

/* ---- loads and stores on fixed offsets of headers whose length was checked ---- */

static inline uint16_t amm_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t amm_load_u24(const uint8_t *p)
{
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static inline uint32_t amm_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void amm_store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void amm_store_u24(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 16);
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)v;
}

static inline void amm_store_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* ---- text ---- */

/* Copies `text` into `out[room]` with a NUL, cut to fit; every byte outside printable ASCII becomes
 * '_'. For names and reasons that came from a peer and will be shown or logged. */
void amm_text_clean(char *out, size_t room, struct amm_view text);

/* How many of the first `most` bytes of a UTF-8 text end with a whole character, for "%.*s": a part
 * of one is no UTF-8, and a reader of JSON would see nothing of the text. */
int amm_text_part(const char *text, size_t most);

/* Writes 2 * view.len lower-case hex digits and a NUL; `out` holds at least 2 * view.len + 1. */
void amm_hex(char *out, struct amm_view view);

/* Decodes exactly 2 * len hex digits; false if a character is not a hex digit. */
bool amm_unhex(uint8_t *out, size_t len, const char *text);
