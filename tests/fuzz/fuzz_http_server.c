/* A connection of the HTTP server, from its first byte to its end. The first byte of the input says
 * how the rest is cut into pieces; the rest is what the peer sends.
 *
 * Whatever comes in: no piece of a body is larger than what was asked for; what goes out is a row
 * of well-formed answers, one for each request that the handler saw and at most one refusal, and
 * the connection ends. A stream is cut when the peer ends.
 */
#include "http/message.h"
#include "http/server.h"
#include "server_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 20, BODY_LIMIT = 4096 };

static struct amm_http_server *server;
static unsigned calls;
static bool saw_head, saw_stream, saw_pieces;
static struct amm_http_ref reading; /* whose body comes in pieces */
static size_t taken;                /* bytes that it may still send */
static uint8_t out[OUT_MAX];

static void require(bool truth)
{
    if (!truth) {
        abort();
    }
}

static void handle(void *context, const struct amm_http_call *call)
{
    (void)context;
    calls++;
    require(call->body.len <= BODY_LIMIT);
    saw_head |= amm_view_equal(call->request->method, amm_view_str("HEAD"));
    if (call->streamed && call->request->framing != AMM_HTTP_NO_BODY &&
        (call->request->framing != AMM_HTTP_LENGTH || call->request->length > 0)) {
        require(call->body.len == 0);
        saw_pieces = true; /* answered with the last piece */
        reading = call->ref;
        taken = 1;
        amm_http_take(call->server, call->ref, 1);
        return;
    }
    struct amm_http_reply reply = {.status = 200, .content_type = "text/plain", .body = call->body};
    if (call->request->target.len > 1 && call->request->target.data[1] == 's') {
        reply.stream = saw_stream = true;
    }
    require(amm_http_answer(call->server, call->ref, &reply));
    if (reply.stream) {
        amm_http_send(call->server, call->ref, amm_view_str("piece"));
        amm_http_send(call->server, call->ref, amm_view(NULL, 0));
    }
}

/* Paths that begin with "/p". */
static bool streams(void *context, const struct amm_http_call *call)
{
    (void)context;
    return call->request->target.len > 1 && call->request->target.data[1] == 'p';
}

static void piece(void *context, struct amm_http_ref ref, struct amm_view bytes, bool last)
{
    (void)context;
    require(ref.connection == reading.connection && ref.generation == reading.generation);
    require(bytes.len <= taken && (bytes.len > 0 || last));
    taken += 7 - bytes.len;
    amm_http_take(server, ref, 7);
    if (last) {
        require(amm_http_answer(server, ref, &(struct amm_http_reply){.status = 200}));
        reading.generation--; /* no piece comes behind the last */
    }
}

static size_t body_limit(void *context, const struct amm_http_call *call)
{
    (void)context;
    return call->request->minor == 0 ? 0 : BODY_LIMIT;
}

static void make_server(void)
{
    struct amm_http_settings settings;
    amm_http_settings_init(&settings);
    settings.handle = handle;
    settings.body_limit = body_limit;
    settings.streams = streams;
    settings.piece = piece;
    settings.connections = 4;
    server = amm_http_server_new(&settings);
    require(server != NULL);
}

static size_t listen_to(int fd, size_t len)
{
    ssize_t n;
    while (len < sizeof out && (n = recv(fd, out + len, sizeof out - len, MSG_DONTWAIT)) > 0) {
        len += (size_t)n;
    }
    return len;
}

static size_t talk(int fd, struct amm_view in, size_t piece)
{
    size_t len = 0;
    while (in.len > 0) {
        size_t n = in.len < piece ? in.len : piece;
        ssize_t sent = send(fd, in.data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) {
            break; /* the server has hung up */
        }
        n = sent > 0 ? (size_t)sent : 0;
        in = amm_view(in.data + n, in.len - n);
        amm_http_server_step(server);
        len = listen_to(fd, len);
    }
    shutdown(fd, SHUT_WR);
    struct amm_http_counters counters;
    unsigned turns = 0;
    do {
        require(++turns < 10000);
        amm_http_server_step(server);
        len = listen_to(fd, len);
        amm_http_server_counters(server, &counters);
    } while (counters.open > 0);
    return listen_to(fd, len);
}

/* The answers in `bytes`; those that are not final are not counted. */
static unsigned count_answers(struct amm_view bytes)
{
    static struct amm_http_response response;
    unsigned n = 0;
    while (bytes.len > 0) {
        struct amm_http_error error;
        struct amm_http_body body;
        struct amm_view content;
        size_t used = 0;
        require(amm_http_response_parse(&response, amm_view_str("GET"), bytes, &used, &error) ==
                AMM_HTTP_OK);
        bytes = amm_view(bytes.data + used, bytes.len - used);
        n += response.status >= 200;
        amm_http_body_begin(&body, response.framing, response.length, false);
        enum amm_http_result result;
        while ((result = amm_http_body_next(&body, &bytes, &content, &error)) == AMM_HTTP_OK) {
        }
        require(result == AMM_HTTP_END ||
                (result == AMM_HTTP_MORE && (amm_http_body_may_end(&body) || saw_stream)));
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int ends[2];
    if (size < 1) {
        return 0;
    }
    if (!server) {
        make_server();
    }
    calls = 0;
    saw_head = saw_stream = saw_pieces = false;
    const struct listener listener = {.fd = -1, .is_unix = true};
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    require(server_adopt(server, ends[0], &listener, NULL, NULL));
    size_t piece = data[0] == 0 ? size : 1 + data[0] * (size_t)data[0] / 16;
    size_t len = talk(ends[1], amm_view(data + 1, size - 1), piece);
    close(ends[1]);
    if (!saw_head) {
        unsigned answers = count_answers(amm_view(out, len));
        /* a body that comes in pieces may end before its answer */
        require(answers == calls || answers == calls + 1 || (saw_pieces && answers + 1 == calls));
    }
    return 0;
}
