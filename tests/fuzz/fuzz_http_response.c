/* Response heads: a cut changes nothing, and whatever a gateway's server says can be written again
 * without becoming something else. The first byte chooses the method of the request. */
#include "http/message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good) {
        abort();
    }
}

static void check_prefix(struct amm_view method, struct amm_view bytes, enum amm_http_result result,
                         size_t used, const char *reason)
{
    static struct amm_http_response response;
    size_t len = bytes.len > 0 ? (bytes.data[0] * 257u + bytes.data[bytes.len - 1]) % bytes.len : 0;
    uint8_t *exact = malloc(len > 0 ? len : 1);
    must(exact != NULL);
    if (len > 0) {
        memcpy(exact, bytes.data, len);
    }
    struct amm_http_error error = {0};
    size_t again = 0;
    enum amm_http_result part =
        amm_http_response_parse(&response, method, amm_view(exact, len), &again, &error);
    must(part == AMM_HTTP_MORE || part == result);
    must(part != AMM_HTTP_BAD || error.reason == reason);
    must(part != AMM_HTTP_OK || again == used);
    must(result != AMM_HTTP_MORE || part == AMM_HTTP_MORE);
    free(exact);
}

/* In its final form at once: the second reading is that of the first. */
static void check_written(struct amm_view method, const struct amm_http_response *response)
{
    static uint8_t out[AMM_HTTP_HEAD_MAX + 1024];
    static struct amm_http_response back;
    struct amm_http_error error;
    size_t used;
    struct amm_writer w = amm_writer(out, sizeof out);
    amm_http_write_status(&w, response->status);
    for (size_t i = 0; i < response->fields.n; i++) {
        amm_http_write_field_view(&w, response->fields.at[i].name, response->fields.at[i].value);
    }
    amm_http_write_end(&w);
    must(!w.failed);
    size_t len = amm_writer_len(&w);
    if (len > AMM_HTTP_HEAD_MAX) {
        return;
    }
    must(amm_http_response_parse(&back, method, amm_view(out, len), &used, &error) == AMM_HTTP_OK);
    must(used == len && back.framing == response->framing && back.length == response->length);
    must(back.status == response->status && back.upgrade == response->upgrade);
    must(back.fields.n == response->fields.n &&
         (back.keep_alive || !response->keep_alive || response->minor == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = {"GET", "HEAD", "CONNECT", "POST"};
    static struct amm_http_response response;
    struct amm_http_error error = {0};
    size_t used = 0;
    if (size == 0) {
        return 0;
    }
    struct amm_view method = amm_view_str(methods[data[0] % 4]);
    struct amm_view bytes = amm_view(data + 1, size - 1);
    enum amm_http_result result = amm_http_response_parse(&response, method, bytes, &used, &error);
    check_prefix(method, bytes, result, used, error.reason);
    must(result != AMM_HTTP_BAD || error.status == 502);
    if (result == AMM_HTTP_OK) {
        must(used <= bytes.len && response.status >= 100 && response.status <= 999);
        must(!response.keep_alive || response.framing != AMM_HTTP_TO_END);
        check_written(method, &response);
    }
    return 0;
}
