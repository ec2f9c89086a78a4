/* XLSX that people upload. A mutated ZIP file says little beyond its checksums, so the first byte
 * chooses: the bytes are a workbook, or they are one of its parts, packed here. */
#include "sheet_sink.h"

#include <zip.h>

static const char *const names[] = {"xl/worksheets/sheet1.xml", "xl/sharedStrings.xml",
                                    "xl/styles.xml", "xl/workbook.xml",
                                    "xl/_rels/workbook.xml.rels"};
enum { PARTS = sizeof names / sizeof names[0] };
static const char *const texts[PARTS] = {
    "<worksheet><sheetData><row r='1'><c r='A1' t='s'><v>0</v></c><c r='B1' s='1'><v>1</v></c>"
    "</row></sheetData></worksheet>",
    "<sst><si><t>a</t></si></sst>",
    "<styleSheet><cellXfs><xf numFmtId='0'/><xf numFmtId='14'/></cellXfs></styleSheet>",
    "<workbook xmlns:r='y'><sheets><sheet name='One' r:id='rId1'/></sheets></workbook>",
    "<Relationships><Relationship Id='rId1' Type='/worksheet' Target='worksheets/sheet1.xml'/>"
    "<Relationship Id='rId2' Type='/sharedStrings' Target='sharedStrings.xml'/>"
    "<Relationship Id='rId3' Type='/styles' Target='styles.xml'/></Relationships>"};

static void read_book(struct amm_view file)
{
    struct sheet_sink state = {0};
    struct amm_sheet_sink sink = {sheet_sink_row, &state};
    char error[AMM_SHEET_ERROR];
    bool ok = amm_sheet_read_xlsx(file, &sink, error);
    if (ok != (error[0] == '\0')) {
        abort();
    }
}

/* All parts, one of them replaced. */
static void read_packed(size_t which, const uint8_t *data, size_t size)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_source_keep(source);
    zip_t *zip = zip_open_from_source(source, ZIP_TRUNCATE, &error);
    for (size_t i = 0; i < PARTS; i++) {
        const void *bytes = i == which ? (const void *)data : texts[i];
        zip_source_t *part = zip_source_buffer(zip, bytes, i == which ? size : strlen(texts[i]), 0);
        zip_int64_t at = zip_file_add(zip, names[i], part, ZIP_FL_ENC_UTF_8);
        zip_set_file_compression(zip, (zip_uint64_t)at, ZIP_CM_STORE, 0);
    }
    zip_stat_t stat;
    if (zip_close(zip) != 0 || zip_source_stat(source, &stat) != 0 ||
        zip_source_open(source) != 0) {
        abort();
    }
    uint8_t *file = malloc(stat.size);
    zip_source_read(source, file, stat.size);
    zip_source_close(source);
    zip_source_free(source);
    zip_error_fini(&error);
    read_book(amm_view(file, stat.size));
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    if (data[0] < 'a' || data[0] >= 'a' + PARTS) {
        read_book(amm_view(data + 1, size - 1));
    } else {
        read_packed((size_t)(data[0] - 'a'), data + 1, size - 1);
    }
    return 0;
}
