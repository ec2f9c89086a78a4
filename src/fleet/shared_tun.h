/* One tun device for all simulated gateways: each one's inner address is an address of the device,
 * so that programs of this machine answer for all of them. What the machine sends is given to the
 * gateway whose address it comes from. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shared_tun;

/* Room for `count` gateways. NULL with a sentence. */
struct shared_tun *shared_tun_new(const char *name, uint32_t count, char *error, size_t room);
struct shared_tun *shared_tun_free(struct shared_tun *tun);

int shared_tun_fd(const struct shared_tun *tun);

/* Gateway `number` has inner address `ip` from now on; `server` is reached through the device. */
void shared_tun_own(struct shared_tun *tun, uint32_t ip, uint32_t server, uint32_t number);

void shared_tun_write(struct shared_tun *tun, struct amm_view packet);

/* The next packet, at most out[room] bytes, and whose it is; 0 if there is none now. */
size_t shared_tun_read(struct shared_tun *tun, uint8_t *out, size_t room, uint32_t *number);
