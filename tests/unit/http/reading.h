/* What a parser makes of the bytes of a connection, in a form that two parsers can be compared by.
 */
#pragma once

#include "base/bytes.h"

enum { MESSAGES_MAX = 24, METHOD_MAX = 40, READING_BODY_MAX = 65536 };

enum reading_end {
    END_CLEAN,   /* behind a message */
    END_MORE,    /* in a head or a body */
    END_CLOSED,  /* a message ends the connection, or makes it another protocol's */
    END_REFUSED, /* `reason` */
};

struct message {
    char method[METHOD_MAX]; /* responses: the status */
    struct amm_view target;  /* in the bytes */
    struct amm_view body;    /* in `bodies` */
    size_t end;              /* bytes of the connection up to here */
};

struct reading {
    size_t n;
    struct message at[MESSAGES_MAX];
    enum reading_end end;
    char reason[64];
    size_t bodies_len;
    uint8_t bodies[READING_BODY_MAX];
};

enum reading_of { READ_REQUESTS, READ_RESPONSES, READ_RESPONSES_TO_HEAD };

/* `out` is overwritten. */
void reading_by_codec(struct reading *out, struct amm_view bytes, enum reading_of what);
void reading_by_llhttp(struct reading *out, struct amm_view bytes, enum reading_of what);

/* For both of them. */
struct message *reading_begin(struct reading *reading);
void reading_body(struct reading *reading, struct message *message, struct amm_view content);
void reading_refuse(struct reading *reading, const char *reason);
