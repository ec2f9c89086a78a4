/* llhttp, the parser of Node.js, from the C sources that Debian's node-llhttp ships, in its strict
 * build. A second opinion for tests; no part of any program. */
#include "reading.h"

#include <llhttp.h>

#include <stdio.h>
#include <stdlib.h>

struct run {
    struct reading *out;
    struct message *message; /* NULL: none has begun */
    enum reading_of what;
};

static int on_begin(llhttp_t *parser)
{
    struct run *run = parser->data;
    run->message = reading_begin(run->out);
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct run *run = parser->data;
    if (run->message->target.len == 0) {
        run->message->target.data = (const uint8_t *)at;
    }
    run->message->target.len += len;
    return 0;
}

static int on_head(llhttp_t *parser)
{
    struct run *run = parser->data;
    if (run->what == READ_REQUESTS) {
        snprintf(run->message->method, METHOD_MAX, "%s",
                 llhttp_method_name((llhttp_method_t)parser->method));
        return 0;
    }
    unsigned status = parser->status_code;
    snprintf(run->message->method, METHOD_MAX, "%u", status);
    /* Which messages have no body is for its caller to say. */
    return run->what == READ_RESPONSES_TO_HEAD || status < 200 || status == 204 || status == 304;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct run *run = parser->data;
    reading_body(run->out, run->message, amm_view(at, len));
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED; /* so that we learn where */
}

static void finish(struct run *run, size_t end)
{
    run->message->end = end;
    run->out->n++;
    run->message = NULL;
}

/* All bytes are in. */
static void end(struct run *run, llhttp_t *parser, size_t len)
{
    llhttp_errno_t result = llhttp_finish(parser);
    if (result == HPE_PAUSED || (result == HPE_OK && run->message && run->what != READ_REQUESTS)) {
        finish(run, len); /* the end of the connection is the end of the body */
    } else if (result != HPE_OK || run->message) {
        run->out->end = END_MORE;
    }
}

void reading_by_llhttp(struct reading *out, struct amm_view bytes, enum reading_of what)
{
    static llhttp_settings_t settings;
    llhttp_t parser;
    llhttp_settings_init(&settings);
    settings.on_message_begin = on_begin;
    settings.on_url = on_url;
    settings.on_headers_complete = on_head;
    settings.on_body = on_body;
    settings.on_message_complete = on_complete;
    llhttp_init(&parser, what == READ_REQUESTS ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    struct run run = {out, NULL, what};
    parser.data = &run;
    out->n = out->bodies_len = 0;
    out->end = END_CLEAN;
    out->reason[0] = 0;
    const char *at = (const char *)bytes.data, *stop = at + bytes.len;
    while (at < stop) {
        llhttp_errno_t result = llhttp_execute(&parser, at, (size_t)(stop - at));
        if (result == HPE_OK) {
            break;
        }
        at = llhttp_get_error_pos(&parser);
        if (result == HPE_PAUSED) {
            bool over = parser.upgrade;
            finish(&run, (size_t)(at - (const char *)bytes.data));
            if (over) {
                out->end = END_CLOSED;
                return;
            }
            llhttp_resume(&parser);
        } else if (result == HPE_PAUSED_UPGRADE || result == HPE_CLOSED_CONNECTION) {
            out->end = END_CLOSED;
            return;
        } else {
            reading_refuse(out, llhttp_errno_name(result));
            return;
        }
    }
    end(&run, &parser, bytes.len);
}
