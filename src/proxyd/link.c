#include "proxyd/link.h"

#include "io/log.h"
#include "io/unix.h"
#include "proxyd/gate.h"
#include "proxyd/probe.h"
#include "proxyd/proxyd.h"
#include "proxyd/record.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RETRY = 1, /* seconds between two attempts */
    BATCH_EVERY_MS = 500,
    QUEUE_MAX = 4096, /* packets; beyond it the connection is given up, and the list told anew */
    ENDS = 1024,      /* that ammd has not heard of yet */
    PACKETS_A_TURN = 256,
};

struct packet {
    struct packet *next;
    size_t len;
    uint8_t bytes[];
};

struct link {
    struct proxyd *proxyd;
    struct proxyd_watch watch; /* fd -1: not connected */
    uint32_t peer;
    struct amm_proxy_hello hello;
    bool welcome, synced; /* of this connection */
    bool was_synced;      /* ever */
    amm_time lost;        /* when it was */
    amm_time next_try, next_batch;
    uint64_t dropped; /* rows of the record that were told of as lost */
    struct packet *first, *last;
    unsigned n_packets;
    unsigned n_ends; /* ended here, and still alive in what ammd tells: told again with each list */
    struct amm_proxy_ending ends[ENDS];
    struct amm_proxy_message message; /* large, and wiped after use */
    uint8_t buffer[AMM_PROXY_MAX];
};

static void ready(struct proxyd *proxyd, struct proxyd_watch *watch, const struct amm_ready *event);

struct link *link_new(struct proxyd *proxyd, uint32_t peer, const struct amm_proxy_hello *hello)
{
    struct link *link = calloc(1, sizeof *link);
    if (link != NULL) {
        link->proxyd = proxyd;
        link->peer = peer;
        link->hello = *hello;
        link->watch = (struct proxyd_watch){.ready = ready, .fd = -1};
    }
    return link;
}

static void drop_packets(struct link *link)
{
    while (link->first != NULL) {
        struct packet *packet = link->first;
        link->first = packet->next;
        free(packet);
    }
    link->last = NULL;
    link->n_packets = 0;
}

/* What was not sent is told by the next list: who entered, which keys were seen, what ended. */
static void disconnect(struct link *link, const char *why)
{
    if (link->watch.fd < 0) {
        return;
    }
    proxyd_unwatch(link->proxyd, &link->watch);
    close(link->watch.fd);
    link->watch.fd = -1;
    drop_packets(link);
    amm_log(AMM_LOG_WARNING, "manager-lost", amm_field_text("why", why));
    if (link->synced) {
        link->lost = link->proxyd->now.mono;
    }
    link->welcome = link->synced = false;
    link->next_try = amm_time_after(link->proxyd->now.mono, RETRY * AMM_SECOND);
}

struct link *link_free(struct link *link)
{
    if (link != NULL) {
        if (link->watch.fd >= 0) {
            proxyd_unwatch(link->proxyd, &link->watch);
            close(link->watch.fd);
        }
        drop_packets(link);
        amm_wipe(link, sizeof *link);
        free(link);
    }
    return NULL;
}

/* ---- out ---- */

static void flush(struct link *link)
{
    while (link->first != NULL) {
        struct packet *packet = link->first;
        enum amm_unix_result result =
            amm_unix_send(link->watch.fd, amm_view(packet->bytes, packet->len), NULL, 0);
        if (result == AMM_UNIX_CLOSED) {
            disconnect(link, "connection closed");
            return;
        }
        if (result == AMM_UNIX_AGAIN) {
            break;
        }
        link->first = packet->next;
        link->last = link->first ? link->last : NULL;
        link->n_packets--;
        free(packet);
    }
    proxyd_rewatch(link->proxyd, &link->watch, AMM_READ | (link->first ? AMM_WRITE : 0));
}

static void send_message(struct link *link, const struct amm_proxy_message *message)
{
    if (link->watch.fd < 0) {
        return;
    }
    size_t len = amm_proxy_encode(message, link->buffer, sizeof link->buffer);
    struct packet *packet = len > 0 ? malloc(sizeof *packet + len) : NULL;
    if (packet == NULL || link->n_packets == QUEUE_MAX) {
        free(packet);
        disconnect(link, "too much waits for it");
        return;
    }
    packet->next = NULL;
    packet->len = len;
    memcpy(packet->bytes, link->buffer, len);
    *(link->last ? &link->last->next : &link->first) = packet;
    link->last = packet;
    link->n_packets++;
}

void link_entered(struct link *link, const struct session *session,
                  const struct amm_address *remote)
{
    struct amm_proxy_message message = {
        .type = AMM_PROXY_ENTERED, .entered = {.remote = *remote, .at = link->proxyd->now.wall}};
    memcpy(message.entered.label, session->about.label, sizeof message.entered.label);
    memcpy(message.entered.cookie, session->about.cookie, sizeof message.entered.cookie);
    send_message(link, &message);
}

void link_active(struct link *link, const struct session *session)
{
    struct amm_proxy_message message = {.type = AMM_PROXY_ACTIVE,
                                        .active = {.at = session->about.last_at}};
    memcpy(message.active.label, session->about.label, sizeof message.active.label);
    send_message(link, &message);
}

static void send_key(struct link *link, const struct session *session, const uint8_t *sha256,
                     bool changed)
{
    struct amm_proxy_message message = {.type = AMM_PROXY_KEY, .key = {.changed = changed}};
    memcpy(message.key.label, session->about.label, sizeof message.key.label);
    memcpy(message.key.sha256, sha256, sizeof message.key.sha256);
    send_message(link, &message);
}

void link_key(struct link *link, struct session *session, const uint8_t sha256[AMM_PROXY_HASH],
              bool changed)
{
    if (!changed) {
        memcpy(session->about.pin, sha256, AMM_PROXY_HASH);
        session->about.has_pin = 1;
    }
    send_key(link, session, sha256, changed);
}

void link_ended(struct link *link, const char *label, enum amm_proxy_end reason)
{
    struct amm_proxy_message message = {.type = AMM_PROXY_ENDED, .ending = {.reason = reason}};
    memcpy(message.ending.label, label, AMM_PROXY_LABEL);
    /* Told for certain when a list has come that no longer has it; the oldest give way. */
    if (link->n_ends == ENDS) {
        link->n_ends--;
        memmove(link->ends, link->ends + 1, link->n_ends * sizeof link->ends[0]);
    }
    link->ends[link->n_ends++] = message.ending;
    send_message(link, &message);
}

void link_result(struct link *link, const struct amm_proxy_result *result)
{
    struct amm_proxy_message message = {.type = AMM_PROXY_RESULT, .result = *result};
    send_message(link, &message);
}

/* ---- in ---- */

static const struct amm_proxy_ending *ended_before(const struct link *link, const char *label)
{
    for (unsigned i = 0; i < link->n_ends; i++) {
        if (strcmp(link->ends[i].label, label) == 0) {
            return &link->ends[i];
        }
    }
    return NULL;
}

/* What this side knows and ammd does not, because the connection was lost in between. */
static void tell_again(struct link *link, const struct session *session,
                       const struct amm_proxy_session *told)
{
    if (session->about.has_cookie && !told->has_cookie) {
        link_entered(link, session, &session->entered_from);
    }
    if (session->about.has_pin && !told->has_pin) {
        send_key(link, session, session->about.pin, false);
    }
}

static void take_session(struct link *link, const struct amm_proxy_session *told)
{
    struct proxyd *proxyd = link->proxyd;
    const struct amm_proxy_ending *ended = ended_before(link, told->label);
    bool other_target;
    if (ended != NULL) {
        struct amm_proxy_message message = {.type = AMM_PROXY_ENDED, .ending = *ended};
        send_message(link, &message);
        return;
    }
    struct session *session = sessions_put(proxyd->sessions, told, proxyd->now, &other_target);
    if (session != NULL) {
        tell_again(link, session, told);
        return;
    }
    if (other_target) {
        gate_end(proxyd, sessions_find(proxyd->sessions, told->label), AMM_PROXY_END_EPOCH);
        return;
    }
    amm_log(AMM_LOG_ERROR, "session-refused", amm_field_text("gateway", told->tunnel),
            amm_field_number("sessions", (int64_t)sessions_count(proxyd->sessions)));
    link_ended(link, told->label, AMM_PROXY_END_UNKNOWN);
}

static void take_ticket(struct link *link, const struct amm_proxy_ticket *ticket)
{
    struct session *session = sessions_find(link->proxyd->sessions, ticket->label);
    if (session == NULL) {
        link_ended(link, ticket->label, AMM_PROXY_END_UNKNOWN);
        return;
    }
    memcpy(session->about.ticket, ticket->hash, sizeof session->about.ticket);
    session->about.ticket_until = ticket->until;
    session->about.has_ticket = 1;
    session->idle_from = link->proxyd->now.mono;
}

static void take_close(struct link *link, const struct amm_proxy_ending *ending)
{
    struct session *session = sessions_find(link->proxyd->sessions, ending->label);
    if (session != NULL) {
        gate_end(link->proxyd, session, ending->reason);
    } else {
        link_ended(link, ending->label, AMM_PROXY_END_UNKNOWN);
    }
}

static void take_synced(struct link *link)
{
    struct session *session;
    while ((session = sessions_unnamed(link->proxyd->sessions)) != NULL) {
        gate_end(link->proxyd, session, AMM_PROXY_END_UNKNOWN);
    }
    link->n_ends = 0; /* each that ammd still had was answered */
    link->synced = link->was_synced = true;
    amm_log(AMM_LOG_INFO, "manager-ready",
            amm_field_number("sessions", (int64_t)sessions_count(link->proxyd->sessions)));
}

/* False: not what ammd of this version says. */
static bool take(struct link *link, const struct amm_proxy_message *message)
{
    if (!link->welcome && message->type != AMM_PROXY_WELCOME) {
        return false;
    }
    switch (message->type) {
    case AMM_PROXY_WELCOME:
        link->welcome = true;
        sessions_unname(link->proxyd->sessions);
        return true;
    case AMM_PROXY_SESSION:
        take_session(link, &message->session);
        return true;
    case AMM_PROXY_TICKET:
        take_ticket(link, &message->ticket);
        return true;
    case AMM_PROXY_CLOSE:
        take_close(link, &message->ending);
        return true;
    case AMM_PROXY_SYNCED:
        take_synced(link);
        return true;
    case AMM_PROXY_TEST:
        probe_start(link->proxyd, &message->test);
        return true;
    default:
        return false;
    }
}

static void receive(struct link *link)
{
    for (unsigned i = 0; i < PACKETS_A_TURN && link->watch.fd >= 0; i++) {
        size_t len;
        enum amm_unix_result result = amm_unix_receive(
            link->watch.fd, (struct amm_span){link->buffer, sizeof link->buffer}, &len, NULL, NULL);
        if (result == AMM_UNIX_AGAIN) {
            return;
        }
        if (result == AMM_UNIX_CLOSED) {
            disconnect(link, "connection closed");
            return;
        }
        bool ok = amm_proxy_decode(&link->message, amm_view(link->buffer, len));
        amm_wipe(link->buffer, len);
        ok = ok && take(link, &link->message);
        amm_wipe(&link->message, sizeof link->message);
        if (!ok) {
            disconnect(link, "a malformed message: is it of the same version?");
        }
    }
}

static void ready(struct proxyd *proxyd, struct proxyd_watch *watch, const struct amm_ready *event)
{
    struct link *link = proxyd->link;
    (void)watch, (void)event;
    receive(link);
    if (link->watch.fd >= 0) {
        flush(link);
    }
}

/* ---- life ---- */

static void try_to_connect(struct link *link)
{
    char error[256];
    struct amm_unix_peer peer;
    link->next_try = amm_time_after(link->proxyd->now.mono, RETRY * AMM_SECOND);
    int fd = amm_unix_connect(link->proxyd->config->socket, error, sizeof error);
    if (fd < 0) {
        amm_log(AMM_LOG_DEBUG, "manager-away", amm_field_text("error", error));
        return;
    }
    /* Sessions are rights: only ammd may give them. */
    if (!amm_unix_peer(fd, &peer) ||
        (peer.uid != 0 && peer.uid != link->peer && peer.uid != geteuid())) {
        amm_log(AMM_LOG_ERROR, "stranger-refused", amm_field_number("uid", peer.uid));
        close(fd);
        return;
    }
    link->watch.fd = fd;
    if (!proxyd_watch(link->proxyd, &link->watch, AMM_READ)) {
        close(fd);
        link->watch.fd = -1;
        return;
    }
    struct amm_proxy_message message = {.type = AMM_PROXY_HELLO, .hello = link->hello};
    send_message(link, &message);
}

/* Rows that nobody will ever see: said once for each time. */
static void tell_dropped(struct link *link)
{
    uint64_t dropped = record_dropped(link->proxyd->record);
    if (dropped != link->dropped) {
        amm_log(AMM_LOG_WARNING, "record-lost",
                amm_field_number("requests", (int64_t)(dropped - link->dropped)));
        link->dropped = dropped;
    }
}

static void send_batches(struct link *link)
{
    struct proxyd *proxyd = link->proxyd;
    struct amm_proxy_message *message = &link->message;
    link->next_batch = amm_time_after(proxyd->now.mono, BATCH_EVERY_MS * AMM_MILLISECOND);
    tell_dropped(link);
    memset(message, 0, sizeof *message);
    message->type = AMM_PROXY_REQUESTS_ARE;
    while (link->first == NULL && link->watch.fd >= 0 &&
           record_batch(proxyd->record, &message->requests)) {
        unsigned n = message->requests.n;
        send_message(link, message);
        if (link->watch.fd >= 0) {
            flush(link);
        }
        record_sent(proxyd->record, n);
    }
}

void link_step(struct link *link)
{
    amm_time now = link->proxyd->now.mono;
    if (link->watch.fd < 0 && now >= link->next_try) {
        try_to_connect(link);
    }
    if (link->synced && now >= link->next_batch) {
        send_batches(link);
    }
    if (link->watch.fd >= 0 && link->first != NULL) {
        flush(link);
    }
}

amm_time link_deadline(const struct link *link)
{
    if (link->watch.fd < 0) {
        return link->next_try;
    }
    return link->synced ? link->next_batch : AMM_NEVER;
}

bool link_may_serve(const struct link *link)
{
    return link->synced ||
           (link->was_synced && link->proxyd->now.mono - link->lost < LINK_GRACE * AMM_SECOND);
}
