/* The state machine of a connection:
 *
 *   GREETING -> HEAD -> BODY -> WAITING -> ANSWERING or STREAMING -> HEAD ...
 *                                                               \-> LINGERING -> closed
 *
 * Every state has a deadline but WAITING (the handler's business) and STREAMING while the peer is
 * not behind. */
#include "server_parts.h"

void set_deadline(struct amm_http_server *server, struct connection *connection, amm_time deadline)
{
    if (connection->deadline != deadline) {
        connection->deadline = deadline;
        amm_wheel_set(server->wheel, connection->index, deadline);
    }
}

void set_interest(struct amm_http_server *server, struct connection *connection, unsigned interest)
{
    if (connection->interest != interest) {
        connection->interest = interest;
        amm_loop_change(server->loop, connection->stream.fd, interest, connection->index);
    }
}

bool yield_turn(struct amm_http_server *server, struct connection *connection)
{
    connection->turn = 0;
    if (!connection->yielded) {
        if (server->n_again == server->settings.connections) {
            return false;
        }
        server->again[server->n_again++] = connection->index;
        connection->yielded = true;
    }
    return true;
}

amm_time earned(const struct amm_http_server *server, amm_time from, size_t n, amm_duration most)
{
    amm_time latest = amm_time_after(server->now.mono, most);
    uint32_t rate = server->settings.body_rate;
    amm_duration more = rate == 0 ? AMM_NEVER : (amm_duration)(n * (AMM_SECOND / rate));
    return amm_time_min(latest, amm_time_after(from == AMM_NEVER ? latest : from, more));
}

void earn_time(struct amm_http_server *server, struct connection *connection, size_t n,
               amm_duration most)
{
    set_deadline(server, connection, earned(server, connection->deadline, n, most));
}

void earn_write(struct amm_http_server *server, struct connection *connection, size_t n)
{
    amm_duration most = 3 * server->settings.body_pause;
    if (connection->paced) {
        connection->write_by = amm_time_after(server->now.mono, server->settings.paced_pause);
        pieces_deadline(server, connection);
    } else if (connection->streamed) {
        connection->write_by = earned(server, connection->write_by, n, most);
        pieces_deadline(server, connection);
    } else {
        earn_time(server, connection, n, most);
    }
}

void settle_write(struct amm_http_server *server, struct connection *connection)
{
    connection->write_by = AMM_NEVER;
    if (connection->streamed || connection->paced) {
        pieces_deadline(server, connection);
    } else {
        set_deadline(server, connection, AMM_NEVER);
    }
}

/* Nothing more is said; what the peer still sends is thrown away, because with unread bytes the
 * kernel would reset the connection, and what we said last would be lost. */
static enum step say_goodbye(struct amm_http_server *server, struct connection *connection)
{
    connection->state = CONNECTION_LINGERING;
    connection->may_read = true;
    http_stream_say_goodbye(&connection->stream);
    set_deadline(server, connection, amm_time_after(server->now.mono, LINGER_SECONDS * AMM_SECOND));
    return STEP_AGAIN;
}

static enum step step_greeting(struct amm_http_server *server, struct connection *connection)
{
    switch (http_stream_handshake(&connection->stream)) {
    case STREAM_OK:
        count(http_stream_is_resumed(&connection->stream) ? &server->counters.tls_resumed
                                                          : &server->counters.tls_full,
              1);
        connection->state = CONNECTION_HEAD;
        connection->may_read = true;
        set_deadline(server, connection,
                     amm_time_after(server->now.mono, server->settings.head_deadline));
        return STEP_AGAIN;
    case STREAM_READABLE:
        set_interest(server, connection, AMM_READ);
        return STEP_WAIT;
    case STREAM_WRITABLE:
        set_interest(server, connection, AMM_WRITE);
        return STEP_WAIT;
    case STREAM_FAILED: /* OpenSSL has sent the reason */
        count(&server->counters.tls_failed, 1);
        return say_goodbye(server, connection);
    case STREAM_END:
    case STREAM_CUT:
        break;
    }
    count(&server->counters.tls_failed, 1);
    connection_close(server, connection);
    return STEP_CLOSED;
}

/* The answer is out: the next request, or the end. */
static enum step after_answer(struct amm_http_server *server, struct connection *connection)
{
    slot_next_generation(server, connection->index);
    bool is_cut_short = connection->body_open;
    connection->streamed = connection->paced = connection->body_open = false;
    connection->read_by = connection->write_by = AMM_NEVER;
    if (connection->close_after || atomic_load(&server->stopping)) {
        enum step step = say_goodbye(server, connection);
        if (is_cut_short) {
            set_deadline(server, connection,
                         amm_time_after(server->now.mono, LINGER_UPLOAD_SECONDS * AMM_SECOND));
        }
        return step;
    }
    input_next(server, connection);
    connection->turn += TURN_REQUEST;
    return connection->turn >= TURN && yield_turn(server, connection) ? STEP_WAIT : STEP_AGAIN;
}

static enum step step_answer(struct amm_http_server *server, struct connection *connection)
{
    enum step step = output_flush(server, connection);
    if (step != STEP_AGAIN) {
        return step;
    }
    if (connection->state == CONNECTION_ANSWERING || connection->stream_ended) {
        return after_answer(server, connection);
    }
    settle_write(server, connection);
    return STEP_WAIT;
}

static enum step step_linger(struct amm_http_server *server, struct connection *connection)
{
    set_interest(server, connection, AMM_READ);
    if (connection->may_read && !http_stream_drain(&connection->stream)) {
        connection_close(server, connection);
        return STEP_CLOSED;
    }
    connection->may_read = false;
    return STEP_WAIT;
}

static enum step step_of(struct amm_http_server *server, struct connection *connection)
{
    switch (connection->state) {
    case CONNECTION_GREETING:
        return step_greeting(server, connection);
    case CONNECTION_HEAD:
        return input_head(server, connection);
    case CONNECTION_BODY:
        return input_body(server, connection);
    case CONNECTION_WAITING:
        return connection->streamed ? input_pieces(server, connection) : STEP_WAIT;
    case CONNECTION_ANSWERING: {
        enum step step = step_answer(server, connection);
        return step == STEP_WAIT && connection->body_open ? input_pieces(server, connection) : step;
    }
    case CONNECTION_STREAMING: {
        if (connection->is_pipe) {
            return step_pipe(server, connection);
        }
        enum step step = step_answer(server, connection);
        return step != STEP_WAIT       ? step
               : connection->body_open ? input_pieces(server, connection)
                                       : input_while_streaming(server, connection);
    }
    case CONNECTION_LINGERING:
        return step_linger(server, connection);
    }
    return STEP_WAIT;
}

void connection_advance(struct amm_http_server *server, struct connection *connection)
{
    enum step step;
    do {
        step = step_of(server, connection);
    } while (step == STEP_AGAIN);
    if (step == STEP_WAIT) {
        count(&server->counters.bytes_in, connection->stream.in - connection->bytes_in);
        count(&server->counters.bytes_out, connection->stream.out - connection->bytes_out);
        connection->bytes_in = connection->stream.in;
        connection->bytes_out = connection->stream.out;
    }
}

void connection_ready(struct amm_http_server *server, struct connection *connection,
                      const struct amm_ready *ready)
{
    connection->may_read |= ready->readable || ready->closed;
    if (ready->closed && connection->streamed && pieces_hung_up(server, connection)) {
        return;
    }
    if (connection->state == CONNECTION_WAITING && !connection->streamed) {
        if (ready->closed) {
            connection_close(server, connection);
        } else {
            set_interest(server, connection, 0); /* the next request waits in the kernel */
        }
        return;
    }
    connection->turn = 0;
    connection_advance(server, connection);
}

void connection_expired(struct amm_http_server *server, struct connection *connection)
{
    connection->deadline = AMM_NEVER; /* the wheel has let it go */
    bool is_slow_request = connection->state == CONNECTION_BODY ||
                           (connection->state == CONNECTION_WAITING && connection->body_open) ||
                           (connection->state == CONNECTION_HEAD && connection->in_len > 0);
    if (!connection->is_idle && connection->state != CONNECTION_LINGERING) {
        count(&server->counters.timeouts, 1);
    }
    if (is_slow_request) {
        refuse_request(server, connection, 408, "too-slow",
                       "the request did not come in the time that it may take");
        connection_advance(server, connection);
    } else {
        connection_close(server, connection);
    }
}
