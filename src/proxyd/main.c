/* amm-proxyd: from a browser to the page of a gateway, through its tunnel. */
#include "conf/program.h"
#include "crypto/signature.h"
#include "http/server.h"
#include "http/tls.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/log.h"
#include "io/netns.h"
#include "io/privilege.h"
#include "io/sandbox.h"
#include "io/tcp.h"
#include "proxyd/entry.h"
#include "proxyd/flow.h"
#include "proxyd/gate.h"
#include "proxyd/link.h"
#include "proxyd/loop.h"
#include "proxyd/probe.h"
#include "proxyd/proxyd.h"
#include "proxyd/record.h"

#include "proxyd/session.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/amm/amm.conf"

enum {
    EXIT_STOPPED = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    ERROR_ROOM = 600,
    CONFIG_BYTES = 1 << 20,
    PEM_MAX = 256 * 1024,
    TLS_SESSIONS = 4096,
    DOCUMENT = 65536,
    TAG_BROWSERS = 1,
    RESERVED_FDS = 64,
};

static const char help[] =
    "usage: amm-proxyd [--config FILE]\n"
    "\n"
    "Remote access: serves the pages of gateways to the browsers of operators that ammd names.\n"
    "\n"
    "  --config FILE     configuration (default " DEFAULT_CONFIG ", section [remote-access])\n"
    "  --check-config    say whether the configuration is valid, and stop\n"
    "  --print-config    write the commented section with all defaults\n"
    "  --print-doc       write the same as a table (doc/configuration.md)\n"
    "  --print-headers   write what is changed in heads (doc/remote-access-headers.md)\n"
    "  --version, --help\n"
    "\n"
    "signals: TERM and INT stop it, HUP reads the certificate and its key again\n"
    "exit codes: 0 stopped, 1 failed, 2 wrong configuration or usage\n";

struct program {
    struct proxyd proxyd;
    struct proxyd_watch signals, server;
    struct amm_http_tls *tls;         /* of browsers; NULL: plain */
    int listeners[PROXYD_LISTEN_MAX]; /* kept, so that another certificate can be put on them */
    unsigned n_listeners;
    struct amm_user user, manager;
};

/* ---- certificate and listeners ---- */

static char *read_pem(const char *path, char *error, size_t room)
{
    struct amm_span text;
    return amm_file_read(path, PEM_MAX, &text, error, room) ? (char *)text.data : NULL;
}

static void wipe_free(char *pem)
{
    if (pem != NULL) {
        amm_wipe(pem, strlen(pem));
        free(pem);
    }
}

static struct amm_http_tls *make_tls(const struct proxyd_config *config, char *error, size_t room)
{
    struct amm_http_tls *tls = NULL;
    char *certificate = read_pem(config->certificate, error, room);
    char *key = certificate ? read_pem(config->key, error, room) : NULL;
    if (key != NULL) {
        tls = amm_http_tls_new(&(struct amm_http_tls_settings){.certificate = certificate,
                                                               .key = key,
                                                               .sessions = TLS_SESSIONS},
                               error, room);
    }
    wipe_free(key);
    free(certificate);
    return tls;
}

static bool open_listeners(struct program *program, char *error, size_t room)
{
    const struct proxyd_config *config = program->proxyd.config;
    for (unsigned i = 0; i < config->listen.n; i++) {
        int fd = amm_tcp_listen(&config->listen.at[i], false, error, room);
        if (fd < 0) {
            return false;
        }
        program->listeners[program->n_listeners++] = fd;
    }
    return true;
}

/* Gives the server a copy of each listening socket, with the certificate of now. */
static bool serve_listeners(struct program *program)
{
    for (unsigned i = 0; i < program->n_listeners; i++) {
        int fd = fcntl(program->listeners[i], F_DUPFD_CLOEXEC, 3);
        if (fd < 0 ||
            !amm_http_server_listen(program->proxyd.server, fd, program->tls, TAG_BROWSERS)) {
            if (fd >= 0) {
                close(fd);
            }
            return false;
        }
    }
    return true;
}

static void reload(struct program *program)
{
    char error[ERROR_ROOM];
    if (program->tls == NULL) {
        return;
    }
    struct amm_http_tls *tls = make_tls(program->proxyd.config, error, sizeof error);
    if (tls == NULL) {
        amm_log(AMM_LOG_ERROR, "reload-failed", amm_field_text("error", error));
        return;
    }
    amm_http_tls_unref(program->tls);
    program->tls = tls;
    amm_http_server_unlisten(program->proxyd.server, TAG_BROWSERS);
    if (!serve_listeners(program)) {
        amm_log(AMM_LOG_ERROR, "reload-failed", amm_field_text("error", "out of descriptors"));
        return;
    }
    amm_log(AMM_LOG_INFO, "reloaded",
            amm_field_text("certificate", program->proxyd.config->certificate));
}

/* ---- start ---- */

/* Opens what only root can, becomes somebody who lives where the tunnels are and can do little. */
static bool shrink(struct program *program, char *error, size_t room)
{
    const struct proxyd_config *config = program->proxyd.config;
    bool elsewhere = config->isolation_namespace && strcmp(config->namespace_name, "host") != 0;
    if (geteuid() == 0) {
        int netns = elsewhere ? amm_netns_open(config->namespace_name, error, room) : -1;
        if (elsewhere && (netns < 0 || setns(netns, CLONE_NEWNET) != 0)) {
            char why[256];
            snprintf(why, sizeof why, "%s", netns < 0 ? error : strerror(errno));
            snprintf(error, room,
                     "cannot enter the namespace %s: %s (amm-tunneld makes it: start it "
                     "first)",
                     config->namespace_name, why);
            return false;
        }
        if (netns >= 0) {
            close(netns);
            program->proxyd.has_home =
                proxyd_find_home(config->namespace_name, &program->proxyd.home);
        }
        probes_allow(program->user.gid);
        if (!amm_privileges_drop(&program->user, error, room)) {
            return false;
        }
    }
    return amm_sandbox_enter(error, room);
}

/* The key that signs assertions; none is no error: gateways of ours then ask for a password. */
static bool read_signer(const struct proxyd_config *config, struct amm_signer **out, char *error,
                        size_t room)
{
    *out = NULL;
    if (access(config->assertion_key, F_OK) != 0) {
        amm_log(AMM_LOG_WARNING, "no-assertion-key", amm_field_text("file", config->assertion_key),
                amm_field_text("cure", "make it with `ammctl pki init`"));
        return true;
    }
    char *key = read_pem(config->assertion_key, error, room);
    *out = key ? amm_signer_new(key, "assertion-key", error, room) : NULL;
    wipe_free(key);
    return *out != NULL;
}

static void describe(const struct program *program, const struct amm_signer *signer,
                     struct amm_proxy_hello *hello)
{
    const struct proxyd_config *config = program->proxyd.config;
    *hello = (struct amm_proxy_hello){.pid = (uint32_t)getpid(),
                                      .secure = program->tls != NULL,
                                      .port = (uint16_t)config->port,
                                      .has_assertion_key = signer != NULL};
    snprintf(hello->domain, sizeof hello->domain, "%s", config->domain);
    if (signer != NULL) {
        amm_signer_key(signer, hello->assertion_key);
    }
}

static bool make_parts(struct program *program, char *error, size_t room)
{
    struct proxyd *p = &program->proxyd;
    struct amm_http_settings settings;
    struct amm_proxy_hello hello;
    struct amm_signer *signer;
    if (!read_signer(p->config, &signer, error, room)) {
        return false;
    }
    describe(program, signer, &hello);
    p->pages = amm_http_tls_new(&(struct amm_http_tls_settings){.is_client = true}, error, room);
    p->entries = entries_new(signer);
    if (p->entries == NULL) {
        amm_signer_free(signer);
    }
    if (p->pages == NULL) {
        return false;
    }
    snprintf(error, room, "out of memory or descriptors");
    p->loop = amm_loop_new();
    p->sessions = sessions_new(p->config->domain, (uint16_t)p->config->port, program->tls != NULL,
                               &p->random);
    p->record = record_new();
    p->probes = probes_new();
    p->link = link_new(p, program->manager.uid, &hello);
    p->flows = flows_new(p);
    if (!p->loop || !p->sessions || !p->record || !p->probes || !p->entries || !p->link ||
        !p->flows) {
        return false;
    }
    amm_http_settings_init(&settings);
    settings.connections = p->config->connections;
    flows_settings(p->flows, &settings);
    p->server = amm_http_server_new(&settings);
    return p->server != NULL && serve_listeners(program);
}

static void free_parts(struct program *program)
{
    struct proxyd *p = &program->proxyd;
    p->entries = entries_free(p);
    p->probes = probes_free(p);
    p->server = amm_http_server_free(p->server);
    p->flows = flows_free(p->flows);
    p->link = link_free(p->link);
    p->record = record_free(p->record);
    p->sessions = sessions_free(p->sessions);
    amm_http_tls_unref(p->pages);
    amm_http_tls_unref(program->tls);
    for (unsigned i = 0; i < program->n_listeners; i++) {
        close(program->listeners[i]);
    }
    if (program->signals.fd >= 0) {
        close(program->signals.fd);
    }
    amm_loop_free(p->loop);
}

/* ---- life ---- */

static void signalled(struct proxyd *proxyd, struct proxyd_watch *watch,
                      const struct amm_ready *ready)
{
    struct program *program = (struct program *)((char *)watch - offsetof(struct program, signals));
    struct signalfd_siginfo info;
    (void)ready;
    while (read(watch->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            reload(program);
        } else {
            proxyd->stopping = true;
        }
    }
}

static void served(struct proxyd *proxyd, struct proxyd_watch *watch, const struct amm_ready *ready)
{
    (void)watch, (void)ready;
    amm_http_server_step(proxyd->server);
}

static int take_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    return sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)
                                                   : -1;
}

/* Opens as root what only root can: listeners, certificate, keys; then becomes less. */
static bool start(struct program *program, char *error, size_t room)
{
    const struct proxyd_config *config = program->proxyd.config;
    bool is_root = geteuid() == 0;
    program->user = (struct amm_user){geteuid(), getegid()};
    program->manager = program->user;
    if ((is_root && (!amm_user_find(config->user, &program->user, error, room) ||
                     !amm_user_find(config->manager_user, &program->manager, error, room))) ||
        !open_listeners(program, error, room)) {
        return false;
    }
    if (config->certificate[0] != '\0') {
        program->tls = make_tls(config, error, room);
        if (program->tls == NULL) {
            return false;
        }
    }
    if (!make_parts(program, error, room) || !shrink(program, error, room)) {
        return false;
    }
    program->server =
        (struct proxyd_watch){.ready = served, .fd = amm_http_server_fd(program->proxyd.server)};
    snprintf(error, room, "out of descriptors");
    return proxyd_watch(&program->proxyd, &program->signals, AMM_READ) &&
           proxyd_watch(&program->proxyd, &program->server, AMM_READ);
}

static int run(const struct proxyd_config *config)
{
    static struct program program;
    char error[ERROR_ROOM] = "out of descriptors";
    char address[AMM_ADDRESS_TEXT];
    program.proxyd.config = config;
    program.proxyd.random = amm_kernel_random();
    program.proxyd.now = amm_now();
    program.signals = (struct proxyd_watch){.ready = signalled, .fd = take_signals()};
    amm_process_seal();
    bool ok = program.signals.fd >= 0 && start(&program, error, sizeof error);
    if (ok) {
        amm_log(AMM_LOG_INFO, "started", amm_field_text("version", AMM_VERSION),
                amm_field_text("listen", amm_address_text(&config->listen.at[0], address)),
                amm_field_text("domain", config->domain));
        proxyd_run(&program.proxyd);
        amm_log(AMM_LOG_INFO, "stopped", amm_field_text("version", AMM_VERSION));
    } else {
        fprintf(stderr, "amm-proxyd: %s\n", error);
    }
    free_parts(&program);
    return ok && !program.proxyd.lost_home ? EXIT_STOPPED : EXIT_FAILED;
}

static bool load(struct proxyd_config *config, const char *file)
{
    struct amm_span text;
    char error[ERROR_ROOM];
    bool ok = amm_file_read(file, CONFIG_BYTES, &text, error, sizeof error);
    if (ok) {
        ok = proxyd_config_load(config, file, amm_view_of(text), error);
        free(text.data);
    }
    if (!ok) {
        fprintf(stderr, "%s\n", error);
    }
    return ok;
}

static int print_headers(void)
{
    static char text[DOCUMENT];
    return translate_document(text, sizeof text) && fputs(text, stdout) >= 0 && fflush(stdout) == 0
               ? EXIT_STOPPED
               : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    static struct proxyd_config config;
    bool headers = false;
    const struct amm_program_option options[] = {{.name = "print-headers", .flag = &headers},
                                                 {NULL}};
    const struct amm_program program = {.name = "amm-proxyd",
                                        .version = AMM_VERSION,
                                        .help = help,
                                        .config = DEFAULT_CONFIG,
                                        .schema = &proxyd_schema,
                                        .options = options};
    struct amm_program_line line;
    int status;
    amm_process_fill_streams();
    if (!amm_program_parse(&program, argc, argv, &line, &status)) {
        return status;
    }
    if (headers) {
        return print_headers();
    }
    if (!load(&config, line.config)) {
        return EXIT_USAGE;
    }
    if (line.only_check) {
        printf("%s: ok\n", line.config);
        return EXIT_STOPPED;
    }
    return run(&config);
}
