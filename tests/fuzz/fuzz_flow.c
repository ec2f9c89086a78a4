/* A hostile gateway behind the proxy. The first byte of the input says what the browser asks and
 * how the rest, which is what the gateway sends, is cut into pieces; then the gateway hangs up.
 *
 * Whatever it sends: the browser gets one well-formed answer, strict where the gateway was not, or
 * sees that it was cut; a change of the protocol only where it asked for one; and nothing is left
 * of the request. */
#include "flow_lab.h"

#include "http/message.h"
#include "proxyd/flow.h"
#include "proxyd/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum ask { ASK_GET, ASK_HEAD, ASK_POST, ASK_UPGRADE, ASKS };

static uint8_t out[1 << 20];

static void require(bool truth)
{
    if (!truth) {
        abort();
    }
}

static void ask(int browser, enum ask kind)
{
    static const char *const requests[ASKS][2] = {
        [ASK_GET] = {"GET /a", "Connection: close\r\n"},
        [ASK_HEAD] = {"HEAD /a", "Connection: close\r\n"},
        [ASK_POST] = {"POST /a", "Connection: close\r\nTransfer-Encoding: chunked\r\n"},
        [ASK_UPGRADE] = {"GET /a", "Connection: Upgrade\r\nUpgrade: websocket\r\n"},
    };
    lab_ask(browser, 0, requests[kind][0], requests[kind][1]);
    if (kind == ASK_POST) {
        lab_say(browser, "5\r\nhello\r\n0\r\n\r\n");
    }
}

static size_t listen_to(int fd, size_t len)
{
    ssize_t n;
    while (len < sizeof out && (n = recv(fd, out + len, sizeof out - len, MSG_DONTWAIT)) > 0) {
        len += (size_t)n;
    }
    return len;
}

/* Says everything, and gives what the browser got. `*ended`: the proxy closed by itself. */
static size_t talk(int browser, int gateway, struct amm_view in, size_t piece)
{
    size_t len = 0;
    while (in.len > 0) {
        size_t n = in.len < piece ? in.len : piece;
        ssize_t sent = send(gateway, in.data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) {
            break; /* the proxy has had enough */
        }
        n = sent > 0 ? (size_t)sent : 0;
        in = amm_view(in.data + n, in.len - n);
        lab_turn();
        len = listen_to(browser, len);
    }
    shutdown(gateway, SHUT_WR);
    for (int i = 0; i < 12; i++) {
        lab_turn();
        len = listen_to(browser, len);
    }
    return len;
}

static void check(struct amm_view bytes, enum ask kind)
{
    static struct amm_http_response response;
    struct amm_http_error error;
    struct amm_http_body body;
    struct amm_view content;
    size_t used = 0;
    do {
        if (bytes.len == 0) {
            return; /* cut before a final answer */
        }
        require(amm_http_response_parse(&response, amm_view_str(kind == ASK_HEAD ? "HEAD" : "GET"),
                                        bytes, &used, &error) == AMM_HTTP_OK);
        bytes = amm_view(bytes.data + used, bytes.len - used);
    } while (response.status < 200 && response.status != 101);
    if (response.status == 101) {
        require(kind == ASK_UPGRADE);
        return;
    }
    require(amm_http_field_count(&response.fields, "set-cookie") == 0 ||
            amm_http_field_count(&response.fields, "content-security-policy") > 0);
    amm_http_body_begin(&body, response.framing, response.length, false);
    enum amm_http_result result;
    while ((result = amm_http_body_next(&body, &bytes, &content, &error)) == AMM_HTTP_OK) {
    }
    require(result != AMM_HTTP_BAD && bytes.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    if (!flow_lab.proxyd.server) {
        require(freopen("/dev/null", "w", stderr) != NULL); /* a line for each refusal */
        flow_lab_open(AMM_PROXY_PAGE, AMM_PROXY_HTTP, NULL);
        flow_lab.patience = 0;
    }
    enum ask kind = data[0] % ASKS;
    size_t cut = data[0] / ASKS, piece = cut == 0 ? size : 1 + cut * cut / 8;
    int browser = lab_browser();
    ask(browser, kind);
    int gateway = lab_gateway();
    size_t len = talk(browser, gateway, amm_view(data + 1, size - 1), piece);
    check(amm_view(out, len), kind);
    close(browser);
    close(gateway);
    flows_cut(flow_lab.proxyd.flows, flow_lab.sessions[0]);
    require(flow_lab.sessions[0]->n_flows == 0);
    record_sent(flow_lab.proxyd.record, 1);
    for (int i = 0; i < 3; i++) {
        lab_turn();
    }
    return 0;
}
