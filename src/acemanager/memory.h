/* What the core must remember over a power cut, beside parameters and events: numbers that may only
 * grow, the proved time, this month's bytes. One record; written when a number is about to be used,
 * a day has gone, or an hour's bytes have come together. */
#pragma once

#include "acemanager/core.h"
#include "files.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ACE_SEQ_BLOCK = 32, /* numbers of check-ins that one write reserves; a restart skips the rest */
    ACE_BOOT_ID = 37,
    ACE_REASON = 48,
};

struct ace_memory {
    uint32_t boot;                /* how often the gateway has started */
    char boot_id[ACE_BOOT_ID];    /* the kernel's name of that start */
    amm_time boot_mono;           /* a start without the kernel's: when; else 0 */
    char reason[ACE_REASON];      /* of that start, in words */
    char next_reason[ACE_REASON]; /* of the next one: a reboot that was ordered; "" */
    uint64_t seq;                 /* numbers up to here may have been used */
    int64_t clock;                /* proved time; 0: none */
    int64_t month;                /* wall time at which it began; 0: none yet */
    struct ace_bytes bytes[ACE_PURPOSES];
    char server[AMM_MSCI_VALUE]; /* URL of the server that the identity is of; "" */
};

/* Reads the record; what is not there is 0. False with a sentence if it was damaged. */
bool ace_memory_read(struct ace_memory *memory, const char *path, char *error, size_t room);
bool ace_memory_write(const struct ace_memory *memory, const struct ace_files *files,
                      const char *path, char *error, size_t room);

/* A start of the program: was it one of the gateway? Counts it, and finds the reason. True if it
 * was; a program that died and was started again is none. */
bool ace_memory_start(struct ace_memory *memory, const char *boot_id, amm_time mono);

/* Adds bytes to the month of `wall` (0: the clock is not trusted). */
void ace_memory_count(struct ace_memory *memory, int64_t wall, enum ace_purpose purpose,
                      uint64_t in, uint64_t out);
