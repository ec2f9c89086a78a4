/* ammer's own configuration file (conf/conf.h). Paths in it are relative to its folder. Pure. */
#pragma once

#include "conf/conf.h"
#include "settings.h"

extern const struct amm_conf_schema amm_ammer_schema;

/* Reads `text` into `settings`, which amm_settings_init has prepared; false with "ammer.conf:3:
 * ..." in `error`. */
bool amm_config_parse(struct amm_settings *settings, const char *file, struct amm_view text,
                      char error[AMM_CONF_ERROR]);
