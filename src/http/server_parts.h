/* What the files of the server share. All of it belongs to the server's thread, but for the queue
 * of orders, the slots and the counters.
 *
 *   server.c             settings, the loop, orders from other threads, counters
 *   server_listen.c      listeners, limits, how a connection begins and ends
 *   server_connection.c  the state machine of a connection and its deadlines
 *   server_input.c       heads and bodies, up to the handler
 *   server_pieces.c      bodies in pieces, and connections that are pipes
 *   server_output.c      answers */
#pragma once

#include "base/siphash.h"
#include "base/wheel.h"
#include "http/server.h"
#include "io/loop.h"
#include "stream.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    LISTENERS_MAX = 32,
    BODY_MAX = 64 << 20,
    LINGER_SECONDS = 2,         /* for what a peer still sends when we have said goodbye */
    LINGER_UPLOAD_SECONDS = 30, /* who is in the middle of an upload looks for an answer late */
    STOP_SECONDS = 2,
    TURN = 256 * 1024,   /* bytes of one connection before others have their turn */
    TURN_REQUEST = 8192, /* a request counts as that many */
};

#define NO_CONNECTION UINT32_MAX

/* Work for the server's thread, and the bytes that go out. */
enum order_kind {
    ORDER_ANSWER,
    ORDER_INFORM,
    ORDER_SEND,
    ORDER_TAKE,
    ORDER_CUT,
    ORDER_LISTEN,
    ORDER_UNLISTEN,
};

struct order {
    struct order *next;
    enum order_kind kind;
    struct amm_http_ref ref;

    int status; /* ANSWER */
    bool close, stream, has_file, has_length, paced, upgrade, bare;
    bool last;       /* SEND: the end */
    uint64_t length; /* ANSWER */
    int file;        /* ANSWER; LISTEN: the socket */
    uint64_t file_at, file_len;
    uint32_t tag; /* LISTEN, UNLISTEN */
    struct amm_http_tls *tls;

    size_t room;     /* free bytes at the start, for what only the server's thread knows */
    size_t head_len; /* ANSWER: of the caller's field lines and the empty line behind the room */
    size_t body_len; /* TAKE: how many bytes */
    size_t at, end;  /* what is to be written, when it is in the connection's queue */
    uint8_t bytes[]; /* room, field lines, body */
};

/* What the server's thread writes before the caller's bytes at most. */
enum { HEAD_ROOM = 384, CHUNK_ROOM = 24 };

struct order *order_new(enum order_kind kind, size_t room, size_t len); /* NULL: out of memory */
void order_free(struct order *order);                                   /* also what it owns */

struct listener {
    int fd; /* -1: free */
    bool is_unix, paused;
    uint32_t tag;
    struct amm_http_tls *tls;
};

enum connection_state {
    CONNECTION_GREETING, /* TLS */
    CONNECTION_HEAD,
    CONNECTION_BODY,
    CONNECTION_WAITING,   /* for the handler's answer */
    CONNECTION_ANSWERING, /* until all is written */
    CONNECTION_STREAMING, /* the answer's head is out, more comes by amm_http_send */
    CONNECTION_LINGERING, /* goodbye is said */
};

struct connection {
    uint32_t index;
    enum connection_state state;
    struct http_stream stream;
    struct amm_http_tls *tls;
    struct amm_address remote, local;
    uint32_t tag, uid;

    /* lists by index: connections that wait for a request, and those of one bucket of prefixes */
    uint32_t idle_newer, idle_older, prefix_next, prefix_before;
    uint64_t prefix;
    bool is_idle, has_prefix;

    unsigned interest; /* as the loop has it */
    bool may_read;     /* the last read left something, or the loop said so */
    bool yielded;      /* others first: stands in `again` */
    amm_time deadline; /* AMM_NEVER: none */
    size_t turn;       /* bytes and requests (as bytes) since others had theirs */

    /* the request */
    bool is_head, is_http10, keep_alive;
    struct amm_http_body body;
    size_t body_limit;

    /* input: head, content, then bytes as they came; see server_input.c */
    uint8_t *in;
    size_t in_room, in_len, head_len, content_len, raw_at;
    bool unparsed; /* a line end came since the head was looked at */

    /* in pieces; see server_pieces.c */
    bool streamed;         /* and its answer is not out yet: the handler learns how it ends */
    bool body_open;        /* more pieces are to come */
    bool expect_continue;  /* the peer waits for "100 Continue" */
    bool is_pipe, is_shut; /* 101 was said; our direction has ended */
    bool read_needs_write; /* TLS */
    bool unwatched;        /* the peer has hung up: the loop would say so without end */
    size_t credit;
    amm_time read_by, write_by; /* AMM_NEVER: any time */

    /* output */
    struct order *out, **out_end;
    bool chunked, close_after, stream_ended, paced, has_length;
    uint64_t length_left; /* with has_length: bytes of the stream that are still to come */
    int file;             /* -1: none */
    uint64_t file_at, file_left;
    uint64_t bytes_in, bytes_out; /* that the counters know of */
};

struct amm_http_server {
    struct amm_http_settings settings;
    struct amm_loop *loop;
    struct amm_now now;
    struct amm_wheel *wheel;
    struct amm_siphash_key prefix_key;

    struct listener listeners[LISTENERS_MAX];
    amm_time accept_again; /* AMM_NEVER, or when listeners that ran out of descriptors go on */

    struct connection **connections; /* by index; NULL: free */
    uint32_t *free;                  /* indexes */
    uint32_t n_free;
    uint32_t idle_newest, idle_oldest;
    uint32_t *prefixes; /* first connection of each bucket */
    uint32_t prefix_mask;
    size_t body_bytes;        /* buffers beyond a head, of all connections */
    uint32_t *again, n_again; /* connections that have work, but had their turn; some may be gone */

    struct amm_http_request request; /* the one that is being looked at */
    uint32_t in_handler;             /* connection, or NO_CONNECTION */
    int64_t date_at;
    char date[AMM_HTTP_DATE];

    /* shared with other threads */
    atomic_bool stopping;
    amm_time stop_at;
    int bell; /* eventfd */
    pthread_mutex_t lock;
    struct order *orders, **orders_end;
    /* By index: generation in the upper half; in the lower one, bytes of a stream on their way. */
    _Atomic uint64_t *slots;
    struct {
        _Atomic uint64_t accepted, requests, refused_limit, bad_requests, tls_failed, tls_full,
            tls_resumed, timeouts, bytes_in, bytes_out;
        _Atomic uint32_t open;
    } counters;
};

static inline void count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* ---- server_listen.c ---- */

/* A connected socket becomes a connection, as if accepted; takes `fd`. False: refused. */
bool server_adopt(struct amm_http_server *server, int fd, const struct listener *listener,
                  const struct amm_address *remote, const struct amm_address *local);
void listener_accept(struct amm_http_server *server, struct listener *listener);
bool listener_add(struct amm_http_server *server, int fd, struct amm_http_tls *tls, uint32_t tag);
void listeners_remove(struct amm_http_server *server, const uint32_t *tag); /* NULL: all */
void listeners_resume(struct amm_http_server *server);
void connection_close(struct amm_http_server *server, struct connection *connection);
void connection_set_idle(struct amm_http_server *server, struct connection *connection, bool idle);
void close_unused(struct amm_http_server *server); /* those without a request */

/* ---- server_connection.c ---- */

/* Goes on as far as possible; the connection may be gone then. */
void connection_advance(struct amm_http_server *server, struct connection *connection);
void connection_ready(struct amm_http_server *server, struct connection *connection,
                      const struct amm_ready *ready);
void connection_expired(struct amm_http_server *server, struct connection *connection);
void set_deadline(struct amm_http_server *server, struct connection *connection, amm_time deadline);
void set_interest(struct amm_http_server *server, struct connection *connection, unsigned interest);

/* Others first; false: go on at once. */
bool yield_turn(struct amm_http_server *server, struct connection *connection);

/* `n` bytes moved: each earns the time that it may take at the least rate, up to `most`. */
void earn_time(struct amm_http_server *server, struct connection *connection, size_t n,
               amm_duration most);

/* The same for bytes that the peer takes. */
void earn_write(struct amm_http_server *server, struct connection *connection, size_t n);
/* All is written: no deadline but that of what is read at the same time. */
void settle_write(struct amm_http_server *server, struct connection *connection);
amm_time earned(const struct amm_http_server *server, amm_time from, size_t n, amm_duration most);

/* What one step of a connection came to. */
enum step {
    STEP_AGAIN,  /* the state changed: go on */
    STEP_WAIT,   /* for the socket, a deadline or an order */
    STEP_CLOSED, /* the connection is no more */
};

/* ---- server_input.c ---- */

enum step input_head(struct amm_http_server *server, struct connection *connection);
enum step input_body(struct amm_http_server *server, struct connection *connection);
enum step input_while_streaming(struct amm_http_server *server, struct connection *connection);
void input_next(struct amm_http_server *server, struct connection *connection);

/* What a read came to. */
enum input { INPUT_BYTES, INPUT_NONE, INPUT_END, INPUT_CLOSED, INPUT_NO_ROOM };

/* Reads once, into a buffer of at most `limit` bytes; `*n` bytes came. */
enum input read_some(struct amm_http_server *server, struct connection *connection, size_t limit,
                     size_t *n);
bool input_reserve(struct connection *connection); /* room for AMM_HTTP_HEAD_MAX; false: memory */

void input_release(struct amm_http_server *server, struct connection *connection);

/* ---- server_pieces.c ---- */

/* The head is in server->request: the body will be delivered in pieces. */
void pieces_begin(struct amm_http_server *server, struct connection *connection);
void pieces_take(struct amm_http_server *server, struct connection *connection, size_t n);
/* The connection becomes a pipe with the answer that is being written. */
void pieces_begin_pipe(struct connection *connection);
enum step input_pieces(struct amm_http_server *server, struct connection *connection);
enum step step_pipe(struct amm_http_server *server, struct connection *connection);
/* The loop says so. True: nothing else is to be done. */
bool pieces_hung_up(struct amm_http_server *server, struct connection *connection);
/* A streamed request ended without its answer. */
void pieces_abandon(struct amm_http_server *server, struct connection *connection);
void pieces_deadline(struct amm_http_server *server, struct connection *connection);

/* ---- server_output.c ---- */

/* The order becomes the connection's, or is freed. */
void output_answer(struct amm_http_server *server, struct connection *connection,
                   struct order *order);
void output_inform(struct amm_http_server *server, struct connection *connection,
                   struct order *order);
/* False: not what was announced; the connection has to be closed. */
bool output_send(struct amm_http_server *server, struct connection *connection,
                 struct order *order);
void output_continue(struct amm_http_server *server, struct connection *connection);

/* Writes what can be written. AGAIN: all is out. */
enum step output_flush(struct amm_http_server *server, struct connection *connection);
void output_release(struct amm_http_server *server, struct connection *connection);

/* An answer of the server's own, and then the connection ends. */
void refuse_request(struct amm_http_server *server, struct connection *connection, int status,
                    const char *name, const char *text);

/* ---- server.c ---- */

uint32_t slot_generation(const struct amm_http_server *server, uint32_t index);
uint32_t slot_next_generation(struct amm_http_server *server, uint32_t index);
/* How many are still on their way. */
size_t slot_sent(struct amm_http_server *server, uint32_t index, uint32_t generation, size_t n);
