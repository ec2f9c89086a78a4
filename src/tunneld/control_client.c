#include "control_parts.h"

#include "io/clock.h"
#include "io/unix.h"

#include <stdio.h>
#include <unistd.h>

/* ---- sending ---- */

static void watch_writable(struct amm_control *control, struct control_client *client, bool waits)
{
    if (waits != client->waits) {
        uint32_t index = (uint32_t)(client - control->clients);
        client->waits = waits;
        amm_loop_change(control->loop, client->fd, waits ? AMM_READ | AMM_WRITE : AMM_READ,
                        control_tag(CONTROL_TAG_CLIENT, index));
    }
}

void amm_control_close(struct amm_control *control, struct control_client *client)
{
    amm_loop_remove(control->loop, client->fd);
    close(client->fd);
    *client = (struct control_client){.fd = -1, .attached = -1};
}

static bool next_refusal(struct amm_control *control, struct control_client *client,
                         struct amm_ipc_message *out)
{
    out->type = AMM_IPC_EVENT;
    return amm_journal_refusal(control->journal, client->step++, &out->event);
}

static void fill_text(struct amm_ipc_message *out, uint8_t type, const char *text)
{
    out->type = type;
    snprintf(out->text, sizeof out->text, "%s", text);
}

/* The next message for the client; false if there is none now. Ends a job with DONE. */
static bool next_message(struct amm_control *control, struct control_client *client,
                         struct amm_ipc_message *out)
{
    bool more = false;

    switch (client->job) {
    case JOB_NONE:
    case JOB_WAIT:
        return false;
    case JOB_EVENTS:
        out->type = AMM_IPC_EVENT;
        if (amm_journal_at(control->journal, client->event, &out->event) != AMM_JOURNAL_OK) {
            return false;
        }
        client->event++;
        return true;
    case JOB_TEXT:
        client->job = JOB_NONE;
        fill_text(out, client->result, client->text);
        return true;
    case JOB_STATUS:
    case JOB_WATCH:
        more = amm_control_next_status(control, client, out);
        break;
    case JOB_COUNTERS:
        more = amm_control_next_counter(control, client, out);
        break;
    case JOB_REFUSALS:
        more = next_refusal(control, client, out);
        break;
    case JOB_LISTENERS:
        more = amm_control_next_listener(control, client, out);
        break;
    }
    if (!more) {
        client->job = client->job == JOB_WATCH ? JOB_EVENTS : JOB_NONE;
        fill_text(out, AMM_IPC_DONE, "");
    }
    return true;
}

static void send_answers(struct amm_control *control, struct control_client *client)
{
    struct amm_ipc_message message;

    for (;;) {
        if (!client->pending) {
            memset(&message, 0, sizeof message);
            if (!next_message(control, client, &message)) {
                watch_writable(control, client, false);
                return;
            }
            client->pending = amm_ipc_encode(&message, client->message, sizeof client->message);
        }
        switch (amm_unix_send(client->fd, amm_view(client->message, client->pending),
                              &client->attached, client->attached >= 0)) {
        case AMM_UNIX_OK:
            client->pending = 0;
            client->attached = -1;
            break;
        case AMM_UNIX_AGAIN:
            watch_writable(control, client, true);
            return;
        case AMM_UNIX_CLOSED:
            amm_control_close(control, client);
            return;
        }
    }
}

void amm_control_finish(struct amm_control *control, struct control_client *client,
                        enum amm_ipc_type result, const char *text)
{
    client->job = JOB_TEXT;
    client->result = (uint8_t)result;
    snprintf(client->text, sizeof client->text, "%s", text);
    send_answers(control, client);
}

void amm_control_push_events(struct amm_control *control)
{
    struct amm_ipc_event event;

    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct control_client *client = &control->clients[i];
        if (client->fd < 0 || client->job != JOB_EVENTS) {
            continue;
        }
        if (amm_journal_at(control->journal, client->event, &event) == AMM_JOURNAL_OVERWRITTEN) {
            amm_control_close(control, client); /* does not read; it may connect again */
        } else if (!client->waits) {
            send_answers(control, client);
        }
    }
}

/* ---- orders ---- */

static void begin_order(struct amm_control *control, struct control_client *client, uint8_t asked,
                        struct amm_cell_order *order, uint32_t hold)
{
    order->token = ++control->next_token ? control->next_token : ++control->next_token;
    order->until = hold ? amm_time_after(amm_now().mono, hold * AMM_SECOND) : 0;
    if (!amm_control_order(control, order)) {
        amm_control_finish(control, client, AMM_IPC_FAILED, "the server is busy; ask again");
        return;
    }
    client->job = JOB_WAIT;
    client->asked = asked;
    client->token = order->token;
    client->missing = control->shared->n_handshake;
    client->sessions = 0;
    client->hold = hold;
}

static const char not_a_port[] = "that is not one of this server's tunnel ports";

/* One port, or with 0 all of them; false if there is no such port. */
static bool choose_ports(const struct amm_shared *shared, uint16_t port, uint32_t *ports)
{
    uint8_t index = amm_shared_port_index(shared, port);
    *ports = port ? 1U << index : (1U << shared->n_ports) - 1;
    return !port || index < shared->n_ports;
}

static void begin_kick(struct amm_control *control, struct control_client *client,
                       const struct amm_ipc_ask *ask)
{
    struct amm_cell_order order = {.kind = AMM_CELL_KICK};

    if (!ask->name[0]) {
        amm_control_finish(control, client, AMM_IPC_FAILED, "name the gateway to disconnect");
        return;
    }
    if (!choose_ports(control->shared, ask->port, &order.ports)) {
        amm_control_finish(control, client, AMM_IPC_FAILED, not_a_port);
        return;
    }
    snprintf(order.name, sizeof order.name, "%s", ask->name);
    begin_order(control, client, AMM_IPC_KICK, &order, ask->hold);
}

static void begin_drain(struct amm_control *control, struct control_client *client,
                        const struct amm_ipc_ask *ask)
{
    struct amm_cell_order order = {.kind = AMM_CELL_DRAIN};
    struct amm_shared *shared = control->shared;

    if (!choose_ports(shared, ask->port, &order.ports)) {
        amm_control_finish(control, client, AMM_IPC_FAILED, not_a_port);
        return;
    }
    begin_order(control, client, AMM_IPC_DRAIN, &order, ask->hold);
    for (uint8_t i = 0; i < shared->n_ports; i++) {
        if (order.ports & 1U << i) {
            atomic_store(&shared->places[i].draining, order.until);
        }
    }
}

static void end_order(struct amm_control *control, struct control_client *client)
{
    char text[AMM_IPC_TEXT];
    char held[64] = "";

    if (client->hold) {
        snprintf(held, sizeof held, "; refused for %u s", client->hold);
    }
    if (client->asked == AMM_IPC_KICK && !client->sessions && !client->hold) {
        amm_control_finish(control, client, AMM_IPC_FAILED, "no gateway of that name is connected");
        return;
    }
    snprintf(text, sizeof text, "%u tunnel%s closed%s", client->sessions,
             client->sessions == 1 ? "" : "s", held);
    amm_control_finish(control, client, AMM_IPC_DONE, text);
}

void amm_control_take_answer(struct amm_control *control, const struct amm_cell_answer *answer)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct control_client *client = &control->clients[i];
        if (client->fd >= 0 && client->job == JOB_WAIT && client->token == answer->token &&
            client->missing) {
            client->sessions += answer->sessions;
            if (!--client->missing) {
                end_order(control, client);
            }
        }
    }
}

static void begin_reload(struct amm_control *control, struct control_client *client)
{
    if (!amm_channel_send(control->shared->handoff->channel, AMM_CHANNEL_RELOAD, 0)) {
        amm_control_finish(control, client, AMM_IPC_FAILED, "the holder does not answer");
        return;
    }
    client->job = JOB_WAIT;
    client->asked = AMM_IPC_RELOAD;
    client->token = 0;
    client->missing = 0;
}

/* ---- requests ---- */

static void begin_job(struct amm_control *control, struct control_client *client,
                      enum control_job job)
{
    client->job = job;
    client->step = client->port = client->row = 0;
    client->event = amm_journal_end(control->journal);
    send_answers(control, client);
}

/* Whoever has these descriptors speaks to gateways in the manager's name. */
static void begin_listeners(struct amm_control *control, struct control_client *client)
{
    if (client->uid != 0 && client->uid != control->shared->handoff->manager_uid) {
        amm_control_finish(control, client, AMM_IPC_FAILED,
                           "the listeners are for the manager only (`manager-user` in amm.conf)");
        return;
    }
    begin_job(control, client, JOB_LISTENERS);
}

static void take_request(struct amm_control *control, struct control_client *client,
                         const struct amm_ipc_message *request)
{
    switch (request->type) {
    case AMM_IPC_STATUS:
        begin_job(control, client, JOB_STATUS);
        break;
    case AMM_IPC_COUNTERS:
        begin_job(control, client, JOB_COUNTERS);
        break;
    case AMM_IPC_REFUSALS:
        begin_job(control, client, JOB_REFUSALS);
        break;
    case AMM_IPC_EVENTS:
        begin_job(control, client, JOB_EVENTS);
        break;
    case AMM_IPC_WATCH:
        begin_job(control, client, JOB_WATCH);
        break;
    case AMM_IPC_LISTENERS:
        begin_listeners(control, client);
        break;
    case AMM_IPC_KICK:
        begin_kick(control, client, &request->ask);
        break;
    case AMM_IPC_DRAIN:
        begin_drain(control, client, &request->ask);
        break;
    case AMM_IPC_RELOAD:
        begin_reload(control, client);
        break;
    default: /* an answer: not for us */
        amm_control_finish(control, client, AMM_IPC_FAILED, "unknown request");
        break;
    }
}

static void read_request(struct amm_control *control, struct control_client *client)
{
    uint8_t packet[AMM_IPC_MAX];
    struct amm_ipc_message request;
    size_t len = 0;
    size_t fds = 0;

    switch (
        amm_unix_receive(client->fd, (struct amm_span){packet, sizeof packet}, &len, NULL, &fds)) {
    case AMM_UNIX_AGAIN:
        return;
    case AMM_UNIX_CLOSED:
        amm_control_close(control, client);
        return;
    case AMM_UNIX_OK:
        break;
    }
    /* One request a time: whoever talks into an answer, or nonsense, is not worth the memory of a
     * queue. */
    if (client->job != JOB_NONE || client->pending ||
        !amm_ipc_decode(&request, amm_view(packet, len))) {
        amm_control_close(control, client);
        return;
    }
    take_request(control, client, &request);
}

void amm_control_serve(struct amm_control *control, struct control_client *client,
                       const struct amm_ready *ready)
{
    if (client->fd >= 0 && (ready->readable || ready->closed)) {
        read_request(control, client);
    }
    if (client->fd >= 0 && ready->writable) {
        send_answers(control, client);
    }
}

/* A free place, or that of the client which has been silent longest: who asks nothing cannot lock
 * out who has something to ask. */
static uint32_t make_place(struct amm_control *control)
{
    uint32_t silent = CONTROL_CLIENTS;

    for (uint32_t i = 0; i < CONTROL_CLIENTS; i++) {
        const struct control_client *client = &control->clients[i];
        if (client->fd < 0) {
            return i;
        }
        if (client->job == JOB_NONE && !client->pending &&
            (silent == CONTROL_CLIENTS || client->number < control->clients[silent].number)) {
            silent = i;
        }
    }
    if (silent < CONTROL_CLIENTS) {
        amm_control_close(control, &control->clients[silent]);
    }
    return silent;
}

void amm_control_accept(struct amm_control *control)
{
    int fd;
    while ((fd = amm_unix_accept(control->shared->handoff->control)) >= 0) {
        uint32_t i = make_place(control);
        struct amm_unix_peer peer;
        if (i == CONTROL_CLIENTS || !amm_unix_peer(fd, &peer) ||
            !amm_loop_add(control->loop, fd, AMM_READ, control_tag(CONTROL_TAG_CLIENT, i))) {
            close(fd);
            return;
        }
        control->clients[i] = (struct control_client){
            .fd = fd, .number = ++control->connections, .uid = peer.uid, .attached = -1};
    }
}
