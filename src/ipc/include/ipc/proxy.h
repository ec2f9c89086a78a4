/* Messages between ammd and amm-proxyd (SOCK_SEQPACKET, one message a packet, at most AMM_PROXY_MAX
 * bytes). ammd listens; amm-proxyd connects, and comes back when the connection is lost.
 *
 * Each message: version(1) type(1) length(2) body. Integers big-endian, strings with a 16-bit
 * length. Decoders are exact: a byte too few or too many is an error, and ends the connection.
 *
 * After the two HELLOs ammd sends a SESSION for each remote session that lives, then SYNCED: what
 * was not named by then is ended by amm-proxyd. From then on each side says what changes. ammd
 * decides who may; amm-proxyd never makes, widens or lengthens a remote session. */
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "crypto/identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AMM_PROXY_VERSION = 1,
    AMM_PROXY_MAX = 16384,
    AMM_PROXY_SESSIONS = 10000, /* remote sessions at once, at most: more are refused by ammd */
    AMM_PROXY_LABEL = 26,       /* 128 random bits in base32: a-z, 2-7 (lower case, no padding) */
    AMM_PROXY_HASH = 32,        /* SHA-256 */
    AMM_PROXY_HOST = 262,       /* with its NUL */
    AMM_PROXY_PERSON = 128,     /* bytes of UTF-8 with the NUL */
    AMM_PROXY_SECRET = 256,
    AMM_PROXY_TEXT = 192,
    AMM_PROXY_PATH = 256,
    AMM_PROXY_METHOD = 16,
    AMM_PROXY_REQUESTS = 32,    /* in one REQUESTS */
    AMM_PROXY_STEPS = 8,        /* in one RESULT */
    AMM_PROXY_TICKET_LIFE = 30, /* seconds that a ticket can be used */
};

enum amm_proxy_type {
    /* ammd to amm-proxyd */
    AMM_PROXY_WELCOME = 1, /* the first message, answer to HELLO */
    AMM_PROXY_SESSION = 2, /* a new one, or what has changed of a known one (same label): then all
                              but the target (gateway, epoch, address, port, scheme, relay), which
                              if it differs ends the old one with AMM_PROXY_END_EPOCH */
    AMM_PROXY_TICKET = 3,  /* a ticket for a known session; replaces one that was not used */
    AMM_PROXY_CLOSE = 4,   /* cut all its connections now -> ENDED, also if it is not known */
    AMM_PROXY_SYNCED = 5,  /* the end of the list after WELCOME */
    AMM_PROXY_TEST = 6,    /* -> RESULT, after `milliseconds` at the latest */
    /* amm-proxyd to ammd */
    AMM_PROXY_HELLO = 32, /* the first message */
    AMM_PROXY_ENTERED =
        33,             /* the ticket was used: save the hash of the cookie, forget the ticket */
    AMM_PROXY_KEY = 34, /* the page showed a key: first use (save it), or another one than the
                           pinned (nothing was sent to it; an operator must accept it) */
    AMM_PROXY_REQUESTS_ARE = 35, /* what was asked, for the record; in order, at most 1 s late */
    AMM_PROXY_ACTIVE = 36,       /* the operator did something; at most one a session in 10 s */
    AMM_PROXY_ENDED = 37,        /* all its connections are closed and it is forgotten */
    AMM_PROXY_RESULT = 38,
};

/* What a browser may do there. */
enum amm_proxy_role { AMM_PROXY_VIEWER = 1, AMM_PROXY_USER = 2 };

/* What the remote session is for. */
enum amm_proxy_kind {
    AMM_PROXY_PAGE = 1,    /* a web page, for a browser */
    AMM_PROXY_FORWARD = 2, /* a TCP port of the gateway or of a host behind it, for ammctl: each
                              connection is `GET /.amm/forward` with "Upgrade: amm-forward" */
};

enum amm_proxy_scheme { AMM_PROXY_HTTP = 1, AMM_PROXY_HTTPS = 2 };

enum amm_proxy_credentials {
    AMM_PROXY_NO_CREDENTIALS = 0,
    AMM_PROXY_ASSERTION = 1, /* our own gateway: a signed assertion when the operator enters */
    AMM_PROXY_BASIC = 2,     /* user and secret, added to each request that brings none */
};

/* Why a remote session ended. */
enum amm_proxy_end {
    AMM_PROXY_END_IDLE = 1,
    AMM_PROXY_END_LIFE = 2,     /* the longest time that one may last */
    AMM_PROXY_END_LEFT = 3,     /* the operator ended it in the browser */
    AMM_PROXY_END_CLOSED = 4,   /* an operator ended it in the console or with ammctl */
    AMM_PROXY_END_LOGOUT = 5,   /* the operator signed out, or the login ended */
    AMM_PROXY_END_RIGHTS = 6,   /* the operator may no longer reach the gateway */
    AMM_PROXY_END_REMOVED = 7,  /* the gateway was removed */
    AMM_PROXY_END_EPOCH = 8,    /* the tunnel ended, or is another one now */
    AMM_PROXY_END_GATEWAY = 9,  /* somebody ended it at the gateway */
    AMM_PROXY_END_UNUSED = 10,  /* nobody entered in time */
    AMM_PROXY_END_UNKNOWN = 11, /* the other side knows nothing of it */
    AMM_PROXY_END_LAST = AMM_PROXY_END_UNKNOWN,
};

/* How the proxy can be reached: what a link to it looks like. */
struct amm_proxy_hello {
    uint32_t pid;
    uint8_t secure;              /* 1: https */
    uint16_t port;               /* that browsers use */
    char domain[AMM_PROXY_HOST]; /* the host of a session is `label`.`domain` */
    uint8_t has_assertion_key;   /* 1: it can sign assertions, and `assertion_key` holds */
    uint8_t assertion_key[32];   /* Ed25519 public key, for the gateways */
};

struct amm_proxy_session {
    char label[AMM_PROXY_LABEL + 1];
    uint8_t kind;   /* enum amm_proxy_kind */
    uint8_t role;   /* enum amm_proxy_role */
    uint8_t scheme; /* enum amm_proxy_scheme */
    uint64_t gateway;
    uint64_t epoch;                       /* of the tunnel, when the session was opened; not 0 */
    char serial[AMM_NAME_MAX + 1];        /* of our own gateway, for the assertion; else empty */
    char tunnel[AMM_NAME_MAX + 1];        /* its tunnel name */
    char name[AMM_PROXY_PERSON];          /* of the gateway, for people; UTF-8 */
    char operator_name[AMM_PROXY_PERSON]; /* UTF-8 */
    char reason[AMM_PROXY_TEXT];          /* why the operator came; UTF-8, may be empty */
    struct amm_address operator_address;  /* where the click came from; family NONE: not known */
    struct amm_address address; /* in the tunnel, with the port of the page: the only target */
    char host[AMM_PROXY_HOST];  /* the page's own name or address and port, as a browser beside the
                                   gateway would send it; empty: address and port of above */
    struct amm_address relay;   /* a host behind our own gateway, reached through its page at
                                   `address`; family NONE with a port: that of the gateway itself;
                                   port 0: no relay, `address` is the target */
    uint8_t has_pin, pin[AMM_PROXY_HASH]; /* SHA-256 of the SubjectPublicKeyInfo of the page */
    uint8_t credentials;                  /* enum amm_proxy_credentials */
    char user[AMM_PROXY_PERSON], secret[AMM_PROXY_SECRET]; /* of BASIC; wiped when it ends */
    uint8_t has_ticket, ticket[AMM_PROXY_HASH];            /* SHA-256 of the 32 bytes */
    int64_t ticket_until;                                  /* wall seconds */
    uint8_t has_cookie, cookie[AMM_PROXY_HASH]; /* SHA-256 of the 32 bytes; of a browser that has
                                                   entered */
    uint32_t idle;   /* seconds without a request until it ends, 1 to 86400 */
    int64_t last_at; /* wall seconds; when something was last asked: the idle time counts from it */
    int64_t until;   /* wall seconds; ends then, whatever happens */
    uint8_t view_only; /* 1: nothing but GET, HEAD and OPTIONS goes to the page */
};

struct amm_proxy_ticket {
    char label[AMM_PROXY_LABEL + 1];
    uint8_t hash[AMM_PROXY_HASH];
    int64_t until; /* wall seconds */
};

/* CLOSE and ENDED */
struct amm_proxy_ending {
    char label[AMM_PROXY_LABEL + 1];
    uint8_t reason; /* enum amm_proxy_end */
};

struct amm_proxy_entered {
    char label[AMM_PROXY_LABEL + 1];
    uint8_t cookie[AMM_PROXY_HASH];
    struct amm_address remote; /* of the browser */
    int64_t at;                /* wall seconds */
};

struct amm_proxy_key {
    char label[AMM_PROXY_LABEL + 1];
    uint8_t sha256[AMM_PROXY_HASH];
    uint8_t changed; /* 1: another one than the pinned; 0: first use */
};

/* What a row of REQUESTS_ARE was. */
enum amm_proxy_request_kind {
    AMM_PROXY_REQUEST_PAGE = 1,    /* an ordinary request */
    AMM_PROXY_REQUEST_UPGRADE = 2, /* a WebSocket or another protocol: told when it ends */
    AMM_PROXY_REQUEST_REFUSED = 3, /* answered by the proxy; nothing went to the gateway */
    AMM_PROXY_REQUEST_OWN = 4,     /* /.amm/enter, /.amm/leave */
    AMM_PROXY_REQUEST_FORWARD = 5, /* a connection of a forward: told when it ends */
};

struct amm_proxy_request {
    char label[AMM_PROXY_LABEL + 1];
    uint8_t kind;                  /* enum amm_proxy_request_kind */
    uint16_t status;               /* 0: none came */
    int64_t at;                    /* wall seconds */
    uint32_t milliseconds;         /* until the last byte */
    uint64_t bytes_in, bytes_out;  /* of the body: to the gateway, and from it */
    char method[AMM_PROXY_METHOD]; /* cut */
    char path[AMM_PROXY_PATH];     /* without the query, never a body; cut */
};

struct amm_proxy_requests {
    uint16_t n;
    struct amm_proxy_request list[AMM_PROXY_REQUESTS];
};

struct amm_proxy_active {
    char label[AMM_PROXY_LABEL + 1];
    int64_t at; /* wall seconds */
};

/* Steps of a test; `steps` of struct amm_proxy_test has bit (1 << step). */
enum amm_proxy_step {
    AMM_PROXY_STEP_PING = 0,
    AMM_PROXY_STEP_TCP = 1,
    AMM_PROXY_STEP_TLS = 2, /* the key of the page; only of HTTPS */
    AMM_PROXY_STEP_PAGE = 3,
    AMM_PROXY_STEP_MTU = 4,
    AMM_PROXY_STEP_LAST = AMM_PROXY_STEP_MTU,
    AMM_PROXY_STEPS_ALL = 0x1f,
};

/* Asks whether a gateway's page can be reached, outside of any remote session. The probe before a
 * click: PING and TCP with 1000 ms. */
struct amm_proxy_test {
    uint64_t id; /* chosen by ammd */
    struct amm_address address;
    uint8_t scheme;            /* enum amm_proxy_scheme */
    uint8_t steps;             /* bits */
    uint32_t milliseconds;     /* for all of it, 100 to 10000 */
    char host[AMM_PROXY_HOST]; /* as in struct amm_proxy_session */
    uint8_t has_pin, pin[AMM_PROXY_HASH];
};

enum amm_proxy_verdict {
    AMM_PROXY_STEP_OK = 1,
    AMM_PROXY_STEP_FAILED = 2,
    AMM_PROXY_STEP_SKIPPED = 3, /* an earlier one failed, or it makes no sense here */
};

struct amm_proxy_step_result {
    uint8_t step;    /* enum amm_proxy_step */
    uint8_t verdict; /* enum amm_proxy_verdict */
    uint32_t milliseconds;
    char text[AMM_PROXY_TEXT]; /* a sentence; UTF-8 */
};

struct amm_proxy_result {
    uint64_t id;
    uint8_t has_key, key[AMM_PROXY_HASH]; /* that the page showed */
    uint8_t n;
    struct amm_proxy_step_result list[AMM_PROXY_STEPS];
};

struct amm_proxy_message {
    uint8_t type; /* enum amm_proxy_type */
    union {
        struct amm_proxy_hello hello; /* HELLO */
        struct amm_proxy_session session;
        struct amm_proxy_ticket ticket;
        struct amm_proxy_ending ending; /* CLOSE, ENDED */
        struct amm_proxy_test test;
        struct amm_proxy_entered entered;
        struct amm_proxy_key key;
        struct amm_proxy_requests requests;
        struct amm_proxy_active active;
        struct amm_proxy_result result;
    };
};

/* The length written to out[room], or 0 if it does not fit or a value is out of its range. */
size_t amm_proxy_encode(const struct amm_proxy_message *message, uint8_t *out, size_t room);

/* False if the message is malformed; `out` is undefined then. Strings come out NUL-terminated,
 * without control bytes, and as UTF-8; labels have their form; numbers are in their ranges. A
 * SESSION holds secrets: wipe the message and the packet. */
bool amm_proxy_decode(struct amm_proxy_message *out, struct amm_view packet);

/* 26 characters a-z and 2-7. */
bool amm_proxy_label_ok(struct amm_view text);

/* The label of 16 random bytes. */
void amm_proxy_label(const uint8_t random[16], char out[AMM_PROXY_LABEL + 1]);

const char *amm_proxy_end_name(enum amm_proxy_end end);    /* "idle": stable, for the API */
const char *amm_proxy_end_words(enum amm_proxy_end end);   /* a sentence for people */
const char *amm_proxy_step_name(enum amm_proxy_step step); /* "ping" */
