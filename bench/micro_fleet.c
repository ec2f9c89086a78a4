/* What the fleet in memory costs, without HTTP, TLS and threads: time to read it from the store,
 * memory of the process, CPU time of lists by several questions, check-ins in batches of 32.
 *
 *   micro_fleet DATABASE      of `fleet_fixture`; it is changed
 */
#include "manager/checkin.h"
#include "manager/gateway_query.h"
#include "store/store.h"

#include "fleet_values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 60, CHECKINS = 20000, BATCH = 32 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "micro_fleet: %s\n", what);
    exit(1);
}

static double resident_mib(void)
{
    long size, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &size, &resident) != 2) {
        die("/proc/self/statm");
    }
    fclose(file);
    return (double)resident * 4096 / (1 << 20);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void ask(struct fleet *fleet, const char *what, void (*fill)(struct gateway_query *query))
{
    static struct gateway_page page;
    double times[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct gateway_query query;
        gateway_query_init(&query, time(NULL));
        double start = cpu_seconds();
        query.mark = fleet_group_mark_branch(fleet, NULL);
        fill(&query);
        if (!gateway_query_run(fleet, &query, &page)) {
            die(what);
        }
        times[i] = cpu_seconds() - start;
    }
    qsort(times, ROUNDS, sizeof times[0], by_value);
    printf("%-52s p50 %6.2f ms  p95 %6.2f ms  (%zu of %zu)\n", what, times[ROUNDS / 2] * 1e3,
           times[ROUNDS * 95 / 100] * 1e3, page.n, page.total);
}

static void conditions(struct gateway_query *query, const char *text)
{
    char error[256];
    if (!gateway_query_conditions(query, text, error, sizeof error)) {
        die(error);
    }
    query->want_total = true;
}

static void first_page(struct gateway_query *query)
{
    (void)query;
}

static void late_ones(struct gateway_query *query)
{
    query->late = 1;
    query->want_total = true;
}

static void by_text(struct gateway_query *query)
{
    snprintf(query->text, sizeof query->text, "4711");
    query->want_total = true;
}

static void by_text_without_hit(struct gateway_query *query)
{
    snprintf(query->text, sizeof query->text, "no such thing");
    query->want_total = true;
}

static void by_stat(struct gateway_query *query)
{
    conditions(query, "CellLink-RSSI<-100;Platform~RV");
}

static void sorted_by_stat(struct gateway_query *query)
{
    conditions(query, "CellLink-RSSI");
    gateway_query_sort(query, "stat:CellLink-RSSI");
    query->limit = 1000;
}

static void check_in(struct fleet *fleet, uint32_t number)
{
    struct fleet_gateway *gateway = fleet_gateway_at(fleet, number % fleet_gateway_count(fleet));
    char text[2048];
    struct amm_checkin message;
    struct amm_checkin_answer answer;
    struct amm_refusal refusal;
    struct fleet_error error;
    bool quarantined;
    size_t len;
    json_t *stats = bench_stats(number, gateway->seq + 1);
    char *stats_text = json_dumps(stats, JSON_COMPACT);
    snprintf(text, sizeof text,
             "{\"v\":1,\"seq\":%llu,\"base\":\"%s\",\"hash\":\"%016llx\",\"stats\":%s}",
             (unsigned long long)gateway->seq + 1, gateway->hash,
             (unsigned long long)bench_mix(number), stats_text);
    struct amm_view body = amm_view_str(text);
    if (!amm_checkin_decode(&message, body, &refusal)) {
        die(refusal.text);
    }
    struct checkin_input input = {
        .message = &message, .digest = checkin_digest(body), .now = {0, time(NULL)}};
    amm_store_savepoint(fleet_store(fleet));
    fleet_mark(fleet);
    if (!checkin_take(fleet, gateway, &input, &answer, &quarantined, &error)) {
        die(error.text);
    }
    amm_store_release(fleet_store(fleet));
    free(amm_checkin_answer_encode(&answer, &len));
    amm_checkin_answer_deinit(&answer);
    amm_checkin_deinit(&message);
    free(stats_text);
    json_decref(stats);
}

static void check_ins(struct fleet *fleet)
{
    double start = seconds(), cpu = cpu_seconds();
    for (uint32_t i = 0; i < CHECKINS; i++) {
        if (i % BATCH == 0) {
            amm_store_begin(fleet_store(fleet));
        }
        check_in(fleet, (uint32_t)bench_mix(i));
        if (i % BATCH == BATCH - 1) {
            if (amm_store_commit(fleet_store(fleet)) != AMM_STORE_OK) {
                die(amm_store_error(fleet_store(fleet)));
            }
            fleet_committed(fleet);
        }
    }
    printf("check-ins, %d changed stats, durable in batches of %d:  %.0f a second, %.0f a "
           "CPU-second\n",
           5, BATCH, CHECKINS / (seconds() - start), CHECKINS / (cpu_seconds() - cpu));
}

int main(int argc, char **argv)
{
    char error[AMM_STORE_ERROR];
    if (argc != 2) {
        die("usage: micro_fleet DATABASE");
    }
    struct amm_store *store =
        amm_store_open(&(struct amm_store_settings){.database = argv[1], .now = time(NULL)}, error);
    if (!store) {
        die(error);
    }
    double before = resident_mib(), start = seconds(), cpu = cpu_seconds();
    struct fleet *fleet = fleet_load(store, time(NULL), error, sizeof error);
    if (!fleet) {
        die(error);
    }
    size_t n = fleet_gateway_count(fleet);
    printf("%zu gateways read in %.2f s (%.2f s CPU); %.1f MiB resident, %.0f bytes a gateway\n", n,
           seconds() - start, cpu_seconds() - cpu, resident_mib(),
           (resident_mib() - before) * (1 << 20) / (double)n);
    ask(fleet, "first page by name", first_page);
    ask(fleet, "late, with the total", late_ones);
    ask(fleet, "text in name, serial, label, note, with the total", by_text);
    ask(fleet, "text without a hit", by_text_without_hit);
    ask(fleet, "two conditions on stats, with the total", by_stat);
    ask(fleet, "1000 by a stat, with the total", sorted_by_stat);
    check_ins(fleet);
    printf("%.1f MiB resident at the end\n", resident_mib());
    fleet_free(fleet);
    amm_store_free(store);
    return 0;
}
