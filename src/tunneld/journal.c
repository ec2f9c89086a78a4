#include "journal.h"

#include "io/log.h"

#include <stdlib.h>

struct amm_journal {
    uint64_t n_events, n_refusals; /* ever */
    struct amm_ipc_event events[AMM_JOURNAL_EVENTS];
    struct amm_ipc_event refusals[AMM_JOURNAL_REFUSALS];
};

struct amm_journal *amm_journal_new(void)
{
    return calloc(1, sizeof(struct amm_journal));
}

struct amm_journal *amm_journal_free(struct amm_journal *journal)
{
    free(journal);
    return NULL;
}

static void write_line(const struct amm_ipc_event *event)
{
    static const char *const ids[] = {
        [AMM_IPC_JOINED] = "gateway-joined", [AMM_IPC_LEFT] = "gateway-left",
        [AMM_IPC_MOVED] = "gateway-moved",   [AMM_IPC_REFUSED] = "gateway-refused",
        [AMM_IPC_ALARM] = "alarm",           [AMM_IPC_SILENT] = "gateway-silent",
        [AMM_IPC_HEARD] = "gateway-heard",
    };

    if (event->kind == AMM_IPC_ALARM) {
        amm_log(AMM_LOG_ERROR, ids[AMM_IPC_ALARM], amm_field_text("reason", event->reason),
                amm_field_text("text", event->text));
        return;
    }
    struct amm_field fields[7];
    size_t n = 0;
    fields[n++] = amm_field_text("gateway", event->name);
    fields[n++] = amm_field_number("port", event->port);
    fields[n++] = amm_field_address("remote", &event->remote);
    if (event->inner_ip) {
        fields[n++] = amm_field_ipv4("inner", event->inner_ip);
    }
    if (event->client[0]) {
        fields[n++] = amm_field_text("client", event->client);
    }
    if (event->reason[0]) {
        fields[n++] = amm_field_text("reason", event->reason);
    }
    if (event->text[0]) {
        fields[n++] = amm_field_text("text", event->text);
    }
    amm_log_write(event->kind == AMM_IPC_REFUSED ? AMM_LOG_WARNING : AMM_LOG_INFO, ids[event->kind],
                  fields, n);
}

void amm_journal_add(struct amm_journal *journal, const struct amm_ipc_event *event)
{
    journal->events[journal->n_events++ % AMM_JOURNAL_EVENTS] = *event;
    if (event->kind == AMM_IPC_REFUSED) {
        journal->refusals[journal->n_refusals++ % AMM_JOURNAL_REFUSALS] = *event;
    }
    write_line(event);
}

uint64_t amm_journal_end(const struct amm_journal *journal)
{
    return journal->n_events;
}

enum amm_journal_result amm_journal_at(const struct amm_journal *journal, uint64_t at,
                                       struct amm_ipc_event *out)
{
    if (at >= journal->n_events) {
        return AMM_JOURNAL_NONE_YET;
    }
    if (journal->n_events - at > AMM_JOURNAL_EVENTS) {
        return AMM_JOURNAL_OVERWRITTEN;
    }
    *out = journal->events[at % AMM_JOURNAL_EVENTS];
    return AMM_JOURNAL_OK;
}

bool amm_journal_refusal(const struct amm_journal *journal, uint32_t back,
                         struct amm_ipc_event *out)
{
    if (back >= journal->n_refusals || back >= AMM_JOURNAL_REFUSALS) {
        return false;
    }
    *out = journal->refusals[(journal->n_refusals - 1 - back) % AMM_JOURNAL_REFUSALS];
    return true;
}
