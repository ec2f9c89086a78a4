/* ammctl: the command line of amm. Groups of commands, each a table; global options come first. */
#include "remote.h"

#include "login.h"
#include "manager/config.h"

#include "io/file.h"
#include "io/privilege.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

static const struct {
    const char *name;
    const struct ctl_command *commands;
} groups[] = {
    {"tunnel", ctl_tunnel_commands},
    {"gateway", ctl_gateway_commands},
    {"operation", ctl_operation_commands},
    {"software", ctl_software_commands},
    {"remote", ctl_remote_commands},
    {"group", ctl_group_commands},
    {"tenant", ctl_tenant_commands},
    {"user", ctl_user_commands},
    {"token", ctl_token_commands},
    {"audit", ctl_audit_commands},
    {"pki", ctl_pki_commands},
    {"threshold", ctl_threshold_commands},
};

/* Commands without a group. */
static const struct ctl_command *const alone[] = {ctl_login_commands, ctl_import_commands,
                                                  ctl_backup_commands, ctl_doctor_commands,
                                                  ctl_tree_commands};

#define CTL_CONFIG "/etc/amm/amm.conf"

enum {
    N_GROUPS = sizeof groups / sizeof groups[0],
    N_ALONE = sizeof alone / sizeof alone[0],
    HELP_AT = 38,
};

int ctl_fail(enum ctl_exit status, const char *format, ...)
{
    fputs("ammctl: ", stderr);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return status;
}

/* The command with its arguments on the left, what it does on the right, or below if there is no
 * room. */
static void print_command(FILE *out, const char *group, const struct ctl_command *command)
{
    const char *help = strstr(command->usage, "  ");
    int arguments = help ? (int)(help - command->usage) : (int)strlen(command->usage);
    int width = fprintf(out, "  %s%s%s %.*s", group, group[0] ? " " : "", command->name, arguments,
                        command->usage);
    if (width >= HELP_AT) {
        fputc('\n', out);
        width = 0;
    }
    fprintf(out, "%*s%s\n", HELP_AT - width, "", help ? help + 2 : "");
}

static void print_usage(FILE *out, const char *only)
{
    fputs("usage: ammctl [--config FILE] [-o json] GROUP COMMAND ...\n"
          "\n"
          "The command line of amm. On the server, as root, it asks the manager and the tunnel "
          "server\n"
          "of the configuration; elsewhere the manager that `ammctl login` knows.\n"
          "\n"
          "  --config FILE     the server's configuration (default " CTL_CONFIG ")\n"
          "  -o json           print JSON\n"
          "  --version, --help\n",
          out);
    for (size_t i = 0; only == NULL && i < N_ALONE; i++) {
        fputc('\n', out);
        for (const struct ctl_command *c = alone[i]; c->name != NULL; c++) {
            print_command(out, "", c);
        }
    }
    for (size_t g = 0; g < N_GROUPS; g++) {
        if (only != NULL && strcmp(only, groups[g].name) != 0) {
            continue;
        }
        fputc('\n', out);
        for (const struct ctl_command *c = groups[g].commands; c->name != NULL; c++) {
            print_command(out, groups[g].name, c);
        }
    }
    fputs("\n"
          "exit codes: 0 done, 1 failed, 2 wrong configuration or usage, 3 not found or down,\n"
          "            4 the server does not answer\n",
          out);
}

/* `name` if it is a group: then only its commands are shown. */
static const char *group_or_all(const char *name)
{
    for (size_t g = 0; name != NULL && g < N_GROUPS; g++) {
        if (strcmp(name, groups[g].name) == 0) {
            return name;
        }
    }
    return NULL;
}

/* A file with a section [manager] belongs to a server with ammd; without one the tunnel server
 * stands alone, and what the manager keeps is kept in files by hand. */
static bool has_manager(struct amm_view text)
{
    static const char section[] = "[manager]";
    for (size_t at = 0; at + sizeof section - 1 <= text.len; at++) {
        if ((at == 0 || text.data[at - 1] == '\n') &&
            memcmp(text.data + at, section, sizeof section - 1) == 0) {
            return true;
        }
    }
    return false;
}

/* Reads the server's configuration. Without it only the commands that need none work, so a file
 * that is not there is an error only when it was named, or is needed. */
static enum ctl_exit load_config(struct ctl *ctl, struct manager_config *config, const char *file)
{
    char error[AMM_CONF_ERROR];
    struct amm_span text;
    const char *path = file ? file : CTL_CONFIG;
    if (file == NULL && access(path, F_OK) != 0) {
        return CTL_OK;
    }
    if (!amm_file_read(path, AMM_CONFIG_FILE_MAX, &text, error, sizeof error)) {
        return ctl_fail(CTL_USAGE, "%s", error);
    }
    bool managed = has_manager(amm_view_of(text));
    bool loaded = managed
                      ? manager_config_load(config, path, amm_view_of(text), error)
                      : amm_tunneld_config_load(&config->tunneld, path, amm_view_of(text), error);
    loaded = loaded && amm_tunneld_pools_read(&config->tunneld, error);
    free(text.data);
    if (!loaded) {
        return ctl_fail(CTL_USAGE, "%s", error);
    }
    ctl->config = &config->tunneld;
    ctl->manager_socket = managed ? config->socket : NULL;
    ctl->manager = managed ? config : NULL;
    ctl->config_file = path;
    return CTL_OK;
}

/* Takes the global options out of argv, wherever they stand, so that `-o json` may come last. */
static bool take_global_options(struct ctl *ctl, const char **config_file, int *argc, char **argv)
{
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--config") == 0 && i + 1 < *argc) {
            *config_file = argv[++i];
        } else if (strcmp(argv[i], "-o") == 0 && i + 1 < *argc) {
            i++;
            if (strcmp(argv[i], "json") != 0 && strcmp(argv[i], "table") != 0) {
                ctl_fail(CTL_USAGE, "-o takes json or table, not \"%s\"", argv[i]);
                return false;
            }
            ctl->json = argv[i][0] == 'j';
        } else {
            argv[kept++] = argv[i];
        }
    }
    argv[kept] = NULL;
    *argc = kept;
    return true;
}

/* The command that argv names, or NULL; `*skip`: words before its own name, the program's included.
 */
static const struct ctl_command *find_command(int argc, char **argv, int *skip)
{
    *skip = 1;
    for (size_t i = 0; argc >= 2 && i < N_ALONE; i++) {
        for (const struct ctl_command *c = alone[i]; c->name != NULL; c++) {
            if (strcmp(argv[1], c->name) == 0) {
                return c;
            }
        }
    }
    *skip = 2;
    for (size_t g = 0; argc >= 3 && g < N_GROUPS; g++) {
        for (const struct ctl_command *c = groups[g].commands; c->name != NULL; c++) {
            if (strcmp(argv[1], groups[g].name) == 0 && strcmp(argv[2], c->name) == 0) {
                return c;
            }
        }
    }
    return NULL;
}

static bool is_managed(const struct ctl *ctl, const struct ctl_command *command)
{
    if (command->run == NULL || (command->request == NULL && command->managed == NULL)) {
        return command->run == NULL;
    }
    return ctl->manager_socket != NULL || (ctl->config == NULL && ctl_login_exists());
}

int main(int argc, char **argv)
{
    static struct manager_config config;
    struct ctl ctl = {0};
    const char *config_file = NULL;
    amm_process_fill_streams();
    if (!take_global_options(&ctl, &config_file, &argc, argv)) {
        return CTL_USAGE;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("ammctl " AMM_VERSION);
        return CTL_OK;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || (i == 1 && strcmp(argv[i], "help") == 0)) {
            print_usage(stdout, group_or_all(argc > 2 ? argv[i == 1 ? 2 : 1] : NULL));
            return CTL_OK;
        }
    }
    int skip;
    const struct ctl_command *command = find_command(argc, argv, &skip);
    if (command == NULL) {
        print_usage(stderr, group_or_all(argc >= 2 ? argv[1] : NULL));
        return CTL_USAGE;
    }
    enum ctl_exit status = load_config(&ctl, &config, config_file);
    bool managed = is_managed(&ctl, command);
    if (status == CTL_OK && ctl.config == NULL && !managed && command->needs_config) {
        status =
            ctl_fail(CTL_USAGE, "%s is not there; name the server's configuration with --config",
                     CTL_CONFIG);
    }
    if (status != CTL_OK) {
        return status;
    }
    argc -= skip;
    argv += skip;
    if (!managed) {
        return command->run(&ctl, argc, argv);
    }
    return command->request ? ctl_request_run(&ctl, command, argc, argv)
                            : command->managed(&ctl, argc, argv);
}
