/* Log lines of the daemons: one line an event on standard error, `level=warning event=join-refused
 * port=1190 ...`.
 *
 * Values are quoted when they hold anything but plain characters, and every byte outside printable
 * ASCII is escaped, so that a peer cannot forge a line or reach a terminal. There is no formatter
 * for key material. At most AMM_LOG_BURST lines per event id leave in ten seconds; what was held
 * back is said in the next line
 * (`suppressed=N`). Any thread. */
#pragma once

#include "base/address.h"

#include <stdint.h>
#include <stddef.h>

enum amm_log_level { AMM_LOG_DEBUG, AMM_LOG_INFO, AMM_LOG_WARNING, AMM_LOG_ERROR };

enum { AMM_LOG_BURST = 50 };

enum amm_field_kind { AMM_FIELD_TEXT, AMM_FIELD_NUMBER, AMM_FIELD_ADDRESS, AMM_FIELD_IPV4 };

struct amm_field {
    const char *key;
    enum amm_field_kind kind;
    union {
        const char *text;
        int64_t number;
        const struct amm_address *address;
        uint32_t ipv4;
    };
};

static inline struct amm_field amm_field_text(const char *key, const char *text)
{
    return (struct amm_field){.key = key, .kind = AMM_FIELD_TEXT, .text = text};
}

static inline struct amm_field amm_field_number(const char *key, int64_t number)
{
    return (struct amm_field){.key = key, .kind = AMM_FIELD_NUMBER, .number = number};
}

static inline struct amm_field amm_field_address(const char *key, const struct amm_address *address)
{
    return (struct amm_field){.key = key, .kind = AMM_FIELD_ADDRESS, .address = address};
}

static inline struct amm_field amm_field_ipv4(const char *key, uint32_t ip)
{
    return (struct amm_field){.key = key, .kind = AMM_FIELD_IPV4, .ipv4 = ip};
}

/* `event` is a stable id in static storage ("join-refused"). */
void amm_log_write(enum amm_log_level level, const char *event, const struct amm_field *fields,
                   size_t n);

/* amm_log(AMM_LOG_INFO, "joined", amm_field_text("gateway", name), amm_field_number("port", 1190))
 */
#define amm_log(level, event, ...)                                                                 \
    amm_log_write(level, event, (const struct amm_field[]){__VA_ARGS__},                           \
                  sizeof((const struct amm_field[]){__VA_ARGS__}) / sizeof(struct amm_field))

/* The line without its newline, for tests and other outputs; cut to fit. Returns the length. */
size_t amm_log_format(char *out, size_t room, enum amm_log_level level, const char *event,
                      const struct amm_field *fields, size_t n);

/* Lines below `level` are not written; initially AMM_LOG_INFO. Set before threads start. */
void amm_log_set_level(enum amm_log_level level);
