#include "proxyd/entry.h"

#include "crypto/signature.h"
#include "http/client.h"
#include "io/log.h"
#include "proxyd/link.h"
#include "proxyd/pages.h"
#include "proxyd/proxyd.h"
#include "translate_parts.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LIMIT = 10,    /* seconds for all of it */
    FIELDS = 8192, /* cookies of the gateway and ours */
    COOKIES = 8,
    DETAIL = 320,
    WORDS = 1024,
};

struct entry {
    struct entry *next;
    struct proxyd_watch watch; /* of the client; fd -1: none */
    unsigned interest;
    struct amm_http_client *client; /* NULL: over */
    struct amm_http_ref ref;        /* who waits for the answer */
    char label[AMM_PROXY_LABEL + 1];
    unsigned cookies;
    int status; /* of the gateway */
    size_t words_len;
    char words[WORDS]; /* what it says beside */
    struct amm_writer fields;
    uint8_t bytes[FIELDS];
};

struct entries {
    struct amm_signer *signer; /* NULL: none */
    unsigned n;
    struct entry *first;
};

struct entries *entries_new(struct amm_signer *signer)
{
    struct entries *entries = calloc(1, sizeof *entries);
    if (entries != NULL) {
        entries->signer = signer;
    }
    return entries;
}

bool entry_assert(const struct proxyd *proxyd, const struct session *session,
                  enum amm_assertion_kind kind, char out[AMM_ASSERTION_MAX])
{
    const struct amm_proxy_session *about = &session->about;
    struct amm_assertion assertion = {.kind = kind,
                                      .role = about->role == AMM_PROXY_VIEWER ? AMM_ASSERTION_VIEWER
                                                                              : AMM_ASSERTION_USER,
                                      .epoch = about->epoch,
                                      .operator_address = about->operator_address,
                                      .issued = proxyd->now.wall,
                                      .expires = proxyd->now.wall + AMM_ASSERTION_LIFE,
                                      .target = about->relay};
    if (proxyd->entries->signer == NULL) {
        return false;
    }
    snprintf(assertion.serial, sizeof assertion.serial, "%s", about->serial);
    snprintf(assertion.operator_name, sizeof assertion.operator_name, "%s", about->operator_name);
    memcpy(assertion.label, about->label, sizeof assertion.label);
    amm_random_fill(&proxyd->random, assertion.nonce, sizeof assertion.nonce);
    return amm_assertion_write(&assertion, proxyd->entries->signer, out, AMM_ASSERTION_MAX) > 0;
}

/* ---- ends ---- */

static void close_client(struct proxyd *proxyd, struct entry *entry)
{
    if (entry->watch.fd >= 0) {
        proxyd_unwatch(proxyd, &entry->watch);
        entry->watch.fd = -1;
    }
    entry->client = amm_http_client_free(entry->client);
}

/* The session may have ended meanwhile. */
static void answer(struct proxyd *proxyd, struct entry *entry, enum page page, const char *detail)
{
    struct session *session = sessions_find(proxyd->sessions, entry->label);
    struct amm_view fields = amm_view(entry->bytes, amm_writer_len(&entry->fields));
    pages_answer(proxyd->server, entry->ref, session ? page : PAGE_NO_SESSION, session, detail,
                 session ? fields : (struct amm_view){0});
    if (page != PAGE_OPENING) {
        amm_log(AMM_LOG_WARNING, "sign-in-failed",
                amm_field_text("gateway", session ? session->about.tunnel : ""),
                amm_field_text("why", detail ? detail : "another key"));
    }
    close_client(proxyd, entry);
}

static void fail(struct proxyd *proxyd, struct entry *entry, const struct amm_http_event *event)
{
    struct session *session = sessions_find(proxyd->sessions, entry->label);
    uint8_t key[AMM_PROXY_HASH];
    enum page page = event->tls_failure == AMM_TLS_WRONG_PIN ? PAGE_KEY_CHANGED
                     : event->tls_failure != AMM_TLS_OK      ? PAGE_NO_TLS
                                                             : PAGE_UNREACHABLE;
    if (page == PAGE_KEY_CHANGED && session != NULL && amm_http_client_key(entry->client, key)) {
        link_key(proxyd->link, session, key, true);
    }
    answer(proxyd, entry, page, event->error);
}

/* ---- the exchange ---- */

/* The cookies of ACEmanager become those of this host name. */
static void take_cookies(struct proxyd *proxyd, struct entry *entry,
                         const struct amm_http_response *response)
{
    const struct session *session = sessions_find(proxyd->sessions, entry->label);
    for (size_t i = 0; session != NULL && i < response->fields.n; i++) {
        const struct amm_http_field *field = &response->fields.at[i];
        uint8_t text[TRANSLATE_COOKIE + 16];
        struct amm_writer w = amm_writer(text, sizeof text);
        if (amm_http_is(field->name, "set-cookie") && entry->cookies < COOKIES &&
            translate_cookie_response(&session->names, field->value, &w) && !w.failed) {
            entry->cookies++;
            amm_http_write_field(&entry->fields, "Set-Cookie", amm_view(text, amm_writer_len(&w)));
        }
    }
}

/* A page whose key nobody had seen when we began: from now on it is this one. False: another flow
 * has seen another one meanwhile, and it is over. */
static bool see_key(struct proxyd *proxyd, struct entry *entry, const uint8_t *key)
{
    struct session *session = sessions_find(proxyd->sessions, entry->label);
    if (session != NULL && !session->about.has_pin) {
        link_key(proxyd->link, session, key, false);
    } else if (session == NULL || memcmp(session->about.pin, key, AMM_PROXY_HASH) != 0) {
        answer(proxyd, entry, PAGE_KEY_CHANGED, NULL);
        return false;
    }
    amm_http_client_trust(entry->client);
    return true;
}

/* "text" of a refusal (GP-5); "" if there is none. */
static void reason_of(const struct entry *entry, char out[DETAIL])
{
    json_t *root = json_loadb(entry->words, entry->words_len, JSON_REJECT_DUPLICATES, NULL);
    const char *text = json_string_value(json_object_get(root, "text"));
    amm_text_clean(out, DETAIL, amm_view_str(text ? text : ""));
    json_decref(root);
}

static void finish(struct proxyd *proxyd, struct entry *entry)
{
    char detail[DETAIL];
    if (entry->status == 204 && entry->cookies > 0) {
        answer(proxyd, entry, PAGE_OPENING, NULL);
        return;
    }
    reason_of(entry, detail);
    if (detail[0] == '\0') {
        snprintf(detail, sizeof detail, "The gateway answered %d %s.", entry->status,
                 amm_http_status_text(entry->status));
    }
    answer(proxyd, entry, PAGE_NO_SIGN_IN, detail);
}

static void watch_client(struct proxyd *proxyd, struct entry *entry)
{
    int fd = amm_http_client_fd(entry->client);
    unsigned interest = amm_http_client_interest(entry->client);
    if (fd != entry->watch.fd) {
        if (entry->watch.fd >= 0) {
            proxyd_unwatch(proxyd, &entry->watch);
        }
        entry->watch.fd = fd;
        if (fd >= 0) {
            proxyd_watch(proxyd, &entry->watch, interest);
        }
    } else if (fd >= 0 && interest != entry->interest) {
        proxyd_rewatch(proxyd, &entry->watch, interest);
    }
    entry->interest = interest;
}

static void step(struct proxyd *proxyd, struct entry *entry)
{
    struct amm_http_event event;
    do {
        amm_http_client_step(entry->client, proxyd->now, &event);
        if (event.kind == AMM_HTTP_EVENT_KEY) {
            if (!see_key(proxyd, entry, event.key)) {
                return;
            }
        } else if (event.kind == AMM_HTTP_EVENT_HEAD) {
            entry->status = event.response->status;
            take_cookies(proxyd, entry, event.response);
        } else if (event.kind == AMM_HTTP_EVENT_BODY) {
            size_t room = sizeof entry->words - entry->words_len;
            size_t len = event.content.len < room ? event.content.len : room;
            memcpy(entry->words + entry->words_len, event.content.data, len);
            entry->words_len += len;
        } else if (event.kind == AMM_HTTP_EVENT_DONE) {
            finish(proxyd, entry);
            return;
        } else if (event.kind == AMM_HTTP_EVENT_FAILED) {
            fail(proxyd, entry, &event);
            return;
        }
    } while (event.kind != AMM_HTTP_EVENT_NONE);
    watch_client(proxyd, entry);
}

static void ready(struct proxyd *proxyd, struct proxyd_watch *watch, const struct amm_ready *event)
{
    struct entry *entry = (struct entry *)((char *)watch - offsetof(struct entry, watch));
    (void)event;
    if (entry->client != NULL) {
        step(proxyd, entry);
    }
}

/* The one request that the proxy makes by itself; false: memory, or no key to sign with. */
static bool ask(struct proxyd *proxyd, struct session *session, struct entry *entry)
{
    char assertion[AMM_ASSERTION_MAX];
    uint8_t fields[AMM_ASSERTION_MAX + 64];
    const struct amm_proxy_session *about = &session->about;
    struct amm_writer w = amm_writer(fields, sizeof fields);
    const struct amm_http_client_settings settings = {
        .address = about->address,
        .host = session->names.page_host,
        .tls = session->names.page_secure ? proxyd->pages : NULL,
        .server_name = "",
        .key_pin = about->has_pin ? amm_view(about->pin, sizeof about->pin) : (struct amm_view){0},
        .first_use = !about->has_pin,
        .connect_deadline = LIMIT * AMM_SECOND,
        .answer_deadline = LIMIT * AMM_SECOND,
        .idle_deadline = LIMIT * AMM_SECOND};
    if (!entry_assert(proxyd, session, AMM_ASSERTION_SIGN_IN, assertion)) {
        return false;
    }
    amm_http_write_field(&w, "AMM-Assertion", amm_view_str(assertion));
    entry->client = amm_http_client_new(&settings, proxyd->now);
    bool ok = entry->client != NULL &&
              amm_http_client_request(entry->client, amm_view_str("POST"),
                                      amm_view_str("/remote-session"),
                                      amm_view(fields, amm_writer_len(&w)), (struct amm_view){0});
    amm_wipe(assertion, sizeof assertion);
    amm_wipe(fields, sizeof fields);
    return ok;
}

bool entry_start(struct proxyd *proxyd, struct session *session, struct amm_http_ref ref,
                 struct amm_view fields)
{
    struct entries *entries = proxyd->entries;
    struct entry *entry = entries->n < ENTRIES ? calloc(1, sizeof *entry) : NULL;
    if (entry == NULL) {
        return false;
    }
    entry->ref = ref;
    entry->watch = (struct proxyd_watch){.ready = ready, .fd = -1};
    entry->fields = amm_writer(entry->bytes, sizeof entry->bytes);
    amm_write_view(&entry->fields, fields);
    memcpy(entry->label, session->about.label, sizeof entry->label);
    entry->next = entries->first;
    entries->first = entry;
    entries->n++;
    if (ask(proxyd, session, entry)) {
        step(proxyd, entry);
    } else {
        answer(proxyd, entry, PAGE_NO_SIGN_IN,
               "The server cannot sign: see the log of amm-proxyd about assertion-key.");
    }
    return true;
}

/* ---- life ---- */

static void drop(struct entry *entry)
{
    amm_wipe(entry, sizeof *entry);
    free(entry);
}

void entries_step(struct proxyd *proxyd)
{
    for (struct entry **at = &proxyd->entries->first; *at != NULL;) {
        struct entry *entry = *at;
        if (entry->client != NULL && amm_http_client_deadline(entry->client) <= proxyd->now.mono) {
            step(proxyd, entry);
        }
        if (entry->client != NULL) {
            at = &entry->next;
            continue;
        }
        *at = entry->next;
        proxyd->entries->n--;
        drop(entry);
    }
}

amm_time entries_deadline(const struct proxyd *proxyd)
{
    amm_time at = AMM_NEVER;
    for (const struct entry *entry = proxyd->entries->first; entry != NULL; entry = entry->next) {
        at = amm_time_min(at, entry->client ? amm_http_client_deadline(entry->client)
                                            : proxyd->now.mono);
    }
    return at;
}

struct entries *entries_free(struct proxyd *proxyd)
{
    struct entries *entries = proxyd->entries;
    while (entries != NULL && entries->first != NULL) {
        struct entry *entry = entries->first;
        entries->first = entry->next;
        close_client(proxyd, entry);
        drop(entry);
    }
    if (entries != NULL) {
        amm_signer_free(entries->signer);
    }
    free(entries);
    return NULL;
}
