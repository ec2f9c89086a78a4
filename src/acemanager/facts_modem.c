#include "facts.h"

#include "io/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { MODEM_MAX = 65536 };

bool ace_facts_init(struct ace_facts *facts)
{
    *facts = (struct ace_facts){.stats = json_object()};
    return facts->stats != NULL;
}

void ace_facts_deinit(struct ace_facts *facts)
{
    json_decref(facts->stats);
    facts->stats = NULL;
}

void ace_facts_stat(struct ace_facts *facts, const char *name, json_t *value)
{
    json_object_set_new(facts->stats, name, value); /* without memory the stat is missing */
}

void ace_facts_report(struct ace_facts *facts, uint32_t id, const char *text)
{
    size_t i = 0;
    while (i < facts->n_reports && facts->reports[i].id != id) {
        i++;
    }
    if (i < ACE_FACTS_REPORTS) {
        facts->n_reports = i == facts->n_reports ? i + 1 : facts->n_reports;
        facts->reports[i].id = id;
        snprintf(facts->reports[i].text, sizeof facts->reports[i].text, "%s", text);
    }
}

static void take_stats(struct ace_facts *facts, const json_t *stats)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)stats, name, value)
    {
        if (json_object_size(facts->stats) < AMM_STATS_MAX &&
            amm_stat_objection(name, value) == NULL) {
            json_object_set(facts->stats, name, value);
        }
    }
}

static void take_parameters(struct ace_facts *facts, const json_t *parameters)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)parameters, name, value)
    {
        const struct amm_msci *msci = amm_msci_find((uint32_t)strtoul(name, NULL, 10));
        struct amm_msci_value text;
        char error[AMM_MSCI_ERROR];
        if (msci && msci->access == AMM_MSCI_READ_ONLY &&
            amm_msci_from_json(msci, value, &text, error)) {
            ace_facts_report(facts, msci->id, text.text);
        }
    }
}

bool ace_facts_modem_parse(struct ace_facts *facts, struct amm_view text, int64_t age,
                           amm_time mono, char *error, size_t room)
{
    json_error_t reason;
    json_t *file = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &reason);
    if (!json_is_object(file)) {
        snprintf(error, room, "line %d: %s", file ? 1 : reason.line,
                 file ? "not an object" : reason.text);
        json_decref(file);
        return false;
    }
    take_stats(facts, json_object_get(file, "stats"));
    take_parameters(facts, json_object_get(file, "parameters"));
    json_t *time = json_object_get(file, "time");
    const char *source = json_string_value(json_object_get(file, "time-source"));
    if (json_is_integer(time) && json_integer_value(time) > 0 &&
        json_integer_value(time) < INT64_C(253402300799)) {
        facts->time_source =
            source && strcmp(source, "gps") == 0 ? AMM_CLOCK_GPS : AMM_CLOCK_CELLULAR;
        facts->time = json_integer_value(time) + age;
        facts->time_mono = mono;
    }
    json_decref(file);
    return true;
}

bool ace_facts_modem(struct ace_facts *facts, const char *path, amm_time mono, char *error,
                     size_t room)
{
    struct stat info;
    struct amm_span text;
    char reason[256];
    if (stat(path, &info) != 0) {
        snprintf(error, room, "%s: %s", path, strerror(errno));
        return false;
    }
    if (!amm_file_read(path, MODEM_MAX, &text, error, room)) {
        return false;
    }
    int64_t age = (int64_t)(time(NULL) - info.st_mtime); /* both by the system's clock */
    bool ok = ace_facts_modem_parse(facts, amm_view_of(text), age > 0 ? age : 0, mono, reason,
                                    sizeof reason);
    free(text.data);
    if (!ok) {
        snprintf(error, room, "%s: %.200s", path, reason);
    }
    return ok;
}
