/* Heads through the proxy: whatever a browser and a gateway say, what comes out is a head again, of
 * the same framing, without our cookie on the one side and without what reaches too far on the
 * other. The first byte chooses names, the next two say how long the request is. */
#include "proxyd/translate.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[AMM_HTTP_HEAD_MAX + TRANSLATE_GROWTH + 64];

static void must(bool good)
{
    if (!good) {
        abort();
    }
}

static struct translate_names make_names(uint8_t kind)
{
    struct translate_names names;
    struct amm_proxy_session session = {.label = "abcdefghijklmnopqrstuvwxyz",
                                        .scheme = kind & 1 ? AMM_PROXY_HTTP : AMM_PROXY_HTTPS,
                                        .view_only = kind >> 1 & 1};
    must(amm_address_parse(&session.address, "10.4.32.7:9443", 0));
    if (kind & 4) {
        strcpy(session.host, "192.168.13.31:9443");
    }
    if (kind & 8) {
        session.credentials = AMM_PROXY_BASIC;
        strcpy(session.user, "u");
        strcpy(session.secret, "p");
    }
    must(translate_names_init(&names, &session, "gw.example.net", 8444, (kind & 16) == 0));
    return names;
}

static void check_request(const struct translate_names *names,
                          const struct amm_http_request *request)
{
    static struct amm_http_request back;
    struct amm_http_error error;
    struct amm_writer w = amm_writer(out, sizeof out);
    bool upgrade;
    size_t used;
    amm_http_write_request_line(&w, amm_view_str("POST"), amm_view_str("/"));
    if (translate_request(names, request, &upgrade, &w) != TRANSLATE_OK) {
        return;
    }
    amm_http_write_end(&w);
    size_t len = amm_writer_len(&w);
    if (len == 0 || len > AMM_HTTP_HEAD_MAX) {
        return;
    }
    enum amm_http_result result = amm_http_request_parse(&back, amm_view(out, len), &used, &error);
    if (result == AMM_HTTP_BAD && back.fields.n == AMM_HTTP_FIELDS_MAX) {
        return; /* one field more than there were */
    }
    if (result == AMM_HTTP_BAD && error.status == 431) {
        return;
    }
    must(result == AMM_HTTP_OK && used == len);
    must(back.framing == AMM_HTTP_NO_BODY);
    must(amm_view_equal(back.host, amm_view_str(names->page_host)));
    must(amm_http_field_count(&back.fields, "x-forwarded-for") == 0);
    must(amm_http_field_count(&back.fields, "connection") == 0);
    must(upgrade || amm_http_field_count(&back.fields, "upgrade") == 0);
    struct amm_view cookie = amm_http_field(&back.fields, "cookie");
    must(cookie.len == 0 || memmem(cookie.data, cookie.len, "; __Host-amm-remote=", 20) == NULL);
}

static void check_response(const struct translate_names *names,
                           const struct amm_http_request *request,
                           const struct amm_http_response *response)
{
    static struct amm_http_response back;
    struct amm_http_error error;
    struct amm_writer w = amm_writer(out, sizeof out);
    size_t used;
    amm_http_write_status(&w, response->status);
    if (translate_response(names, request, response, &w) != TRANSLATE_OK) {
        return;
    }
    amm_http_write_end(&w);
    size_t len = amm_writer_len(&w);
    if (len == 0 || len > AMM_HTTP_HEAD_MAX || response->status < 200) {
        return;
    }
    enum amm_http_result result =
        amm_http_response_parse(&back, request->method, amm_view(out, len), &used, &error);
    if (result == AMM_HTTP_BAD && response->fields.n + 6 > AMM_HTTP_FIELDS_MAX) {
        return;
    }
    must(result == AMM_HTTP_OK && used == len);
    must(amm_http_field_count(&back.fields, "strict-transport-security") == 0);
    must(amm_http_field_count(&back.fields, "access-control-allow-origin") == 0);
    must(amm_http_field_count(&back.fields, "transfer-encoding") == 0);
    must(amm_http_field_count(&back.fields, "content-length") == 0);
    must(amm_http_field_count(&back.fields, "x-frame-options") == 1);
    for (size_t i = 0; i < back.fields.n; i++) {
        struct amm_view value = back.fields.at[i].value;
        if (amm_http_is(back.fields.at[i].name, "set-cookie")) {
            must(value.len > 0 && value.data[0] != '=' && memchr(value.data, '=', value.len));
            must(value.len < 18 || strncasecmp((const char *)value.data, "__host-amm-remote=", 18));
        }
    }
}

/* A document comes out the same, however it is cut. */
static size_t translate_in_parts(const struct translate_names *names, struct amm_view text,
                                 size_t cut, uint8_t *to, size_t room)
{
    static struct translate_body body;
    struct amm_writer w = amm_writer(to, room);
    translate_body_begin(&body, names);
    while (text.len > 0) {
        struct amm_view part = amm_view(text.data, text.len < cut ? text.len : cut);
        text = amm_view(text.data + part.len, text.len - part.len);
        must(translate_body(&body, &part, false, &w) && part.len == 0);
    }
    struct amm_view rest = {0};
    must(translate_body(&body, &rest, true, &w));
    return amm_writer_len(&w);
}

static void check_body(const struct translate_names *names, struct amm_view text)
{
    static uint8_t once[1 << 20], again[1 << 20];
    if (text.len > 16384 || text.len == 0) {
        return;
    }
    size_t len = translate_in_parts(names, text, text.len, once, sizeof once);
    size_t cut = 1 + text.data[0] % 37;
    must(len <= TRANSLATE_BODY_ROOM(text.len));
    must(translate_in_parts(names, text, cut, again, sizeof again) == len);
    must(memcmp(once, again, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct amm_http_request request;
    static struct amm_http_response response;
    struct amm_http_error error;
    size_t used;
    if (size < 3) {
        return 0;
    }
    struct translate_names names = make_names(data[0]);
    check_body(&names, amm_view(data + 3, size - 3));
    size_t len = (size_t)(data[1] << 8 | data[2]) % (size - 2);
    if (amm_http_request_parse(&request, amm_view(data + 3, len), &used, &error) != AMM_HTTP_OK) {
        return 0;
    }
    check_request(&names, &request);
    if (amm_http_response_parse(&response, request.method, amm_view(data + 3 + len, size - 3 - len),
                                &used, &error) == AMM_HTTP_OK) {
        check_response(&names, &request, &response);
    }
    return 0;
}
