/* ammctl pki and `ammctl gateway profile`: certificates and connection files. */
#pragma once

#include "ctl.h"

/* argv[0] is "profile". Returns an exit code (enum ctl_exit). */
int ctl_gateway_profile(const struct ctl *ctl, int argc, char **argv);

/* The PKI folder: what --pki says, else the server's configuration, else /etc/amm/pki. */
const char *ctl_pki_folder(const struct ctl *ctl, const char *option);
