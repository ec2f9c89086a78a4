#include "mutate.h"

#define WORD(text)                                                                                 \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }

static const struct word {
    const char *text;
    size_t len;
} words[] = {
    WORD("\r\n"),
    WORD("\n"),
    WORD("\r"),
    WORD("\r\n "),
    WORD("\r\n\r\n"),
    WORD(" "),
    WORD("\t"),
    WORD("\0"),
    WORD("\x0b"),
    WORD("\xff"),
    WORD("\x7f"),
    WORD(":"),
    WORD(","),
    WORD(";"),
    WORD("="),
    WORD("\""),
    WORD("\\"),
    WORD("%"),
    WORD("%00"),
    WORD("+"),
    WORD("-"),
    WORD("0"),
    WORD("1"),
    WORD("0x"),
    WORD("?"),
    WORD("#"),
    WORD("/"),
    WORD("chunked"),
    WORD("close"),
    WORD("keep-alive"),
    WORD("Content-Length: 5\r\n"),
    WORD("Content-Length: 0\r\n"),
    WORD("Transfer-Encoding: chunked\r\n"),
    WORD("Transfer-Encoding: identity\r\n"),
    WORD("Connection: close\r\n"),
    WORD("Connection: upgrade\r\nUpgrade: x\r\n"),
    WORD("Host: h\r\n"),
    WORD("0\r\n\r\n"),
    WORD("5\r\nhello\r\n"),
    WORD("hello"),
    WORD("HTTP/1.0"),
    WORD("HTTP/1.1"),
    WORD("GET /next HTTP/1.1\r\nHost: h\r\n\r\n"),
    WORD("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    WORD("HTTP/1.1 204 No Content\r\n\r\n"),
};

struct text {
    uint8_t *data;
    size_t len, room;
};

static size_t below(const struct amm_random *random, size_t bound)
{
    return (size_t)amm_random_below(random, bound);
}

static void insert(struct text *text, size_t at, const void *data, size_t len)
{
    if (len <= text->room - text->len) {
        memmove(text->data + at + len, text->data + at, text->len - at);
        memcpy(text->data + at, data, len);
        text->len += len;
    }
}

static void take_out(struct text *text, size_t at, size_t len)
{
    len = len < text->len - at ? len : text->len - at;
    memmove(text->data + at, text->data + at + len, text->len - at - len);
    text->len -= len;
}

/* The line around `at`, with its line feed. */
static void line_around(const struct text *text, size_t at, size_t *start, size_t *len)
{
    *start = at;
    while (*start > 0 && text->data[*start - 1] != '\n') {
        (*start)--;
    }
    size_t end = at;
    while (end < text->len && text->data[end] != '\n') {
        end++;
    }
    *len = (end < text->len ? end + 1 : end) - *start;
}

static void change_line(const struct amm_random *random, struct text *text, size_t at)
{
    uint8_t line[256];
    size_t start, len;
    line_around(text, at, &start, &len);
    if (len > sizeof line) {
        return;
    }
    memcpy(line, text->data + start, len);
    bool moves = below(random, 2) == 0;
    if (moves) {
        take_out(text, start, len);
    }
    size_t other_start, other_len;
    line_around(text, below(random, text->len + 1), &other_start, &other_len);
    insert(text, moves ? other_start : start, line, len);
}

static void change(const struct amm_random *random, const struct http_cases *cases,
                   struct text *text)
{
    size_t at = below(random, text->len + 1);
    const struct word *word = &words[below(random, sizeof words / sizeof words[0])];
    switch (below(random, 8)) {
    case 0:
        take_out(text, at, 1 + below(random, 3));
        return;
    case 1:
        if (at < text->len) {
            text->data[at] ^= (uint8_t)(1u << below(random, 8));
        }
        return;
    case 2:
        if (at < text->len) {
            text->data[at] = (uint8_t)word->text[0];
        }
        return;
    case 3:
        change_line(random, text, at);
        return;
    case 4: { /* the end of another one */
        const struct http_case *other = &cases->at[below(random, cases->n)];
        size_t from = below(random, other->len + 1);
        if (other->len - from < 512) {
            text->len = at;
            insert(text, at, other->bytes + from, other->len - from);
        }
        return;
    }
    default:
        insert(text, at, word->text, word->len);
        return;
    }
}

size_t mutate_case(const struct amm_random *random, const struct http_cases *cases, uint8_t *out,
                   size_t room)
{
    const struct http_case *one;
    bool good = below(random, 2) == 0; /* most cases are refused, and so are their mutations */
    do {
        one = &cases->at[below(random, cases->n)];
    } while (one->len > room / 2 || (good && strstr(one->expected, "bad") != NULL));
    struct text text = {out, one->len, room};
    memcpy(out, one->bytes, one->len);
    for (size_t n = 1 + below(random, 3); n > 0; n--) {
        change(random, cases, &text);
    }
    return text.len;
}
