/* workbook.xml, its relationships, styles.xml, sharedStrings.xml. */
#include "workbook.h"
#include "xml.h"

#include <stdio.h>
#include <stdlib.h>

enum { CUSTOM_FORMATS = 512, TEXT_MAX = AMM_SHEET_INFLATED, STYLES_MAX = 65536 };

/* Grows to at least n elements. False: out of memory. */
static bool grow(void *array, uint32_t *room, uint32_t n, size_t size)
{
    if (n <= *room) {
        return true;
    }
    uint32_t wanted = *room != 0 ? 2 * *room : 256;
    wanted = wanted < n ? n : wanted;
    void *grown = reallocarray(*(void **)array, wanted, size);
    if (grown == NULL) {
        return false;
    }
    *(void **)array = grown;
    *room = wanted;
    return true;
}

static void no_memory(struct xml *xml)
{
    xml_refuse(xml, "There is no memory to read the sheet.");
}

/* ---- which sheet ---- */

struct choice {
    struct workbook *book;
    char id[64]; /* of the relationship of the first visible sheet */
};

static void workbook_start(struct xml *xml, const char *name, const char **attributes)
{
    struct choice *choice = xml->context;
    const char *id = NULL, *state = xml_attribute(attributes, "state");
    for (size_t i = 0; attributes[i] != NULL; i += 2) {
        if (strchr(attributes[i], ':') != NULL && xml_is(attributes[i], "id")) {
            id = attributes[i + 1];
        }
    }
    bool is_visible = state == NULL || strcmp(state, "visible") == 0;
    if (xml_is(name, "sheet") && is_visible && id != NULL && choice->id[0] == '\0') {
        snprintf(choice->id, sizeof choice->id, "%s", id);
    }
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len >= tail && strcmp(text + len - tail, end) == 0;
}

static void relations_start(struct xml *xml, const char *name, const char **attributes)
{
    struct choice *choice = xml->context;
    struct workbook *book = choice->book;
    const char *id = xml_attribute(attributes, "Id"), *type = xml_attribute(attributes, "Type");
    const char *target = xml_attribute(attributes, "Target");
    const char *mode = xml_attribute(attributes, "TargetMode");
    if (!xml_is(name, "Relationship")) {
        return;
    }
    if (id == NULL || type == NULL || target == NULL) {
        xml_refuse(xml, "The workbook is damaged: a relationship without a target.");
        return;
    }
    if (mode != NULL && strcmp(mode, "Internal") != 0) {
        xml_refuse(xml, "The workbook refers to another file or address. Remove the links to other "
                        "workbooks and save it again.");
        return;
    }
    char part[160];
    if (!package_target(target, part, sizeof part)) {
        xml_refuse(xml, "A part of the workbook leads out of it (\"..\"). No spreadsheet program "
                        "makes such a file.");
        return;
    }
    char *to = strcmp(id, choice->id) == 0         ? book->sheet
               : ends_with(type, "/sharedStrings") ? book->strings
               : ends_with(type, "/styles")        ? book->styles
                                                   : NULL;
    if (to != NULL) {
        snprintf(to, sizeof book->sheet, "%s", part);
    }
}

static bool find_parts(struct workbook *book)
{
    struct choice choice = {.book = book};
    struct xml xml = {.context = &choice, .start = workbook_start};
    if (!xml_read(&xml, &book->package, "xl/workbook.xml")) {
        return false;
    }
    xml.start = relations_start;
    if (choice.id[0] == '\0') {
        snprintf(book->package.error, AMM_SHEET_ERROR, "The workbook has no visible sheet.");
        return false;
    }
    if (!xml_read(&xml, &book->package, "xl/_rels/workbook.xml.rels")) {
        return false;
    }
    if (book->sheet[0] == '\0') {
        snprintf(book->package.error, AMM_SHEET_ERROR,
                 "The workbook is damaged: its sheet is not in it.");
        return false;
    }
    return true;
}

/* ---- dates ---- */

struct formats {
    struct workbook *book;
    bool in_cells;
    uint32_t n_custom;
    uint32_t custom[CUSTOM_FORMATS]; /* ids of formats that show dates */
};

/* ECMA-376 18.8.30: built-in formats of dates and times. */
static bool is_builtin_date(uint32_t id)
{
    return (id >= 14 && id <= 22) || (id >= 27 && id <= 36) || (id >= 45 && id <= 47) ||
           (id >= 50 && id <= 58);
}

/* A code with y, m, d, h or s outside of quotes, brackets and escapes. */
static bool code_shows_date(const char *code)
{
    for (const char *at = code; *at != '\0'; at++) {
        if (*at == '"' || *at == '[') {
            const char *end = strchr(at + 1, *at == '"' ? '"' : ']');
            /* [h] and [mm] are times that do not wrap; [Red] is none. */
            if (*at == '[' && end != NULL && end - at <= 3 && strchr("hms", at[1] | 0x20) != NULL) {
                return true;
            }
            if (end == NULL) {
                return false;
            }
            at = end;
        } else if (*at == '\\' || *at == '_' || *at == '*') {
            if (*++at == '\0') {
                return false;
            }
        } else if (strchr("ymdhs", *at | 0x20) != NULL) {
            return true;
        }
    }
    return false;
}

static void note_format(struct formats *formats, const char **attributes)
{
    const char *id = xml_attribute(attributes, "numFmtId");
    const char *code = xml_attribute(attributes, "formatCode");
    if (id != NULL && code != NULL && formats->n_custom < CUSTOM_FORMATS &&
        strcasecmp(code, "general") != 0 && code_shows_date(code)) {
        formats->custom[formats->n_custom++] = (uint32_t)strtoul(id, NULL, 10);
    }
}

static bool is_date_format(const struct formats *formats, uint32_t id)
{
    for (uint32_t i = 0; i < formats->n_custom; i++) {
        if (formats->custom[i] == id) {
            return true;
        }
    }
    return is_builtin_date(id);
}

static void styles_start(struct xml *xml, const char *name, const char **attributes)
{
    struct formats *formats = xml->context;
    struct workbook *book = formats->book;
    if (xml_is(name, "numFmt")) {
        note_format(formats, attributes);
    } else if (xml_is(name, "cellXfs")) {
        formats->in_cells = true;
    } else if (formats->in_cells && xml_is(name, "xf")) {
        const char *id = xml_attribute(attributes, "numFmtId");
        if (book->n_styles == STYLES_MAX) {
            xml_refuse(xml, "The workbook has more than 65536 styles.");
        } else if (!grow(&book->is_date, &book->styles_room, book->n_styles + 1, sizeof(bool))) {
            no_memory(xml);
        } else {
            book->is_date[book->n_styles++] =
                id != NULL && is_date_format(formats, (uint32_t)strtoul(id, NULL, 10));
        }
    }
}

static void styles_end(struct xml *xml, const char *name)
{
    struct formats *formats = xml->context;
    if (xml_is(name, "cellXfs")) {
        formats->in_cells = false;
    }
}

static bool read_styles(struct workbook *book)
{
    struct formats formats = {.book = book};
    struct xml xml = {.context = &formats, .start = styles_start, .end = styles_end};
    return book->styles[0] == '\0' || xml_read(&xml, &book->package, book->styles);
}

/* ---- shared strings ---- */

struct strings {
    struct workbook *book;
    bool in_string, in_text;
    unsigned in_phonetic; /* how Japanese is read aloud: not part of the text */
    uint32_t start;
};

static void strings_start(struct xml *xml, const char *name, const char **attributes)
{
    struct strings *strings = xml->context;
    (void)attributes;
    if (xml_is(name, "si")) {
        strings->in_string = true;
        strings->start = (uint32_t)strings->book->text_len;
    } else if (xml_is(name, "rPh")) {
        strings->in_phonetic++;
    } else if (xml_is(name, "t")) {
        strings->in_text = strings->in_string && strings->in_phonetic == 0;
    }
}

static void strings_text(struct xml *xml, const char *text, size_t len)
{
    struct strings *strings = xml->context;
    struct workbook *book = strings->book;
    if (!strings->in_text) {
        return;
    }
    if (book->text_len + len > book->text_room) {
        size_t room = book->text_room != 0 ? 2 * book->text_room : 65536;
        room = room < book->text_len + len ? book->text_len + len : room;
        char *grown = room <= 2 * (size_t)TEXT_MAX ? realloc(book->text, room) : NULL;
        if (grown == NULL) {
            no_memory(xml);
            return;
        }
        book->text = grown;
        book->text_room = room;
    }
    memcpy(book->text + book->text_len, text, len);
    book->text_len += len;
}

static void strings_end(struct xml *xml, const char *name)
{
    struct strings *strings = xml->context;
    struct workbook *book = strings->book;
    if (xml_is(name, "t")) {
        strings->in_text = false;
    } else if (xml_is(name, "rPh") && strings->in_phonetic > 0) {
        strings->in_phonetic--;
    } else if (xml_is(name, "si")) {
        strings->in_string = false;
        if (book->text != NULL) {
            book->text_len =
                strings->start + package_unescape((uint8_t *)book->text + strings->start,
                                                  book->text_len - strings->start);
        }
        if (book->n_strings == AMM_SHEET_STRINGS) {
            xml_refuse(xml, "The workbook has more than 600000 different texts. Delete the columns "
                            "that are not needed, or split it.");
        } else if (!grow(&book->ends, &book->strings_room, book->n_strings + 1,
                         sizeof *book->ends)) {
            no_memory(xml);
        } else {
            book->ends[book->n_strings++] = (uint32_t)book->text_len;
        }
    }
}

static bool read_strings(struct workbook *book)
{
    struct strings strings = {.book = book};
    struct xml xml = {
        .context = &strings, .start = strings_start, .end = strings_end, .text = strings_text};
    return book->strings[0] == '\0' || xml_read(&xml, &book->package, book->strings);
}

bool book_open(struct workbook *book, struct amm_view file, char *error)
{
    *book = (struct workbook){0};
    return package_open(&book->package, file, error) && find_parts(book) && read_styles(book) &&
           read_strings(book);
}

void book_close(struct workbook *book)
{
    package_close(&book->package);
    free(book->text);
    free(book->ends);
    free(book->is_date);
}
