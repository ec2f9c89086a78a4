/* Messages between ammd and amm-cad (SOCK_SEQPACKET, one message a packet, at most AMM_CAD_MAX
 * bytes).
 *
 * Each message: version(1) type(1) length(2) id(8) body. `id` is chosen by the asker and comes back
 * in the answer, so that many requests may be under way; each has one answer, but for LISTS and
 * REVOCATIONS, whose parts end with DONE. Answers come in the order of the requests. Decoders are
 * exact. amm-cad treats ammd as taken over: whatever it may not have, it does not get. */
#pragma once

#include "base/bytes.h"
#include "crypto/identity.h"
#include "crypto/pki.h"
#include "crypto/signed_time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AMM_CAD_VERSION = 1,
    AMM_CAD_MAX = 8192,
    AMM_CAD_TEXT = 6144, /* a certificate, a key text or a part of a list, with its NUL */
    AMM_CAD_WORDS = 192,
    AMM_CAD_APPROVAL = 16,
    AMM_CAD_SERIAL = 20,
    AMM_CAD_REVOKED_MAX = 128, /* revocations in one message */
};

enum amm_cad_type {
    /* requests */
    AMM_CAD_STATUS = 1,      /* -> STATE */
    AMM_CAD_TIME = 2,        /* nonce -> SIGNED_TIME */
    AMM_CAD_ISSUE = 3,       /* issue -> ISSUED */
    AMM_CAD_REVOKE = 4,      /* revoke -> DONE, when it is saved */
    AMM_CAD_LISTS = 5,       /* -> PART*, DONE: revocation lists of all its CAs as PEM text */
    AMM_CAD_REVOCATIONS = 6, /* -> REVOKED*, DONE: everything that was ever revoked */
    AMM_CAD_AUTHORITIES = 7, /* which -> TEXT: certificates (public) */
    AMM_CAD_WRAP = 8,        /* which -> TEXT: a key for the control channel of one gateway */
    /* answers */
    AMM_CAD_STATE = 32,
    AMM_CAD_SIGNED_TIME = 33,
    AMM_CAD_ISSUED = 34,
    AMM_CAD_PART = 35, /* text */
    AMM_CAD_REVOKED = 36,
    AMM_CAD_TEXT_IS = 37, /* text */
    AMM_CAD_DONE = 38,
    AMM_CAD_FAILED = 39,
};

/* Which CA signs. */
enum amm_cad_kind {
    AMM_CAD_GATEWAY = 1, /* gateway-ca: at most 90 days */
    AMM_CAD_PROFILE = 2, /* profile-ca: connection files, at most 3650 days */
};

/* `which` of AUTHORITIES. */
enum amm_cad_authorities {
    AMM_CAD_GATEWAY_CAS =
        1, /* the current gateway CA first, then older ones that are still trusted */
    AMM_CAD_PROFILE_CAS = 2,
    AMM_CAD_TIME_CERTIFICATE = 3,
    AMM_CAD_SERVER_CA = 4,
    AMM_CAD_TUNNEL_CERTIFICATE = 5, /* of the tunnel server, for its name */
};

/* `which` of WRAP. */
enum amm_cad_wrap {
    AMM_CAD_TLS_AUTH = 1,     /* the shared key */
    AMM_CAD_TLS_CRYPT = 2,    /* the shared key */
    AMM_CAD_TLS_CRYPT_V2 = 3, /* a client key of its own, new each time */
};

struct amm_cad_issue {
    uint8_t
        approval[AMM_CAD_APPROVAL]; /* names the row that allows it. Asked again with the same key
                                       and name: the same certificate; with others: refused */
    uint8_t kind;                   /* enum amm_cad_kind */
    uint16_t days;                  /* 0: as long as its kind may be */
    char name[AMM_NAME_MAX + 1];    /* letters, digits, '-', '_', '.', and one '@' inside */
    uint8_t key[AMM_P256_KEY];
    uint8_t renews[AMM_CAD_SERIAL]; /* serial number of the certificate that it follows: refused if
                                       that one is revoked, or has another name; zero: none */
};

struct amm_cad_issued {
    uint8_t serial[AMM_CAD_SERIAL];
    uint8_t issuer[32]; /* SHA-256 of the CA's public key */
    int64_t not_before, not_after;
    char certificate[AMM_CAD_TEXT]; /* PEM */
};

struct amm_cad_revocation {
    uint8_t serial[AMM_CAD_SERIAL];
    uint8_t kind; /* enum amm_cad_kind */
    int64_t at;   /* REVOKE: 0, now */
};

struct amm_cad_state {
    uint64_t
        list_number; /* grows with each revocation; whoever has another number asks for LISTS */
    uint64_t issued, revoked;
    int64_t list_until;      /* the lists must be asked for again before */
    int64_t authority_until; /* the first of its CAs ends */
};

struct amm_cad_signed_time {
    int64_t wall;
    uint8_t signature[AMM_SIGNATURE];
};

struct amm_cad_revoked {
    uint16_t n;
    struct amm_cad_revocation list[AMM_CAD_REVOKED_MAX];
};

/* Why not. */
enum amm_cad_failure {
    AMM_CAD_REFUSED = 1,        /* policy: the same request will never succeed */
    AMM_CAD_CONFLICT = 2,       /* the approval was used for another key or name */
    AMM_CAD_REVOKED_BEFORE = 3, /* `renews` is revoked */
    AMM_CAD_BUSY = 4,           /* the rate limit; ask again after `retry` seconds */
    AMM_CAD_BROKEN = 5,         /* it could not be saved or signed; its log says why */
};

struct amm_cad_failed {
    uint8_t reason; /* enum amm_cad_failure */
    uint32_t retry;
    char words[AMM_CAD_WORDS];
};

struct amm_cad_message {
    uint8_t type; /* enum amm_cad_type */
    uint64_t id;
    union {
        uint8_t which; /* AUTHORITIES, WRAP */
        uint8_t nonce[AMM_CLAIM_NONCE];
        struct amm_cad_issue issue;
        struct amm_cad_issued issued;
        struct amm_cad_revocation revoke;
        struct amm_cad_state state;
        struct amm_cad_signed_time signed_time;
        struct amm_cad_revoked revoked;
        struct amm_cad_failed failed;
        char text[AMM_CAD_TEXT]; /* PART, TEXT_IS */
    };
};

/* The length written to out[room], or 0 if it does not fit. */
size_t amm_cad_encode(const struct amm_cad_message *message, uint8_t *out, size_t room);

/* False if the message is malformed; `out` is undefined then. Strings come out NUL-terminated;
 * words and names printable, texts printable but for line ends. */
bool amm_cad_decode(struct amm_cad_message *out, struct amm_view packet);

const char *amm_cad_failure_name(enum amm_cad_failure failure); /* "busy" */
