/* amm-tunneld: the tunnel server. The same program is the holder (started by a person) and the
 * engine (started by the holder with --engine). */
#include "conf/program.h"
#include "io/file.h"
#include "io/log.h"
#include "io/privilege.h"
#include "tunneld/holder.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_CONFIG "/etc/amm/amm.conf"

static const char help[] =
    "usage: amm-tunneld [--config FILE]\n"
    "\n"
    "The tunnel server: OpenVPN-compatible, UDP and TCP, ports 1190 to 1193 unless "
    "configured otherwise.\n"
    "\n"
    "  --config FILE     configuration (default " DEFAULT_CONFIG ")\n"
    "  --check-config    say whether the configuration is valid, and stop\n"
    "  --print-config    write a commented configuration with all defaults\n"
    "  --print-doc       write the same as a table (doc/configuration.md)\n"
    "  --version, --help\n"
    "\n"
    "signals: TERM and INT stop it, HUP reads the gateways file and the revocation lists "
    "again\n"
    "exit codes: 0 stopped, 1 failed, 2 wrong configuration or usage\n";

static bool load(struct amm_tunneld_config *config, const char *file)
{
    struct amm_span text;
    char error[2 * AMM_CONF_ERROR];
    bool ok = amm_file_read(file, AMM_CONFIG_FILE_MAX, &text, error, sizeof error);
    if (ok) {
        ok = amm_tunneld_config_load(config, file, amm_view_of(text), error) &&
             amm_tunneld_pools_read(config, error);
        free(text.data);
    }
    if (!ok) {
        fprintf(stderr, "%s\n", error);
    }
    return ok;
}

static int run_engine(const char *number)
{
    static struct amm_handoff handoff;
    char error[AMM_CONF_ERROR];
    amm_process_seal();
    /* A terminal's Ctrl-C and SIGHUP go to the whole group: the holder decides. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    if (!amm_handoff_receive(atoi(number), &handoff, error, sizeof error)) {
        fprintf(stderr, "amm-tunneld: %s\n", error);
        return AMM_HOLDER_FAILED;
    }
    return amm_engine_main(&handoff);
}

int main(int argc, char **argv)
{
    static struct amm_tunneld_config config;
    const char *engine = NULL;
    const struct amm_program_option options[] = {{.name = "engine", .value = &engine}, {NULL}};
    const struct amm_program program = {.name = "amm-tunneld",
                                        .version = AMM_VERSION,
                                        .help = help,
                                        .config = DEFAULT_CONFIG,
                                        .schema = &amm_tunneld_schema,
                                        .options = options};
    struct amm_program_line line;
    int status;
    amm_process_fill_streams();
    if (!amm_program_parse(&program, argc, argv, &line, &status)) {
        return status;
    }
    if (engine) {
        return run_engine(engine);
    }
    if (!load(&config, line.config)) {
        return AMM_HOLDER_CONFIG;
    }
    if (line.only_check) {
        printf("%s: ok\n", line.config);
        return AMM_HOLDER_OK;
    }
    return (int)amm_holder_run(&config);
}
