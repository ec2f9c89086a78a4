/* Where sheets are read: amm-sheet, a small process that ammd starts before it becomes less. It
 * waits at a socket pair; for each request (one packet with two descriptors: the file, the pipe for
 * the rows) it forks a child that reads that one sheet and is gone. The child has 256 MiB, 10 s of
 * CPU, no files but these two, no network, no other process, and a handful of system calls. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { AMM_SHEET_MEMORY = 256 << 20, AMM_SHEET_CPU = 10 };

/* Gives up for good what reading a sheet does not need. False with a sentence. `*landlock` (may be
 * NULL): whether the kernel has it. Sanitizer builds keep their memory and their system calls. */
bool amm_sheet_jail(bool *landlock, char *error, size_t room);

/* Starts `program` (amm-sheet), for `amm_sheet_ask`. The end of the socket pair, or -1 with a
 * sentence. It ends when that is closed. Call it before threads start. */
int amm_sheet_start(const char *program, char *error, size_t room);

/* Has `file` (from its beginning) read. The end of the pipe to read from (non-blocking,
 * amm_sheet_receive), or -1 with a sentence. Both stay the caller's. Any thread. */
int amm_sheet_ask(int server, int file, char *error, size_t room);
