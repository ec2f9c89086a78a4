/* The command line of the daemons. */
#include "conf/program.h"

#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *backup;
static bool verify;
static const struct amm_program_option options[] = {
    {.name = "restore", .value = &backup}, {.name = "verify", .flag = &verify}, {NULL}};
static const struct amm_conf_section sections[] = {{.name = NULL}};
static const struct amm_conf_key keys[] = {{.name = NULL}};
static const struct amm_conf_schema schema = {"daemon", sections, keys};
static const struct amm_program program = {.name = "daemon",
                                           .version = "1",
                                           .help = "usage: daemon\n",
                                           .config = "/etc/daemon.conf",
                                           .schema = &schema,
                                           .options = options};

/* -1: goes on; else the exit code. */
static int parse(struct amm_program_line *line, int argc, ...)
{
    char *argv[8] = {(char *)(uintptr_t) "daemon"};
    int status;
    va_list list;
    va_start(list, argc);
    for (int i = 1; i <= argc; i++) {
        argv[i] = va_arg(list, char *);
    }
    va_end(list);
    optind = 0; /* getopt starts anew */
    opterr = 0;
    backup = NULL;
    verify = false;
    return amm_program_parse(&program, argc + 1, argv, line, &status) ? -1 : status;
}

static void what_goes_on(void **state)
{
    (void)state;
    struct amm_program_line line;
    assert_int_equal(parse(&line, 0), -1);
    assert_string_equal(line.config, "/etc/daemon.conf");
    assert_false(line.only_check);

    assert_int_equal(parse(&line, 5, "--config", "a.conf", "--check-config", "--restore", "b"), -1);
    assert_string_equal(line.config, "a.conf");
    assert_true(line.only_check);
    assert_string_equal(backup, "b");
    assert_false(verify);

    assert_int_equal(parse(&line, 1, "--verify"), -1);
    assert_true(verify);
}

static void what_ends(void **state)
{
    (void)state;
    struct amm_program_line line;
    assert_int_equal(parse(&line, 1, "--version"), 0);
    assert_int_equal(parse(&line, 1, "--help"), 0);
    assert_int_equal(parse(&line, 1, "--print-doc"), 0);
    assert_int_equal(parse(&line, 1, "--unknown"), 2);
    assert_int_equal(parse(&line, 1, "word"), 2);
    assert_int_equal(parse(&line, 1, "--restore"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_goes_on), cmocka_unit_test(what_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
