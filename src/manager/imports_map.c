/* What columns mean: guessed from their headings, or said by a person. */
#include "imports_parts.h"

#include "domain/msci.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const struct {
    const char *name;  /* in the API */
    const char *title; /* in texts */
    int32_t target;
    const char *exact; /* headings that mean this, "|" between */
    const char *loose; /* ... that may mean it */
} fields[] = {
    {"serial", "Serial", TARGET_SERIAL, "serial|serial number|serialnumber|serial no|s/n",
     "sn|serial#|device serial|seriennummer|imei|esn|id"},
    {"name", "Name", TARGET_NAME, "name|gateway|gateway name", "device|device id|host|hostname"},
    {"group", "Group", TARGET_GROUP, "group|group path", "customer group|folder|site|depot"},
    {"note", "Note", TARGET_NOTE, "note|notes", "comment|comments|remark|remarks|description"},
    {"kind", "Kind", TARGET_KIND, "kind", "type|gateway type|model"},
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

/* Names in the API that stand for a parameter. */
static const struct {
    const char *name;
    uint32_t id;
    const char *loose;
} aliases[] = {
    {"label", AMM_MSCI_DEVICE_NAME, "label|device name|display name|vehicle"},
    {"port", AMM_MSCI_TUNNEL_PORT, "port|tunnel port|management tunnel port|amm port"},
};
enum { N_ALIASES = sizeof aliases / sizeof aliases[0] };

const char *import_target_name(int32_t target, char out[16])
{
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (fields[i].target == target) {
            return fields[i].name;
        }
    }
    snprintf(out, 16, target > 0 ? "%d" : "ignore", target);
    return out;
}

const char *import_target_title(int32_t target, char out[16])
{
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (fields[i].target == target) {
            return fields[i].title;
        }
    }
    snprintf(out, 16, "%d", target);
    return out;
}

/* One of "a|b|c", without regard to case. */
static bool is_one_of(const char *text, const char *list)
{
    size_t len = strlen(text);
    while (list[0] != '\0') {
        size_t word = strcspn(list, "|");
        if (word == len && strncasecmp(list, text, len) == 0) {
            return true;
        }
        list += word + (list[word] == '|');
    }
    return false;
}

/* ---- guessing ---- */

/* "MSCIID 1172", "1172, HTTPS", "10034 (port)": a number that begins the heading. */
static const struct amm_msci *number_in(const char *header, bool *sure)
{
    static const char prefix[] = "msciid";
    bool has_prefix = strncasecmp(header, prefix, sizeof prefix - 1) == 0;
    const char *at = header + (has_prefix ? sizeof prefix - 1 : 0);
    while (has_prefix && (*at == ' ' || *at == '-' || *at == '_' || *at == ':')) {
        at++;
    }
    size_t n = strspn(at, "0123456789");
    if (n == 0 || n > 9 || isalnum((unsigned char)at[n])) {
        return NULL;
    }
    *sure = at[n] == '\0';
    return amm_msci_find((uint32_t)strtoul(at, NULL, 10));
}

static void guess(struct import_column *column)
{
    const char *header = column->header;
    char unused[AMM_MSCI_ERROR];
    bool sure = true;
    const struct amm_msci *msci = number_in(header, &sure);
    msci = msci != NULL ? msci : amm_msci_find_name(amm_view_str(header));
    column->target = TARGET_IGNORE;
    column->sure = false;
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (is_one_of(header, fields[i].exact) || is_one_of(header, fields[i].loose)) {
            column->target = fields[i].target;
            column->sure = is_one_of(header, fields[i].exact);
            return;
        }
    }
    for (size_t i = 0; i < N_ALIASES && msci == NULL; i++) {
        if (is_one_of(header, aliases[i].loose)) {
            msci = amm_msci_find(aliases[i].id);
            sure = strcasecmp(header, "label") == 0;
        }
    }
    if (msci != NULL && amm_msci_may_set(msci, AMM_MSCI_FROM_SERVER, unused)) {
        column->target = (int32_t)msci->id;
        column->sure = sure;
    }
}

/* One line of printable text. */
static void take_header(struct import_column *column, struct amm_view text)
{
    size_t used = 0;
    while (text.len > 0 && text.data[0] <= ' ') {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && text.data[text.len - 1] <= ' ') {
        text.len--;
    }
    for (size_t i = 0; i < text.len && used < IMPORT_HEADER; i++) {
        column->header[used++] =
            (char)(text.data[i] < ' ' || text.data[i] == 0x7f ? ' ' : text.data[i]);
    }
    while (used > 0 && used < text.len && (text.data[used] & 0xc0) == 0x80) {
        used--; /* not half a character */
    }
    column->header[used] = '\0';
}

bool import_guess(struct import *import, const struct amm_sheet_row *headings)
{
    free(import->columns);
    import->n_columns = 0;
    import->columns = calloc(headings->n, sizeof *import->columns);
    if (import->columns == NULL) {
        return false;
    }
    for (uint16_t i = 0; i < headings->n; i++) {
        struct import_column *column = &import->columns[i];
        column->column = headings->cells[i].column;
        take_header(column, headings->cells[i].text);
        guess(column);
        const struct import_column *same =
            column->target != TARGET_IGNORE ? import_column_of(import, column->target) : NULL;
        if (same != NULL) {
            column->target = TARGET_IGNORE; /* the first one counts until somebody says otherwise */
            column->sure = false;
        }
        import->n_columns++;
    }
    return true;
}

const struct import_column *import_column_of(const struct import *import, int32_t target)
{
    for (uint16_t i = 0; i < import->n_columns; i++) {
        if (import->columns[i].target == target) {
            return &import->columns[i];
        }
    }
    return NULL;
}

bool import_is_sure(const struct import *import)
{
    bool sure = import_column_of(import, TARGET_SERIAL) || import_column_of(import, TARGET_NAME);
    for (uint16_t i = 0; i < import->n_columns; i++) {
        sure = sure && (import->columns[i].sure || import->columns[i].target == TARGET_IGNORE);
    }
    return sure;
}

/* ---- as JSON ---- */

json_t *import_columns_to_json(const struct import *import)
{
    json_t *list = json_array();
    for (uint16_t i = 0; i < import->n_columns; i++) {
        const struct import_column *column = &import->columns[i];
        char letters[AMM_SHEET_COLUMN_NAME], target[16];
        const struct amm_msci *msci =
            column->target > 0 ? amm_msci_find((uint32_t)column->target) : NULL;
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s*, s:b}", "column",
                            amm_sheet_column(column->column, letters), "header", column->header,
                            "target", import_target_name(column->target, target), "name",
                            msci != NULL ? msci->name : NULL, "sure", column->sure));
    }
    return list;
}

char *import_columns_to_text(const struct import *import)
{
    json_t *list = json_array();
    for (uint16_t i = 0; i < import->n_columns; i++) {
        const struct import_column *column = &import->columns[i];
        json_array_append_new(list, json_pack("[i,i,b,s]", column->column, column->target,
                                              column->sure, column->header));
    }
    char *text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    return text;
}

bool import_columns_of_text(struct import *import, const char *text)
{
    json_t *list = json_loads(text, 0, NULL);
    size_t i, n = json_array_size(list);
    json_t *item;
    struct import_column *columns = calloc(n > 0 ? n : 1, sizeof *columns);
    bool ok = columns != NULL && json_is_array(list) && n <= AMM_SHEET_COLUMNS;
    json_array_foreach(list, i, item)
    {
        int column, target, sure;
        const char *header;
        ok = ok && json_unpack(item, "[i,i,b,s]", &column, &target, &sure, &header) == 0;
        if (ok) {
            columns[i] =
                (struct import_column){.column = (uint16_t)column, .sure = sure, .target = target};
            snprintf(columns[i].header, sizeof columns[i].header, "%s", header);
        }
    }
    json_decref(list);
    if (!ok) {
        free(columns);
        return false;
    }
    free(import->columns);
    import->columns = columns;
    import->n_columns = (uint16_t)n;
    return true;
}

/* ---- said by a person ---- */

static bool parse_target(const char *text, int32_t *out, struct fleet_error *error)
{
    char why[AMM_MSCI_ERROR];
    const struct amm_msci *msci = NULL;
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (strcmp(fields[i].name, text) == 0) {
            *out = fields[i].target;
            return true;
        }
    }
    if (strcmp(text, "ignore") == 0) {
        *out = TARGET_IGNORE;
        return true;
    }
    for (size_t i = 0; i < N_ALIASES; i++) {
        msci = strcmp(aliases[i].name, text) == 0 ? amm_msci_find(aliases[i].id) : msci;
    }
    msci = msci != NULL ? msci : amm_msci_find_word(amm_view_str(text));
    if (msci == NULL) {
        return fleet_refuse(error, 400, "bad-value", "target",
                            "A target is the number or name of a parameter, or serial, name, "
                            "group, label, note, kind, ignore.");
    }
    if (!amm_msci_may_set(msci, AMM_MSCI_FROM_SERVER, why)) {
        return fleet_refuse(error, 400, "read-only", "target", "%s", why);
    }
    *out = (int32_t)msci->id;
    return true;
}

static bool map_one(struct import *import, const json_t *item, struct fleet_error *error)
{
    const char *letters = json_string_value(json_object_get(item, "column"));
    const char *text = json_string_value(json_object_get(item, "target"));
    unsigned column;
    int32_t target;
    if (letters == NULL || text == NULL || !amm_sheet_column_parse(letters, &column)) {
        return fleet_refuse(error, 400, "bad-value", "columns",
                            "A column has the texts `column` (\"C\") and `target`.");
    }
    if (!parse_target(text, &target, error)) {
        return false;
    }
    for (uint16_t i = 0; i < import->n_columns; i++) {
        if (import->columns[i].column == column) {
            import->columns[i].target = target;
            import->columns[i].sure = true;
            return true;
        }
    }
    return fleet_refuse(error, 400, "no-such-column", "columns",
                        "The sheet has no heading in column %.3s.", letters);
}

bool import_map(struct import *import, const json_t *columns, struct fleet_error *error)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)(uintptr_t)columns, i, item)
    {
        if (!map_one(import, item, error)) {
            return false;
        }
    }
    for (uint16_t a = 0; a < import->n_columns; a++) {
        for (uint16_t b = 0; b < a; b++) {
            if (import->columns[a].target != TARGET_IGNORE &&
                import->columns[a].target == import->columns[b].target) {
                char one[AMM_SHEET_COLUMN_NAME], other[AMM_SHEET_COLUMN_NAME];
                return fleet_refuse(error, 400, "twice", "columns",
                                    "Columns %s and %s mean the same.",
                                    amm_sheet_column(import->columns[b].column, one),
                                    amm_sheet_column(import->columns[a].column, other));
            }
        }
        import->columns[a].sure = true;
    }
    return import_column_of(import, TARGET_SERIAL) || import_column_of(import, TARGET_NAME) ||
           fleet_refuse(
               error, 400, "no-key", "columns",
               "One column must be `serial` or `name`: it says which gateway a row means.");
}
