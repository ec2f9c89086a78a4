#include "ctl.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

void ctl_table_cell(struct ctl_table *table, const char *format, ...)
{
    if (table->n_rows == table->room) {
        size_t room = table->room ? table->room * 2 : 64 * table->n_columns;
        void *cells = realloc(table->cells, room * sizeof *table->cells);
        if (cells == NULL) {
            fputs("ammctl: out of memory\n", stderr);
            exit(CTL_FAILED);
        }
        table->cells = cells;
        table->room = room;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(table->cells[table->n_rows++], CTL_CELL, format, args);
    va_end(args);
}

void ctl_table_init(struct ctl_table *table, size_t n_columns, const char *const *head)
{
    *table = (struct ctl_table){.n_columns = n_columns};
    for (size_t i = 0; i < n_columns; i++) {
        ctl_table_cell(table, "%s", head[i]);
    }
}

void ctl_table_print(struct ctl_table *table, FILE *out)
{
    size_t width[CTL_COLUMNS] = {0};
    for (size_t i = 0; i < table->n_rows; i++) {
        size_t len = strlen(table->cells[i]);
        size_t column = i % table->n_columns;
        width[column] = len > width[column] ? len : width[column];
    }
    for (size_t i = 0; i < table->n_rows; i++) {
        size_t column = i % table->n_columns;
        bool is_last = column == table->n_columns - 1;
        fprintf(out, "%-*s%s", is_last ? 0 : (int)width[column], table->cells[i],
                is_last ? "\n" : "  ");
    }
    free(table->cells);
    table->cells = NULL;
}

const char *ctl_time_text(int64_t wall, char *out)
{
    time_t seconds = (time_t)wall;
    struct tm utc;
    if (gmtime_r(&seconds, &utc) == NULL ||
        strftime(out, CTL_TIME_TEXT, "%Y-%m-%d %H:%M:%SZ", &utc) == 0) {
        snprintf(out, CTL_TIME_TEXT, "-");
    }
    return out;
}

const char *ctl_bytes_text(uint64_t bytes, char *out)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000 && unit < 4) {
        value /= 1000;
        unit++;
    }
    snprintf(out, CTL_TIME_TEXT, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

const char *ctl_age_text(int64_t seconds, char *out)
{
    if (seconds < 0) {
        seconds = 0;
    }
    long long s = seconds;
    if (s < 60) {
        snprintf(out, CTL_TIME_TEXT, "%llds", s);
    } else if (s < 3600) {
        snprintf(out, CTL_TIME_TEXT, "%lldm %llds", s / 60, s % 60);
    } else if (s < 86400) {
        snprintf(out, CTL_TIME_TEXT, "%lldh %lldm", s / 3600, s / 60 % 60);
    } else {
        snprintf(out, CTL_TIME_TEXT, "%lldd %lldh", s / 86400, s / 3600 % 24);
    }
    return out;
}
