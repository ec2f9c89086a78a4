#include "event_queue.h"

#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT_NAME "events-"
#define STATE_NAME "events.state"

enum {
    SEGMENTS_MAX = ACE_EVENTS_MAX / ACE_EVENTS_SEGMENT + 8,
    SEGMENT_BYTES = ACE_EVENTS_SEGMENT * ACE_EVENTS_LINE,
    SEGMENTS_SHOWN = 2, /* kept for the page when all of them is acknowledged */
    CHECKSUM = 17,      /* 16 hex digits and a blank */
};

struct segment {
    uint64_t first, last; /* ids; last < first: empty */
    unsigned lines;
    unsigned rotten; /* lines that cannot be read */
    off_t len;       /* of what is whole */
    bool is_closed;  /* nothing may be appended */
};

struct held {
    uint64_t id;
    char *line;
};

struct ace_event_queue {
    const struct ace_files *files;
    char folder[ACE_PATH];
    struct segment segments[SEGMENTS_MAX];
    unsigned n_segments;
    struct held held[ACE_EVENTS_HELD];
    unsigned n_held;
    uint64_t next;  /* id of the next event */
    uint64_t first; /* lowest id that is not acknowledged or dropped */
    uint64_t lost;
};

/* ---- lines ---- */

static json_t *event_to_json(uint64_t id, const struct ace_event_time *time, const char *kind,
                             const char *text, const json_t *data)
{
    char clean_kind[AMM_CHECKIN_KIND], clean_text[AMM_CHECKIN_TEXT];
    snprintf(clean_kind, sizeof clean_kind, "%s", kind);
    amm_text_clean(clean_text, sizeof clean_text, amm_view_str(text));
    json_t *event = json_pack("{sI sI ss ss}", "id", (json_int_t)id, "at", (json_int_t)time->wall,
                              "kind", clean_kind, "text", clean_text);
    if (!event) {
        return NULL;
    }
    if (!time->is_trusted) {
        json_object_set_new(event, "boot", json_integer(time->boot));
        json_object_set_new(event, "up", json_integer(time->uptime));
    }
    if (data && json_dumpb(data, NULL, 0, JSON_COMPACT) <= AMM_EVENT_DATA_MAX) {
        json_object_set(event, "data", (json_t *)data);
    }
    return event;
}

static char *line_of(const json_t *event)
{
    char *text = json_dumps(event, JSON_COMPACT);
    size_t len = text ? strlen(text) : 0, room = CHECKSUM + len + 2;
    char *line = text && room <= ACE_EVENTS_LINE ? malloc(room) : NULL;
    if (line) {
        snprintf(line, room, "%016llx %s\n", (unsigned long long)ace_checksum(amm_view(text, len)),
                 text);
    }
    free(text);
    return line;
}

/* The event of a line without its newline; NULL if it is not whole. */
static json_t *line_parse(struct amm_view line)
{
    char checksum[CHECKSUM + 1];
    if (line.len <= CHECKSUM) {
        return NULL;
    }
    struct amm_view text = amm_view(line.data + CHECKSUM, line.len - CHECKSUM);
    snprintf(checksum, sizeof checksum, "%016llx ", (unsigned long long)ace_checksum(text));
    if (memcmp(checksum, line.data, CHECKSUM) != 0) {
        return NULL;
    }
    return json_loadb((const char *)text.data, text.len, 0, NULL);
}

static uint64_t id_of(const json_t *event)
{
    json_int_t id = json_integer_value(json_object_get(event, "id"));
    return id > 0 ? (uint64_t)id : 0;
}

/* Untrusted times of this start are put right once the clock is. */
static int64_t time_of(const json_t *event, const struct ace_event_time *now)
{
    json_t *uptime = json_object_get(event, "up");
    if (uptime && now->is_trusted &&
        json_integer_value(json_object_get(event, "boot")) == (json_int_t)now->boot) {
        return now->wall - (now->uptime - json_integer_value(uptime));
    }
    return json_integer_value(json_object_get(event, "at"));
}

static void copy_text(char *out, size_t room, const json_t *event, const char *name)
{
    const char *text = json_string_value(json_object_get(event, name));
    snprintf(out, room, "%s", text ? text : "");
}

static void event_from_json(struct amm_checkin_event *out, const json_t *event,
                            const struct ace_event_time *now)
{
    *out = (struct amm_checkin_event){.id = id_of(event), .at = time_of(event, now)};
    copy_text(out->kind, sizeof out->kind, event, "kind");
    copy_text(out->text, sizeof out->text, event, "text");
    json_t *data = json_object_get(event, "data");
    out->data = json_is_object(data) ? json_incref(data) : NULL;
}

/* ---- segments ---- */

static void segment_path(const struct ace_event_queue *q, const struct segment *s,
                         char out[ACE_PATH + 32])
{
    snprintf(out, ACE_PATH + 32, "%s/" SEGMENT_NAME "%016llu", q->folder,
             (unsigned long long)s->first);
}

static bool segment_read(const struct ace_event_queue *q, const struct segment *s,
                         struct amm_span *out)
{
    char path[ACE_PATH + 32], error[ACE_PATH + 96];
    segment_path(q, s, path);
    return amm_file_read(path, SEGMENT_BYTES, out, error, sizeof error);
}

/* The next line of a segment's bytes from *at; false at the end or at a torn line. */
static bool next_line(struct amm_view bytes, size_t *at, struct amm_view *line)
{
    const uint8_t *start = bytes.data + *at;
    const uint8_t *newline = *at < bytes.len ? memchr(start, '\n', bytes.len - *at) : NULL;
    if (!newline) {
        return false;
    }
    *line = amm_view(start, (size_t)(newline - start));
    *at += line->len + 1;
    return true;
}

static void segment_scan(struct ace_event_queue *q, struct segment *s)
{
    struct amm_span bytes;
    struct amm_view line;
    size_t at = 0;
    s->last = s->first - 1;
    if (!segment_read(q, s, &bytes)) {
        s->is_closed = true;
        return;
    }
    while (next_line(amm_view_of(bytes), &at, &line)) {
        json_t *event = line_parse(line);
        uint64_t id = id_of(event);
        if (event && id > s->last) {
            s->last = id;
        } else {
            s->rotten++;
            s->last++;
        }
        s->lines++;
        json_decref(event);
    }
    s->len = (off_t)at;
    s->is_closed = at != bytes.len; /* a torn line: cut off before the next one */
    free(bytes.data);
}

static int by_first(const void *a, const void *b)
{
    uint64_t left = ((const struct segment *)a)->first, right = ((const struct segment *)b)->first;
    return left < right ? -1 : left > right;
}

static bool list_segments(struct ace_event_queue *q, char *error, size_t room)
{
    DIR *folder = opendir(q->folder);
    if (!folder) {
        snprintf(error, room, "%s: %s", q->folder, strerror(errno));
        return false;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const char *digits = entry->d_name + strlen(SEGMENT_NAME);
        char *end;
        if (strncmp(entry->d_name, SEGMENT_NAME, strlen(SEGMENT_NAME)) != 0 ||
            strspn(digits, "0123456789") != 16 || digits[16] != '\0' ||
            q->n_segments == SEGMENTS_MAX) {
            continue;
        }
        uint64_t first = strtoull(digits, &end, 10);
        if (first > 0) {
            q->segments[q->n_segments++] = (struct segment){.first = first};
        }
    }
    closedir(folder);
    qsort(q->segments, q->n_segments, sizeof q->segments[0], by_first);
    return true;
}

static void state_path(const struct ace_event_queue *q, char out[ACE_PATH + 32])
{
    snprintf(out, ACE_PATH + 32, "%s/" STATE_NAME, q->folder);
}

static void state_read(struct ace_event_queue *q)
{
    char path[ACE_PATH + 32];
    struct amm_span content;
    unsigned long long first = 0, lost = 0, next = 0;
    state_path(q, path);
    enum ace_record found = ace_record_read(path, 256, &content);
    if (found != ACE_RECORD_GOOD && found != ACE_RECORD_PREVIOUS) {
        return;
    }
    if (sscanf((const char *)content.data, "%llu %llu %llu", &first, &lost, &next) == 3 &&
        first >= 1 && next >= first) {
        q->first = first;
        q->lost = lost;
        q->next = next;
    }
    free(content.data);
}

static bool state_write(struct ace_event_queue *q, char *error, size_t room)
{
    char path[ACE_PATH + 32], text[96];
    state_path(q, path);
    int len = snprintf(text, sizeof text, "%llu %llu %llu\n", (unsigned long long)q->first,
                       (unsigned long long)q->lost, (unsigned long long)q->next);
    return ace_record_write(q->files, path, amm_view(text, (size_t)len), error, room);
}

/* Takes away segments that hold nothing any more; true if there were any. */
static bool drop_segments(struct ace_event_queue *q)
{
    unsigned n = 0;
    while (n + SEGMENTS_SHOWN < q->n_segments && q->segments[n].last < q->first) {
        char path[ACE_PATH + 32];
        segment_path(q, &q->segments[n], path);
        if (q->files->unlink(q->files->context, path) != 0 && errno != ENOENT) {
            break;
        }
        q->lost += q->segments[n].rotten;
        n++;
    }
    memmove(q->segments, q->segments + n, (q->n_segments - n) * sizeof q->segments[0]);
    q->n_segments -= n;
    return n > 0;
}

/* The oldest go when there are too many. */
static void bound(struct ace_event_queue *q)
{
    char error[ACE_PATH + 96];
    if (q->next - q->first > ACE_EVENTS_MAX) {
        uint64_t excess = q->next - q->first - ACE_EVENTS_MAX;
        q->first += excess;
        q->lost += excess;
        if (drop_segments(q)) {
            state_write(q, error, sizeof error); /* else with the next segment */
        }
    }
}

struct ace_event_queue *ace_event_queue_open(const struct ace_files *files, const char *folder,
                                             char *error, size_t room)
{
    struct ace_event_queue *q = calloc(1, sizeof *q);
    error[0] = '\0';
    if (!q) {
        snprintf(error, room, "out of memory");
        return NULL;
    }
    q->files = files;
    q->first = q->next = 1;
    snprintf(q->folder, sizeof q->folder, "%s", folder);
    if (!list_segments(q, error, room)) {
        return q;
    }
    state_read(q);
    for (unsigned i = 0; i < q->n_segments; i++) {
        struct segment *s = &q->segments[i];
        segment_scan(q, s);
        q->next = s->last + 1 > q->next ? s->last + 1 : q->next;
    }
    if (q->n_segments > 0 && q->segments[q->n_segments - 1].lines == 0) {
        q->n_segments--; /* begun, and cut before its first line was whole: begun anew */
    }
    if (q->n_segments > 0 && q->segments[0].first > q->first) {
        q->first = q->segments[0].first;
    }
    bound(q);
    return q;
}

struct ace_event_queue *ace_event_queue_free(struct ace_event_queue *queue)
{
    if (queue) {
        for (unsigned i = 0; i < queue->n_held; i++) {
            free(queue->held[i].line);
        }
        free(queue);
    }
    return NULL;
}

/* ---- adding ---- */

void ace_event_queue_add(struct ace_event_queue *q, const struct ace_event_time *time,
                         const char *kind, const char *text, const json_t *data)
{
    if (q->n_held ==
        ACE_EVENTS_HELD) { /* the disk has refused for long: the oldest held one goes */
        free(q->held[0].line);
        memmove(q->held, q->held + 1, (ACE_EVENTS_HELD - 1) * sizeof q->held[0]);
        q->n_held--;
        q->lost++;
    }
    json_t *event = event_to_json(q->next, time, kind, text, data);
    char *line = event ? line_of(event) : NULL;
    json_decref(event);
    if (!line) {
        q->lost++;
        return;
    }
    q->held[q->n_held++] = (struct held){q->next++, line};
}

static struct segment *segment_for_append(struct ace_event_queue *q, bool *is_new)
{
    struct segment *s = q->n_segments > 0 ? &q->segments[q->n_segments - 1] : NULL;
    *is_new = false;
    if (s && !s->is_closed && s->lines < ACE_EVENTS_SEGMENT) {
        return s;
    }
    if (q->n_segments == SEGMENTS_MAX) {
        return NULL; /* only if old ones cannot be deleted */
    }
    s = &q->segments[q->n_segments];
    *s = (struct segment){.first = q->held[0].id, .last = q->held[0].id - 1};
    *is_new = true;
    return s;
}

/* Appends up to `n` held lines with one write and one sync. */
static bool append(struct ace_event_queue *q, struct segment *s, bool is_new, unsigned n)
{
    char path[ACE_PATH + 32];
    size_t len = 0, at = 0;
    segment_path(q, s, path);
    for (unsigned i = 0; i < n; i++) {
        len += strlen(q->held[i].line);
    }
    uint8_t *bytes = malloc(len);
    int flags = O_WRONLY | O_CREAT | O_APPEND | (is_new ? O_TRUNC : 0);
    int fd = bytes ? q->files->open(q->files->context, path, flags, 0600) : -1;
    for (unsigned i = 0; bytes && i < n; i++) {
        size_t line = strlen(q->held[i].line);
        memcpy(bytes + at, q->held[i].line, line);
        at += line;
    }
    bool ok = fd >= 0 && ace_files_write_all(q->files, fd, amm_view(bytes, len)) &&
              q->files->sync(q->files->context, fd) == 0;
    int cause = errno;
    if (!ok && fd >= 0) {
        /* Half a line would spoil the next one. */
        s->is_closed = q->files->truncate(q->files->context, fd, s->len) != 0;
    }
    if (fd >= 0) {
        q->files->close(q->files->context, fd);
    }
    free(bytes);
    if (ok && is_new) {
        ok = q->files->sync_folder(q->files->context, q->folder) == 0;
        cause = errno;
    }
    errno = cause;
    if (ok) {
        s->len += (off_t)len;
    }
    return ok;
}

bool ace_event_queue_flush(struct ace_event_queue *q, char *error, size_t room)
{
    while (q->n_held > 0) {
        bool is_new;
        struct segment *s = segment_for_append(q, &is_new);
        unsigned free_lines = s ? ACE_EVENTS_SEGMENT - s->lines : 0;
        unsigned n = q->n_held < free_lines ? q->n_held : free_lines;
        if (!s || !append(q, s, is_new, n)) {
            snprintf(error, room, "%s: %s", q->folder, s ? strerror(errno) : "too many files");
            return false;
        }
        q->n_segments += is_new;
        s->lines += n;
        s->last = q->held[n - 1].id;
        for (unsigned i = 0; i < n; i++) {
            free(q->held[i].line);
        }
        memmove(q->held, q->held + n, (q->n_held - n) * sizeof q->held[0]);
        q->n_held -= n;
    }
    bound(q);
    return true;
}

/* ---- reading ---- */

size_t ace_event_queue_oldest(const struct ace_event_queue *q, uint64_t after,
                              const struct ace_event_time *now, struct amm_checkin_event *out,
                              size_t n)
{
    size_t have = 0;
    uint64_t from = after + 1 > q->first ? after + 1 : q->first;
    for (unsigned i = 0; i < q->n_segments && have < n; i++) {
        struct amm_span bytes;
        struct amm_view line;
        size_t at = 0;
        if (q->segments[i].last < from || !segment_read(q, &q->segments[i], &bytes)) {
            continue;
        }
        while (have < n && next_line(amm_view_of(bytes), &at, &line)) {
            json_t *event = line_parse(line);
            if (event && id_of(event) >= from) {
                event_from_json(&out[have++], event, now);
                from = id_of(event) + 1;
            }
            json_decref(event);
        }
        free(bytes.data);
    }
    return have;
}

size_t ace_event_queue_newest(const struct ace_event_queue *q, const struct ace_event_time *now,
                              struct amm_checkin_event *out, size_t n)
{
    size_t have = 0;
    for (unsigned i = q->n_held; i > 0 && have < n; i--) {
        json_t *event = line_parse(amm_view(q->held[i - 1].line, strlen(q->held[i - 1].line) - 1));
        if (event) {
            event_from_json(&out[have++], event, now);
        }
        json_decref(event);
    }
    for (unsigned i = q->n_segments; i > 0 && have < n; i--) {
        struct amm_span bytes;
        if (!segment_read(q, &q->segments[i - 1], &bytes)) {
            continue;
        }
        /* Backwards from newline to newline. */
        for (size_t end = bytes.len; end > 0 && have < n;) {
            const uint8_t *before = end > 1 ? memrchr(bytes.data, '\n', end - 1) : NULL;
            size_t start = before ? (size_t)(before - bytes.data) + 1 : 0;
            json_t *event = bytes.data[end - 1] == '\n'
                                ? line_parse(amm_view(bytes.data + start, end - 1 - start))
                                : NULL;
            if (event) {
                event_from_json(&out[have++], event, now);
            }
            json_decref(event);
            end = start;
        }
        free(bytes.data);
    }
    return have;
}

bool ace_event_queue_acknowledge(struct ace_event_queue *q, uint64_t id, char *error, size_t room)
{
    if (id < q->first || id >= q->next) {
        return true;
    }
    q->first = id + 1;
    drop_segments(q);
    return state_write(q, error, room);
}

uint64_t ace_event_queue_waiting(const struct ace_event_queue *queue)
{
    return queue->next - queue->first;
}

uint64_t ace_event_queue_ready(const struct ace_event_queue *queue)
{
    return queue->next - queue->n_held - queue->first;
}

uint64_t ace_event_queue_lost(const struct ace_event_queue *queue)
{
    uint64_t rotten = 0;
    for (unsigned i = 0; i < queue->n_segments; i++) {
        rotten += queue->segments[i].rotten;
    }
    return queue->lost + rotten;
}

uint64_t ace_event_queue_last(const struct ace_event_queue *queue)
{
    return queue->next - 1;
}
