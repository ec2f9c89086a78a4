/* Supervision: starts the engine, starts it again when it dies, hands files over, ends. */
#include "tunneld/holder.h"

#include "io/clock.h"
#include "io/log.h"
#include "io/loop.h"
#include "io/unix.h"
#include "tunneld/material.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ENGINE_FD = 3,
    DEATHS_MAX = 5,
    DEATHS_WINDOW_S = 10,
    STOP_PATIENCE_S = 10,
    FILES_MAX = 65536
};

enum tag { TAG_SIGNAL, TAG_CHANNEL };

struct holder {
    struct amm_holdings held;
    struct amm_files files;
    struct amm_loop *loop;
    int signals;
    int channel; /* to the engine that runs; -1 */
    pid_t engine;
    bool was_ready; /* an engine has said READY */
    bool stopping;
    amm_time kill_at;
    amm_time deaths[DEATHS_MAX]; /* of the last engines, oldest first */
    unsigned n_deaths;
    amm_time looked; /* when the files that may change were looked at */
    int64_t seen[2]; /* when they had changed then */
    bool over;
    enum amm_holder_result result;
};

static void say(const char *error)
{
    fprintf(stderr, "amm-tunneld: %s\n", error);
}

static void end(struct holder *holder, enum amm_holder_result result)
{
    holder->over = true;
    holder->result = result;
}

/* ---- the engine process ---- */

static void raise_file_limit(void)
{
    struct rlimit limit = {FILES_MAX, FILES_MAX}, now;
    bool known = getrlimit(RLIMIT_NOFILE, &now) == 0;
    if (known && now.rlim_max > limit.rlim_max) {
        limit.rlim_max = now.rlim_max;
    }
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && known) {
        /* A container's root may not raise the hard limit: take all of it. */
        now.rlim_cur = now.rlim_max;
        setrlimit(RLIMIT_NOFILE, &now);
    }
}

/* In the child: nothing but standard streams and the channel is inherited, and no right. */
__attribute__((noreturn)) static void become_engine(const struct holder *holder, int channel)
{
    char error[AMM_CONF_ERROR], number[8];
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    raise_file_limit();
    snprintf(number, sizeof number, "%d", ENGINE_FD);
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    /* What a careless parent left open would go on to the engine. */
    close_range(ENGINE_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    bool ok = self >= 0 && (channel == ENGINE_FD ? fcntl(channel, F_SETFD, 0) == 0
                                                 : dup2(channel, ENGINE_FD) >= 0);
    snprintf(error, sizeof error, "cannot start the engine: %s", strerror(errno));
    if (ok && amm_privileges_drop(&holder->held.user, error, sizeof error)) {
        char *const argv[] = {"amm-tunneld", "--engine", number, NULL};
        fexecve(self, argv, environ);
        snprintf(error, sizeof error,
                 "cannot start the engine as uid %u: %s (may that user execute the program?)",
                 holder->held.user.uid, strerror(errno));
    }
    say(error);
    _exit(AMM_HOLDER_CONFIG);
}

static bool start_engine(struct holder *holder)
{
    int ends[2];
    int files = amm_files_pack(&holder->files, false);
    if (files < 0 || !amm_unix_pair(ends)) {
        say("out of memory or descriptors");
        if (files >= 0) {
            close(files);
        }
        return false;
    }
    holder->held.state->engine_starts++;
    holder->engine = fork();
    if (holder->engine == 0) {
        become_engine(holder, ends[1]);
    }
    close(ends[1]);
    holder->channel = ends[0];
    bool ok =
        holder->engine > 0 && amm_loop_add(holder->loop, holder->channel, AMM_READ, TAG_CHANNEL);
    if (ok) {
        /* If it fails the engine is dying; its exit is what counts. */
        amm_handoff_send(holder->channel, &holder->held, files);
    }
    close(files);
    return ok;
}

static void close_channel(struct holder *holder)
{
    if (holder->channel >= 0) {
        amm_loop_remove(holder->loop, holder->channel);
        close(holder->channel);
        holder->channel = -1;
    }
}

/* True if engines die so fast that another one would not help. */
static bool brake(struct holder *holder)
{
    amm_time now = amm_now().mono;
    if (holder->n_deaths == DEATHS_MAX && now - holder->deaths[0] < DEATHS_WINDOW_S * AMM_SECOND) {
        return true;
    }
    if (holder->n_deaths == DEATHS_MAX) {
        memmove(holder->deaths, holder->deaths + 1,
                sizeof holder->deaths - sizeof holder->deaths[0]);
        holder->n_deaths--;
    }
    holder->deaths[holder->n_deaths++] = now;
    return false;
}

static void engine_ended(struct holder *holder, int status)
{
    close_channel(holder);
    holder->engine = 0;
    if (holder->stopping) {
        end(holder, AMM_HOLDER_OK);
        return;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == AMM_HOLDER_CONFIG && !holder->was_ready) {
        end(holder, AMM_HOLDER_CONFIG); /* it has said why */
        return;
    }
    amm_log(AMM_LOG_ERROR, "engine-died",
            amm_field_number("code", WIFEXITED(status) ? WEXITSTATUS(status) : 0),
            amm_field_number("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
            amm_field_number("starts", holder->held.state->engine_starts));
    if (brake(holder)) {
        say("the engine died more than 5 times in 10 seconds; giving up");
        end(holder, AMM_HOLDER_FAILED);
    } else if (!start_engine(holder)) {
        end(holder, AMM_HOLDER_FAILED);
    }
}

static void reap(struct holder *holder)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == holder->engine) {
            engine_ended(holder, status);
        }
    }
}

/* ---- what comes in ---- */

static void reload(struct holder *holder)
{
    amm_files_reload(&holder->files, &holder->held.config);
    int files = amm_files_pack(&holder->files, true);
    if (files >= 0) {
        amm_channel_send_material(holder->channel, files);
        close(files);
    }
}

/* The first signal lets the engine tell its gateways; the second one, or time, ends it. */
static void stop(struct holder *holder)
{
    amm_time now = amm_now().mono;
    bool told = !holder->stopping && holder->channel >= 0 &&
                amm_channel_send(holder->channel, AMM_CHANNEL_STOP, 0);
    holder->stopping = true;
    holder->kill_at = told ? amm_time_after(now, STOP_PATIENCE_S * AMM_SECOND) : now;
}

static void take_signal(struct holder *holder)
{
    struct signalfd_siginfo info;
    while (read(holder->signals, &info, sizeof info) == sizeof info) {
        switch (info.ssi_signo) {
        case SIGCHLD:
            reap(holder);
            break;
        case SIGHUP:
            reload(holder);
            break;
        default:
            stop(holder);
            break;
        }
    }
}

static void take_message(struct holder *holder)
{
    struct amm_channel_message message;
    enum amm_channel_result result = AMM_CHANNEL_OK;
    while (holder->channel >= 0 &&
           (result = amm_channel_receive(holder->channel, &message, NULL)) == AMM_CHANNEL_OK) {
        switch (message.type) {
        case AMM_CHANNEL_READY:
            holder->was_ready = true;
            amm_log(AMM_LOG_INFO, "serving", amm_field_number("ports", holder->held.config.n_ports),
                    amm_field_number("workers", holder->held.config.workers),
                    amm_field_number("handshake-threads", holder->held.config.handshake_threads),
                    amm_field_number("engine", holder->engine),
                    amm_field_number("starts", holder->held.state->engine_starts));
            if (holder->held.state->engine_starts > 1) {
                reload(holder); /* what changed may have died with the former engine unanswered */
            }
            break;
        case AMM_CHANNEL_RELOAD:
            reload(holder);
            break;
        case AMM_CHANNEL_ACCEPTED:
            amm_files_accept(&holder->files, message.good);
            break;
        default:
            break;
        }
    }
    if (result == AMM_CHANNEL_CLOSED) {
        close_channel(holder); /* SIGCHLD says the rest */
    }
}

/* Something that is another number when the file was written or replaced: its times are as coarse
 * as the kernel's clock, two replacements may have the same. */
static int64_t changed_at(const char *path)
{
    struct stat info;
    if (path[0] == 0 || stat(path, &info) != 0) {
        return 0;
    }
    uint64_t written = (uint64_t)info.st_mtim.tv_sec * 1000000000 + (uint64_t)info.st_mtim.tv_nsec;
    return (int64_t)(written + (uint64_t)info.st_size + ((uint64_t)info.st_ino << 40));
}

/* Gateways and revocation lists are taken over without a signal: a list that nobody read revokes
 * nobody. */
static void watch_files(struct holder *holder, amm_time now)
{
    const char *const paths[2] = {holder->held.config.roster, holder->held.config.crl};
    bool first = holder->looked == 0;
    bool changed = false;
    if (!first && now - holder->looked < AMM_SECOND) {
        return;
    }
    holder->looked = now;
    for (int i = 0; i < 2; i++) {
        int64_t at = changed_at(paths[i]);
        changed |= at != holder->seen[i];
        holder->seen[i] = at;
    }
    if (changed && !first && !holder->stopping) {
        reload(holder);
    }
}

static void serve(struct holder *holder)
{
    struct amm_ready ready[AMM_LOOP_READY];
    while (!holder->over) {
        watch_files(holder, amm_now().mono);
        amm_time deadline = holder->looked + AMM_SECOND;
        if (holder->stopping) {
            deadline = amm_time_min(deadline, holder->kill_at);
        }
        unsigned n = amm_loop_wait(holder->loop, deadline, ready);
        for (unsigned i = 0; i < n; i++) {
            if (ready[i].tag == TAG_CHANNEL) {
                take_message(holder);
            } else {
                take_signal(holder);
            }
        }
        if (holder->stopping && !holder->over && amm_now().mono >= holder->kill_at) {
            holder->kill_at = AMM_NEVER;
            kill(holder->engine, SIGKILL);
        }
    }
}

static bool take_signals(struct holder *holder)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    holder->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    holder->loop = amm_loop_new();
    return holder->signals >= 0 && holder->loop != NULL &&
           amm_loop_add(holder->loop, holder->signals, AMM_READ, TAG_SIGNAL);
}

enum amm_holder_result amm_holder_run(const struct amm_tunneld_config *config)
{
    static struct holder holder = {.channel = -1};
    char error[2 * AMM_CONF_ERROR] = "";
    if (geteuid() != 0) {
        say("makes devices and a network namespace: start it as root (it gives that up for the "
            "engine)");
        return AMM_HOLDER_FAILED;
    }
    raise_file_limit();
    amm_process_seal();
    if (!amm_files_read(&holder.files, config, error, sizeof error)) {
        say(error);
        return AMM_HOLDER_CONFIG;
    }
    /* Signals wait from here on: whoever ends a start half-way must not leave a namespace behind.
     */
    if (!take_signals(&holder)) {
        say("out of memory or descriptors");
        return AMM_HOLDER_FAILED;
    }
    holder.result = amm_holdings_make(&holder.held, config, error, sizeof error);
    if (holder.result != AMM_HOLDER_OK) {
        say(error);
    } else if (!start_engine(&holder)) {
        say("out of memory or descriptors");
        holder.result = AMM_HOLDER_FAILED;
    } else {
        serve(&holder);
    }
    amm_holdings_release(&holder.held);
    amm_files_deinit(&holder.files);
    holder.loop = amm_loop_free(holder.loop);
    return holder.result;
}
