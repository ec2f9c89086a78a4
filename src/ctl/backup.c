/* ammctl backup and restore. */
#include "request.h"

#include <errno.h>
#include <limits.h>
#include <sys/auxv.h>
#include <unistd.h>

static const struct ctl_column backup_columns[] = {
    {"backup", "file", CTL_SHOW_TEXT},
    {"bytes", "bytes", CTL_SHOW_BYTES},
    {.head = NULL},
};

/* ammd does it, as its own user, so that the files are that user's: the one beside this program,
 * else the one of PATH. */
static int restore_run(const struct ctl *ctl, int argc, char **argv)
{
    char beside[PATH_MAX];
    const char *self = (const char *)getauxval(AT_EXECFN); /* as it was started, links kept */
    if (argc != 2) {
        return ctl_fail(CTL_USAGE, "usage: restore FILE");
    }
    if (!ctl->manager_socket) {
        return ctl_fail(CTL_USAGE, "the configuration has no section [manager]: name the file that "
                                   "has one with --config FILE");
    }
    const char *slash = self ? strrchr(self, '/') : NULL;
    char *const command[] = {"ammd",      "--config", (char *)(uintptr_t)ctl->config_file,
                             "--restore", argv[1],    NULL};
    if (slash) {
        snprintf(beside, sizeof beside, "%.*s/ammd", (int)(slash - self), self);
        execv(beside, command);
    }
    execvp("ammd", command);
    return ctl_fail(CTL_FAILED, "ammd cannot be started: %s", strerror(errno));
}

const struct ctl_command ctl_backup_commands[] = {
    {.name = "backup",
     .usage = "  copy the manager's database into the folder of the configuration, while it runs",
     .request =
         &(const struct ctl_request){"POST", "/api/v1/backup", NULL, backup_columns, NULL, NULL}},
    {.name = "restore",
     .usage = "FILE  put a backup in the database's place; ammd must be stopped",
     .run = restore_run},
    {.name = NULL},
};
