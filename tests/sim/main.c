/* sim --seed N [--trace] [--break NAME]     one run
 * sim --seeds A..B                          many; every tenth twice, which must give the same trace
 * sim --expect NAME                         plants a fault and succeeds if the right invariant
 * fires */
#include "sim.h"

#include <getopt.h>
#include <stdlib.h>

struct totals {
    uint64_t steps, datagrams, restarts, joins, renewals;
};

static void report(const struct sim *sim)
{
    printf("\nThe last that happened:\n");
    sim_print_notes(sim, stdout);
    printf("\nseed %llu: invariant \"%s\" does not hold: %s\n", (unsigned long long)sim->seed,
           sim->failed, sim->reason);
    sim_print_parameters(sim, stdout);
    printf("repeat with: sim --seed %llu --trace%s%s\n", (unsigned long long)sim->seed,
           sim->planted ? " --break " : "", sim->planted ? sim_break_name(sim->planted) : "");
}

/* True if the run held, and with `twice` if a second one gave the same trace. */
static bool run_seed(struct sim *sim, uint64_t seed, enum sim_break planted, bool trace, bool twice)
{
    bool held = sim_run(sim, seed, planted, trace);
    uint64_t hash = sim->hash;
    sim_end(sim);
    if (held && twice) {
        held = sim_run(sim, seed, planted, trace);
        if (held && sim->hash != hash) {
            sim_fail(sim, "repeat", "the same seed gave another trace");
            held = false;
        }
        sim_end(sim);
    }
    return held;
}

static int run_seeds(struct sim *sim, uint64_t first, uint64_t last, enum sim_break planted,
                     bool trace)
{
    struct totals totals = {0};
    for (uint64_t seed = first; seed <= last; seed++) {
        if (!run_seed(sim, seed, planted, trace, first == last || seed % 10 == 0)) {
            report(sim);
            return 1;
        }
        totals.steps += sim->steps;
        totals.datagrams += sim->datagrams;
        totals.restarts += sim->restarts;
        totals.joins += sim->joins;
        totals.renewals += sim->renewals;
    }
    printf("%llu seeds held: %llu steps, %llu datagrams, %llu joins, %llu renewals, %llu restarts "
           "of the server\n",
           (unsigned long long)(last - first + 1), (unsigned long long)totals.steps,
           (unsigned long long)totals.datagrams, (unsigned long long)totals.joins,
           (unsigned long long)totals.renewals, (unsigned long long)totals.restarts);
    return 0;
}

/* A planted fault must show within a few seeds, and as the invariant that is there for it. */
static int expect_break(struct sim *sim, enum sim_break planted)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        if (!run_seed(sim, seed, planted, false, planted == SIM_BREAK_CHANCE)) {
            printf("seed %llu: %s: %s\n", (unsigned long long)seed, sim->failed, sim->reason);
            if (strcmp(sim->failed, sim_break_shows(planted)) == 0) {
                return 0;
            }
            report(sim);
            printf("expected invariant \"%s\"\n", sim_break_shows(planted));
            return 1;
        }
    }
    printf("the planted fault \"%s\" does not show\n", sim_break_name(planted));
    return 1;
}

static enum sim_break find_break(const char *name)
{
    for (unsigned i = SIM_BREAK_NONE + 1; i < SIM_BREAK_COUNT; i++) {
        if (strcmp(name, sim_break_name((enum sim_break)i)) == 0) {
            return (enum sim_break)i;
        }
    }
    fprintf(stderr, "sim: no such fault: %s\n", name);
    exit(2);
}

static bool parse_seeds(const char *text, uint64_t *first, uint64_t *last)
{
    char *end;
    *first = *last = strtoull(text, &end, 10);
    if (strncmp(end, "..", 2) == 0) {
        *last = strtoull(end + 2, &end, 10);
    }
    return *end == 0 && end != text && *first <= *last;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},   {"seeds", required_argument, NULL, 's'},
        {"trace", no_argument, NULL, 't'},        {"break", required_argument, NULL, 'b'},
        {"expect", required_argument, NULL, 'e'}, {NULL, 0, NULL, 0},
    };
    static struct sim sim;
    uint64_t first = 1, last = 200;
    enum sim_break planted = SIM_BREAK_NONE;
    bool trace = false, expect = false;
    int option;
    setvbuf(stdout, NULL, _IOLBF, 0);
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's' && parse_seeds(optarg, &first, &last)) {
            continue;
        }
        if (option == 't') {
            trace = true;
        } else if (option == 'b' || option == 'e') {
            planted = find_break(optarg);
            expect = option == 'e';
        } else {
            fprintf(
                stderr,
                "usage: sim [--seed N | --seeds A..B] [--trace] [--break NAME | --expect NAME]\n");
            return 2;
        }
    }
    return expect ? expect_break(&sim, planted) : run_seeds(&sim, first, last, planted, trace);
}
