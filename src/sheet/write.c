#include "sheet/write.h"
#include "sheet/sheet.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xlsxwriter.h>

enum { FIRST_ROOM = 65536, TITLE_MAX = 31 };

struct amm_sheet_writer {
    enum amm_sheet_format format;
    bool failed;
    bool row_begun;
    /* CSV */
    uint8_t *data;
    size_t len, room;
    /* XLSX */
    lxw_workbook *book;
    lxw_worksheet *sheet;
    lxw_row_t row;
    lxw_col_t column;
    int file; /* in memory: the library writes files only */
};

static bool open_book(struct amm_sheet_writer *writer, const char *title)
{
    char path[40];
    writer->file = memfd_create("sheet", MFD_CLOEXEC);
    if (writer->file < 0) {
        return false;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", writer->file);
    writer->book = workbook_new(path);
    if (writer->book == NULL) {
        return false;
    }
    bool fits = title != NULL && strlen(title) <= TITLE_MAX;
    writer->sheet = workbook_add_worksheet(writer->book, fits ? title : NULL);
    return writer->sheet != NULL;
}

struct amm_sheet_writer *amm_sheet_writer(enum amm_sheet_format format, const char *title)
{
    struct amm_sheet_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        return NULL;
    }
    writer->format = format;
    writer->file = -1;
    if (format == AMM_SHEET_XLSX && !open_book(writer, title)) {
        amm_sheet_writer_drop(writer);
        return NULL;
    }
    return writer;
}

static void put_bytes(struct amm_sheet_writer *writer, const char *text, size_t len)
{
    if (writer->len + len > writer->room) {
        size_t room = writer->room != 0 ? 2 * writer->room : FIRST_ROOM;
        room = room < writer->len + len ? writer->len + len : room;
        uint8_t *grown = realloc(writer->data, room);
        if (grown == NULL) {
            writer->failed = true;
            return;
        }
        writer->data = grown;
        writer->room = room;
    }
    memcpy(writer->data + writer->len, text, len);
    writer->len += len;
}

static void separate(struct amm_sheet_writer *writer)
{
    if (writer->row_begun) {
        put_bytes(writer, ",", 1);
    }
    writer->row_begun = true;
}

/* Without half a character at the end. */
static size_t cut(const char *text)
{
    size_t len = strnlen(text, AMM_SHEET_CELL - 1); /* with a ' in front it must fit again */
    if (text[len] != '\0') {
        while (len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    return len;
}

static void put_csv(struct amm_sheet_writer *writer, const char *text)
{
    size_t len = cut(text);
    size_t marks = strspn(text, "'"); /* of the text itself: one more, for the reader */
    bool is_dangerous = marks < len && strchr("=+-@\t\r\n", text[marks]) != NULL;
    bool needs_quotes = is_dangerous || strpbrk(text, ",;\t\"\r\n") != NULL ||
                        (len > 0 && (text[0] == ' ' || text[len - 1] == ' '));
    separate(writer);
    if (!needs_quotes) {
        put_bytes(writer, text, len);
        return;
    }
    put_bytes(writer, "\"'", is_dangerous ? 2 : 1);
    for (size_t i = 0; i < len; i++) {
        put_bytes(writer, "\"\"", text[i] == '"' ? 2 : 0);
        put_bytes(writer, text + i, text[i] == '"' ? 0 : 1);
    }
    put_bytes(writer, "\"", 1);
}

void amm_sheet_put_text(struct amm_sheet_writer *writer, const char *text)
{
    if (writer->format == AMM_SHEET_CSV) {
        put_csv(writer, text);
        return;
    }
    char copy[AMM_SHEET_CELL];
    snprintf(copy, sizeof copy, "%.*s", (int)cut(text), text);
    if (copy[0] != '\0' && worksheet_write_string(writer->sheet, writer->row, writer->column, copy,
                                                  NULL) != LXW_NO_ERROR) {
        writer->failed = true;
    }
    writer->column++;
}

void amm_sheet_put_real(struct amm_sheet_writer *writer, double number)
{
    if (writer->format == AMM_SHEET_CSV) {
        char text[40];
        separate(writer);
        put_bytes(writer, text, (size_t)snprintf(text, sizeof text, "%.15g", number));
        return;
    }
    writer->failed |= worksheet_write_number(writer->sheet, writer->row, writer->column, number,
                                             NULL) != LXW_NO_ERROR;
    writer->column++;
}

void amm_sheet_put_number(struct amm_sheet_writer *writer, int64_t number)
{
    enum { EXACT = 15 }; /* digits that a spreadsheet program keeps */
    char text[24];
    int len = snprintf(text, sizeof text, "%lld", (long long)number);
    if (len - (number < 0) > EXACT) {
        amm_sheet_put_text(writer, text);
    } else {
        amm_sheet_put_real(writer, (double)number);
    }
}

void amm_sheet_put_row(struct amm_sheet_writer *writer)
{
    if (writer->format == AMM_SHEET_CSV) {
        put_bytes(writer, "\r\n", 2);
        writer->row_begun = false;
        return;
    }
    writer->row++;
    writer->column = 0;
}

static bool read_back(struct amm_sheet_writer *writer)
{
    struct stat stat;
    if (fstat(writer->file, &stat) != 0 || stat.st_size <= 0 ||
        (writer->data = malloc((size_t)stat.st_size)) == NULL) {
        return false;
    }
    while (writer->len < (size_t)stat.st_size) {
        ssize_t got = pread(writer->file, writer->data + writer->len,
                            (size_t)stat.st_size - writer->len, (off_t)writer->len);
        if (got <= 0) {
            return false;
        }
        writer->len += (size_t)got;
    }
    return true;
}

bool amm_sheet_writer_end(struct amm_sheet_writer *writer, struct amm_span *out)
{
    *out = (struct amm_span){0};
    if (writer->format == AMM_SHEET_XLSX) {
        writer->failed |= workbook_close(writer->book) != LXW_NO_ERROR || !read_back(writer);
        writer->book = NULL;
    }
    bool ok = !writer->failed;
    if (ok) {
        *out = (struct amm_span){writer->data, writer->len};
        writer->data = NULL;
    }
    amm_sheet_writer_drop(writer);
    return ok;
}

void amm_sheet_writer_drop(struct amm_sheet_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    if (writer->book != NULL) {
        workbook_close(writer->book); /* the library has no other way to free it */
    }
    if (writer->file >= 0) {
        close(writer->file);
    }
    free(writer->data);
    free(writer);
}
