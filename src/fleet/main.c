/* amm-fleet: thousands of gateways in one process, with the real client. */
#include "gateway.h"
#include "io/clock.h"
#include "shared_tun.h"

#include "base/wheel.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TAG_TUN UINT64_MAX
#define TAG_SIGNAL (UINT64_MAX - 1)

enum { EXIT_USAGE = 2, PACKETS_PER_TURN = 256 };

struct run {
    struct fleet fleet;
    struct issuer issuer;
    struct gateway *gateways;
    struct amm_wheel *wheel;
    int signals;
    amm_time began, next_progress,
        end; /* end: NEVER until all have joined and a duration is given */
    bool is_over;
};

static bool raise_descriptors(uint32_t count)
{
    struct rlimit limit;
    rlim_t need = (rlim_t)count + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return false;
    }
    if (limit.rlim_cur >= need) {
        return true;
    }
    limit.rlim_cur = need;
    limit.rlim_max = limit.rlim_max > need ? limit.rlim_max : need;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static bool make_identities(struct run *r, char *error, size_t room)
{
    const struct fleet_options *o = r->fleet.options;
    for (uint32_t i = 0; i < o->count; i++) {
        struct gateway *g = &r->gateways[i];
        char name[AMM_NAME_MAX + 1];
        *g = (struct gateway){
            .fleet = &r->fleet, .number = i, .fd = -1, .retry = AMM_NEVER, .next_echo = AMM_NEVER};
        snprintf(name, sizeof name, "%s%u", o->prefix, o->first + i);
        bool ok =
            o->folder[0]
                ? identity_read(&g->identity, &r->issuer, o->folder, name, error, room)
                : identity_make(&g->identity, &r->issuer, name, r->fleet.now.wall, error, room);
        if (!ok) {
            return false;
        }
    }
    printf("%u certificates ready\n", o->count);
    fflush(stdout);
    return true;
}

static bool open_signals(struct run *r)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    r->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return r->signals >= 0 && amm_loop_add(r->fleet.loop, r->signals, AMM_READ, TAG_SIGNAL);
}

static bool start(struct run *r, const struct fleet_options *o, char *error, size_t room)
{
    snprintf(error, room,
             "out of memory or descriptors (raise the limit of open files, or run as root)");
    r->fleet.options = o;
    r->fleet.now = amm_now();
    r->fleet.random = amm_kernel_random();
    r->fleet.numbers.count = o->count;
    r->gateways = calloc(o->count, sizeof *r->gateways);
    r->fleet.loop = amm_loop_new();
    r->fleet.aead = amm_aead_new(AMM_AEAD_BEST, o->count < 2048 ? 2 * o->count + 2 : 4096);
    r->wheel = amm_wheel_new(o->count, r->fleet.now.mono);
    if (!raise_descriptors(o->count) || !r->gateways || !r->fleet.loop || !r->fleet.aead ||
        !r->wheel || !open_signals(r)) {
        return false;
    }
    identity_ops_init();
    if (!issuer_init(&r->issuer, o->trust, o->folder[0] ? NULL : o->ca, o->ca_key, o->server_name,
                     error, room) ||
        !make_identities(r, error, room)) {
        return false;
    }
    if (o->tun[0]) {
        r->fleet.tun = shared_tun_new(o->tun, o->count, error, room);
        return r->fleet.tun &&
               amm_loop_add(r->fleet.loop, shared_tun_fd(r->fleet.tun), AMM_READ, TAG_TUN);
    }
    return true;
}

static void watch(struct run *r, uint32_t i)
{
    amm_wheel_set(r->wheel, i, gateway_deadline(&r->gateways[i]));
}

static amm_time join_time(const struct run *r, uint32_t i)
{
    return r->began + (amm_duration)i * AMM_SECOND / r->fleet.options->rate;
}

static void start_joins(struct run *r)
{
    struct fleet_numbers *n = &r->fleet.numbers;
    while (n->started < n->count && r->fleet.now.mono >= join_time(r, n->started)) {
        gateway_join(&r->gateways[n->started]);
        watch(r, n->started);
        n->started++;
    }
}

static void take_tun(struct run *r)
{
    for (int i = 0; i < PACKETS_PER_TURN; i++) {
        uint8_t out[2048];
        uint32_t number;
        size_t len = shared_tun_read(r->fleet.tun, out + AMM_DATA_OVERHEAD,
                                     sizeof out - AMM_DATA_OVERHEAD, &number);
        if (len == 0) {
            return;
        }
        gateway_send_inner(&r->gateways[number], out, len);
    }
}

static void take_ready(struct run *r, const struct amm_ready *ready)
{
    if (ready->tag == TAG_SIGNAL) {
        r->is_over = true;
    } else if (ready->tag == TAG_TUN) {
        take_tun(r);
    } else {
        gateway_ready(&r->gateways[ready->tag], ready);
        watch(r, (uint32_t)ready->tag);
    }
}

/* Progress, and whether it is time to end. */
static void look_at_numbers(struct run *r)
{
    const struct fleet_options *o = r->fleet.options;
    struct fleet_numbers *n = &r->fleet.numbers;
    amm_duration since = r->fleet.now.mono - r->began;
    if (n->all_joined_after == 0 && n->up == n->count) {
        n->all_joined_after = since;
        if (o->duration != UINT32_MAX) {
            r->end = r->fleet.now.mono + o->duration * AMM_SECOND;
        }
    }
    if (r->fleet.now.mono >= r->next_progress) {
        fleet_progress(n, since);
        r->next_progress += AMM_SECOND;
    }
    bool join_failed = n->all_joined_after == 0 && since >= o->join_timeout * AMM_SECOND;
    r->is_over |= r->fleet.now.mono >= r->end || join_failed;
}

static void run_loop(struct run *r)
{
    struct amm_ready ready[AMM_LOOP_READY];
    struct fleet_numbers *n = &r->fleet.numbers;
    r->fleet.now = amm_now(); /* making certificates took a while */
    r->began = r->fleet.now.mono;
    r->next_progress = r->began + AMM_SECOND;
    r->end = AMM_NEVER;
    while (!r->is_over) {
        start_joins(r);
        amm_time next = n->started < n->count ? join_time(r, n->started) : AMM_NEVER;
        next = amm_time_min(amm_time_min(next, r->next_progress),
                            amm_time_min(amm_wheel_deadline(r->wheel), r->end));
        unsigned got = amm_loop_wait(r->fleet.loop, next, ready);
        r->fleet.now = amm_now();
        for (unsigned i = 0; i < got; i++) {
            take_ready(r, &ready[i]);
        }
        r->fleet.now = amm_now();
        for (uint32_t i; (i = amm_wheel_expire(r->wheel, r->fleet.now.mono)) != AMM_WHEEL_NONE;) {
            gateway_expire(&r->gateways[i]);
            watch(r, i);
        }
        look_at_numbers(r);
    }
}

static bool finish(struct run *r, const struct fleet_options *o)
{
    char error[256];
    struct fleet_numbers *n = &r->fleet.numbers;
    bool ok = n->all_joined_after > 0 && n->lost == 0;
    fleet_progress(n, r->fleet.now.mono - r->began);
    if (o->report && !fleet_report_write(o->report, n, &r->fleet.drops, error, sizeof error)) {
        fprintf(stderr, "amm-fleet: %s\n", error);
        ok = false;
    }
    return ok;
}

static void clean(struct run *r, const struct fleet_options *o)
{
    for (uint32_t i = 0; r->gateways && i < o->count; i++) {
        if (r->gateways[i].fleet) {
            gateway_close(&r->gateways[i], o->vanish);
        }
    }
    shared_tun_free(r->fleet.tun);
    free(r->gateways);
    amm_wheel_free(r->wheel);
    amm_aead_free(r->fleet.aead);
    issuer_deinit(&r->issuer);
    samples_deinit(&r->fleet.numbers.joins);
    samples_deinit(&r->fleet.numbers.echoes);
    if (r->signals >= 0) {
        close(r->signals);
    }
    amm_loop_free(r->fleet.loop);
}

int main(int argc, char **argv)
{
    static struct fleet_options options;
    static struct run run = {.signals = -1};
    char error[256];
    if (!fleet_options_parse(&options, argc, argv)) {
        return EXIT_USAGE;
    }
    bool ok = start(&run, &options, error, sizeof error);
    if (ok) {
        run_loop(&run);
        ok = finish(&run, &options);
    } else {
        fprintf(stderr, "amm-fleet: %s\n", error);
    }
    clean(&run, &options);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
