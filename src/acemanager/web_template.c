#include "web_template.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEPTH = 16, PARTIALS = 8, NUMBER = 40 };

/* ---- text ---- */

static bool reserve(struct web_text *text, size_t len)
{
    if (text->failed || len > WEB_TEXT_MAX - text->len) {
        text->failed = true;
        return false;
    }
    if (text->len + len <= text->room) {
        return true;
    }
    size_t room = text->room ? text->room : 4096;
    while (room < text->len + len) {
        room *= 2;
    }
    char *data = realloc(text->data, room);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->room = room;
    return true;
}

void web_text_add(struct web_text *text, struct amm_view bytes)
{
    if (bytes.len > 0 && reserve(text, bytes.len)) {
        memcpy(text->data + text->len, bytes.data, bytes.len);
        text->len += bytes.len;
    }
}

static const char *entity(uint8_t c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void web_text_add_escaped(struct web_text *text, struct amm_view bytes)
{
    size_t plain = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        const char *escaped = entity(bytes.data[i]);
        if (escaped) {
            web_text_add(text, amm_view(bytes.data + plain, i - plain));
            web_text_add(text, amm_view_str(escaped));
            plain = i + 1;
        }
    }
    if (bytes.len > plain) {
        web_text_add(text, amm_view(bytes.data + plain, bytes.len - plain));
    }
}

void web_text_deinit(struct web_text *text)
{
    if (text->data) {
        amm_wipe(text->data, text->room); /* pages have tokens of forms in them */
    }
    free(text->data);
    *text = (struct web_text){0};
}

/* ---- names ---- */

struct scope {
    const json_t *at[DEPTH]; /* outermost first */
    size_t n;
};

static const json_t *member(const json_t *object, struct amm_view name)
{
    char key[64];
    if (!json_is_object(object) || name.len == 0 || name.len >= sizeof key) {
        return NULL;
    }
    memcpy(key, name.data, name.len);
    key[name.len] = '\0';
    return json_object_get(object, key);
}

static struct amm_view until(struct amm_view text, char end)
{
    const uint8_t *at = text.len > 0 ? memchr(text.data, end, text.len) : NULL;
    return at ? amm_view(text.data, (size_t)(at - text.data)) : text;
}

static const json_t *lookup(const struct scope *scope, struct amm_view name)
{
    const json_t *found = NULL;
    size_t outermost = 0;
    if (name.len > 0 && name.data[0] == '.') {
        if (name.len == 1) {
            return scope->at[scope->n - 1];
        }
        name = amm_view(name.data + 1, name.len - 1);
        outermost = scope->n - 1;
    }
    struct amm_view first = until(name, '.');
    for (size_t i = scope->n; i > outermost && !found; i--) {
        found = member(scope->at[i - 1], first);
    }
    while (found && first.len < name.len) {
        name = amm_view(name.data + first.len + 1, name.len - first.len - 1);
        first = until(name, '.');
        found = member(found, first);
    }
    return found;
}

static bool is_truthy(const json_t *value)
{
    if (!value) {
        return false;
    }
    switch (json_typeof(value)) {
    case JSON_TRUE:
    case JSON_OBJECT:
        return true;
    case JSON_STRING:
        return json_string_length(value) > 0;
    case JSON_INTEGER:
        return json_integer_value(value) != 0;
    case JSON_REAL:
        return json_real_value(value) != 0.0;
    case JSON_ARRAY:
        return json_array_size(value) > 0;
    case JSON_FALSE:
    case JSON_NULL:
        return false;
    }
    return false;
}

static void write_value(struct web_text *out, const json_t *value)
{
    char number[NUMBER];
    if (json_is_string(value)) {
        web_text_add_escaped(out, amm_view(json_string_value(value), json_string_length(value)));
    } else if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        web_text_add(out, amm_view_str(number));
    } else if (json_is_real(value)) {
        snprintf(number, sizeof number, "%.10g", json_real_value(value));
        web_text_add(out, amm_view_str(number));
    }
}

/* ---- marks ---- */

struct mark {
    char kind; /* '#', '^', '/', '>'; ' ' for a value */
    struct amm_view name;
    struct amm_view before; /* text in front of it */
    struct amm_view after;  /* template behind it */
};

/* The next mark. False if there is none (the rest is text) or, with `*broken`, if it does not end.
 */
static bool next_mark(struct amm_view text, struct mark *out, bool *broken)
{
    const uint8_t *open = text.len > 0 ? memmem(text.data, text.len, "{{", 2) : NULL;
    if (!open) {
        return false;
    }
    size_t start = (size_t)(open - text.data);
    const uint8_t *close = memmem(open, text.len - start, "}}", 2);
    if (!close || close == open + 2) {
        *broken = true;
        return false;
    }
    size_t end = (size_t)(close - text.data);
    bool is_value = !strchr("#^/>", open[2]);
    size_t skip = is_value ? 2 : 3;
    *out = (struct mark){
        .kind = is_value ? ' ' : (char)open[2],
        .name = amm_view(open + skip, end - start - skip),
        .before = amm_view(text.data, start),
        .after = amm_view(text.data + end + 2, text.len - end - 2),
    };
    return true;
}

/* What stands between a section's mark and its end; `*after` is what follows the end. */
static bool section_body(const struct mark *begin, struct amm_view *body, struct amm_view *after)
{
    struct amm_view rest = begin->after;
    struct mark mark;
    bool broken = false;
    unsigned depth = 0;
    while (next_mark(rest, &mark, &broken)) {
        if (mark.kind == '#' || mark.kind == '^') {
            depth++;
        } else if (mark.kind == '/' && depth-- == 0) {
            const uint8_t *end = mark.before.data + mark.before.len;
            *body = amm_view(begin->after.data, (size_t)(end - begin->after.data));
            *after = mark.after;
            return amm_view_equal(mark.name, begin->name);
        }
        rest = mark.after;
    }
    return false;
}

struct job {
    struct web_text *out;
    web_template_find find;
    struct scope scope;
    unsigned partials;
};

static bool render(struct job *job, struct amm_view text);

static bool render_partial(struct job *job, struct amm_view name)
{
    struct amm_view text = job->find(name);
    if (!text.data || job->partials == PARTIALS) {
        return false;
    }
    job->partials++;
    bool ok = render(job, text);
    job->partials--;
    return ok;
}

static bool render_in(struct job *job, struct amm_view body, const json_t *element)
{
    if (job->scope.n == DEPTH) {
        return false;
    }
    job->scope.at[job->scope.n++] = element;
    bool ok = render(job, body);
    job->scope.n--;
    return ok;
}

static bool render_section(struct job *job, const struct mark *mark, struct amm_view body)
{
    const json_t *value = lookup(&job->scope, mark->name);
    if (mark->kind == '^') {
        return is_truthy(value) || render(job, body);
    }
    if (!json_is_array(value)) {
        return !is_truthy(value) ||
               (json_is_object(value) ? render_in(job, body, value) : render(job, body));
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!render_in(job, body, json_array_get(value, i))) {
            return false;
        }
    }
    return true;
}

static bool render(struct job *job, struct amm_view text)
{
    struct mark mark;
    bool broken = false;
    while (next_mark(text, &mark, &broken)) {
        struct amm_view body;
        web_text_add(job->out, mark.before);
        text = mark.after;
        if (mark.kind == '#' || mark.kind == '^') {
            if (!section_body(&mark, &body, &text) || !render_section(job, &mark, body)) {
                return false;
            }
        } else if (mark.kind == '>') {
            if (!render_partial(job, mark.name)) {
                return false;
            }
        } else if (mark.kind == ' ') {
            write_value(job->out, lookup(&job->scope, mark.name));
        } else {
            return false; /* an end without a beginning */
        }
    }
    web_text_add(job->out, text);
    return !broken && !job->out->failed;
}

bool web_template_render(struct web_text *out, struct amm_view name, const json_t *data,
                         web_template_find find)
{
    struct job job = {.out = out, .find = find, .scope = {.at = {data}, .n = 1}};
    struct amm_view text = find(name);
    return text.data && render(&job, text);
}
