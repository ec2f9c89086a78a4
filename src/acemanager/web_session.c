#include "web_session.h"

#include "base/base64.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

enum { WEB_REVIEW = 2 }; /* seconds between two looks at remote sessions */

static const char *const names[] = {"", "viewer", "user"};

const char *web_role_name(enum web_role role)
{
    return names[role];
}

enum web_role web_role_find(struct amm_view name)
{
    return amm_view_equal(name, amm_view_str("user"))     ? WEB_USER
           : amm_view_equal(name, amm_view_str("viewer")) ? WEB_VIEWER
                                                          : WEB_NOBODY;
}

void web_sha256(struct amm_view bytes, uint8_t out[32])
{
    if (EVP_Digest(bytes.data, bytes.len, out, NULL, EVP_sha256(), NULL) != 1) {
        abort(); /* out of memory: an all-zero hash would let anyone in */
    }
}

void web_hmac_text(const uint8_t key[32], struct amm_view bytes, char out[WEB_TOKEN_TEXT])
{
    uint8_t tag[32];
    if (!HMAC(EVP_sha256(), key, 32, bytes.data, bytes.len, tag, NULL)) {
        abort();
    }
    amm_base64_encode(out, WEB_TOKEN_TEXT, amm_view(tag, sizeof tag), AMM_BASE64_URL);
}

void web_sessions_init(struct web_sessions *sessions, struct amm_random random)
{
    *sessions = (struct web_sessions){.random = random, .idle = 15 * 60 * AMM_SECOND};
}

void web_random_text(const struct amm_random *random, char out[WEB_TOKEN_TEXT])
{
    uint8_t bytes[WEB_TOKEN];
    amm_random_fill(random, bytes, sizeof bytes);
    amm_base64_encode(out, WEB_TOKEN_TEXT, amm_view(bytes, sizeof bytes), AMM_BASE64_URL);
    amm_wipe(bytes, sizeof bytes);
}

/* ---- how they end ---- */

static const struct {
    const char *name, *words;
} ends[] = {
    [WEB_END_NONE] = {"", ""},
    [WEB_END_LEFT] = {"left", "left"},
    [WEB_END_IDLE] = {"idle", "nothing was asked"},
    [WEB_END_LIFE] = {"life", "longest time reached"},
    [WEB_END_EPOCH] = {"epoch", "the tunnel ended"},
    [WEB_END_HERE] = {"here", "ended here"},
    [WEB_END_ROOM] = {"room", "made room for another"},
    [WEB_END_ANEW] = {"anew", "signed in again"},
    [WEB_END_ACCOUNT] = {"account", "password changed"},
    [WEB_END_RESTART] = {"restart", "gateway restarted"},
};

const char *web_end_name(enum web_end end)
{
    return ends[end].name;
}

const char *web_end_words(enum web_end end)
{
    return ends[end].words;
}

enum web_end web_end_find(const char *name)
{
    for (unsigned i = 0; i < WEB_ENDS; i++) {
        if (strcmp(ends[i].name, name) == 0) {
            return (enum web_end)i;
        }
    }
    return WEB_END_RESTART;
}

static void remember_end(struct web_sessions *sessions, const struct web_session *session,
                         enum web_end why)
{
    if (why != WEB_END_ANEW) { /* then a late request of the old cookie is no end of the new one */
        size_t at = sessions->next_ended++ % WEB_ENDED;
        memcpy(sessions->ended[at].token_hash, session->token_hash, sizeof session->token_hash);
        sessions->ended[at].why = why;
    }
}

void web_session_close(struct web_sessions *sessions, struct web_session *session, enum web_end why)
{
    if (session->is_remote) {
        remember_end(sessions, session, why);
        if (sessions->tell) {
            sessions->tell(sessions->context, session, why);
        }
    }
    amm_wipe(session, sizeof *session);
}

/* ---- opening ---- */

void web_visitor_of(struct web_visitor *out, const struct amm_assertion *a)
{
    *out = (struct web_visitor){.role = a->role == AMM_ASSERTION_USER ? WEB_USER : WEB_VIEWER,
                                .epoch = a->epoch};
    snprintf(out->name, sizeof out->name, "%s", a->operator_name);
    snprintf(out->label, sizeof out->label, "%s", a->label);
    if (a->operator_address.family != AMM_FAMILY_NONE) {
        char text[AMM_ADDRESS_TEXT];
        amm_address_text(&a->operator_address, text);
        size_t skip = text[0] == '[';
        snprintf(out->from, sizeof out->from, "%.*s",
                 (int)((size_t)(strrchr(text, ':') - text) - 2 * skip), text + skip);
    }
}

/* A place for a new one; who has it leaves. */
static struct web_session *room(struct web_sessions *sessions, const char *label)
{
    struct web_session *free_one = NULL, *oldest = NULL, *again = NULL;
    size_t remote = 0;
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        struct web_session *session = &sessions->at[i];
        if (session->role == WEB_NOBODY) {
            free_one = session;
            continue;
        }
        remote += session->is_remote;
        again =
            label && session->is_remote && strcmp(session->who.label, label) == 0 ? session : again;
        if ((!label || session->is_remote) && (!oldest || session->used < oldest->used)) {
            oldest = session;
        }
    }
    bool has_room = free_one && (!label || remote < WEB_REMOTE);
    struct web_session *taken = again ? again : has_room ? free_one : oldest;
    if (taken && taken->role != WEB_NOBODY) {
        web_session_close(sessions, taken, again ? WEB_END_ANEW : WEB_END_ROOM);
    }
    return taken;
}

static void fill(struct web_sessions *sessions, struct web_session *session, enum web_role role,
                 const struct amm_address *remote, struct amm_now now, char token[WEB_TOKEN_TEXT])
{
    web_random_text(&sessions->random, token);
    *session = (struct web_session){.role = role,
                                    .number = ++sessions->last_number,
                                    .remote = *remote,
                                    .opened = now,
                                    .used = now.mono};
    web_sha256(amm_view_str(token), session->token_hash);
    web_random_text(&sessions->random, session->csrf);
}

struct web_session *web_session_open(struct web_sessions *sessions, enum web_role role,
                                     const struct amm_address *remote, bool in_tunnel,
                                     struct amm_now now, char token[WEB_TOKEN_TEXT])
{
    struct web_session *session = room(sessions, NULL);
    fill(sessions, session, role, remote, now, token);
    session->in_tunnel = in_tunnel;
    return session;
}

struct web_session *web_session_open_remote(struct web_sessions *sessions,
                                            const struct web_visitor *who,
                                            const struct amm_address *remote, struct amm_now now,
                                            char token[WEB_TOKEN_TEXT])
{
    struct web_session *session = room(sessions, who->label);
    if (session) {
        fill(sessions, session, who->role, remote, now, token);
        session->in_tunnel = session->is_remote = true;
        session->who = *who;
    }
    return session;
}

/* ---- finding ---- */

static enum web_end over(const struct web_sessions *sessions, const struct web_session *session,
                         amm_time mono)
{
    int64_t hours = session->is_remote ? WEB_REMOTE_HOURS : WEB_SESSION_HOURS;
    return mono - session->opened.mono > hours * 3600 * AMM_SECOND ? WEB_END_LIFE
           : mono - session->used > sessions->idle                 ? WEB_END_IDLE
                                                                   : WEB_END_NONE;
}

amm_time web_sessions_review(struct web_sessions *sessions, amm_time mono, uint64_t epoch)
{
    bool has_some = false;
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        struct web_session *session = &sessions->at[i];
        if (session->role == WEB_NOBODY) {
            continue;
        }
        enum web_end why = over(sessions, session, mono);
        why = session->is_remote && session->who.epoch != epoch ? WEB_END_EPOCH : why;
        if (why != WEB_END_NONE) {
            web_session_close(sessions, session, why);
        }
        has_some |= session->is_remote;
    }
    return has_some ? mono + WEB_REVIEW * AMM_SECOND : AMM_NEVER;
}

struct web_session *web_session_find(struct web_sessions *sessions, struct amm_view token,
                                     amm_time mono, bool by_person)
{
    uint8_t hash[32];
    if (token.len != WEB_TOKEN_TEXT - 1) {
        return NULL;
    }
    web_sha256(token, hash);
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        struct web_session *session = &sessions->at[i];
        if (session->role != WEB_NOBODY && over(sessions, session, mono) != WEB_END_NONE) {
            web_session_close(sessions, session, over(sessions, session, mono));
        }
        if (session->role == WEB_NOBODY ||
            !amm_equal_secret(hash, session->token_hash, sizeof hash)) {
            continue;
        }
        session->used = by_person ? mono : session->used;
        return session;
    }
    return NULL;
}

bool web_session_has_ended(const struct web_sessions *sessions, struct amm_view token,
                           enum web_end *why)
{
    uint8_t hash[32];
    if (token.len != WEB_TOKEN_TEXT - 1) {
        return false;
    }
    web_sha256(token, hash);
    for (size_t i = 0; i < WEB_ENDED; i++) {
        if (sessions->ended[i].why != WEB_END_NONE &&
            amm_equal_secret(hash, sessions->ended[i].token_hash, sizeof hash)) {
            *why = sessions->ended[i].why;
            return true;
        }
    }
    return false;
}

void web_sessions_close_role(struct web_sessions *sessions, enum web_role role,
                             const struct web_session *but)
{
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        struct web_session *session = &sessions->at[i];
        if (session->role == role && session != but && !session->is_remote) {
            web_session_close(sessions, session, WEB_END_ACCOUNT);
        }
    }
}

bool web_session_close_number(struct web_sessions *sessions, uint32_t number)
{
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        if (sessions->at[i].role != WEB_NOBODY && sessions->at[i].number == number) {
            web_session_close(sessions, &sessions->at[i], WEB_END_HERE);
            return true;
        }
    }
    return false;
}

bool web_session_csrf_ok(const struct web_session *session, const char *text)
{
    return strlen(text) == WEB_TOKEN_TEXT - 1 &&
           amm_equal_secret(text, session->csrf, WEB_TOKEN_TEXT - 1);
}

void web_session_flash(struct web_session *session, const char *kind, const char *text)
{
    snprintf(session->flash_kind, sizeof session->flash_kind, "%s", kind);
    snprintf(session->flash, sizeof session->flash, "%s", text);
}
