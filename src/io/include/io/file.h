/* Whole files. False with a sentence that names the file in `error[room]`. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Reads a regular file of at most `limit` bytes. `out->data` is malloc'd, has a NUL behind its len
 * bytes, and belongs to the caller; wipe it if it is secret. */
bool amm_file_read(const char *path, size_t limit, struct amm_span *out, char *error, size_t room);

/* Replaces the file in one step (temporary file, fsync, rename, fsync of the folder): a reader sees
 * the old or the new one, whole. */
bool amm_file_write(const char *path, struct amm_view text, mode_t mode, char *error, size_t room);

/* Makes a folder and those above it that are missing (mode for the last, 0755 for the others). */
bool amm_directory_make(const char *path, mode_t mode, char *error, size_t room);

/* Gives a folder to a user. A link in its place is refused: the folder above may be another user's,
 * who could lead root anywhere. */
bool amm_directory_give(const char *path, uid_t uid, gid_t gid, char *error, size_t room);
