#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct sub {
    char name[16];
    uint32_t limit;
    unsigned n_listen;
};

struct sample {
    char title[AMM_CONF_TEXT];
    uint32_t count, wait;
    bool on;
    uint8_t color;
    unsigned n_subs;
    struct sub subs[2];
};

static void *begin_top(void *config, struct amm_view name, char *error, size_t room)
{
    (void)name, (void)error, (void)room;
    return config;
}

static void *begin_sub(void *config, struct amm_view name, char *error, size_t room)
{
    struct sample *sample = config;
    if (sample->n_subs == 2) {
        snprintf(error, room, "too many (allowed: 2)");
        return NULL;
    }
    struct sub *sub = &sample->subs[sample->n_subs++];
    amm_text_clean(sub->name, sizeof sub->name, name);
    return sub;
}

static bool parse_listen(void *into, struct amm_view value, char *error, size_t room)
{
    struct sub *sub = into;
    if (value.len == 0) {
        snprintf(error, room, "is empty (allowed: an address)");
        return false;
    }
    sub->n_listen++;
    return true;
}

static const struct amm_conf_section sections[] = {
    {"", false, "The top.", begin_top, false},
    {"sub", true, "A part.", begin_sub, false},
    {"theirs", false, NULL, NULL, false},
    {"their", true, NULL, NULL, false},
    {NULL},
};

static const struct amm_conf_key keys[] = {
    {"", "title", AMM_CONF_STRING, offsetof(struct sample, title), 1, 10, NULL, NULL, false,
     "A title.", NULL},
    {"", "count", AMM_CONF_NUMBER, offsetof(struct sample, count), 1, 8189, NULL, "7", true,
     "How many.", NULL},
    {"", "wait", AMM_CONF_DURATION, offsetof(struct sample, wait), 1, 86400, NULL, "5m", false,
     "How long.", NULL},
    {"", "on", AMM_CONF_BOOL, offsetof(struct sample, on), 0, 0, NULL, "yes", false, "Whether.",
     NULL},
    {"", "color", AMM_CONF_CHOICE, offsetof(struct sample, color), 0, 0, "red|green|blue", "green",
     false, "Which.", NULL},
    {"sub", "limit", AMM_CONF_NUMBER, offsetof(struct sub, limit), 0, 99, NULL, "3", false,
     "Up to.", NULL},
    {"sub", "listen", AMM_CONF_LIST, 0, 0, 0, NULL, NULL, false, "Where.", parse_listen},
    {NULL},
};

static const struct amm_conf_schema schema = {"sample", sections, keys};

static char error[AMM_CONF_ERROR];
static struct sample sample;

static bool parse(const char *text)
{
    memset(&sample, 0, sizeof sample);
    return amm_conf_parse(&schema, &sample, "f.conf", amm_view_str(text), error);
}

static void refused(const char *text, const char *words)
{
    assert_false(parse(text));
    assert_string_equal(error, words);
}

static void values_of_every_kind_are_read(void **state)
{
    (void)state;
    assert_true(parse("# note\n\ntitle = a b = c\ncount=12\r\n wait = 2h\non = no\ncolor = blue\n"
                      "[sub x1]\nlimit = 9\nlisten = a\nlisten = b\n[ sub  y ]"));
    assert_string_equal(sample.title, "a b = c");
    assert_int_equal(sample.count, 12);
    assert_int_equal(sample.wait, 7200);
    assert_false(sample.on);
    assert_int_equal(sample.color, 2);
    assert_int_equal(sample.n_subs, 2);
    assert_string_equal(sample.subs[0].name, "x1");
    assert_int_equal(sample.subs[0].limit, 9);
    assert_int_equal(sample.subs[0].n_listen, 2);
    assert_string_equal(sample.subs[1].name, "y");
    assert_int_equal(sample.subs[1].limit, 3);
}

static void defaults_stand_where_nothing_is_said(void **state)
{
    (void)state;
    assert_true(parse("title = t"));
    assert_int_equal(sample.count, 7);
    assert_int_equal(sample.wait, 300);
    assert_true(sample.on);
    assert_int_equal(sample.color, 1);
}

static void errors_name_file_line_key_and_what_is_allowed(void **state)
{
    (void)state;
    refused("title = t\ncount = many\n",
            "f.conf:2: count: \"many\" is not a number (allowed: 1 to 8189)");
    refused("title = t\ncount = 0\n",
            "f.conf:2: count: \"0\" is out of range (allowed: 1 to 8189)");
    refused("title = t\ncount = 99999999999\n",
            "f.conf:2: count: \"99999999999\" is not a number (allowed: 1 to 8189)");
    refused("title = t\n\ncount = 4294967297\n",
            "f.conf:3: count: \"4294967297\" is out of range (allowed: 1 to 8189)");
    refused("title = t\nwait = 2d\n",
            "f.conf:2: wait: \"2d\" is out of range (allowed: 1 to 86400 seconds)");
    refused("title = t\nwait = m\n", "f.conf:2: wait: \"m\" is not a duration (allowed: 1 to 86400 "
                                     "seconds, or with s, m, h, d)");
    refused("title = t\non = true\n",
            "f.conf:2: on: \"true\" is neither yes nor no (allowed: yes, no)");
    refused("title = t\ncolor = re\n",
            "f.conf:2: color: \"re\" is not known (allowed: red|green|blue)");
    refused("title = 12345678901\n",
            "f.conf:1: title: \"12345678901\" is too long (allowed: up to 10 characters)");
    refused("title =\n", "f.conf:1: title: \"\" is too short (allowed: 1 characters or more)");
    refused("title = a\x01z\n",
            "f.conf:1: title: \"a_z\" holds control characters (allowed: printable text)");
}

static void structure_is_checked(void **state)
{
    (void)state;
    refused("count = 1\n", "f.conf:1: title: must be given");
    refused("title = t\nbogus = 1\n", "f.conf:2: bogus: unknown key");
    refused("title = t\nlimit = 1\n", "f.conf:2: limit: not in this section (allowed: in [sub])");
    refused("title = t\n[sub a]\ncount = 1\n",
            "f.conf:3: count: not in this section (allowed: at the top of the file)");
    refused("title = t\ntitle = u\n", "f.conf:2: title: stands twice");
    refused("title\n", "f.conf:1: \"title\" has no '=' (allowed: key = value)");
    refused("title = t\n[sub]\n",
            "f.conf:2: [sub]: this section needs a name (allowed: [sub NAME])");
    refused("title = t\n[sup a]\n", "f.conf:2: [sup a]: unknown section");
    refused("title = t\n[sub a\n",
            "f.conf:2: section without ']' (allowed: [name] alone on its line)");
    refused("title = t\n[]\n", "f.conf:2: []: unknown section");
    refused("title = t\n[sub a]\n[sub b]\n[sub c]\n", "f.conf:4: [sub c]: too many (allowed: 2)");
    refused("title = t\n[sub a]\nlisten =\n",
            "f.conf:3: listen: \"\" is empty (allowed: an address)");
}

static void a_line_may_not_be_endless(void **state)
{
    (void)state;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_false(parse(text));
    assert_non_null(strstr(error, "line is too long"));
}

static void the_example_file_parses_to_the_defaults(void **state)
{
    (void)state;
    static char out[4096];
    assert_true(amm_conf_example(&schema, out, sizeof out));
    assert_non_null(strstr(out, "\ncount = 7\n"));
    strcat(out, "\n");
    char *title = strstr(out, "#title = ");
    assert_non_null(title);
    title[0] = ' ';
    title[9] = '\n'; /* "title =" stays empty and is refused: it has no default */
    assert_false(parse(out));
    memcpy(title, "title = x\n", 10);
    assert_true(parse(out));
    assert_int_equal(sample.wait, 300);
}

static void too_little_room_is_told(void **state)
{
    (void)state;
    char out[64];
    assert_false(amm_conf_example(&schema, out, sizeof out));
    assert_false(amm_conf_markdown(&schema, out, sizeof out));
}

static void the_table_has_a_row_for_every_key(void **state)
{
    (void)state;
    static char out[4096];
    assert_true(amm_conf_markdown(&schema, out, sizeof out));
    for (const struct amm_conf_key *key = keys; key->name != NULL; key++) {
        char row[64];
        snprintf(row, sizeof row, "| `%s` |", key->name);
        assert_non_null(strstr(out, row));
    }
    assert_non_null(strstr(out, "one of red, green, blue"));
}

static void sections_of_other_programs_are_skipped(void **state)
{
    (void)state;
    assert_true(parse("title = t\n[theirs]\ncount = many\nwhat = ever\n[their x]\n[their y]\n"
                      "limit = 0\n[sub x]\nlimit = 9\n"));
    assert_int_equal(sample.count, 7);
    assert_int_equal(sample.n_subs, 1);
    assert_int_equal(sample.subs[0].limit, 9);
    refused("title = t\n[theirs]\nnothing\n",
            "f.conf:3: \"nothing\" has no '=' (allowed: key = value)");
    refused("title = t\n[theirs]\n[theirs]\n", "f.conf:3: [theirs]: stands twice");
    refused("title = t\n[theirs x]\n",
            "f.conf:2: [theirs x]: this section has no name (allowed: [theirs])");
    char out[4096];
    assert_true(amm_conf_markdown(&schema, out, sizeof out));
    assert_null(strstr(out, "their"));
    assert_true(amm_conf_example(&schema, out, sizeof out));
    assert_null(strstr(out, "their"));
}

static void a_shared_section_may_hold_keys_of_another_program(void **state)
{
    (void)state;
    struct amm_conf_section shared[] = {sections[0], {NULL}};
    struct amm_conf_schema other = {"other", shared, keys};
    const char *text = "title = t\ntheirs = 1\ntheirs = 2\ncount = 9\n";
    memset(&sample, 0, sizeof sample);
    assert_false(amm_conf_parse(&other, &sample, "f.conf", amm_view_str(text), error));
    shared[0].is_shared = true;
    assert_true(amm_conf_parse(&other, &sample, "f.conf", amm_view_str(text), error));
    assert_int_equal(sample.count, 9);
    text = "title = t\ncount = many\n";
    assert_false(amm_conf_parse(&other, &sample, "f.conf", amm_view_str(text), error));
}

static void a_section_without_name_that_is_not_there_has_its_defaults(void **state)
{
    (void)state;
    const struct amm_conf_section more[] = {
        sections[0], {"more", false, "More.", begin_top, false}, {NULL}};
    const struct amm_conf_key two[] = {
        keys[0],
        {"more", "count", AMM_CONF_NUMBER, offsetof(struct sample, count), 1, 8189, NULL, "7",
         false, "How many.", NULL},
        {"more", "title", AMM_CONF_STRING, offsetof(struct sample, title), 1, 10, NULL, "x", false,
         "Again.", NULL},
        {NULL}};
    const struct amm_conf_schema other = {"other", more, two};
    memset(&sample, 0, sizeof sample);
    assert_true(amm_conf_parse(&other, &sample, "f.conf", amm_view_str("title = t\n"), error));
    assert_int_equal(sample.count, 7);
    assert_true(amm_conf_parse(&other, &sample, "f.conf",
                               amm_view_str("title = t\n[more]\ncount = 9\n"), error));
    assert_int_equal(sample.count, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_kind_are_read),
        cmocka_unit_test(defaults_stand_where_nothing_is_said),
        cmocka_unit_test(errors_name_file_line_key_and_what_is_allowed),
        cmocka_unit_test(structure_is_checked),
        cmocka_unit_test(sections_of_other_programs_are_skipped),
        cmocka_unit_test(a_shared_section_may_hold_keys_of_another_program),
        cmocka_unit_test(a_section_without_name_that_is_not_there_has_its_defaults),
        cmocka_unit_test(a_line_may_not_be_endless),
        cmocka_unit_test(the_example_file_parses_to_the_defaults),
        cmocka_unit_test(too_little_room_is_told),
        cmocka_unit_test(the_table_has_a_row_for_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
