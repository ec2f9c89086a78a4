#include "domain/software.h"

#include "base/base64.h"
#include "domain/version.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    VALUE_MAX = 640, /* of a line: sixteen models with blanks fit */
    ID = 8,
    SIGNATURE = 64,
};

/* How the value of a line is written, and what it becomes. */
enum form {
    FORM_NAME,     /* char[], 1 to `most` of letters, digits, '-', '_', '.' */
    FORM_VERSION,  /* char[], as domain/version.h takes it */
    FORM_OLDEST,   /* the same, or "any" for an empty text */
    FORM_NUMBER32, /* uint32_t, decimal, at most `most` */
    FORM_NUMBER64, /* uint64_t or a time, decimal, 1 to `most` */
    FORM_HEX,      /* `most` bytes */
    FORM_KEY,      /* 32 bytes, base64 */
    FORM_KIND,     /* application, system */
    FORM_CHANNEL,  /* bool: release, development */
    FORM_MODELS,   /* of a manifest: names with a blank between them */
    FORM_COMMENT,  /* char[], printable, may be empty */
};

struct line {
    const char *name;
    enum form form;
    size_t at; /* in the structure */
    uint64_t most;
};

struct kind {
    const char *first;
    const struct line *lines; /* ended by name NULL */
};

#define TIME_MAX ((uint64_t)1 << 40)

#define AT(member) offsetof(struct amm_manifest, member)
static const struct line manifest_lines[] = {
    {"kind", FORM_KIND, AT(kind), 0},
    {"name", FORM_NAME, AT(name), AMM_SOFTWARE_NAME},
    {"version", FORM_VERSION, AT(version), AMM_SOFTWARE_VERSION},
    {"models", FORM_MODELS, 0, 0},
    {"architecture", FORM_NAME, AT(architecture), AMM_SOFTWARE_NAME},
    {"counter", FORM_NUMBER32, AT(counter), UINT32_MAX},
    {"from", FORM_OLDEST, AT(from), AMM_SOFTWARE_VERSION},
    {"length", FORM_NUMBER64, AT(length), AMM_SOFTWARE_LENGTH_MAX},
    {"sha512", FORM_HEX, AT(sha512), AMM_SOFTWARE_HASH},
    {"created", FORM_NUMBER64, AT(created), TIME_MAX},
    {"expires", FORM_NUMBER64, AT(expires), TIME_MAX},
    {"channel", FORM_CHANNEL, AT(is_development), 0},
    {.name = NULL},
};
#undef AT

#define AT(member) offsetof(struct amm_successor, member)
static const struct line successor_lines[] = {
    {"key", FORM_KEY, AT(key), 0},
    {"from", FORM_NUMBER64, AT(from), TIME_MAX},
    {"comment", FORM_COMMENT, AT(comment), 64},
    {.name = NULL},
};
#undef AT

#define AT(member) offsetof(struct amm_permit, member)
static const struct line permit_lines[] = {
    {"serial", FORM_NAME, AT(serial), AMM_SOFTWARE_SERIAL},
    {"name", FORM_NAME, AT(name), AMM_SOFTWARE_NAME},
    {"version", FORM_VERSION, AT(version), AMM_SOFTWARE_VERSION},
    {"counter", FORM_NUMBER32, AT(counter), UINT32_MAX},
    {"expires", FORM_NUMBER64, AT(expires), TIME_MAX},
    {.name = NULL},
};
#undef AT

static const struct kind manifest_kind = {"AMM-SOFTWARE 1", manifest_lines};
static const struct kind successor_kind = {"AMM-SUCCESSOR 1", successor_lines};
static const struct kind permit_kind = {"AMM-PERMIT 1", permit_lines};

/* ---- values ---- */

static bool is_name(const char *text, size_t len, size_t most)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-_.";
    return len >= 1 && len <= most && strspn(text, allowed) >= len;
}

static bool is_version(const char *text, size_t most)
{
    struct amm_version version;
    return is_name(text, strlen(text), most) && amm_version_parse(&version, text);
}

/* Decimal digits without a sign or a leading zero. */
static bool take_number(uint64_t *out, const char *text, uint64_t most)
{
    uint64_t value = 0;
    if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0')) {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || value > (most - (uint64_t)(*text - '0')) / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *out = value;
    return true;
}

static bool take_models(struct amm_manifest *out, const char *text)
{
    for (out->n_models = 0;; text++) {
        size_t len = strcspn(text, " ");
        if (out->n_models == AMM_SOFTWARE_MODELS || !is_name(text, len, AMM_SOFTWARE_NAME)) {
            return false;
        }
        memcpy(out->models[out->n_models], text, len);
        out->models[out->n_models++][len] = '\0';
        text += len;
        if (*text == '\0') {
            return true;
        }
    }
}

static bool is_printable(const char *text, size_t most)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            return false;
        }
    }
    return len <= most;
}

static bool take_text(char *out, const char *text, bool is_good)
{
    if (is_good) {
        memcpy(out, text, strlen(text) + 1);
    }
    return is_good;
}

static bool take_value(const struct line *line, void *into, const char *text)
{
    char *at = (char *)into + line->at;
    uint64_t number = 0;
    size_t len = 0;
    switch (line->form) {
    case FORM_NAME:
        return take_text(at, text, is_name(text, strlen(text), (size_t)line->most));
    case FORM_VERSION:
        return take_text(at, text, is_version(text, (size_t)line->most));
    case FORM_OLDEST:
        return strcmp(text, "any") == 0 ? take_text(at, "", true)
                                        : take_text(at, text, is_version(text, (size_t)line->most));
    case FORM_NUMBER32:
        if (!take_number(&number, text, line->most)) {
            return false;
        }
        *(uint32_t *)(void *)at = (uint32_t)number;
        return true;
    case FORM_NUMBER64:
        if (!take_number(&number, text, line->most) || number == 0) {
            return false;
        }
        *(uint64_t *)(void *)at = number;
        return true;
    case FORM_HEX:
        return strlen(text) == 2 * line->most && strpbrk(text, "ABCDEF") == NULL &&
               amm_unhex((uint8_t *)at, (size_t)line->most, text);
    case FORM_KEY:
        return amm_base64_decode((uint8_t *)at, 32, &len, amm_view_str(text), AMM_BASE64) &&
               len == 32;
    case FORM_KIND:
        *(enum amm_software_kind *)(void *)at =
            strcmp(text, "system") == 0 ? AMM_SOFTWARE_SYSTEM : AMM_SOFTWARE_APPLICATION;
        return strcmp(text, "system") == 0 || strcmp(text, "application") == 0;
    case FORM_CHANNEL:
        *(bool *)at = strcmp(text, "development") == 0;
        return strcmp(text, "development") == 0 || strcmp(text, "release") == 0;
    case FORM_MODELS:
        return take_models(into, text);
    case FORM_COMMENT:
        return take_text(at, text, is_printable(text, (size_t)line->most));
    }
    return false;
}

static void write_models(struct amm_writer *w, const struct amm_manifest *manifest)
{
    for (unsigned i = 0; i < manifest->n_models && i < AMM_SOFTWARE_MODELS; i++) {
        amm_write_text(w, "%s%s", i == 0 ? "" : " ", manifest->models[i]);
    }
}

static void write_value(struct amm_writer *w, const struct line *line, const void *from)
{
    const char *at = (const char *)from + line->at;
    char text[2 * AMM_SOFTWARE_HASH + 1];
    switch (line->form) {
    case FORM_NAME:
    case FORM_VERSION:
    case FORM_COMMENT:
        amm_write_str(w, at);
        break;
    case FORM_OLDEST:
        amm_write_str(w, at[0] == '\0' ? "any" : at);
        break;
    case FORM_NUMBER32:
        amm_write_text(w, "%" PRIu32, *(const uint32_t *)(const void *)at);
        break;
    case FORM_NUMBER64:
        amm_write_text(w, "%" PRIu64, *(const uint64_t *)(const void *)at);
        break;
    case FORM_HEX:
        amm_hex(text, amm_view(at, (size_t)line->most));
        amm_write_str(w, text);
        break;
    case FORM_KEY:
        amm_base64_encode(text, sizeof text, amm_view(at, 32), AMM_BASE64);
        amm_write_str(w, text);
        break;
    case FORM_KIND:
        amm_write_str(w, *(const enum amm_software_kind *)(const void *)at == AMM_SOFTWARE_SYSTEM
                             ? "system"
                             : "application");
        break;
    case FORM_CHANNEL:
        amm_write_str(w, *(const bool *)at ? "development" : "release");
        break;
    case FORM_MODELS:
        write_models(w, from);
        break;
    }
}

/* ---- statements ---- */

struct lines {
    struct amm_view left;
    unsigned number; /* of the line that was read last, from 1 */
};

/* The next line without its end; false if there is none, or it is longer than any may be, or has a
 * byte that no line has. */
static bool next_line(struct lines *lines, char out[VALUE_MAX + 1])
{
    const uint8_t *end = lines->left.len ? memchr(lines->left.data, '\n', lines->left.len) : NULL;
    size_t len = end ? (size_t)(end - lines->left.data) : 0;
    lines->number++;
    if (!end || len > VALUE_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (lines->left.data[i] < ' ' || lines->left.data[i] > '~') {
            return false;
        }
    }
    memcpy(out, lines->left.data, len);
    out[len] = '\0';
    lines->left = amm_view(lines->left.data + len + 1, lines->left.len - len - 1);
    return true;
}

static bool refuse(char error[AMM_STATEMENT_ERROR], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool refuse(char error[AMM_STATEMENT_ERROR], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, AMM_STATEMENT_ERROR, format, arguments);
    va_end(arguments);
    return false;
}

/* "signature: 0123456789abcdef BASE64" */
static bool take_signature(struct amm_statement *statement, const char *text)
{
    static const char mark[] = "signature: ";
    size_t len = 0;
    const char *id = text + sizeof mark - 1;
    if (statement->n == AMM_STATEMENT_SIGNATURES || strncmp(text, mark, sizeof mark - 1) != 0 ||
        strlen(id) < 2 * ID + 1 || id[2 * ID] != ' ' || strcspn(id, "ABCDEF") < 2 * ID ||
        !amm_unhex(statement->signature[statement->n].key_id, ID, id) ||
        !amm_base64_decode(statement->signature[statement->n].bytes, SIGNATURE, &len,
                           amm_view_str(id + 2 * ID + 1), AMM_BASE64) ||
        len != SIGNATURE) {
        return false;
    }
    statement->n++;
    return true;
}

static bool take_signatures(struct amm_statement *statement, struct lines *lines,
                            char error[AMM_STATEMENT_ERROR])
{
    char text[VALUE_MAX + 1];
    while (lines->left.len != 0 && lines->left.data[0] != '\0') {
        if (!next_line(lines, text) || !take_signature(statement, text)) {
            return refuse(error, "line %u is no signature", lines->number);
        }
    }
    for (size_t i = 0; i < lines->left.len; i++) {
        if (lines->left.data[i] != '\0') {
            return refuse(error, "something follows the statement");
        }
    }
    return statement->n != 0 || refuse(error, "it is not signed");
}

static bool parse(const struct kind *kind, void *out, struct amm_statement *statement,
                  struct amm_view bytes, char error[AMM_STATEMENT_ERROR])
{
    char text[VALUE_MAX + 1];
    struct lines lines = {bytes, 0};
    memset(statement, 0, sizeof *statement);
    if (!next_line(&lines, text) || strcmp(text, kind->first) != 0) {
        return refuse(error, "it does not begin with \"%s\"", kind->first);
    }
    for (const struct line *line = kind->lines; line->name; line++) {
        size_t len = strlen(line->name);
        if (!next_line(&lines, text) || strncmp(text, line->name, len) != 0 ||
            strncmp(text + len, ": ", 2) != 0) {
            return refuse(error, "line %u is not \"%s: ...\"", lines.number, line->name);
        }
        if (!take_value(line, out, text + len + 2)) {
            return refuse(error, "line %u: %s has a value that is not allowed", lines.number,
                          line->name);
        }
    }
    statement->text = amm_view(bytes.data, (size_t)(lines.left.data - bytes.data));
    return take_signatures(statement, &lines, error);
}

/* What is written is read again: a member that the parser would refuse is never signed. */
static size_t write(const struct kind *kind, const void *from, char *out, size_t room)
{
    struct amm_writer w = amm_writer(out, room);
    union {
        struct amm_manifest manifest;
        struct amm_successor successor;
        struct amm_permit permit;
    } again;
    amm_write_text(&w, "%s\n", kind->first);
    struct lines lines = {{NULL, 0}, 0};
    for (const struct line *line = kind->lines; line->name && !w.failed; line++) {
        char text[VALUE_MAX + 1];
        amm_write_text(&w, "%s: ", line->name);
        size_t start = amm_writer_len(&w);
        write_value(&w, line, from);
        amm_write_u8(&w, '\n');
        lines.left =
            amm_view(out + start, amm_writer_len(&w) > start ? amm_writer_len(&w) - start : 0);
        if (!next_line(&lines, text) || lines.left.len != 0 || !take_value(line, &again, text)) {
            return 0;
        }
    }
    return amm_writer_len(&w);
}

bool amm_manifest_parse(struct amm_manifest *out, struct amm_statement *statement,
                        struct amm_view text, char error[AMM_STATEMENT_ERROR])
{
    struct amm_manifest manifest = {0};
    if (!parse(&manifest_kind, &manifest, statement, text, error)) {
        return false;
    }
    if (manifest.created >= manifest.expires) {
        return refuse(error, "it expires before it was made");
    }
    *out = manifest;
    return true;
}

bool amm_successor_parse(struct amm_successor *out, struct amm_statement *statement,
                         struct amm_view text, char error[AMM_STATEMENT_ERROR])
{
    struct amm_successor successor = {0};
    if (!parse(&successor_kind, &successor, statement, text, error)) {
        return false;
    }
    *out = successor;
    return true;
}

bool amm_permit_parse(struct amm_permit *out, struct amm_statement *statement, struct amm_view text,
                      char error[AMM_STATEMENT_ERROR])
{
    struct amm_permit permit = {0};
    if (!parse(&permit_kind, &permit, statement, text, error)) {
        return false;
    }
    *out = permit;
    return true;
}

size_t amm_manifest_write(const struct amm_manifest *manifest, char *out, size_t room)
{
    return manifest->created < manifest->expires ? write(&manifest_kind, manifest, out, room) : 0;
}

size_t amm_successor_write(const struct amm_successor *successor, char *out, size_t room)
{
    return write(&successor_kind, successor, out, room);
}

size_t amm_permit_write(const struct amm_permit *permit, char *out, size_t room)
{
    return write(&permit_kind, permit, out, room);
}

size_t amm_statement_sign_line(const uint8_t key_id[ID], const uint8_t signature[SIGNATURE],
                               char *out, size_t room)
{
    char id[2 * ID + 1], text[AMM_BASE64_ROOM(SIGNATURE)];
    struct amm_writer w = amm_writer(out, room);
    amm_hex(id, amm_view(key_id, ID));
    amm_base64_encode(text, sizeof text, amm_view(signature, SIGNATURE), AMM_BASE64);
    amm_write_text(&w, "signature: %s %s\n", id, text);
    return amm_writer_len(&w);
}

int amm_statement_signature_of(const struct amm_statement *statement, const uint8_t key_id[ID])
{
    for (unsigned i = 0; i < statement->n; i++) {
        if (memcmp(statement->signature[i].key_id, key_id, ID) == 0) {
            return (int)i;
        }
    }
    return -1;
}
