/* A disk that loses its power, or its room, at a chosen operation: the table of
 * src/acemanager/files.h over a real folder. What was not synced is lost afterwards, as on a file
 * system that writes its metadata in order: data behind the last sync of a file are cut or zeroed
 * at random, and of renames, deletions and new files since the last sync of the folder only the
 * first few are kept. */
#pragma once

#include "base/random.h"
#include "files.h"

enum power_fault {
    POWER_CUT,     /* this operation is done half, and nothing works after it */
    POWER_NO_ROOM, /* writes and new files fail from here on until power_repair (ENOSPC) */
    POWER_ERROR,   /* this one operation fails (EIO) */
};

enum { POWER_FILES = 128, POWER_CHANGES = 256, POWER_FDS = 64 };

struct power_file {
    char path[ACE_PATH];
    off_t synced; /* bytes that will survive */
};

struct power_change {
    enum { POWER_CREATED, POWER_RENAMED, POWER_REMOVED } kind;
    char path[ACE_PATH], from[ACE_PATH];
    char *content; /* of what was there before; NULL: nothing */
    size_t len;
};

struct power {
    struct ace_files files; /* give this to what is tested */
    char folder[ACE_PATH];
    unsigned count;    /* operations so far */
    unsigned fault_at; /* 0: none */
    enum power_fault fault;
    bool is_off, is_full;
    struct power_file file[POWER_FILES];
    unsigned n_files;
    struct power_change change[POWER_CHANGES];
    unsigned n_changes;
    int open_file[POWER_FDS]; /* index by descriptor; -1 */
    struct amm_random random;
    struct amm_seeded_random seeded;
};

void power_init(struct power *power, uint64_t seed); /* makes the folder */
void power_deinit(struct power *power);              /* and takes it away */

/* After a cut: what was not safe is gone, and everything works again. */
void power_restore(struct power *power);
void power_repair(struct power *power); /* there is room again */

const char *power_path(struct power *power, const char *name, char out[ACE_PATH]);
