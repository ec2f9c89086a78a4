#include "helper.h"

#include "clock_floor.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/log.h"
#include "io/loop.h"
#include "io/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    STOP_SECONDS = 5, /* between SIGTERM and SIGKILL */
    AGAIN_FIRST = 1,  /* seconds until a core that died is started again; doubles */
    AGAIN_LONGEST = 30,
    LEFTOVER_TRIES = 100, /* 50 ms each */
    AGAIN_FORGOTTEN = 60, /* a core that lived as long starts again at the first */
};

enum tag { TAG_SIGNAL, TAG_CORE };

enum goal { GO_ON, END, RESTART };

struct child {
    pid_t pid; /* 0: none */
    int64_t value;
    amm_time kill_at; /* AMM_NEVER: not asked to stop */
};

struct helper {
    const struct ace_config *config;
    int (*core_main)(const struct ace_config *config, int fd);
    struct amm_loop *loop;
    int signals;
    int fd; /* our end to the core; -1: none */
    pid_t core;
    amm_time core_began, core_again; /* core_again: AMM_NEVER while it runs */
    amm_time core_kill;
    unsigned deaths;
    struct child ammers[ACE_SLOTS];
    pid_t command; /* the reboot command */
    enum goal goal;
    int exit_code;
    amm_time now;
};

/* ---- children ---- */

/* Only the first is called between fork and exec. */
static void child_defaults(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
}

/* -1: with errno. The environment is inherited: an operator may have put a proxy of the clock
 * there. */
static pid_t start_program(const char *const argv[])
{
    pid_t pid = fork();
    if (pid == 0) {
        child_defaults();
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* does not outlive us */
        execv(argv[0], (char *const *)argv);
        dprintf(STDERR_FILENO, "acemanager: %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    return pid;
}

static void tell(struct helper *h, const struct ace_notice *notice)
{
    if (h->fd >= 0) {
        ace_notice_send(h->fd, notice); /* a core that does not read is dead soon */
    }
}

static void refuse(struct helper *h, enum ace_order_kind kind, const char *why)
{
    struct ace_notice notice = {.kind = ACE_NOTICE_REFUSED, .slot = kind};
    snprintf(notice.text, sizeof notice.text, "%s", why);
    tell(h, &notice);
}

/* The number of an ammer, for a helper after us: this one may be killed. */
static void pid_path(const struct ace_config *config, unsigned slot, char out[2 * AMM_CONF_TEXT])
{
    snprintf(out, 2 * AMM_CONF_TEXT, "%s/ammer-%u.pid", config->run_folder, slot);
}

static void note_pid(const struct ace_config *config, unsigned slot, pid_t pid)
{
    char path[2 * AMM_CONF_TEXT], text[32], error[2 * AMM_CONF_TEXT + 96];
    pid_path(config, slot, path);
    int len = snprintf(text, sizeof text, "%d\n", (int)pid);
    if (!amm_file_write(path, amm_view(text, (size_t)len), 0600, error, sizeof error)) {
        amm_log(AMM_LOG_WARNING, "pid-file", amm_field_text("why", error));
    }
}

/* True if `pid` runs with the configuration of that slot. */
static bool is_ammer(const struct ace_config *config, unsigned slot, pid_t pid)
{
    char path[64], wanted[2 * AMM_CONF_TEXT], line[4096];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    snprintf(wanted, sizeof wanted, "%s/ammer-%u.conf", config->run_folder, slot);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, line, sizeof line) : -1;
    if (fd >= 0) {
        close(fd);
    }
    return got > 0 && memmem(line, (size_t)got, wanted, strlen(wanted) + 1) != NULL;
}

/* Ammers that outlived a helper that was killed hold the devices: nobody watches them any more. */
static void end_leftovers(const struct ace_config *config)
{
    for (unsigned slot = 0; slot < ACE_SLOTS; slot++) {
        char path[2 * AMM_CONF_TEXT], error[2 * AMM_CONF_TEXT + 96];
        struct amm_span text;
        pid_path(config, slot, path);
        if (access(path, F_OK) != 0 || !amm_file_read(path, 32, &text, error, sizeof error)) {
            continue;
        }
        pid_t pid = (pid_t)strtol((const char *)text.data, NULL, 10);
        free(text.data);
        const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
        for (unsigned i = 0; i < LEFTOVER_TRIES && pid > 1 && is_ammer(config, slot, pid); i++) {
            kill(pid, i < LEFTOVER_TRIES / 2 ? SIGTERM : SIGKILL);
            nanosleep(&pause, NULL);
        }
        unlink(path);
    }
}

static void start_ammer(struct helper *h, const struct ace_order *order)
{
    char path[2 * AMM_CONF_TEXT];
    const struct ace_config *c = h->config;
    struct child *child = &h->ammers[order->slot];
    snprintf(path, sizeof path, "%s/ammer-%u.conf", c->run_folder, order->slot);
    /* --user stands in the arguments: the file is the core's. */
    const char *argv[] = {c->ammer,      "--config", path, c->ammer_user[0] ? "--user" : NULL,
                          c->ammer_user, NULL};
    if (child->pid > 0) {
        refuse(h, ACE_ORDER_START, "ammer runs there already");
        return;
    }
    pid_t pid = start_program(argv);
    if (pid < 0) {
        refuse(h, ACE_ORDER_START, strerror(errno));
        return;
    }
    *child = (struct child){pid, order->value, AMM_NEVER};
    note_pid(c, order->slot, pid);
    tell(h,
         &(struct ace_notice){.kind = ACE_NOTICE_RUNS, .slot = order->slot, .value = order->value});
}

static void stop_ammer(struct helper *h, unsigned slot)
{
    struct child *child = &h->ammers[slot];
    if (child->pid > 0 && child->kill_at == AMM_NEVER) {
        kill(child->pid, SIGTERM);
        child->kill_at = h->now + STOP_SECONDS * AMM_SECOND;
    }
}

static void set_clock(struct helper *h, int64_t step_ms)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t limit = INT64_C(1) << 40; /* milliseconds: 34 years, either way */
    if (!h->config->set_clock || step_ms > limit * 4 || step_ms < -limit * 4) {
        refuse(h, ACE_ORDER_CLOCK, "the system's clock is not ours to set");
        return;
    }
    int64_t ns = t.tv_nsec + step_ms % 1000 * 1000000;
    t.tv_sec += (time_t)(step_ms / 1000) + (time_t)(ns / 1000000000) - (ns < 0);
    t.tv_nsec = (long)((ns % 1000000000 + 1000000000) % 1000000000);
    if (t.tv_sec < AMM_CLOCK_RELEASE || clock_settime(CLOCK_REALTIME, &t) != 0) {
        refuse(h, ACE_ORDER_CLOCK,
               t.tv_sec < AMM_CLOCK_RELEASE ? "before this release" : strerror(errno));
        return;
    }
    tell(h, &(struct ace_notice){.kind = ACE_NOTICE_CLOCK_SET, .value = step_ms});
}

static void reboot_machine(struct helper *h)
{
    char words[AMM_CONF_TEXT];
    const char *argv[ACE_ARGUMENTS + 1];
    ace_config_reboot(h->config, words, argv);
    if (strcmp(argv[0], "restart") == 0) {
        h->goal = RESTART;
        return;
    }
    pid_t pid = h->command > 0 ? 0 : start_program(argv);
    if (pid < 0) {
        refuse(h, ACE_ORDER_REBOOT, strerror(errno));
    } else if (pid > 0) {
        h->command = pid;
    }
}

/* ---- the core ---- */

static void start_core(struct helper *h)
{
    int ends[2];
    h->core_again = h->now + AGAIN_FIRST * AMM_SECOND; /* if it cannot be started */
    if (!amm_unix_pair(ends)) {
        return;
    }
    h->fd = ends[0];
    /* Before it runs, so that it knows of them before it decides anything. */
    for (unsigned slot = 0; slot < ACE_SLOTS; slot++) {
        if (h->ammers[slot].pid > 0) {
            tell(h, &(struct ace_notice){
                        .kind = ACE_NOTICE_RUNS, .slot = slot, .value = h->ammers[slot].value});
        }
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        close(h->signals);
        amm_loop_free(h->loop);
        child_defaults();
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        _exit(h->core_main(h->config, ends[1]));
    }
    close(ends[1]);
    if (pid < 0 || !amm_loop_add(h->loop, ends[0], AMM_READ, TAG_CORE)) {
        close(ends[0]);
        h->fd = -1;
        return;
    }
    h->core = pid;
    h->core_began = h->now;
    h->core_again = h->core_kill = AMM_NEVER;
}

static void core_ended(struct helper *h, int status)
{
    bool is_wanted = WIFEXITED(status) && (WEXITSTATUS(status) == ACE_EXIT_DONE ||
                                           WEXITSTATUS(status) == ACE_EXIT_CONFIG);
    amm_loop_remove(h->loop, h->fd);
    close(h->fd);
    h->fd = -1;
    h->core = 0;
    h->core_kill = AMM_NEVER;
    if (is_wanted || h->goal != GO_ON) {
        h->goal = h->goal == GO_ON ? END : h->goal;
        h->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
        return;
    }
    if (h->now - h->core_began > AGAIN_FORGOTTEN * AMM_SECOND) {
        h->deaths = 0;
    }
    int64_t wait = AGAIN_FIRST << (h->deaths < 5 ? h->deaths : 5);
    wait = wait < AGAIN_LONGEST ? wait : AGAIN_LONGEST;
    h->deaths++;
    h->core_again = h->now + wait * AMM_SECOND;
    amm_log(AMM_LOG_ERROR, "core-died",
            amm_field_number(WIFSIGNALED(status) ? "signal" : "code",
                             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)),
            amm_field_number("again", wait));
}

static void take_orders(struct helper *h)
{
    uint8_t packet[64];
    size_t len = 0, no_fds = 0;
    struct ace_order order;
    while (h->fd >= 0 && amm_unix_receive(h->fd, (struct amm_span){packet, sizeof packet}, &len,
                                          NULL, &no_fds) == AMM_UNIX_OK) {
        if (!ace_order_decode(&order, amm_view(packet, len)) || h->goal != GO_ON) {
            continue;
        }
        switch (order.kind) {
        case ACE_ORDER_START:
            start_ammer(h, &order);
            break;
        case ACE_ORDER_STOP:
            stop_ammer(h, order.slot);
            break;
        case ACE_ORDER_CLOCK:
            set_clock(h, order.value);
            break;
        case ACE_ORDER_REBOOT:
            reboot_machine(h);
            break;
        case ACE_ORDERS:
            break;
        }
    }
}

/* ---- signals ---- */

static void child_ended(struct helper *h, pid_t pid, int status)
{
    int code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    if (pid == h->core) {
        core_ended(h, status);
        return;
    }
    if (pid == h->command) {
        h->command = 0;
        if (code != 0) {
            refuse(h, ACE_ORDER_REBOOT, "the reboot command failed");
        }
        return;
    }
    for (unsigned slot = 0; slot < ACE_SLOTS; slot++) {
        struct child *child = &h->ammers[slot];
        if (child->pid == pid) {
            char path[2 * AMM_CONF_TEXT];
            pid_path(h->config, slot, path);
            unlink(path);
            *child = (struct child){.kill_at = AMM_NEVER};
            tell(h, &(struct ace_notice){.kind = ACE_NOTICE_ENDED, .slot = slot, .value = code});
        }
    }
}

static void take_signals(struct helper *h)
{
    struct signalfd_siginfo info;
    int status;
    while (read(h->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP && h->core > 0) {
            kill(h->core, SIGHUP);
        } else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
            h->goal = END;
        }
    }
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        child_ended(h, pid, status);
    }
}

static bool open_signals(struct helper *h)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaddset(&set, numbers[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    h->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return h->signals >= 0 && amm_loop_add(h->loop, h->signals, AMM_READ, TAG_SIGNAL);
}

/* ---- loop ---- */

/* Everybody is asked to end, the core first (it saves what it has). */
static void wind_down(struct helper *h)
{
    if (h->core > 0) {
        if (h->core_kill == AMM_NEVER) {
            kill(h->core, SIGTERM);
            h->core_kill = h->now + STOP_SECONDS * AMM_SECOND;
        }
        return;
    }
    h->core_again = AMM_NEVER;
    for (unsigned slot = 0; slot < ACE_SLOTS; slot++) {
        stop_ammer(h, slot);
    }
}

static bool is_alone(const struct helper *h)
{
    bool alone = h->core <= 0;
    for (unsigned slot = 0; slot < ACE_SLOTS; slot++) {
        alone = alone && h->ammers[slot].pid <= 0;
    }
    return alone;
}

static void kill_overdue(struct helper *h)
{
    if (h->core > 0 && h->now >= h->core_kill) {
        kill(h->core, SIGKILL);
        h->core_kill = h->now + STOP_SECONDS * AMM_SECOND;
    }
    for (unsigned slot = 0; slot < ACE_SLOTS; slot++) {
        if (h->ammers[slot].pid > 0 && h->now >= h->ammers[slot].kill_at) {
            kill(h->ammers[slot].pid, SIGKILL);
            h->ammers[slot].kill_at = h->now + STOP_SECONDS * AMM_SECOND;
        }
    }
}

static amm_time next_deadline(const struct helper *h)
{
    amm_time at = amm_time_min(h->core_again, h->core_kill);
    for (unsigned slot = 0; slot < ACE_SLOTS; slot++) {
        at = amm_time_min(at, h->ammers[slot].pid > 0 ? h->ammers[slot].kill_at : AMM_NEVER);
    }
    return at;
}

static void run_loop(struct helper *h)
{
    struct amm_ready ready[AMM_LOOP_READY];
    for (;;) {
        h->now = amm_now().mono;
        if (h->goal != GO_ON) {
            wind_down(h);
            if (is_alone(h)) {
                return;
            }
        } else if (h->now >= h->core_again) {
            start_core(h);
        }
        kill_overdue(h);
        unsigned n = amm_loop_wait(h->loop, next_deadline(h), ready);
        h->now = amm_now().mono;
        for (unsigned i = 0; i < n; i++) {
            if (ready[i].tag == TAG_SIGNAL) {
                take_signals(h);
            } else if (ready[i].tag == TAG_CORE) {
                take_orders(h);
            }
        }
    }
}

int ace_helper_run(const struct ace_config *config, char **argv,
                   int (*core)(const struct ace_config *config, int fd))
{
    struct helper h = {.config = config, .core_main = core, .fd = -1, .signals = -1};
    h.core_kill = AMM_NEVER;
    for (unsigned slot = 0; slot < ACE_SLOTS; slot++) {
        h.ammers[slot].kill_at = AMM_NEVER;
    }
    h.loop = amm_loop_new();
    if (!h.loop || !open_signals(&h)) {
        fprintf(stderr, "acemanager: out of memory or descriptors\n");
        return EXIT_FAILURE;
    }
    end_leftovers(config);
    run_loop(&h);
    close(h.signals);
    amm_loop_free(h.loop);
    if (h.goal == RESTART) {
        child_defaults();
        execv("/proc/self/exe", argv);
        fprintf(stderr, "acemanager: cannot start anew: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    return h.exit_code;
}
