/* Assertions of amm-proxyd to our own gateways (doc/gateway-protocol.md, GP-70 to GP-76): who
 * comes, through which tunnel, until when; signed with Ed25519, used once. One kind signs an
 * operator in on ACEmanager, the other opens one connection to a host behind the gateway.
 * amm-proxyd writes, acemanager verifies.
 *
 * Pure: no clock, no memory but what is given; any thread, one object per thread at a time. */
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "crypto/identity.h"
#include "crypto/signature.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AMM_ASSERTION_NONCE = 16,
    AMM_ASSERTION_PERSON = 128, /* bytes of UTF-8, with the NUL */
    AMM_ASSERTION_LABEL = 26,   /* of the remote session: a-z, 2-7 */
    AMM_ASSERTION_LIFE = 30,    /* seconds from `issued` to `expires`, at most */
    AMM_ASSERTION_SKEW = 5,     /* seconds that two clocks may differ by */
    AMM_ASSERTION_MAX = 768,    /* bytes on the wire, with a NUL */
};

enum amm_assertion_kind {
    AMM_ASSERTION_SIGN_IN = 1, /* POST /remote-session */
    AMM_ASSERTION_RELAY = 2,   /* GET /relay */
};

enum amm_assertion_role { AMM_ASSERTION_VIEWER = 1, AMM_ASSERTION_USER = 2 };

struct amm_assertion {
    enum amm_assertion_kind kind;
    enum amm_assertion_role role;
    char serial[AMM_NAME_MAX + 1]; /* the gateway's serial number: printable, no blanks */
    uint64_t epoch;                /* of the tunnel (ipc/tunnel.h); not 0 */
    char operator_name[AMM_ASSERTION_PERSON];
    struct amm_address operator_address; /* where the operator sits; the port does not travel;
                                            family NONE: not known */
    char label[AMM_ASSERTION_LABEL + 1];
    int64_t issued, expires; /* wall seconds */
    uint8_t nonce[AMM_ASSERTION_NONCE];
    struct amm_address target; /* RELAY: host and port; family NONE: that port of the gateway itself
                                */
};

/* Signs it. The length of the text in out[room] (which is NUL-terminated), or 0: a member has no
 * form that a gateway would take, memory is short, or it does not fit. */
size_t amm_assertion_write(const struct amm_assertion *assertion, const struct amm_signer *signer,
                           char *out, size_t room);

/* Why it was refused. */
enum amm_assertion_verdict {
    AMM_ASSERTION_OK,
    AMM_ASSERTION_NO_KEY,        /* the gateway has not learned the server's key yet */
    AMM_ASSERTION_MALFORMED,     /* also: of the other kind */
    AMM_ASSERTION_BAD_SIGNATURE, /* by another key, or changed */
    AMM_ASSERTION_OTHER_SERIAL,  /* for another gateway */
    AMM_ASSERTION_OLD_EPOCH,     /* for another tunnel than the one that is up */
    AMM_ASSERTION_NOT_YET,       /* issued later than now */
    AMM_ASSERTION_EXPIRED,
    AMM_ASSERTION_REPLAYED,
    AMM_ASSERTION_BUSY, /* more at once than can be remembered */
};
const char *amm_assertion_name(enum amm_assertion_verdict verdict);  /* "old-epoch": stable */
const char *amm_assertion_words(enum amm_assertion_verdict verdict); /* a sentence, with the cure */

/* What was used already, until it has expired. Belongs to the caller, starts as zero. */
enum { AMM_ASSERTION_SEEN = 512 };
struct amm_assertion_seen {
    struct {
        uint8_t nonce[AMM_ASSERTION_NONCE];
        int64_t until; /* wall seconds; 0: free */
    } at[AMM_ASSERTION_SEEN];
};

/* What the gateway knows of itself. */
struct amm_assertion_rules {
    enum amm_assertion_kind kind; /* the only one that is taken */
    const uint8_t *key;           /* AMM_SIGNATURE_KEY bytes; NULL: none yet */
    const char *serial;
    uint64_t epoch; /* of the tunnel that is up; 0: none is */
    int64_t now;    /* wall seconds */
};

/* Checks signature, form, serial, epoch, time and nonce, in this order. `out` holds the members of
 * a well-signed one, whatever else is wrong with it, for the log; else it is all zero. An OK one is
 * remembered in `seen` and will not be OK again. */
enum amm_assertion_verdict amm_assertion_verify(struct amm_assertion *out, struct amm_view text,
                                                const struct amm_assertion_rules *rules,
                                                struct amm_assertion_seen *seen);

/* Names a key in check-ins (GP-71): the first 16 hex digits of its SHA-256; "" for NULL. */
enum { AMM_ASSERTION_KEY_NAME = 17 };
void amm_assertion_key_name(const uint8_t *key, char out[AMM_ASSERTION_KEY_NAME]);
