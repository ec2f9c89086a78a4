/* Who gets which packet, decided in the kernel (ARCHITECTURE.md, "Life of a data packet"). */
#pragma once

#include "data/pool.h"

#include <stdbool.h>
#include <stddef.h>

/* Attaches the classic BPF program to a reuseport group (through any one of its sockets). The group
 * was opened in the order: `handshakes` sockets, then `workers` sockets. DATA_V2 goes to worker
 * `slot mod workers`, slot from its peer id; everything else to handshake socket `32-bit word at
 * offset 1 mod handshakes`, the client's session id; runts to index 0. */
bool amm_steer_udp(int fd, unsigned handshakes, unsigned workers, char *error, size_t room);

/* Attaches an eBPF program to a multi-queue tun (any queue): packet -> queue `slot mod queues` by
 * its inner IPv4 destination; others to queue 0. False with a sentence where bpf(2) is not
 * permitted: the caller goes on with the kernel's hash and hands packets over. */
bool amm_steer_tun(int fd, const struct amm_pool *pool, unsigned queues, char *error, size_t room);
