/* Whom software is taken from, and whether it is for this gateway: the one judge of packages, used
 * by `ammctl software`, the manager and the gateway (doc/software-format.md).
 *
 * Trust is a list of public release keys. It only ever grows by a statement that a key in it has
 * signed (a successor), or by whoever sets the gateway up. No I/O, no clock; any thread, one object
 * per thread at a time. */
#pragma once

#include "base/bytes.h"
#include "crypto/signature.h"
#include "domain/software.h"

#include <stdbool.h>
#include <stdint.h>

enum { AMM_RELEASE_KEYS = 8, AMM_KEYRING_TEXT = 2048 };

struct amm_release_key {
    uint8_t key[AMM_SIGNATURE_KEY];
    int64_t from; /* good from then on, seconds since 1970; 0: ever */
    bool is_development;
};

/* All zero: nobody is trusted. */
struct amm_keyring {
    unsigned n;
    struct amm_release_key keys[AMM_RELEASE_KEYS];
};

/* The first eight bytes of SHA-256 of the key: how a statement names who signed it. */
void amm_release_key_id(uint8_t id[8], const uint8_t key[AMM_SIGNATURE_KEY]);

/* The text of a key file: a line "release BASE64" or "development BASE64" for each key, with the
 * second from which it is good behind it if there is one; '#' begins a comment. Written in full,
 * read in full or not at all: false with a sentence in `error`. */
bool amm_keyring_parse(struct amm_keyring *out, struct amm_view text,
                       char error[AMM_STATEMENT_ERROR]);
size_t amm_keyring_write(const struct amm_keyring *ring, char *out, size_t room);

/* Every refusal has a name of its own, which stays: it is shown, logged and counted. */
enum amm_trust {
    AMM_TRUST_GOOD,
    AMM_TRUST_MALFORMED,    /* "malformed": no statement of this kind */
    AMM_TRUST_UNKNOWN_KEY,  /* "unknown-key" */
    AMM_TRUST_SIGNATURE,    /* "bad-signature" */
    AMM_TRUST_DEVELOPMENT,  /* "development-key": a release that a development key has signed, or
                               the other way round */
    AMM_TRUST_EARLY,        /* "not-yet-valid" */
    AMM_TRUST_EXPIRED,      /* "expired" */
    AMM_TRUST_MODEL,        /* "wrong-model" */
    AMM_TRUST_ARCHITECTURE, /* "wrong-architecture" */
    AMM_TRUST_COUNTER,      /* "older-security-counter" */
    AMM_TRUST_DOWNGRADE,    /* "older-version": going back needs a permit */
    AMM_TRUST_STEP,         /* "step-missing": a version in between comes first */
    AMM_TRUST_PERMIT,       /* "permit-of-another": the permit is not for this */
};
const char *amm_trust_name(enum amm_trust trust);

/* Is it signed by somebody we trust, whole, and of now? `head` is a package's first
 * AMM_SOFTWARE_HEAD bytes. `*out` is filled only if the answer is GOOD; `error` says why not. */
enum amm_trust amm_software_judge(const struct amm_keyring *ring, struct amm_view head, int64_t now,
                                  struct amm_manifest *out, char error[AMM_STATEMENT_ERROR]);

/* What runs on a gateway, of one name of software. */
struct amm_software_place {
    const char *model, *architecture, *serial;
    const char *version; /* installed; "": none */
    uint32_t counter;    /* the highest security counter that was ever committed */
};

/* Is this software for that place? `permit` is NULL, or a statement that the gateway was given: it
 * is judged here, too. */
enum amm_trust amm_software_fits(const struct amm_keyring *ring,
                                 const struct amm_manifest *manifest,
                                 const struct amm_software_place *place,
                                 const struct amm_view *permit, int64_t now,
                                 char error[AMM_STATEMENT_ERROR]);

/* Adds the key that a trusted key has named as its successor; a ring that knows it already stays as
 * it is. A development key makes development keys only. */
enum amm_trust amm_keyring_follow(struct amm_keyring *ring, struct amm_view successor,
                                  char error[AMM_STATEMENT_ERROR]);

/* Signs a statement with the signer's key: writes the signature line behind it, and behind those of
 * others that stand there. False: no room, or memory is short. */
bool amm_statement_sign(const struct amm_signer *signer, char *text, size_t *len, size_t room);
