#include "memory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FILE_LIMIT = 65536 };

static int64_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void text(char *out, size_t room, const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    snprintf(out, room, "%s", value ? value : "");
}

bool ace_memory_read(struct ace_memory *m, const char *path, char *error, size_t room)
{
    struct amm_span content;
    *m = (struct ace_memory){0};
    enum ace_record found = ace_record_read(path, FILE_LIMIT, &content);
    if (found == ACE_RECORD_NONE) {
        return true;
    }
    json_t *file = NULL;
    if (found != ACE_RECORD_DAMAGED) {
        file = json_loadb((const char *)content.data, content.len, 0, NULL);
        free(content.data);
    }
    m->boot = (uint32_t)number(file, "boot");
    m->boot_mono = number(file, "boot-mono");
    m->seq = (uint64_t)number(file, "seq");
    m->clock = number(file, "clock");
    m->month = number(file, "month");
    text(m->boot_id, sizeof m->boot_id, file, "boot-id");
    text(m->reason, sizeof m->reason, file, "reason");
    text(m->next_reason, sizeof m->next_reason, file, "next-reason");
    text(m->server, sizeof m->server, file, "server");
    for (size_t i = 0; i < ACE_PURPOSES; i++) {
        json_t *pair = json_array_get(json_object_get(file, "bytes"), i);
        m->bytes[i].in = (uint64_t)json_integer_value(json_array_get(pair, 0));
        m->bytes[i].out = (uint64_t)json_integer_value(json_array_get(pair, 1));
    }
    json_decref(file);
    if (found == ACE_RECORD_PREVIOUS) {
        m->seq += ACE_SEQ_BLOCK; /* the block after the one that is known may be in use */
    }
    if (found != ACE_RECORD_GOOD) {
        snprintf(error, room, "%s: was damaged%s", path,
                 found == ACE_RECORD_DAMAGED ? "; counts begin anew" : "; the one before is used");
        return false;
    }
    return true;
}

bool ace_memory_write(const struct ace_memory *m, const struct ace_files *files, const char *path,
                      char *error, size_t room)
{
    json_t *bytes = json_array();
    for (size_t i = 0; i < ACE_PURPOSES; i++) {
        json_array_append_new(
            bytes, json_pack("[I, I]", (json_int_t)m->bytes[i].in, (json_int_t)m->bytes[i].out));
    }
    json_t *file = json_pack("{sI ss sI ss ss sI sI sI ss so}", "boot", (json_int_t)m->boot,
                             "boot-id", m->boot_id, "boot-mono", (json_int_t)m->boot_mono, "reason",
                             m->reason, "next-reason", m->next_reason, "seq", (json_int_t)m->seq,
                             "clock", (json_int_t)m->clock, "month", (json_int_t)m->month, "server",
                             m->server, "bytes", bytes);
    char *content = file ? json_dumps(file, JSON_COMPACT) : NULL;
    json_decref(file);
    if (!content) {
        snprintf(error, room, "%s: out of memory", path);
        return false;
    }
    bool ok = ace_record_write(files, path, amm_view_str(content), error, room);
    free(content);
    return ok;
}

bool ace_memory_start(struct ace_memory *m, const char *boot_id, amm_time mono)
{
    bool is_kernel = strcmp(m->boot_id, boot_id) != 0;
    if (!is_kernel && !m->next_reason[0]) {
        return false;
    }
    snprintf(m->reason, sizeof m->reason, "%s",
             m->next_reason[0] ? m->next_reason
             : m->boot > 0     ? "power on"
                               : "first start");
    snprintf(m->boot_id, sizeof m->boot_id, "%s", boot_id);
    m->next_reason[0] = '\0';
    m->boot_mono = is_kernel ? 0 : mono;
    m->boot++;
    return true;
}

static int64_t month_of(int64_t wall)
{
    time_t t = (time_t)wall;
    struct tm tm;
    if (!gmtime_r(&t, &tm)) {
        return 0;
    }
    struct tm first = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = 1};
    return (int64_t)timegm(&first);
}

void ace_memory_count(struct ace_memory *m, int64_t wall, enum ace_purpose purpose, uint64_t in,
                      uint64_t out)
{
    int64_t month = wall > 0 ? month_of(wall) : m->month;
    if (month != m->month && month > 0) {
        /* What came before the clock was known belongs to its first month. */
        if (m->month > 0) {
            memset(m->bytes, 0, sizeof m->bytes);
        }
        m->month = month;
    }
    m->bytes[purpose].in += in;
    m->bytes[purpose].out += out;
}
