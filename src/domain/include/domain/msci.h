/* The MSCI registry: every setting and value of a gateway that has a number (MSCIID).
 *
 * One data file, domain/msci.def, gives the table, the names of the numbers (AMM_MSCI_TUNNEL_PORT),
 * the checks, the fields of ACEmanager and doc/msci.md. Manager and gateway share it, so that a
 * value is refused in the same words in a form, in a cell of a sheet, in the API and on the
 * gateway.
 *
 * A value is its canonical text ("1191", "Enable", "ntp1.example.net, 192.0.2.7"): two equal values
 * have equal texts. In JSON numbers are numbers and all else is text.
 *
 * Pure: no I/O, no allocation but by jansson; any thread. */
#pragma once

#include "base/bytes.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AMM_MSCI_VALUE = 256, /* room of a value's text, with the NUL */
    AMM_MSCI_ERROR = 256, /* room of a refusal in words */
    AMM_MSCI_LIST = 4,    /* entries of a list at most */
};

enum amm_msci_type {
    AMM_MSCI_NUMBER,  /* whole, min to max */
    AMM_MSCI_DECIMAL, /* min to max, at most six digits behind the point */
    AMM_MSCI_CHOICE,  /* one word of `choices` */
    AMM_MSCI_STRING,  /* UTF-8 without control characters, min to max bytes */
    AMM_MSCI_HOSTS,   /* up to AMM_MSCI_LIST host names or IP addresses */
    AMM_MSCI_NETWORK, /* IPv4 address with prefix length: "192.168.13.31/24" */
    AMM_MSCI_URL,     /* https://HOST[:PORT], nothing behind it; "" means none */
    AMM_MSCI_TARGETS, /* hosts and ports for the relay (domain/relay.h); "" means none */
    AMM_MSCI_TOKEN,   /* enrolment token (doc/gateway-protocol.md GP-20); "" means none */
};

enum amm_msci_access {
    AMM_MSCI_READ_ONLY, /* the gateway reports it; nobody sets it */
    AMM_MSCI_SET,       /* by the server and on the gateway's own page */
    AMM_MSCI_SET_LOCAL, /* on the gateway's own page only: the server could lose the gateway by it
                         */
};

/* When a value that was changed on the gateway's own page takes effect. What the server sets always
 * takes effect at once. */
enum amm_msci_activation {
    AMM_MSCI_NOW,
    AMM_MSCI_REBOOT, /* at the next start, or by "Activate now" */
};

struct amm_msci {
    uint32_t id;
    const char *name; /* as operators know it; unique, without regard to case */
    const char *noun; /* for refusals: "1194 is no `tunnel port`" */
    enum amm_msci_type type;
    enum amm_msci_access access;
    enum amm_msci_activation activation;
    bool is_secret;      /* never leaves the gateway, not even to its own page */
    int64_t min, max;    /* see the type */
    const char *choices; /* CHOICE: "Disable|Enable" */
    const char *initial; /* canonical text; NULL: no value until the gateway has one */
    const char *unit;    /* "s", "dBm"; NULL: none */
    const char *tab;     /* where ACEmanager shows it: "Services" */
    const char *section; /* "MSCI" */
    const char *help;    /* one or two sentences */
};

/* The numbers by name: AMM_MSCI_TUNNEL_PORT is 10034. */
enum amm_msci_id {
#define AMM_MSCI_PARAMETER(number, symbol, ...) AMM_MSCI_##symbol = (number),
#include "domain/msci.def"
#undef AMM_MSCI_PARAMETER
};

struct amm_msci_value {
    char text[AMM_MSCI_VALUE];
};

/* The table, in ascending order of ids. */
size_t amm_msci_count(void);
const struct amm_msci *amm_msci_at(size_t i); /* NULL: behind the end */

/* NULL if there is none. A name is compared without regard to case. */
const struct amm_msci *amm_msci_find(uint32_t id);
const struct amm_msci *amm_msci_find_name(struct amm_view name);

/* Finds by a heading of a sheet or a word of a command line: "10034" or the name. */
const struct amm_msci *amm_msci_find_word(struct amm_view word);

/* Where a value comes from. */
enum amm_msci_source {
    AMM_MSCI_FROM_SERVER, /* an operator, a sheet, the API: anything that the server would send */
    AMM_MSCI_FROM_PAGE,   /* the gateway's own page or its configuration */
};

/* True if values of this parameter may come from there; else false with a sentence. */
bool amm_msci_may_set(const struct amm_msci *msci, enum amm_msci_source source,
                      char error[AMM_MSCI_ERROR]);

/* Checks a value and makes it canonical: "ENABLE " becomes "Enable", "01191" is refused. False with
 * a sentence that begins with the number and says what is allowed: 10034: 1194 is no tunnel port.
 * Allowed: 1190, 1191, 1192, 1193.
 * `*out` is then as it was. Secrets are not quoted. Access is not looked at (amm_msci_may_set). */
bool amm_msci_from_text(const struct amm_msci *msci, struct amm_view text,
                        struct amm_msci_value *out, char error[AMM_MSCI_ERROR]);
bool amm_msci_from_json(const struct amm_msci *msci, const json_t *json, struct amm_msci_value *out,
                        char error[AMM_MSCI_ERROR]);

/* A new reference, NULL: out of memory. A secret becomes {"set": true} or {"set": false}. */
json_t *amm_msci_to_json(const struct amm_msci *msci, const struct amm_msci_value *value);

/* The initial value; false if there is none (a value that the gateway only reports). */
bool amm_msci_initial(const struct amm_msci *msci, struct amm_msci_value *out);

bool amm_msci_value_equal(const struct amm_msci_value *a, const struct amm_msci_value *b);

/* NUMBER: the number. CHOICE: the index of the word in `choices`. Else 0. */
int64_t amm_msci_value_number(const struct amm_msci *msci, const struct amm_msci_value *value);

/* What is allowed, for hints: "1190, 1191, 1192, 1193", "60 to 86400". Returns `out`. */
const char *amm_msci_allowed(const struct amm_msci *msci, char out[AMM_MSCI_ERROR]);

/* The i-th word of `choices` into `out`; false behind the last one. */
bool amm_msci_choice(const struct amm_msci *msci, size_t i, char *out, size_t room);

/* doc/msci.md. The length, or 0 if it does not fit. */
size_t amm_msci_markdown(char *out, size_t room);
