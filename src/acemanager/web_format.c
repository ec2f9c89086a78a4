#include "web_format.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

const char *web_bytes(uint64_t bytes, char out[WEB_WORDS])
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    if (bytes < 1000) {
        snprintf(out, WEB_WORDS, "%" PRIu64 WEB_NARROW "B", bytes);
        return out;
    }
    for (value /= 1000; value >= 999.95 && unit + 1 < sizeof units / sizeof *units; value /= 1000) {
        unit++;
    }
    snprintf(out, WEB_WORDS, "%.1f" WEB_NARROW "%s", value, units[unit]);
    return out;
}

const char *web_duration(int64_t seconds, char out[WEB_WORDS])
{
    int64_t s = seconds > 0 ? seconds : 0;
    if (s < MINUTE) {
        snprintf(out, WEB_WORDS, "%" PRId64 WEB_NARROW "s", s);
    } else if (s < HOUR) {
        snprintf(out, WEB_WORDS, "%" PRId64 WEB_NARROW "min", s / MINUTE);
    } else if (s < DAY) {
        snprintf(out, WEB_WORDS, "%" PRId64 WEB_NARROW "h %02" PRId64 WEB_NARROW "min", s / HOUR,
                 s % HOUR / MINUTE);
    } else {
        snprintf(out, WEB_WORDS, "%" PRId64 WEB_NARROW "d %02" PRId64 WEB_NARROW "h", s / DAY,
                 s % DAY / HOUR);
    }
    return out;
}

const char *web_ago(int64_t seconds, char out[WEB_WORDS])
{
    char duration[WEB_WORDS];
    if (seconds <= 2) {
        snprintf(out, WEB_WORDS, "just now");
    } else {
        snprintf(out, WEB_WORDS, "%.50s ago", web_duration(seconds, duration));
    }
    return out;
}

json_t *web_time(int64_t wall, int64_t now)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm then, today;
    char iso[32], words[32];
    time_t at = (time_t)wall, current = (time_t)now;
    if (wall == 0 || !gmtime_r(&at, &then) || !gmtime_r(&current, &today) || then.tm_year < 0 ||
        then.tm_year > 8099) {
        return NULL;
    }
    strftime(iso, sizeof iso, "%Y-%m-%dT%H:%M:%SZ", &then);
    if (then.tm_year != today.tm_year) {
        strftime(words, sizeof words, "%Y-%m-%d", &then);
    } else if (then.tm_yday != today.tm_yday) {
        snprintf(words, sizeof words, "%d" WEB_NARROW "%s %02d:%02d", then.tm_mday,
                 months[then.tm_mon % 12], then.tm_hour, then.tm_min);
    } else {
        snprintf(words, sizeof words, "%02d:%02d", then.tm_hour, then.tm_min);
    }
    return json_pack("{ss ss}", "iso", iso, "words", words);
}

json_t *web_string(const char *text)
{
    json_t *string = json_string(text ? text : "");
    if (!string) {
        size_t room = strlen(text) + 1;
        char *clean = malloc(room);
        if (clean) {
            amm_text_clean(clean, room, amm_view_str(text));
            string = json_string(clean);
            free(clean);
        }
    }
    return string;
}
