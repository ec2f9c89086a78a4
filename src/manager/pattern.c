#include "pattern.h"

#include <stdio.h>

/* ---- from text to steps ---- */

enum step_op {
    STEP_CHAR,  /* c */
    STEP_ANY,   /* . */
    STEP_CLASS, /* ranges x .. x+y; c: 1 if negated */
    STEP_START, /* ^ */
    STEP_END,   /* $ */
    STEP_SPLIT, /* x before y */
    STEP_JUMP,  /* x */
    STEP_MATCH,
};

enum { DEPTH_MAX = 16 };

/* The text of the pattern, read one character at a time; steps go straight into *out. */
struct compiler {
    struct pattern *out;
    struct amm_view text;
    size_t at;
    unsigned depth;
    const char *problem; /* NULL: none so far */
};

static bool fail(struct compiler *c, const char *problem)
{
    if (c->problem == NULL) {
        c->problem = problem;
    }
    return false;
}

/* One character at `*at`; what is no UTF-8 stands for itself, byte by byte. */
static uint32_t next_character(struct amm_view text, size_t *at)
{
    uint8_t first = text.data[(*at)++];
    unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
    uint32_t c = more == 0 ? first : first & (0x3fu >> more);
    if (more > text.len - *at) {
        return first;
    }
    for (unsigned i = 0; i < more; i++) {
        if ((text.data[*at + i] & 0xc0) != 0x80) {
            return first;
        }
        c = c << 6 | (text.data[*at + i] & 0x3f);
    }
    *at += more;
    return c;
}

static bool is_at_end(const struct compiler *c)
{
    return c->at == c->text.len;
}

static bool is_next(const struct compiler *c, char character)
{
    return !is_at_end(c) && c->text.data[c->at] == (uint8_t)character;
}

static bool add_step(struct compiler *c, enum step_op op, uint16_t x, uint16_t y,
                     uint32_t character)
{
    if (c->out->n_steps == PATTERN_STEPS) {
        return fail(c, "it is too long");
    }
    c->out->steps[c->out->n_steps++] = (struct pattern_step){(uint8_t)op, x, y, character};
    return true;
}

/* Makes room for one step at `at`: whatever points behind it moves along. */
static bool insert_step(struct compiler *c, uint16_t at, enum step_op op)
{
    struct pattern *out = c->out;
    if (!add_step(c, op, 0, 0, 0)) {
        return false;
    }
    for (uint16_t i = (uint16_t)(out->n_steps - 1); i > at; i--) {
        out->steps[i] = out->steps[i - 1];
        if (out->steps[i].op == STEP_SPLIT || out->steps[i].op == STEP_JUMP) {
            out->steps[i].x = (uint16_t)(out->steps[i].x + (out->steps[i].x >= at));
            out->steps[i].y = (uint16_t)(out->steps[i].y + (out->steps[i].y >= at));
        }
    }
    out->steps[at] = (struct pattern_step){.op = (uint8_t)op};
    return true;
}

static bool add_range(struct compiler *c, uint32_t first, uint32_t last)
{
    if (c->out->n_ranges == PATTERN_RANGES) {
        return fail(c, "it has too many ranges in brackets");
    }
    if (first > last) {
        return fail(c, "a range in brackets goes backwards");
    }
    c->out->ranges[c->out->n_ranges++] = (struct pattern_range){first, last};
    return true;
}

/* \d \w \s: adds its ranges; false if the letter names no class. */
static bool add_named(struct compiler *c, char name)
{
    switch (name) {
    case 'd':
        return add_range(c, '0', '9');
    case 'w':
        return add_range(c, '0', '9') && add_range(c, 'A', 'Z') && add_range(c, 'a', 'z') &&
               add_range(c, '_', '_');
    case 's':
        return add_range(c, ' ', ' ') && add_range(c, '\t', '\r');
    default:
        return false;
    }
}

static bool is_letter_or_digit(uint32_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Behind a '\'. */
static bool compile_escape(struct compiler *c)
{
    if (is_at_end(c)) {
        return fail(c, "it ends with '\\'");
    }
    uint32_t character = next_character(c->text, &c->at);
    if (!is_letter_or_digit(character)) {
        return add_step(c, STEP_CHAR, 0, 0, character);
    }
    uint16_t first = c->out->n_ranges;
    bool is_negated = character >= 'A' && character <= 'Z';
    if (!add_named(c, (char)(character | 0x20))) {
        return fail(c, "'\\' may stand before d, w, s, D, W, S, or a character that is no letter "
                       "and no digit");
    }
    return add_step(c, STEP_CLASS, first, (uint16_t)(c->out->n_ranges - first), is_negated);
}

/* Behind a '['. A ']' that comes first is one of the characters. */
static bool compile_brackets(struct compiler *c)
{
    uint16_t first = c->out->n_ranges;
    bool is_negated = is_next(c, '^');
    c->at += is_negated;
    for (size_t begin = c->at; !is_next(c, ']') || c->at == begin;) {
        if (is_at_end(c)) {
            return fail(c, "a '[' has no ']'");
        }
        uint32_t low = next_character(c->text, &c->at);
        if (low == '\\') {
            if (is_at_end(c)) {
                return fail(c, "a '[' has no ']'");
            }
            low = next_character(c->text, &c->at);
            if (is_letter_or_digit(low)) {
                if (!add_named(c, (char)low)) {
                    return fail(c, "in brackets '\\' may stand before d, w, s, or a character that "
                                   "is no letter and no digit");
                }
                continue;
            }
        }
        uint32_t high = low;
        if (is_next(c, '-') && c->at + 1 < c->text.len && c->text.data[c->at + 1] != ']') {
            c->at++;
            high = next_character(c->text, &c->at);
        }
        if (!add_range(c, low, high)) {
            return false;
        }
    }
    c->at++;
    return add_step(c, STEP_CLASS, first, (uint16_t)(c->out->n_ranges - first), is_negated);
}

static bool compile_alternatives(struct compiler *c);

static bool compile_group(struct compiler *c)
{
    if (c->depth == DEPTH_MAX) {
        return fail(c, "its parentheses are nested too deep");
    }
    c->depth++;
    bool ok = compile_alternatives(c) && (is_next(c, ')') || fail(c, "a '(' has no ')'"));
    c->depth--;
    c->at++;
    return ok;
}

static bool compile_atom(struct compiler *c)
{
    uint32_t character = next_character(c->text, &c->at);
    switch (character) {
    case '(':
        return compile_group(c);
    case '[':
        return compile_brackets(c);
    case '\\':
        return compile_escape(c);
    case '.':
        return add_step(c, STEP_ANY, 0, 0, 0);
    case '^':
        return add_step(c, STEP_START, 0, 0, 0);
    case '$':
        return add_step(c, STEP_END, 0, 0, 0);
    case '*':
    case '+':
    case '?':
        return fail(c, "'*', '+' and '?' need something before them");
    case '{':
    case '}':
        return fail(c, "counts in braces are not known; a brace itself is written \\{");
    default:
        return add_step(c, STEP_CHAR, 0, 0, character);
    }
}

/* The steps from `begin` on, again and again or not at all. */
static bool repeat(struct compiler *c, uint16_t begin, char how)
{
    struct pattern *out = c->out;
    if (how == '+') { /* body, split(body, on) */
        return add_step(c, STEP_SPLIT, begin, (uint16_t)(out->n_steps + 1), 0);
    }
    if (!insert_step(c, begin, STEP_SPLIT) ||
        (how == '*' && !add_step(c, STEP_JUMP, begin, 0, 0))) {
        return false;
    }
    out->steps[begin].x = (uint16_t)(begin + 1);
    out->steps[begin].y = out->n_steps;
    return true;
}

static bool compile_sequence(struct compiler *c)
{
    while (!is_at_end(c) && !is_next(c, '|') && !is_next(c, ')')) {
        uint16_t begin = c->out->n_steps;
        if (!compile_atom(c)) {
            return false;
        }
        if (is_next(c, '*') || is_next(c, '+') || is_next(c, '?')) {
            char how = (char)c->text.data[c->at++];
            if (is_next(c, '*') || is_next(c, '+') || is_next(c, '?')) {
                return fail(c, "'*', '+' and '?' do not follow each other");
            }
            if (!repeat(c, begin, how)) {
                return false;
            }
        }
    }
    return true;
}

/* a|b|c: split(a, other), a, jump on, other: b ... */
static bool compile_alternatives(struct compiler *c)
{
    uint16_t begin = c->out->n_steps;
    if (!compile_sequence(c)) {
        return false;
    }
    if (!is_next(c, '|')) {
        return true;
    }
    c->at++;
    if (!insert_step(c, begin, STEP_SPLIT)) {
        return false;
    }
    uint16_t jump = c->out->n_steps;
    if (!add_step(c, STEP_JUMP, 0, 0, 0)) {
        return false;
    }
    c->out->steps[begin].x = (uint16_t)(begin + 1);
    c->out->steps[begin].y = c->out->n_steps;
    /* Each '|' goes one call deeper: a pattern has no room for more of them than the stack has. */
    if (!compile_alternatives(c)) {
        return false;
    }
    c->out->steps[jump].x = c->out->n_steps;
    return true;
}

bool pattern_compile(struct pattern *out, const char *text, char *error, size_t room)
{
    struct compiler c = {.out = out, .text = amm_view_str(text)};
    out->n_steps = out->n_ranges = 0;
    if (c.text.len > PATTERN_MAX) {
        fail(&c, "it has more than 64 bytes");
    } else if (compile_alternatives(&c)) {
        if (!is_at_end(&c)) {
            fail(&c, "a ')' has no '('");
        } else {
            add_step(&c, STEP_MATCH, 0, 0, 0);
        }
    }
    if (c.problem != NULL) {
        snprintf(
            error, room,
            "the regular expression cannot be used: at character %zu %s (known: . [a-z] [^a-z] "
            "\\d \\w \\s ^ $ ( ) | * + ?)",
            c.at, c.problem);
        return false;
    }
    return true;
}

/* ---- matching ---- */

/* All ways that a match may be under way, at one place of the text, best first. `seen`: a step is
 * in the list once, which is what keeps the time bounded. */
struct ways {
    uint16_t n;
    uint16_t step[PATTERN_STEPS];
    uint16_t from[PATTERN_STEPS]; /* where it began, as a character's number */
};

struct machine {
    const struct pattern *pattern;
    uint32_t n; /* characters */
    uint32_t c[PATTERN_TEXT];
    uint16_t byte[PATTERN_TEXT + 1]; /* where each begins */
    uint16_t seen[PATTERN_STEPS];    /* number of the place + 1 */
};

static bool is_in_class(const struct pattern *pattern, const struct pattern_step *step, uint32_t c)
{
    bool is_in = false;
    for (uint16_t i = 0; i < step->y && !is_in; i++) {
        const struct pattern_range *range = &pattern->ranges[step->x + i];
        is_in = c >= range->first && c <= range->last;
    }
    return is_in != (step->c != 0);
}

static bool takes(const struct pattern *pattern, const struct pattern_step *step, uint32_t c)
{
    return step->op == STEP_ANY || (step->op == STEP_CHAR && step->c == c) ||
           (step->op == STEP_CLASS && is_in_class(pattern, step, c));
}

/* Follows what takes no character, best first. A stack of its own: a pattern is not to choose how
 * deep the thread's goes. */
static void add_way(struct machine *machine, struct ways *ways, uint16_t first, uint16_t from,
                    uint32_t at)
{
    uint16_t stack[PATTERN_STEPS + 1], n = 0;
    stack[n++] = first;
    while (n > 0) {
        uint16_t i = stack[--n];
        const struct pattern_step *step = &machine->pattern->steps[i];
        if (machine->seen[i] == at + 1) {
            continue;
        }
        machine->seen[i] = (uint16_t)(at + 1);
        if (step->op == STEP_JUMP) {
            stack[n++] = step->x;
        } else if (step->op == STEP_SPLIT) {
            stack[n++] = step->y;
            stack[n++] = step->x;
        } else if ((step->op != STEP_START || at == 0) &&
                   (step->op != STEP_END || at == machine->n)) {
            if (step->op == STEP_START || step->op == STEP_END) {
                stack[n++] = (uint16_t)(i + 1);
            } else {
                ways->step[ways->n] = i;
                ways->from[ways->n++] = from;
            }
        }
    }
}

static void read_text(struct machine *machine, struct amm_view text)
{
    size_t at = 0;
    while (machine->n < PATTERN_TEXT && at < text.len && at < UINT16_MAX - 4) {
        machine->byte[machine->n] = (uint16_t)at;
        machine->c[machine->n++] = next_character(text, &at);
    }
    machine->byte[machine->n] = (uint16_t)at;
}

bool pattern_find(const struct pattern *pattern, struct amm_view text, size_t *from, size_t *to)
{
    struct machine machine = {.pattern = pattern};
    struct ways lists[2], *now = &lists[0], *next = &lists[1];
    bool is_found = false;
    read_text(&machine, text);
    now->n = 0;
    for (uint32_t at = 0; at <= machine.n; at++) {
        if (!is_found) { /* a match may begin here; one that began before is better */
            add_way(&machine, now, 0, (uint16_t)at, at);
        }
        if (now->n == 0 && is_found) {
            break;
        }
        next->n = 0;
        for (uint16_t i = 0; i < now->n; i++) {
            const struct pattern_step *step = &pattern->steps[now->step[i]];
            if (step->op == STEP_MATCH) {
                *from = machine.byte[now->from[i]];
                *to = machine.byte[at];
                is_found = true;
                break; /* what comes behind is less good */
            }
            if (at < machine.n && takes(pattern, step, machine.c[at])) {
                add_way(&machine, next, (uint16_t)(now->step[i] + 1), now->from[i], at + 1);
            }
        }
        struct ways *swap = now;
        now = next;
        next = swap;
    }
    return is_found;
}
