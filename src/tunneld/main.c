/* amm-tunneld: the tunnel server. The same program is the holder (started by a person) and the
 * engine (started by the holder with --engine). */
#include "io/file.h"
#include "io/log.h"
#include "io/privilege.h"
#include "tunneld/holder.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_CONFIG "/etc/amm/amm.conf"

enum { DOCUMENT_BYTES = 65536, EXIT_USAGE = 2 };

static void print_help(FILE *out)
{
    fputs("usage: amm-tunneld [--config FILE]\n"
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
          "exit codes: 0 stopped, 1 failed, 2 wrong configuration or usage\n",
          out);
}

static int print_document(bool is_table)
{
    static char text[DOCUMENT_BYTES];
    bool ok = is_table ? amm_conf_markdown(&amm_tunneld_schema, text, sizeof text)
                       : amm_conf_example(&amm_tunneld_schema, text, sizeof text);
    return ok && fputs(text, stdout) >= 0 ? AMM_HOLDER_OK : AMM_HOLDER_FAILED;
}

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
    enum { CONFIG = 256, CHECK, PRINT, DOC, VERSION, HELP, ENGINE };
    static const struct option options[] = {
        {"config", required_argument, NULL, CONFIG}, {"check-config", no_argument, NULL, CHECK},
        {"print-config", no_argument, NULL, PRINT},  {"print-doc", no_argument, NULL, DOC},
        {"version", no_argument, NULL, VERSION},     {"help", no_argument, NULL, HELP},
        {"engine", required_argument, NULL, ENGINE}, {NULL, 0, NULL, 0},
    };
    static struct amm_tunneld_config config;
    const char *file = DEFAULT_CONFIG;
    bool only_check = false;
    amm_process_fill_streams();
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case CONFIG:
            file = optarg;
            break;
        case CHECK:
            only_check = true;
            break;
        case PRINT:
        case DOC:
            return print_document(option == DOC);
        case VERSION:
            puts("amm-tunneld " AMM_VERSION);
            return AMM_HOLDER_OK;
        case HELP:
            print_help(stdout);
            return AMM_HOLDER_OK;
        case ENGINE:
            return run_engine(optarg);
        default:
            print_help(stderr);
            return EXIT_USAGE;
        }
    }
    if (optind != argc) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (!load(&config, file)) {
        return AMM_HOLDER_CONFIG;
    }
    if (only_check) {
        printf("%s: ok\n", file);
        return AMM_HOLDER_OK;
    }
    return (int)amm_holder_run(&config);
}
