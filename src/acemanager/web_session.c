#include "web_session.h"

#include "base/base64.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

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

static struct web_session *room(struct web_sessions *sessions)
{
    struct web_session *oldest = &sessions->at[0];
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        struct web_session *session = &sessions->at[i];
        if (session->role == WEB_NOBODY) {
            return session;
        }
        oldest = session->used < oldest->used ? session : oldest;
    }
    return oldest;
}

struct web_session *web_session_open(struct web_sessions *sessions, enum web_role role,
                                     const struct amm_address *remote, bool in_tunnel,
                                     struct amm_now now, char token[WEB_TOKEN_TEXT])
{
    struct web_session *session = room(sessions);
    web_random_text(&sessions->random, token);
    *session = (struct web_session){.role = role,
                                    .number = ++sessions->last_number,
                                    .remote = *remote,
                                    .in_tunnel = in_tunnel,
                                    .opened = now,
                                    .used = now.mono};
    web_sha256(amm_view_str(token), session->token_hash);
    web_random_text(&sessions->random, session->csrf);
    return session;
}

static bool is_over(const struct web_sessions *sessions, const struct web_session *session,
                    amm_time mono)
{
    return mono - session->used > sessions->idle ||
           mono - session->opened.mono > WEB_SESSION_HOURS * 3600 * AMM_SECOND;
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
        if (session->role != WEB_NOBODY && is_over(sessions, session, mono)) {
            web_session_close(session);
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

void web_session_close(struct web_session *session)
{
    amm_wipe(session, sizeof *session);
}

void web_sessions_close_role(struct web_sessions *sessions, enum web_role role,
                             const struct web_session *but)
{
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        if (sessions->at[i].role == role && &sessions->at[i] != but) {
            web_session_close(&sessions->at[i]);
        }
    }
}

bool web_session_close_number(struct web_sessions *sessions, uint32_t number)
{
    for (size_t i = 0; i < WEB_SESSIONS; i++) {
        if (sessions->at[i].role != WEB_NOBODY && sessions->at[i].number == number) {
            web_session_close(&sessions->at[i]);
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
