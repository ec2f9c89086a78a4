/* Stats: last known named values of a gateway (GP-44, doc/stats.md). Names of the table below have
 * a type that is checked; others are kept as they are if name and value have a legal form. Pure. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    AMM_STATS_MAX = 256,      /* of one gateway */
    AMM_STAT_NAME_MAX = 64,   /* characters of a name or a label */
    AMM_STAT_TEXT_MAX = 256,  /* characters of a text value */
    AMM_STAT_LABELS_MAX = 64, /* of one stat */
};

enum amm_stat_type {
    AMM_STAT_NUMBER,
    AMM_STAT_TEXT,
    AMM_STAT_BOOL,
    AMM_STAT_ADDRESS,  /* text: an IPv4 or IPv6 address */
    AMM_STAT_PREFIXES, /* text: "192.168.1.0/24 10.0.0.0/8", blanks between; "" for none */
};

struct amm_stat {
    const char *name;
    enum amm_stat_type type;
    bool labelled;    /* the value is an object: label to value */
    bool history;     /* numeric, worth keeping by the hour */
    const char *unit; /* "" if there is none */
    const char *doc;  /* one sentence */
};

/* In the order of doc/stats.md. */
extern const struct amm_stat amm_stats[];
extern const size_t amm_stats_count;

/* NULL: not one of ours (which is no error). */
const struct amm_stat *amm_stat_find(const char *name);

/* 1 to 64 letters, digits, '-', '_', '.', blank. Also for labels. */
bool amm_stat_name_ok(const char *name);

/* What is wrong with the value of a stat ("not a number"), or NULL. null is fine: it takes the stat
 * away. */
const char *amm_stat_objection(const char *name, const json_t *value);

/* True if `text` is 1 (or 0 with `may_be_empty`) to `most` characters of UTF-8 without control
 * characters. */
bool amm_text_ok(const char *text, size_t most, bool may_be_empty);

/* The table of doc/stats.md; false if it does not fit. */
bool amm_stats_markdown(char *out, size_t room);
