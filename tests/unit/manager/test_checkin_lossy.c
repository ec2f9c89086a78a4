/* Check-ins over a network that loses, repeats and delays, to a server that is restarted and whose
 * commits fail, from a gateway that is switched off at any moment. Whatever happens:
 *
 *   - an event that was acknowledged is saved, once;
 *   - the server never goes back from a newer value to an older one;
 *   - nobody is taken for two gateways;
 *   - when the network works again, both ends have the same. */
#include "manager/checkin.h"

#include "domain/msci.h"
#include "manager/parameters.h"
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STATS = 3, EVENTS = 400, DELAYED = 4 };

/* The gateway, as small as the protocol allows. What is not in `disk` is lost when it is switched
 * off. */
struct gateway {
    struct {
        uint64_t seq;
        uint32_t boot;
        uint64_t first_event, next_event; /* kept: first .. next - 1 */
        int64_t revision;
        long keep_alive; /* 60008 in force */
    } disk;
    long stats[STATS]; /* the newest value is the largest, but for the last one, which flips */
    long sent[STATS];  /* as of the last acknowledged check-in */
    bool knows_sent;   /* else it must send everything */
    char hash[17];     /* of `sent` */
    char *pending;     /* the message that has no answer yet */
    long pending_stats[STATS];
    char pending_hash[17];
    char pending_result[80];
    char result[80]; /* of a set, until acknowledged */
};

struct link {
    char *delayed[DELAYED]; /* messages that come later, or never */
};

static unsigned pick(unsigned n)
{
    return (unsigned)rand() % n;
}

static void hash_of(const long stats[STATS], long keep_alive, char out[17])
{
    snprintf(out, 17, "%04lx%04lx%04lx%04lx", stats[0] & 0xffff, stats[1] & 0xffff,
             stats[2] & 0xffff, keep_alive & 0xffff);
}

static char *make_message(struct gateway *g)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    g->disk.seq++;
    memcpy(g->pending_stats, g->stats, sizeof g->stats);
    hash_of(g->stats, g->disk.keep_alive, g->pending_hash);
    fprintf(out,
            "{\"v\":1,\"seq\":%llu,\"boot\":%u,\"base\":\"%s\",\"hash\":\"%s\",\"revision\":%lld",
            (unsigned long long)g->disk.seq, g->disk.boot, g->knows_sent ? g->hash : "",
            g->pending_hash, (long long)g->disk.revision);
    fprintf(out, ",\"stats\":{");
    const char *comma = "";
    for (unsigned i = 0; i < STATS; i++) {
        if (!g->knows_sent || g->stats[i] != g->sent[i]) {
            fprintf(out, "%s\"s%u\":%ld", comma, i, g->stats[i]);
            comma = ",";
        }
    }
    fprintf(out, "},\"parameters\":{\"60008\":%ld},\"events\":[", g->disk.keep_alive);
    comma = "";
    for (uint64_t id = g->disk.first_event; id < g->disk.next_event && id < g->disk.first_event + 5;
         id++) {
        fprintf(out, "%s{\"id\":%llu,\"at\":1,\"kind\":\"boot\",\"text\":\"\"}", comma,
                (unsigned long long)id);
        comma = ",";
    }
    fprintf(out, "]");
    if (g->result[0] != '\0') {
        fprintf(out, ",\"results\":[%s]", g->result);
    }
    memcpy(g->pending_result, g->result, sizeof g->result);
    fprintf(out, "}");
    fclose(out);
    return text;
}

static void take_answer(struct gateway *g, const json_t *answer)
{
    const json_t *events = json_object_get(answer, "events"), *set = json_object_get(answer, "set");
    if (events && (uint64_t)json_integer_value(events) >= g->disk.first_event) {
        g->disk.first_event = (uint64_t)json_integer_value(events) + 1;
    }
    if (strcmp(g->result, g->pending_result) == 0) {
        g->result[0] = '\0';
    }
    g->knows_sent = !json_is_true(json_object_get(answer, "full"));
    if (g->knows_sent) {
        memcpy(g->sent, g->pending_stats, sizeof g->sent);
        memcpy(g->hash, g->pending_hash, sizeof g->hash);
    }
    int64_t revision = json_integer_value(json_object_get(answer, "revision"));
    if (set && revision > g->disk.revision) {
        long value = (long)json_integer_value(json_object_get(set, "60008"));
        bool takes = value % 7 != 0; /* some values it cannot take */
        snprintf(g->result, sizeof g->result,
                 "{\"id\":\"settings-%lld\",\"state\":\"%s\",\"text\":\"\"}", (long long)revision,
                 takes ? "done" : "failed");
        if (takes) {
            g->disk.revision = revision;
            g->disk.keep_alive = value;
        }
    }
    free(g->pending);
    g->pending = NULL;
}

static void switch_off_and_on(struct gateway *g)
{
    g->disk.boot++;
    g->knows_sent = false;
    free(g->pending);
    g->pending = NULL;
    g->result[0] = g->pending_result[0] = '\0';
}

/* ---- the server's side, and what must hold there ---- */

struct truth {
    uint64_t acknowledged; /* by an answer that left, whether it arrived or not */
    long seen[STATS];
};

/* One message at the server; the answer as JSON if it left. */
static json_t *serve(struct world *world, int64_t id, struct truth *truth, const char *message)
{
    struct amm_checkin checkin;
    struct amm_checkin_answer answer;
    struct amm_refusal refusal;
    struct amm_view body = amm_view_str(message);
    bool quarantined;
    if (!amm_checkin_decode(&checkin, body, &refusal)) {
        fail_msg("%s: %s", refusal.field, refusal.text);
    }
    struct checkin_input input = {
        .message = &checkin,
        .digest = checkin_digest(body),
        .now = {world->now * AMM_SECOND, world->now},
    };
    json_t *json = NULL;
    assert_int_equal(amm_store_begin(world->store), AMM_STORE_OK);
    fleet_mark(world->fleet);
    assert_true(checkin_take(world->fleet, fleet_gateway_find(world->fleet, id), &input, &answer,
                             &quarantined, &world->error));
    if (pick(8) == 0) { /* the disk refuses the commit: no answer */
        amm_store_rollback(world->store);
        fleet_rollback(world->fleet, 0);
    } else {
        size_t len;
        assert_int_equal(amm_store_commit(world->store), AMM_STORE_OK);
        fleet_committed(world->fleet);
        char *text = amm_checkin_answer_encode(&answer, &len);
        json = json_loads(text, 0, NULL);
        free(text);
        truth->acknowledged =
            answer.events > truth->acknowledged ? answer.events : truth->acknowledged;
    }
    amm_checkin_answer_deinit(&answer);
    amm_checkin_deinit(&checkin);
    return json;
}

static void check_truth(struct world *world, int64_t id, struct truth *truth)
{
    struct fleet_gateway *gateway = fleet_gateway_find(world->fleet, id);
    static uint8_t times[EVENTS + 1];
    memset(times, 0, sizeof times);
    struct amm_rows *rows = amm_store_query(
        world->store, AMM_SQL_EVENT_OF_GATEWAY,
        AMM_WITH(amm_number(id), amm_number(1), amm_number(INT64_MAX), amm_number(100000)));
    while (amm_rows_next(rows)) {
        int64_t origin = amm_rows_number(rows, 2);
        assert_true(origin <= EVENTS);
        times[origin] = (uint8_t)(times[origin] + (origin != 0));
    }
    assert_int_equal(amm_rows_end(rows), AMM_STORE_OK);
    for (uint64_t event = 1; event <= EVENTS; event++) {
        assert_true(times[event] <= 1);
        assert_true(times[event] == 1 || event > truth->acknowledged);
    }
    for (unsigned i = 0; i + 1 < STATS; i++) {
        char name[8];
        struct value value;
        snprintf(name, sizeof name, "s%u", i);
        if (values_find(gateway->stats, VALUES_STATS, name, &value)) {
            assert_true(value.integer >= truth->seen[i]);
            truth->seen[i] = (long)value.integer;
        } else {
            assert_int_equal(truth->seen[i], 0);
        }
    }
    assert_false(gateway->clone_flag);
}

/* What the gateway believes that the server has. */
static void assert_stats(struct world *world, int64_t id, const long stats[STATS])
{
    const struct fleet_gateway *gateway = fleet_gateway_find(world->fleet, id);
    for (unsigned i = 0; i < STATS; i++) {
        char name[8];
        struct value value;
        snprintf(name, sizeof name, "s%u", i);
        assert_true(values_find(gateway->stats, VALUES_STATS, name, &value));
        assert_int_equal(value.integer, stats[i]);
    }
}

/* ---- the world ---- */

/* Sends what waits for an answer, or a new message. */
static void exchange(struct world *world, int64_t id, struct gateway *g, struct link *link,
                     struct truth *truth, bool is_good)
{
    if (g->pending && pick(6) == 0) {
        free(g->pending); /* given up: the server may have it, or not */
        g->pending = NULL;
    }
    if (!g->pending) {
        g->pending = make_message(g);
    }
    if (!is_good && pick(4) == 0) {
        /* Lost on the way, or late: it may still come when newer ones were taken. */
        unsigned slot = pick(DELAYED);
        free(link->delayed[slot]);
        link->delayed[slot] = strdup(g->pending);
        return;
    }
    json_t *answer = serve(world, id, truth, g->pending);
    if (answer && (is_good || pick(3) != 0)) {
        take_answer(g, answer);
        if (g->knows_sent) {
            assert_stats(world, id, g->sent);
        }
    }
    json_decref(answer);
}

static void step(struct world *world, int64_t id, struct gateway *g, struct link *link,
                 struct truth *truth)
{
    unsigned slot = pick(DELAYED);
    world->now += pick(30);
    switch (pick(12)) {
    case 0:
        switch_off_and_on(g);
        return;
    case 1:
        world_restart(world);
        return;
    case 2:
        /* At most as often as the server takes for a slow network. */
        if (link->delayed[slot] && fleet_gateway_find(world->fleet, id)->stale_seen + 1 < 3) {
            json_decref(serve(world, id, truth, link->delayed[slot]));
            free(link->delayed[slot]);
            link->delayed[slot] = NULL;
        }
        return;
    case 3:
        g->stats[pick(STATS - 1)]++;
        return;
    case 4:
        g->stats[STATS - 1] = !g->stats[STATS - 1];
        return;
    case 5:
        if (g->disk.next_event <= EVENTS) {
            g->disk.next_event++;
        }
        return;
    case 6: {
        json_t *values = json_pack("{s:i}", "60008", (int)(1 + pick(50)));
        world_begin(world);
        assert_true(parameters_set(world->fleet, fleet_gateway_find(world->fleet, id), values,
                                   "anna", world->now, &world->error));
        world_commit(world);
        json_decref(values);
        return;
    }
    default:
        exchange(world, id, g, link, truth, false);
        return;
    }
}

static void assert_same(struct world *world, int64_t id, const struct gateway *g)
{
    struct fleet_gateway *gateway = fleet_gateway_find(world->fleet, id);
    char text[64];
    assert_int_equal(gateway->events_seen + 1, g->disk.next_event);
    assert_stats(world, id, g->stats);
    assert_true(fleet_reported(gateway, AMM_MSCI_KEEP_ALIVE, text, sizeof text));
    assert_int_equal(atol(text), g->disk.keep_alive);
    const struct fleet_desired *desired = fleet_desired(gateway, AMM_MSCI_KEEP_ALIVE, NULL);
    if (desired && atol(desired->value) % 7 != 0) {
        assert_int_equal(atol(desired->value), g->disk.keep_alive);
    } else if (desired) {
        assert_int_not_equal(gateway->revision_failed, 0);
    }
}

static void run(unsigned seed)
{
    struct world world;
    struct link link = {{NULL}};
    struct truth truth = {0};
    struct gateway g = {.disk = {.boot = 1, .first_event = 1, .next_event = 1, .keep_alive = 20},
                        .stats = {1, 1, 1}};
    srand(seed);
    world_open(&world);
    int64_t id = world_gateway(&world, "gw")->id;
    for (unsigned i = 0; i < 150; i++) {
        step(&world, id, &g, &link, &truth);
        if (i % 10 == 0) {
            check_truth(&world, id, &truth);
        }
    }
    /* The network works again; what was on its way is gone. */
    for (unsigned i = 0; i < 60 || g.disk.first_event < g.disk.next_event; i++) {
        exchange(&world, id, &g, &link, &truth, true);
    }
    check_truth(&world, id, &truth);
    assert_same(&world, id, &g);
    for (unsigned i = 0; i < DELAYED; i++) {
        free(link.delayed[i]);
    }
    free(g.pending);
    world_close(&world);
}

static void nothing_is_lost_and_nothing_goes_back(void **state)
{
    (void)state;
    const char *wanted = getenv("AMM_SEED");
    unsigned first = wanted ? (unsigned)strtoul(wanted, NULL, 10) : 1;
    unsigned last = wanted ? first : 20;
    for (unsigned seed = first; seed <= last; seed++) {
        print_message("seed %u\n", seed);
        run(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_and_nothing_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
