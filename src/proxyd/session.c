#include "proxyd/session.h"

#include "base/base64.h"
#include "base/siphash.h"
#include "crypto/mac.h"

#include "translate_parts.h"

#include <stdlib.h>
#include <strings.h>

enum {
    BUCKETS = 16384,
    TELL_EVERY = 10,       /* seconds between two ACTIVE */
    UNUSED_AFTER = 900,    /* seconds that a session without a browser is kept, beyond its ticket */
    COOKIES_LOOKED_AT = 8, /* of ours in one request: a page can add others, but not hide it */
};

struct sessions {
    struct amm_siphash_key key;
    uint16_t port;
    bool secure;
    char domain[AMM_PROXY_HOST];
    size_t n;
    struct session *first;
    struct session *buckets[BUCKETS];
};

struct sessions *sessions_new(const char *domain, uint16_t port, bool secure,
                              const struct amm_random *random)
{
    struct sessions *sessions = calloc(1, sizeof *sessions);
    if (sessions != NULL) {
        sessions->key = (struct amm_siphash_key){amm_random_u64(random), amm_random_u64(random)};
        sessions->port = port;
        sessions->secure = secure;
        strncpy(sessions->domain, domain, sizeof sessions->domain - 1);
    }
    return sessions;
}

struct sessions *sessions_free(struct sessions *sessions)
{
    while (sessions != NULL && sessions->first != NULL) {
        sessions_remove(sessions, sessions->first);
    }
    free(sessions);
    return NULL;
}

static struct session **bucket(const struct sessions *sessions, const char *label)
{
    uint64_t hash = amm_siphash(&sessions->key, label, AMM_PROXY_LABEL);
    return (struct session **)&sessions->buckets[hash % BUCKETS];
}

struct session *sessions_find(const struct sessions *sessions, const char *label)
{
    struct session *session = *bucket(sessions, label);
    while (session != NULL && memcmp(session->about.label, label, AMM_PROXY_LABEL) != 0) {
        session = session->next;
    }
    return session;
}

struct session *sessions_of_host(const struct sessions *sessions, struct amm_view host)
{
    char label[AMM_PROXY_LABEL];
    size_t len = strlen(sessions->domain), at = AMM_PROXY_LABEL + 1;
    if (host.len < at + len || host.data[AMM_PROXY_LABEL] != '.' ||
        strncasecmp((const char *)host.data + at, sessions->domain, len) != 0 ||
        (host.len > at + len && host.data[at + len] != ':')) {
        return NULL;
    }
    for (size_t i = 0; i < AMM_PROXY_LABEL; i++) {
        uint8_t c = host.data[i];
        label[i] = (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
    }
    return amm_proxy_label_ok(amm_view(label, sizeof label)) ? sessions_find(sessions, label)
                                                             : NULL;
}

/* ---- changes ---- */

static bool same_target(const struct amm_proxy_session *a, const struct amm_proxy_session *b)
{
    return a->kind == b->kind && a->gateway == b->gateway && a->epoch == b->epoch &&
           a->scheme == b->scheme && amm_address_equal(&a->address, &b->address) &&
           amm_address_equal(&a->relay, &b->relay);
}

static struct session *add(struct sessions *sessions, const struct amm_proxy_session *about,
                           struct amm_now now)
{
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        return NULL;
    }
    struct session **head = bucket(sessions, about->label);
    int64_t ago = now.wall - about->last_at;
    session->idle_from = now.mono - (ago > 0 && ago < 86400 ? ago : 0) * AMM_SECOND;
    session->next = *head;
    *head = session;
    session->after = sessions->first;
    if (sessions->first != NULL) {
        sessions->first->before = session;
    }
    sessions->first = session;
    sessions->n++;
    return session;
}

/* ammd still tells of a ticket that was used here: it has not heard of that yet. */
static bool is_spent(const struct session *session, const struct amm_proxy_session *about)
{
    return about->has_ticket && amm_equal_secret(session->spent, about->ticket, AMM_PROXY_HASH);
}

struct session *sessions_put(struct sessions *sessions, const struct amm_proxy_session *about,
                             struct amm_now now, bool *other_target)
{
    struct translate_names names;
    struct session *session = sessions_find(sessions, about->label);
    *other_target = session != NULL && !same_target(&session->about, about);
    if (*other_target || (session == NULL && sessions->n >= AMM_PROXY_SESSIONS) ||
        !translate_names_init(&names, about, sessions->domain, sessions->port, sessions->secure)) {
        return NULL;
    }
    if (session == NULL) {
        session = add(sessions, about, now);
    }
    if (session != NULL) {
        /* What this side learned and ammd may not know yet stays. */
        struct amm_proxy_session known = session->about;
        session->about = *about;
        session->names = names;
        if (session->entered && (!about->has_cookie || is_spent(session, about))) {
            session->about.has_cookie = 1;
            memcpy(session->about.cookie, known.cookie, sizeof known.cookie);
            session->about.has_ticket = 0;
        }
        session->entered = session->about.has_cookie;
        session->seen = true;
        amm_wipe(&known, sizeof known);
    }
    amm_wipe(&names, sizeof names);
    return session;
}

void sessions_remove(struct sessions *sessions, struct session *session)
{
    struct session **at = bucket(sessions, session->about.label);
    while (*at != session) {
        at = &(*at)->next;
    }
    *at = session->next;
    *(session->before ? &session->before->after : &sessions->first) = session->after;
    if (session->after != NULL) {
        session->after->before = session->before;
    }
    sessions->n--;
    amm_wipe(session, sizeof *session);
    free(session);
}

bool session_touch(struct session *session, struct amm_now now)
{
    session->idle_from = now.mono;
    session->about.last_at = now.wall;
    if (session->told != 0 && now.mono - session->told < TELL_EVERY * AMM_SECOND) {
        return false;
    }
    session->told = now.mono;
    return true;
}

/* ---- ends ---- */

static amm_time idle_end(const struct session *session)
{
    unsigned seconds = session->about.idle;
    if (!session->entered && seconds > UNUSED_AFTER) {
        seconds = UNUSED_AFTER;
    }
    return amm_time_after(session->idle_from, seconds * AMM_SECOND);
}

/* One look at all in a while: a table of 10 000 takes less than a millisecond. */
struct session *sessions_due(struct sessions *sessions, struct amm_now now,
                             enum amm_proxy_end *reason)
{
    for (struct session *session = sessions->first; session != NULL; session = session->after) {
        bool is_idle = idle_end(session) <= now.mono;
        if (session->page_ended || session->about.until <= now.wall || is_idle) {
            *reason = session->page_ended                ? AMM_PROXY_END_GATEWAY
                      : session->about.until <= now.wall ? AMM_PROXY_END_LIFE
                      : session->entered                 ? AMM_PROXY_END_IDLE
                                                         : AMM_PROXY_END_UNUSED;
            return session;
        }
    }
    return NULL;
}

amm_time sessions_deadline(const struct sessions *sessions, struct amm_now now)
{
    return sessions->n > 0 ? now.mono + AMM_SECOND : AMM_NEVER;
}

void sessions_unname(struct sessions *sessions)
{
    for (struct session *session = sessions->first; session != NULL; session = session->after) {
        session->seen = false;
    }
}

struct session *sessions_unnamed(struct sessions *sessions)
{
    struct session *session = sessions->first;
    while (session != NULL && session->seen) {
        session = session->after;
    }
    return session;
}

size_t sessions_count(const struct sessions *sessions)
{
    return sessions->n;
}

/* ---- secrets ---- */

static bool secret_is(struct amm_view text, const uint8_t hash[AMM_PROXY_HASH])
{
    uint8_t bytes[32], ours[AMM_SHA256_LEN];
    size_t len;
    bool ok = amm_base64_decode(bytes, sizeof bytes, &len, text, AMM_BASE64_URL) &&
              len == sizeof bytes && amm_sha256(amm_view(bytes, len), ours) &&
              amm_equal_secret(ours, hash, sizeof ours);
    amm_wipe(bytes, sizeof bytes);
    return ok;
}

bool session_has_cookie(const struct session *session, const struct amm_http_request *request)
{
    const char *name = translate_cookie_name(session->names.browser_secure);
    unsigned looked_at = 0;
    bool found = false;
    for (size_t i = 0; session->about.has_cookie && i < request->fields.n; i++) {
        struct amm_view rest = request->fields.at[i].value, pair, key;
        if (!amm_http_is(request->fields.at[i].name, "cookie")) {
            continue;
        }
        while (looked_at < COOKIES_LOOKED_AT && translate_part(&rest, ';', &pair)) {
            pair = translate_trim(pair);
            if (translate_part(&pair, '=', &key) && amm_view_equal(key, amm_view_str(name))) {
                looked_at++;
                found |= secret_is(pair, session->about.cookie);
            }
        }
    }
    return found;
}

bool session_use_ticket(struct session *session, struct amm_view ticket, int64_t wall)
{
    bool ok = session->about.has_ticket && wall <= session->about.ticket_until &&
              secret_is(ticket, session->about.ticket);
    /* Wrong ones do not use it up: whoever guesses would shut the operator out. 256 bits. */
    if (ok) {
        memcpy(session->spent, session->about.ticket, sizeof session->spent);
    }
    if (ok || wall > session->about.ticket_until) {
        session->about.has_ticket = 0;
        amm_wipe(session->about.ticket, sizeof session->about.ticket);
    }
    return ok;
}
