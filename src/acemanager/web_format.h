/* Numbers and times as people read them. A number and its unit are held together by a narrow space
 * that does not break. Pure; any thread. */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum { WEB_WORDS = 64 };

/* U+202F */
#define WEB_NARROW "\xe2\x80\xaf"

/* "31.2 MB": decimal, one digit behind the point. */
const char *web_bytes(uint64_t bytes, char out[WEB_WORDS]);

/* Two units: "3 d 04 h", "11 min", "8 s". Negative is 0. */
const char *web_duration(int64_t seconds, char out[WEB_WORDS]);

/* "4 min ago"; "just now" within two seconds, and for what lies ahead. */
const char *web_ago(int64_t seconds, char out[WEB_WORDS]);

/* {"iso": "2026-11-24T14:21:07Z", "words": "14:21"} for <time>; the words have the day when it is
 * not today. NULL if `wall` is 0 or not a time that can be written. */
json_t *web_time(int64_t wall, int64_t now);

/* Text from anywhere as a JSON string: what is no UTF-8 becomes '_'. NULL: out of memory. */
json_t *web_string(const char *text);
