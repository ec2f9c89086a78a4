/* JSON of the API as tables and lines for a person. */
#include "api.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

void ctl_print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(10));
    putchar('\n');
    json_decref(value);
}

const json_t *ctl_member(const json_t *object, const char *path)
{
    for (;;) {
        size_t len = strcspn(path, ".");
        char name[64];
        if (len >= sizeof name) {
            return NULL;
        }
        memcpy(name, path, len);
        name[len] = '\0';
        object = json_object_get(object, name);
        if (object == NULL || path[len] == '\0') {
            return object;
        }
        path += len + 1;
    }
}

static const char *show_number(json_int_t number, enum ctl_show show, char out[CTL_CELL])
{
    switch (show) {
    case CTL_SHOW_TIME:
        return ctl_time_text(number, out);
    case CTL_SHOW_AGE:
        return ctl_age_text(time(NULL) - number, out);
    case CTL_SHOW_BYTES:
        return ctl_bytes_text((uint64_t)number, out);
    case CTL_SHOW_TEXT:
    case CTL_SHOW_YES:
        break;
    }
    snprintf(out, CTL_CELL, "%" JSON_INTEGER_FORMAT, number);
    return out;
}

const char *ctl_show(const json_t *value, enum ctl_show show, char out[CTL_CELL])
{
    if (value == NULL || json_is_null(value)) {
        return strcpy(out, "-");
    }
    if (json_is_integer(value)) {
        return show_number(json_integer_value(value), show, out);
    }
    if (json_is_boolean(value)) {
        snprintf(out, CTL_CELL, "%s", json_is_true(value) ? "yes" : "no");
    } else if (json_is_string(value)) {
        amm_text_clean(out, CTL_CELL,
                       amm_view(json_string_value(value), json_string_length(value)));
    } else {
        char *text = json_dumps(value, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY |
                                           JSON_REAL_PRECISION(10));
        amm_text_clean(out, CTL_CELL, amm_view_str(text ? text : ""));
        free(text);
    }
    if (out[0] == '\0') {
        snprintf(out, CTL_CELL, "-");
    }
    return out;
}

void ctl_print_object(const struct ctl *ctl, json_t *object, const struct ctl_column *columns)
{
    char cell[CTL_CELL];
    int width = 0;
    if (ctl->json) {
        ctl_print_json(object);
        return;
    }
    for (const struct ctl_column *c = columns; c->head; c++) {
        int len = (int)strlen(c->head);
        width = len > width ? len : width;
    }
    for (const struct ctl_column *c = columns; c->head; c++) {
        printf("%-*s  %s\n", width, c->head,
               ctl_show(ctl_member(object, c->member), c->show, cell));
    }
    json_decref(object);
}

struct rows {
    const struct ctl_column *columns;
    struct ctl_table table;
    json_t *all; /* with -o json instead */
};

static void add_row(void *context, const json_t *item)
{
    struct rows *rows = context;
    char cell[CTL_CELL];
    if (rows->all) {
        json_array_append(rows->all, (json_t *)(uintptr_t)item);
        return;
    }
    for (const struct ctl_column *c = rows->columns; c->head; c++) {
        ctl_table_cell(&rows->table, "%s", ctl_show(ctl_member(item, c->member), c->show, cell));
    }
}

enum ctl_exit ctl_api_print_list(const struct ctl *ctl, struct ctl_api *api, const char *target,
                                 const struct ctl_column *columns, const char *none)
{
    const char *head[CTL_COLUMNS];
    size_t n = 0;
    struct rows rows = {.columns = columns, .all = ctl->json ? json_array() : NULL};

    for (; n < CTL_COLUMNS && columns[n].head; n++) {
        head[n] = columns[n].head;
    }
    ctl_table_init(&rows.table, n, head);
    enum ctl_exit status = ctl_api_list(api, target, add_row, &rows);
    if (status == CTL_OK && rows.all) {
        ctl_print_json(json_incref(rows.all));
    } else if (status == CTL_OK && rows.table.n_rows > n) {
        ctl_table_print(&rows.table, stdout);
    } else if (status == CTL_OK) {
        puts(none);
    }
    free(rows.table.cells);
    json_decref(rows.all);
    return status;
}
