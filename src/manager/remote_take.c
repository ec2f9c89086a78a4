/* What amm-proxyd says. Its words about a remote session that is not known are answered with CLOSE:
 * it does not exist. */
#include "manager/remote_parts.h"

#include "domain/checkin.h"
#include "io/log.h"
#include "manager/directory.h"
#include "manager/events.h"
#include "manager/history.h"

#include <stdio.h>

/* NULL: none that lives; closed there. */
static struct remote_session *known(struct manager *m, const char *label)
{
    struct remote_session *session = remote_find_label(m->remote, label);
    if (session == NULL || session->ended_at != 0) {
        remote_link_close(m, label, AMM_PROXY_END_UNKNOWN);
        return NULL;
    }
    return session;
}

/* Whoever works on a gateway's page is there: his login does not end meanwhile. */
static void touch(struct manager *m, struct remote_session *session, int64_t at)
{
    struct login *login = session->actor_kind == ACTOR_LOGIN
                              ? directory_login(m->directory, session->credential)
                              : NULL;
    if (at > session->last_at && at <= m->now.wall + 1) {
        session->last_at = at;
        remote_changed(m, session, false);
    }
    struct actor actor;
    if (login != NULL && directory_login_actor(m, login, &actor)) { /* not one that is over */
        directory_login_seen(m, login);
    }
}

static void take_entered(struct manager *m, const struct amm_proxy_entered *entered)
{
    struct remote_session *session = known(m, entered->label);
    if (session == NULL) {
        return;
    }
    session->has_ticket = false;
    session->has_cookie = true;
    memcpy(session->cookie, entered->cookie, sizeof session->cookie);
    if (session->entered_at == 0) {
        session->entered_at = m->now.wall;
    }
    if (entered->remote.family != AMM_FAMILY_NONE) {
        amm_address_text(&entered->remote, session->entered_from);
    }
    session->last_at = m->now.wall;
    remote_changed(m, session, true);
    remote_publish(m, session);
}

/* ---- keys ---- */

static void learn_key(struct manager *m, const struct remote_session *session,
                      const uint8_t sha256[AMM_PROXY_HASH])
{
    struct remote_page page = remote_page_copy(m, session->gateway);
    if (page.has_pin) {
        return; /* another remote session was first */
    }
    page.has_pin = true;
    memcpy(page.pin, sha256, sizeof page.pin);
    page.pin_at = m->now.wall;
    snprintf(page.pin_by, sizeof page.pin_by, "server (first use)");
    if (remote_page_put(m, &page) != AMM_STORE_OK) {
        manager_fail(m); /* learned with the next remote session */
    }
}

/* Nothing was sent to it. Until a person has said that it is right, nobody gets there. */
static void refuse_key(struct manager *m, struct remote_session *session,
                       const uint8_t sha256[AMM_PROXY_HASH])
{
    struct remote_page page = remote_page_copy(m, session->gateway);
    struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, session->gateway);
    bool is_news = !page.has_seen || memcmp(page.seen, sha256, sizeof page.seen) != 0;
    remote_end(m, session, REMOTE_END_KEY, "", true);
    if (gateway == NULL || !is_news) {
        return;
    }
    page.has_seen = true;
    memcpy(page.seen, sha256, sizeof page.seen);
    page.seen_at = m->now.wall;
    if (remote_page_put(m, &page) != AMM_STORE_OK ||
        !event_add(m->fleet, gateway, "page-key-changed",
                   "its page shows another key: remote access waits until it is accepted", NULL,
                   m->now.wall)) {
        manager_fail(m);
    }
}

static void take_key(struct manager *m, const struct amm_proxy_key *key)
{
    struct remote_session *session = known(m, key->label);
    if (session == NULL || fleet_gateway_find(m->fleet, session->gateway) == NULL) {
        return;
    }
    const struct remote_page *page = remote_page_find(m, session->gateway);
    bool differs =
        page != NULL && page->has_pin && memcmp(page->pin, key->sha256, sizeof page->pin) != 0;
    if (differs || key->changed) {
        refuse_key(m, session, key->sha256);
    } else {
        learn_key(m, session, key->sha256);
    }
}

/* ---- the log ---- */

static void take_request(struct manager *m, const struct amm_proxy_request *request)
{
    struct remote *remote = m->remote;
    /* Also of one that has ended a moment ago. */
    struct remote_session *session = remote_find_label(remote, request->label);
    if (session == NULL) {
        return;
    }
    session->requests++;
    session->bytes_in += request->bytes_in;
    session->bytes_out += request->bytes_out;
    history_traffic(m, session->gateway, HISTORY_PAGE, request->bytes_in + request->bytes_out);
    remote->n_requests++;
    if (manager_store_state(m) != AMM_STORE_OK ||
        remote_request_insert(m, session, ++session->noted, request) != AMM_STORE_OK) {
        remote->link.lost++;
    }
    if (session->ended_at == 0) {
        touch(m, session, request->at);
    }
    remote_changed(m, session, false);
}

/* ---- ends ---- */

static void take_ended(struct manager *m, const struct amm_proxy_ending *ending)
{
    struct remote_session *session = remote_find_label(m->remote, ending->label);
    if (session != NULL && session->ended_at == 0) {
        remote_end(m, session, ending->reason, "", false);
    }
}

void remote_take_event(struct manager *m, const struct fleet_gateway *gateway,
                       const struct amm_checkin_event *event)
{
    if (m->remote == NULL || strcmp(event->kind, "remote-session-ended") != 0) {
        return;
    }
    const char *label = json_string_value(json_object_get(event->data, "label"));
    struct remote_session *session = label != NULL ? remote_find_label(m->remote, label) : NULL;
    if (session != NULL && session->gateway == gateway->id) {
        remote_end(m, session, AMM_PROXY_END_GATEWAY, "", true);
    }
}

void remote_take(struct manager *m, const struct amm_proxy_message *message)
{
    struct remote_session *session;
    switch (message->type) {
    case AMM_PROXY_ENTERED:
        take_entered(m, &message->entered);
        break;
    case AMM_PROXY_KEY:
        take_key(m, &message->key);
        break;
    case AMM_PROXY_REQUESTS_ARE:
        for (uint16_t i = 0; i < message->requests.n; i++) {
            take_request(m, &message->requests.list[i]);
        }
        break;
    case AMM_PROXY_ACTIVE:
        session = known(m, message->active.label);
        if (session != NULL) {
            touch(m, session, message->active.at);
        }
        break;
    case AMM_PROXY_ENDED:
        take_ended(m, &message->ending);
        break;
    case AMM_PROXY_RESULT:
        remote_test_result(m, &message->result);
        break;
    default:
        break;
    }
}
