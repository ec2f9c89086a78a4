/* What a server does with a TLS session (doc/protocol/handshake.md):
 *
 *   key 0   KEYS -> VERDICT -> INSTALL -> CONFIRM -> PULL -> PUSH -> joined
 *   later   KEYS -> INSTALL -> CONFIRM -> SWITCH -> renewed
 *   no      KEYS or VERDICT -> REFUSE -> LINGER -> closed
 *
 * The own key exchange message leaves only after the data plane has the keys, because it is what
 * makes the client send with them; PUSH_REPLY leaves only after the verdict, because there is no
 * way to it but through VERDICT. */
#include "engine_state.h"

static bool write_record(struct amm_engine *engine, struct negotiation *n,
                         const struct amm_writer *w)
{
    size_t len = amm_writer_len(w);
    if (len == 0 || !engine->env.tls->write(n->tls, amm_view(w->start, len))) {
        amm_negotiation_over(n, AMM_CLOSE_PROTOCOL, "a control message could not be written");
        return false;
    }
    return true;
}

static void send_key_method(struct amm_engine *engine, struct negotiation *n)
{
    uint8_t answer[AMM_OPTIONS_MAX];
    struct amm_writer options = amm_writer(answer, sizeof answer - 1);
    amm_occ_answer(&options, amm_view_str(n->occ));
    struct amm_key_method message = {
        .source = n->exchange.server,
        .options = amm_view(answer, amm_writer_len(&options)),
    };
    uint8_t bytes[AMM_OPTIONS_MAX + 128];
    struct amm_writer w = amm_writer(bytes, sizeof bytes);
    w.at += amm_key_method_encode(&message, AMM_SERVER, (struct amm_span){bytes, sizeof bytes});
    write_record(engine, n, &w);
    n->key_method_sent = true;
    amm_wipe(bytes, sizeof bytes);
    amm_wipe(&message, sizeof message);
}

/* Says no in words, after the key exchange is complete: before, clients do not listen. */
static void refuse(struct amm_engine *engine, struct negotiation *n, enum amm_close_reason reason,
                   enum amm_refusal refusal, uint16_t backoff, const char *text)
{
    n->refusal = refusal;
    n->refusal_backoff = backoff;
    n->ending.reason = reason;
    amm_text_clean(n->ending.text, sizeof n->ending.text, amm_view_str(text));
    if (!n->key_method_sent) {
        send_key_method(engine, n);
    }
    n->step = STEP_REFUSE;
}

/* An established session loses its place in the data plane at once; it ends when the client has
 * been told, or cannot be. */
static void refuse_renewal(struct amm_engine *engine, struct amm_session *session,
                           struct negotiation *n, enum amm_close_reason reason, const char *text)
{
    amm_engine_plane(engine, session, AMM_PLANE_REMOVE);
    amm_session_clear(session, SESSION_INSTALLED);
    n->say = true;
    refuse(engine, n, reason, AMM_REFUSE_RETRY, 0, text);
}

static void say_refusal(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                        struct negotiation *n)
{
    uint8_t bytes[512];
    struct amm_writer w = amm_writer(bytes, sizeof bytes);
    amm_text_refuse(&w, n->refusal, n->refusal_backoff, session->iv_proto, n->ending.text);
    write_record(engine, n, &w);
    n->step = STEP_LINGER;
    n->linger_ends_session = true;
    n->act_at = amm_time_after(now.mono, n->say ? SAY_LIMIT : LINGER_REFUSED);
}

static bool list_has(const uint8_t *list, size_t n, uint8_t cipher)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == cipher) {
            return true;
        }
    }
    return false;
}

/* The first of ours that the client has; without a list of its own, the one its options string
 * names. */
static uint8_t choose_cipher(const struct amm_engine *engine, const struct negotiation *n,
                             uint8_t occ_cipher)
{
    for (size_t i = 0; i < sizeof engine->config.ciphers; i++) {
        uint8_t ours = engine->config.ciphers[i];
        if (ours == AMM_CIPHER_NONE) {
            break;
        }
        if (n->info.ncp ? list_has(n->info.ciphers, n->info.n_ciphers, ours) : ours == occ_cipher) {
            return ours;
        }
    }
    return AMM_CIPHER_NONE;
}

static const char *what_is_incompatible(const struct negotiation *n, const struct amm_occ *occ,
                                        const struct amm_key_method *message)
{
    if (message->credentials_too_long) {
        return "user name or password too long";
    }
    if ((n->info.iv_proto & AMM_IV_DATA_V2) == 0) {
        return "this server needs peer ids (OpenVPN 2.4 or later)";
    }
    if (occ->compression) {
        return "compression is not supported: remove comp-lzo and compress";
    }
    if (occ->fragment) {
        return "fragment is not supported: remove it";
    }
    return NULL;
}

static void judge_first_login(struct amm_engine *engine, struct amm_session *session,
                              struct negotiation *n, const struct amm_key_method *message)
{
    struct amm_occ occ = amm_occ_parse(amm_view_str(n->occ));
    session->iv_proto = n->info.iv_proto;
    const char *problem = what_is_incompatible(n, &occ, message);
    if (problem != NULL) {
        refuse(engine, n, AMM_CLOSE_REFUSED, AMM_REFUSE_FOR_GOOD, 0, problem);
        return;
    }
    session->cipher = choose_cipher(engine, n, occ.cipher);
    if (session->cipher == AMM_CIPHER_NONE) {
        refuse(engine, n, AMM_CLOSE_NO_CIPHER, AMM_REFUSE_FOR_GOOD, 0,
               "Data channel cipher negotiation failed (no shared cipher)");
        return;
    }
    n->step = STEP_VERDICT;
    struct amm_event *event = amm_engine_event(engine, session, AMM_EVENT_AUTHORISE);
    event->identity = session->identity;
    event->info = n->info;
}

static void judge_renewal(struct amm_engine *engine, struct amm_session *session,
                          struct negotiation *n, const struct amm_identity *identity,
                          const uint8_t username[AMM_SHA256_LEN])
{
    if (!amm_session_is_same_login(session, identity, username)) {
        /* Whoever this is, the tunnel is not his. */
        refuse_renewal(engine, session, n, AMM_CLOSE_PROTOCOL, "identity changed at renegotiation");
        return;
    }
    if (n->say) {
        refuse(engine, n, n->ending.reason, n->refusal, n->refusal_backoff, n->ending.text);
        return;
    }
    if (!amm_engine_install_keys(engine, session, n, AMM_PLANE_INSTALL)) {
        amm_negotiation_over(n, AMM_CLOSE_PROTOCOL, "data keys could not be made");
        return;
    }
    /* The certificate may be a newer one of the same key: revocation goes by its serial number. */
    amm_session_open(session);
    session->identity = *identity;
    amm_session_shut(session);
    n->step = STEP_INSTALL;
}

static void copy_text(char *out, size_t room, struct amm_view text)
{
    size_t len = text.len < room ? text.len : room - 1;
    if (len > 0) {
        memcpy(out, text.data, len);
    }
    out[len] = 0;
}

static void take_key_method(struct amm_engine *engine, struct amm_session *session,
                            struct negotiation *n, struct amm_view record)
{
    struct amm_key_method message;
    enum amm_parse parse = amm_negotiation_key_method(n, AMM_CLIENT, record, &message);
    if (parse == AMM_PARSE_MORE) {
        return;
    }
    if (parse == AMM_PARSE_BAD || !amm_peer_info_parse(&n->info, message.peer_info)) {
        amm_drop(engine->drops, AMM_DROP_KEY_METHOD);
        amm_negotiation_over(n, AMM_CLOSE_PROTOCOL, "key exchange message malformed");
        return;
    }
    n->exchange.client = message.source;
    copy_text(n->occ, sizeof n->occ, message.options);
    copy_text(n->username, sizeof n->username, message.username);
    copy_text(n->password, sizeof n->password, message.password);
    struct amm_identity identity = {0};
    if (engine->env.tls->identity(n->tls) != NULL) {
        identity = *engine->env.tls->identity(n->tls);
    }
    uint8_t username[AMM_SHA256_LEN] = {0};
    amm_sha256(message.username, username);
    if (n->key_id == 0) {
        session->identity = identity;
        memcpy(session->username, username, sizeof username);
        judge_first_login(engine, session, n, &message);
    } else {
        judge_renewal(engine, session, n, &identity, username);
    }
    amm_wipe(&message, sizeof message);
}

static void take_texts(struct amm_engine *engine, struct negotiation *n, struct amm_view record)
{
    struct amm_text text;
    enum amm_text_result result;
    while ((result = amm_text_next(&record, &text)) == AMM_TEXT_TAKEN) {
        if (text.kind == AMM_TEXT_PUSH_REQUEST) {
            n->push_requested = true;
        } else if (text.kind == AMM_TEXT_EXIT) {
            amm_negotiation_over(n, AMM_CLOSE_EXIT, "the client left");
            return;
        }
    }
    if (result == AMM_TEXT_BAD) {
        amm_drop(engine->drops, AMM_DROP_CONTROL_TEXT);
    }
}

void amm_server_record(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                       struct negotiation *n, struct amm_view record)
{
    (void)now;
    if (n->step == STEP_KEYS) {
        take_key_method(engine, session, n, record);
    } else {
        take_texts(engine, n, record);
    }
}

static void accept_login(struct amm_engine *engine, struct amm_session *session,
                         struct negotiation *n, const struct amm_command *command)
{
    n->push = command->push;
    n->push.cipher = session->cipher;
    n->push.flags = 0;
    if (n->info.iv_mtu != 0 && n->push.tun_mtu > n->info.iv_mtu) {
        n->push.tun_mtu = n->info.iv_mtu;
    }
    if (engine->config.exporter && (session->iv_proto & AMM_IV_TLS_EKM) != 0) {
        amm_session_set(session, SESSION_EXPORTER);
        n->push.flags |= AMM_PUSH_TLS_EKM;
    }
    bool has_flags_option = (session->iv_proto & AMM_IV_CC_EXIT) != 0;
    if (engine->config.dynamic_tls_crypt && has_flags_option &&
        (session->iv_proto & AMM_IV_DYN_TLS_CRYPT) != 0 &&
        amm_engine_make_dynamic_wrap(engine, session, n)) {
        n->push.flags |= AMM_PUSH_DYN_TLS_CRYPT;
    }
    session->peer_id = n->push.peer_id;
    if (!amm_engine_install_keys(engine, session, n, AMM_PLANE_ADD)) {
        refuse(engine, n, AMM_CLOSE_PROTOCOL, AMM_REFUSE_RETRY, 60, "data keys could not be made");
        return;
    }
    n->step = STEP_INSTALL;
}

void amm_server_verdict(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                        struct negotiation *n, const struct amm_command *command)
{
    (void)now;
    amm_wipe(n->username, sizeof n->username);
    amm_wipe(n->password, sizeof n->password);
    if (command->accept) {
        accept_login(engine, session, n, command);
    } else {
        refuse(engine, n, AMM_CLOSE_REFUSED, command->refusal, command->backoff, command->text);
    }
}

void amm_server_installed(struct amm_engine *engine, struct amm_now now,
                          struct amm_session *session, struct negotiation *n)
{
    (void)now;
    (void)session;
    send_key_method(engine, n);
    n->step = STEP_CONFIRM;
}

void amm_server_not_installed(struct amm_engine *engine, struct amm_session *session,
                              struct negotiation *n)
{
    if (session->state == SESSION_ESTABLISHED) {
        refuse_renewal(engine, session, n, AMM_CLOSE_PROTOCOL,
                       "the new keys could not be installed");
        return;
    }
    refuse(engine, n, AMM_CLOSE_REFUSED, AMM_REFUSE_RETRY, 60,
           "the server has no place for this tunnel");
}

static void send_push_reply(struct amm_engine *engine, struct negotiation *n)
{
    uint8_t part[AMM_PUSH_PART];
    for (unsigned i = 0; i < AMM_PUSH_PARTS; i++) {
        size_t len = amm_push_encode(&n->push, &n->info, i, part);
        if (len == 0) {
            break;
        }
        struct amm_writer w = amm_writer(part, sizeof part);
        w.at += len;
        if (!write_record(engine, n, &w)) {
            return;
        }
    }
    n->step = STEP_PUSH;
}

static void join(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                 struct negotiation *n)
{
    amm_session_open(session);
    session->state = SESSION_ESTABLISHED;
    session->key_id = n->key_id;
    amm_session_shut(session);
    amm_engine_plan_renewal(engine, now, session);
    if (session->path.transport == AMM_UDP) {
        uint64_t prefix = amm_address_prefix(&session->path.remote);
        amm_limiter_refund(engine->limiter, n->limit_bucket);
        amm_limiter_know(engine->limiter, prefix);
        if (n->limit_bucket != prefix) {
            amm_limiter_know(engine->limiter, n->limit_bucket);
        }
    }
    amm_engine_plane(engine, session, AMM_PLANE_SEND);
    struct amm_event *event = amm_engine_event(engine, session, AMM_EVENT_JOINED);
    event->identity = session->identity;
    event->info = n->info;
    event->push = n->push;
    amm_text_clean(event->text, sizeof event->text, amm_view_str(engine->env.tls->version(n->tls)));
    n->finished = true;
}

void amm_server_proven(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                       struct negotiation *n)
{
    if (n->step == STEP_PUSH) {
        /* It sends data, so it has the reply, whatever became of the acknowledgement. */
        join(engine, now, session, n);
    } else if (n->key_id != 0 && (n->step == STEP_CONFIRM || n->step == STEP_SWITCH)) {
        amm_engine_renewed(engine, now, session, n);
    }
}

static void confirmed(struct amm_now now, struct negotiation *n)
{
    if (n->key_id == 0) {
        n->step = STEP_PULL;
    } else {
        n->step = STEP_SWITCH;
        n->act_at = amm_time_after(now.mono, SWITCH_DELAY);
    }
}

void amm_server_say(struct amm_engine *engine, struct negotiation *n)
{
    if (n->step == STEP_RESET || n->step == STEP_KEYS) {
        return; /* comes with the key exchange */
    }
    refuse(engine, n, n->ending.reason, n->refusal, n->refusal_backoff, n->ending.text);
}

bool amm_server_advance(struct amm_engine *engine, struct amm_now now, struct amm_session *session,
                        struct negotiation *n)
{
    bool is_quiet = amm_negotiation_is_quiet(n);
    switch (n->step) {
    case STEP_CONFIRM:
        if (is_quiet) {
            confirmed(now, n);
            return true;
        }
        return false;
    case STEP_PULL:
        if (n->push_requested || (session->iv_proto & AMM_IV_REQUEST_PUSH) != 0) {
            send_push_reply(engine, n);
            return true;
        }
        return false;
    case STEP_PUSH:
        if (is_quiet) {
            join(engine, now, session, n);
        }
        return false;
    case STEP_REFUSE:
        if (is_quiet) {
            say_refusal(engine, now, session, n);
            return true;
        }
        return false;
    case STEP_SWITCH:
        if (now.mono >= n->act_at) {
            amm_engine_renewed(engine, now, session, n);
        }
        return false;
    case STEP_RESET:
    case STEP_KEYS:
    case STEP_VERDICT:
    case STEP_INSTALL:
    case STEP_LINGER:
    case STEP_IDLE:
        return false;
    }
    return false;
}
