/* ammd: the manager. */
#include "conf/program.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/log.h"
#include "io/privilege.h"
#include "io/sandbox.h"
#include "manager/audit_chain.h"
#include "manager/core.h"
#include "manager/directory.h"
#include "manager/first_start.h"
#include "manager/fleet.h"
#include "manager/front.h"
#include "manager/limits.h"
#include "manager/stream.h"

#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/amm/amm.conf"

enum { EXIT_STOPPED = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, ERROR_ROOM = 600 };

static const char help[] =
    "usage: ammd [--config FILE]\n"
    "\n"
    "The manager: fleet, API and console, check-ins.\n"
    "\n"
    "  --config FILE     configuration (default " DEFAULT_CONFIG ")\n"
    "  --restore FILE    put a backup in the database's place, and stop\n"
    "  --verify-audit    check the chain of the audit log, and stop\n"
    "  --check-config    say whether the configuration is valid, and stop\n"
    "  --print-config    write a commented [manager] section with all defaults\n"
    "  --print-doc       write the same as a table (doc/configuration.md)\n"
    "  --version, --help\n"
    "\n"
    "signals: TERM and INT stop it, HUP reads certificates and keys again\n"
    "exit codes: 0 stopped, 1 failed, 2 wrong configuration or usage\n";

static int fail(const char *error)
{
    fprintf(stderr, "ammd: %s\n", error);
    return EXIT_FAILED;
}

static bool load(struct manager_config *config, const char *file)
{
    struct amm_span text;
    char error[ERROR_ROOM];
    bool ok = amm_file_read(file, AMM_CONFIG_FILE_MAX, &text, error, sizeof error);
    if (ok) {
        ok = manager_config_load(config, file, amm_view_of(text), error) &&
             amm_tunneld_pools_read(&config->tunneld, error);
        free(text.data);
    }
    if (!ok) {
        fprintf(stderr, "%s\n", error);
    }
    return ok;
}

/* ---- before the privileges go ---- */

/* Makes a folder for the user, if it is missing. */
static bool make_folder(const char *path, const struct amm_user *user, char *error, size_t room)
{
    if (access(path, F_OK) == 0) {
        return true;
    }
    return amm_directory_make(path, 0700, error, room) &&
           (geteuid() != 0 || amm_directory_give(path, user->uid, user->gid, error, room));
}

static bool make_folders(const struct manager_config *config, const struct amm_user *user,
                         char *error, size_t room)
{
    char database[AMM_CONF_TEXT], socket[AMM_CONF_TEXT];
    snprintf(database, sizeof database, "%s", config->database);
    snprintf(socket, sizeof socket, "%s", config->socket);
    return make_folder(dirname(database), user, error, room) &&
           make_folder(config->backups, user, error, room) &&
           amm_directory_make(dirname(socket), 0755, error, room);
}

/* Started by somebody who is not root (tests, a container), it stays who it is. */
static bool become_user(const struct manager_config *config, struct amm_user *user, char *error,
                        size_t room)
{
    if (geteuid() != 0) {
        *user = (struct amm_user){geteuid(), getegid()};
        return true;
    }
    return amm_user_find(config->user, user, error, room);
}

/* ---- life ---- */

static void signalled(struct manager *m, struct manager_watch *watch, const struct amm_ready *ready)
{
    struct signalfd_siginfo info;
    (void)ready;
    while (read(watch->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            front_reload(m->front);
        } else {
            core_stop(m->core);
        }
    }
}

/* Blocked before any thread starts: they come through the fleet thread's loop only. */
static int take_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

struct start {
    char *error;
    size_t room;
    bool ok;
};

/* The first unit: everything that is in memory is read. */
static void start_parts(struct manager *m, void *context)
{
    struct start *start = context;
    m->limits = limits_new(&m->random);
    m->stream = stream_new(m);
    if (m->limits == NULL || m->stream == NULL) {
        snprintf(start->error, start->room, "out of memory");
        manager_fail(m);
        return;
    }
    m->audit = audit_new(m->store, start->error, start->room);
    m->fleet = m->audit ? fleet_load(m->store, m->now.wall, start->error, start->room) : NULL;
    m->directory = m->fleet ? directory_new(m, start->error, start->room) : NULL;
    start->ok = m->directory != NULL && first_start(m, start->error, start->room);
    if (start->ok) {
        stream_start(m);
        audit_start(m);
        directory_start(m);
    }
    for (const struct manager_module *const *module = manager_modules; start->ok && *module != NULL;
         module++) {
        start->ok = (*module)->start == NULL || (*module)->start(m, start->error, start->room);
    }
    if (!start->ok) {
        manager_fail(m);
    }
}

static void stop_parts(struct manager *m)
{
    size_t n = 0;
    while (manager_modules[n] != NULL) {
        n++;
    }
    while (m->directory != NULL && n > 0) {
        if (manager_modules[--n]->stop != NULL) {
            manager_modules[n]->stop(m);
        }
    }
    m->directory = directory_free(m->directory);
    if (m->fleet != NULL) {
        m->fleet = fleet_free(m->fleet);
    }
    m->audit = audit_free(m->audit);
    m->stream = stream_free(m->stream);
    m->limits = limits_free(m->limits);
}

static bool prepare_modules(struct manager *m, char *error, size_t room)
{
    for (const struct manager_module *const *module = manager_modules; *module != NULL; module++) {
        if ((*module)->prepare != NULL && !(*module)->prepare(m, error, room)) {
            return false;
        }
    }
    return true;
}

/* Opens as root what only root can, then becomes less. */
static bool prepare(struct manager *m, char *error, size_t room)
{
    struct amm_user user;
    if (!become_user(m->config, &user, error, room) ||
        !make_folders(m->config, &user, error, room)) {
        return false;
    }
    m->front = front_new(m, error, room);
    if (m->front == NULL || !prepare_modules(m, error, room)) {
        return false;
    }
    if (geteuid() == 0 && !amm_privileges_drop(&user, error, room)) {
        return false;
    }
    return amm_sandbox_enter(error, room);
}

static bool serve(struct manager *m, int signals, char *error, size_t room)
{
    struct start start = {error, room, false};
    struct manager_watch watch = {.ready = signalled, .fd = signals};
    struct amm_store_settings settings = {m->config->database, amm_now().wall};
    m->store = amm_store_open(&settings, error);
    m->core = m->store != NULL ? core_new(m) : NULL;
    if (m->core == NULL) {
        return false;
    }
    if (!core_unit(m, start_parts, &start)) {
        if (start.ok) {
            snprintf(error, room, "%s", amm_store_error(m->store));
        }
        return false;
    }
    if (!manager_watch_add(m, &watch, AMM_READ) || !front_start(m->front, error, room)) {
        return false;
    }
    amm_log(AMM_LOG_INFO, "started", amm_field_text("version", AMM_VERSION));
    core_run(m);
    front_stop(m->front);
    amm_log(AMM_LOG_INFO, "stopped", amm_field_text("version", AMM_VERSION));
    return true;
}

static int run(const struct manager_config *config)
{
    static struct manager m;
    char error[ERROR_ROOM] = "out of memory";
    int signals = take_signals();
    m.config = config;
    m.random = amm_kernel_random();
    umask(077);
    amm_process_seal();
    bool ok =
        signals >= 0 && prepare(&m, error, sizeof error) && serve(&m, signals, error, sizeof error);
    stop_parts(&m);
    m.front = front_free(m.front);
    m.core = core_free(m.core);
    amm_store_free(m.store);
    return ok ? EXIT_STOPPED : fail(error);
}

/* ---- what is done without serving ---- */

static int restore(const struct manager_config *config, const char *from)
{
    char error[ERROR_ROOM];
    struct amm_user user;
    struct amm_store_settings settings = {config->database, amm_now().wall};
    umask(077);
    /* As the user, so that the files are his. */
    if (!become_user(config, &user, error, sizeof error) ||
        !make_folders(config, &user, error, sizeof error) ||
        (geteuid() == 0 && !amm_privileges_drop(&user, error, sizeof error)) ||
        !amm_store_restore(&settings, from, error)) {
        return fail(error);
    }
    printf("%s: restored from %s. Logins, API tokens, unused enrolment tokens and open operations "
           "of the backup are void; revocations are read from amm-cad at the next start. What was "
           "there is kept as %s.before-restore\n",
           config->database, from, config->database);
    return EXIT_STOPPED;
}

static int verify_audit(const struct manager_config *config)
{
    char error[ERROR_ROOM], hash[2 * AUDIT_HASH + 1];
    struct audit_check check;
    struct amm_store_settings settings = {config->database, amm_now().wall};
    struct amm_store *store = amm_store_reader(&settings, error);
    if (store == NULL) {
        return fail(error);
    }
    audit_verify(store, &check);
    amm_store_free(store);
    if (check.error[0] != '\0') {
        return fail(check.error);
    }
    amm_hex(hash, amm_view(check.hash, sizeof check.hash));
    if (check.is_whole) {
        printf("%lld entries, whole; last hash %s\n", (long long)check.rows, hash);
    } else {
        printf("broken at entry %lld; last good hash %s\n", (long long)check.broken_at, hash);
    }
    return check.is_whole ? EXIT_STOPPED : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    static struct manager_config config;
    const char *backup = NULL;
    bool only_verify = false;
    const struct amm_program_option options[] = {{.name = "restore", .value = &backup},
                                                 {.name = "verify-audit", .flag = &only_verify},
                                                 {NULL}};
    const struct amm_program program = {.name = "ammd",
                                        .version = AMM_VERSION,
                                        .help = help,
                                        .config = DEFAULT_CONFIG,
                                        .schema = &manager_schema,
                                        .options = options};
    struct amm_program_line line;
    int status;
    amm_process_fill_streams();
    if (!amm_program_parse(&program, argc, argv, &line, &status)) {
        return status;
    }
    if (!load(&config, line.config)) {
        return EXIT_USAGE;
    }
    if (line.only_check) {
        printf("%s: ok\n", line.config);
        return EXIT_STOPPED;
    }
    return backup ? restore(&config, backup) : only_verify ? verify_audit(&config) : run(&config);
}
