/* From settings to what the engine takes: reads the files they name, and makes the TLS context, the
 * wrap key and the login of them. */
#pragma once

#include "settings.h"

struct amm_credentials {
    struct amm_tls_context *tls;
    struct amm_wrap_config wrap;
    char username[128], password[128]; /* "" without a login */
    int64_t not_before, not_after;     /* of the own certificate; 0 without one */
};

/* Reads the settings of one file, in ammer's own form or as `.ovpn`. Notes go to the log. False
 * with a sentence. */
bool settings_read(struct amm_settings *settings, const char *path, bool is_ovpn, char *error,
                   size_t room);

/* Reads the materials (relative paths start at the folder of `config_path`) and makes the
 * credentials. The materials' text is wiped afterwards. */
bool credentials_load(struct amm_credentials *out, struct amm_settings *settings,
                      const char *config_path, char *error, size_t room);
void credentials_free(struct amm_credentials *credentials);
