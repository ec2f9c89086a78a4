/* Requests in. One buffer a connection:
 *
 *   0 .. head_len                     the head
 *     .. head_len + content_len       the body so far, decoded
 *     raw_at .. in_len                as it came: chunks not yet decoded, or the next requests
 *
 * Chunks are decoded in place: what they hold is shorter than what they are. */
#include "server_parts.h"

#include <stdlib.h>

enum { ROOM_FIRST = 4096 };

void input_release(struct amm_http_server *server, struct connection *connection)
{
    if (connection->in_room > AMM_HTTP_HEAD_MAX) {
        server->body_bytes -= connection->in_room - AMM_HTTP_HEAD_MAX;
    }
    free(connection->in);
    connection->in = NULL;
    connection->in_room = connection->in_len = 0;
}

static size_t beyond_head(size_t room)
{
    return room > AMM_HTTP_HEAD_MAX ? room - AMM_HTTP_HEAD_MAX : 0;
}

/* False: out of memory, or the bodies of all connections would be more than they may. */
static bool grow(struct amm_http_server *server, struct connection *connection, size_t limit)
{
    size_t room = connection->in_room == 0 ? ROOM_FIRST : connection->in_room * 2;
    room = room > limit ? limit : room;
    if (room <= connection->in_room) {
        return false;
    }
    size_t bodies = server->body_bytes - beyond_head(connection->in_room) + beyond_head(room);
    if (beyond_head(room) > 0 && bodies > server->settings.body_memory) {
        return false;
    }
    uint8_t *in = realloc(connection->in, room);
    if (!in) {
        return false;
    }
    server->body_bytes = bodies;
    connection->in = in;
    connection->in_room = room;
    return true;
}

bool input_reserve(struct connection *connection)
{
    if (connection->in_room >= AMM_HTTP_HEAD_MAX) {
        return true;
    }
    uint8_t *in = realloc(connection->in, AMM_HTTP_HEAD_MAX);
    if (in) {
        connection->in = in;
        connection->in_room = AMM_HTTP_HEAD_MAX;
    }
    return in != NULL;
}

/* While something is also written, that is waited for, too. */
static void wait_to_read(struct amm_http_server *server, struct connection *connection)
{
    bool writes = connection->streamed && connection->out;
    set_interest(server, connection, AMM_READ | (writes ? AMM_WRITE : 0));
}

enum input read_some(struct amm_http_server *server, struct connection *connection, size_t limit,
                     size_t *n)
{
    *n = 0;
    connection->read_needs_write = false;
    if (!connection->may_read && !http_stream_has_pending(&connection->stream)) {
        wait_to_read(server, connection);
        return INPUT_NONE;
    }
    if (connection->in_len == connection->in_room && !grow(server, connection, limit)) {
        return INPUT_NO_ROOM;
    }
    size_t room = connection->in_room - connection->in_len;
    switch (http_stream_read(&connection->stream, connection->in + connection->in_len, room, n)) {
    case STREAM_OK:
        connection->in_len += *n;
        connection->turn += *n;
        connection->may_read = !connection->stream.tls && *n == room;
        return INPUT_BYTES;
    case STREAM_READABLE:
        connection->may_read = false;
        wait_to_read(server, connection);
        return INPUT_NONE;
    case STREAM_WRITABLE:
        connection->read_needs_write = true;
        set_interest(server, connection, AMM_WRITE);
        return INPUT_NONE;
    case STREAM_END:
        return INPUT_END;
    case STREAM_CUT:
    case STREAM_FAILED:
        break;
    }
    return INPUT_CLOSED;
}

/* ---- to the handler ---- */

static void make_call(struct amm_http_server *server, const struct connection *connection,
                      struct amm_http_call *call)
{
    *call = (struct amm_http_call){
        .server = server,
        .ref = {connection->index, slot_generation(server, connection->index)},
        .request = &server->request,
        .body = amm_view(connection->in + connection->head_len, connection->content_len),
        .remote = connection->remote,
        .local = connection->local,
        .listener = connection->tag,
        .uid = connection->uid,
        .client = http_stream_peer(&connection->stream),
        .is_tls = connection->tls != NULL,
        .resumed = http_stream_is_resumed(&connection->stream),
        .streamed = connection->streamed,
    };
}

/* The request is whole. */
static enum step dispatch(struct amm_http_server *server, struct connection *connection)
{
    struct amm_http_call call;
    make_call(server, connection, &call);
    connection->state = CONNECTION_WAITING;
    set_deadline(server, connection, AMM_NEVER);
    count(&server->counters.requests, 1);
    server->in_handler = connection->index;
    server->settings.handle(server->settings.context, &call);
    server->in_handler = NO_CONNECTION;
    return connection->state == CONNECTION_WAITING && !connection->streamed ? STEP_WAIT
                                                                            : STEP_AGAIN;
}

static enum step refuse_too_large(struct amm_http_server *server, struct connection *connection)
{
    count(&server->counters.bad_requests, 1);
    refuse_request(server, connection, 413, "too-large",
                   connection->body_limit == 0 ? "this request takes no body"
                                               : "the body is larger than this request may have");
    return STEP_AGAIN;
}

static enum step refuse_bad(struct amm_http_server *server, struct connection *connection,
                            const struct amm_http_error *error)
{
    count(&server->counters.bad_requests, 1);
    refuse_request(server, connection, error->status, error->reason, error->text);
    return STEP_AGAIN;
}

static size_t ask_body_limit(struct amm_http_server *server, const struct connection *connection)
{
    if (!server->settings.body_limit) {
        return 1 << 20;
    }
    struct amm_http_call call;
    make_call(server, connection, &call);
    size_t limit = server->settings.body_limit(server->settings.context, &call);
    return limit > BODY_MAX ? BODY_MAX : limit;
}

static bool ask_whether_streamed(struct amm_http_server *server,
                                 const struct connection *connection)
{
    if (!server->settings.streams) {
        return false;
    }
    struct amm_http_call call;
    make_call(server, connection, &call);
    return server->settings.streams(server->settings.context, &call);
}

/* The head is in server->request. */
static enum step take_head(struct amm_http_server *server, struct connection *connection)
{
    const struct amm_http_request *request = &server->request;
    connection->is_head = amm_view_equal(request->method, amm_view_str("HEAD"));
    connection->is_http10 = request->minor == 0;
    connection->keep_alive = request->keep_alive;
    connection->content_len = 0;
    connection->raw_at = connection->head_len;
    slot_next_generation(server, connection->index);
    if (ask_whether_streamed(server, connection)) {
        pieces_begin(server, connection);
        return dispatch(server, connection);
    }
    if (request->framing == AMM_HTTP_NO_BODY ||
        (request->framing == AMM_HTTP_LENGTH && request->length == 0)) {
        return dispatch(server, connection);
    }
    connection->body_limit = ask_body_limit(server, connection);
    if (connection->body_limit == 0 ||
        (request->framing == AMM_HTTP_LENGTH && request->length > connection->body_limit)) {
        return refuse_too_large(server, connection);
    }
    amm_http_body_begin(&connection->body, request->framing, request->length, false);
    if (request->expect_continue && !connection->is_http10 &&
        connection->in_len == connection->head_len) {
        output_continue(server, connection);
    }
    connection->state = CONNECTION_BODY;
    set_deadline(server, connection, AMM_NEVER);
    earn_time(server, connection, 0, server->settings.body_pause);
    return STEP_AGAIN;
}

/* ---- heads ---- */

/* The first bytes of a request: now the whole head is due. */
static void begin_head(struct amm_http_server *server, struct connection *connection)
{
    if (connection->is_idle) {
        connection_set_idle(server, connection, false);
        set_deadline(server, connection,
                     amm_time_after(server->now.mono, server->settings.head_deadline));
    }
}

/* A head is parsed when a line has ended, not at every byte; its first piece always, so that what
 * is no HTTP at all gets its answer. */
static void note_bytes(struct connection *connection, size_t n)
{
    const uint8_t *news = connection->in + connection->in_len - n;
    connection->unparsed |= connection->in_len == n || memchr(news, '\n', n) != NULL ||
                            connection->in_len >= AMM_HTTP_HEAD_MAX;
}

enum step input_head(struct amm_http_server *server, struct connection *connection)
{
    struct amm_http_error error;
    for (;;) {
        if (connection->unparsed) {
            connection->unparsed = false;
            switch (amm_http_request_parse(&server->request,
                                           amm_view(connection->in, connection->in_len),
                                           &connection->head_len, &error)) {
            case AMM_HTTP_OK:
            case AMM_HTTP_END:
                return take_head(server, connection);
            case AMM_HTTP_BAD:
                return refuse_bad(server, connection, &error);
            case AMM_HTTP_MORE:
                break;
            }
        }
        size_t n;
        switch (read_some(server, connection, AMM_HTTP_HEAD_MAX, &n)) {
        case INPUT_BYTES:
            begin_head(server, connection);
            note_bytes(connection, n);
            break;
        case INPUT_NONE:
            return STEP_WAIT;
        case INPUT_END:
        case INPUT_CLOSED:
        case INPUT_NO_ROOM:
            connection_close(server, connection);
            return STEP_CLOSED;
        }
    }
}

/* What came behind the request that is answered now moves to the front. */
void input_next(struct amm_http_server *server, struct connection *connection)
{
    size_t left = connection->in_len - connection->raw_at;
    if (left > 0) {
        memmove(connection->in, connection->in + connection->raw_at, left);
        connection->in_len = left;
        if (connection->in_room > AMM_HTTP_HEAD_MAX) {
            uint8_t *in =
                left <= AMM_HTTP_HEAD_MAX ? realloc(connection->in, AMM_HTTP_HEAD_MAX) : NULL;
            if (in) {
                server->body_bytes -= beyond_head(connection->in_room);
                connection->in = in;
                connection->in_room = AMM_HTTP_HEAD_MAX;
            }
        }
    } else {
        input_release(server, connection);
    }
    connection->head_len = connection->content_len = connection->raw_at = 0;
    connection->unparsed = left > 0;
    connection->state = CONNECTION_HEAD;
    connection_set_idle(server, connection, left == 0);
    set_deadline(server, connection,
                 amm_time_after(server->now.mono, left == 0 ? server->settings.idle_deadline
                                                            : server->settings.head_deadline));
}

/* ---- bodies ---- */

/* END: the body is whole. MORE: all that came is taken. BAD: `error`, also for one that is too
 * large. */
static enum amm_http_result decode(struct connection *connection, struct amm_http_error *error)
{
    struct amm_view raw =
        amm_view(connection->in + connection->raw_at, connection->in_len - connection->raw_at);
    struct amm_view content;
    enum amm_http_result result;
    while ((result = amm_http_body_next(&connection->body, &raw, &content, error)) == AMM_HTTP_OK) {
        if (content.len > connection->body_limit - connection->content_len) {
            *error = (struct amm_http_error){.status = 413};
            return AMM_HTTP_BAD;
        }
        memmove(connection->in + connection->head_len + connection->content_len, content.data,
                content.len);
        connection->content_len += content.len;
    }
    if (result == AMM_HTTP_MORE) {
        connection->in_len = connection->head_len + connection->content_len;
        connection->raw_at = connection->in_len;
    } else {
        connection->raw_at = connection->in_len - raw.len;
    }
    return result;
}

/* The head is parsed again: the buffer may have moved. */
static enum step dispatch_with_body(struct amm_http_server *server, struct connection *connection)
{
    struct amm_http_error error;
    size_t head_len = 0;
    if (amm_http_request_parse(&server->request, amm_view(connection->in, connection->head_len),
                               &head_len, &error) != AMM_HTTP_OK) {
        connection_close(server, connection); /* cannot be: it was one before */
        return STEP_CLOSED;
    }
    return dispatch(server, connection);
}

/* How large the buffer may become: a body whose length is known needs no more than that. */
static size_t body_room(const struct connection *connection)
{
    size_t rest = connection->body.framing == AMM_HTTP_LENGTH
                      ? (size_t)connection->body.left
                      : connection->body_limit - connection->content_len + AMM_HTTP_TRAILERS_MAX;
    return connection->in_len + rest;
}

enum step input_body(struct amm_http_server *server, struct connection *connection)
{
    if (connection->out) { /* "100 Continue" */
        enum step step = output_flush(server, connection);
        if (step != STEP_AGAIN) {
            return step;
        }
    }
    for (;;) {
        struct amm_http_error error;
        switch (decode(connection, &error)) {
        case AMM_HTTP_END:
            return dispatch_with_body(server, connection);
        case AMM_HTTP_BAD:
            return error.status == 413 ? refuse_too_large(server, connection)
                                       : refuse_bad(server, connection, &error);
        case AMM_HTTP_OK:
        case AMM_HTTP_MORE:
            break;
        }
        if (connection->turn >= TURN && yield_turn(server, connection)) {
            return STEP_WAIT;
        }
        size_t n;
        switch (read_some(server, connection, body_room(connection), &n)) {
        case INPUT_BYTES:
            earn_time(server, connection, n, server->settings.body_pause);
            break;
        case INPUT_NONE:
            return STEP_WAIT;
        case INPUT_END:
        case INPUT_CLOSED:
            connection_close(server, connection);
            return STEP_CLOSED;
        case INPUT_NO_ROOM:
            refuse_request(server, connection, 503, "busy",
                           "too many large requests at once; try again later");
            return STEP_AGAIN;
        }
    }
}

/* ---- while an answer streams: what comes is the next request, or that the peer has left ---- */

enum step input_while_streaming(struct amm_http_server *server, struct connection *connection)
{
    enum input result = INPUT_BYTES;
    size_t kept = connection->raw_at + AMM_HTTP_HEAD_MAX, n;
    while (result == INPUT_BYTES && connection->in_len < kept) {
        result = read_some(server, connection, kept, &n);
    }
    if (result == INPUT_END || result == INPUT_CLOSED || result == INPUT_NO_ROOM) {
        connection_close(server, connection);
        return STEP_CLOSED;
    }
    set_interest(server, connection,
                 (connection->in_len < kept ? AMM_READ : 0) | (connection->out ? AMM_WRITE : 0));
    return STEP_WAIT;
}
