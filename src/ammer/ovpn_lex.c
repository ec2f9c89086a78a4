/* Words, quotes, comments and inline blocks of `.ovpn` files. */
#include "ovpn.h"

void amm_ovpn_lexer_init(struct amm_ovpn_lexer *lexer, struct amm_view text, unsigned first_line)
{
    memset(lexer, 0, sizeof *lexer);
    lexer->text = text;
    lexer->line = first_line - 1;
    if (text.len >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0) {
        lexer->at = 3;
    }
}

static bool take_line(struct amm_ovpn_lexer *lexer, struct amm_view *line)
{
    if (lexer->at >= lexer->text.len) {
        return false;
    }
    const uint8_t *start = lexer->text.data + lexer->at;
    size_t left = lexer->text.len - lexer->at;
    const uint8_t *newline = memchr(start, '\n', left);
    size_t len = newline ? (size_t)(newline - start) : left;
    lexer->at += newline ? len + 1 : len;
    lexer->line++;
    if (len > 0 && start[len - 1] == '\r') {
        len--;
    }
    *line = amm_view(start, len);
    return true;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

static struct amm_view trimmed(struct amm_view line)
{
    while (line.len > 0 && is_space(line.data[0])) {
        line.data++;
        line.len--;
    }
    while (line.len > 0 && is_space(line.data[line.len - 1])) {
        line.len--;
    }
    return line;
}

/* Copies one word from `line`, which starts with it, to `out`, and moves `line` behind it.
 * Backslash takes the next character as it is, except within single quotes. */
static const char *take_word(struct amm_view *line, char **out)
{
    uint8_t quote = 0;
    while (line->len > 0) {
        uint8_t c = line->data[0];
        if (quote == 0 && is_space(c)) {
            break;
        }
        line->data++;
        line->len--;
        if (c == '\\' && quote != '\'') {
            if (line->len == 0) {
                return "nothing follows the backslash";
            }
            *(*out)++ = (char)line->data[0];
            line->data++;
            line->len--;
        } else if (quote != 0 ? c == quote : (c == '"' || c == '\'')) {
            quote = quote != 0 ? 0 : c;
        } else {
            *(*out)++ = (char)c;
        }
    }
    *(*out)++ = '\0';
    return quote != 0 ? "the quote is not closed" : NULL;
}

static const char *split_words(struct amm_ovpn_lexer *lexer, struct amm_view line)
{
    char *out = lexer->words;
    lexer->n_arguments = 0;
    for (line = trimmed(line); line.len > 0; line = trimmed(line)) {
        if (line.data[0] == '#' || line.data[0] == ';') {
            break;
        }
        if (lexer->n_arguments == AMM_OVPN_ARGUMENTS) {
            return "too many words";
        }
        lexer->arguments[lexer->n_arguments++] = out;
        const char *broken = take_word(&line, &out);
        if (broken) {
            return broken;
        }
    }
    return NULL;
}

/* "<ca>": the tag's name, or an empty view. */
static struct amm_view tag_name(struct amm_view line)
{
    if (line.len < 3 || line.data[0] != '<' || line.data[line.len - 1] != '>' ||
        line.data[1] == '/') {
        return amm_view(NULL, 0);
    }
    struct amm_view name = amm_view(line.data + 1, line.len - 2);
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return amm_view(NULL, 0);
        }
    }
    return name;
}

static bool closes(struct amm_view line, struct amm_view name)
{
    line = trimmed(line);
    return line.len == name.len + 3 && memcmp(line.data, "</", 2) == 0 &&
           memcmp(line.data + 2, name.data, name.len) == 0 && line.data[line.len - 1] == '>';
}

static enum amm_ovpn_token take_block(struct amm_ovpn_lexer *lexer, struct amm_view name)
{
    unsigned opened = lexer->line;
    size_t start = lexer->at;
    memcpy(lexer->words, name.data, name.len);
    lexer->words[name.len] = '\0';
    lexer->arguments[0] = lexer->words;
    lexer->n_arguments = 1;
    lexer->body_line = opened + 1;
    for (;;) {
        size_t end = lexer->at;
        struct amm_view line;
        if (!take_line(lexer, &line)) {
            lexer->line = opened;
            lexer->broken = "the block is never closed";
            return AMM_OVPN_BROKEN;
        }
        if (closes(line, name)) {
            lexer->body = amm_view(lexer->text.data + start, end - start);
            lexer->line = opened;
            return AMM_OVPN_BLOCK;
        }
    }
}

enum amm_ovpn_token amm_ovpn_lexer_next(struct amm_ovpn_lexer *lexer)
{
    struct amm_view line;
    /* A block's lines are counted when it is left behind. */
    if (lexer->body.data) {
        for (size_t i = 0; i < lexer->body.len; i++) {
            lexer->line += lexer->body.data[i] == '\n';
        }
        lexer->line++;
        lexer->body = amm_view(NULL, 0);
    }
    while (take_line(lexer, &line)) {
        lexer->n_arguments = 0;
        if (line.len > AMM_OVPN_LINE_MAX) {
            lexer->broken = "the line is longer than 1024 characters";
            return AMM_OVPN_BROKEN;
        }
        if (line.len > 0 && memchr(line.data, 0, line.len)) {
            lexer->broken = "the line contains a NUL character";
            return AMM_OVPN_BROKEN;
        }
        struct amm_view name = tag_name(trimmed(line));
        if (name.len > 0) {
            return take_block(lexer, name);
        }
        lexer->broken = split_words(lexer, line);
        if (lexer->broken) {
            return AMM_OVPN_BROKEN;
        }
        if (lexer->n_arguments > 0) {
            return AMM_OVPN_LINE;
        }
    }
    return AMM_OVPN_END;
}
