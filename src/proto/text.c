#include "text.h"

#include "words.h"

enum { COMMANDS_MAX = 64 }; /* in one record */

/* ---- reading ---- */

static bool is_printable(uint8_t c)
{
    return c >= 0x20 && c <= 0x7e;
}

static bool is_line_end(uint8_t c)
{
    return c == '\r' || c == '\n';
}

/* The command at the start of `record` without NUL and line ends; `*eaten` counts both. False if
 * malformed. */
static bool first_command(struct amm_view record, struct amm_view *command, size_t *eaten)
{
    const uint8_t *nul = memchr(record.data, 0, record.len);
    if (!nul) {
        return false;
    }
    size_t len = (size_t)(nul - record.data);
    *eaten = len + 1;
    while (len > 0 && is_line_end(record.data[len - 1])) {
        len--;
    }
    *command = amm_view(record.data, len);
    for (size_t i = 0; i < len; i++) {
        if (!is_printable(record.data[i])) {
            return false;
        }
    }
    return true;
}

/* A record is good or bad as a whole: nothing of a bad one may have been obeyed (TEXT-3). The bound
 * keeps a record of thousands of tiny commands, each of which costs a look at all that follow, from
 * being cheaper to send than to read. */
static bool is_good_record(struct amm_view record)
{
    for (unsigned n = 0; record.len > 0; n++) {
        struct amm_view command;
        size_t eaten;
        if (n == COMMANDS_MAX || !first_command(record, &command, &eaten)) {
            return false;
        }
        record = amm_view(record.data + eaten, record.len - eaten);
    }
    return true;
}

/* Takes "[flags]" off the front of `*text`; false if no such list stands there. */
static bool take_flags(struct amm_view *text, struct amm_view *flags)
{
    if (text->len == 0 || text->data[0] != '[' || !memchr(text->data, ']', text->len)) {
        return false;
    }
    amm_words_cut(text, ']', flags);
    return amm_words_skip(flags, "[");
}

static uint16_t read_seconds(struct amm_view text)
{
    uint32_t value = 0;
    return amm_words_number(text, UINT16_MAX, &value) ? (uint16_t)value : 0;
}

/* "[backoff 42,advance no]:text" after AUTH_FAILED,TEMP */
static void read_temporary(struct amm_text *out, struct amm_view rest)
{
    struct amm_view flags, flag;
    out->is_temporary = true;
    if (take_flags(&rest, &flags)) {
        while (amm_words_cut(&flags, ',', &flag)) {
            if (amm_words_skip(&flag, "backoff ")) {
                out->backoff = read_seconds(flag);
            } else if (amm_words_is(flag, "advance remote")) {
                out->next_remote = true;
            }
        }
    }
    amm_words_skip(&rest, ":");
    out->reason = rest;
}

/* "[N]text" after RESTART, */
static void read_restart(struct amm_text *out, struct amm_view rest)
{
    struct amm_view flags;
    if (take_flags(&rest, &flags)) {
        out->next_remote = flags.len > 0 && memchr(flags.data, 'N', flags.len) != NULL;
    }
    out->reason = rest;
}

static const struct {
    const char *word;
    enum amm_text_kind kind;
} commands[] = {
    {"PUSH_REQUEST", AMM_TEXT_PUSH_REQUEST},
    {"PUSH_REPLY", AMM_TEXT_PUSH_REPLY},
    {"AUTH_FAILED", AMM_TEXT_AUTH_FAILED},
    {"AUTH_PENDING", AMM_TEXT_AUTH_PENDING},
    {"RESTART", AMM_TEXT_RESTART},
    {"HALT", AMM_TEXT_HALT},
    {"INFO", AMM_TEXT_INFO},
    {"INFO_PRE", AMM_TEXT_INFO},
    {"EXIT", AMM_TEXT_EXIT},
};

static void understand(struct amm_text *out)
{
    struct amm_view rest = out->message, word;
    amm_words_cut(&rest, ',', &word);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (amm_words_is(word, commands[i].word)) {
            out->kind = commands[i].kind;
        }
    }
    out->reason = rest;
    if (out->kind == AMM_TEXT_RESTART) {
        read_restart(out, rest);
    } else if (out->kind == AMM_TEXT_AUTH_PENDING && amm_words_skip(&rest, "timeout ")) {
        out->timeout = read_seconds(rest);
    } else if (out->kind == AMM_TEXT_AUTH_FAILED && amm_words_skip(&rest, "TEMP")) {
        /* "TEMP" must end there: "TEMPORARILY CLOSED" is a reason. */
        if (rest.len == 0 || rest.data[0] == '[' || rest.data[0] == ':') {
            read_temporary(out, rest);
        }
    }
}

enum amm_text_result amm_text_next(struct amm_view *rest, struct amm_text *out)
{
    memset(out, 0, sizeof *out);
    if (!is_good_record(*rest)) {
        return AMM_TEXT_BAD;
    }
    while (rest->len > 0) {
        size_t eaten;
        if (!first_command(*rest, &out->message, &eaten)) {
            return AMM_TEXT_BAD;
        }
        *rest = amm_view(rest->data + eaten, rest->len - eaten);
        if (out->message.len > 0) {
            understand(out);
            return AMM_TEXT_TAKEN;
        }
    }
    return AMM_TEXT_END;
}

/* ---- writing ---- */

void amm_text_write(struct amm_writer *w, const char *command)
{
    amm_write_str(w, command);
    amm_write_u8(w, 0);
}

void amm_text_refuse(struct amm_writer *w, enum amm_refusal refusal, uint16_t backoff,
                     uint32_t iv_proto, const char *reason)
{
    char words[128];
    bool next_remote = refusal == AMM_REFUSE_NEXT_REMOTE;
    amm_text_clean(words, sizeof words, amm_view_str(reason));
    if (refusal == AMM_REFUSE_FOR_GOOD) {
        /* "TEMP" in front would turn it into its opposite. */
        bool is_mistakable = strncmp(words, "TEMP", 4) == 0 || strncmp(words, "SESSION:", 8) == 0;
        amm_write_text(w, "AUTH_FAILED%s%s%s", words[0] ? "," : "", is_mistakable ? " " : "",
                       words);
    } else if ((iv_proto & AMM_IV_AUTH_FAIL_TEMP) != 0) {
        amm_write_text(w, "AUTH_FAILED,TEMP[backoff %u,advance %s]:%s", (unsigned)backoff,
                       next_remote ? "remote" : "no", words);
    } else {
        bool is_mistakable = !next_remote && words[0] == '[';
        amm_write_text(w, "RESTART%s%s%s%s", next_remote || words[0] ? "," : "",
                       next_remote ? "[N]" : "", is_mistakable ? " " : "", words);
    }
    amm_write_u8(w, 0);
}
