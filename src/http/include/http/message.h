/* HTTP/1.1 messages (RFC 9112), sans I/O: bytes in, a message out, and the other way round.
 *
 * One codec for all our servers and clients. Requests are strict: what two servers could read
 * differently is refused, so that nothing in front of us or behind us frames a message otherwise.
 * Responses are tolerant where that is safe, because the web servers of gateways are old.
 * Everything is parsed once; router, authoriser and proxy look at the same structure.
 *
 * No allocation, no I/O, any thread; one object per thread at a time. Views point into the caller's
 * bytes, which must stay while the message is used. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AMM_HTTP_HEAD_MAX = 16384, /* request or status line and fields, with the empty line */
    AMM_HTTP_FIELDS_MAX = 64,
    AMM_HTTP_METHOD_MAX = 32,
    AMM_HTTP_TARGET_MAX = 8192,
    AMM_HTTP_HOST_MAX = 262,       /* a name of 255 bytes, ':', a port */
    AMM_HTTP_CHUNK_LINE_MAX = 256, /* size and extensions of a chunk */
    AMM_HTTP_TRAILERS_MAX = 8192,  /* read and forgotten */
    AMM_HTTP_ERROR = 128,
};

/* A field line. The name as it was sent (compare with amm_http_is), the value without the blanks
 * around it. */
struct amm_http_field {
    struct amm_view name, value;
};

struct amm_http_fields {
    size_t n;
    struct amm_http_field at[AMM_HTTP_FIELDS_MAX];
};

enum amm_http_framing {
    AMM_HTTP_NO_BODY,
    AMM_HTTP_LENGTH, /* `length` bytes */
    AMM_HTTP_CHUNKED,
    AMM_HTTP_TO_END, /* responses only: until the connection is closed */
};

enum amm_http_result {
    AMM_HTTP_OK,
    AMM_HTTP_MORE, /* call again with more bytes (the same start) */
    AMM_HTTP_END,  /* bodies: the last byte of the message was taken */
    AMM_HTTP_BAD,  /* see struct amm_http_error; answer if there is a request, then close */
};

/* Set when the result is BAD, else left alone. */
struct amm_http_error {
    int status;                /* 400, 413, 414, 417, 431, 501, 505; of responses always 502 */
    const char *reason;        /* stable name of the rule (http/rules.h), in static storage */
    char text[AMM_HTTP_ERROR]; /* for a person */
};

struct amm_http_request {
    struct amm_view method; /* capital letters and '-' */
    struct amm_view target; /* as sent, origin-form ("/a%20b?c=d") or "*" of OPTIONS */
    struct amm_view path;   /* the target before '?', still encoded */
    struct amm_view query;  /* behind '?', still encoded; empty if there is none */
    struct amm_view host;   /* the one Host field, name or address and port; data NULL if there is
                               none, which only HTTP/1.0 may */
    uint8_t minor;          /* 0: HTTP/1.0, 1: HTTP/1.1 */
    enum amm_http_framing framing; /* NO_BODY, LENGTH or CHUNKED */
    uint64_t length;               /* of LENGTH; may be 0; below 10^18 */
    bool keep_alive;               /* what the client wishes */
    bool expect_continue;          /* send "100 Continue" before the body is read */
    bool upgrade;                  /* Connection names "upgrade", and there is an Upgrade field */
    struct amm_http_fields fields; /* in the order of the wire */
};

/* Parses a request head at the start of `bytes`, whatever comes behind it; one empty line before it
 * is skipped (RFC 9112 2.2). OK: `*used` is the length of the head. MORE: the head is not complete;
 * at most AMM_HTTP_HEAD_MAX bytes are ever asked for. BAD: as soon as the first byte that breaks a
 * rule is there, at the latest with the whole head.
 *
 * Each call begins at the first byte again. So that a head in many small pieces costs no more than
 * 67 parses, call again only when the new bytes have an LF or the limit is reached. */
enum amm_http_result amm_http_request_parse(struct amm_http_request *out, struct amm_view bytes,
                                            size_t *used, struct amm_http_error *error);

struct amm_http_response {
    int status;             /* 100 to 999 */
    struct amm_view reason; /* often empty */
    uint8_t minor;
    enum amm_http_framing framing;
    uint64_t length;
    bool keep_alive; /* false: close behind this message, whatever comes */
    bool upgrade;    /* 101: what follows is another protocol */
    struct amm_http_fields fields;
};

/* Parses a response head; `method` is that of the request, since the answer to HEAD has no body and
 * that to CONNECT is not ours. 1xx (but for 101) is a message of its own: call again behind it if
 * `keep_alive`.
 * Tolerated, because nothing depends on it: lines that end with LF alone, blanks before the colon,
 * no phrase, the same Content-Length more than once, a length where there is no body. */
enum amm_http_result amm_http_response_parse(struct amm_http_response *out, struct amm_view method,
                                             struct amm_view bytes, size_t *used,
                                             struct amm_http_error *error);

/* Case-insensitive comparison of a name or token with a lower-case literal. */
bool amm_http_is(struct amm_view text, const char *lower);

/* The value of the first field of that (lower-case) name; data NULL if there is none. */
struct amm_view amm_http_field(const struct amm_http_fields *fields, const char *lower);

/* How many fields of that name there are. */
size_t amm_http_field_count(const struct amm_http_fields *fields, const char *lower);

/* True if one of the comma-separated elements of the fields of that name is `token` (both
 * lower-case; parameters behind ';' are not looked at). */
bool amm_http_field_has(const struct amm_http_fields *fields, const char *lower, const char *token);

/* ---- bodies ---- */

struct amm_http_body {
    enum amm_http_framing framing;
    uint8_t state;
    bool tolerant;
    uint32_t line; /* bytes of the line or the trailers so far */
    uint64_t left; /* of the message or of the chunk */
};

/* `tolerant`: the body of a response: chunk sizes may have blanks behind them; errors are 502. */
void amm_http_body_begin(struct amm_http_body *body, enum amm_http_framing framing, uint64_t length,
                         bool tolerant);

/* Takes the next piece of content from `*in` (any cut of the stream) and moves it on. OK:
 * `*content` is a part of `*in`, not empty. MORE: all of `*in` is used up. END: what is left in
 * `*in` belongs to the next message. A TO_END body never ends here: the caller sees the end of the
 * connection. After END and BAD each further call gives the same. */
enum amm_http_result amm_http_body_next(struct amm_http_body *body, struct amm_view *in,
                                        struct amm_view *content, struct amm_http_error *error);

/* True if the message may end where the connection ended. */
bool amm_http_body_may_end(const struct amm_http_body *body);

/* ---- writing ---- */

/* Refuses (failed writer) a name that is no token, or a value with control bytes: what a gateway
 * said cannot split a head of ours. */
void amm_http_write_request_line(struct amm_writer *w, struct amm_view method,
                                 struct amm_view target);
void amm_http_write_status(struct amm_writer *w, int status);
void amm_http_write_field(struct amm_writer *w, const char *name, struct amm_view value);
void amm_http_write_field_view(struct amm_writer *w, struct amm_view name, struct amm_view value);
void amm_http_write_number(struct amm_writer *w, const char *name, uint64_t value);
void amm_http_write_end(struct amm_writer *w); /* the empty line */

/* The usual phrase: "Not Found". */
const char *amm_http_status_text(int status);

/* The line before a chunk of `len` bytes; behind its content goes CR LF, and the end is
 * AMM_HTTP_LAST_CHUNK. */
void amm_http_write_chunk(struct amm_writer *w, size_t len);
#define AMM_HTTP_LAST_CHUNK "0\r\n\r\n"

/* ---- targets ---- */

/* Decodes %XX of one path segment or query part into out[room] with a NUL; '+' is a blank only in
 * queries. False if it is malformed, too long, or decodes to NUL, another control byte, or bytes
 * that are not UTF-8; `out` is then empty. */
bool amm_http_decode(struct amm_view text, bool in_query, char *out, size_t room);

/* The value of the first `name` in a query or a form body, decoded. False if it is not there or
 * malformed. */
bool amm_http_query(struct amm_view query, const char *name, char *out, size_t room);

/* True if a path is canonical: starts with '/', no empty, "." or ".." segment, nothing encoded that
 * need not be (letters, digits, '-', '.', '_', '~'), capital hex digits, no encoded '/', and what
 * it decodes to is UTF-8 without control bytes. Routers take nothing else, so that one thing has
 * one name. */
bool amm_http_path_is_canonical(struct amm_view path);

/* A single byte range ("bytes=A-B", "bytes=A-", "bytes=-N") of a thing of `size` bytes (RFC 9110
 * 14.1.2). OK: `*first` to `*last`, both included, in the thing. NONE: several ranges, another unit
 * or malformed: to be answered as if nothing had been asked. UNSATISFIABLE: 416. */
enum amm_http_range { AMM_HTTP_RANGE_NONE, AMM_HTTP_RANGE_OK, AMM_HTTP_RANGE_UNSATISFIABLE };
enum amm_http_range amm_http_range(struct amm_view value, uint64_t size, uint64_t *first,
                                   uint64_t *last);

/* "Sun, 06 Nov 1994 08:49:37 GMT" (AMM_HTTP_DATE bytes with NUL), and back; false if it is
 * none (the two older forms of RFC 9110 are not read). Seconds since 1970; years 0 to 9999, a time
 * outside is written as the nearest one inside. */
enum { AMM_HTTP_DATE = 30 };
void amm_http_date(int64_t wall, char out[AMM_HTTP_DATE]);
bool amm_http_date_parse(struct amm_view text, int64_t *wall);
