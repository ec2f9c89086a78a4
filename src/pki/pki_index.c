#include "pki/pki_index.h"

#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>

enum { LINE_MAX_BYTES = 256, SERIAL_HEX = 40 };

struct pki_entry *pki_index_add(struct pki *pki)
{
    struct pki_entry *more = reallocarray(pki->entries, pki->n + 1, sizeof *more);
    if (!more) {
        return NULL;
    }
    pki->entries = more;
    more += pki->n++;
    *more = (struct pki_entry){0};
    return more;
}

static bool parse_kind(const char *name, enum pki_kind *out)
{
    for (int i = 0; i < PKI_KINDS; i++) {
        if (strcmp(name, pki_kinds[i].name) == 0) {
            *out = (enum pki_kind)i;
            return true;
        }
    }
    return false;
}

static bool parse_time(const char *text, int64_t *out)
{
    char *end;
    *out = strtoll(text, &end, 10);
    return *text != '\0' && *end == '\0';
}

static bool parse_line(char *line, struct pki_entry *entry)
{
    char *rest = line;
    char *words[6];
    for (int i = 0; i < 6; i++) {
        words[i] = strtok_r(rest, " ", &rest);
        if (!words[i]) {
            return false;
        }
    }
    size_t len = strlen(words[0]);
    if (len > AMM_NAME_MAX || strtok_r(rest, " ", &rest)) {
        return false;
    }
    memcpy(entry->name, words[0], len + 1);
    return parse_kind(words[1], &entry->kind) && strlen(words[2]) == SERIAL_HEX &&
           amm_unhex(entry->serial, sizeof entry->serial, words[2]) &&
           parse_time(words[3], &entry->issued) && parse_time(words[4], &entry->not_after) &&
           (strcmp(words[5], "-") == 0 ||
            (parse_time(words[5], &entry->revoked) && entry->revoked > 0));
}

bool pki_index_parse(struct pki *pki, const char *text, char error[PKI_ERROR])
{
    for (int number = 1; *text != '\0'; number++) {
        size_t len = strcspn(text, "\n");
        char line[LINE_MAX_BYTES];
        bool fits = len < sizeof line;
        if (fits && len > 0 && text[0] != '#') {
            memcpy(line, text, len);
            line[len] = '\0';
            struct pki_entry *entry = pki_index_add(pki);
            fits = entry && parse_line(line, entry);
        }
        if (!fits) {
            snprintf(error, PKI_ERROR, "%.300s/%s:%d: not a line of the index", pki->folder,
                     AMM_PKI_INDEX, number);
            return false;
        }
        text += len + (text[len] == '\n');
    }
    return true;
}

char *pki_index_text(const struct pki *pki)
{
    static const char head[] = "# name kind serial issued not-after revoked\n";
    size_t room = sizeof head + pki->n * LINE_MAX_BYTES;
    char *text = malloc(room);
    struct amm_writer w = amm_writer(text, text ? room : 0);
    amm_write_str(&w, head);
    for (size_t i = 0; i < pki->n; i++) {
        const struct pki_entry *entry = &pki->entries[i];
        char serial[SERIAL_HEX + 1];
        amm_hex(serial, amm_view(entry->serial, sizeof entry->serial));
        amm_write_text(&w, "%s %s %s %lld %lld ", entry->name, pki_kinds[entry->kind].name, serial,
                       (long long)entry->issued, (long long)entry->not_after);
        if (entry->revoked) {
            amm_write_text(&w, "%lld\n", (long long)entry->revoked);
        } else {
            amm_write_str(&w, "-\n");
        }
    }
    amm_write_u8(&w, 0);
    if (w.failed) {
        free(text);
        return NULL;
    }
    return text;
}
