/* The socket of amm-proxyd: it connects, says HELLO, and is told what lives. One connection a time;
 * a new one takes the place of the old one, whose process is gone or does not know it yet. Nothing
 * here blocks; what cannot be sent waits, and too much of that ends the connection: the list of the
 * next one says it all again. */
#include "manager/remote_parts.h"

#include "io/log.h"
#include "io/privilege.h"
#include "io/unix.h"
#include "manager/tunnel.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PACKETS_MAX = 2 * AMM_PROXY_SESSIONS + 1024, TURNS = 256 };

struct remote_packet {
    struct remote_packet *next;
    size_t len;
    uint8_t bytes[];
};

bool remote_link_is_up(const struct remote *remote)
{
    return remote->link.peer.fd >= 0 && remote->link.is_greeted;
}

/* ---- the end of a connection ---- */

static void drop_packet(struct remote_link *link)
{
    struct remote_packet *packet = link->first;
    link->first = packet->next;
    link->last = link->first != NULL ? link->last : NULL;
    link->n_packets--;
    amm_wipe(packet->bytes, packet->len);
    free(packet);
}

static void disconnect(struct manager *m, const char *why)
{
    struct remote_link *link = &m->remote->link;
    if (link->peer.fd < 0) {
        return;
    }
    manager_watch_remove(m, &link->peer);
    close(link->peer.fd);
    link->peer.fd = -1;
    link->is_greeted = link->waits = false;
    while (link->first != NULL) {
        drop_packet(link);
    }
    amm_log(AMM_LOG_WARNING, "proxy-lost", amm_field_text("why", why));
    remote_tests_expire(m, true);
}

/* ---- out ---- */

static void flush(struct manager *m)
{
    struct remote_link *link = &m->remote->link;
    bool waits = false;
    while (link->first != NULL && !waits) {
        switch (
            amm_unix_send(link->peer.fd, amm_view(link->first->bytes, link->first->len), NULL, 0)) {
        case AMM_UNIX_OK:
            drop_packet(link);
            break;
        case AMM_UNIX_AGAIN:
            waits = true;
            break;
        case AMM_UNIX_CLOSED:
            disconnect(m, "amm-proxyd has closed the connection");
            return;
        }
    }
    if (waits != link->waits) {
        link->waits = waits;
        manager_watch_change(m, &link->peer, waits ? AMM_READ | AMM_WRITE : AMM_READ);
    }
}

static bool send_message(struct manager *m, const struct amm_proxy_message *message)
{
    struct remote_link *link = &m->remote->link;
    uint8_t bytes[AMM_PROXY_MAX];
    if (link->peer.fd < 0) {
        return false;
    }
    size_t len = amm_proxy_encode(message, bytes, sizeof bytes);
    struct remote_packet *packet =
        len > 0 && link->n_packets < PACKETS_MAX ? malloc(sizeof *packet + len) : NULL;
    if (packet != NULL) {
        packet->next = NULL;
        packet->len = len;
        memcpy(packet->bytes, bytes, len);
        *(link->last != NULL ? &link->last->next : &link->first) = packet;
        link->last = packet;
        link->n_packets++;
    }
    amm_wipe(bytes, len);
    if (packet == NULL) {
        amm_log(AMM_LOG_ERROR, "proxy-message-lost", amm_field_number("type", message->type));
        if (len > 0) {
            disconnect(m, "too much waits for amm-proxyd");
        }
        return false;
    }
    flush(m);
    return link->peer.fd >= 0;
}

struct amm_address remote_inner_address(uint32_t ip, uint16_t port)
{
    return (struct amm_address){
        .ip = {(uint8_t)(ip >> 24), (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip},
        .port = port,
        .family = AMM_FAMILY_IPV4};
}

/* The target of a forward: through the relay of our own gateway, else a port of the router. */
static void put_forward(const struct remote_session *session, struct amm_proxy_session *out,
                        bool is_ours)
{
    struct amm_address target;
    if (session->kind == AMM_PROXY_FORWARD &&
        amm_relay_target_parse(&target, amm_view_str(session->forward)) && is_ours) {
        out->relay = target;
    }
}

/* What signs the operator in. Somebody who may only look never gets a stored password: what a
 * router does with a GET is not known. */
static void put_credentials(struct manager *m, const struct remote_session *session,
                            const struct fleet_gateway *gateway, struct amm_proxy_session *out)
{
    const struct remote_page *page = remote_page_find(m, session->gateway);
    if (gateway->kind == FLEET_OURS) {
        out->credentials =
            gateway->serial[0] != '\0' ? AMM_PROXY_ASSERTION : AMM_PROXY_NO_CREDENTIALS;
        snprintf(out->serial, sizeof out->serial, "%s", gateway->serial);
    } else if (page != NULL && page->n_sealed > 0 && session->kind == AMM_PROXY_PAGE &&
               session->role == AMM_PROXY_USER && remote_secret_unseal(m, page, out->secret)) {
        out->credentials = AMM_PROXY_BASIC;
        snprintf(out->user, sizeof out->user, "%s", page->user);
    }
    if (page != NULL && page->has_pin && session->scheme == AMM_PROXY_HTTPS &&
        session->kind == AMM_PROXY_PAGE) {
        out->has_pin = 1;
        memcpy(out->pin, page->pin, sizeof out->pin);
    }
}

static void fill_session(struct manager *m, const struct remote_session *session,
                         const struct fleet_gateway *gateway, struct amm_proxy_session *out)
{
    char tunnel[FLEET_TUNNEL_NAME];
    *out = (struct amm_proxy_session){
        .kind = session->kind,
        .role = session->role,
        .scheme = session->scheme,
        .gateway = (uint64_t)session->gateway,
        .epoch = session->epoch,
        .address = remote_inner_address(session->inner_ip, session->port),
        .has_ticket = session->has_ticket,
        .ticket_until = session->ticket_until,
        .has_cookie = session->has_cookie,
        .idle = m->config->remote_idle,
        .last_at = session->last_at != 0 ? session->last_at : session->ready_at,
        .until = session->until,
        .view_only = session->role == AMM_PROXY_VIEWER,
    };
    memcpy(out->label, session->label, sizeof out->label);
    memcpy(out->ticket, session->ticket, sizeof out->ticket);
    memcpy(out->cookie, session->cookie, sizeof out->cookie);
    fleet_tunnel_name(gateway, tunnel);
    snprintf(out->tunnel, sizeof out->tunnel, "%.*s", AMM_NAME_MAX, tunnel);
    snprintf(out->name, sizeof out->name, "%s", session->gateway_name);
    snprintf(out->operator_name, sizeof out->operator_name, "%.*s",
             amm_text_part(session->operator_name, AMM_PROXY_PERSON - 1), session->operator_name);
    snprintf(out->reason, sizeof out->reason, "%s", session->reason);
    if (!amm_address_parse(&out->operator_address, session->opened_from, 0)) {
        out->operator_address = (struct amm_address){0}; /* root on the server itself */
    }
    put_credentials(m, session, gateway, out);
    put_forward(session, out, gateway->kind == FLEET_OURS);
}

void remote_link_session(struct manager *m, const struct remote_session *session)
{
    const struct fleet_gateway *gateway = fleet_gateway_find(m->fleet, session->gateway);
    struct amm_proxy_message message = {.type = AMM_PROXY_SESSION};
    if (gateway == NULL || session->epoch == 0 || session->ended_at != 0 ||
        !remote_link_is_up(m->remote)) {
        return;
    }
    fill_session(m, session, gateway, &message.session);
    send_message(m, &message);
    amm_wipe(&message, sizeof message);
}

/* What amm-proxyd shows to the operator. */
static uint8_t end_for_proxy(unsigned end)
{
    switch (end) {
    case REMOTE_END_TOKEN:
        return AMM_PROXY_END_LOGOUT;
    case REMOTE_END_ACCESS:
    case REMOTE_END_KEY:
        return AMM_PROXY_END_RIGHTS;
    case REMOTE_END_NO_TUNNEL:
    case REMOTE_END_MOVED:
        return AMM_PROXY_END_EPOCH;
    default:
        return end >= 1 && end <= AMM_PROXY_END_LAST ? (uint8_t)end : AMM_PROXY_END_CLOSED;
    }
}

void remote_link_close(struct manager *m, const char *label, unsigned end)
{
    struct amm_proxy_message message = {.type = AMM_PROXY_CLOSE,
                                        .ending = {.reason = end_for_proxy(end)}};
    memcpy(message.ending.label, label, sizeof message.ending.label);
    if (remote_link_is_up(m->remote)) {
        send_message(m, &message);
    }
}

void remote_link_ticket(struct manager *m, const struct remote_session *session)
{
    struct amm_proxy_message message = {.type = AMM_PROXY_TICKET,
                                        .ticket = {.until = session->ticket_until}};
    memcpy(message.ticket.label, session->label, sizeof message.ticket.label);
    memcpy(message.ticket.hash, session->ticket, sizeof message.ticket.hash);
    if (session->has_ticket && remote_link_is_up(m->remote)) {
        send_message(m, &message);
    }
}

bool remote_link_test(struct manager *m, const struct amm_proxy_test *test)
{
    struct amm_proxy_message message = {.type = AMM_PROXY_TEST, .test = *test};
    return remote_link_is_up(m->remote) && send_message(m, &message);
}

void remote_link_url(const struct remote *remote, const char *label, char *out, size_t room)
{
    const struct amm_proxy_hello *hello = &remote->link.hello;
    char port[8] = "";
    out[0] = '\0';
    if (hello->domain[0] == '\0') {
        return;
    }
    if (hello->port != (hello->secure ? 443 : 80)) {
        snprintf(port, sizeof port, ":%u", hello->port);
    }
    snprintf(out, room, "%s://%s.%s%s", hello->secure ? "https" : "http", label, hello->domain,
             port);
}

/* ---- in ---- */

static void save_key(struct manager *m, const struct amm_proxy_hello *hello)
{
    struct remote_link *link = &m->remote->link;
    char hex[2 * sizeof link->key + 1];
    if (!hello->has_assertion_key ||
        (link->has_key && memcmp(link->key, hello->assertion_key, sizeof link->key) == 0)) {
        return;
    }
    memcpy(link->key, hello->assertion_key, sizeof link->key);
    link->has_key = true;
    amm_hex(hex, amm_view(link->key, sizeof link->key));
    amm_log(AMM_LOG_INFO, "remote-access-key", amm_field_text("key", hex));
    if (manager_store_state(m) == AMM_STORE_OK) {
        amm_store_run(m->store, AMM_SQL_META_SET,
                      AMM_WITH(amm_text("remote-access-key"), amm_text(hex)));
    }
}

/* The list: what is not in it is over. */
static void greet(struct manager *m, const struct amm_proxy_hello *hello)
{
    struct remote *remote = m->remote;
    struct amm_proxy_message message = {.type = AMM_PROXY_WELCOME};
    remote->link.hello = *hello;
    remote->link.is_greeted = true;
    save_key(m, hello);
    send_message(m, &message);
    for (size_t i = 0; i < remote->n; i++) {
        remote_link_session(m, remote->by_id[i]);
    }
    message.type = AMM_PROXY_SYNCED;
    send_message(m, &message);
    amm_log(AMM_LOG_INFO, "proxy-up", amm_field_number("pid", hello->pid),
            amm_field_text("domain", hello->domain),
            amm_field_number("sessions", (int64_t)remote->n));
}

static bool take(struct manager *m, const struct amm_proxy_message *message)
{
    struct remote_link *link = &m->remote->link;
    if (message->type == AMM_PROXY_HELLO) {
        bool is_first = !link->is_greeted;
        if (is_first) {
            greet(m, &message->hello);
        }
        return is_first;
    }
    if (!link->is_greeted || message->type < AMM_PROXY_HELLO) {
        return false;
    }
    remote_take(m, message);
    return true;
}

static void receive(struct manager *m)
{
    struct remote_link *link = &m->remote->link;
    for (int turn = 0; turn < TURNS && link->peer.fd >= 0; turn++) {
        size_t len;
        switch (amm_unix_receive(link->peer.fd, (struct amm_span){link->buffer, AMM_PROXY_MAX},
                                 &len, NULL, NULL)) {
        case AMM_UNIX_AGAIN:
            return;
        case AMM_UNIX_CLOSED:
            disconnect(m, "amm-proxyd has closed the connection");
            return;
        case AMM_UNIX_OK:
            break;
        }
        bool good = amm_proxy_decode(&link->message, amm_view(link->buffer, len)) &&
                    take(m, &link->message);
        amm_wipe(&link->message, sizeof link->message);
        amm_wipe(link->buffer, len);
        if (!good) {
            disconnect(m, "amm-proxyd says what nobody asked: is it of the same version?");
        }
    }
}

static void peer_ready(struct manager *m, struct manager_watch *watch,
                       const struct amm_ready *ready)
{
    struct remote_link *link = &m->remote->link;
    if (ready->readable || ready->closed) {
        receive(m);
    }
    if (watch->fd >= 0 && link->first != NULL) {
        flush(m);
    }
}

static void listener_ready(struct manager *m, struct manager_watch *watch,
                           const struct amm_ready *ready)
{
    struct remote_link *link = &m->remote->link;
    struct amm_unix_peer peer;
    int fd = amm_unix_accept(watch->fd);
    (void)ready;
    if (fd < 0) {
        return;
    }
    /* It connects before it has become its user, too. */
    if (!amm_unix_peer(fd, &peer) || (peer.uid != link->uid && peer.uid != 0)) {
        amm_log(AMM_LOG_WARNING, "proxy-refused",
                amm_field_text("text", "another user than proxy-user has connected"));
        close(fd);
        return;
    }
    disconnect(m, "amm-proxyd has connected anew");
    link->peer = (struct manager_watch){.ready = peer_ready, .fd = fd};
    if (!manager_watch_add(m, &link->peer, AMM_READ)) {
        close(fd);
        link->peer.fd = -1;
    }
}

/* ---- life ---- */

/* As root: the folder is root's. */
bool remote_link_prepare(struct remote_link *link, const struct manager_config *config, char *error,
                         size_t room)
{
    struct amm_user user = {geteuid(), getegid()};
    char why[256];
    link->listener.fd = link->peer.fd = -1;
    if (geteuid() == 0 && !amm_user_find(config->tunneld.proxy_user, &user, why, sizeof why)) {
        amm_log(AMM_LOG_WARNING, "remote-access-off", amm_field_text("why", why));
        return true;
    }
    link->uid = user.uid;
    link->listener.fd = amm_unix_listen(config->remote_socket, 0660, user.gid, error, room);
    return link->listener.fd >= 0;
}

static void load_key(struct manager *m)
{
    struct remote_link *link = &m->remote->link;
    struct amm_rows *rows =
        amm_store_query(m->store, AMM_SQL_META_GET, AMM_WITH(amm_text("remote-access-key")));
    if (amm_rows_next(rows)) {
        char text[2 * sizeof link->key + 1];
        amm_rows_text(rows, 0, text, sizeof text);
        link->has_key =
            strlen(text) == sizeof text - 1 && amm_unhex(link->key, sizeof link->key, text);
    }
    amm_rows_end(rows);
}

bool remote_link_start(struct manager *m)
{
    struct remote_link *link = &m->remote->link;
    load_key(m);
    link->peer.fd = -1;
    link->listener.ready = listener_ready;
    return link->listener.fd < 0 || manager_watch_add(m, &link->listener, AMM_READ);
}

void remote_link_stop(struct manager *m)
{
    struct remote_link *link = &m->remote->link;
    disconnect(m, "the server is stopping");
    if (link->listener.fd >= 0) {
        manager_watch_remove(m, &link->listener);
        close(link->listener.fd);
        link->listener.fd = -1;
    }
    amm_wipe(&link->message, sizeof link->message);
}
