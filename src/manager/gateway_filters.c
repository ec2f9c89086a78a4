#include "gateway_filters.h"

#include "fleet_module.h"
#include "lamps.h"
#include "threshold_rules.h"

#include <stdlib.h>

/* Position of a name in an enum's names; the route has checked that it is one of them. */
static uint8_t parse_name(const char *text, const char *(*name)(unsigned), unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(text, name(i)) == 0) {
            return (uint8_t)i;
        }
    }
    return QUERY_ANY;
}

static const char *kind_name(unsigned i)
{
    return fleet_kind_name(i);
}

static const char *access_name(unsigned i)
{
    return fleet_access_name(i);
}

static const char *sync_name(unsigned i)
{
    return fleet_sync_name(i);
}

static const char *state_name(unsigned i)
{
    return threshold_state_name(i);
}

/* The lamp by the word that tables have for it. */
static const char *checkin_name(unsigned i)
{
    static const char *const words[LAMPS] = {[LAMP_UP] = "up",
                                             [LAMP_DEGRADED] = "late",
                                             [LAMP_DOWN] = "missing",
                                             [LAMP_UNKNOWN] = "never"};
    return words[i] ? words[i] : "";
}

bool gateway_filters_branch(struct job *job, struct fleet_group **out)
{
    struct fleet *fleet = job->m->fleet;
    char text[24];
    *out = NULL;
    int64_t tenant = job_query_text(job, "tenant", text, sizeof text) ? strtoll(text, NULL, 10) : 0;
    bool has_group = job_query_text(job, "group", text, sizeof text);
    int64_t id = has_group ? strtoll(text, NULL, 10) : 0;
    if (id != 0) {
        *out = fleet_group_find(fleet, id);
    } else if (tenant != 0 || has_group) {
        *out = fleet_branch_find(fleet, tenant != 0 ? tenant : job->actor.tenant, 0);
    } else {
        return true;
    }
    struct access_object place = {0};
    if (*out) {
        place = (struct access_object){(*out)->tenant->id, (*out)->id};
    }
    if (!*out || (tenant != 0 && (*out)->tenant->id != tenant) ||
        !job_allows(job, ACCESS_VIEW, &place)) {
        job_not_found(job);
        return false;
    }
    return true;
}

static bool bad_query(struct job *job, const char *field, const char *text)
{
    job_error(job, 400, "bad-value", field, "%s", text);
    return false;
}

bool gateway_filters_take(struct job *job, struct gateway_query *query)
{
    char word[1024], error[320];
    struct fleet_group *branch;
    gateway_query_init(query, job->m->now.wall);
    if (!gateway_filters_branch(job, &branch)) {
        return false;
    }
    query->mark = job_mark_visible(job, branch);
    if (job_query_text(job, "kind", word, sizeof word)) {
        query->kind = parse_name(word, kind_name, FLEET_KINDS);
    }
    if (job_query_text(job, "access", word, sizeof word)) {
        query->access = parse_name(word, access_name, FLEET_ACCESSES);
    }
    if (job_query_text(job, "sync", word, sizeof word)) {
        query->sync = parse_name(word, sync_name, FLEET_SYNCS);
    }
    if (job_query_text(job, "tunnel", word, sizeof word)) {
        query->tunnel = strcmp(word, "up") == 0;
    }
    if (job_query_text(job, "late", word, sizeof word)) {
        query->late = job_query_bool(job, "late", false);
    }
    if (job_query_text(job, "clone", word, sizeof word)) {
        query->clone = job_query_bool(job, "clone", false);
    }
    if (job_query_text(job, "checkin", word, sizeof word)) {
        query->checkin = parse_name(word, checkin_name, LAMPS);
    }
    if (job_query_text(job, "state", word, sizeof word)) {
        query->alarm = parse_name(word, state_name, THRESHOLD_ERROR + 1);
    }
    query->port = (uint16_t)job_query_number(job, "port", 0);
    job_query_text(job, "text", query->text, sizeof query->text);
    return !job_query_text(job, "stat", word, sizeof word) ||
           gateway_query_conditions(query, word, error, sizeof error) ||
           bad_query(job, "stat", error);
}

bool gateway_order_take(struct job *job, struct gateway_query *query)
{
    char word[1024];
    query->limit = (size_t)job_query_number(job, "limit", 100);
    query->want_total = job_query_bool(job, "total", false);
    query->descending =
        job_query_text(job, "order", word, sizeof word) && strcmp(word, "desc") == 0;
    job_query_text(job, "after", query->after, sizeof query->after);
    return !job_query_text(job, "sort", word, sizeof word) || gateway_query_sort(query, word) ||
           bad_query(job, "sort",
                     "Sorted by name, serial, last_checkin, tunnel, worst, or stat: and its name.");
}
