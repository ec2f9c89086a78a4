/* A running ammer: schedule, link, device and client joined in one loop. */
#pragma once

#include "load.h"
#include "settings.h"

/* Runs until SIGTERM or SIGINT; then the server is told and the device removed. False with a
 * sentence if it cannot start or the device is lost. `version` is what the server is told (IV_VER).
 */
bool ammer_run(const struct amm_settings *settings, const struct amm_credentials *credentials,
               const char *version, char *error, size_t room);
