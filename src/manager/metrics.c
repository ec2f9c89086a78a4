#include "manager/metrics.h"

#include "manager/audit_chain.h"
#include "manager/core.h"
#include "manager/directory.h"
#include "manager/front.h"
#include "manager/job.h"
#include "manager/stream.h"

#include <stdio.h>
#include <stdlib.h>

struct metrics {
    char *text;
    size_t len, room;
    const char *last; /* name of the row before */
};

static void add_text(struct metrics *out, const char *text, size_t len)
{
    if (out->len + len > out->room) {
        size_t room = 2 * (out->len + len) + 4096;
        char *more = realloc(out->text, room);
        if (more == NULL) {
            return; /* a row is missing: better than no figures */
        }
        out->text = more;
        out->room = room;
    }
    memcpy(out->text + out->len, text, len);
    out->len += len;
}

void metrics_add(struct metrics *out, enum metric_kind kind, const char *name, const char *help,
                 const char *labels, double value)
{
    char row[512];
    int len;
    if (out->last == NULL || strcmp(out->last, name) != 0) {
        len = snprintf(row, sizeof row, "# HELP amm_%s %s\n# TYPE amm_%s %s\n", name, help, name,
                       kind == METRIC_COUNTER ? "counter" : "gauge");
        add_text(out, row, (size_t)len < sizeof row ? (size_t)len : sizeof row - 1);
        out->last = name;
    }
    len = snprintf(row, sizeof row, "amm_%s%s%s%s %.17g\n", name, labels ? "{" : "",
                   labels ? labels : "", labels ? "}" : "", value);
    add_text(out, row, (size_t)len < sizeof row ? (size_t)len : sizeof row - 1);
}

static void add_front(struct manager *m, struct metrics *out)
{
    struct amm_http_counters c;
    front_counters(m->front, &c);
    metrics_add(out, METRIC_GAUGE, "http_connections", "Open connections.", NULL, c.open);
    metrics_add(out, METRIC_COUNTER, "http_accepted_total", "Connections taken.", NULL,
                (double)c.accepted);
    metrics_add(out, METRIC_COUNTER, "http_requests_total", "Requests.", NULL, (double)c.requests);
    metrics_add(out, METRIC_COUNTER, "http_refused_total",
                "Connections refused because of a limit.", NULL, (double)c.refused_limit);
    metrics_add(out, METRIC_COUNTER, "http_bad_requests_total", "Malformed requests.", NULL,
                (double)c.bad_requests);
    metrics_add(out, METRIC_COUNTER, "http_timeouts_total", "Connections that were too slow.", NULL,
                (double)c.timeouts);
    metrics_add(out, METRIC_COUNTER, "tls_handshakes_total", "TLS handshakes.", "kind=\"full\"",
                (double)c.tls_full);
    metrics_add(out, METRIC_COUNTER, "tls_handshakes_total", "TLS handshakes.", "kind=\"resumed\"",
                (double)c.tls_resumed);
    metrics_add(out, METRIC_COUNTER, "tls_handshakes_total", "TLS handshakes.", "kind=\"failed\"",
                (double)c.tls_failed);
    metrics_add(out, METRIC_COUNTER, "http_bytes_total", "Bytes.", "direction=\"in\"",
                (double)c.bytes_in);
    metrics_add(out, METRIC_COUNTER, "http_bytes_total", "Bytes.", "direction=\"out\"",
                (double)c.bytes_out);
}

static void add_core(struct manager *m, struct metrics *out)
{
    struct core_counters c;
    int64_t audit_rows;
    uint8_t hash[AUDIT_HASH];
    core_counters(m->core, &c);
    audit_end(m->audit, &audit_rows, hash);
    metrics_add(out, METRIC_COUNTER, "units_total", "Units of work of the fleet thread.", NULL,
                (double)c.units);
    metrics_add(out, METRIC_COUNTER, "units_refused_total", "Units that were rolled back.", NULL,
                (double)c.failed);
    metrics_add(out, METRIC_COUNTER, "commits_total", "Commits.", NULL, (double)c.batches);
    metrics_add(out, METRIC_COUNTER, "commits_lost_total", "Batches that could not be saved.", NULL,
                (double)c.lost);
    metrics_add(out, METRIC_GAUGE, "queue", "Requests that wait.", "lane=\"console\"",
                c.waiting[CORE_URGENT]);
    metrics_add(out, METRIC_GAUGE, "queue", "Requests that wait.", "lane=\"gateways\"",
                c.waiting[CORE_GATEWAYS]);
    metrics_add(out, METRIC_GAUGE, "store_ok", "1 while the database can be written.", NULL,
                manager_store_state(m) == AMM_STORE_OK);
    metrics_add(out, METRIC_GAUGE, "users", "Users.", NULL, (double)directory_users(m->directory));
    metrics_add(out, METRIC_GAUGE, "logins", "Logins.", NULL,
                (double)directory_logins(m->directory));
    metrics_add(out, METRIC_GAUGE, "event_streams", "Open event streams.", NULL,
                stream_listeners(m));
    metrics_add(out, METRIC_COUNTER, "audit_entries_total", "Entries of the audit log.", NULL,
                (double)audit_rows);
}

static void metrics_handle(struct job *job)
{
    struct metrics out = {0};
    add_core(job->m, &out);
    add_front(job->m, &out);
    for (const struct manager_module *const *module = manager_modules; *module != NULL; module++) {
        if ((*module)->metrics != NULL) {
            (*module)->metrics(job->m, &out);
        }
    }
    job_bytes(job, 200, "text/plain; version=0.0.4; charset=utf-8", amm_view(out.text, out.len));
    free(out.text);
}

const struct route metrics_routes[] = {
    {.method = "GET",
     .path = "/metrics",
     .listeners = LISTENER_METRICS,
     .action = ACCESS_OPEN,
     .handle = metrics_handle,
     .summary = "Figures for Prometheus, on a listener of its own"},
    {.method = NULL},
};
