#include "roster.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct entry {
    char name[AMM_NAME_MAX + 1];
    uint16_t port;
    uint32_t slot;
    uint32_t line;
};

struct amm_roster {
    _Atomic uint32_t refs;
    size_t n;
    struct entry entries[]; /* sorted by name, then port */
};

struct amm_roster *amm_roster_ref(struct amm_roster *roster)
{
    atomic_fetch_add(&roster->refs, 1);
    return roster;
}

struct amm_roster *amm_roster_unref(struct amm_roster *roster)
{
    if (roster && atomic_fetch_sub(&roster->refs, 1) == 1) {
        free(roster);
    }
    return NULL;
}

static struct amm_roster *roster_with_room(size_t n)
{
    struct amm_roster *roster = calloc(1, sizeof *roster + n * sizeof(struct entry));
    if (roster) {
        atomic_init(&roster->refs, 1);
    }
    return roster;
}

struct amm_roster *amm_roster_empty(void)
{
    return roster_with_room(0);
}

size_t amm_roster_count(const struct amm_roster *roster)
{
    return roster->n;
}

static int by_name_and_port(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    int order = strcmp(a->name, b->name);
    return order ? order : (a->port > b->port) - (a->port < b->port);
}

static int by_port_and_slot(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    int order = (a->port > b->port) - (a->port < b->port);
    return order ? order : (a->slot > b->slot) - (a->slot < b->slot);
}

/* ---- lines ---- */

struct parse {
    const char *file;
    const struct amm_roster_port *ports;
    size_t n_ports;
    char *error;
    size_t room;
    uint32_t line;
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the next word off the front of `rest`; empty at the end of the line. */
static struct amm_view take_word(struct amm_view *rest)
{
    size_t from = 0;
    while (from < rest->len && is_blank(rest->data[from])) {
        from++;
    }
    size_t to = from;
    while (to < rest->len && !is_blank(rest->data[to])) {
        to++;
    }
    struct amm_view word = amm_view(rest->data + from, to - from);
    *rest = amm_view(rest->data + to, rest->len - to);
    return word;
}

static bool take_number(struct amm_view word, uint32_t *out)
{
    uint32_t value = 0;
    if (!word.len || word.len > 5) {
        return false;
    }
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] < '0' || word.data[i] > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(word.data[i] - '0');
    }
    *out = value;
    return true;
}

static bool copy_name(struct entry *entry, struct amm_view word)
{
    if (!word.len || word.len > AMM_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] <= ' ' || word.data[i] > '~' || word.data[i] == '/') {
            return false;
        }
    }
    memcpy(entry->name, word.data, word.len);
    entry->name[word.len] = 0;
    return true;
}

static const struct amm_roster_port *find_port(const struct parse *parse, uint32_t port)
{
    for (size_t i = 0; i < parse->n_ports; i++) {
        if (parse->ports[i].port == port) {
            return &parse->ports[i];
        }
    }
    return NULL;
}

__attribute__((format(printf, 2, 3))) static bool complain(struct parse *parse, const char *format,
                                                           ...)
{
    snprintf(parse->error, parse->room, "%s:%u: ", parse->file, parse->line);
    size_t used = strlen(parse->error);
    va_list list;
    va_start(list, format);
    vsnprintf(parse->error + used, parse->room - used, format, list);
    va_end(list);
    return false;
}

/* For %.*s: a wrong word is shown, but not all of a very long one. */
static int word_width(struct amm_view word)
{
    return word.len < 24 ? (int)word.len : 24;
}

static bool parse_line(struct parse *parse, struct amm_view line, struct entry *entry)
{
    struct amm_view name = take_word(&line);
    struct amm_view port = take_word(&line);
    struct amm_view slot = take_word(&line);
    uint32_t port_number;

    entry->line = parse->line;
    if (!slot.len || take_word(&line).len) {
        return complain(parse, "a line is \"name port slot\"");
    }
    if (!copy_name(entry, name)) {
        return complain(parse, "a name is 1 to %d printable characters without space and '/'",
                        AMM_NAME_MAX);
    }
    if (!take_number(port, &port_number) || !find_port(parse, port_number)) {
        return complain(parse, "port \"%.*s\" is not one of this server's tunnel ports",
                        word_width(port), (const char *)port.data);
    }
    entry->port = (uint16_t)port_number;
    if (!take_number(slot, &entry->slot) || !entry->slot ||
        entry->slot > find_port(parse, port_number)->slots) {
        return complain(parse, "slot \"%.*s\" is outside 1 to %u of port %u", word_width(slot),
                        (const char *)slot.data, find_port(parse, port_number)->slots, port_number);
    }
    return true;
}

static struct amm_view take_line(struct amm_view *text)
{
    const uint8_t *end = text->len ? memchr(text->data, '\n', text->len) : NULL;
    size_t len = end ? (size_t)(end - text->data) : text->len;
    struct amm_view line = amm_view(text->data, len);
    *text = end ? amm_view(end + 1, text->len - len - 1) : amm_view(NULL, 0);

    const uint8_t *comment = len ? memchr(line.data, '#', len) : NULL;
    return comment ? amm_view(line.data, (size_t)(comment - line.data)) : line;
}

static bool parse_lines(struct parse *parse, struct amm_view text, struct amm_roster *roster)
{
    while (text.len) {
        struct amm_view line = take_line(&text);
        struct amm_view look = line;
        parse->line++;
        if (take_word(&look).len && !parse_line(parse, line, &roster->entries[roster->n++])) {
            return false;
        }
    }
    return true;
}

/* Two lines that clash: the later one is named as wrong. Sorting may have swapped them. */
static void find_lines(struct parse *parse, const struct entry *pair, uint32_t *earlier)
{
    parse->line = pair[0].line > pair[1].line ? pair[0].line : pair[1].line;
    *earlier = pair[0].line + pair[1].line - parse->line;
}

static bool nothing_twice(struct parse *parse, struct amm_roster *roster)
{
    struct entry *e = roster->entries;
    uint32_t earlier;

    qsort(e, roster->n, sizeof *e, by_port_and_slot);
    for (size_t i = 1; i < roster->n; i++) {
        if (!by_port_and_slot(&e[i - 1], &e[i])) {
            find_lines(parse, &e[i - 1], &earlier);
            return complain(parse, "slot %u of port %u is taken by line %u", e[i].slot, e[i].port,
                            earlier);
        }
    }
    qsort(e, roster->n, sizeof *e, by_name_and_port);
    for (size_t i = 1; i < roster->n; i++) {
        if (!by_name_and_port(&e[i - 1], &e[i])) {
            find_lines(parse, &e[i - 1], &earlier);
            return complain(parse, "%s has a slot on port %u already (line %u)", e[i].name,
                            e[i].port, earlier);
        }
    }
    return true;
}

struct amm_roster *amm_roster_parse(const char *file, struct amm_view text,
                                    const struct amm_roster_port *ports, size_t n_ports,
                                    char *error, size_t room)
{
    struct parse parse = {file, ports, n_ports, error, room, 0};
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++) {
        lines += text.data[i] == '\n';
    }

    struct amm_roster *roster = roster_with_room(lines);
    if (!roster) {
        snprintf(error, room, "%s: out of memory", file);
        return NULL;
    }
    if (!parse_lines(&parse, text, roster) || !nothing_twice(&parse, roster)) {
        return amm_roster_unref(roster);
    }
    return roster;
}

/* ---- questions ---- */

/* The first entry that is not before (name, port). */
static size_t lower_bound(const struct amm_roster *roster, const char *name, uint16_t port)
{
    size_t low = 0;
    size_t high = roster->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct entry *entry = &roster->entries[middle];
        int order = strcmp(entry->name, name);
        if (order < 0 || (!order && entry->port < port)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t amm_roster_slot(const struct amm_roster *roster, const char *name, uint16_t port)
{
    size_t at = lower_bound(roster, name, port);
    bool found = at < roster->n && !strcmp(roster->entries[at].name, name) &&
                 roster->entries[at].port == port;
    return found ? roster->entries[at].slot : 0;
}

uint16_t amm_roster_any_port(const struct amm_roster *roster, const char *name)
{
    size_t at = lower_bound(roster, name, 0);
    return at < roster->n && !strcmp(roster->entries[at].name, name) ? roster->entries[at].port : 0;
}

bool amm_roster_line(const struct amm_roster *roster, size_t i, const char **name, uint16_t *port,
                     uint32_t *slot)
{
    if (i >= roster->n) {
        return false;
    }
    *name = roster->entries[i].name;
    *port = roster->entries[i].port;
    *slot = roster->entries[i].slot;
    return true;
}
