/* What the outside has decided, and what the data plane has noticed. */
#include "engine_state.h"

static struct amm_session *find(struct amm_engine *engine, const struct amm_session_ref *ref)
{
    if (ref->thread != engine->config.thread || ref->index >= engine->config.n_sessions) {
        return NULL;
    }
    struct amm_session *session = &engine->sessions[ref->index];
    return session->state != SESSION_FREE && session->tag == ref->tag ? session : NULL;
}

static void verdict(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                    const struct amm_command *command)
{
    struct negotiation *n = negotiation_of(engine, session);
    if (n == NULL || n->step != STEP_VERDICT) {
        return; /* the handshake has failed meanwhile */
    }
    amm_server_verdict(engine, now, session, n, command);
    amm_engine_run(engine, now, session);
}

static void installed(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                      const struct amm_plane_note *note)
{
    struct negotiation *n = negotiation_of(engine, session);
    if (n == NULL || n->step != STEP_INSTALL || n->key_id != note->key_id) {
        return;
    }
    if (is_server(engine)) {
        amm_server_installed(engine, now, session, n);
    } else {
        amm_client_installed(engine, now, session, n);
    }
    amm_engine_run(engine, now, session);
}

static void not_installed(struct amm_engine *engine, struct amm_now now,
                          struct amm_session *session)
{
    struct negotiation *n = negotiation_of(engine, session);
    if (session->state != SESSION_ESTABLISHED) {
        amm_session_clear(session, SESSION_INSTALLED); /* else it still has the former keys */
    }
    if (is_server(engine) && n != NULL && n->step == STEP_INSTALL) {
        amm_server_not_installed(engine, session, n);
        amm_engine_run(engine, now, session);
        return;
    }
    amm_engine_end_because(engine, session, AMM_CLOSE_PROTOCOL, "the data plane refused the peer",
                           AMM_PLANE_REMOVE);
}

static void proven(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                   const struct amm_plane_note *note)
{
    struct negotiation *n = negotiation_of(engine, session);
    if (n == NULL || n->key_id != note->key_id) {
        return;
    }
    if (is_server(engine)) {
        amm_server_proven(engine, now, session, n);
    } else if (n->step == STEP_SWITCH) {
        amm_engine_renewed(engine, now, session, n);
    }
    amm_engine_run(engine, now, session);
}

static void moved(struct amm_session *session, const struct amm_plane_note *note)
{
    if (session->path.transport == AMM_UDP && note->path.transport == AMM_UDP) {
        amm_session_open(session);
        session->path = note->path;
        amm_session_shut(session);
    }
}

/* The data plane has let go of the peer. */
static void gone(struct amm_engine *engine, struct amm_session *session,
                 enum amm_close_reason reason, const char *text)
{
    if (!amm_session_has(session, SESSION_INSTALLED)) {
        return; /* we asked for it */
    }
    amm_session_clear(session, SESSION_INSTALLED);
    amm_engine_end_because(engine, session, reason, text, AMM_PLANE_REMOVE);
}

static void renegotiate(struct amm_engine *engine, struct amm_now now, struct amm_session *session)
{
    if (amm_engine_renegotiate(engine, now, session)) {
        amm_engine_run(engine, now, session);
    } else {
        amm_engine_settle(engine, now, session);
    }
}

static void take_note(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                      const struct amm_plane_note *note)
{
    switch ((enum amm_plane_note_kind)note->kind) {
    case AMM_NOTE_INSTALLED:
        installed(engine, now, session, note);
        return;
    case AMM_NOTE_REFUSED:
        not_installed(engine, now, session);
        return;
    case AMM_NOTE_PROVEN:
        proven(engine, now, session, note);
        return;
    case AMM_NOTE_MOVED:
        moved(session, note);
        return;
    case AMM_NOTE_WORN:
        renegotiate(engine, now, session);
        return;
    case AMM_NOTE_SILENT:
        gone(engine, session, AMM_CLOSE_SILENT, "nothing was heard from the peer");
        return;
    case AMM_NOTE_EXITED:
        gone(engine, session, AMM_CLOSE_EXIT, "the peer left");
        return;
    case AMM_NOTE_REPLACED:
        gone(engine, session, AMM_CLOSE_REPLACED, "a newer session took over");
        return;
    case AMM_NOTE_REMOVED:
        gone(engine, session, AMM_CLOSE_KICKED, "removed from the data plane");
        return;
    }
}

/* An established client is told in words, over a TLS session made for it. */
static bool begin_to_say(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                         const struct amm_command *command)
{
    bool is_final = command->reason == AMM_CLOSE_KICKED || command->reason == AMM_CLOSE_REVOKED;
    if (!is_server(engine) || is_final || command->text[0] == 0 ||
        session->state != SESSION_ESTABLISHED) {
        return false;
    }
    struct negotiation *n = negotiation_of(engine, session);
    if (n != NULL && (n->step == STEP_REFUSE || n->step == STEP_LINGER)) {
        return n->say; /* at it already */
    }
    if (n == NULL && !amm_engine_renegotiate(engine, now, session)) {
        return false;
    }
    n = negotiation_of(engine, session);
    n->say = true;
    n->give_up = amm_time_after(now.mono, SAY_LIMIT);
    n->refusal = command->refusal;
    n->refusal_backoff = command->backoff;
    n->ending = (struct ending){.reason = command->reason};
    amm_text_clean(n->ending.text, sizeof n->ending.text,
                   amm_view(command->text, strnlen(command->text, sizeof command->text)));
    amm_server_say(engine, n);
    amm_engine_run(engine, now, session);
    return true;
}

static void close_session(struct amm_engine *engine, struct amm_now now,
                          struct amm_session *session, const struct amm_command *command)
{
    struct ending ending = {.reason = command->reason};
    amm_text_clean(ending.text, sizeof ending.text,
                   amm_view(command->text, strnlen(command->text, sizeof command->text)));
    struct negotiation *n = negotiation_of(engine, session);
    if (!is_server(engine) && amm_client_say_exit(engine, now, session, n)) {
        n->ending = ending;
        amm_engine_run(engine, now, session);
        return;
    }
    if (!begin_to_say(engine, now, session, command)) {
        amm_engine_end(engine, session, &ending, AMM_PLANE_EXIT);
    }
}

static void link_lost(struct amm_engine *engine, const struct amm_path *path)
{
    uint32_t index = amm_chains_first(&engine->by_link, path->link);
    if (index != AMM_CHAIN_END) {
        amm_engine_end_because(engine, &engine->sessions[index], AMM_CLOSE_LINK, "connection lost",
                               AMM_PLANE_REMOVE);
    }
}

static void command_session(struct amm_engine *engine, struct amm_now now,
                            struct amm_session *session, const struct amm_command *command)
{
    switch (command->kind) {
    case AMM_COMMAND_VERDICT:
        verdict(engine, now, session, command);
        return;
    case AMM_COMMAND_NOTE:
        take_note(engine, now, session, &command->note);
        return;
    case AMM_COMMAND_RENEGOTIATE:
        renegotiate(engine, now, session);
        return;
    case AMM_COMMAND_CLOSE:
        close_session(engine, now, session, command);
        return;
    case AMM_COMMAND_CONNECT:
    case AMM_COMMAND_LINK_LOST:
        return; /* not for a session */
    }
}

void amm_engine_command(struct amm_engine *engine, struct amm_now now,
                        const struct amm_command *command)
{
    if (command->kind == AMM_COMMAND_CONNECT) {
        if (!is_server(engine)) {
            amm_client_connect_to(engine, now, &command->path);
        }
        return;
    }
    if (command->kind == AMM_COMMAND_LINK_LOST) {
        link_lost(engine, &command->path);
        return;
    }
    const struct amm_session_ref *ref =
        command->kind == AMM_COMMAND_NOTE ? &command->note.session : &command->session;
    struct amm_session *session = find(engine, ref);
    if (session != NULL) {
        command_session(engine, now, session, command);
    }
}
