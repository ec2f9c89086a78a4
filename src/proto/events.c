#include "engine_state.h"

#include <stdlib.h>

static bool grow(struct event_queue *queue)
{
    uint32_t room = queue->room == 0 ? 16 : queue->room * 2;
    struct amm_event *ring = malloc(room * sizeof *ring);
    if (ring == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < queue->n; i++) {
        ring[i] = queue->ring[(queue->head + i) & (queue->room - 1)];
    }
    if (queue->ring != NULL) {
        amm_wipe(queue->ring, queue->room * sizeof *queue->ring);
    }
    free(queue->ring);
    *queue = (struct event_queue){.ring = ring, .room = room, .n = queue->n};
    return true;
}

struct amm_event *amm_engine_event(struct amm_engine *engine, const struct amm_session *session,
                                   enum amm_event_kind kind)
{
    struct event_queue *queue = &engine->events;
    if (queue->n == queue->room && !grow(queue)) {
        /* Without memory the oldest event is given up; the session that it was about runs into its
         * deadline. */
        amm_drop(engine->drops, AMM_DROP_QUEUE_FULL);
        queue->head++;
        queue->n--;
    }
    struct amm_event *event = &queue->ring[(queue->head + queue->n) & (queue->room - 1)];
    queue->n++;
    *event = (struct amm_event){
        .kind = kind,
        .session = amm_engine_ref(engine, session),
        .epoch = amm_engine_epoch(engine, session),
        .path = session->path,
    };
    return event;
}

static bool fill_credentials(struct amm_engine *engine, struct amm_event *event)
{
    const struct amm_session *session = &engine->sessions[event->session.index];
    struct negotiation *n = engine->runtime[event->session.index].negotiation;
    if (session->tag != event->session.tag || n == NULL || n->step != STEP_VERDICT) {
        return false;
    }
    event->username = n->username[0] != 0 ? n->username : NULL;
    event->password = n->password[0] != 0 ? n->password : NULL;
    return true;
}

bool amm_engine_next_event(struct amm_engine *engine, struct amm_event *out)
{
    struct event_queue *queue = &engine->events;
    while (queue->n > 0) {
        struct amm_event *event = &queue->ring[queue->head & (queue->room - 1)];
        *out = *event;
        amm_wipe(&event->plane, sizeof event->plane);
        queue->head++;
        queue->n--;
        if (out->session.tag == 0) {
            continue; /* a command that was taken before */
        }
        if (out->kind == AMM_EVENT_AUTHORISE && !fill_credentials(engine, out)) {
            continue; /* the handshake has ended meanwhile */
        }
        if (out->kind == AMM_EVENT_JOINED) {
            memcpy(engine->event_text, out->text, sizeof engine->event_text);
            out->tls_version = engine->event_text;
        }
        return true;
    }
    return false;
}

bool amm_engine_take_plane_command(struct amm_engine *engine, struct amm_plane_command *out)
{
    struct event_queue *queue = &engine->events;
    for (uint32_t i = 0; i < queue->n; i++) {
        struct amm_event *event = &queue->ring[(queue->head + i) & (queue->room - 1)];
        if (event->kind == AMM_EVENT_PLANE && event->session.tag != 0) {
            *out = event->plane;
            event->session.tag = 0;
            amm_wipe(&event->plane, sizeof event->plane);
            return true;
        }
    }
    return false;
}

struct amm_event *amm_engine_plane(struct amm_engine *engine, const struct amm_session *session,
                                   enum amm_plane_op op)
{
    struct amm_event *event = amm_engine_event(engine, session, AMM_EVENT_PLANE);
    event->plane = (struct amm_plane_command){
        .op = (uint8_t)op,
        .port_index = session->path.port_index,
        .peer_id = session->peer_id,
        .session = event->session,
        .path = session->path,
        .keys.key_id = session->last_key_id,
    };
    return event;
}

void amm_engine_end(struct amm_engine *engine, struct amm_session *session,
                    const struct ending *ending, enum amm_plane_op op)
{
    if (amm_session_has(session, SESSION_INSTALLED)) {
        amm_engine_plane(engine, session, op);
    }
    struct amm_event *event = amm_engine_event(engine, session, AMM_EVENT_CLOSED);
    event->reason = ending->reason;
    event->failure = ending->failure;
    event->was_joined = session->state == SESSION_ESTABLISHED;
    event->try_next_remote = ending->try_next_remote;
    event->is_final = ending->is_final;
    event->backoff = ending->backoff;
    event->identity = session->identity;
    memcpy(event->text, ending->text, sizeof event->text);
    amm_engine_forget_session(engine, session);
}

void amm_engine_end_because(struct amm_engine *engine, struct amm_session *session,
                            enum amm_close_reason reason, const char *text, enum amm_plane_op op)
{
    struct ending ending = {.reason = reason};
    amm_text_clean(ending.text, sizeof ending.text, amm_view_str(text));
    amm_engine_end(engine, session, &ending, op);
}

void amm_negotiation_over(struct negotiation *n, enum amm_close_reason reason, const char *text)
{
    n->session_over = true;
    n->ending.reason = reason;
    amm_text_clean(n->ending.text, sizeof n->ending.text, amm_view_str(text));
}

const char *amm_close_reason_name(enum amm_close_reason reason)
{
    static const char *const names[] = {
        [AMM_CLOSE_TLS] = "tls",
        [AMM_CLOSE_REFUSED] = "refused",
        [AMM_CLOSE_NO_CIPHER] = "no-cipher",
        [AMM_CLOSE_TIMEOUT] = "timeout",
        [AMM_CLOSE_SILENT] = "silent",
        [AMM_CLOSE_EXIT] = "exit",
        [AMM_CLOSE_REPLACED] = "replaced",
        [AMM_CLOSE_KICKED] = "kicked",
        [AMM_CLOSE_REVOKED] = "revoked",
        [AMM_CLOSE_RESTART] = "restart",
        [AMM_CLOSE_LINK] = "link-lost",
        [AMM_CLOSE_PROTOCOL] = "protocol",
    };
    return (unsigned)reason < sizeof names / sizeof names[0] ? names[reason] : "unknown";
}
