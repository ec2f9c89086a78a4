#include "ammer.h"

#include "clock_floor.h"
#include "connect.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/log.h"
#include "io/privilege.h"
#include "io/resolve.h"
#include "state_server.h"
#include "traffic.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum tag { TAG_SIGNAL, TAG_STATE, TAG_RESOLVER, TAG_LINK, TAG_DEVICE };

enum { CLOCK_CHECK_SECONDS = 1, CLOCK_SAVE_SECONDS = 86400 };

struct ammer {
    const struct amm_settings *settings;
    const struct amm_credentials *credentials;
    struct amm_loop *loop;
    struct amm_aead *aead;
    struct amm_drops drops;
    struct amm_client *client;
    struct amm_connect connect;
    struct link link;
    struct tunnel_device device;
    struct traffic *traffic;
    struct amm_resolver *resolver;
    int signals, state_socket;
    struct amm_now now;

    unsigned remote; /* of the attempt under way; index in settings->remotes */
    bool is_resolving;
    struct amm_resolve_result candidates; /* its addresses */
    unsigned candidate;
    struct amm_address last_good[AMM_SETTINGS_REMOTES]; /* that a remote last answered from */

    struct amm_clock_floor floor;
    bool waits_for_time;
    amm_time clock_check; /* next look at the clock, or AMM_NEVER */
    amm_time clock_save;  /* next time the floor is saved, or AMM_NEVER */
    int64_t clock_offset; /* seconds that the settings' file adds to the system's clock */

    struct amm_client_state state;
    bool is_over;
    char fatal[256]; /* why the device is lost; "" on a wanted end */
};

/* ---- state ---- */

static void enter(struct ammer *a, enum amm_client_phase phase)
{
    if (phase != a->state.phase || a->state.since == 0) {
        a->state.phase = phase;
        a->state.since = a->now.wall;
        amm_log(AMM_LOG_DEBUG, "state", amm_field_text("state", amm_client_phase_name(phase)));
    }
}

static void say_error(struct ammer *a, const char *event, const char *words)
{
    snprintf(a->state.last_error, sizeof a->state.last_error, "%.*s",
             (int)sizeof a->state.last_error - 1, words);
    amm_log(AMM_LOG_WARNING, event, amm_field_text("remote", a->state.remote),
            amm_field_text("why", words));
}

static void refresh_state(struct ammer *a)
{
    const struct amm_peer *peer =
        a->connect.phase == AMM_CONNECT_UP ? amm_client_peer(a->client) : NULL;
    a->state.rx_packets = peer ? peer->rx_packets : 0;
    a->state.rx_bytes = peer ? peer->rx_bytes : 0;
    a->state.tx_packets = peer ? peer->tx_packets : 0;
    a->state.tx_bytes = peer ? peer->tx_bytes : 0;
    a->state.next_try = 0;
    if (a->connect.phase == AMM_CONNECT_WAITING && a->connect.at > a->now.mono) {
        a->state.next_try = (uint32_t)((a->connect.at - a->now.mono + AMM_SECOND - 1) / AMM_SECOND);
    }
    snprintf(a->state.tun, sizeof a->state.tun, "%s", a->device.name);
}

/* ---- clock ---- */

static struct amm_now clock_now(const struct ammer *a)
{
    struct amm_now now = amm_now();
    now.wall += a->clock_offset;
    return now;
}

/* Only between attempts, so that the clock never steps within a session. */
static void clock_offset_read(struct ammer *a)
{
    char error[160];
    struct amm_span text;
    if (a->settings->clock_offset[0] &&
        amm_file_read(a->settings->clock_offset, 64, &text, error, sizeof error)) {
        amm_clock_offset_parse((const char *)text.data, &a->clock_offset);
        free(text.data);
        a->now = clock_now(a);
    }
}

static void clock_floor_read(struct ammer *a)
{
    int64_t saved = 0;
    char error[160];
    struct amm_span text;
    if (a->settings->clock_floor[0] && access(a->settings->clock_floor, F_OK) == 0) {
        if (amm_file_read(a->settings->clock_floor, 64, &text, error, sizeof error)) {
            saved = amm_clock_saved_parse((const char *)text.data);
            free(text.data);
        } else {
            amm_log(AMM_LOG_WARNING, "clock-floor", amm_field_text("why", error));
        }
    }
    a->floor = amm_clock_floor(a->credentials->not_before, saved, a->credentials->not_after);
}

static void clock_floor_save(struct ammer *a)
{
    char text[32], error[160];
    a->clock_save = amm_time_after(a->now.mono, CLOCK_SAVE_SECONDS * AMM_SECOND);
    if (!a->settings->clock_floor[0] || a->now.wall <= a->floor.at) {
        return;
    }
    a->floor = amm_clock_floor(a->credentials->not_before, a->now.wall, a->credentials->not_after);
    int len = snprintf(text, sizeof text, "%lld\n", (long long)a->now.wall);
    if (!amm_file_write(a->settings->clock_floor, amm_view(text, (size_t)len), 0644, error,
                        sizeof error)) {
        amm_log(AMM_LOG_WARNING, "clock-floor", amm_field_text("why", error));
    }
}

static bool clock_is_ready(struct ammer *a)
{
    char words[160];
    a->clock_check = AMM_NEVER;
    clock_offset_read(a);
    if (amm_clock_is_sane(a->now.wall, &a->floor)) {
        if (a->waits_for_time) {
            amm_log(AMM_LOG_INFO, "clock-set", amm_field_number("time", a->now.wall));
            a->waits_for_time = false;
            a->state.last_error[0] = '\0';
        }
        return true;
    }
    a->clock_check = amm_time_after(a->now.mono, CLOCK_CHECK_SECONDS * AMM_SECOND);
    amm_clock_words(words, sizeof words, a->now.wall, &a->floor);
    if (!a->waits_for_time) {
        say_error(a, "waiting-for-time", words);
        a->waits_for_time = true;
    }
    enter(a, AMM_PHASE_WAITING_FOR_TIME);
    return false;
}

/* ---- attempts ---- */

static const struct amm_remote *remote_of(const struct ammer *a)
{
    return &a->settings->remotes[a->remote];
}

/* What was under way is over: the schedule says when to go on. */
static void end_attempt(struct ammer *a, const struct amm_connect_end *end)
{
    a->is_resolving = false;
    link_close(&a->link);
    amm_connect_ended(&a->connect, a->now.mono, end);
    a->state.inner_ip = a->state.server_ip = 0;
    a->state.epoch = 0;
    a->state.server[0] = '\0';
    a->state.address = (struct amm_address){0};
    a->clock_save = AMM_NEVER;
    enter(a, end->refused_for_good ? AMM_PHASE_REFUSED : AMM_PHASE_BACKING_OFF);
}

static bool open_candidate(struct ammer *a, char *error, size_t room)
{
    const struct amm_address *address = &a->candidates.addresses[a->candidate];
    if (!link_open(&a->link, address, remote_of(a)->transport, error, room)) {
        return false;
    }
    a->state.address = *address;
    enter(a, AMM_PHASE_CONNECTING);
    if (remote_of(a)->transport == AMM_UDP) {
        amm_client_connect(a->client, a->now, &a->link.path);
    }
    return true;
}

/* Goes through the addresses of the remote from a->candidate on; `why` is what was wrong with the
 * one before. */
static void try_candidates(struct ammer *a, const char *why)
{
    char error[160];
    snprintf(error, sizeof error, "%s", why);
    for (; a->candidate < a->candidates.n; a->candidate++) {
        amm_connect_again(&a->connect, a->now.mono);
        if (open_candidate(a, error, sizeof error)) {
            return;
        }
    }
    say_error(a, "no-connection", error);
    end_attempt(a, &(struct amm_connect_end){0});
}

static void next_candidate(struct ammer *a, const char *why)
{
    a->candidate++;
    try_candidates(a, why);
}

static void use_addresses(struct ammer *a, const struct amm_resolve_result *result)
{
    const struct amm_address *last = &a->last_good[a->remote];
    a->is_resolving = false;
    a->candidates = *result;
    a->candidate = 0;
    if (result->n == 0 && last->family != AMM_FAMILY_NONE) {
        a->candidates.addresses[0] = *last;
        a->candidates.n = 1;
    }
    try_candidates(a, result->error);
}

static void begin_attempt(struct ammer *a, unsigned remote)
{
    a->remote = remote;
    const struct amm_remote *r = remote_of(a);
    struct amm_resolve_result numeric = {.n = 1};
    snprintf(a->state.remote, sizeof a->state.remote, "%s:%u/%s", r->host, r->port,
             r->transport == AMM_UDP ? "udp" : "tcp");
    if (amm_address_parse(&numeric.addresses[0], r->host, r->port)) {
        use_addresses(a, &numeric);
        return;
    }
    enter(a, AMM_PHASE_RESOLVING);
    a->is_resolving = true;
    if (!amm_resolver_ask(a->resolver, r->host, r->port, r->family)) {
        use_addresses(a,
                      &(struct amm_resolve_result){.error = "name lookup failed: out of memory"});
    }
}

static void run_schedule(struct ammer *a)
{
    if (amm_connect_is_overdue(&a->connect, a->now.mono)) {
        if (a->is_resolving) {
            use_addresses(a, &(struct amm_resolve_result){.error = "name lookup takes too long"});
        } else {
            next_candidate(a, "no answer");
        }
    }
    if (a->connect.phase == AMM_CONNECT_WAITING && a->now.mono >= a->connect.at &&
        a->now.mono >= (a->clock_check == AMM_NEVER ? a->now.mono : a->clock_check) &&
        clock_is_ready(a)) {
        int remote = amm_connect_due(&a->connect, a->now.mono);
        if (remote >= 0) {
            begin_attempt(a, (unsigned)remote);
        }
    }
    if (a->now.mono >= a->clock_save) {
        clock_floor_save(a);
    }
}

/* ---- events ---- */

static void send_output(struct ammer *a)
{
    struct amm_control_out out;
    while (amm_client_output(a->client, a->now, &out)) {
        link_send(&a->link, amm_view(out.data, out.len));
    }
    link_flush(&a->link);
}

/* The server's own address inside the tunnel: what amm-tunneld pushes a way to. */
static uint32_t server_inner(const struct amm_push *push)
{
    for (unsigned i = 0; i < push->n_routes; i++) {
        if (push->routes[i].mask == UINT32_MAX) {
            return push->routes[i].network;
        }
    }
    return push->route_gateway;
}

static void on_pushed(struct ammer *a, const struct amm_push *push)
{
    char error[256];
    if (tunnel_device_apply(&a->device, a->settings, push, &a->link.path.remote, error,
                            sizeof error)) {
        a->state.inner_ip = push->local;
        a->state.server_ip = server_inner(push);
        return;
    }
    say_error(a, "options-refused", error);
    amm_client_leave(a->client, a->now);
    send_output(a);
    end_attempt(a, &(struct amm_connect_end){0});
}

static void on_joined(struct ammer *a, const struct amm_event *event)
{
    amm_connect_up(&a->connect);
    a->last_good[a->remote] = a->link.path.remote;
    a->state.joins++;
    a->state.epoch = event->epoch;
    a->state.last_error[0] = '\0';
    snprintf(a->state.server, sizeof a->state.server, "%s", event->identity.name);
    snprintf(a->state.tls, sizeof a->state.tls, "%s", event->tls_version ? event->tls_version : "");
    snprintf(a->state.cipher, sizeof a->state.cipher, "%s",
             amm_cipher_name((enum amm_cipher)event->push.cipher));
    enter(a, AMM_PHASE_UP);
    clock_floor_save(a);
    amm_log(AMM_LOG_INFO, "joined", amm_field_text("remote", a->state.remote),
            amm_field_address("address", &a->link.path.remote),
            amm_field_text("server", a->state.server), amm_field_ipv4("inner", a->state.inner_ip),
            amm_field_text("device", a->device.name), amm_field_text("cipher", a->state.cipher),
            amm_field_text("tls", a->state.tls));
}

static void closed_words(const struct amm_event *event, char *out, size_t room)
{
    const char *cause = event->reason == AMM_CLOSE_TLS ? amm_tls_failure_text(event->failure)
                                                       : amm_close_reason_name(event->reason);
    bool says_cause = strncmp(event->text, cause, strlen(cause)) == 0;
    snprintf(out, room, "%s%s%s", says_cause ? "" : cause,
             says_cause || !event->text[0] ? "" : ": ", event->text);
}

static void on_closed(struct ammer *a, const struct amm_event *event)
{
    char words[320];
    if (a->connect.phase == AMM_CONNECT_WAITING) {
        return; /* of an attempt that was given up here before */
    }
    closed_words(event, words, sizeof words);
    say_error(a, event->was_joined ? "tunnel-lost" : "not-joined", words);
    bool is_asked = event->reason == AMM_CLOSE_REFUSED || event->reason == AMM_CLOSE_RESTART;
    end_attempt(a, &(struct amm_connect_end){
                       .refused_for_good = event->is_final,
                       .next_remote = event->try_next_remote,
                       .same_remote = is_asked && !event->try_next_remote,
                       .backoff = event->backoff,
                   });
}

/* True if there were any. */
static bool take_events(struct ammer *a)
{
    struct amm_event event;
    bool any = false;
    while (!a->is_over && amm_client_next_event(a->client, &event)) {
        any = true;
        switch (event.kind) {
        case AMM_EVENT_PUSHED:
            on_pushed(a, &event.push);
            break;
        case AMM_EVENT_JOINED:
            on_joined(a, &event);
            break;
        case AMM_EVENT_RENEWED:
            amm_log(AMM_LOG_DEBUG, "renewed", amm_field_text("remote", a->state.remote));
            break;
        case AMM_EVENT_MESSAGE:
            amm_log(AMM_LOG_INFO, "server-says", amm_field_text("text", event.text));
            break;
        case AMM_EVENT_CLOSED:
            on_closed(a, &event);
            break;
        case AMM_EVENT_AUTHORISE:
        case AMM_EVENT_PLANE:
            break;
        }
    }
    return any;
}

/* ---- loop ---- */

static uint64_t drops_in_all(const struct ammer *a)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < AMM_DROP_COUNT; i++) {
        sum += a->drops.count[i];
    }
    return sum;
}

static void take_link(struct ammer *a, const struct amm_ready *ready)
{
    char error[160] = "connection lost";
    if (link_ready(&a->link, ready, error, sizeof error)) {
        amm_client_connect(a->client, a->now, &a->link.path);
    }
    uint64_t dropped = drops_in_all(a);
    unsigned taken = traffic_down(a->traffic, a->client, a->now, &a->device, &a->link);
    if (a->connect.phase == AMM_CONNECT_TRYING && taken > drops_in_all(a) - dropped) {
        amm_connect_answered(&a->connect); /* with something that we understand */
        enter(a, AMM_PHASE_AUTHENTICATING);
    }
    take_events(a);
    if (a->link.is_broken && a->connect.phase == AMM_CONNECT_TRYING) {
        next_candidate(a, error);
    } else if (a->link.is_broken && a->connect.phase != AMM_CONNECT_WAITING) {
        say_error(a, "tunnel-lost", error);
        end_attempt(a, &(struct amm_connect_end){0});
    }
}

static void take_ready(struct ammer *a, const struct amm_ready *ready)
{
    struct amm_resolve_result result;
    switch ((enum tag)ready->tag) {
    case TAG_SIGNAL:
        a->is_over = true;
        break;
    case TAG_STATE:
        refresh_state(a);
        state_server_answer(a->state_socket, &a->state);
        break;
    case TAG_RESOLVER:
        if (amm_resolver_take(a->resolver, &result) && a->is_resolving) {
            use_addresses(a, &result);
        }
        break;
    case TAG_LINK:
        take_link(a, ready);
        break;
    case TAG_DEVICE:
        if (!traffic_up(a->traffic, a->client, a->now, &a->device, &a->link)) {
            snprintf(a->fatal, sizeof a->fatal, "the device %s is gone", a->device.name);
            a->is_over = true;
        }
        break;
    }
}

static amm_time next_deadline(const struct ammer *a)
{
    amm_time schedule = amm_connect_deadline(&a->connect);
    if (a->clock_check != AMM_NEVER) {
        schedule = schedule > a->clock_check ? schedule : a->clock_check;
    }
    return amm_time_min(amm_time_min(schedule, amm_client_deadline(a->client)), a->clock_save);
}

static void run_loop(struct ammer *a)
{
    struct amm_ready ready[AMM_LOOP_READY];
    while (!a->is_over) {
        /* A session that was refused ends when its last acknowledgement has left: sending, too,
         * makes events, and what they start has something to send. */
        do {
            run_schedule(a);
            send_output(a);
        } while (take_events(a));
        unsigned n = amm_loop_wait(a->loop, next_deadline(a), ready);
        a->now = clock_now(a);
        for (unsigned i = 0; i < n && !a->is_over; i++) {
            take_ready(a, &ready[i]);
        }
        a->now = clock_now(a);
        amm_client_expire(a->client, a->now);
        take_events(a);
    }
}

/* ---- start and end ---- */

static bool open_client(struct ammer *a, const char *version)
{
    struct amm_client_config config = {.mtu = a->settings->mtu};
    const struct amm_settings *s = a->settings;
    amm_engine_config_defaults(&config.engine);
    config.engine.role = AMM_CLIENT;
    config.engine.wraps = &a->credentials->wrap;
    config.engine.n_wraps = 1;
    memcpy(config.engine.ciphers, s->ciphers, sizeof config.engine.ciphers);
    config.engine.hand_window = s->hand_window * AMM_SECOND;
    config.engine.renegotiate = s->renegotiate * AMM_SECOND;
    config.engine.username = s->needs_login ? a->credentials->username : NULL;
    config.engine.password = s->needs_login ? a->credentials->password : NULL;
    config.engine.version = version;
    config.engine.platform = "linux";
    config.engine.mtu = 1500;
    config.engine.ping = s->ping;
    config.engine.keep_alive = s->keep_alive;
    config.engine.ping_restart = s->ping_restart;
    const struct amm_engine_env env = {
        .random = amm_system_random(),
        .tls = &amm_tls_openssl,
        .tls_context = a->credentials->tls,
    };
    a->aead = amm_aead_new(AMM_AEAD_LIGHT, 8);
    a->client = a->aead ? amm_client_new(&config, &env, a->aead, &a->drops, a->now) : NULL;
    return a->client != NULL;
}

/* SIGTERM and SIGINT come through a descriptor; SIGHUP and SIGPIPE are nothing to a tunnel. */
static bool open_signals(struct ammer *a)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    a->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return a->signals >= 0 && amm_loop_add(a->loop, a->signals, AMM_READ, TAG_SIGNAL);
}

static bool become_user(const struct amm_settings *s, char *error, size_t room)
{
    struct amm_user user;
    if (!s->user[0] || geteuid() != 0) {
        amm_process_seal();
        return true;
    }
    /* Another address or route may be pushed at any time: that one right stays. */
    return amm_user_find(s->user, &user, error, room) &&
           amm_privileges_drop_to(&user, UINT64_C(1) << CAP_NET_ADMIN, error, room);
}

static bool start(struct ammer *a, const char *version, char *error, size_t room)
{
    snprintf(error, room, "out of memory or descriptors");
    a->loop = amm_loop_new();
    a->resolver = amm_resolver_new();
    a->traffic = traffic_new();
    if (!a->loop || !a->resolver || !a->traffic || !link_init(&a->link, a->loop, TAG_LINK) ||
        !open_signals(a) ||
        !amm_loop_add(a->loop, amm_resolver_fd(a->resolver), AMM_READ, TAG_RESOLVER) ||
        !open_client(a, version)) {
        return false;
    }
    if (!tunnel_device_open(&a->device, a->loop, TAG_DEVICE, a->settings->tun, error, room)) {
        return false;
    }
    if (a->settings->state_socket[0]) {
        a->state_socket =
            state_server_open(a->settings->state_socket, a->settings->state_group, error, room);
        if (a->state_socket < 0 || !amm_loop_add(a->loop, a->state_socket, AMM_READ, TAG_STATE)) {
            return false;
        }
    }
    if (!become_user(a->settings, error, room)) {
        return false;
    }
    clock_floor_read(a);
    amm_connect_init(&a->connect, a->settings, amm_system_random(), a->now.mono);
    enter(a, AMM_PHASE_BACKING_OFF);
    return true;
}

static void finish(struct ammer *a)
{
    if (a->client && a->link.buffers && a->link.fd >= 0) {
        amm_client_leave(a->client, a->now);
        send_output(a);
    }
    if (a->state_socket >= 0) {
        unlink(a->settings->state_socket);
        close(a->state_socket);
    }
    if (a->loop) {
        tunnel_device_close(&a->device);
    }
    link_deinit(&a->link);
    amm_client_free(a->client);
    amm_aead_free(a->aead);
    traffic_free(a->traffic);
    amm_resolver_free(a->resolver);
    if (a->signals >= 0) {
        close(a->signals);
    }
    amm_loop_free(a->loop);
}

bool ammer_run(const struct amm_settings *settings, const struct amm_credentials *credentials,
               const char *version, char *error, size_t room)
{
    struct ammer *a = calloc(1, sizeof *a);
    if (!a) {
        snprintf(error, room, "out of memory");
        return false;
    }
    a->settings = settings;
    a->credentials = credentials;
    a->signals = a->state_socket = a->device.fd = a->link.fd = -1;
    a->clock_check = a->clock_save = AMM_NEVER;
    a->now = amm_now();
    bool ok = start(a, version, error, room);
    if (ok) {
        run_loop(a);
        ok = a->fatal[0] == '\0';
        snprintf(error, room, "%s", a->fatal);
    }
    finish(a);
    free(a);
    return ok;
}
