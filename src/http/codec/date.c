/* IMF-fixdate (RFC 9110 5.6.7), without the C library's idea of time zones and languages. */
#include "http/message.h"

static const char weekdays[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

enum { DAY = 86400 };

#define FIRST (-62167219200) /* year 0 */
#define LAST 253402300799    /* the last second of year 9999 */

struct date {
    int64_t year;
    unsigned month, day; /* from 1 */
};

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_in(int64_t year, unsigned month)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

/* Days from the first of January of year 0 to that of `year` (0 to 9999, and 10000). */
static int64_t days_before(int64_t year)
{
    return year * 365 + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
}

static struct date date_of(int64_t day)
{
    struct date date = {.year = day / 366, .month = 1};
    while (days_before(date.year + 1) <= day) {
        date.year++;
    }
    unsigned left = (unsigned)(day - days_before(date.year));
    while (left >= days_in(date.year, date.month)) {
        left -= days_in(date.year, date.month++);
    }
    date.day = left + 1;
    return date;
}

static int64_t day_of(const struct date *date)
{
    int64_t day = days_before(date->year) + date->day - 1;
    for (unsigned month = 1; month < date->month; month++) {
        day += days_in(date->year, month);
    }
    return day;
}

static void put(char *out, uint64_t value, size_t digits)
{
    while (digits-- > 0) {
        out[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

void amm_http_date(int64_t wall, char out[AMM_HTTP_DATE])
{
    wall = wall < FIRST ? FIRST : wall > LAST ? LAST : wall;
    uint64_t second = (uint64_t)(wall - FIRST);
    int64_t day = (int64_t)(second / DAY);
    struct date date = date_of(day);
    memcpy(out, "Sun, 00 Jan 0000 00:00:00 GMT", AMM_HTTP_DATE);
    memcpy(out, weekdays[(day + 6) % 7], 3); /* year 0 began on a Saturday */
    put(out + 5, date.day, 2);
    memcpy(out + 8, months[date.month - 1], 3);
    put(out + 12, (uint64_t)date.year, 4);
    put(out + 17, second % DAY / 3600, 2);
    put(out + 20, second % 3600 / 60, 2);
    put(out + 23, second % 60, 2);
}

static bool get(const uint8_t *text, size_t digits, unsigned *value)
{
    *value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        *value = *value * 10 + (unsigned)(text[i] - '0');
    }
    return true;
}

bool amm_http_date_parse(struct amm_view text, int64_t *wall)
{
    const uint8_t *p = text.data;
    struct date date = {0};
    unsigned year, hour, minute, second;
    char again[AMM_HTTP_DATE];
    if (text.len != AMM_HTTP_DATE - 1 || !get(p + 5, 2, &date.day) || !get(p + 12, 4, &year) ||
        !get(p + 17, 2, &hour) || !get(p + 20, 2, &minute) || !get(p + 23, 2, &second) ||
        hour > 23 || minute > 59 || second > 60) {
        return false;
    }
    for (unsigned month = 1; month <= 12 && date.month == 0; month++) {
        date.month = memcmp(p + 8, months[month - 1], 3) == 0 ? month : 0;
    }
    date.year = year;
    if (date.month == 0 || date.day == 0 || date.day > days_in(date.year, date.month)) {
        return false;
    }
    second = second == 60 ? 59 : second; /* a leap second has no number of its own */
    *wall = FIRST + day_of(&date) * DAY + hour * 3600 + minute * 60 + second;
    amm_http_date(*wall, again); /* the weekday and all that stands between */
    return memcmp(p, again, 23) == 0 && memcmp(p + 25, again + 25, 4) == 0;
}
