/* Request heads: a cut changes nothing, and what is taken is written and read again as the same. */
#include "http/message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good) {
        abort();
    }
}

static bool same(struct amm_view a, struct amm_view b)
{
    return amm_view_equal(a, b);
}

/* With fewer bytes the answer is the same or MORE. */
static void check_prefix(struct amm_view bytes, enum amm_http_result result, size_t used,
                         const char *reason)
{
    static struct amm_http_request request;
    size_t len = bytes.len > 0 ? (bytes.data[0] * 257u + bytes.data[bytes.len - 1]) % bytes.len : 0;
    uint8_t *exact = malloc(len > 0 ? len : 1);
    must(exact != NULL);
    memcpy(exact, bytes.data, len);
    struct amm_http_error error = {0};
    size_t again = 0;
    enum amm_http_result part =
        amm_http_request_parse(&request, amm_view(exact, len), &again, &error);
    must(part == AMM_HTTP_MORE || part == result);
    must(part != AMM_HTTP_BAD || error.reason == reason);
    must(part != AMM_HTTP_OK || again == used);
    must(result != AMM_HTTP_MORE || part == AMM_HTTP_MORE);
    free(exact);
}

static void check_written(const struct amm_http_request *request)
{
    static uint8_t out[AMM_HTTP_HEAD_MAX + 1024];
    static struct amm_http_request back;
    struct amm_http_error error;
    size_t used;
    struct amm_writer w = amm_writer(out, sizeof out);
    amm_http_write_request_line(&w, request->method, request->target);
    for (size_t i = 0; i < request->fields.n; i++) {
        amm_http_write_field_view(&w, request->fields.at[i].name, request->fields.at[i].value);
    }
    amm_http_write_end(&w);
    must(!w.failed);
    size_t len = amm_writer_len(&w);
    if (request->minor == 0 || len > AMM_HTTP_HEAD_MAX) {
        return; /* is written as HTTP/1.1, where more is asked for */
    }
    must(amm_http_request_parse(&back, amm_view(out, len), &used, &error) == AMM_HTTP_OK);
    must(used == len && back.framing == request->framing && back.length == request->length);
    must(back.keep_alive == request->keep_alive && back.upgrade == request->upgrade);
    must(same(back.path, request->path) && same(back.query, request->query));
    must(same(back.host, request->host) && back.fields.n == request->fields.n);
}

/* A canonical path has a text for each of its segments. */
static void check_target(const struct amm_http_request *request)
{
    static char text[AMM_HTTP_TARGET_MAX + 1];
    amm_http_query(request->query, "a", text, sizeof text);
    amm_http_decode(request->query, true, text, sizeof text);
    bool decoded = amm_http_decode(request->path, false, text, sizeof text);
    if (amm_http_path_is_canonical(request->path)) {
        must(decoded && text[0] == '/' && strstr(text, "//") == NULL);
        must(strstr(text, "/./") == NULL && strstr(text, "/../") == NULL);
    }
}

static void check_values(const struct amm_http_request *request)
{
    uint64_t first, last;
    int64_t wall;
    char date[AMM_HTTP_DATE];
    for (size_t i = 0; i < request->fields.n; i++) {
        struct amm_view value = request->fields.at[i].value;
        if (amm_http_range(value, 1000, &first, &last) == AMM_HTTP_RANGE_OK) {
            must(first <= last && last < 1000);
        }
        if (amm_http_date_parse(value, &wall)) {
            amm_http_date(wall, date);
            must(date[0] == (char)value.data[0]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct amm_http_request request;
    struct amm_http_error error = {0};
    struct amm_view bytes = amm_view(data, size);
    size_t used = 0;
    enum amm_http_result result = amm_http_request_parse(&request, bytes, &used, &error);
    check_prefix(bytes, result, used, error.reason);
    if (result == AMM_HTTP_BAD) {
        must(error.status >= 400 && error.status <= 505 && error.text[0] != 0);
    }
    if (result == AMM_HTTP_OK) {
        must(used <= size && used <= AMM_HTTP_HEAD_MAX && request.target.len > 0);
        must(request.framing != AMM_HTTP_TO_END && request.fields.n <= AMM_HTTP_FIELDS_MAX);
        check_written(&request);
        check_target(&request);
        check_values(&request);
    }
    return 0;
}
