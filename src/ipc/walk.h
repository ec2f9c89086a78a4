/* The body of a message is walked once for both directions, so that the order of its fields stands
 * in one place. Private to this folder. */
#pragma once

#include "base/address.h"
#include "base/bytes.h"

/* One of the two is NULL. */
struct walk {
    struct amm_writer *w;
    struct amm_reader *r;
};

void walk_u8(struct walk *walk, uint8_t *value);
void walk_u16(struct walk *walk, uint16_t *value);
void walk_u32(struct walk *walk, uint32_t *value);
void walk_u64(struct walk *walk, uint64_t *value);
void walk_time(struct walk *walk, int64_t *wall);
void walk_bytes(struct walk *walk, void *bytes, size_t len);
void walk_address(struct walk *walk, struct amm_address *address);

/* A 16-bit length, then printable ASCII; in a text also line ends. A longer one than fits into
 * `room` with its NUL is cut when it is written and fails when it is read. */
void walk_string(struct walk *walk, char *text, size_t room);
void walk_text(struct walk *walk, char *text, size_t room);
