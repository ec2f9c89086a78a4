#include "domain/msci.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "msci_syntax.h"

static const struct amm_msci table[] = {
#define AMM_MSCI_PARAMETER(number, symbol, ...) {.id = (number), __VA_ARGS__},
#include "domain/msci.def"
#undef AMM_MSCI_PARAMETER
};

enum { COUNT = sizeof table / sizeof *table, LIST_WORDS = 8, SHOWN = 40 };

/* ---- the table ---- */

size_t amm_msci_count(void)
{
    return COUNT;
}

const struct amm_msci *amm_msci_at(size_t i)
{
    return i < COUNT ? &table[i] : NULL;
}

const struct amm_msci *amm_msci_find(uint32_t id)
{
    size_t low = 0, high = COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (table[middle].id == id) {
            return &table[middle];
        }
        if (table[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const struct amm_msci *amm_msci_find_name(struct amm_view name)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (strlen(table[i].name) == name.len &&
            strncasecmp(table[i].name, (const char *)name.data, name.len) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

const struct amm_msci *amm_msci_find_word(struct amm_view word)
{
    int64_t id;
    word = msci_trim(word);
    if (msci_whole_number(word, &id)) {
        return id > 0 && id <= UINT32_MAX ? amm_msci_find((uint32_t)id) : NULL;
    }
    return amm_msci_find_name(word);
}

bool amm_msci_may_set(const struct amm_msci *msci, enum amm_msci_source source,
                      char error[AMM_MSCI_ERROR])
{
    if (msci->access == AMM_MSCI_READ_ONLY) {
        snprintf(error, AMM_MSCI_ERROR, "%" PRIu32 ": %s cannot be set: the gateway reports it.",
                 msci->id, msci->name);
        return false;
    }
    if (msci->access == AMM_MSCI_SET_LOCAL && source != AMM_MSCI_FROM_PAGE) {
        snprintf(error, AMM_MSCI_ERROR,
                 "%" PRIu32 ": %s can be set on the gateway's own page only.", msci->id,
                 msci->name);
        return false;
    }
    return true;
}

/* ---- words ---- */

bool amm_msci_choice(const struct amm_msci *msci, size_t i, char *out, size_t room)
{
    const char *word = msci->choices;
    while (word && i > 0) {
        word = strchr(word, '|');
        word = word ? word + 1 : NULL;
        i--;
    }
    if (!word) {
        return false;
    }
    snprintf(out, room, "%.*s", (int)strcspn(word, "|"), word);
    return true;
}

static void write_unit(struct amm_writer *w, const struct amm_msci *msci)
{
    if (msci->unit) {
        amm_write_text(w, " %s", msci->unit);
    }
}

static void write_numbers(struct amm_writer *w, const struct amm_msci *msci)
{
    if (msci->max - msci->min >= LIST_WORDS) {
        amm_write_text(w, "%" PRId64 " to %" PRId64, msci->min, msci->max);
        return;
    }
    for (int64_t i = msci->min; i <= msci->max; i++) {
        amm_write_text(w, "%s%" PRId64, i > msci->min ? ", " : "", i);
    }
}

static void write_choices(struct amm_writer *w, const struct amm_msci *msci)
{
    char word[AMM_MSCI_VALUE];
    for (size_t i = 0; amm_msci_choice(msci, i, word, sizeof word); i++) {
        amm_write_text(w, "%s%s", i > 0 ? ", " : "", word);
    }
}

const char *amm_msci_allowed(const struct amm_msci *msci, char out[AMM_MSCI_ERROR])
{
    struct amm_writer w = amm_writer(out, AMM_MSCI_ERROR - 1);
    switch (msci->type) {
    case AMM_MSCI_NUMBER:
        write_numbers(&w, msci);
        write_unit(&w, msci);
        break;
    case AMM_MSCI_DECIMAL:
        amm_write_text(&w, "%" PRId64 " to %" PRId64, msci->min, msci->max);
        write_unit(&w, msci);
        break;
    case AMM_MSCI_CHOICE:
        write_choices(&w, msci);
        break;
    case AMM_MSCI_STRING:
        amm_write_text(&w, "%" PRId64 " to %" PRId64 " bytes of text without control characters",
                       msci->min, msci->max);
        break;
    case AMM_MSCI_HOSTS:
        if (msci->max == 1) {
            amm_write_str(&w, "a host name or an IP address");
        } else {
            amm_write_text(&w, "up to %" PRId64 " host names or IP addresses, with commas between",
                           msci->max);
        }
        break;
    case AMM_MSCI_NETWORK:
        amm_write_str(&w, "an IPv4 address with its prefix length, such as 192.168.13.31/24");
        break;
    case AMM_MSCI_URL:
        amm_write_str(&w, "https://HOST:PORT");
        break;
    case AMM_MSCI_TARGETS:
        amm_write_str(&w, "HOST:PORT of the LAN or gateway:PORT, with commas between, such as "
                          "192.168.13.100:80, 192.168.13.0/24:8000-8080");
        break;
    case AMM_MSCI_TOKEN:
        amm_write_str(&w, "amm1 and all that follows, as one text");
        break;
    }
    out[amm_writer_len(&w)] = '\0';
    return out;
}

static bool refuse(const struct amm_msci *msci, const char *what, char error[AMM_MSCI_ERROR])
{
    char allowed[AMM_MSCI_ERROR];
    const char *article = strchr("aeiou", msci->noun[0]) ? "an" : "a";
    if (msci->is_secret) {
        snprintf(error, AMM_MSCI_ERROR, "%" PRIu32 ": this is not %s %s. Allowed: %.100s.",
                 msci->id, article, msci->noun, amm_msci_allowed(msci, allowed));
    } else {
        snprintf(error, AMM_MSCI_ERROR, "%" PRIu32 ": %s is no %s. Allowed: %.100s.", msci->id,
                 what, msci->noun, amm_msci_allowed(msci, allowed));
    }
    return false;
}

static bool refuse_text(const struct amm_msci *msci, struct amm_view text,
                        char error[AMM_MSCI_ERROR])
{
    char shown[SHOWN + 4];
    if (text.len == 0) {
        return refuse(msci, "an empty value", error);
    }
    msci_shown(text, shown, sizeof shown);
    return refuse(msci, shown, error);
}

/* ---- values ---- */

static bool take_number(const struct amm_msci *msci, struct amm_view text,
                        struct amm_msci_value *out)
{
    int64_t number;
    if (!msci_whole_number(text, &number) || number < msci->min || number > msci->max) {
        return false;
    }
    snprintf(out->text, sizeof out->text, "%" PRId64, number);
    return true;
}

static bool take_choice(const struct amm_msci *msci, struct amm_view text,
                        struct amm_msci_value *out)
{
    char word[AMM_MSCI_VALUE];
    for (size_t i = 0; amm_msci_choice(msci, i, word, sizeof word); i++) {
        if (strlen(word) == text.len && strncasecmp(word, (const char *)text.data, text.len) == 0) {
            memcpy(out->text, word, text.len + 1);
            return true;
        }
    }
    return false;
}

static bool take_string(const struct amm_msci *msci, struct amm_view text,
                        struct amm_msci_value *out)
{
    if (text.len < (size_t)msci->min || text.len > (size_t)msci->max ||
        text.len >= sizeof out->text) {
        return false;
    }
    if (text.len > 0) {
        memcpy(out->text, text.data, text.len);
    }
    out->text[text.len] = '\0';
    return true;
}

static bool take(const struct amm_msci *msci, struct amm_view text, struct amm_msci_value *out)
{
    switch (msci->type) {
    case AMM_MSCI_NUMBER:
        return take_number(msci, text, out);
    case AMM_MSCI_DECIMAL:
        return msci_decimal(text, msci->min, msci->max, out->text);
    case AMM_MSCI_CHOICE:
        return take_choice(msci, text, out);
    case AMM_MSCI_STRING:
        return take_string(msci, text, out);
    case AMM_MSCI_HOSTS:
        return msci_hosts(text, (size_t)msci->min, (size_t)msci->max, out->text);
    case AMM_MSCI_NETWORK:
        return msci_network(text, out->text);
    case AMM_MSCI_URL:
        return msci_url(text, out->text);
    case AMM_MSCI_TARGETS:
        return msci_targets(text, out->text);
    case AMM_MSCI_TOKEN:
        return msci_token(text, out->text);
    }
    return false;
}

bool amm_msci_from_text(const struct amm_msci *msci, struct amm_view text,
                        struct amm_msci_value *out, char error[AMM_MSCI_ERROR])
{
    struct amm_msci_value value = {0};
    text = msci_trim(text);
    if (!msci_is_plain_text(text) || !take(msci, text, &value)) {
        return refuse_text(msci, text, error);
    }
    *out = value;
    return true;
}

static const char *json_kind(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    }
    return "this";
}

bool amm_msci_from_json(const struct amm_msci *msci, const json_t *json, struct amm_msci_value *out,
                        char error[AMM_MSCI_ERROR])
{
    bool is_number = msci->type == AMM_MSCI_NUMBER || msci->type == AMM_MSCI_DECIMAL;
    char text[512]; /* "%.6f" of the largest double has 317 characters */
    if (!json) {
        return refuse(msci, "no value", error);
    }
    if (is_number && json_is_integer(json)) {
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
        return amm_msci_from_text(msci, amm_view_str(text), out, error);
    }
    if (msci->type == AMM_MSCI_DECIMAL && json_is_real(json)) {
        snprintf(text, sizeof text, "%.6f", json_real_value(json));
        return amm_msci_from_text(msci, amm_view_str(text), out, error);
    }
    if (!is_number && json_is_string(json)) {
        return amm_msci_from_text(msci, amm_view(json_string_value(json), json_string_length(json)),
                                  out, error);
    }
    return refuse(msci, json_kind(json), error);
}

json_t *amm_msci_to_json(const struct amm_msci *msci, const struct amm_msci_value *value)
{
    if (msci->is_secret) {
        return json_pack("{sb}", "set", value->text[0] != '\0');
    }
    if (msci->type == AMM_MSCI_NUMBER) {
        return json_integer(amm_msci_value_number(msci, value));
    }
    if (msci->type == AMM_MSCI_DECIMAL) {
        return json_real(strtod(value->text, NULL));
    }
    return json_string(value->text);
}

bool amm_msci_initial(const struct amm_msci *msci, struct amm_msci_value *out)
{
    if (!msci->initial) {
        return false;
    }
    snprintf(out->text, sizeof out->text, "%s", msci->initial);
    return true;
}

bool amm_msci_value_equal(const struct amm_msci_value *a, const struct amm_msci_value *b)
{
    return strncmp(a->text, b->text, sizeof a->text) == 0;
}

int64_t amm_msci_value_number(const struct amm_msci *msci, const struct amm_msci_value *value)
{
    char word[AMM_MSCI_VALUE];
    if (msci->type == AMM_MSCI_NUMBER) {
        return strtoll(value->text, NULL, 10);
    }
    for (size_t i = 0; amm_msci_choice(msci, i, word, sizeof word); i++) {
        if (strcmp(word, value->text) == 0) {
            return (int64_t)i;
        }
    }
    return 0;
}

/* ---- doc/msci.md ---- */

static const char *page_head =
    "# MSCIIDs\n\n"
    "Settings and values of a gateway, by number. Numbers below 60001 are public numbers of AMM; "
    "60001 to "
    "60999 are ours, for\nwhat AMM leaves without a public number. A value is refused in the same "
    "words in "
    "ACEmanager, in a sheet, in the API and on\nthe gateway: `10034: 1194 is no tunnel port. "
    "Allowed: 1190, "
    "1191, 1192, 1193.`\n\n"
    "*Set by*: \"server, page\" means by the server and in ACEmanager; \"page\" in ACEmanager "
    "only, because the "
    "server could lose the\ngateway by it; \"-\" is reported by the gateway and set by nobody. *In "
    "use*: when a "
    "change made in ACEmanager takes effect (\"reboot\"\nmeans at the next start or by \"Activate "
    "now\"); what "
    "the server sets is in use at once. In JSON numbers are numbers, all else is\ntext, and a "
    "secret is "
    "`{\"set\": true}`.\n\n"
    "This page is printed by the gateway's program, and a test holds it to that:\n\n"
    "```\nbuild/bin/acemanager --print-msci >doc/msci.md\n```\n\n"
    "| MSCIID | name | in ACEmanager | allowed | default | set by | in use | meaning |\n"
    "|---|---|---|---|---|---|---|---|\n";

static void write_initial(struct amm_writer *w, const struct amm_msci *msci)
{
    if (msci->initial && msci->initial[0]) {
        amm_write_text(w, "`%s`", msci->initial);
    }
}

static void write_row(struct amm_writer *w, const struct amm_msci *msci)
{
    static const char *const set_by[] = {"-", "server, page", "page"};
    bool is_set = msci->access != AMM_MSCI_READ_ONLY;
    char allowed[AMM_MSCI_ERROR];
    amm_write_text(w, "| %" PRIu32 " | %s | %s > %s | %s | ", msci->id, msci->name, msci->tab,
                   msci->section, amm_msci_allowed(msci, allowed));
    write_initial(w, msci);
    amm_write_text(w, " | %s | %s | %s%s |\n", set_by[msci->access],
                   !is_set                               ? "-"
                   : msci->activation == AMM_MSCI_REBOOT ? "reboot"
                                                         : "at once",
                   msci->help, msci->is_secret ? " Secret." : "");
}

size_t amm_msci_markdown(char *out, size_t room)
{
    struct amm_writer w = amm_writer(out, room);
    amm_write_str(&w, page_head);
    for (size_t i = 0; i < COUNT; i++) {
        write_row(&w, &table[i]);
    }
    return amm_writer_len(&w);
}
