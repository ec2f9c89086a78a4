/* Bodies in pieces, and connections that are pipes after "101 Switching Protocols". What the peer
 * sends waits in the kernel until the handler takes it; here is at most one buffer of it. Reading
 * and writing go on side by side, each with a deadline of its own. */
#include "server_parts.h"

void pieces_deadline(struct amm_http_server *server, struct connection *connection)
{
    set_deadline(server, connection, amm_time_min(connection->read_by, connection->write_by));
}

static struct amm_http_ref ref_of(const struct amm_http_server *server,
                                  const struct connection *connection)
{
    return (struct amm_http_ref){connection->index, slot_generation(server, connection->index)};
}

void pieces_begin(struct amm_http_server *server, struct connection *connection)
{
    const struct amm_http_request *request = &server->request;
    connection->streamed = true;
    connection->body_open = request->framing == AMM_HTTP_CHUNKED ||
                            (request->framing == AMM_HTTP_LENGTH && request->length > 0);
    connection->expect_continue = request->expect_continue && !connection->is_http10 &&
                                  connection->body_open &&
                                  connection->in_len == connection->head_len;
    connection->credit = 0;
    connection->read_by = connection->write_by = AMM_NEVER;
    connection->is_pipe = connection->is_shut = connection->paced = false;
    amm_http_body_begin(&connection->body, request->framing, request->length, false);
}

void pieces_begin_pipe(struct connection *connection)
{
    connection->is_pipe = connection->body_open = true;
    amm_http_body_begin(&connection->body, AMM_HTTP_TO_END, 0, false);
}

void pieces_abandon(struct amm_http_server *server, struct connection *connection)
{
    bool was_streamed = connection->streamed;
    connection->streamed = connection->body_open = false;
    connection->read_by = AMM_NEVER;
    if (was_streamed && server->settings.gone) {
        server->settings.gone(server->settings.context, ref_of(server, connection));
    }
}

/* How long the peer may take for what it was asked for. */
static void earn_read(struct amm_http_server *server, struct connection *connection, size_t n)
{
    bool any_time = !connection->body_open || connection->credit == 0;
    if (connection->is_pipe) {
        connection->read_by = connection->is_shut
                                  ? amm_time_after(server->now.mono, server->settings.paced_pause)
                                  : AMM_NEVER;
    } else {
        connection->read_by =
            any_time ? AMM_NEVER
                     : earned(server, connection->read_by, n, server->settings.body_pause);
    }
    pieces_deadline(server, connection);
}

void pieces_take(struct amm_http_server *server, struct connection *connection, size_t n)
{
    if (!connection->streamed || n == 0) {
        return;
    }
    connection->credit = n < SIZE_MAX - connection->credit ? connection->credit + n : SIZE_MAX;
    if (connection->expect_continue && connection->state == CONNECTION_WAITING) {
        output_continue(server, connection);
    }
    connection->expect_continue = false;
    earn_read(server, connection, 0);
}

/* ---- what comes ---- */

static void deliver(struct amm_http_server *server, struct connection *connection,
                    struct amm_view bytes, bool last)
{
    connection->credit -= bytes.len;
    connection->body_open = !last;
    earn_read(server, connection, bytes.len);
    server->in_handler = connection->index;
    server->settings.piece(server->settings.context, ref_of(server, connection), bytes, last);
    server->in_handler = NO_CONNECTION;
}

static enum step refuse_piece(struct amm_http_server *server, struct connection *connection,
                              const struct amm_http_error *error)
{
    count(&server->counters.bad_requests, 1);
    if (connection->state != CONNECTION_WAITING) { /* an answer is already under way */
        connection_close(server, connection);
        return STEP_CLOSED;
    }
    refuse_request(server, connection, error->status, error->reason, error->text);
    return STEP_AGAIN;
}

/* Hands over what is in the buffer, as far as it was asked for. AGAIN: the state changed, or there
 * was something; WAIT: there is nothing to hand over. */
static enum step hand_over(struct amm_http_server *server, struct connection *connection)
{
    size_t len = connection->in_len - connection->raw_at;
    size_t asked = len < connection->credit ? len : connection->credit;
    struct amm_view content, raw = amm_view(NULL, 0);
    if (asked > 0) {
        raw = amm_view(connection->in + connection->raw_at, asked);
    }
    struct amm_http_error error;
    enum amm_http_result result = amm_http_body_next(&connection->body, &raw, &content, &error);
    size_t left = raw.len + len - asked;
    connection->raw_at = connection->in_len - left;
    switch (result) {
    case AMM_HTTP_OK:
        deliver(server, connection, content,
                connection->body.framing == AMM_HTTP_LENGTH && connection->body.left == 0);
        return STEP_AGAIN;
    case AMM_HTTP_END:
        deliver(server, connection, amm_view(NULL, 0), true);
        return STEP_AGAIN;
    case AMM_HTTP_BAD:
        return refuse_piece(server, connection, &error);
    case AMM_HTTP_MORE:
        break;
    }
    return connection->credit > 0 && left > 0 ? STEP_AGAIN : STEP_WAIT;
}

/* The peer of a pipe has ended; of a request: has left in the middle. */
static enum step take_end(struct amm_http_server *server, struct connection *connection)
{
    if (!connection->is_pipe) {
        connection_close(server, connection);
        return STEP_CLOSED;
    }
    deliver(server, connection, amm_view(NULL, 0), true);
    return STEP_AGAIN;
}

/* AGAIN: there is something in the buffer, or the state changed. */
static enum step read_piece(struct amm_http_server *server, struct connection *connection)
{
    if (connection->raw_at == connection->in_len) { /* the head is not needed any more, either */
        connection->raw_at = connection->in_len = connection->head_len = 0;
    }
    connection->may_read |= connection->unwatched;
    size_t n;
    switch (input_reserve(connection) ? read_some(server, connection, AMM_HTTP_HEAD_MAX, &n)
                                      : INPUT_NO_ROOM) {
    case INPUT_BYTES:
        return STEP_AGAIN;
    case INPUT_NONE:
        return STEP_WAIT;
    case INPUT_END:
        return take_end(server, connection);
    case INPUT_CLOSED:
    case INPUT_NO_ROOM:
        break;
    }
    connection_close(server, connection);
    return STEP_CLOSED;
}

static enum step wait_for_peer(struct amm_http_server *server, struct connection *connection)
{
    bool reads = connection->body_open && connection->credit > 0;
    bool writes = connection->out || connection->read_needs_write;
    set_interest(server, connection, (reads ? AMM_READ : 0) | (writes ? AMM_WRITE : 0));
    return STEP_WAIT;
}

enum step input_pieces(struct amm_http_server *server, struct connection *connection)
{
    enum connection_state state = connection->state;
    if (state == CONNECTION_WAITING && connection->out) { /* 1xx */
        enum step step = output_flush(server, connection);
        if (step == STEP_CLOSED) {
            return step;
        }
        if (step == STEP_AGAIN) {
            settle_write(server, connection);
        }
    }
    while (connection->body_open && connection->state == state) {
        enum step step = hand_over(server, connection);
        if (step == STEP_WAIT && connection->credit > 0) {
            step = read_piece(server, connection);
        }
        if (step != STEP_AGAIN) {
            return step == STEP_WAIT ? wait_for_peer(server, connection) : step;
        }
        if (connection->turn >= TURN && yield_turn(server, connection)) {
            return STEP_WAIT;
        }
    }
    if (connection->state != state || connection->is_pipe) {
        return connection->state != state || connection->is_shut
                   ? STEP_AGAIN
                   : wait_for_peer(server, connection);
    }
    return input_while_streaming(server, connection);
}

/* ---- pipes ---- */

enum step step_pipe(struct amm_http_server *server, struct connection *connection)
{
    enum step step = output_flush(server, connection);
    if (step == STEP_CLOSED) {
        return step;
    }
    if (step == STEP_AGAIN) {
        settle_write(server, connection);
        if (connection->stream_ended && !connection->is_shut) {
            connection->is_shut = true;
            http_stream_say_goodbye(&connection->stream);
            earn_read(server, connection, 0);
        }
    }
    if (connection->is_shut && !connection->body_open) { /* both have ended */
        connection->streamed = false;
        connection_close(server, connection);
        return STEP_CLOSED;
    }
    return input_pieces(server, connection);
}

bool pieces_hung_up(struct amm_http_server *server, struct connection *connection)
{
    if (!connection->is_pipe) {
        connection_close(server, connection);
        return true;
    }
    if (!connection->unwatched) { /* what it sent last is still to be read */
        connection->unwatched = true;
        amm_loop_remove(server->loop, connection->stream.fd);
    }
    return false;
}
