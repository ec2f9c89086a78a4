/* What `ammctl login` keeps: the manager's URL and an API token, in ~/.config/amm/login.json (mode
 * 0600; $XDG_CONFIG_HOME/amm if that is set). */
#pragma once

#include "ctl.h"

#include <stdbool.h>

struct ctl_login {
    char url[256], token[256], token_id[32], ca[256];
};

bool ctl_login_exists(void);

/* False after saying why not; CTL_USAGE in `*status` if there is no login. */
bool ctl_login_load(struct ctl_login *login, enum ctl_exit *status);
bool ctl_login_save(const struct ctl_login *login);
bool ctl_login_forget(void);

extern const struct ctl_command ctl_login_commands[];
