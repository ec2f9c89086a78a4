/* Configuration files: one grammar, one schema table per program. The table gives the parser,
 * `--check-config`, the commented example file and the documentation (doc/configuration.md), so
 * that they cannot drift apart.
 *
 *   # comment
 *   key = value
 *   [section]            or   [section name]
 *   key = value
 *
 * An error names file, line, key and what is allowed:
 *   amm.conf:12: limit: "many" is not a number (allowed: 1 to 8189)
 * Sections without a name that a file does not have are as if they stood there, empty. Unknown keys
 * and sections are errors. Programs exit with code 2 on a configuration error.
 *
 * Several programs may read one file: each names the sections of the others, and skips them. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AMM_CONF_ERROR = 256, AMM_CONF_TEXT = 256 };

enum amm_conf_type {
    AMM_CONF_STRING,   /* char[AMM_CONF_TEXT]; printable, no control characters */
    AMM_CONF_NUMBER,   /* uint32_t within min..max */
    AMM_CONF_BOOL,     /* bool; "yes" or "no" */
    AMM_CONF_CHOICE,   /* uint8_t: index into `choices` ("a|b|c") */
    AMM_CONF_DURATION, /* uint32_t seconds within min..max; "30", "30s", "5m", "12h", "1d" */
    AMM_CONF_LIST,     /* handled by `parse`, may stand several times */
};

struct amm_conf_key {
    const char *section; /* "" for the top of the file */
    const char *name;
    enum amm_conf_type type;
    size_t offset;       /* of the member in the structure that `begin` gave for the section */
    uint32_t min, max;   /* NUMBER, DURATION; STRING: max length */
    const char *choices; /* CHOICE */
    const char *initial; /* default as written in a file; NULL: must be given */
    bool reloadable;     /* names a file whose changes are taken over while the program runs */
    const char *doc;     /* one or more sentences */
    /* LIST, or a further check of a parsed value: false with a reason in `error`. */
    bool (*parse)(void *into, struct amm_view value, char *error, size_t room);
};

struct amm_conf_section {
    const char *name; /* "" for the top */
    bool is_named;    /* "[port 1190]" */
    const char *doc;
    /* The structure that this section's keys are written to; NULL with a reason (too many,
     * duplicate, bad name). No function: a section of another program, skipped. */
    void *(*begin)(void *config, struct amm_view name, char *error, size_t room);
    bool is_shared; /* with another program: keys that the table does not have are that one's, and
                       it is documented there */
};

struct amm_conf_schema {
    const char *program;                     /* "amm-tunneld" */
    const struct amm_conf_section *sections; /* ended by name NULL */
    const struct amm_conf_key *keys;         /* ended by name NULL */
};

/* Parses `text`; defaults are set when a section begins. False with one line in `error`. */
bool amm_conf_parse(const struct amm_conf_schema *schema, void *config, const char *file,
                    struct amm_view text, char error[AMM_CONF_ERROR]);

/* Writes a commented example file with all defaults, or the table of doc/configuration.md. Returns
 * false if `room` is too small. */
bool amm_conf_example(const struct amm_conf_schema *schema, char *out, size_t room);
bool amm_conf_markdown(const struct amm_conf_schema *schema, char *out, size_t room);
