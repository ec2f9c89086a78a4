#include "cad/config.h"

#include <stddef.h>
#include <sys/un.h>

static void *begin(void *config, struct amm_view name, char *error, size_t room)
{
    (void)name, (void)error, (void)room;
    return config;
}

static const struct amm_conf_section sections[] = {
    {"", false, "Shared with amm-tunneld.", begin, true},
    {"port", true, NULL, NULL, false},
    {"manager", false, "Shared with ammd.", begin, true},
    {"remote-access", false, NULL, NULL, false},
    {"cad", false, "Keys of the CAs of gateways and of the server's time.", begin, false},
    {NULL, false, NULL, NULL, false},
};

enum { SOCKET_PATH_MAX = sizeof((struct sockaddr_un *)NULL)->sun_path - 1 };

#define TEXT(section, name, member, most, initial, doc)                                            \
    {                                                                                              \
        section, name, AMM_CONF_STRING, offsetof(struct cad_config, member), 1, most, NULL,        \
            initial, false, doc, NULL                                                              \
    }

static const struct amm_conf_key keys[] = {
    TEXT("", "pki", pki, 0, "/etc/amm/pki", "Folder made by `ammctl pki init`."),
    TEXT("manager", "user", manager_user, 0, "ammd", "User that ammd runs as."),
    TEXT("cad", "user", user, 0, "amm-cad",
         "User (name or number) that amm-cad becomes when it has read the keys; no other process "
         "should have it."),
    TEXT("cad", "socket", socket, SOCKET_PATH_MAX, "/run/amm/cad.sock",
         "Where ammd asks; for root and the user of ammd."),
    TEXT("cad", "state", state, 0, "/var/lib/amm/cad",
         "Folder of the record of what was issued and revoked. Back it up: without it a restored "
         "database could bring revoked gateways back."),
    {"cad", "certificates-per-minute", AMM_CONF_NUMBER, offsetof(struct cad_config, per_minute), 1,
     100000, NULL, "600", false,
     "Certificates at most: what a stolen ammd could have made before somebody notices.", NULL},
    {NULL, NULL, AMM_CONF_STRING, 0, 0, 0, NULL, NULL, false, NULL, NULL},
};

const struct amm_conf_schema cad_schema = {"amm-cad", sections, keys};
