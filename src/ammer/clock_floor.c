#include "clock_floor.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct amm_clock_floor amm_clock_floor(int64_t not_before, int64_t saved, int64_t not_after)
{
    struct amm_clock_floor floor = {AMM_CLOCK_RELEASE, "this release"};
    if (not_before > floor.at) {
        floor = (struct amm_clock_floor){not_before, "the certificate's first day"};
    }
    if (saved > floor.at && (not_after == 0 || saved <= not_after)) {
        floor = (struct amm_clock_floor){saved, "the time saved last"};
    }
    return floor;
}

bool amm_clock_is_sane(int64_t wall, const struct amm_clock_floor *floor)
{
    return wall >= floor->at;
}

static void day(char out[24], int64_t wall)
{
    time_t t = (time_t)wall;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(out, 24, "%Y-%m-%d", &tm) == 0) {
        snprintf(out, 24, "unreadable");
    }
}

void amm_clock_words(char *out, size_t room, int64_t wall, const struct amm_clock_floor *floor)
{
    char now[24], earliest[24];
    day(now, wall);
    day(earliest, floor->at);
    snprintf(out, room, "clock is %s: waiting for time (it cannot be before %s, %s)", now, earliest,
             floor->from);
}

int64_t amm_clock_saved_parse(const char *text)
{
    char *end;
    if (text[0] < '0' || text[0] > '9') {
        return 0;
    }
    long long value = strtoll(text, &end, 10);
    if ((*end != '\0' && *end != '\n') || value > INT64_C(253402300799)) { /* end of year 9999 */
        return 0;
    }
    return value;
}

bool amm_clock_offset_parse(const char *text, int64_t *out)
{
    bool is_negative = text[0] == '-';
    const char *digits = text + is_negative;
    int64_t value = amm_clock_saved_parse(digits);
    if (value == 0 && !(digits[0] == '0' && (digits[1] == '\n' || digits[1] == '\0'))) {
        return false;
    }
    *out = is_negative ? -value : value;
    return true;
}
