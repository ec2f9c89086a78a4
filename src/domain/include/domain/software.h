/* Signed statements about software (doc/software-format.md): the manifest in front of an image, the
 * successor of a release key, and the permit to go back to older software.
 *
 * A statement is text of a fixed form: its first line, `name: value` lines in a fixed order, then
 * one or two `signature: KEY-ID BASE64` lines. It is read by this one strict parser, and only after
 * that is it verified: nothing of it may be used before amm_statement_is_signed. Pure; any thread.
 */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AMM_SOFTWARE_HEAD = 4096, /* bytes before an image: the manifest, then zeros */
    AMM_SOFTWARE_NAME = 32,
    AMM_SOFTWARE_VERSION = 32,
    AMM_SOFTWARE_MODELS = 16,
    AMM_SOFTWARE_SERIAL = 64,
    AMM_SOFTWARE_HASH = 64, /* SHA-512 */
    AMM_STATEMENT_SIGNATURES = 2,
    AMM_STATEMENT_ERROR = 160,
};

#define AMM_SOFTWARE_LENGTH_MAX ((uint64_t)8 << 30)

enum amm_software_kind { AMM_SOFTWARE_APPLICATION, AMM_SOFTWARE_SYSTEM };

/* What is signed, and by whom. Points into the text that was parsed. */
struct amm_statement {
    struct amm_view text; /* from the first line up to the first signature */
    unsigned n;
    struct {
        uint8_t key_id[8]; /* the first bytes of SHA-256 of the public key */
        uint8_t bytes[64];
    } signature[AMM_STATEMENT_SIGNATURES];
};

struct amm_manifest {
    enum amm_software_kind kind;
    char name[AMM_SOFTWARE_NAME + 1]; /* "ammer", "amm-os"; letters, digits, '-', '_', '.' */
    char version[AMM_SOFTWARE_VERSION + 1];
    unsigned n_models;
    char models[AMM_SOFTWARE_MODELS][AMM_SOFTWARE_NAME + 1]; /* of the gateways it is for */
    char architecture[AMM_SOFTWARE_NAME + 1]; /* "x86_64", "armhf", "aarch64", "any" */
    uint32_t counter;                         /* security counter: never falls without a permit */
    char from[AMM_SOFTWARE_VERSION + 1];      /* the oldest version that can take this; "": any */
    uint64_t length;                          /* of the image, 1 to AMM_SOFTWARE_LENGTH_MAX */
    uint8_t sha512[AMM_SOFTWARE_HASH];        /* of the image */
    int64_t created, expires;                 /* seconds since 1970: not taken before, not after */
    bool is_development;                      /* made with a development key */
};

/* A release key signs the one that follows it. */
struct amm_successor {
    uint8_t key[32];
    int64_t from; /* seconds since 1970: when it becomes good */
    char comment[64 + 1];
};

/* One gateway may go back to this version, once, until it expires. */
struct amm_permit {
    char serial[AMM_SOFTWARE_SERIAL + 1];
    char name[AMM_SOFTWARE_NAME + 1];
    char version[AMM_SOFTWARE_VERSION + 1];
    uint32_t counter; /* the lowest security counter that it allows */
    int64_t expires;
};

/* Parsers: false with one sentence in `error` that names line and fault. `text` is the whole
 * statement (of a package: its first AMM_SOFTWARE_HEAD bytes; zeros behind the statement are
 * skipped, anything else there is refused). */
bool amm_manifest_parse(struct amm_manifest *out, struct amm_statement *statement,
                        struct amm_view text, char error[AMM_STATEMENT_ERROR]);
bool amm_successor_parse(struct amm_successor *out, struct amm_statement *statement,
                         struct amm_view text, char error[AMM_STATEMENT_ERROR]);
bool amm_permit_parse(struct amm_permit *out, struct amm_statement *statement, struct amm_view text,
                      char error[AMM_STATEMENT_ERROR]);

/* Writers: the part that is signed; its length, or 0 if a member is out of range: what a writer
 * makes, the parser takes. `amm_statement_sign_line` adds a signature line behind it. */
size_t amm_manifest_write(const struct amm_manifest *manifest, char *out, size_t room);
size_t amm_successor_write(const struct amm_successor *successor, char *out, size_t room);
size_t amm_permit_write(const struct amm_permit *permit, char *out, size_t room);
size_t amm_statement_sign_line(const uint8_t key_id[8], const uint8_t signature[64], char *out,
                               size_t room);

/* Which of the signatures was made with this key id; -1: none. */
int amm_statement_signature_of(const struct amm_statement *statement, const uint8_t key_id[8]);

/* The bytes that a signature covers are this prefix with its NUL, and then `statement->text`. */
#define AMM_STATEMENT_CONTEXT "amm-software-1"
