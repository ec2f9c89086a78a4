#include "cad/server.h"

#include "io/clock.h"
#include "io/log.h"
#include "io/loop.h"
#include "io/unix.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    TAG_LISTENER = CAD_CLIENTS,
    TAG_SIGNAL,
    TURNS = 64, /* packets of one client before others get theirs */
};

/* An answer of many parts that is under way. */
enum job { JOB_NONE, JOB_LISTS, JOB_REVOCATIONS };

struct client {
    int fd; /* -1: free */
    enum job job;
    uint64_t id;
    char *lists; /* JOB_LISTS: malloc'd */
    size_t at;   /* byte of the lists, or number of the revocation, that comes next */
    bool waits;  /* for the socket to take more */
    size_t pending;
    uint8_t packet[AMM_CAD_MAX];
};

struct cad_server {
    struct cad_service *service;
    struct cad_record *record;
    struct amm_loop *loop;
    int listener, signals;
    uid_t manager;
    struct client clients[CAD_CLIENTS];
    struct amm_cad_message request, answer; /* large, and wiped after use */
};

struct cad_server *cad_server_new(struct cad_service *service, struct cad_record *record,
                                  const char *path, uid_t manager, gid_t group,
                                  char error[CAD_ERROR])
{
    struct cad_server *server = calloc(1, sizeof *server);
    if (!server) {
        snprintf(error, CAD_ERROR, "out of memory");
        return NULL;
    }
    server->service = service;
    server->record = record;
    server->manager = manager;
    server->signals = -1;
    for (int i = 0; i < CAD_CLIENTS; i++) {
        server->clients[i].fd = -1;
    }
    server->listener = amm_unix_listen(path, 0660, group, error, CAD_ERROR);
    if (server->listener < 0) {
        return cad_server_free(server);
    }
    server->loop = amm_loop_new();
    if (!server->loop || !amm_loop_add(server->loop, server->listener, AMM_READ, TAG_LISTENER)) {
        snprintf(error, CAD_ERROR, "out of descriptors or memory");
        return cad_server_free(server);
    }
    return server;
}

bool cad_server_take_signals(struct cad_server *server)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    server->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return sigprocmask(SIG_BLOCK, &set, NULL) == 0 && server->signals >= 0 &&
           amm_loop_add(server->loop, server->signals, AMM_READ, TAG_SIGNAL);
}

static void close_client(struct cad_server *server, struct client *client)
{
    amm_loop_remove(server->loop, client->fd);
    close(client->fd);
    free(client->lists);
    amm_wipe(client, sizeof *client);
    client->fd = -1;
}

struct cad_server *cad_server_free(struct cad_server *server)
{
    if (!server) {
        return NULL;
    }
    for (int i = 0; i < CAD_CLIENTS; i++) {
        if (server->clients[i].fd >= 0) {
            close_client(server, &server->clients[i]);
        }
    }
    if (server->listener >= 0) {
        close(server->listener);
    }
    if (server->signals >= 0) {
        close(server->signals);
    }
    amm_loop_free(server->loop);
    free(server);
    return NULL;
}

/* ---- connections ---- */

static bool is_welcome(const struct cad_server *server, int fd)
{
    struct amm_unix_peer peer;
    if (amm_unix_peer(fd, &peer) && (peer.uid == server->manager || peer.uid == 0)) {
        return true;
    }
    amm_log(AMM_LOG_WARNING, "stranger-refused", amm_field_number("uid", peer.uid),
            amm_field_number("pid", peer.pid));
    return false;
}

/* When all places are taken the oldest silent one goes: a killed ammd must be able to come back. */
static struct client *free_place(struct cad_server *server)
{
    for (int i = 0; i < CAD_CLIENTS; i++) {
        if (server->clients[i].fd < 0) {
            return &server->clients[i];
        }
    }
    for (int i = 0; i < CAD_CLIENTS; i++) {
        if (server->clients[i].job == JOB_NONE && server->clients[i].pending == 0) {
            close_client(server, &server->clients[i]);
            return &server->clients[i];
        }
    }
    return NULL;
}

static void take_connections(struct cad_server *server)
{
    int fd;
    while ((fd = amm_unix_accept(server->listener)) >= 0) {
        struct client *client = is_welcome(server, fd) ? free_place(server) : NULL;
        if (!client ||
            !amm_loop_add(server->loop, fd, AMM_READ, (uint64_t)(client - server->clients))) {
            close(fd);
            continue;
        }
        client->fd = fd;
    }
}

/* ---- answers ---- */

static void next_of_lists(struct client *client, struct amm_cad_message *answer)
{
    size_t len = strlen(client->lists + client->at);
    if (len == 0) {
        free(client->lists);
        client->lists = NULL;
        client->job = JOB_NONE;
        answer->type = AMM_CAD_DONE;
        return;
    }
    answer->type = AMM_CAD_PART;
    len = len < sizeof answer->text ? len : sizeof answer->text - 1;
    memcpy(answer->text, client->lists + client->at, len);
    answer->text[len] = '\0';
    client->at += len;
}

static void next_of_revocations(const struct cad_server *server, struct client *client,
                                struct amm_cad_message *answer)
{
    size_t total = cad_record_revoked(server->record);
    if (client->at == total) {
        client->job = JOB_NONE;
        answer->type = AMM_CAD_DONE;
        return;
    }
    answer->type = AMM_CAD_REVOKED;
    while (client->at < total && answer->revoked.n < AMM_CAD_REVOKED_MAX) {
        answer->revoked.list[answer->revoked.n++] =
            *cad_record_revocation(server->record, client->at++);
    }
}

/* Sends the answer, or keeps it until the socket takes it; false if the connection is over. */
static bool send_pending(struct cad_server *server, struct client *client)
{
    enum amm_unix_result result =
        amm_unix_send(client->fd, amm_view(client->packet, client->pending), NULL, 0);
    if (result == AMM_UNIX_CLOSED) {
        return false;
    }
    bool waits = result == AMM_UNIX_AGAIN;
    if (!waits) {
        amm_wipe(client->packet, client->pending);
        client->pending = 0;
    }
    if (waits != client->waits) {
        client->waits = waits;
        amm_loop_change(server->loop, client->fd, waits ? AMM_WRITE : AMM_READ,
                        (uint64_t)(client - server->clients));
    }
    return true;
}

static void begin_lists(struct cad_server *server, struct client *client)
{
    char error[CAD_ERROR];
    client->lists = cad_service_lists(server->service, amm_now(), error);
    client->job = client->lists ? JOB_LISTS : JOB_NONE;
    client->at = 0;
    if (!client->lists) {
        amm_log(AMM_LOG_ERROR, "lists-failed", amm_field_text("error", error));
        server->answer.type = AMM_CAD_FAILED;
        server->answer.failed.reason = AMM_CAD_BROKEN;
        amm_text_clean(server->answer.failed.words, sizeof server->answer.failed.words,
                       amm_view_str(error));
    }
}

/* Reads the next request and starts to answer it; false if there is none, or the connection is over
 * (`*over`). What is malformed ends the connection: the peer is not the ammd of this version. */
static bool take_request(struct cad_server *server, struct client *client, bool *over)
{
    size_t len;
    enum amm_unix_result result = amm_unix_receive(
        client->fd, (struct amm_span){client->packet, sizeof client->packet}, &len, NULL, NULL);
    if (result != AMM_UNIX_OK) {
        *over = result == AMM_UNIX_CLOSED;
        return false;
    }
    if (!amm_cad_decode(&server->request, amm_view(client->packet, len))) {
        amm_log(AMM_LOG_WARNING, "malformed-request", amm_field_number("bytes", (int64_t)len));
        *over = true;
        return false;
    }
    memset(&server->answer, 0, sizeof server->answer);
    server->answer.id = client->id = server->request.id;
    if (server->request.type == AMM_CAD_LISTS) {
        begin_lists(server, client);
    } else if (server->request.type == AMM_CAD_REVOCATIONS) {
        client->job = JOB_REVOCATIONS;
        client->at = 0;
    } else {
        cad_service_answer(server->service, &server->request, amm_now(), &server->answer);
    }
    return true;
}

/* Fills the packet with the next answer; false if there is none now. */
static bool next_answer(struct cad_server *server, struct client *client, bool *over)
{
    if (client->job == JOB_NONE && !take_request(server, client, over)) {
        return false;
    }
    if (client->job != JOB_NONE) {
        memset(&server->answer, 0, sizeof server->answer);
        server->answer.id = client->id;
        if (client->job == JOB_LISTS) {
            next_of_lists(client, &server->answer);
        } else {
            next_of_revocations(server, client, &server->answer);
        }
    }
    client->pending = amm_cad_encode(&server->answer, client->packet, sizeof client->packet);
    amm_wipe(&server->answer, sizeof server->answer);
    *over = client->pending == 0;
    return !*over;
}

static void serve(struct cad_server *server, struct client *client)
{
    bool over = false;
    for (int turn = 0; turn < TURNS && !over; turn++) {
        if (client->pending == 0 && !next_answer(server, client, &over)) {
            break;
        }
        over = !send_pending(server, client);
        if (client->waits) {
            break;
        }
    }
    if (over) {
        close_client(server, client);
        return;
    }
    /* An answer of many parts goes on although nothing is to be read. */
    if (client->job != JOB_NONE && !client->waits) {
        client->waits = true;
        amm_loop_change(server->loop, client->fd, AMM_WRITE, (uint64_t)(client - server->clients));
    }
}

static void go_on(struct cad_server *server, struct client *client)
{
    if (client->waits && client->pending == 0) {
        client->waits = false;
        amm_loop_change(server->loop, client->fd, AMM_READ, (uint64_t)(client - server->clients));
    }
    serve(server, client);
}

void cad_server_run(struct cad_server *server)
{
    struct amm_ready ready[AMM_LOOP_READY];
    for (;;) {
        unsigned n = amm_loop_wait(server->loop, AMM_NEVER, ready);
        for (unsigned i = 0; i < n; i++) {
            if (ready[i].tag == TAG_SIGNAL) {
                return;
            }
            if (ready[i].tag == TAG_LISTENER) {
                take_connections(server);
            } else if (server->clients[ready[i].tag].fd >= 0) {
                go_on(server, &server->clients[ready[i].tag]);
            }
        }
    }
}
