#include "io/log.h"

#include "base/bytes.h"
#include "io/clock.h"

#include <pthread.h>
#include <unistd.h>

enum { LINE_BYTES = 1024, EVENTS = 64, VALUE_MAX = 400 };

/* How much one event id has written in its window of ten seconds. */
struct limit {
    const char *event;
    amm_time window;
    unsigned written, suppressed;
};

static enum amm_log_level lowest = AMM_LOG_INFO;
static pthread_mutex_t limits_lock = PTHREAD_MUTEX_INITIALIZER;
static struct limit limits[EVENTS]; /* under limits_lock */

static const char *level_name(enum amm_log_level level)
{
    switch (level) {
    case AMM_LOG_DEBUG:
        return "debug";
    case AMM_LOG_INFO:
        return "info";
    case AMM_LOG_WARNING:
        return "warning";
    case AMM_LOG_ERROR:
        return "error";
    }
    return "unknown";
}

static bool is_plain(const char *text)
{
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                     (*text >= '0' && *text <= '9') || strchr("-_.:/[]+,@%", *text) != NULL;
        if (!plain) {
            return false;
        }
    }
    return true;
}

static void write_text_value(struct amm_writer *w, const char *text)
{
    if (is_plain(text) && strlen(text) <= VALUE_MAX) {
        amm_write_str(w, text);
        return;
    }
    amm_write_u8(w, '"');
    for (size_t i = 0; text[i] != '\0' && i < VALUE_MAX; i++) {
        uint8_t c = (uint8_t)text[i];
        if (c == '"' || c == '\\') {
            amm_write_text(w, "\\%c", c);
        } else if (c < ' ' || c > '~') {
            amm_write_text(w, "\\x%02x", c);
        } else {
            amm_write_u8(w, c);
        }
    }
    amm_write_u8(w, '"');
}

static void write_field(struct amm_writer *w, const struct amm_field *field)
{
    char text[AMM_ADDRESS_TEXT];
    amm_write_text(w, " %s=", field->key);
    switch (field->kind) {
    case AMM_FIELD_TEXT:
        write_text_value(w, field->text ? field->text : "");
        break;
    case AMM_FIELD_NUMBER:
        amm_write_text(w, "%lld", (long long)field->number);
        break;
    case AMM_FIELD_ADDRESS:
        amm_write_str(w, amm_address_text(field->address, text));
        break;
    case AMM_FIELD_IPV4:
        amm_write_str(w, amm_ipv4_text(field->ipv4, text));
        break;
    }
}

size_t amm_log_format(char *out, size_t room, enum amm_log_level level, const char *event,
                      const struct amm_field *fields, size_t n)
{
    struct amm_writer w = amm_writer(out, room - 1);
    amm_write_text(&w, "level=%s event=%s", level_name(level), event);
    size_t good = amm_writer_len(&w);
    for (size_t i = 0; i < n && !w.failed; i++) {
        write_field(&w, &fields[i]);
        good = w.failed ? good : amm_writer_len(&w);
    }
    out[good] = '\0'; /* a field that did not fit is left out whole */
    return good;
}

/* True if the line may leave; *suppressed: how many were held back before it. */
static bool within_limit(const char *event, unsigned *suppressed)
{
    amm_time now = amm_now().mono;
    bool allowed = true;
    *suppressed = 0;
    pthread_mutex_lock(&limits_lock);
    for (size_t i = 0; i < EVENTS; i++) {
        struct limit *limit = &limits[i];
        if (limit->event != NULL && strcmp(limit->event, event) != 0) {
            continue;
        }
        if (limit->event == NULL || now - limit->window >= 10 * AMM_SECOND) {
            *suppressed = limit->suppressed;
            *limit = (struct limit){.event = event, .window = now};
        }
        allowed = limit->written < AMM_LOG_BURST;
        if (allowed) {
            limit->written++;
        } else {
            limit->suppressed++;
        }
        break;
    }
    pthread_mutex_unlock(&limits_lock);
    return allowed;
}

void amm_log_write(enum amm_log_level level, const char *event, const struct amm_field *fields,
                   size_t n)
{
    unsigned suppressed;
    if (level < lowest || !within_limit(event, &suppressed)) {
        return;
    }
    char line[LINE_BYTES];
    size_t len = amm_log_format(line, sizeof line - 40, level, event, fields, n);
    struct amm_writer w = amm_writer(line + len, sizeof line - len);
    if (suppressed > 0) {
        amm_write_text(&w, " suppressed=%u", suppressed);
    }
    amm_write_u8(&w, '\n');
    /* One write a line, so that lines of threads do not mix. Nobody can be told if it fails. */
    ssize_t written = write(STDERR_FILENO, line, len + amm_writer_len(&w));
    (void)written;
}

void amm_log_set_level(enum amm_log_level level)
{
    lowest = level;
}
