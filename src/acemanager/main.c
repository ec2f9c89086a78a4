/* The core of a gateway: options, the configuration, folders, and the helper that runs the rest. */
#include "config.h"
#include "conf/program.h"
#include "core.h"
#include "domain/msci.h"
#include "helper.h"
#include "io/file.h"
#include "io/log.h"
#include "io/privilege.h"
#include "io/unix.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/acemanager.conf"

enum { EXIT_CONFIG = 2, CONFIG_MAX = 65536, STATUS_MAX = 65536, ANSWER_TIMEOUT_MS = 2000 };

static const char usage[] =
    "usage: acemanager [--config FILE] [OPTION]...\n"
    "       acemanager --status [--config FILE]\n"
    "\n"
    "The core of a gateway: settings, check-ins, clock, tunnel and web pages.\n"
    "\n"
    "  --config FILE    configuration (default " DEFAULT_CONFIG ")\n"
    "  --verbose        log more\n"
    "  --check-config   say whether the configuration is good, and stop\n"
    "  --print-config   write a commented configuration with all defaults\n"
    "  --print-doc      write the same as a table (doc/configuration.md)\n"
    "  --print-msci     write the table of settings by MSCIID (doc/msci.md)\n"
    "  --status         print the state of the acemanager of this configuration as JSON\n"
    "  --version, --help\n"
    "\n"
    "signals: TERM and INT end it and take the tunnel down\n"
    "exit codes: 0 stopped, 1 failed, 2 wrong configuration or usage\n";

static int print_msci(void)
{
    enum { ROOM = 32768 };
    char *text = malloc(ROOM);
    size_t len = text ? amm_msci_markdown(text, ROOM) : 0;
    bool ok = len > 0 && fwrite(text, 1, len, stdout) == len;
    free(text);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool read_config(struct ace_config *config, const char *path)
{
    struct amm_span text;
    char error[512], reason[AMM_CONF_ERROR];
    if (!amm_file_read(path, CONFIG_MAX, &text, error, sizeof error)) {
        fprintf(stderr, "acemanager: %s\n", error);
        return false;
    }
    const char *slash = strrchr(path, '/');
    bool ok = ace_config_parse(config, slash ? slash + 1 : path, amm_view_of(text), reason);
    free(text.data);
    if (!ok) {
        fprintf(stderr, "acemanager: %s\n", reason);
    }
    return ok;
}

static int print_status(const struct ace_config *config)
{
    char error[256], *text = malloc(STATUS_MAX + 1);
    size_t len = 0, no_fds = 0;
    int fd =
        config->state_socket[0] ? amm_unix_connect(config->state_socket, error, sizeof error) : -1;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    bool ok = text && fd >= 0 && poll(&wait, 1, ANSWER_TIMEOUT_MS) == 1 &&
              amm_unix_receive(fd, (struct amm_span){(uint8_t *)text, STATUS_MAX}, &len, NULL,
                               &no_fds) == AMM_UNIX_OK;
    if (ok) {
        text[len] = '\0';
        puts(text);
    } else {
        fprintf(stderr, "acemanager: %s: no acemanager answers there\n",
                config->state_socket[0] ? config->state_socket : "state-socket is empty");
    }
    if (fd >= 0) {
        close(fd);
    }
    free(text);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Both folders belong to the core's user. */
static bool make_folders(const struct ace_config *config)
{
    const char *const folders[] = {config->folder, config->run_folder};
    struct amm_user user = {geteuid(), getegid()};
    char error[512];
    if (config->user[0] && geteuid() == 0 &&
        !amm_user_find(config->user, &user, error, sizeof error)) {
        fprintf(stderr, "acemanager: user: %s\n", error);
        return false;
    }
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        if (!amm_directory_make(folders[i], 0700, error, sizeof error)) {
            fprintf(stderr, "acemanager: %s\n", error);
            return false;
        }
        if (geteuid() == 0 && chown(folders[i], user.uid, user.gid) != 0 && errno != EROFS) {
            fprintf(stderr, "acemanager: %s: %s\n", folders[i], strerror(errno));
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct ace_config config;
    bool status = false, msci = false, verbose = false;
    const struct amm_program_option options[] = {{.name = "status", .flag = &status},
                                                 {.name = "print-msci", .flag = &msci},
                                                 {.name = "verbose", .flag = &verbose},
                                                 {NULL}};
    const struct amm_program program = {.name = "acemanager",
                                        .version = AMM_VERSION,
                                        .help = usage,
                                        .config = DEFAULT_CONFIG,
                                        .schema = &ace_schema,
                                        .options = options};
    struct amm_program_line line;
    int code;
    amm_process_fill_streams();
    if (!amm_program_parse(&program, argc, argv, &line, &code)) {
        return code;
    }
    if (msci) {
        return print_msci();
    }
    if (!read_config(&config, line.config)) {
        return EXIT_CONFIG;
    }
    if (line.only_check) {
        printf("%s: ok\n", line.config);
        return EXIT_SUCCESS;
    }
    if (status) {
        return print_status(&config);
    }
    amm_log_set_level(verbose ? AMM_LOG_DEBUG : AMM_LOG_INFO);
    umask(077);
    if (!make_folders(&config)) {
        return EXIT_CONFIG;
    }
    return ace_helper_run(&config, argv, ace_core_main);
}
