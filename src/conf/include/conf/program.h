/* The command line that our daemons share: --config, --check-config, --print-config, --print-doc,
 * --version and --help, and what a program adds. Prints; the main thread, before others start. */
#pragma once

#include "conf/conf.h"

#include <stdbool.h>

enum { AMM_PROGRAM_OPTIONS = 8 };

/* An option of one program: with a value (`value`) or without one (`flag`). */
struct amm_program_option {
    const char *name; /* "restore" for --restore */
    const char **value;
    bool *flag;
};

struct amm_program {
    const char *name, *version;
    const char *help;   /* all of it */
    const char *config; /* the file if none is named */
    const struct amm_conf_schema *schema;
    const struct amm_program_option *options; /* ended by name NULL, at most AMM_PROGRAM_OPTIONS;
                                                 NULL: none */
};

struct amm_program_line {
    const char *config; /* the file to read */
    bool only_check;    /* say whether it is good, and stop */
};

/* True: go on with `*out` and the program's options filled in. False: all is done or wrong, and
 * said; exit with `*status` (0; 1: could not write; 2: wrong usage). */
bool amm_program_parse(const struct amm_program *program, int argc, char **argv,
                       struct amm_program_line *out, int *status);
