#include "support/sim_server.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    OPCODE_DATA_V1 = 6,
    OPCODE_DATA_V2 = 9,
    N_SESSIONS = 64,
    N_NEGOTIATIONS = 32,
    DATAGRAM_MAX = 4096
};

enum message_kind { TO_PLANE, TO_ENGINE };

struct message {
    amm_time due;
    enum message_kind kind;
    uint8_t engine;
    struct amm_plane_command plane;
    struct amm_command command;
};

/* Messages of one direction, first in first out. */
struct queue {
    struct message *messages;
    size_t head, len, room;
    amm_time last_due;
};

enum { QUEUE_COMMANDS, QUEUE_NOTES, QUEUE_VERDICTS, QUEUES };

struct sim_server {
    struct sim_server_config config;
    struct amm_pool pools[SIM_PORTS];
    struct amm_engine *engines[SIM_ENGINES];
    struct amm_plane *planes[SIM_PORTS][SIM_WORKERS];
    struct amm_aead *aeads[SIM_WORKERS];
    struct amm_drops drops;
    struct queue queues[QUEUES];
    amm_time refuse_until;
    /* what outlives a process */
    void *sessions[SIM_ENGINES];
    void *peers[SIM_PORTS];
    uint32_t generations[SIM_PORTS][SIM_SLOTS + 1];
};

/* ---- queues ---- */

static void make_room(struct queue *queue)
{
    if (queue->head + queue->len < queue->room) {
        return;
    }
    if (queue->head > 0) {
        memmove(queue->messages, queue->messages + queue->head,
                queue->len * sizeof *queue->messages);
        queue->head = 0;
    }
    if (queue->len * 2 >= queue->room) {
        queue->room = queue->room ? queue->room * 2 : 16;
        queue->messages = realloc(queue->messages, queue->room * sizeof *queue->messages);
        if (!queue->messages) {
            abort();
        }
    }
}

static void enqueue(struct sim_server *server, unsigned which, struct amm_now now,
                    struct message message)
{
    struct queue *queue = &server->queues[which];
    amm_duration delay = 0;
    if (server->config.message_delay > 0) {
        delay = (amm_duration)amm_random_below(&server->config.env.random,
                                               (uint64_t)server->config.message_delay + 1);
    }
    make_room(queue);
    message.due = now.mono + delay > queue->last_due ? now.mono + delay : queue->last_due;
    queue->last_due = message.due;
    queue->messages[queue->head + queue->len++] = message;
}

static bool dequeue(struct queue *queue, amm_time now, struct message *out)
{
    if (queue->len == 0 || queue->messages[queue->head].due > now) {
        return false;
    }
    *out = queue->messages[queue->head++];
    queue->len--;
    return true;
}

/* ---- the authoriser ---- */

static bool find_gateway(const struct sim_server *server, const char *name, uint8_t *port,
                         uint32_t *slot)
{
    unsigned number = 0;
    if (sscanf(name, "gw-%u", &number) != 1 || number >= SIM_SLOTS) {
        return false;
    }
    *port = (uint8_t)(number % server->config.n_ports);
    *slot = number + 1;
    return true;
}

static struct amm_push push_for(struct sim_server *server, uint8_t port, uint32_t slot)
{
    const struct amm_pool *pool = &server->pools[port];
    struct amm_push push = {0};
    amm_push_set_slot(&push, pool, slot);
    push.peer_id = amm_peer_id(server->generations[port][slot]++, slot);
    push.ping = server->config.ping;
    push.ping_restart = server->config.ping_restart;
    push.tun_mtu = 1400;
    push.explicit_exit_notify = 1;
    for (unsigned i = 0; i < server->config.n_routes && push.n_routes < AMM_PUSH_ROUTES; i++) {
        push.routes[push.n_routes++] = (struct amm_route){0xc0000000 + (i << 16), 0xffff0000};
    }
    return push;
}

static void authorise(struct sim_server *server, struct amm_now now, const struct amm_event *event)
{
    struct message message = {.kind = TO_ENGINE, .engine = (uint8_t)event->session.thread};
    struct amm_command *verdict = &message.command;
    uint8_t port = 0;
    uint32_t slot = 0;
    verdict->kind = AMM_COMMAND_VERDICT;
    verdict->session = event->session;
    verdict->path = event->path;
    if (!find_gateway(server, event->identity.name, &port, &slot)) {
        verdict->refusal = AMM_REFUSE_FOR_GOOD;
        snprintf(verdict->text, sizeof verdict->text, "not on the roster");
    } else if (port != event->path.port_index || now.mono < server->refuse_until) {
        verdict->refusal = AMM_REFUSE_RETRY;
        verdict->backoff = 1;
        snprintf(verdict->text, sizeof verdict->text, "come back later");
    } else {
        verdict->accept = true;
        verdict->push = push_for(server, port, slot);
    }
    enqueue(server, QUEUE_VERDICTS, now, message);
}

/* ---- draining ---- */

static void drain_engine(struct sim_server *server, struct amm_now now, unsigned number)
{
    struct amm_engine *engine = server->engines[number];
    const struct sim_server_sink *sink = &server->config.sink;
    static struct amm_event event;
    static struct amm_control_out out;
    while (amm_engine_output(engine, now, &out)) {
        sink->send(sink->owner, &out.path, amm_view(out.data, out.len));
    }
    while (amm_engine_next_event(engine, &event)) {
        if (event.kind == AMM_EVENT_AUTHORISE) {
            authorise(server, now, &event);
        } else if (event.kind == AMM_EVENT_PLANE) {
            struct message message = {.kind = TO_PLANE, .plane = event.plane};
            enqueue(server, QUEUE_COMMANDS, now, message);
        } else {
            sink->event(sink->owner, &event);
        }
    }
}

static void drain_plane(struct sim_server *server, struct amm_now now, struct amm_plane *plane)
{
    const struct sim_server_sink *sink = &server->config.sink;
    struct amm_plane_note note;
    while (amm_plane_next_note(plane, &note)) {
        struct message message = {.kind = TO_ENGINE, .engine = (uint8_t)note.session.thread};
        message.command.kind = AMM_COMMAND_NOTE;
        message.command.session = note.session;
        message.command.note = note;
        enqueue(server, QUEUE_NOTES, now, message);
    }
    uint8_t data[128];
    struct amm_path path;
    size_t len;
    while ((len = amm_plane_output(plane, now, &path, data, sizeof data)) > 0) {
        sink->send(sink->owner, &path, amm_view(data, len));
    }
}

static struct amm_plane *plane_of(struct sim_server *server, uint8_t port_index, uint32_t peer_id)
{
    if (port_index >= server->config.n_ports) {
        return NULL;
    }
    return server->planes[port_index][amm_peer_id_slot(peer_id) % server->config.n_workers];
}

static void drain_all(struct sim_server *server, struct amm_now now)
{
    for (unsigned i = 0; i < server->config.n_engines; i++) {
        drain_engine(server, now, i);
    }
    for (unsigned p = 0; p < server->config.n_ports; p++) {
        for (unsigned w = 0; w < server->config.n_workers; w++) {
            drain_plane(server, now, server->planes[p][w]);
        }
    }
}

/* True if a message was passed on. */
static bool pass_messages(struct sim_server *server, struct amm_now now)
{
    bool any = false;
    static struct message message;
    for (unsigned which = 0; which < QUEUES; which++) {
        while (dequeue(&server->queues[which], now.mono, &message)) {
            any = true;
            if (message.kind == TO_PLANE) {
                struct amm_plane *plane =
                    plane_of(server, message.plane.port_index, message.plane.peer_id);
                amm_plane_command(plane, now, &message.plane);
            } else if (message.engine < server->config.n_engines) {
                amm_engine_command(server->engines[message.engine], now, &message.command);
            }
        }
    }
    return any;
}

static void expire_all(struct sim_server *server, struct amm_now now)
{
    for (unsigned i = 0; i < server->config.n_engines; i++) {
        if (amm_engine_deadline(server->engines[i]) <= now.mono) {
            amm_engine_expire(server->engines[i], now);
        }
    }
    for (unsigned p = 0; p < server->config.n_ports; p++) {
        for (unsigned w = 0; w < server->config.n_workers; w++) {
            if (amm_plane_deadline(server->planes[p][w]) <= now.mono) {
                amm_plane_expire(server->planes[p][w], now);
            }
        }
    }
}

void sim_server_run(struct sim_server *server, struct amm_now now)
{
    expire_all(server, now);
    do {
        drain_all(server, now);
    } while (pass_messages(server, now));
}

amm_time sim_server_deadline(const struct sim_server *server)
{
    amm_time soonest = AMM_NEVER;
    for (unsigned i = 0; i < server->config.n_engines; i++) {
        soonest = amm_time_min(soonest, amm_engine_deadline(server->engines[i]));
    }
    for (unsigned p = 0; p < server->config.n_ports; p++) {
        for (unsigned w = 0; w < server->config.n_workers; w++) {
            soonest = amm_time_min(soonest, amm_plane_deadline(server->planes[p][w]));
        }
    }
    for (unsigned which = 0; which < QUEUES; which++) {
        const struct queue *queue = &server->queues[which];
        if (queue->len > 0) {
            soonest = amm_time_min(soonest, queue->messages[queue->head].due);
        }
    }
    return soonest;
}

/* ---- packets ---- */

/* The steering of the server: DATA_V2 by peer id to a worker, everything else by the client's
 * session id.
 */
bool sim_server_input(struct sim_server *server, struct amm_now now, const struct amm_path *path,
                      struct amm_span datagram)
{
    unsigned opcode = datagram.len > 0 ? datagram.data[0] >> 3 : 0;
    if (opcode == OPCODE_DATA_V2 && datagram.len >= 4) {
        struct amm_span inner;
        struct amm_plane *plane =
            plane_of(server, path->port_index, amm_load_u24(datagram.data + 1));
        if (amm_plane_open(plane, now, path, datagram, &inner)) {
            const struct sim_server_sink *sink = &server->config.sink;
            sink->inner(sink->owner, path->port_index, amm_view_of(inner));
        }
        return true;
    }
    if (opcode == OPCODE_DATA_V1 || opcode == OPCODE_DATA_V2) {
        return true;
    }
    unsigned engine = datagram.len >= 9 ? datagram.data[8] % server->config.n_engines : 0;
    return amm_engine_input(server->engines[engine], now, path, amm_view_of(datagram));
}

bool sim_server_transmit(struct sim_server *server, struct amm_now now, uint8_t port_index,
                         struct amm_view inner)
{
    if (inner.len < 20 || inner.len + AMM_DATA_OVERHEAD > DATAGRAM_MAX) {
        return false;
    }
    uint32_t destination = amm_load_u32(inner.data + 16);
    uint32_t slot = amm_pool_slot(&server->pools[port_index], destination);
    struct amm_plane *plane = server->planes[port_index][slot % server->config.n_workers];
    struct amm_peer *peer = amm_plane_route(plane, destination);
    if (!peer) {
        return false;
    }
    uint8_t out[DATAGRAM_MAX];
    struct amm_path path = peer->path;
    struct amm_span sealed = amm_plane_seal(plane, now, peer, inner, out);
    if (!sealed.data) {
        return false;
    }
    const struct sim_server_sink *sink = &server->config.sink;
    sink->send(sink->owner, &path, amm_view_of(sealed));
    return true;
}

/* ---- life ---- */

static void start_process(struct sim_server *server, struct amm_now now)
{
    for (unsigned i = 0; i < server->config.n_engines; i++) {
        struct amm_engine_config engine = server->config.engine;
        engine.role = AMM_SERVER;
        engine.thread = (uint16_t)i;
        engine.n_wraps = server->config.n_ports;
        engine.n_sessions = N_SESSIONS;
        engine.n_negotiations = N_NEGOTIATIONS;
        server->engines[i] =
            amm_engine_new(&engine, &server->config.env, server->sessions[i], &server->drops, now);
    }
    for (unsigned w = 0; w < server->config.n_workers; w++) {
        server->aeads[w] = amm_aead_new(AMM_AEAD_NULL, 16);
    }
    for (unsigned p = 0; p < server->config.n_ports; p++) {
        for (unsigned w = 0; w < server->config.n_workers; w++) {
            struct amm_plane_config plane = {
                .role = AMM_SERVER,
                .port_index = (uint8_t)p,
                .worker = (uint16_t)w,
                .n_workers = server->config.n_workers,
                .pool = server->pools[p],
                .mtu = 1400,
                .lame_duck = server->config.lame_duck,
                .spend_ids = server->config.spend_ids,
            };
            server->planes[p][w] =
                amm_plane_new(&plane, server->peers[p], amm_pool_slots(&plane.pool),
                              server->aeads[w], &server->drops, now);
        }
    }
}

static void end_process(struct sim_server *server)
{
    for (unsigned i = 0; i < server->config.n_engines; i++) {
        server->engines[i] = amm_engine_free(server->engines[i]);
    }
    for (unsigned p = 0; p < server->config.n_ports; p++) {
        for (unsigned w = 0; w < server->config.n_workers; w++) {
            server->planes[p][w] = amm_plane_free(server->planes[p][w]);
        }
    }
    for (unsigned w = 0; w < server->config.n_workers; w++) {
        server->aeads[w] = amm_aead_free(server->aeads[w]);
    }
    for (unsigned which = 0; which < QUEUES; which++) {
        struct queue *queue = &server->queues[which];
        free(queue->messages);
        *queue = (struct queue){0};
    }
}

struct sim_server *sim_server_new(const struct sim_server_config *config, struct amm_now now)
{
    struct sim_server *server = calloc(1, sizeof *server);
    if (!server) {
        abort();
    }
    server->config = *config;
    for (unsigned p = 0; p < config->n_ports; p++) {
        /* /26: 15 slots of net30 */
        server->pools[p] = (struct amm_pool){0x0a040000 + (p << 13), 26, config->topology, {0}};
        server->peers[p] = calloc(1, amm_peer_table_size(amm_pool_slots(&server->pools[p])));
    }
    for (unsigned i = 0; i < config->n_engines; i++) {
        server->sessions[i] = calloc(1, amm_session_table_size(N_SESSIONS));
    }
    start_process(server, now);
    return server;
}

struct sim_server *sim_server_free(struct sim_server *server)
{
    if (server) {
        end_process(server);
        for (unsigned p = 0; p < server->config.n_ports; p++) {
            free(server->peers[p]);
        }
        for (unsigned i = 0; i < server->config.n_engines; i++) {
            free(server->sessions[i]);
        }
        free(server);
    }
    return NULL;
}

/* Another place in memory: a pointer that was kept in the state shows at once. */
static void *moved(void *memory, size_t size)
{
    void *fresh = malloc(size);
    if (!fresh) {
        abort();
    }
    memcpy(fresh, memory, size);
    free(memory);
    return fresh;
}

static bool peer_of_session(struct sim_server *server, const struct amm_session_ref *ref,
                            uint8_t port, uint32_t peer_id)
{
    struct amm_peer copy;
    const struct amm_peer *peer =
        amm_peer_table_at(server->peers[port], amm_pool_slots(&server->pools[port]), peer_id);
    return peer && amm_peer_read(peer, &copy) && copy.peer_id == peer_id &&
           copy.session.index == ref->index && copy.session.tag == ref->tag &&
           copy.session.thread == ref->thread;
}

/* Messages between engine and plane were lost with the process: a session without its peer is
 * closed. (A peer without its session falls silent, or is replaced when its gateway joins again.)
 */
static void close_orphans(struct sim_server *server, struct amm_now now)
{
    for (unsigned i = 0; i < server->config.n_engines; i++) {
        uint32_t cursor = 0;
        struct amm_session_ref ref;
        struct amm_identity identity;
        uint32_t peer_id;
        uint8_t port;
        while (amm_engine_each(server->engines[i], &cursor, &ref, &identity, &peer_id, &port)) {
            if (!peer_of_session(server, &ref, port, peer_id)) {
                struct amm_command command = {.kind = AMM_COMMAND_CLOSE, .session = ref};
                command.reason = AMM_CLOSE_SILENT;
                amm_engine_command(server->engines[i], now, &command);
            }
        }
    }
}

struct sim_survivors sim_server_restart(struct sim_server *server, struct amm_now now)
{
    struct sim_survivors living = {0, 0};
    end_process(server);
    for (unsigned p = 0; p < server->config.n_ports; p++) {
        server->peers[p] =
            moved(server->peers[p], amm_peer_table_size(amm_pool_slots(&server->pools[p])));
    }
    for (unsigned i = 0; i < server->config.n_engines; i++) {
        server->sessions[i] = moved(server->sessions[i], amm_session_table_size(N_SESSIONS));
    }
    start_process(server, now);
    for (unsigned p = 0; p < server->config.n_ports; p++) {
        for (unsigned w = 0; w < server->config.n_workers; w++) {
            living.peers += amm_plane_adopt(server->planes[p][w], now);
        }
    }
    living.sessions = sim_server_established(server);
    close_orphans(server, now);
    return living;
}

/* ---- commands ---- */

void sim_server_link_lost(struct sim_server *server, struct amm_now now,
                          const struct amm_path *path)
{
    struct amm_command command = {.kind = AMM_COMMAND_LINK_LOST, .path = *path};
    for (unsigned i = 0; i < server->config.n_engines; i++) {
        amm_engine_command(server->engines[i], now, &command);
    }
}

/* Gives `command` to every established session, or to those of `name`. */
static void command_sessions(struct sim_server *server, struct amm_now now, const char *name,
                             const struct amm_command *command)
{
    for (unsigned i = 0; i < server->config.n_engines; i++) {
        uint32_t cursor = 0;
        struct amm_command one = *command;
        struct amm_identity identity;
        uint32_t peer_id;
        uint8_t port;
        while (amm_engine_each(server->engines[i], &cursor, &one.session, &identity, &peer_id,
                               &port)) {
            if (!name || strcmp(name, identity.name) == 0) {
                amm_engine_command(server->engines[i], now, &one);
            }
        }
    }
}

void sim_server_kick(struct sim_server *server, struct amm_now now, const char *name, bool in_words)
{
    struct amm_command command = {
        .kind = AMM_COMMAND_CLOSE, .reason = AMM_CLOSE_KICKED, .backoff = 1};
    command.refusal = AMM_REFUSE_RETRY;
    if (in_words) {
        snprintf(command.text, sizeof command.text, "kicked");
    }
    command_sessions(server, now, name, &command);
}

void sim_server_refuse_until(struct sim_server *server, amm_time until)
{
    server->refuse_until = until;
}

void sim_server_renegotiate(struct sim_server *server, struct amm_now now)
{
    struct amm_command command = {.kind = AMM_COMMAND_RENEGOTIATE};
    command_sessions(server, now, NULL, &command);
}

/* ---- looking inside ---- */

uint32_t sim_server_established(const struct sim_server *server)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < server->config.n_engines; i++) {
        uint32_t cursor = 0, peer_id;
        struct amm_session_ref ref;
        struct amm_identity identity;
        uint8_t port;
        while (amm_engine_each(server->engines[i], &cursor, &ref, &identity, &peer_id, &port)) {
            n++;
        }
    }
    return n;
}

uint32_t sim_server_sessions(const struct sim_server *server)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < server->config.n_engines; i++) {
        n += amm_engine_sessions(server->engines[i]);
    }
    return n;
}

uint32_t sim_server_negotiating(const struct sim_server *server)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < server->config.n_engines; i++) {
        n += amm_engine_negotiating(server->engines[i]);
    }
    return n;
}

uint32_t sim_server_live(const struct sim_server *server)
{
    uint32_t n = 0;
    for (unsigned p = 0; p < server->config.n_ports; p++) {
        for (unsigned w = 0; w < server->config.n_workers; w++) {
            n += amm_plane_live(server->planes[p][w]);
        }
    }
    return n;
}

struct amm_engine *sim_server_engine(struct sim_server *server, unsigned number)
{
    return server->engines[number];
}

struct amm_drops sim_server_drops(const struct sim_server *server)
{
    return server->drops;
}

struct amm_peer *sim_server_peer(struct sim_server *server, uint8_t port_index, uint32_t generation,
                                 uint32_t slot)
{
    return amm_peer_table_at(server->peers[port_index], amm_pool_slots(&server->pools[port_index]),
                             amm_peer_id(generation, slot));
}

uint32_t sim_server_address(const struct sim_server *server, unsigned gateway)
{
    return amm_pool_address(&server->pools[gateway % server->config.n_ports], gateway + 1);
}

uint32_t sim_server_own_address(const struct sim_server *server, uint8_t port_index)
{
    return amm_pool_server(&server->pools[port_index]);
}
