/* The central directory of a ZIP file (APPNOTE 4.3). */
#include "package.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    END_LEN = 22, /* of the end record, without its comment */
    END_COMMENT = 65535,
    LOCAL_LEN = 30,
    NAME_MAX_HERE = 200,
    FLAG_ENCRYPTED = 1,
    FLAG_STRONG = 64,
};
#define END_MAGIC 0x06054b50u
#define ENTRY_MAGIC 0x02014b50u
#define LOCAL_MAGIC 0x04034b50u

struct entry {
    uint32_t from, to; /* its bytes */
    struct amm_view name;
};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static bool refuse(char *error, const char *text)
{
    snprintf(error, AMM_SHEET_ERROR, "%s", text);
    return false;
}

static bool broken(char *error)
{
    return refuse(error, "The workbook is damaged or cut off. Save it again and upload that.");
}

/* The end record, found from the end; its comment must fill the rest exactly. NULL: none. */
static const uint8_t *find_end(struct amm_view file)
{
    for (size_t back = END_LEN; back <= file.len && back <= END_LEN + END_COMMENT; back++) {
        const uint8_t *at = file.data + file.len - back;
        if (get32(at) == END_MAGIC && get16(at + 20) == back - END_LEN) {
            return at;
        }
    }
    return NULL;
}

static bool leads_out(struct amm_view name)
{
    bool at_start = true;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.data[i];
        bool dots = at_start && byte == '.' && i + 1 < name.len && name.data[i + 1] == '.' &&
                    (i + 2 == name.len || name.data[i + 2] == '/');
        if (dots || byte == '\\' || byte == ':' || byte < 0x20 || (i == 0 && byte == '/')) {
            return true;
        }
        at_start = byte == '/';
    }
    return false;
}

static bool ends_with(struct amm_view name, const char *end)
{
    size_t len = strlen(end);
    return name.len >= len && memcmp(name.data + name.len - len, end, len) == 0;
}

static bool judge_name(struct amm_view name, char *error)
{
    if (name.len == 0 || name.len > NAME_MAX_HERE || leads_out(name)) {
        return refuse(error, "The workbook has a part whose name leads out of it (\"..\", an "
                             "absolute path). No spreadsheet program makes such a file.");
    }
    if (ends_with(name, "vbaProject.bin") || ends_with(name, "vbaData.xml")) {
        return refuse(error, "The workbook has macros. Save it as XLSX (without macros).");
    }
    return true;
}

/* One entry at `at`; its length, 0 after a refusal. */
static size_t read_entry(struct amm_view file, size_t at, size_t end, struct entry *out,
                         char *error)
{
    const uint8_t *p = file.data + at;
    if (end - at < 46 || get32(p) != ENTRY_MAGIC) {
        broken(error);
        return 0;
    }
    uint16_t flags = get16(p + 8), method = get16(p + 10);
    uint32_t packed = get32(p + 20), offset = get32(p + 42);
    size_t len = 46u + get16(p + 28) + get16(p + 30) + get16(p + 32);
    if (len > end - at || packed == UINT32_MAX || offset == UINT32_MAX ||
        get32(p + 24) == UINT32_MAX) {
        broken(error);
        return 0;
    }
    if (flags & (FLAG_ENCRYPTED | FLAG_STRONG)) {
        refuse(error, "The workbook is encrypted. Save it without a password.");
        return 0;
    }
    if (method != 0 && method != 8) {
        refuse(error, "The workbook is packed in a way that spreadsheet programs do not use. Save "
                      "it again as XLSX.");
        return 0;
    }
    out->name = amm_view(p + 46, get16(p + 28));
    if (!judge_name(out->name, error)) {
        return 0;
    }
    if (offset > at || at - offset < LOCAL_LEN || get32(file.data + offset) != LOCAL_MAGIC) {
        broken(error);
        return 0;
    }
    const uint8_t *local = file.data + offset;
    uint64_t to = (uint64_t)offset + LOCAL_LEN + get16(local + 26) + get16(local + 28) + packed;
    if (to > at) {
        broken(error);
        return 0;
    }
    /* Both names must be the same: a reader that goes by the other one sees another part. */
    if (get16(local + 26) != out->name.len ||
        memcmp(local + LOCAL_LEN, out->name.data, out->name.len) != 0) {
        broken(error);
        return 0;
    }
    out->from = offset;
    out->to = (uint32_t)to;
    return len;
}

static int by_place(const void *a, const void *b)
{
    const struct entry *one = a, *other = b;
    return one->from < other->from ? -1 : one->from > other->from;
}

static bool judge_entries(struct entry *entries, size_t n, char *error)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n; k++) {
            if (amm_view_equal(entries[i].name, entries[k].name)) {
                return refuse(error, "The workbook has two parts of one name. No spreadsheet "
                                     "program makes such a file.");
            }
        }
    }
    qsort(entries, n, sizeof *entries, by_place);
    for (size_t i = 1; i < n; i++) {
        if (entries[i].from < entries[i - 1].to) {
            return refuse(error, "Parts of the workbook overlap. No spreadsheet program makes such "
                                 "a file.");
        }
    }
    return true;
}

bool package_layout_ok(struct amm_view file, char error[AMM_SHEET_ERROR])
{
    static _Thread_local struct entry entries[AMM_SHEET_ENTRIES];
    const uint8_t *end = find_end(file);
    if (end == NULL || get16(end + 4) != 0 || get16(end + 6) != 0) {
        return broken(error);
    }
    size_t n = get16(end + 10), directory = (size_t)(end - file.data);
    size_t at = get32(end + 16);
    if (n > AMM_SHEET_ENTRIES) {
        return refuse(error, "The workbook has more than 200 parts. Copy the cells into a new one "
                             "and upload that.");
    }
    if (n != get16(end + 8) || at > directory || get32(end + 12) != directory - at) {
        return broken(error);
    }
    for (size_t i = 0; i < n; i++) {
        size_t len = read_entry(file, at, directory, &entries[i], error);
        if (len == 0) {
            return false;
        }
        at += len;
    }
    return (at == directory || broken(error)) && judge_entries(entries, n, error);
}
