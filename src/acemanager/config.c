#include "config.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static bool parse_tun(void *into, struct amm_view value, char *error, size_t room)
{
    (void)into;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_')) {
            snprintf(error, room,
                     "is no name of an interface (allowed: letters, digits, '-', '_')");
            return false;
        }
    }
    return true;
}

static bool parse_reboot(void *into, struct amm_view value, char *error, size_t room)
{
    const char *argv[ACE_ARGUMENTS + 1];
    char words[AMM_CONF_TEXT];
    struct ace_config *config = into;
    (void)value;
    unsigned n = ace_config_reboot(config, words, argv);
    if (n == 0 || n > ACE_ARGUMENTS || (argv[0][0] != '/' && strcmp(argv[0], "restart") != 0)) {
        snprintf(error, room, "is no command (allowed: restart, or /PATH and up to 7 arguments)");
        return false;
    }
    return true;
}

static bool parse_serial(void *into, struct amm_view value, char *error, size_t room)
{
    (void)into;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] <= ' ' || value.data[i] > '~' || value.data[i] == ':' ||
            value.data[i] == '/') {
            snprintf(error, room,
                     "is no serial number (allowed: printable, without blanks, ':', '/')");
            return false;
        }
    }
    return true;
}

static void *begin_top(void *config, struct amm_view name, char *error, size_t room)
{
    (void)name;
    (void)error;
    (void)room;
    return config;
}

static const struct amm_conf_section sections[] = {
    {.name = "", .doc = "The core of a gateway.", .begin = begin_top},
    {.name = NULL},
};

#define TEXT(name, member, least, most, initial, doc, check)                                       \
    {                                                                                              \
        "", name, AMM_CONF_STRING, offsetof(struct ace_config, member), least, most, NULL,         \
            initial, false, doc, check                                                             \
    }
#define BOOL(name, member, initial, doc)                                                           \
    {                                                                                              \
        "", name, AMM_CONF_BOOL, offsetof(struct ace_config, member), 0, 0, NULL, initial, false,  \
            doc, NULL                                                                              \
    }

static const struct amm_conf_key keys[] = {
    TEXT("folder", folder, 1, 200, "/var/lib/acemanager",
         "Folder for settings, identity and events; must survive a power cut.", NULL),
    TEXT("run-folder", run_folder, 1, 80, "/run/acemanager",
         "Folder in memory for ammer's configuration and the local sockets.", NULL),
    TEXT("user", user, 0, 31, "",
         "The core becomes this user; starting ammer, setting the clock and rebooting stay with a "
         "small parent process. Empty: stays.",
         NULL),
    TEXT("ammer", ammer, 1, 200, "/usr/sbin/ammer", "The tunnel client.", NULL),
    TEXT("ammer-user", ammer_user, 0, 31, "",
         "ammer becomes this user once its device is open. Empty: stays.", NULL),
    TEXT("tun", tun, 1, 13, "amm",
         "Beginning of the names of the tun devices: one of amm0 and amm1 is the tunnel, both are "
         "there while its port changes.",
         parse_tun),
    TEXT("lan", lan, 0, 200, "br-lan lan*",
         "Interfaces of the LAN, blanks between them, '*' for any rest of a name. ACEmanager "
         "listens "
         "there and in the tunnel, nowhere else.",
         NULL),
    TEXT("model", model, 0, 64, "",
         "Model as shown and told to the server. Empty: asks the kernel.", NULL),
    TEXT("serial", serial, 0, 64, "",
         "Serial number. Empty: asks the device tree, DMI, else the machine id.", parse_serial),
    TEXT("modem", modem, 0, 200, "",
         "File with the values of the modem (JSON), kept by the modem's program. Empty: none.",
         NULL),
    TEXT("label", label, 0, 200, "",
         "File with an enrolment token (and the server's URL before it, blank between), taken when "
         "the gateway has none. Empty: none.",
         NULL),
    TEXT("server", server, 0, 255, "",
         "Server URL of a gateway that has not been given another one. Empty: none.", NULL),
    BOOL("pages", pages, "yes", "Serves ACEmanager's web pages."),
    BOOL("set-clock", set_clock, "yes",
         "Sets the system's clock. With no, or where that is not permitted, acemanager and ammer "
         "keep the difference to themselves."),
    TEXT("reboot-command", reboot, 1, 200, "/sbin/reboot",
         "Command that reboots, with its arguments; no shell. restart: acemanager and ammer start "
         "anew instead.",
         parse_reboot),
    TEXT("state-socket", state_socket, 0, 100, "/run/acemanager/state",
         "Local socket for acemanager --status. Empty: none.", NULL),
    {NULL, NULL, AMM_CONF_STRING, 0, 0, 0, NULL, NULL, false, NULL, NULL},
};

const struct amm_conf_schema ace_schema = {"acemanager", sections, keys};

bool ace_config_parse(struct ace_config *config, const char *file, struct amm_view text,
                      char error[AMM_CONF_ERROR])
{
    *config = (struct ace_config){0};
    return amm_conf_parse(&ace_schema, config, file, text, error);
}

unsigned ace_config_reboot(const struct ace_config *config, char words[AMM_CONF_TEXT],
                           const char *argv[ACE_ARGUMENTS + 1])
{
    unsigned n = 0;
    char *rest = NULL;
    snprintf(words, AMM_CONF_TEXT, "%s", config->reboot);
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (n == ACE_ARGUMENTS) {
            return ACE_ARGUMENTS + 1;
        }
        argv[n++] = word;
    }
    argv[n] = NULL;
    return n;
}
