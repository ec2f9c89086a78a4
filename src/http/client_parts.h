/* What the files of the client share; one thread.
 *
 *   client.c       life, requests, what the owner may know
 *   client_step.c  the state machine */
#pragma once

#include "http/client.h"
#include "io/loop.h"
#include "stream.h"
#include "tls_internal.h"

enum { INTERIM_MAX = 16, CLIENT_ERROR = 256, CHUNK_HEAD = 18, CHUNK_TAIL = 7 };

enum client_state {
    CLIENT_NEW,
    CLIENT_CONNECTING,
    CLIENT_GREETING, /* TLS */
    CLIENT_KEY,      /* the owner looks at the key */
    CLIENT_IDLE,     /* no request */
    CLIENT_HEAD,     /* of the answer; the request may still be on its way out */
    CLIENT_BODY,     /* or a pipe */
    CLIENT_OUT,      /* a pipe whose other end has ended: ours still goes */
    CLIENT_OVER,
};

struct amm_http_client {
    struct amm_http_client_settings settings; /* its strings are owned */
    struct tls_expectation expected;
    struct amm_http_session *resume;
    enum client_state state;
    struct http_stream stream;
    struct amm_address local;
    unsigned interest;
    amm_time deadline; /* of what is no request */
    amm_time out_by, in_by;

    uint8_t *out; /* what is to be written of the request, or into the pipe; NULL: no request */
    size_t out_room, out_len, out_at;
    enum amm_http_framing out_framing; /* of what is still to come by amm_http_client_send */
    uint64_t out_left;
    bool out_open;    /* more comes */
    bool out_last;    /* the last chunk is still to be written */
    size_t out_held;  /* bytes of the next chunk, behind out_len and room for its line: so many
                         small pieces become one chunk, and each byte takes one of the room */
    bool out_failed;  /* the server takes no more, but may have answered */
    bool out_blocked; /* waits until the socket takes more */
    bool is_waiting;  /* a request came before the connection was there */
    bool may_upgrade, is_pipe, is_shut;
    char method[AMM_HTTP_METHOD_MAX + 1];

    struct amm_http_response response;
    struct amm_http_body body;
    unsigned interim; /* answers before the answer */
    bool paused, is_endless;
    size_t in_at, in_len;
    uint8_t in[AMM_HTTP_HEAD_MAX];

    enum amm_tls_failure tls_failure;
    char error[CLIENT_ERROR];
};

void client_forget_request(struct amm_http_client *client);
/* Memory for what goes into a pipe; false: out of it. */
bool client_begin_pipe(struct amm_http_client *client);
/* When all before it is out: the held bytes become a chunk. */
void client_frame_chunk(struct amm_http_client *client);
/* All of the request is out, or cannot be any more. */
bool client_is_said(const struct amm_http_client *client);
/* "name:8443" and "[::1]:8443" without the port, "[::1]" without the brackets. */
bool client_host_without_port(const char *host, char out[TLS_HOST_MAX + 1]);
