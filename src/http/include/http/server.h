/* An HTTP/1.1 server: listeners, TLS, deadlines and limits, one thread each.
 *
 * A server thread owns an epoll loop with its connections. A request is handed to `handle` when its
 * head and (if it is small enough to be buffered) its body are there; the answer may be given at
 * once or later, from any thread, by `amm_http_answer`. So a handler never blocks, and ammd can
 * give all requests to one thread that commits many of them at once.
 *
 * Connections do one request at a time: the next one is read when the answer is sent (pipelined
 * bytes wait in the kernel or the buffer).
 *
 * Large bodies, answers without end and other protocols need no more memory than small ones:
 *
 *   a request that `streams` wants is handed over with its head; its body follows in pieces, as
 * many bytes as amm_http_take has asked for, and the answer may come at any time before, during or
 *   behind them;
 *   a `paced` answer tells by amm_http_waiting and `drained` whether the peer keeps up;
 *   an answer 101 makes a pipe of the connection: what the peer sends comes as pieces, what is
 * given to amm_http_send goes out as it is. */
#pragma once

#include "base/address.h"
#include "base/time.h"
#include "crypto/identity.h"
#include "http/message.h"
#include "http/tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct amm_http_server;

/* Names a request for its answer: stays valid for ever; an answer to a request that is over or gone
 * is thrown away. */
struct amm_http_ref {
    uint32_t connection, generation;
};

/* What a handler sees. All views are valid until it returns: copy what is needed later. */
struct amm_http_call {
    struct amm_http_server *server;
    struct amm_http_ref ref;
    const struct amm_http_request *request;
    struct amm_view body; /* whole, decoded */
    struct amm_address remote,
        local;         /* of the socket, never of a header; family NONE: unix socket */
    uint32_t listener; /* `tag` of the listener */
    uint32_t uid;      /* unix sockets: user of the peer; else UINT32_MAX */
    const struct amm_identity *client; /* verified certificate of the client; NULL: none */
    bool is_tls;
    bool resumed;  /* the TLS session was resumed: nothing was checked anew */
    bool streamed; /* `streams` said so: the body, if there is one, comes in pieces */
};

struct amm_http_settings {
    /* The server's only call out, in the server's thread. It must answer, now or later. */
    void (*handle)(void *context, const struct amm_http_call *call);

    /* The largest body that this request may have, asked when its head is there: a larger one is
     * refused with 413 before it is read. 0: none. At most 64 MiB. NULL: 1 MiB for all. */
    size_t (*body_limit)(void *context, const struct amm_http_call *call);

    /* A streaming answer (amm_http_answer with `stream`) ended because the peer left. May be NULL.
     * Of a request that is streamed also: it ended before its answer was out, whatever the cause.
     */
    void (*gone)(void *context, struct amm_http_ref ref);

    /* Asked when the head is there: true hands the request over at once, whatever the size of its
     * body, and without a limit (request->length, where it is known, is for the handler to judge).
     * NULL: none. */
    bool (*streams)(void *context, const struct amm_http_call *call);

    /* The next bytes of a streamed body, or of a connection that is a pipe, never more than was
     * asked for; valid until it returns. `last`: the body is whole, or the peer of the pipe has
     * ended (what goes to it still goes); comes once, perhaps with bytes, and asks for no credit.
     * In the server's thread, like `handle`. */
    void (*piece)(void *context, struct amm_http_ref ref, struct amm_view bytes, bool last);

    /* A paced answer: the peer has taken all but AMM_HTTP_DRAINED bytes. May be NULL. */
    void (*drained)(void *context, struct amm_http_ref ref);

    void *context;
    unsigned connections; /* at most, of all listeners; beyond it the oldest idle one goes, and if
                             none is idle, the newcomer. 4096 */
    unsigned per_prefix;  /* at most from one prefix (amm_address_prefix); 0: no limit, the default.
                             Unix sockets do not count */
    amm_duration head_deadline; /* for TLS, and then for the whole head: 10 s each */
    amm_duration idle_deadline; /* between requests: 60 s */
    uint32_t body_rate; /* bytes a second that a body must have at least, and that a peer must
                           take of an answer; 1000 */
    amm_duration
        body_pause; /* how long a body may pause, whatever came before: 10 s. An answer: three
                       times that, because the kernel's buffer hides what the peer takes */
    amm_duration paced_pause; /* how long the peer of a paced answer may take nothing: a browser
                                 that asks where to save a download; 60 s */
    size_t body_memory;       /* for bodies of all connections together; beyond it 503. 256 MiB */
    const char *name;         /* of the Server field; static storage; NULL: none */
};

/* Sane defaults for all but `handle`. */
void amm_http_settings_init(struct amm_http_settings *settings);

/* NULL: out of memory or descriptors. */
struct amm_http_server *amm_http_server_new(const struct amm_http_settings *settings);

/* Takes over a listening socket (non-blocking, close-on-exec; TCP or unix stream). `tls` NULL:
 * plain text. `tag` comes back in the call. Before the thread runs, or from its handler; or from
 * any thread after amm_http_server_run has started (handed over by the wake-up). */
bool amm_http_server_listen(struct amm_http_server *server, int fd, struct amm_http_tls *tls,
                            uint32_t tag);

/* Serves until amm_http_server_stop; the calling thread becomes the owner. */
void amm_http_server_run(struct amm_http_server *server);

/* Any thread: listeners with that tag are closed; their connections go on. */
void amm_http_server_unlisten(struct amm_http_server *server, uint32_t tag);

/* For programs with a loop of their own (acemanager): a descriptor that is readable when there is
 * something to do, the next deadline, and the work itself. One thread. */
int amm_http_server_fd(const struct amm_http_server *server);
amm_time amm_http_server_deadline(const struct amm_http_server *server);
void amm_http_server_step(struct amm_http_server *server);

/* Any thread: run returns soon; connections get what is queued for them, at most 2 s. */
void amm_http_server_stop(struct amm_http_server *server);

/* After run has returned, and when no other thread uses the server any more. Closes everything. */
struct amm_http_server *amm_http_server_free(struct amm_http_server *server);

struct amm_http_reply {
    int status;
    const char *content_type; /* NULL: no body type; copied */
    struct amm_view fields;   /* further field lines, each "Name: value\r\n", written with
                                 amm_http_write_field; copied. Not Date, Server, Content-Type,
                                 Content-Length, Transfer-Encoding, Connection: those are added. */
    struct amm_view body;     /* copied. With HEAD only its length is sent. */
    bool has_file;
    int file; /* with `has_file`: the body is `file_len` bytes of this file from
                 `file_at`; the descriptor is taken over, whatever the result; sendfile
                 where there is no TLS */
    uint64_t file_at, file_len;
    bool stream;     /* the body follows by amm_http_send: in chunks; to a client of HTTP/1.0, up to
                        the end of the connection; with `has_length`, that many bytes: fewer or more cut
                        the connection */
    bool has_length; /* with `stream`; or of the answer to HEAD, and 304: what is said, not sent */
    uint64_t length;
    bool paced;   /* with `stream`: the caller looks at amm_http_waiting, waits for `drained`, and
                     sends   no more than AMM_HTTP_BEHIND ahead */
    bool upgrade; /* status 101: the connection is a pipe then, paced; "Connection: Upgrade" is
                     added, the Upgrade field is the caller's */
    bool bare;    /* of another server: neither Date nor Server is added, and no length where there
                     is none */
    bool close;   /* and then close the connection */
};

/* Any thread, any time after `handle` was called, once. False if the connection is gone or memory
 * is short (then it is closed): nothing to be done about it. Status, Date and framing are added
 * here; 204 and 304 have no body. */
bool amm_http_answer(struct amm_http_server *server, struct amm_http_ref ref,
                     const struct amm_http_reply *reply);

/* Any thread: more of a streaming answer; an empty view ends it (of a pipe: its one direction; the
 * connection closes when both have ended). False if the connection is gone or the peer is more than
 * AMM_HTTP_BEHIND bytes behind (then it is closed: an event stream starts again). */
enum { AMM_HTTP_BEHIND = 256 * 1024, AMM_HTTP_DRAINED = 8 * 1024 };
bool amm_http_send(struct amm_http_server *server, struct amm_http_ref ref, struct amm_view bytes);

/* Any thread: bytes of amm_http_send that the kernel has not taken yet; 0 if the request is over.
 */
size_t amm_http_waiting(const struct amm_http_server *server, struct amm_http_ref ref);

/* Any thread: `n` more bytes of a streamed body or a pipe may come; a peer that waits for "100
 * Continue" gets it with the first. A body that is not taken keeps the peer waiting, without a
 * deadline. If the answer is out before the body is whole, the connection ends: what the peer still
 * sends is thrown away for a while, so that it can read the answer. */
void amm_http_take(struct amm_http_server *server, struct amm_http_ref ref, size_t n);

/* Any thread: an informational answer (1xx but for 100 and 101) before the answer; `fields` as in
 * struct amm_http_reply. Not to clients of HTTP/1.0. */
void amm_http_inform(struct amm_http_server *server, struct amm_http_ref ref, int status,
                     struct amm_view fields);

/* Any thread: closes the connection of this request without a further word, so that the peer
 * notices that something is missing. */
void amm_http_cut(struct amm_http_server *server, struct amm_http_ref ref);

/* Counters for /metrics; any thread. */
struct amm_http_counters {
    uint64_t accepted, requests, refused_limit, bad_requests, tls_failed, tls_full, tls_resumed,
        timeouts, bytes_in, bytes_out;
    uint32_t open;
};
void amm_http_server_counters(const struct amm_http_server *server, struct amm_http_counters *out);
