/* An HTTP/1.1 client connection: one server, one request at a time, on the owner's loop.
 *
 * No name lookup here: the caller gives addresses. Everything is non-blocking; the owner waits for
 * `fd` and `deadline` and calls `step`.
 *
 * Bodies of any size pass through 32 KiB of memory: those of requests by amm_http_client_begin and
 * _send, those of answers as events, which amm_http_client_pause holds back. */
#pragma once

#include "base/address.h"
#include "base/time.h"
#include "crypto/identity.h"
#include "http/message.h"
#include "http/tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct amm_http_client;

struct amm_http_client_settings {
    struct amm_address address; /* of the server */
    const char *unix_path;      /* instead of an address; NULL: none. Copied. */
    const char *host;           /* for Host and, with TLS, for the server's name; copied */
    struct amm_http_tls *tls;   /* NULL: plain text; a reference is taken */
    const char *server_name;    /* with TLS: name that the certificate must have (SAN, else common
                                   name); NULL: `host` without its port; "": any */
    /* Pins are checked inside the handshake: before the first request byte, and before the own
     * certificate is shown. Both are SHA-256 of a SubjectPublicKeyInfo, 32 bytes, or empty. */
    struct amm_view key_pin; /* of the server's key. In a context without `ca` nothing else is
                                asked of its certificate. */
    struct amm_view ca_pin;  /* of the CA that the server's chain ends in and that it sent along; in
                                a context without `ca` that one is trusted */
    bool first_use;    /* without `key_pin`, and in a context without `ca`: any key is taken, but
                          before    a byte of a request is written it is shown by AMM_HTTP_EVENT_KEY,
                          and    waits    for amm_http_client_trust */
    bool interim;      /* informational answers are events, too */
    bool tolerant_end; /* TLS that ends without close_notify ends an answer that has no length: many
                          small servers do so */
    uint32_t body_rate; /* bytes a second that the body of an answer must have at least, over all,
                           beyond `idle_deadline`; 0: any. Not asked of event streams */
    const char *bind_device;       /* NULL, or the interface to go out by; copied */
    amm_duration connect_deadline; /* TCP and TLS; 0: 15 s */
    amm_duration answer_deadline;  /* from the request to the end of the answer's head; 0: 30 s */
    amm_duration idle_deadline;    /* between pieces of a body, or of a request; 0: 30 s */
};

struct amm_http_client *amm_http_client_new(const struct amm_http_client_settings *settings,
                                            struct amm_now now); /* NULL: out of memory */
struct amm_http_client *
amm_http_client_free(struct amm_http_client *client); /* closes; NULL is fine */

/* A TLS session to resume, kept by the owner over connections. `resume` comes before the first
 * step, and does nothing if the session is of another server name or CA, or does not fit the pins.
 * `session` gives the newest one, that of an unclean end included; the caller frees it. The server
 * sends it behind the handshake: ask when the answer is there. */
struct amm_http_session;
void amm_http_client_resume(struct amm_http_client *client, const struct amm_http_session *session);
struct amm_http_session *amm_http_client_session(struct amm_http_client *client); /* NULL: none */
bool amm_http_client_resumed(const struct amm_http_client *client);
struct amm_http_session *amm_http_session_free(struct amm_http_session *session);

/* Queues the whole request: head as written with amm_http_write_* (without Host, Content-Length and
 * the empty line, which are added here) and body. All is copied. One at a time, also before the
 * connection is there. False: another one is under way, the connection is over, or a part is not
 * fit for a head. */
bool amm_http_client_request(struct amm_http_client *client, struct amm_view method,
                             struct amm_view target, struct amm_view fields, struct amm_view body);

/* A request whose body comes later. */
struct amm_http_ask {
    struct amm_view method, target; /* copied */
    struct amm_view fields;         /* copied; as for amm_http_client_request */
    bool has_host;                  /* `fields` has the Host field already */
    enum amm_http_framing framing;  /* NO_BODY; LENGTH with `length`; CHUNKED */
    uint64_t length;
    bool upgrade; /* "Connection: Upgrade" is added, and 101 makes a pipe of the connection; the
                     Upgrade field is the caller's */
};
bool amm_http_client_begin(struct amm_http_client *client, const struct amm_http_ask *ask);

/* Instead of a request, on a new connection: a pipe as soon as it is up (AMM_HTTP_EVENT_UPGRADED
 * without a response). */
bool amm_http_client_pipe(struct amm_http_client *client);

/* How many bytes amm_http_client_send takes now; grows in amm_http_client_step. */
enum { AMM_HTTP_CLIENT_ROOM = 32 * 1024 };
size_t amm_http_client_room(const struct amm_http_client *client);

/* The next bytes of the body or into the pipe, copied; false if there is no room for all of them,
 * or the request is over or takes no more (a server that has answered and closed). More than
 * `length` is a mistake of the caller: false. The end of a body without length, or of our direction
 * of a pipe, is told by amm_http_client_end. */
bool amm_http_client_send(struct amm_http_client *client, struct amm_view bytes);
void amm_http_client_end(struct amm_http_client *client);

/* While paused no BODY event comes and nothing is read; the server waits, and no deadline of the
 * answer runs. */
void amm_http_client_pause(struct amm_http_client *client, bool paused);

/* After AMM_HTTP_EVENT_KEY: goes on. */
void amm_http_client_trust(struct amm_http_client *client);

/* SHA-256 of the SubjectPublicKeyInfo that the server showed, also of one that was refused. False:
 * none yet. */
bool amm_http_client_key(const struct amm_http_client *client, uint8_t out[32]);

enum amm_http_event_kind {
    AMM_HTTP_EVENT_NONE,
    AMM_HTTP_EVENT_HEAD,     /* `response` */
    AMM_HTTP_EVENT_BODY,     /* `content`: the next piece */
    AMM_HTTP_EVENT_DONE,     /* the answer is whole; another request may be made if keep_alive */
    AMM_HTTP_EVENT_FAILED,   /* `error` in words; the connection is over */
    AMM_HTTP_EVENT_KEY,      /* `key`: see `first_use` */
    AMM_HTTP_EVENT_INTERIM,  /* `response`: 1xx; see `interim` */
    AMM_HTTP_EVENT_UPGRADED, /* `response`: 101; BODY events are what comes through the pipe, DONE
                                is the end of the server's direction: ours still goes */
};

/* What kind of failure it was. */
enum amm_http_failure {
    AMM_HTTP_UNREACHABLE, /* no connection */
    AMM_HTTP_NO_TLS,      /* `tls_failure` */
    AMM_HTTP_LATE,        /* a deadline */
    AMM_HTTP_LOST,        /* the connection broke, or ended too early */
    AMM_HTTP_MALFORMED,   /* it answers, but not as HTTP wants it */
};

struct amm_http_event {
    enum amm_http_event_kind kind;
    const struct amm_http_response *response;
    struct amm_view content;
    const char *error;                /* "connection refused", "certificate has expired", ... */
    enum amm_tls_failure tls_failure; /* AMM_TLS_OK unless TLS was the reason */
    enum amm_http_failure failure;
    const uint8_t *key; /* 32 bytes */
    bool keep_alive;
};

int amm_http_client_fd(const struct amm_http_client *client); /* may change after step; -1: none */
unsigned amm_http_client_interest(const struct amm_http_client *client); /* enum amm_interest */
amm_time amm_http_client_deadline(const struct amm_http_client *client);

/* Does what can be done now and gives the next event; call until it gives NONE. What an event
 * points to is valid until the next call. */
void amm_http_client_step(struct amm_http_client *client, struct amm_now now,
                          struct amm_http_event *out);

/* Bytes of TCP payload so far, of this connection: for byte budgets. */
void amm_http_client_bytes(const struct amm_http_client *client, uint64_t *in, uint64_t *out);

/* True from the end of the handshake, and of the owner's look at the key, to the end. */
bool amm_http_client_is_up(const struct amm_http_client *client);

/* Who the server proved to be; NULL before TLS is up or without it. */
const struct amm_identity *amm_http_client_server(const struct amm_http_client *client);

/* SHA-256 of the public key of the last certificate that the server showed: its CA, if it sends it.
 * What was checked is for the caller to remember. False before TLS is up. */
bool amm_http_client_ca_key(const struct amm_http_client *client, uint8_t out[32]);

/* Address of our own end; family NONE while there is none. */
struct amm_address amm_http_client_local(const struct amm_http_client *client);
