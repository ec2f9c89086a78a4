/* Configuration files: the grammar with the schemas of the server and of ammer, and the server's
 * roster. The first byte chooses. */
#include "config.h"
#include "tunneld/config.h"
#include "tunneld/roster.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An error is one line that names the file; without an error there is none. */
static void check_error(bool ok, const char *error)
{
    if (!ok && (strncmp(error, "f", 1) != 0 || strchr(error, '\n'))) {
        abort();
    }
}

static void read_server(struct amm_view text)
{
    static struct amm_tunneld_config config;
    char error[AMM_CONF_ERROR] = "";
    memset(&config, 0, sizeof config);
    check_error(amm_tunneld_config_load(&config, "f", text, error), error);
}

static void read_ammer(struct amm_view text)
{
    static struct amm_settings settings;
    char error[AMM_CONF_ERROR] = "";
    amm_settings_init(&settings);
    check_error(amm_config_parse(&settings, "f", text, error), error);
    amm_settings_deinit(&settings);
}

static void read_roster(struct amm_view text)
{
    static const struct amm_roster_port ports[] = {{1190, 2047}, {1191, 61}};
    char error[AMM_CONF_ERROR] = "";
    struct amm_roster *roster = amm_roster_parse("f", text, ports, 2, error, sizeof error);
    check_error(roster != NULL, error);
    amm_roster_unref(roster);
}

static void read_pools(struct amm_view text)
{
    static struct amm_tunneld_config config;
    char error[AMM_CONF_ERROR] = "";
    check_error(amm_tunneld_config_load(&config, "f", amm_view_str(""), error), error);
    check_error(amm_tunneld_pools_apply(&config, "f", text, error), error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct amm_view text = amm_view(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        read_server(text);
        break;
    case 1:
        read_ammer(text);
        break;
    case 3:
        read_pools(text);
        break;
    default:
        read_roster(text);
        break;
    }
    return 0;
}
