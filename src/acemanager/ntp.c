#include "ntp.h"

#include "clock_floor.h"

#include "io/clock.h"
#include "io/resolve.h"
#include "io/udp.h"
#include "sntp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 3, LOOKUP_SECONDS = 15, BUFFER = 512 };

enum step { IDLE, LOOKING_UP, ASKED };

struct ace_ntp {
    struct amm_loop *loop;
    struct amm_random random;
    struct amm_resolver *resolver;
    uint64_t socket_tag;
    int fd; /* -1: none */
    enum step step;
    amm_time deadline;
    unsigned failures;

    struct ace_ntp_view servers[ACE_NTP_SERVERS];
    size_t n;
    size_t at; /* server that is asked */
    struct amm_address address;
    uint64_t cookie;
    amm_time sent;   /* monotonic */
    int64_t sent_ms; /* by the clock that is judged */
    struct ace_sntp_answer answers[ACE_NTP_SERVERS];
    size_t from[ACE_NTP_SERVERS]; /* which server each answer is of */
    size_t n_answers;
};

struct ace_ntp *ace_ntp_new(struct amm_loop *loop, struct amm_random random, uint64_t resolver_tag,
                            uint64_t socket_tag)
{
    struct ace_ntp *ntp = calloc(1, sizeof *ntp);
    if (!ntp) {
        return NULL;
    }
    ntp->loop = loop;
    ntp->random = random;
    ntp->socket_tag = socket_tag;
    ntp->fd = -1;
    ntp->deadline = AMM_NEVER;
    ntp->resolver = amm_resolver_new();
    if (!ntp->resolver ||
        !amm_loop_add(loop, amm_resolver_fd(ntp->resolver), AMM_READ, resolver_tag)) {
        amm_resolver_free(ntp->resolver);
        free(ntp);
        return NULL;
    }
    return ntp;
}

static void close_socket(struct ace_ntp *ntp)
{
    if (ntp->fd >= 0) {
        amm_loop_remove(ntp->loop, ntp->fd);
        close(ntp->fd);
        ntp->fd = -1;
    }
}

struct ace_ntp *ace_ntp_free(struct ace_ntp *ntp)
{
    if (ntp) {
        close_socket(ntp);
        amm_loop_remove(ntp->loop, amm_resolver_fd(ntp->resolver));
        amm_resolver_free(ntp->resolver);
        free(ntp);
    }
    return NULL;
}

void ace_ntp_servers(struct ace_ntp *ntp, const char *servers, amm_time now)
{
    close_socket(ntp);
    memset(ntp->servers, 0, sizeof ntp->servers);
    ntp->n = 0;
    while (*servers && ntp->n < ACE_NTP_SERVERS) {
        size_t len = strcspn(servers, ", ");
        struct ace_ntp_view *server = &ntp->servers[ntp->n];
        if (len > 0 && len < sizeof server->server) {
            memcpy(server->server, servers, len);
            ntp->n++;
        }
        servers += len;
        servers += strspn(servers, ", ");
    }
    ntp->step = IDLE;
    ntp->failures = 0;
    ntp->deadline = ntp->n > 0 ? now : AMM_NEVER;
}

amm_time ace_ntp_deadline(const struct ace_ntp *ntp)
{
    return ntp->deadline;
}

size_t ace_ntp_view(const struct ace_ntp *ntp, const struct ace_ntp_view **out)
{
    *out = ntp->servers;
    return ntp->n;
}

/* Milliseconds by the clock that is judged: `now` with the part of the second that the system's
 * clock has. */
static int64_t precise(struct amm_now now)
{
    struct timespec system;
    clock_gettime(CLOCK_REALTIME, &system);
    int64_t offset = now.wall - amm_now().wall; /* the clock's own offset, in whole seconds */
    return ((int64_t)system.tv_sec + offset) * 1000 + system.tv_nsec / 1000000;
}

static struct ace_ntp_view *server_of(struct ace_ntp *ntp)
{
    return &ntp->servers[ntp->at];
}

/* Sends the question; false with the server's error. */
static bool ask(struct ace_ntp *ntp, struct amm_now now)
{
    const struct amm_udp_settings settings = {.local = {.family = AMM_FAMILY_NONE},
                                              .buffer = 65536};
    uint8_t packet[ACE_SNTP_PACKET];
    struct ace_ntp_view *server = server_of(ntp);
    close_socket(ntp);
    ntp->fd = amm_udp_open(&settings, server->error, sizeof server->error);
    if (ntp->fd < 0 || !amm_loop_add(ntp->loop, ntp->fd, AMM_READ, ntp->socket_tag)) {
        return false;
    }
    ntp->cookie = amm_random_u64(&ntp->random);
    ace_sntp_question(packet, ntp->cookie);
    ntp->sent = now.mono;
    ntp->sent_ms = precise(now);
    if (amm_udp_send(ntp->fd, &ntp->address, NULL, amm_view(packet, sizeof packet), 0) !=
        AMM_UDP_OK) {
        snprintf(server->error, sizeof server->error, "cannot be reached");
        return false;
    }
    ntp->step = ASKED;
    ntp->deadline = now.mono + ANSWER_SECONDS * AMM_SECOND;
    return true;
}

static bool look_up(struct ace_ntp *ntp, struct amm_now now)
{
    struct ace_ntp_view *server = server_of(ntp);
    if (amm_address_parse(&ntp->address, server->server, ACE_SNTP_PORT)) {
        return ask(ntp, now);
    }
    if (!amm_resolver_ask(ntp->resolver, server->server, ACE_SNTP_PORT, AMM_FAMILY_NONE)) {
        snprintf(server->error, sizeof server->error, "name lookup failed: out of memory");
        return false;
    }
    ntp->step = LOOKING_UP;
    ntp->deadline = now.mono + LOOKUP_SECONDS * AMM_SECOND;
    return true;
}

static void begin_round(struct ace_ntp *ntp)
{
    ntp->at = 0;
    ntp->n_answers = 0;
}

/* The round is over: what do most of them say? */
static bool end_round(struct ace_ntp *ntp, struct amm_now now, int64_t *offset_ms)
{
    int best = ace_sntp_choose(ntp->answers, ntp->n_answers);
    close_socket(ntp);
    ntp->step = IDLE;
    if (best >= 0) {
        ntp->failures = 0;
        ntp->deadline = now.mono + ACE_NTP_EVERY * AMM_SECOND;
        *offset_ms = ntp->answers[best].offset_ms;
        return true;
    }
    for (size_t i = 0; i < ntp->n_answers; i++) {
        struct ace_ntp_view *server = &ntp->servers[ntp->from[i]];
        snprintf(server->error, sizeof server->error, "no other server agrees with its time");
    }
    amm_duration wait = ACE_NTP_AGAIN;
    for (unsigned i = 0; i < ntp->failures && wait < ACE_NTP_LONGEST; i++) {
        wait *= 2;
    }
    ntp->failures++;
    wait = wait < ACE_NTP_LONGEST ? wait : ACE_NTP_LONGEST;
    wait = wait * AMM_SECOND / 2;
    ntp->deadline = now.mono + wait + (amm_duration)amm_random_below(&ntp->random, (uint64_t)wait);
    return false;
}

static void take_answer(struct ace_ntp *ntp, struct amm_now now, struct amm_view packet)
{
    struct ace_ntp_view *server = server_of(ntp);
    struct ace_sntp_answer answer;
    const char *why;
    /* By the monotonic clock, so that a step in between does no harm. */
    const struct ace_sntp_times times = {ntp->sent_ms,
                                         ntp->sent_ms + (now.mono - ntp->sent) / AMM_MILLISECOND};
    if (!ace_sntp_parse(&answer, packet, ntp->cookie, &times, AMM_CLOCK_RELEASE, &why)) {
        snprintf(server->error, sizeof server->error, "%s", why);
        return; /* the true answer may still come */
    }
    server->error[0] = '\0';
    server->last = now.wall + answer.offset_ms / 1000;
    server->offset_ms = answer.offset_ms;
    server->stratum = answer.stratum;
    ntp->from[ntp->n_answers] = ntp->at;
    ntp->answers[ntp->n_answers++] = answer;
    ntp->step = IDLE;
}

static void receive(struct ace_ntp *ntp, struct amm_now now)
{
    uint8_t buffer[BUFFER];
    struct amm_udp_batch batch;
    while (ntp->step == ASKED &&
           amm_udp_receive(ntp->fd, 0, (struct amm_span){buffer, BUFFER}, &batch) == AMM_UDP_OK) {
        if (amm_address_equal(&batch.remote, &ntp->address)) {
            take_answer(ntp, now, amm_view(buffer, batch.len));
        }
    }
}

static void take_lookup(struct ace_ntp *ntp, struct amm_now now)
{
    struct amm_resolve_result result;
    struct ace_ntp_view *server = server_of(ntp);
    if (!amm_resolver_take(ntp->resolver, &result)) {
        return;
    }
    if (ntp->step != LOOKING_UP) {
        return;
    }
    ntp->step = IDLE;
    if (result.n == 0) {
        snprintf(server->error, sizeof server->error, "%s", result.error);
        return;
    }
    ntp->address = result.addresses[0];
    ask(ntp, now);
}

static void give_up(struct ace_ntp *ntp)
{
    struct ace_ntp_view *server = server_of(ntp);
    if (ntp->step == ASKED && !server->error[0]) {
        snprintf(server->error, sizeof server->error, "no answer");
    } else if (ntp->step == LOOKING_UP) {
        snprintf(server->error, sizeof server->error, "name lookup takes too long");
    }
    ntp->step = IDLE;
}

bool ace_ntp_step(struct ace_ntp *ntp, struct amm_now now, int64_t *offset_ms)
{
    if (ntp->n == 0) {
        return false;
    }
    bool was_idle = ntp->step == IDLE;
    if (was_idle && now.mono < ntp->deadline) {
        take_lookup(ntp, now); /* of a round that was given up */
        return false;
    }
    if (was_idle) {
        begin_round(ntp);
    }
    receive(ntp, now);
    take_lookup(ntp, now);
    if (ntp->step != IDLE && now.mono >= ntp->deadline) {
        give_up(ntp);
    }
    if (ntp->step == IDLE && !was_idle) {
        ntp->at++;
    }
    for (; ntp->step == IDLE && ntp->at < ntp->n; ntp->at++) {
        if (look_up(ntp, now)) {
            return false;
        }
        ntp->step = IDLE;
    }
    return ntp->step == IDLE && end_round(ntp, now, offset_ms);
}

bool ace_ntp_has_failed(const struct ace_ntp *ntp)
{
    return ntp->n == 0 || ntp->failures > 0;
}

void ace_ntp_clock_moved(struct ace_ntp *ntp, amm_time now)
{
    if (ntp->step == ASKED) {
        close_socket(ntp);
        ntp->step = IDLE;
        ntp->deadline = now + AMM_SECOND;
    }
}
