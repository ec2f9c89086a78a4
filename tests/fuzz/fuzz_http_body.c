/* Bodies: however they are cut, the content and the end are the same; content that is written in
 * chunks comes back. The first byte chooses the frame, the second one the cuts. */
#include "http/message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CONTENT_MAX = 1 << 20 };

struct outcome {
    enum amm_http_result result;
    const char *reason;
    size_t used, len;
    uint8_t *content;
};

static void must(bool good)
{
    if (!good) {
        abort();
    }
}

/* Feeds `bytes` in pieces of `step`, each in memory of its own. */
static struct outcome decode(struct amm_http_body body, struct amm_view bytes, size_t step)
{
    struct outcome out = {.result = AMM_HTTP_MORE, .content = malloc(bytes.len + 1)};
    must(out.content != NULL);
    struct amm_http_error error = {0};
    while (out.used < bytes.len && out.result == AMM_HTTP_MORE) {
        size_t len = bytes.len - out.used < step ? bytes.len - out.used : step;
        uint8_t *exact = malloc(len);
        must(exact != NULL);
        memcpy(exact, bytes.data + out.used, len);
        struct amm_view in = amm_view(exact, len), content;
        while ((out.result = amm_http_body_next(&body, &in, &content, &error)) == AMM_HTTP_OK) {
            must(content.len > 0 && content.data >= exact &&
                 content.data + content.len <= exact + len);
            memcpy(out.content + out.len, content.data, content.len);
            out.len += content.len;
        }
        must(out.result != AMM_HTTP_MORE || in.len == 0);
        out.used += len - in.len;
        free(exact);
    }
    out.reason = out.result == AMM_HTTP_BAD ? error.reason : NULL;
    if (out.result == AMM_HTTP_END) {
        must(amm_http_body_may_end(&body));
    }
    return out;
}

static void check_again(struct outcome whole)
{
    struct amm_http_body body;
    static uint8_t room[CONTENT_MAX];
    struct amm_writer w = amm_writer(room, sizeof room);
    if (whole.len > 0) {
        amm_http_write_chunk(&w, whole.len);
        amm_write_bytes(&w, whole.content, whole.len);
        amm_write_str(&w, "\r\n");
    }
    amm_write_str(&w, AMM_HTTP_LAST_CHUNK);
    must(!w.failed);
    amm_http_body_begin(&body, AMM_HTTP_CHUNKED, 0, false);
    struct outcome back = decode(body, amm_view(room, amm_writer_len(&w)), CONTENT_MAX);
    must(back.result == AMM_HTTP_END && back.used == amm_writer_len(&w));
    must(back.len == whole.len && memcmp(back.content, whole.content, whole.len) == 0);
    free(back.content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct amm_http_body body;
    if (size < 2 || size > CONTENT_MAX / 2) {
        return 0;
    }
    bool by_length = (data[0] & 6) == 6;
    amm_http_body_begin(&body, by_length ? AMM_HTTP_LENGTH : AMM_HTTP_CHUNKED,
                        by_length ? data[0] : 0, data[0] & 1);
    struct amm_view bytes = amm_view(data + 2, size - 2);
    struct outcome whole = decode(body, bytes, CONTENT_MAX);
    struct outcome cut = decode(body, bytes, 1 + data[1] % 16);
    must(whole.result == cut.result && whole.used == cut.used && whole.reason == cut.reason);
    must(whole.len == cut.len && memcmp(whole.content, cut.content, cut.len) == 0);
    check_again(whole);
    free(whole.content);
    free(cut.content);
    return 0;
}
