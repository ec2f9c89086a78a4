/* The example file and the table of doc/configuration.md, from the same schema as the parser. */
#include "conf/conf.h"

enum { WRAP_AT = 96 };

static const char *type_words(const struct amm_conf_key *key)
{
    switch (key->type) {
    case AMM_CONF_STRING:
        return "text";
    case AMM_CONF_NUMBER:
        return "number";
    case AMM_CONF_BOOL:
        return "yes or no";
    case AMM_CONF_CHOICE:
        return "one of";
    case AMM_CONF_DURATION:
        return "duration";
    case AMM_CONF_LIST:
        return "may stand several times";
    }
    return "";
}

static void write_allowed(struct amm_writer *w, const struct amm_conf_key *key, const char *bar)
{
    amm_write_str(w, type_words(key));
    if (key->type == AMM_CONF_NUMBER) {
        amm_write_text(w, " %u to %u", key->min, key->max);
    } else if (key->type == AMM_CONF_DURATION) {
        amm_write_text(w, " %u to %u seconds (s, m, h, d)", key->min, key->max);
    } else if (key->type == AMM_CONF_CHOICE) {
        amm_write_str(w, " ");
        for (const char *c = key->choices; *c; c++) {
            amm_write_text(w, "%.*s", *c == '|' ? (int)strlen(bar) : 1, *c == '|' ? bar : c);
        }
    }
}

/* Writes `text` as comment lines, broken at spaces. */
static void write_comment(struct amm_writer *w, const char *text)
{
    while (*text != '\0') {
        size_t len = strlen(text);
        if (len > WRAP_AT) {
            len = WRAP_AT;
            while (len > 0 && text[len] != ' ') {
                len--;
            }
            len = len > 0 ? len : WRAP_AT;
        }
        amm_write_text(w, "# %.*s\n", (int)len, text);
        text += len;
        text += strspn(text, " ");
    }
}

static void write_key_example(struct amm_writer *w, const struct amm_conf_key *key)
{
    amm_write_str(w, "\n");
    write_comment(w, key->doc);
    amm_write_str(w, "# (");
    write_allowed(w, key, ", ");
    amm_write_text(w, "%s)\n", key->reloadable ? "; changes of the file are taken over" : "");
    amm_write_text(w, "%s%s = %s\n", key->initial ? "" : "#", key->name,
                   key->initial ? key->initial : "");
}

bool amm_conf_example(const struct amm_conf_schema *schema, char *out, size_t room)
{
    struct amm_writer w = amm_writer(out, room);
    amm_write_text(&w, "# Configuration of %s: every key with its default.\n", schema->program);
    for (const struct amm_conf_section *s = schema->sections; s->name != NULL; s++) {
        if (s->begin == NULL || s->is_shared) {
            continue;
        }
        if (*s->name != '\0') {
            amm_write_str(&w, "\n");
            write_comment(&w, s->doc);
            amm_write_text(&w, "#[%s%s]\n", s->name, s->is_named ? " NAME" : "");
        } else {
            write_comment(&w, s->doc);
        }
        for (const struct amm_conf_key *key = schema->keys; key->name != NULL; key++) {
            if (strcmp(key->section, s->name) != 0) {
                continue;
            }
            if (*s->name == '\0') {
                write_key_example(&w, key);
                continue;
            }
            /* Sections stay comments: one that is there replaces what the program does without it.
             */
            amm_write_str(&w, "#\n");
            write_comment(&w, key->doc);
            amm_write_text(&w, "#%s = %s\n", key->name, key->initial ? key->initial : "");
        }
    }
    amm_write_u8(&w, 0);
    return !w.failed;
}

/* A table cell cannot hold a bar. */
static void write_cell(struct amm_writer *w, const char *text)
{
    for (; *text != '\0'; text++) {
        amm_write_text(w, "%s%c", *text == '|' ? "\\" : "", *text);
    }
}

bool amm_conf_markdown(const struct amm_conf_schema *schema, char *out, size_t room)
{
    struct amm_writer w = amm_writer(out, room);
    amm_write_text(&w, "## %s\n", schema->program);
    for (const struct amm_conf_section *s = schema->sections; s->name != NULL; s++) {
        if (s->begin == NULL || s->is_shared) {
            continue;
        }
        if (*s->name != '\0') {
            amm_write_text(&w, "\n### `[%s%s]`\n", s->name, s->is_named ? " NAME" : "");
        }
        amm_write_text(&w, "\n%s\n\n| key | allowed | default | meaning |\n|---|---|---|---|\n",
                       s->doc);
        for (const struct amm_conf_key *key = schema->keys; key->name != NULL; key++) {
            if (strcmp(key->section, s->name) != 0) {
                continue;
            }
            amm_write_text(&w, "| `%s` | ", key->name);
            write_allowed(&w, key, ", ");
            amm_write_str(&w, " | ");
            if (key->initial == NULL) {
                amm_write_str(&w, key->type == AMM_CONF_LIST ? "" : "must be given");
            } else if (*key->initial != '\0') {
                amm_write_text(&w, "`%s`", key->initial);
            }
            amm_write_str(&w, " | ");
            write_cell(&w, key->doc);
            amm_write_str(&w,
                          key->reloadable ? " Changes of the file are taken over. |\n" : " |\n");
        }
    }
    amm_write_u8(&w, 0);
    return !w.failed;
}
