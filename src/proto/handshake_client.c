/* What a client does with a TLS session (doc/protocol/handshake.md):
 *
 *   key 0   RESET -> KEYS -> PULL -> INSTALL -> joined, IDLE
 *   later   RESET -> KEYS -> INSTALL -> SWITCH -> renewed, IDLE
 *
 * TLS is kept in IDLE because a foreign server may have something to say (RESTART, HALT, INFO). */
#include "engine_state.h"

#define PENDING_LIMIT (300 * AMM_SECOND)

static bool write_bytes(struct amm_engine *engine, struct negotiation *n, struct amm_view bytes)
{
    if (bytes.len == 0 || !engine->env.tls->write(n->tls, bytes)) {
        amm_negotiation_over(n, AMM_CLOSE_PROTOCOL, "a control message could not be written");
        return false;
    }
    return true;
}

static bool write_command(struct amm_engine *engine, struct negotiation *n, const char *command)
{
    uint8_t bytes[64];
    struct amm_writer w = amm_writer(bytes, sizeof bytes);
    amm_text_write(&w, command);
    return write_bytes(engine, n, amm_view(bytes, amm_writer_len(&w)));
}

static struct amm_peer_info own_info(const struct amm_engine *engine)
{
    const struct amm_engine_config *config = &engine->config;
    struct amm_peer_info info = {
        .iv_proto = AMM_IV_DATA_V2 | AMM_IV_REQUEST_PUSH | AMM_IV_CC_EXIT | AMM_IV_AUTH_FAIL_TEMP,
        .iv_mtu = config->mtu,
        .ncp = 1,
    };
    info.iv_proto |= config->exporter ? AMM_IV_TLS_EKM : 0;
    info.iv_proto |= config->dynamic_tls_crypt ? AMM_IV_DYN_TLS_CRYPT : 0;
    for (size_t i = 0; i < sizeof config->ciphers && config->ciphers[i] != AMM_CIPHER_NONE; i++) {
        info.ciphers[info.n_ciphers++] = config->ciphers[i];
    }
    amm_text_clean(info.version, sizeof info.version, amm_view_str(engine->version));
    amm_text_clean(info.platform, sizeof info.platform, amm_view_str(engine->platform));
    return info;
}

static void send_key_method(struct amm_engine *engine, struct amm_session *session,
                            struct negotiation *n)
{
    uint8_t options_text[AMM_OPTIONS_MAX], info_text[512], bytes[2048];
    struct amm_writer options = amm_writer(options_text, sizeof options_text);
    amm_occ_client(&options, wrap_config_of(engine, session), session->path.transport, 1500);
    struct amm_writer peer_info = amm_writer(info_text, sizeof info_text);
    struct amm_peer_info info = own_info(engine);
    amm_peer_info_write(&peer_info, &info);
    struct amm_key_method message = {
        .source = n->exchange.client,
        .options = amm_view(options_text, amm_writer_len(&options)),
        .username = amm_view_str(engine->username),
        .password = amm_view_str(engine->password),
        .peer_info = amm_view(info_text, amm_writer_len(&peer_info)),
    };
    size_t len =
        amm_key_method_encode(&message, AMM_CLIENT, (struct amm_span){bytes, sizeof bytes});
    write_bytes(engine, n, amm_view(bytes, len));
    n->key_method_sent = true;
    amm_wipe(bytes, sizeof bytes);
    amm_wipe(&message, sizeof message);
}

static bool is_allowed(const struct amm_engine *engine, uint8_t cipher)
{
    return cipher != AMM_CIPHER_NONE &&
           memchr(engine->config.ciphers, cipher, sizeof engine->config.ciphers) != NULL;
}

/* Ends the session as soon as the acknowledgement of what made it end has left. */
static void leave_after_output(struct amm_now now, struct negotiation *n)
{
    n->step = STEP_LINGER;
    n->linger_ends_session = true;
    n->act_at = now.mono;
}

static void take_key_method(struct amm_engine *engine, struct amm_now now,
                            struct amm_session *session, struct negotiation *n,
                            struct amm_view record)
{
    struct amm_key_method message;
    enum amm_parse parse = amm_negotiation_key_method(n, AMM_SERVER, record, &message);
    if (parse == AMM_PARSE_MORE) {
        return;
    }
    if (parse == AMM_PARSE_BAD) {
        amm_drop(engine->drops, AMM_DROP_KEY_METHOD);
        amm_negotiation_over(n, AMM_CLOSE_PROTOCOL, "key exchange message of the server malformed");
        return;
    }
    n->exchange.server = message.source;
    if (n->key_id == 0) {
        session->cipher = amm_occ_parse(message.options).cipher;
        n->step = STEP_PULL;
        n->act_at = now.mono;
    } else if (amm_engine_install_keys(engine, session, n, AMM_PLANE_INSTALL)) {
        n->step = STEP_INSTALL;
    } else {
        amm_negotiation_over(n, AMM_CLOSE_PROTOCOL, "data keys could not be made");
    }
    amm_wipe(&message, sizeof message);
}

static void accept_push(struct amm_engine *engine, struct amm_session *session,
                        struct negotiation *n)
{
    n->push = n->pushed.push;
    if (n->push.cipher != AMM_CIPHER_NONE) {
        session->cipher = n->push.cipher;
    } else if (!is_allowed(engine, session->cipher)) {
        session->cipher = engine->config.ciphers[0];
    }
    if (!is_allowed(engine, session->cipher)) {
        amm_negotiation_over(n, AMM_CLOSE_NO_CIPHER,
                             "the server wants a data cipher that is not allowed here");
        return;
    }
    if (n->push.local == 0) {
        amm_negotiation_over(n, AMM_CLOSE_PROTOCOL, "the server pushed no address");
        return;
    }
    if ((n->push.flags & AMM_PUSH_TLS_EKM) != 0) {
        amm_session_set(session, SESSION_EXPORTER);
    }
    if ((n->push.flags & AMM_PUSH_CC_EXIT) != 0) {
        amm_session_set(session, SESSION_CC_EXIT);
    }
    if (n->push.peer_id == AMM_NO_PEER_ID) {
        amm_session_set(session, SESSION_DATA_V1);
    }
    session->peer_id = n->push.peer_id;
    if (engine->env.tls->identity(n->tls) != NULL) {
        session->identity = *engine->env.tls->identity(n->tls);
    }
    bool wants_dynamic = (n->push.flags & AMM_PUSH_DYN_TLS_CRYPT) != 0;
    if ((wants_dynamic && !amm_engine_make_dynamic_wrap(engine, session, n)) ||
        !amm_engine_install_keys(engine, session, n, AMM_PLANE_ADD)) {
        amm_negotiation_over(n, AMM_CLOSE_PROTOCOL, "data keys could not be made");
        return;
    }
    n->step = STEP_INSTALL;
    n->act_at = AMM_NEVER;
}

static void take_push(struct amm_engine *engine, struct amm_session *session, struct negotiation *n,
                      struct amm_view message)
{
    if (n->step != STEP_PULL) {
        return; /* a repetition, or a later push of options that are not taken */
    }
    if (!amm_push_reader_add(&n->pushed, message)) {
        amm_negotiation_over(n, AMM_CLOSE_PROTOCOL, "pushed options malformed");
        return;
    }
    if (n->pushed.done) {
        struct amm_event *event = amm_engine_event(engine, session, AMM_EVENT_PUSHED);
        event->push = n->pushed.push;
        memcpy(event->text, n->pushed.ignored, sizeof n->pushed.ignored);
        accept_push(engine, session, n);
    }
}

static void take_refusal(struct amm_now now, struct negotiation *n, const struct amm_text *text,
                         enum amm_close_reason reason)
{
    n->ending.reason = reason;
    n->ending.try_next_remote = text->next_remote;
    n->ending.is_final =
        text->kind == AMM_TEXT_HALT || (text->kind == AMM_TEXT_AUTH_FAILED && !text->is_temporary);
    n->ending.backoff = text->backoff;
    amm_text_clean(n->ending.text, sizeof n->ending.text, text->reason);
    leave_after_output(now, n);
}

static void take_text(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                      struct negotiation *n, const struct amm_text *text)
{
    switch (text->kind) {
    case AMM_TEXT_PUSH_REPLY:
        take_push(engine, session, n, text->message);
        return;
    case AMM_TEXT_AUTH_FAILED:
    case AMM_TEXT_HALT:
        take_refusal(now, n, text, AMM_CLOSE_REFUSED);
        return;
    case AMM_TEXT_RESTART:
        take_refusal(now, n, text, AMM_CLOSE_RESTART);
        return;
    case AMM_TEXT_EXIT:
        take_refusal(now, n, text, AMM_CLOSE_EXIT);
        return;
    case AMM_TEXT_AUTH_PENDING:
        if (n->give_up != AMM_NEVER) {
            amm_duration wait = text->timeout * AMM_SECOND;
            n->give_up = amm_time_after(now.mono, wait < PENDING_LIMIT ? wait : PENDING_LIMIT);
        }
        return;
    case AMM_TEXT_INFO: {
        struct amm_event *event = amm_engine_event(engine, session, AMM_EVENT_MESSAGE);
        amm_text_clean(event->text, sizeof event->text, text->message);
        return;
    }
    case AMM_TEXT_UNKNOWN:
    case AMM_TEXT_PUSH_REQUEST:
        return;
    }
}

void amm_client_record(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                       struct negotiation *n, struct amm_view record)
{
    if (n->step == STEP_KEYS) {
        take_key_method(engine, now, session, n, record);
        return;
    }
    struct amm_text text;
    enum amm_text_result result;
    while ((result = amm_text_next(&record, &text)) == AMM_TEXT_TAKEN) {
        if (n->step == STEP_LINGER || n->session_over) {
            return;
        }
        take_text(engine, now, session, n, &text);
    }
    if (result == AMM_TEXT_BAD) {
        amm_drop(engine->drops, AMM_DROP_CONTROL_TEXT);
    }
}

void amm_client_installed(struct amm_engine *engine, struct amm_now now,
                          struct amm_session *session, struct negotiation *n)
{
    if (n->key_id != 0) {
        n->step = STEP_SWITCH;
        n->act_at = amm_time_after(now.mono, SWITCH_DELAY);
        return;
    }
    session->state = SESSION_ESTABLISHED;
    session->key_id = 0;
    amm_engine_plan_renewal(engine, now, session);
    amm_engine_plane(engine, session, AMM_PLANE_SEND);
    struct amm_event *event = amm_engine_event(engine, session, AMM_EVENT_JOINED);
    event->identity = session->identity;
    event->info = own_info(engine);
    event->push = n->push;
    amm_text_clean(event->text, sizeof event->text, amm_view_str(engine->env.tls->version(n->tls)));
    n->step = STEP_IDLE;
    n->give_up = AMM_NEVER;
    n->finished = engine->config.release_tls;
}

bool amm_client_advance(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                        struct negotiation *n)
{
    if (n->step == STEP_KEYS && !n->key_method_sent) {
        send_key_method(engine, session, n);
        return true;
    }
    if (n->step == STEP_PULL && now.mono >= n->act_at && amm_negotiation_is_quiet(n)) {
        n->act_at = amm_time_after(now.mono, PULL_INTERVAL);
        return write_command(engine, n, "PUSH_REQUEST");
    }
    if (n->step == STEP_SWITCH && now.mono >= n->act_at) {
        amm_engine_renewed(engine, now, session, n);
    }
    return false;
}

static uint64_t random_sid(struct amm_engine *engine)
{
    uint64_t sid;
    do {
        sid = amm_random_u64(&engine->env.random);
    } while (sid == 0);
    return sid;
}

void amm_client_connect_to(struct amm_engine *engine, struct amm_now now,
                           const struct amm_path *path)
{
    struct amm_session *former = &engine->sessions[0];
    if (former->state != SESSION_FREE) {
        if (amm_session_has(former, SESSION_INSTALLED)) {
            amm_engine_plane(engine, former, AMM_PLANE_REMOVE);
        }
        amm_engine_forget_session(engine, former);
    }
    struct amm_session *session = amm_engine_take_session(engine, path, random_sid(engine), 0);
    const struct amm_wrap_config *wrap = &engine->config.wraps[0];
    session->path.port_index = 0;
    amm_wrap_init(&session->wrap, wrap, AMM_CLIENT);
    struct negotiation *n = amm_engine_negotiate(engine, now, session, 0, 0);
    if (n == NULL) {
        amm_engine_end_because(engine, session, AMM_CLOSE_TIMEOUT, "out of memory",
                               AMM_PLANE_REMOVE);
        return;
    }
    if (wrap->mode != AMM_WRAP_NONE) {
        memcpy(n->raw_key, wrap->static_key, sizeof n->raw_key);
        n->has_raw_key = true;
    }
    bool is_v2 = wrap->mode == AMM_WRAP_CRYPT_V2;
    amm_reliable_send(&n->reliable, now.mono,
                      is_v2 ? AMM_OP_CONTROL_HARD_RESET_CLIENT_V3
                            : AMM_OP_CONTROL_HARD_RESET_CLIENT_V2,
                      amm_view(NULL, 0));
    amm_engine_settle(engine, now, session);
}

bool amm_client_take_reset(struct amm_engine *engine, struct amm_session *session,
                           struct negotiation *n, const struct amm_control *control)
{
    uint16_t flags = 0;
    if (n->key_id != 0 || n->step != STEP_RESET || control->message_id != 0 ||
        control->n_acks == 0 || control->peer_sid != session->own_sid ||
        !amm_early_decode(&flags, control->payload)) {
        amm_drop(engine->drops, AMM_DROP_CONTROL_MALFORMED);
        return false;
    }
    session->peer_sid = control->own_sid;
    n->exchange.client_sid = session->own_sid;
    n->exchange.server_sid = session->peer_sid;
    n->resend_wkc = (flags & AMM_EARLY_RESEND_WKC) != 0 &&
                    wrap_config_of(engine, session)->mode == AMM_WRAP_CRYPT_V2;
    return true;
}

bool amm_client_say_exit(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                         struct negotiation *n)
{
    if (!amm_session_has(session, SESSION_CC_EXIT) || n == NULL || n->step != STEP_IDLE ||
        !write_command(engine, n, "EXIT")) {
        return false;
    }
    n->step = STEP_LINGER;
    n->linger_ends_session = true;
    n->say = true;
    n->act_at = amm_time_after(now.mono, LINGER_FAILED);
    return true;
}
