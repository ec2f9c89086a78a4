/* The one configuration file of a gateway (conf/conf.h): what a maker or an installer decides. What
 * users and the server decide are parameters (MSCI). */
#pragma once

#include "conf/conf.h"

#include <stdbool.h>
#include <stdint.h>

enum { ACE_ARGUMENTS = 8 };

struct ace_config {
    char folder[AMM_CONF_TEXT];     /* state that survives a power cut */
    char run_folder[AMM_CONF_TEXT]; /* memory file system */
    char user[AMM_CONF_TEXT];
    char ammer[AMM_CONF_TEXT];
    char ammer_user[AMM_CONF_TEXT];
    char tun[AMM_CONF_TEXT];
    char lan[AMM_CONF_TEXT];
    char model[AMM_CONF_TEXT];
    char serial[AMM_CONF_TEXT];
    char modem[AMM_CONF_TEXT];
    char label[AMM_CONF_TEXT];
    char server[AMM_CONF_TEXT];
    bool pages;
    bool set_clock;
    char reboot[AMM_CONF_TEXT]; /* words, blanks between; "restart" */
    char state_socket[AMM_CONF_TEXT];
};

extern const struct amm_conf_schema ace_schema;

/* False with "acemanager.conf:3: ..." in `error`. */
bool ace_config_parse(struct ace_config *config, const char *file, struct amm_view text,
                      char error[AMM_CONF_ERROR]);

/* Splits config->reboot in place of a shell: argv[n] NULL-terminated, words in `room`. */
unsigned ace_config_reboot(const struct ace_config *config, char words[AMM_CONF_TEXT],
                           const char *argv[ACE_ARGUMENTS + 1]);
