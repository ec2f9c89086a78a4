/* What the files of the `.ovpn` reader share: ovpn.c (the file, its blocks, what the whole must
 * have), ovpn_directives.c (what each directive does). */
#pragma once

#include "ovpn.h"

/* What a remote still lacks until the end of the file (or block) is known. */
struct loose_remote {
    bool has_port, has_transport;
};

struct remote_defaults {
    uint16_t port;
    uint8_t transport, family;
    bool has_port, has_transport;
};

struct ovpn_parser {
    struct amm_settings *settings;
    struct amm_ovpn_report *report;
    const char *file;
    unsigned line;
    struct loose_remote loose[AMM_SETTINGS_REMOTES];
    struct remote_defaults whole, block;
    bool in_connection;
    unsigned block_first; /* first remote of the connection block */
    bool is_client, has_role_check, has_data_ciphers, has_wrap;
    bool no_negotiation; /* ncp-disable */
    char cipher[32];     /* `cipher` of the file if it is none of ours */
    unsigned cipher_line;
};

enum ovpn_outcome {
    OVPN_TAKEN,
    OVPN_QUIET,
    OVPN_NO_EFFECT,
    OVPN_NOT_OBEYED,
    OVPN_UNSUPPORTED,
};

struct ovpn_directive {
    const char *name;
    enum ovpn_outcome outcome;
    uint8_t least, most; /* words behind the name; OVPN_TAKEN */
    bool (*handler)(struct ovpn_parser *p, char **arg, unsigned n);
    const char *why; /* OVPN_UNSUPPORTED, OVPN_NOT_OBEYED */
};

/* NULL if there is none of that name. */
const struct ovpn_directive *ovpn_directive_find(const char *name);

/* Does what a line says. False with the report's error. */
bool ovpn_obey(struct ovpn_parser *p, char **arg, unsigned n);

/* One wrap a file; false with the report's error if another one was given before. */
bool ovpn_set_wrap(struct ovpn_parser *p, const char *directive, enum amm_wrap_mode mode);

/* A note with file and line, as far as the report has room. */
void ovpn_note(struct ovpn_parser *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The report's error with file and line; always false. */
bool ovpn_fail(struct ovpn_parser *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
