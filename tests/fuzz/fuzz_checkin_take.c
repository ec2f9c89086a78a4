/* Check-ins of a gateway from their bytes to the store and back: each line is one message. Nothing
 * is committed, so that an input always begins with the same fleet. Whatever was taken, the answer
 * is one that a gateway reads, and what is in memory is what is in the store. */
#include "manager/checkin.h"
#include "manager/operations.h"
#include "manager/parameters.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEMAND(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (false)

static char folder[] = "/tmp/amm-fuzz-XXXXXX", database[64];
static struct amm_store *store;
static struct fleet *fleet;

static void tidy(void)
{
    static const char *const endings[] = {"", "-wal", "-shm", ".lock"};
    fleet = fleet_free(fleet);
    store = amm_store_free(store);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char path[80];
        snprintf(path, sizeof path, "%s%s", database, endings[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* A gateway with a setting and an operation that wait for it. */
static void fill(void)
{
    struct fleet_error error;
    struct operation operation;
    struct fleet_gateway_new what = {.group = fleet_tenant_by_slug(fleet, "main")->root,
                                     .name = "gw"};
    struct operation_new ask = {.kind = "reboot", .by = "fuzz"};
    json_t *values = json_pack("{s:i, s:s}", "10034", 1191, "60001", "Enable");
    DEMAND(amm_store_begin(store) == AMM_STORE_OK);
    struct fleet_gateway *gateway = fleet_gateway_add(fleet, &what, 1000, &error);
    DEMAND(gateway && fleet_gateway_set_access(fleet, gateway, FLEET_ADMITTED, NULL, 1000, &error));
    DEMAND(parameters_set(fleet, gateway, values, "fuzz", 1000, &error));
    DEMAND(operation_add(fleet, gateway, &ask, 1000, &operation, &error));
    DEMAND(amm_store_commit(store) == AMM_STORE_OK);
    fleet_committed(fleet);
    operation_deinit(&operation);
    json_decref(values);
}

static void open_world(void)
{
    char error[AMM_STORE_ERROR];
    DEMAND(mkdtemp(folder));
    snprintf(database, sizeof database, "%s/amm.db", folder);
    store = amm_store_open(&(struct amm_store_settings){.database = database}, error);
    DEMAND(store);
    fleet = fleet_load(store, 1000, error, sizeof error);
    DEMAND(fleet);
    atexit(tidy);
    fill();
}

static void check_answer(const struct amm_checkin_answer *answer)
{
    struct amm_checkin_answer again;
    struct amm_refusal refusal;
    size_t len;
    char *text = amm_checkin_answer_encode(answer, &len);
    DEMAND(text);
    DEMAND(amm_checkin_answer_decode(&again, amm_view(text, len), &refusal));
    amm_checkin_answer_deinit(&again);
    free(text);
}

/* The values of the gateway, as a new process would read them. */
static void check_store(const struct fleet_gateway *gateway)
{
    struct amm_rows *rows =
        amm_store_query(store, AMM_SQL_GATEWAY_ONE, AMM_WITH(amm_number(gateway->id)));
    DEMAND(amm_rows_next(rows));
    for (unsigned i = 0; i < 2; i++) {
        struct amm_view text = amm_rows_view(rows, 29 + i);
        json_t *saved =
            text.len > 0 ? json_loadb((const char *)text.data, text.len, 0, NULL) : json_object();
        json_t *have = i == 0 ? values_to_json(gateway->stats, VALUES_STATS)
                              : values_to_json(gateway->reported, VALUES_PARAMETERS);
        DEMAND(saved && have && json_equal(saved, have));
        json_decref(saved);
        json_decref(have);
    }
    DEMAND(amm_rows_end(rows) == AMM_STORE_OK);
}

static void check_in(struct fleet_gateway *gateway, struct amm_view body, int64_t now)
{
    struct amm_checkin message;
    struct amm_checkin_answer answer;
    struct amm_refusal refusal;
    struct fleet_error error;
    bool quarantined;
    uint64_t seq = gateway->seq, events = gateway->events_seen;
    if (amm_checkin_decode(&message, body, &refusal)) {
        static const uint8_t key[AMM_REMOTE_KEY];
        struct checkin_input input = {
            .message = &message,
            .digest = checkin_digest(body),
            .now = {now * AMM_SECOND, now},
            .remote_key = key,
            .tunnel_hash = "0123456789abcdef",
        };
        DEMAND(checkin_take(fleet, gateway, &input, &answer, &quarantined, &error));
        DEMAND(gateway->seq >= seq && gateway->events_seen >= events);
        check_answer(&answer);
        amm_checkin_answer_deinit(&answer);
        check_store(gateway);
    }
    amm_checkin_deinit(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!store) {
        open_world();
    }
    DEMAND(amm_store_begin(store) == AMM_STORE_OK);
    struct fleet_gateway *gateway = fleet_gateway_at(fleet, 0);
    for (unsigned i = 0; i < 8 && size > 0; i++) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t)(end - data) : size;
        check_in(gateway, amm_view(data, len), 2000 + 100 * (int64_t)i);
        len += end != NULL;
        data += len;
        size -= len;
    }
    amm_store_rollback(store);
    fleet_rollback(fleet, 0);
    DEMAND(gateway->seq == 0 && !gateway->stats && !gateway->reported);
    return 0;
}
