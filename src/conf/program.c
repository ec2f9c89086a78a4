#include "conf/program.h"

#include <getopt.h>
#include <stdio.h>

enum { DOCUMENT_BYTES = 65536, CONFIG = 256, CHECK, PRINT, DOC, VERSION, HELP, OWN };

static const struct option shared[] = {
    {"config", required_argument, NULL, CONFIG}, {"check-config", no_argument, NULL, CHECK},
    {"print-config", no_argument, NULL, PRINT},  {"print-doc", no_argument, NULL, DOC},
    {"version", no_argument, NULL, VERSION},     {"help", no_argument, NULL, HELP},
};

enum { N_SHARED = sizeof shared / sizeof shared[0] };

static bool print_document(const struct amm_conf_schema *schema, bool is_table)
{
    static char text[DOCUMENT_BYTES];
    return (is_table ? amm_conf_markdown(schema, text, sizeof text)
                     : amm_conf_example(schema, text, sizeof text)) &&
           fputs(text, stdout) >= 0;
}

/* The shared options, then the program's own. */
static void collect(const struct amm_program *program,
                    struct option out[N_SHARED + AMM_PROGRAM_OPTIONS + 1])
{
    size_t n = 0;
    for (; n < N_SHARED; n++) {
        out[n] = shared[n];
    }
    const struct amm_program_option *own = program->options;
    for (int i = 0; own && own[i].name && i < AMM_PROGRAM_OPTIONS; i++) {
        out[n++] = (struct option){own[i].name, own[i].value ? required_argument : no_argument,
                                   NULL, OWN + i};
    }
    out[n] = (struct option){NULL, 0, NULL, 0};
}

static void take_own(const struct amm_program_option *own, const char *value)
{
    if (own->value) {
        *own->value = value;
    } else {
        *own->flag = true;
    }
}

/* False: the program ends with `*status`. */
static bool take(const struct amm_program *program, int option, struct amm_program_line *out,
                 int *status)
{
    *status = 0;
    switch (option) {
    case CONFIG:
        out->config = optarg;
        return true;
    case CHECK:
        out->only_check = true;
        return true;
    case PRINT:
    case DOC:
        *status = print_document(program->schema, option == DOC) ? 0 : 1;
        return false;
    case VERSION:
        printf("%s %s\n", program->name, program->version);
        return false;
    case HELP:
        fputs(program->help, stdout);
        return false;
    default:
        if (option >= OWN) {
            take_own(&program->options[option - OWN], optarg);
            return true;
        }
        fputs(program->help, stderr);
        *status = 2;
        return false;
    }
}

bool amm_program_parse(const struct amm_program *program, int argc, char **argv,
                       struct amm_program_line *out, int *status)
{
    struct option options[N_SHARED + AMM_PROGRAM_OPTIONS + 1];
    collect(program, options);
    *out = (struct amm_program_line){.config = program->config};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (!take(program, option, out, status)) {
            return false;
        }
    }
    if (optind != argc) {
        fputs(program->help, stderr);
        *status = 2;
        return false;
    }
    return true;
}
