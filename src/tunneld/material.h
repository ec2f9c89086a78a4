/* The files of the server in the holder's memory: what an engine accepted, and what was read since.
 */
#pragma once

#include "tunneld/handoff.h"

struct amm_files {
    struct amm_span kept[AMM_BLOB_COUNT]; /* malloc'd; {NULL, 0}: not configured */
    struct amm_span
        fresh[AMM_BLOB_COUNT]; /* read by the last reload; kept when the engine accepts them */
    char problems[AMM_BLOB_COUNT]
                 [AMM_CONF_ERROR]; /* "" or why a file could not be read by the last reload */
};

/* Reads everything that is configured into `kept`; false with a sentence if one cannot be read. */
bool amm_files_read(struct amm_files *files, const struct amm_tunneld_config *config, char *error,
                    size_t room);

/* Reads it again into `fresh`; unreadable ones leave a problem. */
void amm_files_reload(struct amm_files *files, const struct amm_tunneld_config *config);

/* The engine uses these fresh ones from now on. */
void amm_files_accept(struct amm_files *files, uint32_t good);

/* A sealed memfd for the engine: of what is kept (start), or of what is fresh with its problems
 * (reload). -1 with errno. */
int amm_files_pack(const struct amm_files *files, bool fresh);

void amm_files_deinit(struct amm_files *files);

/* Engine side: maps what amm_files_pack made. The descriptor stays the caller's. */
bool amm_material_map(struct amm_material *out, int fd);
