/* The file operations that decide whether something survives a power cut, in one table, so that
 * tests can fail or cut them one by one. Reading needs no such care (io/file.h). */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* As the system calls: -1 with errno. */
struct ace_files {
    void *context;
    int (*open)(void *context, const char *path, int flags, mode_t mode);
    ssize_t (*write)(void *context, int fd, const void *data, size_t len);
    int (*sync)(void *context, int fd);
    int (*truncate)(void *context, int fd, off_t len);
    int (*close)(void *context, int fd);
    int (*rename)(void *context, const char *from, const char *to);
    int (*unlink)(void *context, const char *path);
    int (*sync_folder)(void *context, const char *folder);
};

extern const struct ace_files ace_files_system;

enum { ACE_PATH = 512 };

/* All of it or -1. */
bool ace_files_write_all(const struct ace_files *files, int fd, struct amm_view bytes);

/* ---- records ----
 *
 * A record is one small file that is always whole: a line with length and checksum, then the
 * content. It is replaced by writing `path.new`, which is synced, keeping the former one as
 * `path.old`, and renaming. Whatever stops that half-way leaves the former or the new one. */

/* False with a sentence; then the former record is still the one that is read. */
bool ace_record_write(const struct ace_files *files, const char *path, struct amm_view content,
                      char *error, size_t room);

enum ace_record {
    ACE_RECORD_NONE, /* there is none */
    ACE_RECORD_GOOD,
    ACE_RECORD_PREVIOUS, /* the newest was damaged or missing; this is the one before */
    ACE_RECORD_DAMAGED,  /* there is something, but nothing that can be read */
};

/* GOOD and PREVIOUS: `out->data` is malloc'd, with a NUL behind it. */
enum ace_record ace_record_read(const char *path, size_t limit, struct amm_span *out);

/* Takes the record and the one before away, for good. */
bool ace_record_remove(const struct ace_files *files, const char *path);

/* The checksum of records and of lines of the event queue: finds torn and rotten bytes, protects
 * against nobody. */
uint64_t ace_checksum(struct amm_view bytes);
