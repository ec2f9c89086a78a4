#include "manager/cad_link.h"

#include "io/log.h"
#include "io/unix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ANSWER_SECONDS = 10, /* amm-cad is on this machine and saves to a disk: longer is broken */
    RETRY_SECONDS = 1,
    RETRY_SECONDS_MAX = 15,
    TURNS = 256, /* packets in one unit */
};

struct request {
    struct request *next;
    cad_answer answer;
    void *context;
    amm_time deadline;
    uint64_t id;
    size_t len;
    uint8_t packet[]; /* until it is sent */
};

struct queue {
    struct request *first, **end;
};

struct cad_link {
    struct manager *m;
    const char *path;
    void (*up)(struct manager *m);
    struct manager_watch watch; /* fd -1: down */
    struct manager_timer timer; /* down: try again; up: the oldest request's deadline */
    struct queue unsent, sent;  /* both in the order of their numbers */
    size_t n;
    uint64_t next_id;
    unsigned failures; /* to connect, in a row */
    bool waits;        /* for the socket to take more */
    char error[256];
    struct amm_cad_message message; /* large */
    uint8_t packet[AMM_CAD_MAX];
};

static void queue_init(struct queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
}

static void queue_add(struct queue *queue, struct request *request)
{
    request->next = NULL;
    *queue->end = request;
    queue->end = &request->next;
}

static struct request *queue_take(struct queue *queue)
{
    struct request *first = queue->first;
    if (first) {
        queue->first = first->next;
        if (!queue->first) {
            queue->end = &queue->first;
        }
    }
    return first;
}

static void set_timer(struct cad_link *link)
{
    const struct request *oldest = link->sent.first ? link->sent.first : link->unsent.first;
    manager_timer_set(link->m, &link->timer, oldest ? oldest->deadline : AMM_NEVER);
}

/* Tells everybody who waits, and tries again later. */
static void lose(struct cad_link *link, const char *why)
{
    struct queue lost[2] = {link->sent, link->unsent};
    if (link->watch.fd >= 0) {
        manager_watch_remove(link->m, &link->watch);
        close(link->watch.fd);
        link->watch.fd = -1;
        amm_log(AMM_LOG_WARNING, "cad-lost", amm_field_text("why", why));
    }
    snprintf(link->error, sizeof link->error, "%s", why);
    queue_init(&link->sent);
    queue_init(&link->unsent);
    link->n = 0;
    for (int i = 0; i < 2; i++) {
        lost[i].end = &lost[i].first; /* it pointed into the link if the queue was empty */
        for (struct request *request = lost[i].first, *next; request; request = next) {
            next = request->next;
            request->answer(link->m, request->context, NULL);
            amm_wipe(request->packet, request->len);
            free(request);
        }
    }
    unsigned shift = link->failures < 4 ? link->failures : 4;
    amm_duration wait = (RETRY_SECONDS << shift) * AMM_SECOND;
    if (wait > RETRY_SECONDS_MAX * AMM_SECOND) {
        wait = RETRY_SECONDS_MAX * AMM_SECOND;
    }
    link->failures++;
    manager_timer_set(link->m, &link->timer, amm_time_after(link->m->now.mono, wait));
}

static void send_waiting(struct cad_link *link)
{
    bool waits = false;
    while (link->unsent.first && !waits) {
        struct request *request = link->unsent.first;
        switch (amm_unix_send(link->watch.fd, amm_view(request->packet, request->len), NULL, 0)) {
        case AMM_UNIX_OK:
            queue_add(&link->sent, queue_take(&link->unsent));
            amm_wipe(request->packet, request->len);
            break;
        case AMM_UNIX_AGAIN:
            waits = true;
            break;
        case AMM_UNIX_CLOSED:
            lose(link, "amm-cad has closed the connection");
            return;
        }
    }
    if (waits != link->waits) {
        link->waits = waits;
        manager_watch_change(link->m, &link->watch, waits ? AMM_READ | AMM_WRITE : AMM_READ);
    }
}

/* Gives the message to who waits for it; false if nobody does: then amm-cad is not what we think.
 */
static bool hand_over(struct cad_link *link)
{
    struct request *request = link->sent.first;
    if (!request || request->id != link->message.id) {
        return false;
    }
    bool is_part = link->message.type == AMM_CAD_PART || link->message.type == AMM_CAD_REVOKED;
    if (is_part) {
        request->deadline = amm_time_after(link->m->now.mono, ANSWER_SECONDS * AMM_SECOND);
        request->answer(link->m, request->context, &link->message);
        return true;
    }
    queue_take(&link->sent);
    link->n--;
    request->answer(link->m, request->context, &link->message);
    free(request);
    return true;
}

static void receive(struct cad_link *link)
{
    for (int turn = 0; turn < TURNS && link->watch.fd >= 0; turn++) {
        size_t len;
        enum amm_unix_result result = amm_unix_receive(
            link->watch.fd, (struct amm_span){link->packet, sizeof link->packet}, &len, NULL, NULL);
        if (result == AMM_UNIX_AGAIN) {
            return;
        }
        if (result == AMM_UNIX_CLOSED) {
            lose(link, "amm-cad has closed the connection");
            return;
        }
        bool good = amm_cad_decode(&link->message, amm_view(link->packet, len)) && hand_over(link);
        amm_wipe(&link->message, sizeof link->message);
        amm_wipe(link->packet, len);
        if (!good) {
            lose(link, "amm-cad says what nobody asked: is it of the same version?");
            return;
        }
    }
}

static void ready(struct manager *m, struct manager_watch *watch, const struct amm_ready *what)
{
    struct cad_link *link = watch->context;
    (void)m;
    if (what->readable || what->closed) {
        receive(link);
    }
    if (link->watch.fd >= 0) {
        send_waiting(link);
    }
    if (link->watch.fd >= 0) {
        set_timer(link);
    }
}

static void try_to_connect(struct cad_link *link)
{
    char error[256];
    int fd = amm_unix_connect(link->path, error, sizeof error);
    if (fd < 0) {
        if (link->failures == 0) {
            amm_log(AMM_LOG_WARNING, "cad-down", amm_field_text("why", error));
        }
        lose(link, error);
        return;
    }
    link->watch.fd = fd;
    link->waits = false;
    if (!manager_watch_add(link->m, &link->watch, AMM_READ)) {
        close(fd);
        link->watch.fd = -1;
        lose(link, "out of descriptors or memory");
        return;
    }
    link->failures = 0;
    link->error[0] = '\0';
    amm_log(AMM_LOG_INFO, "cad-up", amm_field_text("socket", link->path));
    link->up(link->m);
    if (link->watch.fd >= 0) {
        set_timer(link);
    }
}

static void fire(struct manager *m, struct manager_timer *timer)
{
    struct cad_link *link = timer->context;
    if (link->watch.fd < 0) {
        try_to_connect(link);
        return;
    }
    const struct request *oldest = link->sent.first ? link->sent.first : link->unsent.first;
    if (oldest && oldest->deadline <= m->now.mono) {
        lose(link, "amm-cad does not answer");
        return;
    }
    set_timer(link);
}

struct cad_link *cad_link_new(struct manager *m, const char *path, void (*up)(struct manager *m))
{
    struct cad_link *link = calloc(1, sizeof *link);
    if (!link) {
        return NULL;
    }
    link->m = m;
    link->path = path;
    link->up = up;
    link->watch = (struct manager_watch){.ready = ready, .context = link, .fd = -1};
    link->timer = (struct manager_timer){.fire = fire, .context = link};
    queue_init(&link->unsent);
    queue_init(&link->sent);
    snprintf(link->error, sizeof link->error, "not connected yet");
    manager_timer_set(m, &link->timer, m->now.mono);
    return link;
}

struct cad_link *cad_link_free(struct cad_link *link)
{
    if (!link) {
        return NULL;
    }
    manager_timer_set(link->m, &link->timer, AMM_NEVER);
    if (link->watch.fd >= 0) {
        manager_watch_remove(link->m, &link->watch);
        close(link->watch.fd);
    }
    struct request *request;
    while ((request = queue_take(&link->sent)) || (request = queue_take(&link->unsent))) {
        amm_wipe(request->packet, request->len);
        free(request);
    }
    amm_wipe(link, sizeof *link);
    free(link);
    return NULL;
}

bool cad_link_is_up(const struct cad_link *link)
{
    return link->watch.fd >= 0;
}

const char *cad_link_error(const struct cad_link *link)
{
    return link->error;
}

bool cad_link_ask(struct cad_link *link, const struct amm_cad_message *request, cad_answer answer,
                  void *context)
{
    if (link->watch.fd < 0 || link->n >= CAD_LINK_REQUESTS) {
        return false;
    }
    /* Neither link->message nor link->packet: this may be called from within an answer. */
    struct amm_cad_message numbered = *request;
    uint8_t packet[AMM_CAD_MAX];
    numbered.id = ++link->next_id;
    size_t len = amm_cad_encode(&numbered, packet, sizeof packet);
    struct request *made = len > 0 ? malloc(sizeof *made + len) : NULL;
    if (made) {
        *made = (struct request){.answer = answer,
                                 .context = context,
                                 .deadline =
                                     amm_time_after(link->m->now.mono, ANSWER_SECONDS * AMM_SECOND),
                                 .id = link->next_id,
                                 .len = len};
        memcpy(made->packet, packet, len);
        queue_add(&link->unsent, made);
        link->n++;
        /* Sent when the loop says that the socket takes it: never from within an answer. */
        if (!link->waits) {
            link->waits = true;
            manager_watch_change(link->m, &link->watch, AMM_READ | AMM_WRITE);
        }
        manager_timer_set(link->m, &link->timer,
                          link->sent.first ? link->sent.first->deadline
                                           : link->unsent.first->deadline);
    }
    amm_wipe(packet, len);
    return made != NULL;
}
