#include "package.h"

#include <stdio.h>

bool package_open(struct package *package, struct amm_view file, char *error)
{
    zip_error_t why;
    *package = (struct package){.error = error};
    if (!package_layout_ok(file, error)) {
        return false;
    }
    zip_error_init(&why);
    zip_source_t *source = zip_source_buffer_create(file.data, file.len, 0, &why);
    package->zip = source != NULL ? zip_open_from_source(source, ZIP_RDONLY, &why) : NULL;
    if (package->zip == NULL) {
        snprintf(error, AMM_SHEET_ERROR, "The workbook cannot be opened: %s.",
                 zip_error_strerror(&why));
        zip_source_free(source);
    }
    zip_error_fini(&why);
    return package->zip != NULL;
}

void package_close(struct package *package)
{
    if (package->zip != NULL) {
        zip_discard(package->zip);
    }
}

bool package_has(const struct package *package, const char *part)
{
    return zip_name_locate(package->zip, part, 0) >= 0;
}

static bool refuse(struct package *package, const char *text)
{
    snprintf(package->error, AMM_SHEET_ERROR, "%s", text);
    return false;
}

/* What has come out, not what the file says would come out. */
static bool within_limits(struct package *package, uint64_t inflated, uint64_t packed)
{
    if (package->inflated > AMM_SHEET_INFLATED) {
        return refuse(package, "The workbook is larger than 64 MiB once it is unpacked. Delete "
                               "what is not needed, or split it.");
    }
    if (inflated > AMM_SHEET_RATIO_FLOOR && inflated > packed * AMM_SHEET_RATIO) {
        return refuse(package, "The workbook unpacks to more than 200 times its size: a zip bomb, "
                               "not a sheet.");
    }
    return true;
}

static bool read_pieces(struct package *package, zip_file_t *in, uint64_t packed,
                        bool (*take)(void *, const char *, size_t, bool), void *context)
{
    static _Thread_local char piece[16384];
    uint64_t inflated = 0;
    for (;;) {
        zip_int64_t got = zip_fread(in, piece, sizeof piece);
        if (got < 0) {
            return refuse(package,
                          "The workbook is damaged or cut off. Save it again and upload that.");
        }
        inflated += (uint64_t)got;
        package->inflated += (uint64_t)got;
        if (!within_limits(package, inflated, packed) ||
            !take(context, piece, (size_t)got, got == 0)) {
            return false;
        }
        if (got == 0) {
            return true;
        }
    }
}

bool package_read(struct package *package, const char *part,
                  bool (*take)(void *context, const char *piece, size_t len, bool is_last),
                  void *context)
{
    zip_stat_t stat;
    if (zip_stat(package->zip, part, 0, &stat) != 0 || !(stat.valid & ZIP_STAT_COMP_SIZE)) {
        snprintf(package->error, AMM_SHEET_ERROR,
                 "The workbook has no part %s. Save it again as XLSX.", part);
        return false;
    }
    zip_file_t *in = zip_fopen(package->zip, part, 0);
    if (in == NULL) {
        return refuse(package,
                      "The workbook is damaged or cut off. Save it again and upload that.");
    }
    bool ok = read_pieces(package, in, stat.comp_size, take, context);
    zip_fclose(in);
    return ok;
}

bool package_target(const char *target, char *out, size_t room)
{
    int len;
    if (strstr(target, "..") != NULL || strchr(target, ':') != NULL ||
        strchr(target, '\\') != NULL || strchr(target, '%') != NULL) {
        return false;
    }
    if (target[0] == '/') {
        len = snprintf(out, room, "%s", target + 1);
    } else {
        len = snprintf(out, room, "xl/%s", target);
    }
    return len > 0 && (size_t)len < room;
}

/* "_xHHHH_" at `text`; -1: it is not. */
static int escaped(const uint8_t *text, size_t len)
{
    int code = 0;
    if (len < 7 || text[0] != '_' || text[1] != 'x' || text[6] != '_') {
        return -1;
    }
    for (size_t i = 2; i < 6; i++) {
        uint8_t digit = text[i];
        int value = digit >= '0' && digit <= '9'   ? digit - '0'
                    : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                    : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                                   : -1;
        if (value < 0) {
            return -1;
        }
        code = code * 16 + value;
    }
    /* What needs no escape is text that looks like one. NUL is never a character. */
    return code != 0 && (code < 0x20 || code == '_') ? code : -1;
}

size_t package_unescape(uint8_t *text, size_t len)
{
    size_t to = 0;
    for (size_t from = 0; from < len;) {
        int code = escaped(text + from, len - from);
        text[to++] = code >= 0 ? (uint8_t)code : text[from];
        from += code >= 0 ? 7 : 1;
    }
    return to;
}
