#include "conf/conf.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE_MAX_BYTES = 1024, NAME_BYTES = 64 };

struct parser {
    const struct amm_conf_schema *schema;
    void *config;
    const char *file;
    unsigned line;
    const struct amm_conf_section *section;
    void *into;
    uint64_t seen;          /* bit per key of the schema, for the section that is open */
    uint64_t sections_seen; /* bit per section of the schema */
    char *error;
};

__attribute__((format(printf, 2, 3))) static bool fail(struct parser *p, const char *format, ...)
{
    int used = snprintf(p->error, AMM_CONF_ERROR, "%s:%u: ", p->file, p->line);
    if (used > 0 && used < AMM_CONF_ERROR) {
        va_list args;
        va_start(args, format);
        vsnprintf(p->error + used, AMM_CONF_ERROR - (size_t)used, format, args);
        va_end(args);
    }
    return false;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct amm_view trim(struct amm_view text)
{
    while (text.len > 0 && is_blank(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

static bool is_printable(struct amm_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < ' ' || text.data[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool equals(struct amm_view text, const char *word)
{
    return amm_view_equal(text, amm_view_str(word));
}

static bool parse_digits(struct amm_view text, uint64_t *out)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 10) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *out = value;
    return true;
}

static bool parse_seconds(struct amm_view text, uint64_t *out)
{
    uint64_t unit = 1;
    if (text.len > 0) {
        switch (text.data[text.len - 1]) {
        case 's':
            text.len--;
            break;
        case 'm':
            unit = 60;
            text.len--;
            break;
        case 'h':
            unit = 3600;
            text.len--;
            break;
        case 'd':
            unit = 86400;
            text.len--;
            break;
        default:
            break;
        }
    }
    if (!parse_digits(text, out)) {
        return false;
    }
    *out *= unit;
    return true;
}

/* Index of `text` among "a|b|c", or -1. */
static int find_choice(const char *choices, struct amm_view text)
{
    for (int index = 0;; index++) {
        size_t len = strcspn(choices, "|");
        if (len == text.len && len > 0 && memcmp(choices, text.data, len) == 0) {
            return index;
        }
        if (choices[len] == '\0') {
            return -1;
        }
        choices += len + 1;
    }
}

static bool set_string(struct parser *p, const struct amm_conf_key *key, struct amm_view value,
                       const char *shown, char *out)
{
    size_t max = key->max > 0 && key->max < AMM_CONF_TEXT ? key->max : AMM_CONF_TEXT - 1;
    if (value.len > max) {
        return fail(p, "%s: \"%s\" is too long (allowed: up to %zu characters)", key->name, shown,
                    max);
    }
    if (value.len < key->min) {
        return fail(p, "%s: \"%s\" is too short (allowed: %u characters or more)", key->name, shown,
                    key->min);
    }
    memset(out, 0, AMM_CONF_TEXT);
    if (value.len > 0) {
        memcpy(out, value.data, value.len);
    }
    return true;
}

static bool set_number(struct parser *p, const struct amm_conf_key *key, struct amm_view value,
                       const char *shown, uint32_t *out)
{
    bool is_duration = key->type == AMM_CONF_DURATION;
    uint64_t number;
    if (!(is_duration ? parse_seconds(value, &number) : parse_digits(value, &number))) {
        return fail(p, "%s: \"%s\" is not a %s (allowed: %u to %u%s)", key->name, shown,
                    is_duration ? "duration" : "number", key->min, key->max,
                    is_duration ? " seconds, or with s, m, h, d" : "");
    }
    if (number < key->min || number > key->max) {
        return fail(p, "%s: \"%s\" is out of range (allowed: %u to %u%s)", key->name, shown,
                    key->min, key->max, is_duration ? " seconds" : "");
    }
    *out = (uint32_t)number;
    return true;
}

static bool set_choice(struct parser *p, const struct amm_conf_key *key, struct amm_view value,
                       const char *shown, uint8_t *out)
{
    int index = find_choice(key->choices, value);
    if (index < 0) {
        return fail(p, "%s: \"%s\" is not known (allowed: %s)", key->name, shown, key->choices);
    }
    *out = (uint8_t)index;
    return true;
}

static bool set_bool(struct parser *p, const struct amm_conf_key *key, struct amm_view value,
                     const char *shown, bool *out)
{
    if (!equals(value, "yes") && !equals(value, "no")) {
        return fail(p, "%s: \"%s\" is neither yes nor no (allowed: yes, no)", key->name, shown);
    }
    *out = equals(value, "yes");
    return true;
}

static bool set_typed(struct parser *p, const struct amm_conf_key *key, struct amm_view value,
                      const char *shown)
{
    void *member = (uint8_t *)p->into + key->offset;
    switch (key->type) {
    case AMM_CONF_STRING:
        return set_string(p, key, value, shown, member);
    case AMM_CONF_NUMBER:
    case AMM_CONF_DURATION:
        return set_number(p, key, value, shown, member);
    case AMM_CONF_BOOL:
        return set_bool(p, key, value, shown, member);
    case AMM_CONF_CHOICE:
        return set_choice(p, key, value, shown, member);
    case AMM_CONF_LIST:
        return true;
    }
    return fail(p, "%s: unknown kind of key", key->name);
}

static bool set_value(struct parser *p, const struct amm_conf_key *key, struct amm_view value)
{
    char shown[NAME_BYTES];
    amm_text_clean(shown, sizeof shown, value);
    if (!is_printable(value)) {
        return fail(p, "%s: \"%s\" holds control characters (allowed: printable text)", key->name,
                    shown);
    }
    if (!set_typed(p, key, value, shown)) {
        return false;
    }
    char reason[AMM_CONF_ERROR / 2] = "not allowed";
    if (key->parse != NULL && !key->parse(p->into, value, reason, sizeof reason)) {
        return fail(p, "%s: \"%s\" %s", key->name, shown, reason);
    }
    return true;
}

static bool set_defaults(struct parser *p)
{
    for (const struct amm_conf_key *key = p->schema->keys; key->name != NULL; key++) {
        if (strcmp(key->section, p->section->name) != 0 || key->initial == NULL ||
            key->type == AMM_CONF_LIST) {
            continue;
        }
        if (!set_value(p, key, amm_view_str(key->initial))) {
            return false;
        }
    }
    return true;
}

static bool end_section(struct parser *p)
{
    for (size_t i = 0; p->schema->keys[i].name != NULL; i++) {
        const struct amm_conf_key *key = &p->schema->keys[i];
        if (strcmp(key->section, p->section->name) == 0 && key->initial == NULL &&
            key->type != AMM_CONF_LIST && !(p->seen >> i & 1)) {
            return fail(p, "%s: must be given%s%s%s", key->name,
                        *key->section ? " in section [" : "", key->section,
                        *key->section ? "]" : "");
        }
    }
    return true;
}

static bool begin_section(struct parser *p, const struct amm_conf_section *section,
                          struct amm_view name)
{
    char reason[AMM_CONF_ERROR / 2] = "not allowed";
    p->section = section;
    p->seen = 0;
    p->sections_seen |= 1ull << (section - p->schema->sections);
    if (section->begin == NULL) {
        p->into = NULL;
        return true;
    }
    p->into = section->begin(p->config, name, reason, sizeof reason);
    if (p->into == NULL) {
        char shown[NAME_BYTES];
        amm_text_clean(shown, sizeof shown, name);
        return fail(p, "[%s%s%s]: %s", section->name, name.len > 0 ? " " : "", shown, reason);
    }
    return set_defaults(p);
}

static bool parse_section_line(struct parser *p, struct amm_view line)
{
    if (line.data[line.len - 1] != ']') {
        return fail(p, "section without ']' (allowed: [name] alone on its line)");
    }
    struct amm_view inside = trim(amm_view(line.data + 1, line.len - 2));
    size_t word = 0;
    while (word < inside.len && !is_blank(inside.data[word])) {
        word++;
    }
    struct amm_view kind = amm_view(inside.data, word);
    struct amm_view name = trim(amm_view(inside.data + word, inside.len - word));
    char shown[NAME_BYTES];
    amm_text_clean(shown, sizeof shown, inside);
    for (const struct amm_conf_section *s = p->schema->sections; s->name != NULL; s++) {
        if (*s->name == '\0' || !equals(kind, s->name)) {
            continue;
        }
        if (s->is_named != (name.len > 0) || !is_printable(name)) {
            return fail(p, "[%s]: this section %s (allowed: [%s%s])", shown,
                        s->is_named ? "needs a name" : "has no name", s->name,
                        s->is_named ? " NAME" : "");
        }
        if (!s->is_named && p->sections_seen >> (s - p->schema->sections) & 1) {
            return fail(p, "[%s]: stands twice", shown);
        }
        return end_section(p) && begin_section(p, s, name);
    }
    return fail(p, "[%s]: unknown section", shown);
}

static bool parse_key_line(struct parser *p, struct amm_view line)
{
    const uint8_t *equal = memchr(line.data, '=', line.len);
    char shown[NAME_BYTES];
    if (equal == NULL) {
        amm_text_clean(shown, sizeof shown, line);
        return fail(p, "\"%s\" has no '=' (allowed: key = value)", shown);
    }
    struct amm_view name = trim(amm_view(line.data, (size_t)(equal - line.data)));
    struct amm_view value = trim(amm_view(equal + 1, line.len - (size_t)(equal + 1 - line.data)));
    amm_text_clean(shown, sizeof shown, name);
    if (p->section->begin == NULL) {
        return true;
    }
    const char *elsewhere = NULL;
    for (size_t i = 0; p->schema->keys[i].name != NULL; i++) {
        const struct amm_conf_key *key = &p->schema->keys[i];
        if (!equals(name, key->name)) {
            continue;
        }
        if (strcmp(key->section, p->section->name) != 0) {
            elsewhere = key->section;
            continue;
        }

        if (key->type != AMM_CONF_LIST && p->seen >> i & 1) {
            return fail(p, "%s: stands twice", key->name);
        }
        p->seen |= 1ull << i;
        return set_value(p, key, value);
    }
    if (p->section->is_shared) {
        return true;
    }
    if (elsewhere != NULL) {
        return fail(p, "%s: not in this section (allowed: %s%s%s)", shown,
                    *elsewhere ? "in [" : "at the top of the file", elsewhere,
                    *elsewhere ? "]" : "");
    }
    return fail(p, "%s: unknown key", shown);
}

static bool parse_line(struct parser *p, struct amm_view line)
{
    if (line.len > LINE_MAX_BYTES) {
        return fail(p, "line is too long (allowed: up to %d bytes)", LINE_MAX_BYTES);
    }
    line = trim(line);
    if (line.len == 0 || line.data[0] == '#') {
        return true;
    }
    return line.data[0] == '[' ? parse_section_line(p, line) : parse_key_line(p, line);
}

static bool begin_top(struct parser *p)
{
    for (const struct amm_conf_section *s = p->schema->sections; s->name != NULL; s++) {
        if (*s->name == '\0') {
            return begin_section(p, s, amm_view("", 0));
        }
    }
    return fail(p, "the schema has no top section");
}

/* Sections without a name are always there: those that the file does not have get their defaults.
 */
static bool begin_missing(struct parser *p)
{
    for (const struct amm_conf_section *s = p->schema->sections; s->name != NULL; s++) {
        bool is_seen = p->sections_seen >> (s - p->schema->sections) & 1;
        if (!s->is_named && !is_seen && !(begin_section(p, s, amm_view("", 0)) && end_section(p))) {
            return false;
        }
    }
    return true;
}

bool amm_conf_parse(const struct amm_conf_schema *schema, void *config, const char *file,
                    struct amm_view text, char error[AMM_CONF_ERROR])
{
    struct parser p = {.schema = schema, .config = config, .file = file, .line = 1, .error = error};
    error[0] = '\0';
    if (!begin_top(&p)) {
        return false;
    }
    for (p.line = 0; text.len > 0;) {
        const uint8_t *newline = memchr(text.data, '\n', text.len);
        size_t len = newline ? (size_t)(newline - text.data) : text.len;
        p.line++;
        if (!parse_line(&p, amm_view(text.data, len))) {
            return false;
        }
        text.data += newline ? len + 1 : len;
        text.len -= newline ? len + 1 : len;
    }
    return end_section(&p) && begin_missing(&p);
}
