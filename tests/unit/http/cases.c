#include "cases.h"

#include <stdio.h>
#include <stdlib.h>

enum { BYTES_MAX = 65536, EXPECTED_MAX = 4096, LINE_MAX_ = 4096 };

static void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static _Noreturn void give_up(const char *path, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s\n", path, line, what);
    exit(1);
}

static int escape(const char **text, uint8_t *byte)
{
    const char *p = *text + 1;
    switch (*p) {
    case 'r':
        *byte = '\r';
        break;
    case 'n':
        *byte = '\n';
        break;
    case 't':
        *byte = '\t';
        break;
    case '\\':
        *byte = '\\';
        break;
    case 'x':
        if (!amm_unhex(byte, 1, p + 1)) {
            return -1;
        }
        p += 2;
        break;
    default:
        return -1;
    }
    *text = p + 1;
    return 0;
}

/* Appends `text` with its escapes to `w`. \{300|text} is text 300 times. */
static int unescape(struct amm_writer *w, const char *text, const char *end)
{
    while (text < end) {
        uint8_t byte = (uint8_t)*text;
        if (text[0] == '\\' && text[1] == '{') {
            char *bar;
            unsigned long times = strtoul(text + 2, &bar, 10);
            const char *close = strchr(bar, '}');
            if (*bar != '|' || close == NULL) {
                return -1;
            }
            while (times-- > 0) {
                if (unescape(w, bar + 1, close) != 0) {
                    return -1;
                }
            }
            text = close + 1;
            continue;
        }
        if (byte == '\\') {
            if (escape(&text, &byte) != 0) {
                return -1;
            }
        } else {
            text++;
        }
        amm_write_u8(w, byte);
    }
    return w->failed ? -1 : 0;
}

static struct http_case *begin(struct http_cases *cases, const char *line, int number)
{
    cases->at = must(realloc(cases->at, (cases->n + 1) * sizeof cases->at[0]));
    struct http_case *now = &cases->at[cases->n++];
    *now = (struct http_case){.line = number};
    snprintf(now->name, sizeof now->name, "%s", line);
    now->head = strstr(line, "[HEAD]") != NULL;
    now->connect = strstr(line, "[CONNECT]") != NULL;
    now->bytes = must(malloc(BYTES_MAX));
    now->expected = must(calloc(1, EXPECTED_MAX));
    return now;
}

static const char *take_line(struct http_cases *cases, struct http_case **now, const char *line,
                             int number)
{
    if (line[0] == '#' || line[0] == 0) {
        return NULL;
    }
    if (line[0] != ' ' && line[0] != '=') {
        *now = begin(cases, line, number);
        return NULL;
    }
    if (*now == NULL) {
        return "no case has begun";
    }
    if (line[0] == '=') {
        size_t len = strlen((*now)->expected);
        snprintf((*now)->expected + len, EXPECTED_MAX - len, "%s\n", line + 2);
        return NULL;
    }
    struct amm_writer w = amm_writer((*now)->bytes + (*now)->len, BYTES_MAX - (*now)->len);
    if (line[1] != ' ' || unescape(&w, line + 2, line + strlen(line)) != 0) {
        return "cannot read this line";
    }
    (*now)->len += amm_writer_len(&w);
    return NULL;
}

struct http_cases http_cases_read(const char *path)
{
    static char line[LINE_MAX_];
    struct http_cases cases = {0};
    struct http_case *now = NULL;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        give_up(path, 0, "cannot be read");
    }
    for (int number = 1; fgets(line, sizeof line, file) != NULL; number++) {
        size_t len = strlen(line);
        if (len == 0 || line[len - 1] != '\n') {
            give_up(path, number, "line too long");
        }
        line[len - 1] = 0;
        const char *wrong = take_line(&cases, &now, line, number);
        if (wrong != NULL) {
            give_up(path, number, wrong);
        }
    }
    fclose(file);
    return cases;
}

void http_cases_free(struct http_cases *cases)
{
    for (size_t i = 0; i < cases->n; i++) {
        free(cases->at[i].bytes);
        free(cases->at[i].expected);
    }
    free(cases->at);
    *cases = (struct http_cases){0};
}
