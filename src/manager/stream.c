#include "manager/stream.h"

#include "manager/directory.h"
#include "manager/job_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    KEPT = 1024, /* messages, for those who come back */
    LISTENERS_MAX = 256,
    LISTENERS_OF_USER = 16,
    ID_MAX = 48,
};
#define HEARTBEAT (15 * AMM_SECOND)
#define LOOK_AGAIN (2 * AMM_SECOND) /* at rights that may have gone */
#define LINGER (60 * AMM_SECOND)    /* messages are kept so long after the last listener */

/* Gathered in a unit; the text follows. */
struct message {
    struct access_object scope;
    const char *kind;
    size_t len;
};

struct kept {
    struct access_object scope;
    char *text; /* as it is sent, with its id */
    size_t len;
};

struct listener {
    struct listener *next;
    uint64_t number;
    struct amm_http_server *server;
    struct amm_http_ref ref;
    struct actor actor;
    bool has_begun;
    char last[ID_MAX]; /* Last-Event-ID */
};

struct stream {
    struct listener *listeners;
    unsigned n;
    uint64_t numbers;
    int64_t start; /* part of ids, so that those of another run are known as such */
    uint64_t last; /* id of the newest message; the first is 1 */
    struct kept ring[KEPT];
    amm_time heard_until;
    struct manager_timer look;
    amm_time heartbeat_at;
};

struct stream *stream_new(struct manager *m)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream != NULL) {
        stream->start = (int64_t)(amm_random_u64(&m->random) >> 16);
    }
    return stream;
}

struct stream *stream_free(struct stream *stream)
{
    if (stream != NULL) {
        for (unsigned i = 0; i < KEPT; i++) {
            free(stream->ring[i].text);
        }
        while (stream->listeners != NULL) {
            struct listener *listener = stream->listeners;
            stream->listeners = listener->next;
            free(listener);
        }
        free(stream);
    }
    return NULL;
}

unsigned stream_listeners(const struct manager *m)
{
    return m->stream->n;
}

bool stream_is_heard(const struct manager *m)
{
    return m->stream->n > 0 || m->now.mono < m->stream->heard_until;
}

/* ---- listeners ---- */

static void remove_listener(struct manager *m, struct listener **at)
{
    struct listener *listener = *at;
    *at = listener->next;
    m->stream->n--;
    m->stream->heard_until = amm_time_after(m->now.mono, LINGER);
    free(listener);
}

void stream_leave(struct manager *m, struct amm_http_server *server, struct amm_http_ref ref)
{
    for (struct listener **at = &m->stream->listeners; *at != NULL; at = &(*at)->next) {
        if ((*at)->server == server && (*at)->ref.connection == ref.connection &&
            (*at)->ref.generation == ref.generation) {
            remove_listener(m, at);
            return;
        }
    }
}

static bool send_text(const struct listener *listener, const char *text, size_t len)
{
    return amm_http_send(listener->server, listener->ref, amm_view(text, len));
}

/* True if the listener may still listen. */
static bool look_again(struct manager *m, struct listener *listener)
{
    if (directory_actor_again(m, &listener->actor) && !listener->actor.must_change_password) {
        return true;
    }
    amm_http_send(listener->server, listener->ref, amm_view(NULL, 0)); /* the end */
    return false;
}

static bool may_see(const struct manager *m, const struct listener *listener,
                    const struct access_object *scope)
{
    return access_allows(m->fleet, &listener->actor, ACCESS_VIEW, scope);
}

/* ---- messages ---- */

static void deliver(struct manager *m, void *data)
{
    struct stream *stream = m->stream;
    const struct message *message = data;
    struct kept *kept = &stream->ring[++stream->last % KEPT];
    free(kept->text);
    kept->scope = message->scope;
    kept->text = malloc(message->len + 160);
    if (kept->text == NULL) {
        kept->len = 0; /* who misses it is told to start again when he comes back */
        return;
    }
    int len =
        snprintf(kept->text, message->len + 160,
                 "id: %" PRIx64 "-%" PRIu64 "\nevent: %s\ndata: %.*s\n\n", (uint64_t)stream->start,
                 stream->last, message->kind, (int)message->len, (const char *)(message + 1));
    kept->len = (size_t)len;
    for (struct listener **at = &stream->listeners; *at != NULL;) {
        struct listener *listener = *at;
        bool stays = !listener->has_begun ||
                     (look_again(m, listener) && (!may_see(m, listener, &message->scope) ||
                                                  send_text(listener, kept->text, kept->len)));
        if (stays) {
            at = &listener->next;
        } else {
            remove_listener(m, at);
        }
    }
}

void stream_publish(struct manager *m, const struct access_object *scope, const char *kind,
                    json_t *data)
{
    char *text = stream_is_heard(m) ? json_dumps(data, JSON_COMPACT) : NULL;
    size_t len = text != NULL ? strlen(text) : 0;
    struct message *message = text != NULL ? malloc(sizeof *message + len) : NULL;
    if (message != NULL) {
        *message = (struct message){*scope, kind, len};
        memcpy(message + 1, text, len);
        manager_after(m, deliver, message, sizeof *message + len);
    }
    free(message);
    free(text);
    json_decref(data);
}

static const char reset[] = "event: reset\ndata: {}\n\n";

void stream_reset(struct manager *m)
{
    for (struct listener **at = &m->stream->listeners; *at != NULL;) {
        if ((*at)->has_begun && !send_text(*at, reset, sizeof reset - 1)) {
            remove_listener(m, at);
        } else {
            at = &(*at)->next;
        }
    }
}

/* ---- the beginning of a stream ---- */

/* Where to go on: false if the id is of another run, or too old. */
static bool find_last(const struct stream *stream, const char *id, uint64_t *last)
{
    uint64_t start, number;
    int end = 0;
    if (sscanf(id, "%16" SCNx64 "-%18" SCNu64 "%n", &start, &number, &end) != 2 ||
        id[end] != '\0' || start != (uint64_t)stream->start || number > stream->last ||
        number + KEPT <= stream->last) {
        return false;
    }
    *last = number;
    return true;
}

static void begin(struct manager *m, struct listener *listener)
{
    static const char hello[] = ": ammd\nretry: 3000\n\n";
    struct stream *stream = m->stream;
    uint64_t at = stream->last;
    listener->has_begun = true;
    send_text(listener, hello, sizeof hello - 1);
    if (listener->last[0] != '\0' && !find_last(stream, listener->last, &at)) {
        send_text(listener, reset, sizeof reset - 1);
    }
    for (at++; at <= stream->last; at++) {
        const struct kept *kept = &stream->ring[at % KEPT];
        if (kept->len > 0 && may_see(m, listener, &kept->scope)) {
            send_text(listener, kept->text, kept->len);
        }
    }
}

/* Posted by the request: its answer has left when this runs. */
static void begin_posted(struct manager *m, void *context)
{
    uint64_t number = (uint64_t)(uintptr_t)context;
    for (struct listener *listener = m->stream->listeners; listener != NULL;
         listener = listener->next) {
        if (listener->number == number) {
            begin(m, listener);
        }
    }
}

static bool has_room(const struct stream *stream, const struct actor *actor)
{
    unsigned mine = 0;
    for (const struct listener *listener = stream->listeners; listener != NULL;
         listener = listener->next) {
        mine += listener->actor.user == actor->user;
    }
    return stream->n < LISTENERS_MAX && mine < LISTENERS_OF_USER;
}

void stream_handle(struct job *job)
{
    struct manager *m = job->m;
    struct stream *stream = m->stream;
    struct amm_view last = job_header(job, "last-event-id");
    if (!has_room(stream, &job->actor)) {
        job_retry(job, 429, 10, "too-many", "too many event streams are open");
        return;
    }
    struct listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL) {
        job_retry(job, 503, 1, "no-memory", "the server is short of memory");
        return;
    }
    listener->number = ++stream->numbers;
    listener->server = job_part(job)->server;
    listener->ref = job_part(job)->ref;
    listener->actor = job->actor;
    amm_text_clean(listener->last, sizeof listener->last, last);
    listener->next = stream->listeners;
    stream->listeners = listener;
    stream->n++;
    job_stream(job, "text/event-stream");
    manager_post(m, begin_posted, (void *)(uintptr_t)listener->number);
}

/* ---- time ---- */

static void look(struct manager *m, struct manager_timer *timer)
{
    static const char heartbeat[] = ":\n\n";
    struct stream *stream = m->stream;
    bool beat = m->now.mono >= stream->heartbeat_at;
    manager_timer_set(m, timer, amm_time_after(m->now.mono, LOOK_AGAIN));
    if (beat) {
        stream->heartbeat_at = amm_time_after(m->now.mono, HEARTBEAT);
    }
    for (struct listener **at = &stream->listeners; *at != NULL;) {
        bool stays = look_again(m, *at) && (!beat || !(*at)->has_begun ||
                                            send_text(*at, heartbeat, sizeof heartbeat - 1));
        if (stays) {
            at = &(*at)->next;
        } else {
            remove_listener(m, at);
        }
    }
}

void stream_start(struct manager *m)
{
    m->stream->look.fire = look;
    manager_timer_set(m, &m->stream->look, amm_time_after(m->now.mono, LOOK_AGAIN));
}
