/* Answers out. An answer is one block: room for what only the server's thread knows (status, date,
 * framing), the caller's field lines, the body. So it leaves in one piece, and the body is copied
 * once. */
#include "server_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_PIECE = 16384, ERROR_BODY = 512 };

static void enqueue(struct connection *connection, struct order *order)
{
    order->next = NULL;
    *connection->out_end = order;
    connection->out_end = &order->next;
}

static void pop(struct amm_http_server *server, struct connection *connection)
{
    struct order *order = connection->out;
    connection->out = order->next;
    if (!connection->out) {
        connection->out_end = &connection->out;
    }
    struct amm_http_ref ref = order->ref;
    size_t len = order->kind == ORDER_SEND ? order->body_len : 0;
    size_t left = len > 0 ? slot_sent(server, ref.connection, ref.generation, len) : 0;
    order_free(order);
    if (connection->paced && left <= AMM_HTTP_DRAINED && left + len > AMM_HTTP_DRAINED &&
        server->settings.drained) {
        server->settings.drained(server->settings.context, ref);
    }
}

void output_release(struct amm_http_server *server, struct connection *connection)
{
    connection->paced = false; /* nobody is to send more */
    while (connection->out) {
        pop(server, connection);
    }
    if (connection->file >= 0) {
        close(connection->file);
        connection->file = -1;
    }
}

/* ---- making ---- */

static const char *date_of(struct amm_http_server *server)
{
    if (server->date_at != server->now.wall || server->date[0] == '\0') {
        server->date_at = server->now.wall;
        amm_http_date(server->now.wall, server->date);
    }
    return server->date;
}

static bool has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

static bool says_length(const struct connection *connection, const struct order *order)
{
    if (order->has_length) {
        return order->status >= 200 && order->status != 204;
    }
    return !order->stream && has_body(order->status) && !(order->bare && connection->is_head);
}

/* Status line and the fields that are ours, right in front of the caller's. */
static bool write_head(struct amm_http_server *server, const struct connection *connection,
                       struct order *order, uint64_t length)
{
    uint8_t head[HEAD_ROOM];
    struct amm_writer w = amm_writer(head, sizeof head);
    amm_http_write_status(&w, order->status);
    if (!order->bare) {
        amm_http_write_field(&w, "Date", amm_view_str(date_of(server)));
        if (server->settings.name) {
            amm_http_write_field(&w, "Server", amm_view_str(server->settings.name));
        }
    }
    if (connection->chunked) {
        amm_http_write_field(&w, "Transfer-Encoding", amm_view_str("chunked"));
    } else if (says_length(connection, order)) {
        amm_http_write_number(&w, "Content-Length", order->has_length ? order->length : length);
    }
    if (connection->is_pipe) {
        amm_http_write_field(&w, "Connection", amm_view_str("Upgrade"));
    } else if (connection->close_after) {
        amm_http_write_field(&w, "Connection", amm_view_str("close"));
    } else if (connection->is_http10) {
        amm_http_write_field(&w, "Connection", amm_view_str("keep-alive"));
    }
    size_t len = amm_writer_len(&w);
    if (len == 0 || len > order->room) {
        return false;
    }
    order->at = order->room - len;
    memcpy(order->bytes + order->at, head, len);
    return true;
}

static void begin_answer(struct amm_http_server *server, struct connection *connection,
                         struct order *order)
{
    bool pipes = order->upgrade && order->status == 101 && connection->streamed;
    bool is_empty = connection->is_head || !has_body(order->status);
    bool streams = pipes || (order->stream && !is_empty);
    uint64_t length = order->has_file ? order->file_len : order->body_len;
    connection->has_length = streams && order->has_length;
    connection->length_left = order->length;
    connection->paced = streams && (order->paced || pipes);
    connection->chunked = streams && !pipes && !connection->has_length && !connection->is_http10;
    connection->close_after = order->close || !connection->keep_alive || connection->body_open ||
                              (streams && !connection->has_length && connection->is_http10) ||
                              atomic_load(&server->stopping);
    connection->stream_ended = false;
    connection->state = streams ? CONNECTION_STREAMING : CONNECTION_ANSWERING;
    if (pipes) {
        pieces_begin_pipe(connection);
    }
    if (!write_head(server, connection, order, length)) {
        order_free(order);
        connection->close_after = true;
        return;
    }
    order->end = order->room + order->head_len + (is_empty ? 0 : order->body_len);
    if (order->has_file && !is_empty) {
        connection->file = order->file;
        connection->file_at = order->file_at;
        connection->file_left = order->file_len;
        order->has_file = false;
    }
    enqueue(connection, order);
    settle_write(server, connection);
    earn_write(server, connection, 0);
}

void output_answer(struct amm_http_server *server, struct connection *connection,
                   struct order *order)
{
    if (connection->state != CONNECTION_WAITING) { /* answered before: the first answer counts */
        order_free(order);
        return;
    }
    bool wants_stream = order->stream;
    struct amm_http_ref ref = order->ref;
    begin_answer(server, connection, order);
    if (wants_stream && connection->state != CONNECTION_STREAMING && !connection->streamed &&
        server->settings.gone) {
        server->settings.gone(server->settings.context, ref); /* HEAD: there is nothing to stream */
    }
}

void output_inform(struct amm_http_server *server, struct connection *connection,
                   struct order *order)
{
    (void)server;
    if (connection->state != CONNECTION_WAITING || !connection->streamed || connection->is_http10) {
        order_free(order);
        return;
    }
    enqueue(connection, order);
}

/* A stream whose length was said has neither more nor less. */
static bool keeps_length(struct connection *connection, const struct order *order)
{
    if (!connection->has_length || connection->stream_ended) {
        return true;
    }
    if (order->body_len > connection->length_left || (order->last && connection->length_left > 0)) {
        return false;
    }
    connection->length_left -= order->body_len;
    return true;
}

bool output_send(struct amm_http_server *server, struct connection *connection, struct order *order)
{
    bool last = order->last;
    if (connection->state == CONNECTION_STREAMING && !keeps_length(connection, order)) {
        order_free(order);
        return false;
    }
    if (connection->state != CONNECTION_STREAMING || connection->stream_ended ||
        (last && !connection->chunked)) {
        connection->stream_ended |= last;
        slot_sent(server, order->ref.connection, order->ref.generation, order->body_len);
        order_free(order);
        return true;
    }
    uint8_t line[CHUNK_ROOM];
    struct amm_writer w = amm_writer(line, sizeof line);
    if (connection->chunked && !last) {
        amm_http_write_chunk(&w, order->body_len);
        memcpy(order->bytes + order->room + order->body_len, "\r\n", 2);
    } else if (connection->chunked) {
        amm_write_str(&w, AMM_HTTP_LAST_CHUNK);
    }
    size_t len = amm_writer_len(&w);
    order->at = order->room - len;
    memcpy(order->bytes + order->at, line, len);
    order->end = order->room + order->body_len + (connection->chunked && !last ? 2 : 0);
    if (!connection->out) {
        earn_write(server, connection, 0);
    }
    enqueue(connection, order);
    connection->stream_ended = last;
    return true;
}

void output_continue(struct amm_http_server *server, struct connection *connection)
{
    (void)server;
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct order *order = order_new(ORDER_ANSWER, 0, sizeof text - 1);
    if (order) { /* else the client goes on by itself after a while */
        memcpy(order->bytes, text, sizeof text - 1);
        order->end = sizeof text - 1;
        enqueue(connection, order);
    }
}

/* Text of the codec, and of ours: quotes and what would have to be escaped are left out. */
static void write_plain(struct amm_writer *w, const char *text)
{
    for (; *text; text++) {
        bool plain = *text >= ' ' && *text < 0x7f && *text != '"' && *text != '\\';
        amm_write_u8(w, plain ? (uint8_t)*text : '\'');
    }
}

void refuse_request(struct amm_http_server *server, struct connection *connection, int status,
                    const char *name, const char *text)
{
    uint8_t body[ERROR_BODY];
    struct amm_writer w = amm_writer(body, sizeof body);
    amm_write_str(&w, "{\"error\":\"");
    write_plain(&w, name);
    amm_write_str(&w, "\",\"text\":\"");
    write_plain(&w, text);
    amm_write_str(&w, "\"}\n");
    static const char fields[] = "Content-Type: application/json\r\n";
    static const char later[] = "Retry-After: 10\r\n";
    const char *more = status == 503 ? later : "";
    size_t fields_len = sizeof fields - 1 + strlen(more) + 2, body_len = amm_writer_len(&w);
    struct order *order = order_new(ORDER_ANSWER, HEAD_ROOM, fields_len + body_len);
    pieces_abandon(server, connection);
    slot_next_generation(server, connection->index);
    connection_set_idle(server, connection, false);
    connection->keep_alive = false;
    connection->close_after = true;
    connection->state = CONNECTION_ANSWERING;
    if (!order) {
        return;
    }
    struct amm_writer out = amm_writer(order->bytes + HEAD_ROOM, fields_len + body_len);
    amm_write_str(&out, fields);
    amm_write_str(&out, more);
    amm_write_str(&out, "\r\n");
    amm_write_view(&out, amm_view(body, body_len));
    order->status = status;
    order->head_len = fields_len;
    order->body_len = body_len;
    begin_answer(server, connection, order);
}

/* ---- writing ---- */

enum wrote { WROTE, WROTE_BLOCKED, WROTE_GONE };

static enum wrote wait_to_write(struct amm_http_server *server, struct connection *connection,
                                enum stream_result result)
{
    if (result != STREAM_READABLE && result != STREAM_WRITABLE) {
        return WROTE_GONE;
    }
    bool reads = connection->state == CONNECTION_STREAMING || connection->body_open;
    unsigned other = reads ? connection->interest & AMM_READ : 0;
    set_interest(server, connection, (result == STREAM_READABLE ? AMM_READ : AMM_WRITE) | other);
    return WROTE_BLOCKED;
}

static enum wrote write_block(struct amm_http_server *server, struct connection *connection)
{
    struct order *order = connection->out;
    size_t n;
    connection->stream.more = order->next || connection->file_left > 0;
    enum stream_result result = http_stream_write(&connection->stream, order->bytes + order->at,
                                                  order->end - order->at, &n);
    if (result != STREAM_OK) {
        return wait_to_write(server, connection, result);
    }
    order->at += n;
    connection->turn += n;
    earn_write(server, connection, n);
    if (order->at == order->end) {
        pop(server, connection);
    }
    return WROTE;
}

/* Through TLS: what does not go out at once is read again; OpenSSL keeps what it has sealed. */
static enum stream_result write_file_piece(struct connection *connection, size_t *n)
{
    uint8_t piece[FILE_PIECE];
    size_t len =
        connection->file_left < sizeof piece ? (size_t)connection->file_left : sizeof piece;
    ssize_t got = pread(connection->file, piece, len, (off_t)connection->file_at);
    if (got <= 0) {
        return STREAM_END;
    }
    connection->stream.more = (uint64_t)got < connection->file_left;
    enum stream_result result = http_stream_write(&connection->stream, piece, (size_t)got, n);
    connection->file_at += *n;
    return result;
}

static enum wrote write_file(struct amm_http_server *server, struct connection *connection)
{
    uint64_t before = connection->file_at;
    size_t n = 0;
    enum stream_result result;
    connection->stream.more = false;
    if (connection->stream.tls) {
        result = write_file_piece(connection, &n);
    } else {
        size_t len = connection->file_left < TURN ? (size_t)connection->file_left : TURN;
        result =
            http_stream_send_file(&connection->stream, connection->file, &connection->file_at, len);
    }
    if (result != STREAM_OK) { /* END: the file is shorter than was said */
        return wait_to_write(server, connection, result);
    }
    n = (size_t)(connection->file_at - before);
    connection->file_left -= n;
    connection->turn += n;
    earn_write(server, connection, n);
    if (connection->file_left == 0) {
        close(connection->file);
        connection->file = -1;
    }
    return WROTE;
}

enum step output_flush(struct amm_http_server *server, struct connection *connection)
{
    while (connection->out || connection->file_left > 0) {
        switch (connection->out ? write_block(server, connection)
                                : write_file(server, connection)) {
        case WROTE:
            break;
        case WROTE_BLOCKED:
            return STEP_WAIT;
        case WROTE_GONE:
            connection_close(server, connection);
            return STEP_CLOSED;
        }
        if (connection->turn >= TURN && yield_turn(server, connection)) {
            return STEP_WAIT;
        }
    }
    if (connection->file >= 0) { /* of no bytes */
        close(connection->file);
        connection->file = -1;
    }
    connection->stream.more = false;
    return STEP_AGAIN;
}
