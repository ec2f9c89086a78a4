/* Both ends of the channel between holder and engine. */
#include "tunneld/handoff.h"

#include "data/peer.h"
#include "io/unix.h"
#include "tunneld/holder.h"
#include "tunneld/material.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BATCH = 100, PATIENCE_MS = 10000 };

/* The first packet; with it come the state memory, the files and the control socket, in this order.
 */
struct opening {
    uint32_t version, size;
    struct amm_tunneld_config config;
    bool tun_steered[AMM_PORTS_MAX];
    uint32_t manager_uid;
};

enum { OPENING_FDS = 3 };

enum fd_kind { FD_UDP_HANDSHAKE, FD_UDP_WORKER, FD_TCP, FD_TUN, FD_SERVICE, FD_KINDS };

/* The next packets: as many of these as there are descriptors. An empty one (count 0) ends the
 * hand-over. */
struct fd_name {
    uint8_t kind;    /* enum fd_kind */
    uint8_t where;   /* listener, or port index of a tun or service */
    uint16_t thread; /* or which service */
};

struct fd_batch {
    uint32_t count;
    struct fd_name names[BATCH];
};

/* ---- sending ---- */

/* Waits for room in the channel; false if the engine is gone or does not read. */
static bool send_patiently(int channel, const void *packet, size_t len, const int *fds, size_t n)
{
    for (;;) {
        enum amm_unix_result result = amm_unix_send(channel, amm_view(packet, len), fds, n);
        if (result != AMM_UNIX_AGAIN) {
            return result == AMM_UNIX_OK;
        }
        struct pollfd wait = {.fd = channel, .events = POLLOUT};
        if (poll(&wait, 1, PATIENCE_MS) == 0) {
            return false;
        }
    }
}

struct sender {
    int channel;
    bool ok;
    struct fd_batch batch;
    int fds[BATCH];
};

static void flush_batch(struct sender *s)
{
    s->ok = s->ok && send_patiently(s->channel, &s->batch, sizeof s->batch, s->fds, s->batch.count);
    s->batch.count = 0;
}

static void send_fd(struct sender *s, enum fd_kind kind, unsigned where, unsigned thread, int fd)
{
    s->batch.names[s->batch.count] = (struct fd_name){
        .kind = (uint8_t)kind, .where = (uint8_t)where, .thread = (uint16_t)thread};
    s->fds[s->batch.count++] = fd;
    if (s->batch.count == BATCH) {
        flush_batch(s);
    }
}

static void send_listener(struct sender *s, const struct amm_holdings *h, unsigned listener)
{
    bool is_tcp = h->listeners[listener].transport == AMM_TCP;
    for (unsigned t = 0; t < h->config.handshake_threads; t++) {
        send_fd(s, is_tcp ? FD_TCP : FD_UDP_HANDSHAKE, listener, t,
                is_tcp ? h->tcp[listener][t] : h->udp_handshake[listener][t]);
    }
    for (unsigned t = 0; t < h->config.workers && !is_tcp; t++) {
        send_fd(s, FD_UDP_WORKER, listener, t, h->udp_worker[listener][t]);
    }
}

static void send_services(struct sender *s, const struct amm_holdings *h, unsigned port_index)
{
    for (unsigned i = 0; i < h->config.n_published; i++) {
        if (h->services[port_index][i] >= 0) {
            send_fd(s, FD_SERVICE, port_index, i, h->services[port_index][i]);
        }
    }
}

bool amm_handoff_send(int channel, const struct amm_holdings *h, int files)
{
    static struct opening opening; /* too large for the stack; the holder has one thread */
    opening = (struct opening){.version = AMM_HANDOFF_VERSION,
                               .size = sizeof opening,
                               .config = h->config,
                               .manager_uid = h->manager.uid};
    memcpy(opening.tun_steered, h->tun_steered, sizeof opening.tun_steered);
    int fds[OPENING_FDS] = {h->state_fd, files, h->control};
    struct sender s = {.channel = channel};
    s.ok = send_patiently(channel, &opening, sizeof opening, fds, OPENING_FDS);
    for (unsigned i = 0; i < amm_listeners(&h->config) && s.ok; i++) {
        send_listener(&s, h, i);
    }
    for (unsigned p = 0; p < h->config.n_ports && s.ok; p++) {
        for (unsigned t = 0; t < h->config.workers; t++) {
            send_fd(&s, FD_TUN, p, t, h->tun[p][t]);
        }
        send_services(&s, h, p);
    }
    if (s.batch.count > 0) {
        flush_batch(&s);
    }
    flush_batch(&s);
    return s.ok;
}

bool amm_channel_send_material(int channel, int files)
{
    struct amm_channel_message message = {.type = AMM_CHANNEL_MATERIAL};
    return send_patiently(channel, &message, sizeof message, &files, 1);
}

bool amm_channel_send(int channel, uint32_t type, uint32_t good)
{
    struct amm_channel_message message = {.type = type, .good = good};
    return send_patiently(channel, &message, sizeof message, NULL, 0);
}

/* ---- receiving ---- */

static bool fail(char *error, size_t room, const char *what)
{
    snprintf(error, room, "hand-over from the holder: %s", what);
    return false;
}

static bool map_state(struct amm_handoff *out, int fd, char *error, size_t room)
{
    struct stat info;
    if (fstat(fd, &info) != 0 || info.st_size < (off_t)sizeof(struct amm_state)) {
        return fail(error, room, "no state memory");
    }
    void *mapping = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapping == MAP_FAILED) {
        return fail(error, room, strerror(errno));
    }
    out->state = mapping;
    if (out->state->magic != AMM_STATE_MAGIC || out->state->version != AMM_STATE_VERSION ||
        out->state->size_of_peer != sizeof(struct amm_peer) ||
        out->state->size != (uint64_t)info.st_size) {
        return fail(error, room, "state memory of another version");
    }
    madvise(mapping, (size_t)info.st_size, MADV_DONTDUMP);
    return true;
}

static void name_listeners(struct amm_handoff *out)
{
    for (unsigned p = 0; p < out->config.n_ports; p++) {
        for (unsigned i = 0; i < out->config.ports[p].n_listen; i++) {
            out->listener_port[out->n_listeners] = (uint8_t)p;
            out->listeners[out->n_listeners++] = out->config.ports[p].listen[i];
        }
    }
}

static bool receive_opening(int channel, struct amm_handoff *out, char *error, size_t room)
{
    static struct opening opening;
    size_t len, n = OPENING_FDS;
    int fds[OPENING_FDS];
    struct amm_span packet = {(uint8_t *)&opening, sizeof opening};
    if (amm_unix_receive(channel, packet, &len, fds, &n) != AMM_UNIX_OK || n != OPENING_FDS ||
        len != sizeof opening || opening.version != AMM_HANDOFF_VERSION ||
        opening.size != sizeof opening) {
        return fail(error, room, "not understood (another version of the program?)");
    }
    out->config = opening.config;
    memcpy(out->tun_steered, opening.tun_steered, sizeof out->tun_steered);
    out->n_workers = (uint16_t)opening.config.workers;
    out->n_handshake = (uint16_t)opening.config.handshake_threads;
    out->n_ports = opening.config.n_ports;
    out->manager_uid = opening.manager_uid;
    name_listeners(out);
    out->control = fds[2];
    bool ok = map_state(out, fds[0], error, room);
    ok = ok && (amm_material_map(&out->material, fds[1]) || fail(error, room, "no files"));
    close(fds[0]);
    close(fds[1]);
    return ok;
}

/* Where a descriptor belongs, or NULL if its name makes no sense. */
static int *place_of(struct amm_handoff *out, const struct fd_name *name)
{
    bool is_tun = name->kind == FD_TUN;
    bool is_service = name->kind == FD_SERVICE;
    bool of_worker = is_tun || name->kind == FD_UDP_WORKER;
    unsigned threads = of_worker    ? out->n_workers
                       : is_service ? out->config.n_published
                                    : out->n_handshake;
    if (name->where >= (is_tun || is_service ? out->n_ports : out->n_listeners) ||
        name->thread >= threads) {
        return NULL;
    }
    switch ((enum fd_kind)name->kind) {
    case FD_UDP_HANDSHAKE:
        return &out->udp_handshake[name->where][name->thread];
    case FD_UDP_WORKER:
        return &out->udp_worker[name->where][name->thread];
    case FD_TCP:
        return &out->tcp[name->where][name->thread];
    case FD_TUN:
        return &out->tun[name->where][name->thread];
    case FD_SERVICE:
        return &out->services[name->where][name->thread];
    case FD_KINDS:
        break;
    }
    return NULL;
}

bool amm_handoff_receive(int channel, struct amm_handoff *out, char *error, size_t room)
{
    memset(out, 0, sizeof *out);
    memset(out->udp_handshake, 0xff, sizeof out->udp_handshake); /* -1 */
    memset(out->udp_worker, 0xff, sizeof out->udp_worker);
    memset(out->tcp, 0xff, sizeof out->tcp);
    memset(out->tun, 0xff, sizeof out->tun);
    memset(out->services, 0xff, sizeof out->services);
    out->channel = channel;
    amm_set_blocking(channel, true);
    if (!receive_opening(channel, out, error, room)) {
        return false;
    }
    for (;;) {
        struct fd_batch batch;
        int fds[BATCH];
        size_t len, n = BATCH;
        struct amm_span packet = {(uint8_t *)&batch, sizeof batch};
        if (amm_unix_receive(channel, packet, &len, fds, &n) != AMM_UNIX_OK ||
            len != sizeof batch || batch.count != n) {
            return fail(error, room, "descriptors are missing");
        }
        if (batch.count == 0) {
            return amm_set_blocking(channel, false);
        }
        for (size_t i = 0; i < n; i++) {
            int *place = place_of(out, &batch.names[i]);
            if (place == NULL) {
                return fail(error, room, "a descriptor that belongs nowhere");
            }
            *place = fds[i];
        }
    }
}

enum amm_channel_result amm_channel_receive(int channel, struct amm_channel_message *message,
                                            struct amm_material *material)
{
    size_t len, n = 1;
    int fd = -1;
    struct amm_span packet = {(uint8_t *)message, sizeof *message};
    enum amm_unix_result result = amm_unix_receive(channel, packet, &len, &fd, &n);
    if (result == AMM_UNIX_AGAIN) {
        return AMM_CHANNEL_NOTHING;
    }
    bool ok = result == AMM_UNIX_OK && len == sizeof *message;
    if (material != NULL) {
        *material = (struct amm_material){0};
    }
    if (ok && message->type == AMM_CHANNEL_MATERIAL) {
        ok = n == 1 && material != NULL && amm_material_map(material, fd);
    }
    if (n == 1 && result == AMM_UNIX_OK) {
        close(fd);
    }
    return ok ? AMM_CHANNEL_OK : AMM_CHANNEL_CLOSED;
}
