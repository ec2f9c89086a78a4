/* What our codec makes of the bytes of a connection, as text: one line for each message,
 *
 *     POST "/x" length:5 keep "hello"         method, target, frame, what becomes of the
 * connection, body GET "/x" none close upgrade           continue and upgrade where they were asked
 * for 200 chunked keep "hello"              responses: the status
 *
 * then "bad REASON STATUS" where one is refused (a line without a body before it: the head was
 * good), "more" where the bytes end in a head or a body, "rest N" for bytes behind a message that
 * closes. */
#pragma once

#include "http/message.h"

enum { TRANSCRIPT_MAX = 65536 };

struct transcript {
    bool is_response;
    struct amm_view method; /* responses: of the request */
    bool lazy;              /* parses heads only where message.h says that it is needed */

    size_t at;   /* start of the head, or of what the body has not had yet */
    size_t seen; /* bytes that the parser has had */
    bool in_body, over, refused;
    struct amm_http_body body;
    bool keep_alive;
    size_t content_len, text_len;
    uint8_t content[TRANSCRIPT_MAX];
    char text[TRANSCRIPT_MAX];
};

/* Freed with free(). */
struct transcript *transcript_new(bool is_response, struct amm_view method);

/* The connection has brought the first `len` bytes; `data` may lie elsewhere each time. */
void transcript_feed(struct transcript *t, const uint8_t *data, size_t len);

/* It ended after `len` bytes. */
void transcript_end(struct transcript *t, size_t len);

/* Appends bytes as they stand in the tables, in quotes; long ones are cut. */
void transcript_quote(char *out, size_t room, struct amm_view bytes);
